import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from twin_assets.cleaning.documents import Document
from twin_assets.features import external
from twin_assets.features.external import (
    ExternalError,
    ExternalPassage,
    markdown,
    read_file,
    read_link,
    read_path,
    search_with,
    word_scores,
)
from twin_assets.features.search import Passage
from twin_assets.ingest.errors import FetchError
from twin_assets.ingest.posts import Block
from twin_assets.models import Embedder
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets_tests.ingest.site import Answer, Site, serve

PAGE = b"""<html><head><title>On brine</title></head><body><article><h1>On brine</h1>
<p>Brine keeps a cucumber crisp for a whole year when it is salty enough.</p><h2>Salt</h2><p>Five parts of a hundred are enough.</p>
</article></body></html>"""
MARKDOWN = b"# On vessels\n\nStoneware crocks keep the temperature steady.\n\n```python\nsize = 3\n```\n\n> Glass is for cowards.\n"
SCRIPTED = b"<html><body><div id='root'></div><script src='app.js'></script></body></html>"
WALL = b"<html><head><title>Just a moment...</title></head><body><p>Checking your browser before accessing the site.</p></body></html>"


@pytest.fixture
def site() -> Iterator[Site]:
    routes = {
        "/brine": Answer(PAGE),
        "/moved": Answer(status=302, headers={"Location": "/brine"}),
        "/vessels.md": Answer(MARKDOWN, "text/plain; charset=utf-8"),
        "/plain": Answer(b"Brine is water and salt.\n\nNothing else is in it.", "text/plain"),
        "/picture": Answer(b"\x89PNG\x00\x00", "image/png"),
        "/empty": Answer(b"<html><body></body></html>"),
        "/app": Answer(SCRIPTED),
        "/wall": Answer(WALL),
        "/private": Answer(PAGE),
        "/huge": Answer(b"x" * (external.MAX_BYTES + 1)),
        "/robots.txt": Answer(b"User-agent: *\nDisallow: /private\n", "text/plain"),
    }
    with serve(routes) as site:
        yield site


# -- reading


def test_a_page_becomes_a_document_in_markdown(site: Site, settings: Settings) -> None:
    found = read_link(f"{site.url}/brine", settings)
    assert (found.title, found.url, found.author, found.platform) == ("On brine", f"{site.url}/brine", "", "external")
    assert found.text_for_rag.startswith("Brine keeps a cucumber crisp")
    assert "\n\n## Salt\n\nFive parts" in found.text_for_rag
    assert found.text_for_voice == ""
    assert read_link(f"{site.url}/brine", settings).id == found.id
    assert read_link(f"{site.url}/moved", settings).text_for_rag == found.text_for_rag


def test_a_file_on_the_web_is_read_by_what_it_is(site: Site, settings: Settings) -> None:
    vessels = read_link(f"{site.url}/vessels.md", settings)
    assert (vessels.title, vessels.url) == ("On vessels", f"{site.url}/vessels.md")
    assert "```python\nsize = 3\n```" in vessels.text_for_rag
    assert "Nothing else is in it." in read_link(f"{site.url}/plain", settings).text_for_rag


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/picture", "no text but image/png"),
        ("/empty", "holds no text"),
        ("/app", "A script builds"),
        ("/wall", "Just a moment"),
        ("/private", r"robots\.txt"),
        ("/huge", "larger than 10 MB"),
        ("/nowhere", "404"),
    ],
)
def test_a_link_that_cannot_be_used_says_why(site: Site, settings: Settings, path: str, said: str) -> None:
    with pytest.raises(ExternalError, match=said):
        read_link(f"{site.url}{path}", settings)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "ftp://example.org/", "http://[", "http://no.such.host.invalid/", "file:///etc/passwd"]
)
def test_what_is_no_web_address_is_an_error(settings: Settings, url: str) -> None:
    with pytest.raises(ExternalError, match="cannot be used"):
        read_link(url, settings)


def test_a_hosted_twin_reads_public_addresses_alone(site: Site, settings: Settings) -> None:
    hosted = settings.model_copy(update={"private_links": False})
    for url in (
        f"{site.url}/brine",
        site.url.replace("127.0.0.1", "localhost") + "/brine",
        "http://169.254.169.254/latest/",
        "http://[::1]/",
    ):
        with pytest.raises(ExternalError, match="not a public web address"):
            read_link(url, hosted)
    assert not site.requests


async def _answer_as_public(host: str, port: int) -> str:
    return "127.0.0.1"


def test_the_address_that_was_looked_at_is_the_one_that_is_asked(site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "_public_address", _answer_as_public)
    hosted = settings.model_copy(update={"private_links": False})
    named = site.url.replace("127.0.0.1", "pickles.example") + "/brine"
    assert read_link(named, hosted).title == "On brine"
    assert {headers["host"] for headers in site.headers} == {httpx.URL(named).netloc.decode()}


