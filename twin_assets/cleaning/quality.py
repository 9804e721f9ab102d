"""What must hold for an author's cleaned documents, as plain functions: the asset checks are shells around them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import text

from twin_assets.cleaning.documents import Document
from twin_assets.store.database import Database

LEAST_PUNCTUATION_KEPT = 0.999
"""Share of the marks in kept prose that must arrive; what is removed on purpose does not count."""

# Written apart from the list that the dbt project cleans by: a pattern that fails there must not fail here as well.
INTERFACE_LINE = re.compile(
    r"""[\s*•→👉-]*(
        (share|like|restack|discuss)\ this\ (post|article|story) | copy\ link | leave\ a\ comment | upgrade\ to\ paid
        | subscribe(\ now)? | sign\ (in|up) | subscribe\ ?sign\ in | ready\ for\ more\? | type\ your\ email(…|\.\.\.)
        | discussion\ about\ this\ post | substack\ is\ the\ home.* | thanks\ for\ reading
        | (thanks\ for\ reading[^.!?]{0,80}[.!]?\ )?subscribe\ for\ free\ to\ receive\ new\ posts.{0,60}
        | (originally|first)\ published\ (at|on)\ \S+
    )[.!\s]*""",
    re.IGNORECASE | re.VERBOSE,
)

# Of documents in which neither private things nor lines were taken out, so that what was collected and what is learned from
# can be held against each other; block by block, from what was collected and not from what cleaning made of it.
_UNTOUCHED = """
with untouched as materialized (
    select
        cleaned.document_id,
        coalesce(cleaned.title, raw.origin) as title,
        cleaned.text_for_voice,
        block.value ->> 'text' as block_text,
        block.value ->> 'type' in ('paragraph', 'list') as is_prose
    from cleaning.cleaned_documents as cleaned
    join ingest.raw_posts as raw on raw.id = cleaned.document_id
    join cleaning.annotations as notes on notes.document_id = cleaned.document_id and notes.content_hash = raw.content_hash
    cross join lateral jsonb_array_elements(raw.blocks) as block (value)
    where cleaned.author = :author and cleaned.boilerplate_lines = 0 and notes.masks = '[]'
)"""

_PUNCTUATION = (
    _UNTOUCHED
    + r""",
counted as (
    select
        title,
        regexp_count(text_for_voice, :marks) as kept,
        sum(regexp_count(regexp_replace(block_text, '\S*(://|www\.)\S*', '', 'gi'), :marks)) as written
    from untouched
    where is_prose
    group by document_id, title, text_for_voice
)
select title, kept, written from counted order by written - kept desc, title
"""
)
_MARKS = "[''’‘ʼ\"“”„«»‚,;:!?…—–]"

_PARAGRAPHS = (
    _UNTOUCHED
    + r""",
counted as (
    select
        title,
        cardinality(string_to_array(text_for_voice, E'\n\n')) as kept,
        count(*) filter (where block_text !~* '(://|www\.)' and block_text ~ '\S') as written,
        cardinality(string_to_array(text_for_voice, E'\n')) as lines_kept,
        sum(cardinality(string_to_array(block_text, E'\n'))) filter (where block_text !~* '(://|www\.)' and block_text ~ '\S')
            as lines_written
    from untouched
    where is_prose
    group by document_id, title, text_for_voice
)
select title, kept, written from counted where kept < written or lines_kept < lines_written order by title
"""
)

_FOREIGN_DOCUMENTS = """
select coalesce(cleaned.title, raw.origin), coalesce(nullif(raw.state, 'kept'), 'deleted or a copy')
from cleaning.cleaned_documents as cleaned
left join ingest.raw_posts as raw on raw.id = cleaned.document_id
where cleaned.author = :author
    and (raw.id is null or raw.author <> cleaned.author or raw.state <> 'kept' or raw.deleted_at is not null or raw.work <> raw.id)
"""

# Longer blocks only: an author may well say "Thank you!" and quote somebody who says so too.
_FOREIGN_WORDS = """
select coalesce(cleaned.title, raw.origin), left(block.value ->> 'text', 80)
from cleaning.cleaned_documents as cleaned
join ingest.raw_posts as raw on raw.id = cleaned.document_id
cross join lateral jsonb_array_elements(raw.blocks) as block (value)
where cleaned.author = :author
    and block.value ->> 'type' in ('quote', 'code', 'table', 'embed')
    and length(block.value ->> 'text') >= 40
    and strpos(cleaned.text_for_voice, block.value ->> 'text') > 0
    and not exists (
        select 1
        from jsonb_array_elements(raw.blocks) as own (value)
        where own.value ->> 'type' in ('paragraph', 'list') and strpos(own.value ->> 'text', block.value ->> 'text') > 0
    )
