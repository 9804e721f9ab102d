{{
    config(
        description='Every kept post is in the mart, or has no text besides boilerplate and embeds.',
        meta={'dagster': {'ref': {'name': 'cleaned_documents'}}}
    )
}}

select distinct posts.document_id
from {{ ref('stg_raw_posts') }} as posts
cross join lateral jsonb_array_elements(posts.blocks) as block (value)
left join {{ ref('cleaned_documents') }} as cleaned on posts.document_id = cleaned.document_id
left join {{ ref('int_blocks') }} as blocks
    on posts.document_id = blocks.document_id and blocks.block_text = block.value ->> 'text'
where
    {{ for_author('posts.author') }}
    and cleaned.document_id is null
    and btrim(block.value ->> 'text') <> ''
    and block.value ->> 'type' <> 'embed'
    and coalesce(blocks.boilerplate_lines, 0) = 0
