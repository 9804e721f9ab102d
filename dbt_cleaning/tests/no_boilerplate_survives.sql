{{
    config(
        description='No line of a platform page and no paragraph that an author repeats everywhere is left in the voice.',
        meta={'dagster': {'ref': {'name': 'cleaned_documents'}}}
    )
}}

with documents as (
    select
        cleaned.document_id,
        cleaned.author,
        cleaned.text_for_voice,
        posts.source
    from {{ ref('cleaned_documents') }} as cleaned
    inner join {{ ref('stg_raw_posts') }} as posts on cleaned.document_id = posts.document_id
    where {{ for_author('cleaned.author') }}
),

interface_lines as (
    select
        documents.document_id,
        line.line_text
    from documents
    cross join lateral string_to_table(documents.text_for_voice, E'\n') as line (line_text)
    where
        lower(btrim(line.line_text, ' !')) in (
            'share this post', 'copy link', 'subscribe', 'subscribe now', 'sign in', 'thanks for reading', 'leave a comment',
            'ready for more?', 'upgrade to paid', 'discussion about this post'
        )
        or line.line_text ~* '^(originally published (at|on) \S+|.{0,120}subscribe for free to receive new posts.{0,60})$'
),

sources as (
    select
        author,
        source,
        count(*) as documents
    from {{ ref('stg_raw_posts') }}
    where {{ for_author() }}
    group by author, source
),

paragraphs as (
    select
        documents.document_id,
        documents.author,
        documents.source,
        paragraph.paragraph_text
    from documents
    cross join lateral string_to_table(documents.text_for_voice, E'\n\n') as paragraph (paragraph_text)
    where regexp_count(paragraph.paragraph_text, '\S+') between 1 and {{ var('boilerplate_words') }}
),

repeated as (
    select
        min(paragraphs.document_id::text)::uuid as document_id,
        paragraphs.paragraph_text as line_text
    from paragraphs
    inner join sources on paragraphs.author = sources.author and paragraphs.source = sources.source
    group by paragraphs.author, paragraphs.source, paragraphs.paragraph_text, sources.documents
    having
        count(distinct paragraphs.document_id)
        >= greatest({{ var('boilerplate_documents') }}, {{ var('boilerplate_share') }} * sources.documents)
)

select * from interface_lines
union all
select * from repeated
