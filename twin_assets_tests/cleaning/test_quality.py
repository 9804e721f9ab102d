"""Each check passes on what cleaning makes, and fails on poison."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from twin_assets.cleaning import quality
from twin_assets.cleaning.quality import documents_present, no_interface_lines
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets_tests.cleaning.posts import add_post, block, clean, document, empty, paragraph

PROSE = "It’s “fine” — isn't it? Naïve; sure… 🙂\nA second line, kept."
QUOTE = "Nobody ever baked good bread in a hurry, said my teacher."
CHECKS = [
    quality.apostrophes_survive,
    quality.paragraphs_survive,
    quality.own_words_only,
    quality.every_post_accounted_for,
    quality.every_post_annotated,
]


@pytest.fixture(scope="module")
def cleaned(session_database: Database, settings: Settings) -> Iterator[Database]:
    empty(session_database)
    quote = block("quote", QUOTE)
    add_post(session_database, "ada", "prose", paragraph(PROSE), paragraph("Two."), block("list", "- a, b\n- c; d"), quote)
    add_post(session_database, "ada", "own", paragraph(f"I say it too: {QUOTE}"), quote)
    add_post(session_database, "ada", "link", paragraph("See https://example.org/a,b;c, please."), paragraph("Share this post"))
    add_post(session_database, "ada", "short", paragraph("Hm."))
    add_post(session_database, "bob", "other", paragraph("Bob was here, too."))
    clean(settings, session_database)
    yield session_database
    empty(session_database)


@pytest.mark.parametrize("check", CHECKS)
def test_what_cleaning_makes_passes(cleaned: Database, check: Callable[[Database, str], quality.Finding]) -> None:
    finding = check(cleaned, "ada")
    assert finding.passed, finding
    assert check(cleaned, "nobody").passed


POISON = [
    (
        "apostrophes_survive",
        "update cleaning.cleaned_documents set text_for_voice = replace(text_for_voice, '’', '') where title = 'prose'",
    ),
    (
        "apostrophes_survive",
        "update cleaning.cleaned_documents set text_for_voice = replace(text_for_voice, ';', '') where title = 'prose'",
    ),
    (
        "paragraphs_survive",
        r"update cleaning.cleaned_documents set text_for_voice = replace(text_for_voice, E'\n\n', ' ') where title = 'prose'",
    ),
    (
        "paragraphs_survive",
        r"update cleaning.cleaned_documents set text_for_voice = replace(text_for_voice, E'\n-', ' -') where title = 'prose'",
    ),
    ("own_words_only", f"update cleaning.cleaned_documents set text_for_voice = text_for_voice || '{QUOTE}' where title = 'prose'"),
    ("own_words_only", "update ingest.raw_posts set state = 'foreign' where title = 'prose'"),
    ("own_words_only", "update ingest.raw_posts set author = 'eve' where title = 'prose'"),
    ("own_words_only", "update ingest.raw_posts set work = gen_random_uuid() where title = 'prose'"),
    ("every_post_accounted_for", "delete from cleaning.cleaned_documents where title = 'prose'"),
    ("every_post_accounted_for", "delete from cleaning.dropped_documents"),
    ("every_post_accounted_for", "update cleaning.dropped_documents set reason = ''"),
    (
        "every_post_accounted_for",
        "insert into cleaning.dropped_documents (document_id, author, platform, kind, reason, detail) "
        "select document_id, author, platform, kind, 'draft', '' from cleaning.cleaned_documents where title = 'prose'",
    ),
    ("every_post_annotated", "update ingest.raw_posts set content_hash = 'edited' where title = 'prose'"),
]


@pytest.mark.parametrize(("name", "poison"), POISON, ids=[f"{name} {number}" for number, (name, _) in enumerate(POISON)])
def test_poison_is_seen(cleaned: Database, name: str, poison: str) -> None:
    tables = ("cleaning.cleaned_documents", "cleaning.dropped_documents", "ingest.raw_posts")
    with cleaned.begin() as connection:
        for table in tables:
            connection.execute(text(f"create table public.{table.split('.')[1]} as table {table}"))
        assert connection.execute(text(poison)).rowcount
    finding = getattr(quality, name)(cleaned, "ada")
    with cleaned.begin() as connection:
        connection.execute(text("truncate cleaning.cleaned_documents, cleaning.dropped_documents"))
        for table in tables[:2]:
            connection.execute(text(f"insert into {table} table public.{table.split('.')[1]}"))
        connection.execute(
            text(
                "update ingest.raw_posts r set state = b.state, author = b.author, work = b.work, content_hash = b.content_hash "
                "from public.raw_posts b where b.id = r.id"
            )
        )
        for table in tables:
            connection.execute(text(f"drop table public.{table.split('.')[1]}"))
    assert not finding.passed
    assert str(finding.figures.get("examples", [])).count("prose") or name in ("every_post_accounted_for", "every_post_annotated")


def test_no_documents_says_what_to_do() -> None:
    finding = documents_present("ada", [])
    assert not finding.passed
    assert "twin inspect" in finding.description
    assert documents_present("ada", [document("a")]).passed


@pytest.mark.parametrize(
    "line",
    [
        "Share this post",
        "Subscribe",
        "Subscribe now!",
        "Thanks for reading!",
        "Thanks for reading Ada’s Notes! Subscribe for free to receive new posts and support my work.",
        "Originally published at https://example.org/x",
        "Ready for more?",
    ],
)
def test_an_interface_line_is_found_and_shown(line: str) -> None:
    finding = no_interface_lines([document("a", text="One."), document("b", text=f"It’s mine.\n\nMine too.\n{line}")])
    assert not finding.passed
    assert finding.figures == {"lines": 1, "examples": [f"b: {line}"]}


@pytest.mark.parametrize(
    "line", ["Share.", "Listen.", "Thanks for reading this far; now the point.", "I share this post with Bob.", "Subscribe to nothing."]
)
def test_a_line_of_the_author_is_left_alone(line: str) -> None:
    assert no_interface_lines([document("a", text=line)]).passed
