{{
    config(
        description='Documents without boilerplate keep every apostrophe, quotation mark, dash and emphasis of their prose.',
        meta={'dagster': {'ref': {'name': 'cleaned_documents'}}}
    )
}}

{%- set marks = '[\'\'’"“”„«»‘,;!?…—–]' %}

with blocks as (
    select
        posts.document_id,
        block.value ->> 'text' as block_text
    from {{ ref('stg_raw_posts') }} as posts
    cross join lateral jsonb_array_elements(posts.blocks) as block (value)
    where {{ for_author('posts.author') }} and block.value ->> 'type' in ('paragraph', 'list')
),

prose as (
    select
        document_id,
        sum(regexp_count({{ without_urls('block_text') }}, '{{ marks }}')) as marks
    from blocks
    group by document_id
)

select
    cleaned.document_id,
    prose.marks as marks_written,
    regexp_count(cleaned.text_for_voice, '{{ marks }}') as marks_kept
from {{ ref('cleaned_documents') }} as cleaned
inner join prose on cleaned.document_id = prose.document_id
where
    {{ for_author('cleaned.author') }}
    and cleaned.boilerplate_lines = 0
    and regexp_count(cleaned.text_for_voice, '{{ marks }}') < prose.marks
