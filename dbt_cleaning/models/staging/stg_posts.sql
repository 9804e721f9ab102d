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
    annotations.machine_markers,
    md5(
        concat_ws(
            E'\x1f', posts.content_hash, posts.state, posts.reason, posts.deleted_at is not null, posts.work, posts.platform,
            posts.publication, posts.url, annotations.annotator, annotations.language, annotations.masks,
            annotations.repetition, annotations.machine_markers, '{{ var("rules") }}'
        )
    ) as fingerprint
from posts
left join {{ source('cleaning', 'annotations') }} as annotations
    on posts.document_id = annotations.document_id and posts.content_hash = annotations.content_hash