"""

_ACCOUNTS = """
with accounted as (
    select document_id, 'kept' as account, '' as reason from cleaning.cleaned_documents where author = :author
    union all
    select document_id, 'dropped', reason from cleaning.dropped_documents where author = :author
)
select coalesce(raw.id, accounted.document_id), count(accounted.document_id), count(raw.id), max(accounted.account), max(accounted.reason)
from (select id from ingest.raw_posts where author = :author) as raw
full join accounted on accounted.document_id = raw.id
group by 1
"""


_ANNOTATED = """
select coalesce(raw.title, raw.origin)
from ingest.raw_posts as raw
left join cleaning.annotations as notes on notes.document_id = raw.id and notes.content_hash = raw.content_hash
where raw.author = :author and raw.state = 'kept' and raw.deleted_at is null and notes.document_id is null
"""

# What the views of staging and for people show, held against the tables that they are made from.
FAMILIES = ("stg_social", "stg_publications", "stg_code", "stg_files")
KINDS = {
    "documents": ("post", "article", "note", "comment", "code"),
    "posts": ("post", "note", "comment"),
    "articles": ("article",),
    "code": ("code",),
}

_STAGED = """
select raw.id, count(staged.document_id)
from ingest.raw_posts as raw
left join cleaning.stg_posts as staged on staged.document_id = raw.id and staged.author = raw.author
where raw.author = :author
group by raw.id
having count(staged.document_id) <> 1
"""

_SHOWN = """
with cleaned as (
    select document_id, title, text_for_voice, text_for_rag from cleaning.cleaned_documents
    where author = :author and kind = any(:kinds)
),
shown as (
    select document_id, title, text_for_voice, text_for_rag from cleaning.{view} where author = :author
)
(select document_id, 'is not shown as it is' from (table cleaned except all table shown) as missing)
union all
(select document_id, 'is shown and should not be' from (table shown except all table cleaned) as surplus)
"""

_REMOVALS = """
select cleaned.document_id, count(removed.document_id)
from cleaning.cleaned_documents as cleaned
left join cleaning.dropped_blocks as removed on removed.document_id = cleaned.document_id
where cleaned.author = :author
group by cleaned.document_id, cleaned.boilerplate_lines
having (cleaned.boilerplate_lines > 0 and count(removed.document_id) = 0)
    or bool_or(
        removed.document_id is not null
        and (removed.removed_text ~ '\\S' and removed.reason <> '' and removed.lane in ('both', 'voice')) is not true
    )
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether something holds, in words for a person, with figures."""

    passed: bool
    description: str
    figures: dict[str, int | float | list[str]] = field(default_factory=dict)


def documents_present(author: str, documents: Sequence[Document]) -> Finding:
    """There is something to learn from."""
    words = sum(document.voice_words for document in documents)
    figures: dict[str, int | float | list[str]] = {"documents": len(documents), "voice_words": words}
    if documents:
        return Finding(True, f"{len(documents)} documents with {words} words of {author}'s own prose.", figures)
    return Finding(
        False,
        f"Nothing to learn from: no document of {author} was kept. `twin inspect PATH_OR_URL` shows for each file and row what it "
        f"was taken for and why it was left out; `twin add {author} --source PATH_OR_URL` adds more.",
        figures,
    )


def no_interface_lines(documents: Sequence[Document]) -> Finding:
    """No line of a platform's page is left in the texts that the voice is learned from."""
    found = [
        f"{document.title or document.id}: {line}"
        for document in documents
        for line in document.text_for_voice.splitlines()
        if INTERFACE_LINE.fullmatch(line)
    ]
    description = f"{len(found)} lines of a platform's page are left in {len(documents)} documents."
    return Finding(not found, description, {"lines": len(found), "examples": found[:10]})


def apostrophes_survive(database: Database, author: str) -> Finding:
    """Apostrophes, quotation marks, dashes and all other punctuation of the prose arrive in the voice.

    Looks at the documents from which no line and nothing private was taken out, URLs aside.
    """
    rows = _query(database, _PUNCTUATION, author, marks=_MARKS)
    kept, written = sum(min(row[1], row[2]) for row in rows), sum(row[2] for row in rows)
    share = kept / written if written else 1.0
    worst = [f"{title}: {written} written, {kept} kept" for title, kept, written in rows[:10] if kept < written]
    passed = share >= LEAST_PUNCTUATION_KEPT and all(row[1] >= 0.9 * row[2] for row in rows)
    description = f"{share:.2%} of {written} apostrophes, quotation marks, dashes and other marks of {len(rows)} documents arrived."
    return Finding(passed, description, {"documents": len(rows), "written": written, "share_kept": share, "examples": worst})


