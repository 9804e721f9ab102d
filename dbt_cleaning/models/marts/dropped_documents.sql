{{
    config(
        materialized='incremental',
        incremental_strategy='replace_judged',
        on_schema_change='append_new_columns',
        full_refresh=(false if var('author', '') else none),
        indexes=[{'columns': ['author', 'reason']}]
    )
}}

select
    posts.document_id,
    posts.author,
    posts.platform,
    posts.kind,
    posts.title,
    posts.url,
    posts.published_at,
    coalesce(posts.reason, documents.reason) as reason,
    coalesce(posts.detail, documents.detail, '') as detail
from {{ ref('int_posts') }} as posts
left join {{ ref('int_documents') }} as documents on posts.document_id = documents.document_id
left join {{ ref('cleaned_documents') }} as cleaned on posts.document_id = cleaned.document_id
where
    posts.document_id in {{ judged() }}
    and posts.reason is distinct from 'gone'
    and cleaned.document_id is null
