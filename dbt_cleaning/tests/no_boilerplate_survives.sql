{{
    config(
        description='No line of a platform page and no paragraph that an author repeats everywhere is left in the voice.',
        meta={'dagster': {'ref': {'name': 'cleaned_documents'}}}
    )
}}

with documents as (
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
            lower(btrim(line.line_text, ' !')) in (
                'share this post', 'copy link', 'subscribe', 'subscribe now', 'sign in', 'thanks for reading', 'leave a comment',
                'ready for more?', 'upgrade to paid', 'discussion about this post'
            )
            or line.line_text ~* '^originally published (at|on) \S+$'
            or line.line_text ilike '%subscribe for free to receive new posts%'
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

paragraphs as (
    select
        documents.document_id,
        documents.author,
        documents.publication,
        paragraph.paragraph_text
    from documents
    cross join lateral string_to_table(documents.text_for_voice, E'\n\n') as paragraph (paragraph_text)
    where
        length(paragraph.paragraph_text) <= 60 * {{ var('boilerplate_words') }}
        and {{ words('paragraph.paragraph_text') }} between 1 and {{ var('boilerplate_words') }}
),

repeated as (
    select
        min(paragraphs.document_id::text)::uuid as document_id,
        paragraphs.paragraph_text as line_text
    from paragraphs
    inner join publications
        on paragraphs.author = publications.author and paragraphs.publication = publications.publication
    group by paragraphs.author, paragraphs.publication, paragraphs.paragraph_text, publications.documents
    having
        count(distinct paragraphs.document_id)
        >= greatest(
            {{ var('boilerplate_documents') }},
            case
                when {{ words('paragraphs.paragraph_text') }} >= {{ var('boilerplate_long_words') }}
                    then {{ var('boilerplate_long_share') }}
                else {{ var('boilerplate_share') }}
            end * publications.documents
        )
)

select * from interface_lines
union all
select * from repeated
