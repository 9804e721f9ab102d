select
    id as document_id,
    author,
    source,
    origin,
    platform,
    kind,
    title,
    url,
    published_at,
    blocks
from {{ source('ingest', 'raw_posts') }}
where state = 'kept' and deleted_at is null and (work is null or work = id)
