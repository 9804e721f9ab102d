{{ config(materialized='table', unlogged=true, indexes=[{'columns': ['document_id'], 'unique': true}]) }}

with lanes as (
    select
        posts.document_id,
        coalesce(string_agg(blocks.voice_text, E'\n\n' order by blocks.position) filter (
            where blocks.voice_text <> '' and repeated.block_hash is null
        ), '') as text_for_voice,
        coalesce(string_agg(blocks.rag_text, E'\n\n' order by blocks.position) filter (
            where blocks.rag_text <> '' and repeated.block_hash is null
        ), '') as text_for_rag,
        coalesce(sum(case
            when repeated.block_hash is not null then regexp_count(blocks.block_text, '\n') + 1 else blocks.interface_lines
        end), 0)::int as boilerplate_lines
    from {{ ref('int_posts') }} as posts
    left join {{ ref('int_blocks') }} as blocks on posts.document_id = blocks.document_id
    {{ left_join_boilerplate() }}
    -- What was edited since is not judged: its old text stays until the next build.
    inner join {{ source('ingest', 'raw_posts') }} as raw_posts
        on posts.document_id = raw_posts.id and posts.content_hash = raw_posts.content_hash
    where posts.pending and posts.reason is null and {{ for_author('posts.author') }}
    group by posts.document_id
),

counted as materialized (
    select
        *,
        {{ words('text_for_voice') }} as voice_words,
        {{ words('text_for_rag') }} as rag_words
    from lanes
),

judged as (
    select
        counted.*,
        posts.author,
        posts.publication,
        posts.platform,
        posts.kind,
        posts.language,
        posts.title,
        posts.url,
        posts.published_at,
        posts.machine_markers,
        posts.fingerprint,
        case posts.kind
            {% for kind in ['post', 'article', 'note', 'comment', 'code'] %}
                when '{{ kind }}' then {{ var('minimum_words')[kind] | default(1, true) }}
            {% endfor %}
            else 1
        end as minimum_words
    from counted
    inner join {{ ref('int_posts') }} as posts on counted.document_id = posts.document_id
)

select
    *,
    case
        when text_for_rag = '' then 'no_text'
        when rag_words < minimum_words then 'too_short'
    end as reason,
    case
        when text_for_rag = '' and boilerplate_lines > 0 then 'All of it is boilerplate or embeds: ' || boilerplate_lines || ' lines.'
        when text_for_rag = '' then 'There is no text in it.'
        when rag_words < minimum_words then 'It has ' || rag_words || ' words; ' || minimum_words || ' are asked for.'
    end as detail
from judged