@pytest.mark.parametrize(
    ("address", "public"),
    [("8.8.8.8", True), ("10.0.0.1", False), ("::1", False), ("::ffff:127.0.0.1", False), ("224.0.0.1", False), ("100.64.0.1", False)],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert external._is_public(address) is public


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("2606:4700::1111", True),
        ("64:ff9b::8.8.8.8", True),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
        ("::127.0.0.1", False),
        ("fec0::1", False),
    ],
)
def test_addresses_that_lead_to_others_are_what_they_lead_to(address: str, public: bool) -> None:
    assert external._is_public(address) is public


def test_a_name_without_an_address_is_an_error() -> None:
    import asyncio

    with pytest.raises(FetchError, match="has no address"):
        asyncio.run(external._public_address("no.such.host.invalid", 80))


def docx(paragraph: str) -> bytes:
    kinds = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
    )
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = f'<w:document xmlns:w="{word}"><w:body><w:p><w:r><w:t>{paragraph}</w:t></w:r></w:p></w:body></w:document>'
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>'
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in (("[Content_Types].xml", kinds), ("_rels/.rels", relations), ("word/document.xml", body)):
            archive.writestr(name, part)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("brine.md", b"Brine is water and salt."),
        ("brine.txt", b"Brine is water and salt."),
        ("brine.html", PAGE.replace(b"Brine keeps", b"Brine is water and salt. Brine keeps")),
        ("brine.DOCX", docx("Brine is water and salt.")),
        ("../../etc/brine.md", b"Brine is water and salt."),
        (r"C:\Users\ada\brine.md", b"Brine is water and salt."),
    ],
)
def test_files_are_read_by_their_kind(name: str, content: bytes) -> None:
    assert read_file(name, content).text_for_rag.startswith("Brine is water and salt.")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("brine.exe", b"MZ", "no kind of file"),
        ("brine.zip", b"PK", "no kind of file"),
        ("", b"text", "A file without a name"),
        ("brine.pdf", b"no pdf", "no PDF"),
        ("brine.docx", b"no docx", "cannot be read"),
        ("brine.md", b"\xff\xfe\x00\xd8", "cannot be read"),
        ("brine.md", b"---\na: [\n---\ntext", "cannot be read"),
        ("brine.md", b"", "holds no text"),
        ("brine.txt", b"a\x00b", "binary"),
        ("brine.md", b"x" * (external.MAX_BYTES + 1), "larger than 10 MB"),
        ("brine.md", b"salt " * 100_000, "500,000 characters|499,999 characters"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(name: str, content: bytes, said: str) -> None:
    with pytest.raises(ExternalError, match=said):
        read_file(name, content)


@given(st.binary(max_size=300), st.sampled_from([".md", ".txt", ".html", ".docx", ".org"]))
def test_any_bytes_are_a_document_or_a_typed_error(content: bytes, suffix: str) -> None:
    try:
        assert read_file(f"any{suffix}", content).text_for_rag.strip()
    except ExternalError as error:
        assert str(error)


def test_a_path_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "brine.md").write_text("Brine is water and salt.")
    assert read_path(tmp_path / "brine.md").text_for_rag == "Brine is water and salt."
    for missing in (tmp_path, tmp_path / "none.md"):
        with pytest.raises(ExternalError):
            read_path(missing)


def test_blocks_are_written_as_cleaning_writes_them() -> None:
    blocks = [
        Block("heading", "Salt", level=3),
        Block("paragraph", "\U0001d5e6\U0001d5ee\U0001d5f9\U0001d601 is e\u0301toile."),
        Block("quote", "One\nTwo"),
        Block("code", "```\nfence\n```", language="md"),
        Block("code", "x = 1", language="python"),
        Block("embed", "https://example.org/video"),
        Block("list", "- a\n- b"),
        Block("paragraph", "  "),
    ]
    assert markdown(blocks).split("\n\n") == [
        "## Salt",
        "Salt is étoile.",
        "> One\n> Two",
        "````md\n```\nfence\n```\n````",
        "```python\nx = 1\n```",
        "- a\n- b",
    ]


# -- searching


class Letters(Embedder):
    """Embeds a text as how often it has each letter: alike words, alike vectors."""

    def __init__(self) -> None:
        self.name = "letters"
        self.encoded = 0

    @property
    def max_tokens(self) -> int:
        return 64

    @property
    def dimension(self) -> int:
        return 26

    def encode(self, texts: object, batch_size: int = 32) -> np.ndarray:
        rows = np.array([[value.lower().count(chr(97 + n)) + 1e-6 for n in range(26)] for value in texts], dtype=np.float32)  # pyright: ignore
        self.encoded += len(rows)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def own(number: int, text: str, similarity: float | None = 0.5) -> Passage:
    key = UUID(int=number)
    return Passage(key, key, 0, None, None, None, "post", "blog", (), 0, len(text), text, 0.1, similarity, 0.2)


