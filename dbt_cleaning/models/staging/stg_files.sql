select
    {{ post_columns('id as document_id') }},
    source as publication
from {{ source('ingest', 'raw_posts') }}
where {{ of_family('files') }}
