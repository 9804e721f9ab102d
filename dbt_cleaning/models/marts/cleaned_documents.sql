{{
    config(
        materialized='incremental',
        incremental_strategy='replace_judged',
        on_schema_change='append_new_columns',
        full_refresh=(false if var('author', '') else none),
        indexes=[{'columns': ['author', 'published_at']}],
        post_hook='{{ analyze_when_new() }}'
    )
}}

-- depends_on: {{ ref('int_posts') }}
select
    {{ document_columns() }},
    machine_markers,
    boilerplate_lines,
    md5(
        concat_ws(
            E'\x1f', kind, platform, language, coalesce(title, ''), coalesce(extract(epoch from published_at)::text, ''),
            text_for_voice, text_for_rag
        )
    ) as content_hash
from {{ ref('int_documents') }}
where reason is null and document_id in {{ judged() }}
