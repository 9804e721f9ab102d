select
    {{ post_columns('id as document_id') }},
    platform as publication
from {{ source('ingest', 'raw_posts') }}
where {{ of_family('social') }}
