with lanes as (
    select
        author,
        document_id,
        coalesce(string_agg(voice_text, E'\n\n' order by position) filter (where voice_text <> ''), '') as text_for_voice,
        coalesce(string_agg(rag_text, E'\n\n' order by position) filter (where rag_text <> ''), '') as text_for_rag,
        sum(boilerplate_lines)::int as boilerplate_lines
    from {{ ref('int_blocks') }}
    group by author, document_id
)

select
    posts.document_id,
    posts.author,
    posts.platform,
    posts.kind,
    posts.title,
    posts.url,
    posts.published_at,
    lanes.text_for_voice,
    lanes.text_for_rag,
    lanes.boilerplate_lines
from lanes
inner join {{ ref('stg_raw_posts') }} as posts
    on lanes.author = posts.author and lanes.document_id = posts.document_id
