"""The questions that a review asks of the tables that the dbt models have made."""

LONGEST_BLOCK = 200_000
"""Bytes of a block that is read where many documents are shown."""

# As the macro `words` counts them.
_WORDS = (
    "(coalesce(cardinality(array_remove(string_to_array(translate({0}, E'\\n\\t', '  '), ' '), '')), 0)"
    " + case when octet_length({0}) < 1.5 * length({0}) then 0 else"
    " regexp_count({0}, '[\\u0E00-\\u0E7F\\u3040-\\u30FF\\u3400-\\u4DBF\\u4E00-\\u9FFF\\uF900-\\uFAFF]') / 2 end)"
)
_REPEATED = """
left join cleaning.int_repeated_blocks as repeated
    on blocks.author = repeated.author and blocks.publication = repeated.publication and blocks.block_hash = repeated.block_hash
    and repeated.is_boilerplate
"""
# Words that are in neither text: of a block with lines of the platform's page, those that its text for search lacks.
_LOST_WORDS = f"""
case
    when repeated.block_hash is not null or blocks.block_type = 'embed' then {_WORDS.format("blocks.block_text")}
    when blocks.interface_lines > 0 then greatest({_WORDS.format("blocks.block_text")} - {_WORDS.format("blocks.rag_text")}, 0)
    else 0
end
"""

KEPT = """
select
    count(*), coalesce(sum(voice_words), 0), coalesce(sum(rag_words), 0),
    count(*) filter (where boilerplate_lines > 0 or voice_words < rag_words or document_id in (
        select document_id from cleaning.int_blocks where author = :author and block_type = 'embed'
    ))
from cleaning.cleaned_documents
where author = :author
"""
DROPPED = "select reason, count(*) from cleaning.dropped_documents where author = :author group by reason order by count(*) desc, reason"
REMOVED = f"""
with blocks as (
    select
        repeated.block_hash is not null as is_repeated,
        blocks.block_type,
        blocks.interface_lines,
        octet_length(blocks.voice_text)
        < case when blocks.interface_lines = 0 then octet_length(blocks.block_text) else octet_length(blocks.rag_text) end as is_shorter,
        {_LOST_WORDS} as lost_words
    from cleaning.int_blocks as blocks
    inner join cleaning.cleaned_documents as cleaned on blocks.document_id = cleaned.document_id
    {_REPEATED}
    where blocks.author = :author and blocks.block_text <> ''
)
select
    case
        when is_repeated then 'repeated'
        when block_type in ('paragraph', 'list') then 'prose'
        else block_type
    end as what,
    count(*),
    count(*) filter (where is_shorter),
    coalesce(sum(interface_lines), 0),
    coalesce(sum(lost_words), 0)
from blocks
group by what
"""  # noqa: S608  # of constants
MASKED = """
select split_part(trim('[' from mask ->> 'placeholder'), ' ', 1), count(*)
from cleaning.annotations as annotations
inner join cleaning.cleaned_documents as cleaned on annotations.document_id = cleaned.document_id
cross join lateral jsonb_array_elements(annotations.masks) as mask
where annotations.author = :author and annotations.masks <> '[]'
group by 1
order by 1
"""
RANKED = """
select document_id
from cleaning.cleaned_documents
where author = :author
order by boilerplate_lines desc, rag_words - voice_words desc, published_at desc nulls last, document_id
limit :most
"""
SAMPLED = """
select document_id
from cleaning.cleaned_documents
where author = :author and document_id <> all(cast(:without as uuid[]))
order by md5(document_id::text)
limit :most
"""
DROPPED_WITH_TEXT = """
select document_id
from cleaning.dropped_documents as dropped
where author = :author and exists (select 1 from cleaning.int_blocks as blocks where blocks.document_id = dropped.document_id)
order by md5(document_id::text)
limit :most
"""
LISTED = """
select listed.document_id, listed.title, listed.url, staged.origin, listed.kind, listed.published_at, listed.reason, listed.detail
from (
    select *, count(*) over (partition by reason) as alike
    from cleaning.dropped_documents
    where author = :author
    order by alike, reason, published_at desc nulls last, document_id
    limit :most
) as listed
left join cleaning.stg_posts as staged on listed.document_id = staged.document_id
order by listed.alike, listed.reason, listed.published_at desc nulls last, listed.document_id
"""
DOCUMENTS = f"""
select
    posts.document_id, posts.title, posts.url, posts.publication, posts.platform, posts.kind, posts.published_at,
    case when cleaned.document_id is null then coalesce(dropped.reason, posts.reason, 'pending') end as reason,
    case when cleaned.document_id is null then coalesce(dropped.detail, posts.detail, 'The build that looks at it has not ended.') end as detail,
    counted.blocks, counted.words, counted.lost_words, counted.voice_words,
    coalesce(annotations.masks, '[]') as masks
from cleaning.int_posts as posts
left join cleaning.cleaned_documents as cleaned on posts.document_id = cleaned.document_id
left join cleaning.dropped_documents as dropped on posts.document_id = dropped.document_id
left join cleaning.annotations as annotations on posts.document_id = annotations.document_id
cross join lateral (
    select
        count(*) as blocks,
        coalesce(sum({_WORDS.format("blocks.block_text")}), 0) as words,
        coalesce(sum({_LOST_WORDS}), 0) as lost_words,
        coalesce(sum({_WORDS.format("blocks.voice_text")}) filter (where repeated.block_hash is null), 0) as voice_words
    from cleaning.int_blocks as blocks
    {_REPEATED}
    where blocks.document_id = posts.document_id
) as counted
where posts.document_id = any(cast(:ids as uuid[]))
"""  # noqa: S608  # of constants
BLOCKS = f"""
with blocks as (
    select
        *,
        coalesce(sum(octet_length(block_text)) over (
            partition by document_id order by position rows between unbounded preceding and 1 preceding
        ), 0) as bytes_before
    from cleaning.int_blocks
    where document_id = any(cast(:ids as uuid[]))
)
select
    blocks.document_id, blocks.position, blocks.block_type, blocks.code_language, blocks.interface_lines,
    blocks.block_text, blocks.voice_text, blocks.rag_text, repeated.documents
from blocks
{_REPEATED}
where
    cast(:bytes as bigint) is null
    or (blocks.bytes_before < cast(:bytes as bigint) and octet_length(blocks.block_text) <= {LONGEST_BLOCK})
order by blocks.document_id, blocks.position
"""  # noqa: S608  # of constants
PUBLICATIONS = """
select publication, count(*)
from cleaning.int_posts
where author = :author and reason is null
group by publication
"""
FOUND = """
select document_id, title, published_at
from cleaning.int_posts
where author = :author and (
    document_id::text = lower(:wanted) or url = :wanted or lower(title) = lower(:wanted)
    or (:anywhere and strpos(lower(title), lower(:wanted)) > 0)
)
order by published_at desc nulls last, document_id
limit :most
"""
VERSION = """
select md5(concat_ws(
    ' ',
    (select string_agg(fingerprint, ',' order by document_id) from cleaning.int_posts where author = :author),
    (select string_agg(concat(document_id, reason, detail), ',' order by document_id) from cleaning.dropped_documents where author = :author),
    (select count(*) from cleaning.cleaned_documents where author = :author)
))
"""
