"""Whatever comes, the build goes through, and each post ends as a document or as a dropped one with its reason."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from twin_assets.cleaning.quality import every_post_accounted_for
from twin_assets.ingest.read import read_sources
from twin_assets.ingest.works import group_works
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.registry import Registry
from twin_assets_tests.cleaning.posts import add_post, block, clean, empty, paragraph, post_id

MANY = "word " * 100_000
LINE = "x" * 50_000_000
MIXED = "Das ist gut so, sagt sie. This is fine, he says. これは良いです。 זה בסדר גמור."


@pytest.fixture(scope="module")
def built(session_database: Database, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    empty(session_database)
    posts = {
        "empty": [],
        "blank": [paragraph(" \n\t ")],
        "one word": [paragraph("Word.")],
        "100k different words": [paragraph(" ".join(f"word{number}" for number in range(100_000)))],
        "100k words": [paragraph(MANY)],
        "right to left": [paragraph("שלום עולם, מה שלומך היום?"), paragraph("مرحبا بالعالم، كيف حالك؟")],
        "CJK": [paragraph("今日はいい天気ですね。散歩に行きましょう。")],
        "mixed": [paragraph(MIXED)],
        "combining": [paragraph("e" + "\u0301" * 5_000 + " is a letter of mine.")],
        "html left over": [paragraph("<p>Unclosed <b>words</i> & <script>alert(1)</script>")],
        "patterns": [paragraph(r"\ (( [[ {{ $1 \1 .* ' '' \' %s {{ ref('x') }} -- ; drop table x")],
        "50 MB line": [paragraph(LINE)],
        "50 MB of words": [paragraph("word, " * 8_000_000)],
        "many blocks": [paragraph(f"Line {number}.") for number in range(20_000)],
        "many lines": [paragraph("\n".join(["Subscribe"] * 20_000))],
        "empty blocks": [block("paragraph", "Fine words here."), block("heading", ""), block("embed", "")],
    }
    registry = Registry(session_database)
    registry.add_author("ada")
    for kind in ("md", "documents"):
        folder = tmp_path_factory.mktemp(kind)
        registry.add_source("ada", str(folder))
        for name, content in files().items():
            if name.endswith(".md") == (kind == "md"):
                (folder / name).write_bytes(content)
    read_sources(settings, session_database, "ada", registry.source_configs("ada"), lambda _: None)
    group_works(session_database, "ada")
    for name, blocks in posts.items():
        add_post(session_database, "ada", name, *blocks)
    clean(settings, session_database)
    yield session_database
    empty(session_database)
    with session_database.begin() as connection:
        connection.execute(text("truncate registry.authors cascade"))


def files() -> dict[str, bytes]:
    return {
        "nul.md": b"# With a NUL\n\nThese \x00 are words of mine.\n",
        "surrogate.md": b"# Half a character\n\nThese " + b"\xed\xa0\x80 are words of mine.\n",
        "latin.md": "# Other encoding\n\nCafé words of mine.\n".encode("latin-1"),
        "empty.md": b"",
        "broken.html": b"<html><body><article><h1>Broken</h1>"
        + b"<p>Unclosed <b>words of mine, and some more of them<p>and <i>so on, and so forth" * 5
        + b"</article",
        "line.txt": b"x" * 50_000_000,
        "not.pdf": b"%PDF-1.4 nothing",
    }


def found(database: Database, key: str) -> tuple[str, ...]:
    """(text for the voice,) of a document, or (reason, detail) of a dropped one."""
    with database.begin() as connection:
        values = {"id": post_id("ada", key)}
        kept = connection.execute(text("select text_for_voice from cleaning.cleaned_documents where document_id = :id"), values).all()
        lost = connection.execute(text("select reason, detail from cleaning.dropped_documents where document_id = :id"), values).all()
    [row] = [*kept, *lost]
    return tuple(row)


def test_every_post_is_accounted_for(built: Database) -> None:
    finding = every_post_accounted_for(built, "ada")
    assert finding.passed, finding
    with built.begin() as connection:
        origins = connection.scalars(text("select origin from ingest.raw_posts where author = 'ada'")).all()
    assert {name.split("/")[-1] for name in origins} >= set(files())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty", "no_text"),
        ("blank", "no_text"),
        ("one word", "too_short"),
        ("100k words", "repetitive"),
        ("50 MB line", "too_long"),
        ("50 MB of words", "too_long"),
        ("many lines", "repetitive"),
    ],
)
def test_what_is_dropped(built: Database, name: str, reason: str) -> None:
    assert found(built, name)[0] == reason
    assert found(built, name)[1]


def test_what_is_kept_is_kept_whole(built: Database) -> None:
    assert found(built, "right to left") == ("שלום עולם, מה שלומך היום?\n\nمرحبا بالعالم، كيف حالك؟",)
    assert found(built, "CJK") == ("今日はいい天気ですね。散歩に行きましょう。",)
    assert found(built, "mixed") == (MIXED,)
    assert len(found(built, "100k different words")[0].split()) == 100_000
    assert len(found(built, "many blocks")[0].split("\n\n")) == 20_000
    assert found(built, "empty blocks") == ("Fine words here.",)
    assert found(built, "patterns")[0].endswith("drop table x")
    assert len(found(built, "combining")[0]) > 5_000


def test_files_that_are_broken(built: Database) -> None:
    with built.begin() as connection:
        rows = connection.execute(
            text(
                "select regexp_replace(origin, '.*/', '') as file, coalesce(c.text_for_voice, d.reason) from ingest.raw_posts "
                "left join cleaning.cleaned_documents c on c.document_id = id left join cleaning.dropped_documents d on d.document_id = id "
                "where source <> 'blog'"
            )
        ).all()
    outcomes = {row[0]: row[1] for row in rows}
    assert "Unclosed words of mine, and some more of them" in outcomes.pop("broken.html")
    assert outcomes.pop("line.txt") in ("unreadable", "too_long", "repetitive")
    assert outcomes == {
        "nul.md": "unreadable",
        "latin.md": "unreadable",
        "surrogate.md": "unreadable",
        "empty.md": "empty",
        "not.pdf": "unreadable",
    }