def paragraphs_survive(database: Database, author: str) -> Finding:
    """Each paragraph and line of the prose is one still.

    Looks at the documents from which no line and nothing private was taken out, and in them at the blocks without URLs.
    """
    lost = _query(database, _PARAGRAPHS, author)
    description = f"{len(lost)} documents have fewer paragraphs or lines than were written."
    return Finding(
        not lost, description, {"documents": len(lost), "examples": [f"{row[0]}: {row[2]} written, {row[1]} kept" for row in lost[:10]]}
    )


def own_words_only(database: Database, author: str) -> Finding:
    """No document of another, no copy, and no quote, code, table or embed is in what the voice is learned from."""
    documents, words = _query(database, _FOREIGN_DOCUMENTS, author), _query(database, _FOREIGN_WORDS, author)
    examples = [f"{title}: {what}" for title, what in [*documents, *words]]
    description = f"{len(documents)} documents are not the author's to learn from, {len(words)} quotes, codes or tables are in the voice."
    return Finding(not examples, description, {"documents": len(documents), "blocks": len(words), "examples": examples[:10]})


def every_post_accounted_for(database: Database, author: str) -> Finding:
    """Every raw post is either kept or dropped with a reason, and nothing else is."""
    rows = _query(database, _ACCOUNTS, author)
    wrong = [
        f"{row[0]}: {row[1]} times among kept and dropped, {row[2]} times among raw posts" for row in rows if row[1] != 1 or row[2] != 1
    ]
    wrong += [f"{row[0]}: dropped without a reason" for row in rows if row[3] == "dropped" and not row[4]]
    kept = sum(row[3] == "kept" for row in rows)
    description = f"{len(rows)} posts: {kept} kept, {len(rows) - kept} dropped; {len(wrong)} not accounted for."
    return Finding(not wrong, description, {"posts": len(rows), "kept": kept, "examples": wrong[:10]})


def every_post_annotated(database: Database, author: str) -> Finding:
    """Each kept post was looked at, as it is now, for its language and for private things."""
    missing = len(_query(database, _ANNOTATED, author))
    return Finding(not missing, f"{missing} kept posts were not looked at; none of them goes further.", {"missing": missing})


def every_post_staged_once(database: Database, author: str) -> Finding:
    """Each raw post is in one family of platforms, and in one only."""
    rows = _query(database, _STAGED, author)
    examples = [f"{post}: {times} times" for post, times in rows[:10]]
    return Finding(not rows, f"{len(rows)} raw posts are not staged exactly once.", {"posts": len(rows), "examples": examples})


def family_is_its_own(database: Database, author: str, family: str) -> Finding:
    """No post of a family of platforms is in another one too, and each has a publication: boilerplate is counted by that."""
    others = " union all ".join(f"select document_id from cleaning.{other} where author = :author" for other in FAMILIES if other != family)
    statement = f"""
        select document_id, coalesce(publication, '') from cleaning.{family}
        where author = :author and (coalesce(publication, '') = '' or document_id in ({others}))
    """
    rows = _query(database, statement, author)
    examples = [f"{post}: {'in another family too' if publication else 'no publication'}" for post, publication in rows[:10]]
    return Finding(not rows, f"{len(rows)} posts have no publication or are in two families.", {"posts": len(rows), "examples": examples})


def view_shows_its_kinds(database: Database, author: str, view: str) -> Finding:
    """A view for people shows the cleaned documents of its kinds, with both their texts, and no others."""
    rows = _query(database, _SHOWN.format(view=view), author, kinds=list(KINDS[view]))
    examples = [f"{document} {what}" for document, what in rows[:10]]
    return Finding(not rows, f"{len(rows)} rows differ from the cleaned documents.", {"rows": len(rows), "examples": examples})


def every_removal_says_why(database: Database, author: str) -> Finding:
    """What was taken out of a document is listed, with its reason and the texts that it was taken out of."""
    rows = _query(database, _REMOVALS, author)
    examples = [str(document) for document, _ in rows[:10]]
    return Finding(
        not rows, f"Of {len(rows)} documents something was removed without a word.", {"documents": len(rows), "examples": examples}
    )


def _query(database: Database, statement: str, author: str, **values: str | list[str]) -> Sequence[tuple]:
    with database.begin() as connection:
        return [tuple(row) for row in connection.execute(text(statement), {"author": author, **values})]
