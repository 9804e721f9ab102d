-- The baseline: the cleaning that one would write first. Whole documents instead of blocks, one expression that every column and filter
-- asks for anew, NFKC and regular expressions over everything, and boilerplate as one long regular expression per document.
drop schema if exists naive cascade;
create schema naive;

-- Lines that many documents of a place repeat.
create table naive.boilerplate as
with kept as (
    select * from ingest.raw_posts where state = 'kept' and deleted_at is null and (work is null or work = id)
),

places as (
    select author, source, count(*) as documents from kept group by author, source
),

lines as (
    select kept.author, kept.source, btrim(line.text) as line, count(distinct kept.id) as documents
    from kept
    cross join lateral jsonb_array_elements(kept.blocks) as block
    cross join lateral regexp_split_to_table(block ->> 'text', '\n') as line (text)
    where block ->> 'type' in ('paragraph', 'list', 'quote') and length(line.text) between 20 and 400
    group by kept.author, kept.source, btrim(line.text)
)

select lines.author, lines.source, lines.line
from lines
inner join places on lines.author = places.author and lines.source = places.source
where lines.documents >= greatest(4, 0.3 * places.documents);

create view naive.whole as
select
    posts.*,
    (
        select string_agg(block.value ->> 'text', E'\n\n' order by block.place)
        from jsonb_array_elements(posts.blocks) with ordinality as block (value, place)
        where block.value ->> 'type' in ('paragraph', 'list')
    ) as prose,
    (
        select
            string_agg(
                case block.value ->> 'type'
                    when 'heading' then '## ' || (block.value ->> 'text')
                    when 'quote' then '> ' || (block.value ->> 'text')
                    when 'code' then E'```\n' || (block.value ->> 'text') || E'\n```'
                    else block.value ->> 'text'
                end, E'\n\n' order by block.place
            )
        from jsonb_array_elements(posts.blocks) with ordinality as block (value, place)
        where block.value ->> 'type' <> 'embed'
    ) as everything,
    (
        select '^(' || string_agg(regexp_replace(boilerplate.line, '([][\\.*+?^$(){}|-])', '\\\1', 'g'), '|') || ')$'
        from naive.boilerplate
        where boilerplate.author = posts.author and boilerplate.source = posts.source
    ) as boilerplate
from ingest.raw_posts as posts;

create view naive.cleaned as
select
    whole.*,
    btrim(
        regexp_replace(
            regexp_replace(
                regexp_replace(
                    regexp_replace(
                        regexp_replace(
                            regexp_replace(
                                regexp_replace(
                                    normalize(coalesce(prose, ''), nfkc), coalesce(boilerplate, '^$'), '', 'gn'
                                ),
                                '^[ \t]*(share this post|copy link|subscribe( now)?|sign in|leave a comment|thanks for reading.*)[ \t]*$',
                                '', 'gni'
                            ),
                            '\(?(https?://|www\.)\S+', '', 'gi'
                        ),
                        '[[:alnum:]._%+-]+@[[:alnum:].-]+\.[[:alpha:]]{2,}', '[email]', 'g'
                    ),
                    '\+?[0-9][0-9 ().-]{8,}[0-9]', '[phone]', 'g'
                ),
                '[ \t]+', ' ', 'g'
            ),
            '\n{3,}', E'\n\n', 'g'
        ), E' \n'
    ) as text_for_voice,
    btrim(
        regexp_replace(
            regexp_replace(
                regexp_replace(
                    regexp_replace(
                        regexp_replace(
                            regexp_replace(
                                normalize(coalesce(everything, ''), nfkc), coalesce(boilerplate, '^$'), '', 'gn'
                            ),
                            '^[ \t]*(share this post|copy link|subscribe( now)?|sign in|leave a comment|thanks for reading.*)[ \t]*$',
                            '', 'gni'
                        ),
                        '[[:alnum:]._%+-]+@[[:alnum:].-]+\.[[:alpha:]]{2,}', '[email]', 'g'
                    ),
                    '\+?[0-9][0-9 ().-]{8,}[0-9]', '[phone]', 'g'
                ),
                '[ \t]+', ' ', 'g'
            ),
            '\n{3,}', E'\n\n', 'g'
        ), E' \n'
    ) as text_for_rag
from naive.whole
where state = 'kept' and deleted_at is null and (work is null or work = id);

create view naive.counted as
select
    cleaned.*,
    regexp_count(text_for_voice, '\S+') as voice_words,
    regexp_count(text_for_rag, '\S+') as rag_words,
    md5(coalesce(title, '') || text_for_voice || text_for_rag) as cleaned_hash
from naive.cleaned;

create table naive.cleaned_documents as
select
    id as document_id, author, platform, kind, title, url, published_at, text_for_voice, text_for_rag, voice_words, rag_words,
    cleaned_hash
from naive.counted
where text_for_rag <> '' and rag_words >= case kind when 'article' then 20 when 'comment' then 2 else 3 end;

create table naive.dropped_documents as
select id as document_id, author, coalesce(nullif(reason, ''), state) as reason
from ingest.raw_posts
where id not in (select document_id from naive.cleaned_documents)
