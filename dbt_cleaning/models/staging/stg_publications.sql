select
    {{ post_columns('id as document_id') }},
    coalesce(substring(url from '^[a-z]+://(?:www\.)?([^/?#]+)'), source) as publication
from {{ source('ingest', 'raw_posts') }}
where {{ of_family('publications') }}
