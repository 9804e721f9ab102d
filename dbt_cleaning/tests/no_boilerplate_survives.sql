{{
    config(
        description='No line of a platform page and no block that a publication repeats everywhere is left in the voice.',
        meta={'dagster': {'ref': {'name': 'cleaned_documents'}}}
    )
}}

with documents as materialized (
    select
        document_id,
        author,
        publication,
        text_for_voice
    from {{ ref('cleaned_documents') }}
    where {{ for_author() }} and {{ in_scope() }}
),

interface_lines as (
    select
        documents.document_id,
        line.line_text
    from documents
    cross join lateral string_to_table(documents.text_for_voice, E'\n') as line (line_text)
    where
        length(line.line_text) <= 200
        and (
            lower(btrim(line.line_text, ' !')) in ('share this post', 'copy link', 'leave a comment', 'upgrade to paid')
            or line.line_text ~* '^(thanks for reading[^.!?]{0,80}[.!]? )?subscribe for free to receive new posts'
        )
),

publications as (
    select
        author,
        publication,
        count(*) as documents
    from {{ ref('int_posts') }}
    where {{ for_author() }} and reason is null
    group by author, publication
),

found as (
    select distinct
        blocks.author,
        blocks.publication,
        blocks.block_hash
    from documents
    inner join {{ ref('int_blocks') }} as blocks on documents.document_id = blocks.document_id
    where blocks.block_hash is not null
),

-- Counted anew over all documents, for the blocks of those that were made.
repeated as (
    select
        blocks.author,
        blocks.publication,
        blocks.block_hash,
        count(distinct blocks.document_id) as documents,
        max(blocks.block_words) as block_words
    from {{ ref('int_blocks') }} as blocks
    inner join found
        on blocks.author = found.author and blocks.publication = found.publication and blocks.block_hash = found.block_hash
    group by blocks.author, blocks.publication, blocks.block_hash
    having count(distinct blocks.document_id) >= {{ var('boilerplate_documents') }}
),

boilerplate as (
    select
        repeated.author,
        repeated.publication,
        repeated.block_hash
    from repeated
    inner join publications on repeated.author = publications.author and repeated.publication = publications.publication
    where
        repeated.documents >= publications.documents * case
            when repeated.block_words >= {{ var('boilerplate_long_words') }} then {{ var('boilerplate_long_share') }}
            else {{ var('boilerplate_share') }}
        end
),

surviving as (
    select
        documents.document_id,
        blocks.voice_text as line_text
    from documents
    inner join {{ ref('int_blocks') }} as blocks on documents.document_id = blocks.document_id
    inner join boilerplate
        on
            blocks.author = boilerplate.author
            and blocks.publication = boilerplate.publication
            and blocks.block_hash = boilerplate.block_hash
    where
        blocks.voice_text <> ''
        and strpos(E'\n\n' || documents.text_for_voice || E'\n\n', E'\n\n' || blocks.voice_text || E'\n\n') > 0
)

select * from interface_lines
union all
select * from surviving