def given_file(text: str, name: str = "given.md") -> Document:
    return read_file(name, text.encode())


TRAIN = own(1, "The night train to Vienna leaves at nine.")
SALT = own(2, "Salt draws water out of cucumbers.", 0.9)


def test_own_and_given_compete_in_one_ranking() -> None:
    brine = given_file("# Brine\n\nA brine of salt keeps cucumbers crisp.\n")
    found = search_with([SALT, TRAIN], [brine], Letters(), "salt cucumbers", limit=3)
    assert {type(passage) for passage in found[:2]} == {Passage, ExternalPassage}
    assert found[2].chunk_id == TRAIN.chunk_id
    given_one = next(passage for passage in found if isinstance(passage, ExternalPassage))
    assert (given_one.title, given_one.platform, given_one.document_id) == ("Brine", "external", brine.id)
    assert given_one.text == brine.text_for_rag[given_one.starts : given_one.ends]
    assert [passage.score for passage in found] == sorted((passage.score for passage in found), reverse=True)
    assert found == search_with([SALT, TRAIN], [brine], Letters(), "salt cucumbers", limit=3)


def test_what_was_given_is_always_there() -> None:
    off_topic = given_file("Quarterly zeppelin maintenance.")
    better = [own(number, "Salt draws water out of cucumbers.", 0.99) for number in range(1, 9)]
    found = search_with(better, [off_topic], Letters(), "salt cucumbers", limit=3)
    assert [isinstance(passage, ExternalPassage) for passage in found] == [False, False, True]
    (only,) = search_with(better, [off_topic], Letters(), "salt cucumbers", limit=1)
    assert isinstance(only, ExternalPassage)


def test_the_best_of_each_that_was_given_is_there() -> None:
    rich = given_file("\n\n".join(f"## Salt {n}\n\nSalt draws water out of cucumbers, {n} times." for n in range(6)), "rich.md")
    poor = given_file("Quarterly zeppelin maintenance.", "poor.md")
    found = search_with([SALT], [rich, poor], Letters(), "salt cucumbers", limit=3)
    assert {rich.id, poor.id} <= {passage.document_id for passage in found}
    assert len(found) == 3


def test_without_anything_given_the_own_passages_stay_as_they_are() -> None:
    embedder = Letters()
    assert search_with([SALT, TRAIN], [], embedder, "salt", limit=1) == [SALT]
    assert search_with([SALT], [given_file("Brine.")], embedder, "salt", limit=0) == []
    assert search_with([], [given_file("Brine is salt.")], embedder, "salt", limit=2)[0].text == "Brine is salt."
    assert embedder.encoded == 2


def test_a_long_text_is_embedded_where_the_words_of_the_query_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "MAX_CHUNKS", 3)
    sections = [f"## Part {number}\n\n{'Filler sentence about trains and timetables. ' * 6}" for number in range(20)]
    sections[13] += "A zeppelin crosses the harbour."
    embedder = Letters()
    found = search_with([], [given_file("\n\n".join(sections))], embedder, "zeppelin", limit=1)
    assert "zeppelin" in found[0].text
    assert embedder.encoded == 1 + 3


def test_words_are_ranked_by_bm25() -> None:
    texts = ["salt and water", "salt " * 3 + "in a long text about many other things that nobody asked for", "trains", "rare zeppelin"]
    scores = word_scores("zeppelin salt", texts)
    assert scores[2] == 0.0
    assert scores[3] > scores[0] > 0
    assert word_scores("", texts) == [0.0] * 4
    assert word_scores("salt", []) == []


@given(st.text(max_size=300))
def test_any_query_is_a_query(query: str) -> None:
    found = search_with([SALT, TRAIN], [given_file("Brine is water and salt.")], Letters(), query, limit=3)
    assert len(found) == 3


def test_nothing_of_it_is_kept(database: Database, site: Site, settings: Settings, minilm: Embedder) -> None:
    def rows() -> dict[str, int]:
        with database.begin() as connection:
            named = connection.execute(text("select schemaname, tablename from pg_tables where schemaname in ('ingest', 'features')")).all()
            return {name: connection.scalar(text(f"select count(*) from {schema}.{name}")) or 0 for schema, name in named}

    before = rows()
    found = search_with([], [read_link(f"{site.url}/brine", settings)], minilm, "how salty is brine?", limit=2)
    assert found[0].similarity is not None and found[0].similarity > 0.4
    assert rows() == before
