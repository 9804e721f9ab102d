with posts as (
    select
        {{ post_columns() }},
        publication
    from {{ ref('stg_social') }}
    union all
    select
        {{ post_columns() }},
        publication
    from {{ ref('stg_publications') }}
    union all
    select
        {{ post_columns() }},
        publication
    from {{ ref('stg_code') }}
    union all
    select
        {{ post_columns() }},
        publication
    from {{ ref('stg_files') }}
)

select
    posts.*,
    annotations.annotator,
    annotations.language,
    annotations.masks,
    annotations.repetition,
    annotations.machine_markers
from posts
left join {{ source('cleaning', 'annotations') }} as annotations
    on posts.document_id = annotations.document_id and posts.content_hash = annotations.content_hash
