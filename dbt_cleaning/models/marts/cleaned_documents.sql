{{
    config(
        materialized='incremental',
        incremental_strategy='replace_author',
        on_schema_change='append_new_columns',
        full_refresh=(false if var('author', '') else none),
        indexes=[{'columns': ['document_id'], 'unique': true}, {'columns': ['author']}]
    )
}}

with documents as materialized (
    select *
    from {{ ref('int_documents') }}
    where {{ for_author() }} and text_for_rag <> ''
)

select
    document_id,
    author,
    platform,
    kind,
    title,
    url,
    published_at,
    text_for_voice,
    text_for_rag,
    regexp_count(text_for_voice, '\S+') as voice_words,
    regexp_count(text_for_rag, '\S+') as rag_words,
    md5(
        concat_ws(
            E'\x1f', coalesce(title, ''), coalesce(extract(epoch from published_at)::text, ''), text_for_voice, text_for_rag
        )
    ) as content_hash,
    boilerplate_lines
from documents
