select
    {{ post_columns('id as document_id') }},
    coalesce(substring(url from '^[a-z]+://([^/?#]+/[^/?#]+/[^/?#]+)'), source) as publication
from {{ source('ingest', 'raw_posts') }}
where {{ of_family('code') }}
