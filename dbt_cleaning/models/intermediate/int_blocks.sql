{{
    config(
        materialized='incremental',
        incremental_strategy='replace_pending',
        on_schema_change='append_new_columns',
        full_refresh=(false if var('author', '') else none),
        indexes=[{'columns': ['document_id']}, {'columns': ['author', 'publication', 'block_hash', 'document_id', 'block_words']}],
        post_hook='{{ analyze_when_new() }}'
    )
}}

with posts as materialized (
    select
        posts.document_id,
        posts.author,
        posts.publication,
        staged.blocks,
        staged.masks
    from {{ ref('int_posts') }} as posts
    -- The version that was judged and looked at: what is edited meanwhile waits for the next build.
    inner join {{ ref('stg_posts') }} as staged on posts.document_id = staged.document_id and posts.content_hash = staged.content_hash
    where posts.pending and posts.reason is null and staged.annotator is not null and {{ for_author('posts.author') }}
),

blocks as materialized (
    select
        posts.document_id,
        posts.author,
        posts.publication,
        block.position::int as position,
        block.value ->> 'type' as block_type,
        block.value ->> 'language' as code_language,
        (block.value ->> 'level')::int as heading_level,
        {{ masked("coalesce(block.value ->> 'text', '')", 'posts.masks', 'block.position') }} as block_text
    from posts
    cross join lateral jsonb_array_elements(posts.blocks) with ordinality as block (value, position)
),

split as materialized (
    select
        blocks.document_id,
        blocks.position,
        blocks.block_type,
        line.place,
        line.line_text,
        {{ without_urls('line.line_text') }} as bare_line,
        {{ with_links('line.line_text') }} as voice_line
    from blocks
    cross join lateral string_to_table(blocks.block_text, E'\n') with ordinality as line (line_text, place)
),

lines as materialized (
    select
        *,
        block_type in ('paragraph', 'list', 'heading', 'caption')
        and ({{ is_interface_line('line_text') }} or (bare_line <> line_text and {{ is_interface_line('bare_line') }})) as is_interface
    from split
),

own as (
    select
        document_id,
        position,
        count(*) filter (where is_interface)::int as interface_lines,
        string_agg(line_text, E'\n' order by place) filter (where not is_interface) as own_text,
        -- A line that held only a URL goes as a whole; an empty line of the author's stays.
        string_agg(voice_line, E'\n' order by place) filter (
            where not is_interface and (voice_line <> '' or line_text = '')
        ) as voice_text
    from lines
    group by document_id, position
),

cleaned as materialized (
    select
        blocks.*,
        coalesce(own.interface_lines, 0) as interface_lines,
        coalesce(own.own_text, '') as own_text,
        case when blocks.block_type in ('paragraph', 'list') and own.voice_text ~ '\S' then own.voice_text else '' end as voice_text,
        case
            when blocks.block_type in ('paragraph', 'list', 'quote') and length(blocks.block_text) <= 60 * {{ var('boilerplate_words') }}
                then {{ words('blocks.block_text') }}
        end as block_words,
        case
            when blocks.block_type = 'code' and own.own_text ~ '```' then repeat('`', 4 + regexp_count(own.own_text, '````')) else '```'
        end as fence
    from blocks
    left join own on blocks.document_id = own.document_id and blocks.position = own.position
)

select
    document_id,
    author,
    publication,
    position,
    block_type,
    code_language,
    heading_level,
    block_text,
    case when block_words between 1 and {{ var('boilerplate_words') }} then {{ spelling('block_text') }} end as block_hash,
    block_words,
    interface_lines,
    voice_text,
    case
        when own_text !~ '\S' or block_type = 'embed' then ''
        when block_type = 'code' then concat(fence, code_language, E'\n', own_text, E'\n', fence)
        when block_type = 'heading' then '## ' || {{ searchable('own_text') }}
        when block_type = 'quote' then '> ' || replace({{ searchable('own_text') }}, E'\n', E'\n> ')
        else {{ searchable('own_text') }}
    end as rag_text
from cleaned
