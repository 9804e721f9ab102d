with blocks as (
    select
        blocks.*,
        repeated.block_hash is not null as is_repeated,
        blocks.block_type in ('paragraph', 'list') as is_prose
    from {{ ref('int_blocks') }} as blocks
    inner join {{ ref('cleaned_documents') }} as cleaned on blocks.document_id = cleaned.document_id
    {{ left_join_boilerplate() }}
    where blocks.block_text <> ''
),

removed as (
    select
        document_id,
        author,
        position,
        block_type,
        'both' as lane,
        case when is_repeated then 'repeated' else 'embed' end as reason,
        block_text as removed_text
    from blocks
    where is_repeated or block_type = 'embed'

    union all

    select
        blocks.document_id,
        blocks.author,
        blocks.position,
        blocks.block_type,
        'both' as lane,
        'interface_line' as reason,
        line.line_text as removed_text
    from blocks
    cross join lateral string_to_table(blocks.block_text, E'\n') as line (line_text)
    where not blocks.is_repeated and blocks.interface_lines > 0 and {{ is_interface_line('line.line_text') }}

    union all

    select
        document_id,
        author,
        position,
        block_type,
        'voice' as lane,
        'not_prose' as reason,
        block_text as removed_text
    from blocks
    where not is_repeated and not is_prose and block_type <> 'embed'

    union all

    select
        blocks.document_id,
        blocks.author,
        blocks.position,
        blocks.block_type,
        'voice' as lane,
        'url' as reason,
        btrim(url.found[1]) as removed_text
    from blocks
    cross join lateral regexp_matches(blocks.block_text, '({{ url_pattern() }})', 'gi') as url (found)
    where not blocks.is_repeated and blocks.is_prose and blocks.block_text ~* 'https?://|www\.'
)

select
    document_id,
    author,
    position,
    block_type,
    lane,
    reason,
    removed_text
from removed
