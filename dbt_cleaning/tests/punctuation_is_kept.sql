{{
    config(
        description='Documents without boilerplate keep every apostrophe, quotation mark, dash and emphasis of their prose.',
        meta={'dagster': {'ref': {'name': 'cleaned_documents'}}}
    )
}}

{%- set marks = '[\'\'’"“”„«»‘,;!?…—–]' %}

with documents as materialized (
    select
        document_id,
        text_for_voice
    from {{ ref('cleaned_documents') }}
    where {{ for_author() }} and {{ in_scope() }} and boilerplate_lines = 0
),

prose as (
    select
        documents.document_id,
        documents.text_for_voice,
        sum(regexp_count({{ without_urls("(block.value ->> 'text')") }}, '{{ marks }}')) as marks_written
    from documents
    inner join {{ source('ingest', 'raw_posts') }} as posts on documents.document_id = posts.id
    inner join {{ source('cleaning', 'annotations') }} as annotations
        on documents.document_id = annotations.document_id and posts.content_hash = annotations.content_hash
    cross join lateral jsonb_array_elements(posts.blocks) as block (value)
    where block.value ->> 'type' in ('paragraph', 'list') and annotations.masks = '[]'
    group by documents.document_id, documents.text_for_voice
)

select
    document_id,
    marks_written,
    regexp_count(text_for_voice, '{{ marks }}') as marks_kept
from prose
where regexp_count(text_for_voice, '{{ marks }}') < marks_written
