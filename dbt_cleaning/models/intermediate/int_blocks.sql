{{
    config(
        materialized='incremental',
        incremental_strategy='replace_author',
        on_schema_change='append_new_columns',
        full_refresh=(false if var('author', '') else none),
        indexes=[{'columns': ['author']}]
    )
}}

with posts as materialized (
    select
        document_id,
        author,
        source,
        blocks
    from {{ ref('stg_raw_posts') }}
    where {{ for_author() }}
),

blocks as materialized (
    select
        posts.document_id,
        posts.author,
        posts.source,
        block.position::int as position,
        block.value ->> 'type' as block_type,
        block.value ->> 'language' as code_language,
        (block.value ->> 'level')::int as heading_level,
        coalesce(block.value ->> 'text', '') as block_text
    from posts
    cross join lateral jsonb_array_elements(posts.blocks) with ordinality as block (value, position)
),

sources as (
    select
        author,
        source,
        count(*) as documents
    from posts
    group by author, source
),

repeated as (
    select
        blocks.author,
        blocks.source,
        blocks.block_text
    from blocks
    inner join sources on blocks.author = sources.author and blocks.source = sources.source
    where
        blocks.block_type in ('paragraph', 'list', 'quote')
        and regexp_count(blocks.block_text, '\S+') between 1 and {{ var('boilerplate_words') }}
    group by blocks.author, blocks.source, blocks.block_text, sources.documents
    having
        count(distinct blocks.document_id)
        >= greatest({{ var('boilerplate_documents') }}, {{ var('boilerplate_share') }} * sources.documents)
),

flagged as (
    select
        blocks.*,
        blocks.block_type = 'code' as is_code,
        blocks.block_type = 'quote' as is_quote,
        repeated.block_text is not null as is_repeated
    from blocks
    left join repeated
        on
            blocks.author = repeated.author
            and blocks.source = repeated.source
            and blocks.block_text = repeated.block_text
            and blocks.block_type in ('paragraph', 'list', 'quote')
),

lines as (
    select
        flagged.document_id,
        flagged.position,
        line.place,
        line.line_text,
        not flagged.is_code and {{ is_interface_line('line.line_text') }} as is_interface,
        {{ without_urls('line.line_text') }} as voice_line
    from flagged
    cross join lateral string_to_table(flagged.block_text, E'\n') with ordinality as line (line_text, place)
    where not flagged.is_repeated
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
        flagged.*,
        case when flagged.is_repeated then regexp_count(flagged.block_text, '\n') + 1 else coalesce(own.interface_lines, 0) end
            as boilerplate_lines,
        coalesce(own.own_text, '') as own_text,
        case when flagged.block_type in ('paragraph', 'list') then coalesce(own.voice_text, '') else '' end as voice_text,
        repeat('`', 3 + (flagged.is_code and own.own_text ~ '```')::int) as fence
    from flagged
    left join own on flagged.document_id = own.document_id and flagged.position = own.position
)

select
    document_id,
    author,
    source,
    position,
    block_type,
    code_language,
    heading_level,
    block_text,
    is_code,
    is_quote,
    is_repeated,
    boilerplate_lines,
    voice_text,
    case
        when btrim(own_text) = '' or block_type = 'embed' then ''
        when is_code then concat(fence, code_language, E'\n', own_text, E'\n', fence)
        when block_type = 'heading' then '## ' || {{ searchable('own_text') }}
        when is_quote then '> ' || replace({{ searchable('own_text') }}, E'\n', E'\n> ')
        else {{ searchable('own_text') }}
    end as rag_text
from cleaned
