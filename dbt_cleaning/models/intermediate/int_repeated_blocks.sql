{{
    config(
        materialized='incremental',
        incremental_strategy='replace_repeats',
        on_schema_change='append_new_columns',
        full_refresh=(false if var('author', '') else none),
        indexes=[{'columns': ['author', 'publication', 'block_hash'], 'unique': true}],
        post_hook='{{ analyze_when_new() }}'
    )
}}

with publications as (
    select
        author,
        publication,
        count(*) as documents
    from {{ ref('int_posts') }}
    where reason is null and {{ for_author() }}
    group by author, publication
),

{% if is_incremental() %}
    candidates as materialized (
        select
            author,
            publication,
            block_hash
        from {{ ref('int_blocks') }}
        where block_hash is not null and document_id in {{ pending() }}
        union
        select
            author,
            publication,
            block_hash
        from {{ this }}
        where {{ for_author() }}
    ),

    counted as (
        select
            candidates.author,
            candidates.publication,
            candidates.block_hash,
            count(distinct blocks.document_id)::int as documents,
            max(blocks.block_words) as block_words
        from candidates
        left join {{ ref('int_blocks') }} as blocks
            on
                candidates.author = blocks.author
                and candidates.publication = blocks.publication
                and candidates.block_hash = blocks.block_hash
        group by candidates.author, candidates.publication, candidates.block_hash
    ),
{% else %}
    counted as (
        select
            author,
            publication,
            block_hash,
            count(distinct document_id)::int as documents,
            max(block_words) as block_words
        from {{ ref('int_blocks') }}
        where block_hash is not null and {{ for_author() }}
        group by author, publication, block_hash
        having count(distinct document_id) >= {{ var('boilerplate_documents') }}
    ),
{% endif %}

repeated as (
    select
        counted.author,
        counted.publication,
        counted.block_hash,
        counted.documents,
        counted.documents >= greatest(
            {{ var('boilerplate_documents') }},
            case
                when counted.block_words >= {{ var('boilerplate_long_words') }} then {{ var('boilerplate_long_share') }}
                else {{ var('boilerplate_share') }}
            end * coalesce(publications.documents, 0)
        ) as is_boilerplate
    from counted
    left join publications on counted.author = publications.author and counted.publication = publications.publication
)

select repeated.*
from repeated
{% if is_incremental() %}
    left join {{ this }} as known
        on
            repeated.author = known.author
            and repeated.publication = known.publication
            and repeated.block_hash = known.block_hash
    where
        (repeated.documents, repeated.is_boilerplate) is distinct from (known.documents, known.is_boilerplate)
        and (repeated.documents >= {{ var('boilerplate_documents') }} or known.block_hash is not null)
{% endif %}
