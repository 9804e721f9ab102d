"""What a person is shown of the cleaning: every mark in its place, nothing private, and nothing that a hostile text could do with it."""

import time
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from io import StringIO
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sqlalchemy import text

from twin_assets.cleaning import project
from twin_assets.cleaning.annotations import sync_annotations
from twin_assets.cleaning.review import (
    Block,
    Dropped,
    Piece,
    Removal,
    Review,
    Reviewed,
    Words,
    marked,
    read_document,
    read_ranked,
    read_review,
    with_placeholders,
)
from twin_assets.cleaning.review_page import KIND, document_to_html, publish, removed_table, to_html
from twin_assets.cleaning.review_terminal import document_in_full, overview, visible
from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Registry
from twin_assets_tests.cleaning.posts import DAY, add_post, paragraph, post_id

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>|`![x](https://evil.example/a.png)\x1b[2J\u202e&amp;"


def prose(block_text: str, voice_text: str, rag_text: str | None = None, interface_lines: int = 0) -> list[Piece]:
    return marked("paragraph", block_text, voice_text, block_text if rag_text is None else rag_text, interface_lines, False)


def lanes(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    return [(piece.lane, piece.text) for piece in pieces]


# -- marks


def test_what_is_in_both_texts_is_one_piece() -> None:
    assert prose("One.\n\n  Two — “three”.", "One.\n\n  Two — “three”.") == [Piece("One.\n\n  Two — “three”.")]


@pytest.mark.parametrize(
    ("line", "spoken", "url"),
    [
        ("See https://example.org/a, or not.", "See [link], or not.", "https://example.org/a"),
        ("The address: https://example.org.", "The address: [link].", "https://example.org"),
        ("As shown (https://example.org/a_(b)) (here).", "As shown ([link]) (here).", "https://example.org/a_(b)"),
        ("https://example.org/see tells how", "[link] tells how", "https://example.org/see"),
        ("- `www.example.org` is mine", "- [link] is mine", "`www.example.org`"),
    ],
)
def test_a_url_is_marked(line: str, spoken: str, url: str) -> None:
    pieces = prose(line, spoken)
    assert [piece.text for piece in pieces if piece.lane == "search"] == [url]
    assert {piece.reason for piece in pieces if piece.lane == "search"} == {"url"}
    assert "".join(piece.text for piece in pieces) == line


def test_a_line_that_was_only_a_url_goes_whole() -> None:
    found = prose("See:\n- https://example.org/see-this\nsee www.example.org\nThe end.", "See:\nsee [link]\nThe end.")
    assert lanes(found) == [
        ("both", "See:\n"),
        ("search", "- https://example.org/see-this\n"),
        ("both", "see "),
        ("search", "www.example.org"),
        ("both", "\nThe end."),
    ]


def test_lines_of_the_page_are_told_from_the_authors() -> None:
    block = "The end.\nShare this post\n\nhttps://example.org\nSubscribe"
    found = prose(block, "The end.\n", "The end.\n\nhttps://example.org", 2)
    assert [(piece.lane, piece.reason, piece.text) for piece in found] == [
        ("both", "", "The end.\n"),
        ("none", "interface_line", "Share this post\n"),
        ("both", "", "\n"),
        ("search", "url", "https://example.org\n"),
        ("none", "interface_line", "Subscribe"),
    ]


def test_bold_letters_that_search_reads_plain_are_still_the_same_line() -> None:
    assert lanes(prose("𝗕𝗼𝗹𝗱 cafe\u0301\nCopy link", "𝗕𝗼𝗹𝗱 cafe\u0301", "Bold caf\u00e9", 1)) == [
        ("both", "𝗕𝗼𝗹𝗱 cafe\u0301\n"),
        ("none", "Copy link"),
    ]


@pytest.mark.parametrize(
    ("kind", "block", "rag"),
    [
        ("heading", "Why\nSubscribe", "## Why"),
        ("quote", "first\nSubscribe\n> second", "> first\n> > second"),
        ("table", "| a |\nSubscribe", "| a |"),
    ],
)
def test_what_is_no_prose_is_only_searched_and_loses_the_pages_lines_too(kind: str, block: str, rag: str) -> None:
    found = marked(kind, block, "", rag, 1, False)
    assert "".join(piece.text for piece in found) == block
    assert [piece.text.strip() for piece in found if piece.lane == "none"] == ["Subscribe"]
    assert {piece.reason for piece in found if piece.lane != "none"} == {"not_prose"}


def test_repeated_blocks_and_embeds_are_gone() -> None:
    assert marked("paragraph", "Follow me!", "Follow me!", "Follow me!", 0, True) == [Piece("Follow me!", "none", "repeated")]
    assert marked("embed", "a video", "", "", 0, False) == [Piece("a video", "none", "embed")]
    assert prose("Subscribe", "", "", 1) == [Piece("Subscribe", "none", "interface_line")]


def test_texts_that_do_not_go_together_are_both_shown() -> None:
    assert prose("One thing.", "Another thing.") == [Piece("One thing.", "none", "changed"), Piece("Another thing.")]
    assert prose("One.\nTwo.\nThree.", "One.", "One.\nFour.", 1)[0].reason == "changed"


plain = st.text(st.characters(codec="utf-8", exclude_characters="\n:w"), max_size=12)
url = st.from_regex(r"https?://[a-z]{1,8}\.[a-z]{2}(/[a-z,._-]{0,9}[a-z])?", fullmatch=True)
line_of_parts = st.lists(st.one_of(plain.map(lambda part: (part, True)), url.map(lambda part: (f" {part}", False))), max_size=6)


@given(st.lists(line_of_parts, max_size=5))
def test_the_pieces_are_the_block_and_those_of_the_voice_its_text(parts: list[list[tuple[str, bool]]]) -> None:
    block = "\n".join("".join(part for part, _ in line) for line in parts)
    spoken = ["".join(part for part, kept in line if kept) for line in parts]
    voice = "\n".join(line for line, said in zip(spoken, parts, strict=True) if line.strip() or not any(not kept for _, kept in said))
    pieces = prose(block, voice)
    if any(piece.reason == "changed" for piece in pieces):  # a word of a slug that the text says as well, once in a while
        assert pieces[0].text == block and "".join(piece.text for piece in pieces[1:]) == voice
        return
    assert "".join(piece.text for piece in pieces) == block
    assert all("://" in piece.text or not piece.text.strip() for piece in pieces if piece.lane == "search")


@given(
    st.text(),
    st.text(),
    st.text(),
    st.integers(0, 5),
    st.sampled_from(["paragraph", "list", "heading", "quote", "code", "caption", "embed"]),
)
def test_whatever_the_texts_are_the_block_is_shown(block: str, voice: str, rag: str, interface_lines: int, kind: str) -> None:
    pieces = marked(kind, block, voice, rag, interface_lines, False)
    shown = "".join(piece.text for piece in pieces)
    assert shown == block or (pieces[0] == Piece(block, "none", "changed"))


def test_a_hundred_thousand_words_take_no_time() -> None:
    words = "so it goes, and https://example.org/so/it/goes, and "
    for block in (words * 15_000, (words + "\n") * 15_000, "https://a.b " * 60_000, "a" * 1_000_000 + " https://a.b " + "a" * 1_000_000):
        spoken = block.replace(" https://example.org/so/it/goes", "").replace(" https://a.b", "")
        began = time.process_time()
        pieces = prose(block, spoken)
        assert time.process_time() - began < 5
        assert pieces[0].reason == "changed" or "".join(piece.text for piece in pieces) == block


def test_placeholders_are_pieces_of_their_own() -> None:
    pieces = with_placeholders(
        [Piece("Ask [email 1] or [email 12], [email 2]."), Piece("key = [secret 1]", "search", "not_prose")],
        {"[email 1]", "[email 12]", "[secret 1]"},
    )
    assert [(piece.text, piece.masked) for piece in pieces] == [
        ("Ask ", ""),
        ("[email 1]", "email"),
        (" or ", ""),
        ("[email 12]", "email"),
        (", [email 2].", ""),
        ("key = ", ""),
        ("[secret 1]", "secret"),
    ]


# -- what is shown


def reviewed(*blocks: Block, title: str = "Bread", url: str | None = "https://example.org/bread", reason: str = "") -> Reviewed:
    return Reviewed(post_id("ada", title), title, url, "blog", "post", DAY, reason, reason and "It is so.", Words(9, 8, 7), blocks)


def hostile_review() -> Review:
    block = Block(
        "paragraph", (Piece(HOSTILE), Piece(HOSTILE, "none", "repeated"), Piece(HOSTILE, "search", "url")), HOSTILE, HOSTILE, HOSTILE
    )
    document = reviewed(block, title=HOSTILE, url=f"javascript:{HOSTILE}", reason=HOSTILE)
    listed = Dropped(document.id, HOSTILE, None, None, HOSTILE, None, HOSTILE, HOSTILE)
    removals = (Removal(HOSTILE, 1, True),)
    return Review(1, 1, {HOSTILE: 1}, Words(3, 2, 1), removals, {HOSTILE: 1}, (document,), (document,), (document,), (listed,))


class Tags(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= set(attrs)


@pytest.mark.parametrize("page", [to_html(hostile_review(), HOSTILE), document_to_html(hostile_review().documents[0])], ids=["all", "one"])
def test_a_hostile_text_is_text_in_the_page(page: str) -> None:
    found = Tags(page)
    assert not found.tags & {"script", "img", "link", "iframe", "object", "base", "form"}
    assert not {name for name, _ in found.attributes if name.startswith("on") or name == "src"}
    assert all((value or "").startswith(("#d-", "http")) for name, value in found.attributes if name == "href")
    assert "default-src 'none'" in page
    assert "&lt;script&gt;" in page


def test_a_hostile_text_is_text_in_the_table() -> None:
    *_, row = removed_table(hostile_review().documents).splitlines()
    assert row.count("|") == 6
    assert not set(row.replace("<br>", "")) & set("<>`[]*_!\\")


def test_a_hostile_text_does_not_steer_the_terminal() -> None:
    out = StringIO()
    console = Console(file=out, width=200)
    console.print(overview(hostile_review(), HOSTILE), document_in_full(hostile_review().documents[0], plain=True))
    assert "\x1b" not in out.getvalue() and "\u202e" not in out.getvalue()
    assert visible("a\tb\nc\x9b\r\x07") == "a\tb\nc���"


def test_the_page_folds_what_is_untouched_and_says_why_the_rest_is_not() -> None:
    same = [Block("paragraph", (Piece(f"Loaf {number}."),)) for number in range(3)]
    gone = Block("paragraph", (Piece("Follow me!", "none", "repeated"),), repeated="in 6 of 7 documents of blog")
    mail = Block("paragraph", (Piece("Ask "), Piece("[email 1]", masked="email")))
    page = document_to_html(reviewed(*same, gone, mail, Block("heading", (Piece("Why", "search", "not_prose"),))))
    assert "<summary>3 blocks in both texts as they were collected</summary>" in page
    assert '<del>Follow me!</del> <small class="gone">in 6 of 7 documents of blog</small>' in page
    assert '<span class="mask" title="e-mail address">[email 1]</span>' in page
    assert '<div class="type">heading</div><div class="words" dir="auto"><span class="search">Why</span></div>' in page


def test_without_colours_the_marks_are_written() -> None:
    out = StringIO()
    block = Block("paragraph", (Piece("See"), Piece(" https://example.org", "search", "url"), Piece("\nShare", "none", "interface_line")))
    Console(file=out, width=200).print(document_in_full(reviewed(block), plain=True))
    assert "See[~ https://example.org~] (URL)" in out.getvalue()
    assert "Share-] (line of the page)" in out.getvalue()


# -- on the warehouse

PROSE = "It’s “fine” — isn't it? I keep a second line for the oven, and ask baker@b.co when it fails."
KEY = "AKIA" + "Q3EGRZ7UPLXY2M5N"
FOOTER = "I write about bread. Follow along!"


@pytest.fixture(scope="module")
def warehouse(session_database: Database, settings: Settings) -> Iterator[Database]:
    """An author of whom something of each kind was removed, and one of whom nothing was."""
    empty(session_database)
    add_post(
        session_database,
        "ada",
        "Lanes",
        {"type": "heading", "text": "Why", "level": 2},
        paragraph(PROSE),
        paragraph("See https://example.org/a, and that is all there is to see.\nSubscribe"),
        {"type": "code", "text": f"key = '{KEY}'", "language": "python"},
        {"type": "embed", "text": "a video"},
        title="Lanes",
    )
    for number in range(5):
        add_post(
            session_database,
            "ada",
            f"Loaf {number}",
            paragraph(f"Loaf {number} is good bread."),
            paragraph(FOOTER),
            url=f"https://e.org/{number}",
        )
    add_post(session_database, "ada", "draft", paragraph("Not yet."), state="draft", reason="is a draft", title=None)
    add_post(session_database, "ada", "page", paragraph("Subscribe"), paragraph("Sign in"))
    add_post(session_database, "bob", "only", paragraph("Mine is here now."))
    for author in ("ada", "bob"):
        sync_annotations(session_database, author, ())
    project.run_dbt(settings, ["run"], session_database.url)
    yield session_database
    empty(session_database)


def empty(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(text("truncate ingest.raw_posts cascade"))
        names = connection.scalars(text("select format('cleaning.%I', tablename) from pg_tables where schemaname = 'cleaning'")).all()
        connection.execute(text(f"truncate {', '.join(names)} cascade"))


def test_the_review_counts_all_and_shows_what_lost_most(warehouse: Database) -> None:
    found = read_review(warehouse, "ada")
    assert (found.kept, found.touched, found.dropped) == (6, 6, {"draft": 1, "no_text": 1})
    assert {removal.what: removal.times for removal in found.removals} == {
        "repeated passages": 5,
        "lines of the platform's page": 1,
        "embeds": 1,
        "paragraphs and lists with URLs": 1,
        "headings": 1,
        "code blocks": 1,
    }
    assert found.masked == {"email": 1, "secret": 1}
    assert found.documents[0].name == "Lanes"
    assert found.documents[1].removed() == {(FOOTER, "in 5 of 5 documents of e.org"): 1}
    assert found.words.collected - found.words.search == 5 * len(FOOTER.split()) + len(["Subscribe", "a", "video"])
    assert [(document.name, document.reason) for document in found.listed] == [("draft", "draft"), ("page", "no_text")]
    assert [document.removed() for document in found.dropped_texts] == [
        {("Subscribe", "line of the page"): 1, ("Sign in", "line of the page"): 1}
    ]
    assert read_ranked(warehouse, "ada", 2) == found.documents[:2]


def test_one_document_is_shown_in_full_and_private_things_are_not(warehouse: Database, settings: Settings) -> None:
    document = read_document(warehouse, "ada", "lanes")
    heading, own, with_url, code, embed = document.blocks
    assert [piece.lane for piece in heading.pieces] == ["search"]
    assert [(piece.text, piece.masked) for piece in own.pieces if piece.masked] == [("[email 1]", "email")]
    assert [(piece.lane, piece.text) for piece in with_url.pieces] == [
        ("both", "See "),
        ("search", "https://example.org/a"),
        ("both", ", and that is all there is to see.\n"),
        ("none", "Subscribe"),
    ]
    assert code.language == "python" and any(piece.masked == "secret" for piece in code.pieces)
    assert [piece.reason for piece in embed.pieces] == ["embed"]
    assert document.words.collected > document.words.search > document.words.voice > 20
    review = read_review(warehouse, "ada")
    for shown in (repr(review), to_html(review, "ada"), document_to_html(document), removed_table(review.documents)):
        assert "baker@" not in shown and KEY not in shown


def test_a_document_is_found_by_what_a_person_knows_of_it(warehouse: Database) -> None:
    first = post_id("ada", "Loaf 1")
    for wanted in (str(first), str(first).upper(), "https://e.org/1", "LOAF 1", "af 1"):
        assert read_document(warehouse, "ada", wanted).id == first
    with pytest.raises(TwinError, match="No document is called 'only'"):  # another author's
        read_document(warehouse, "ada", "only")
    with pytest.raises(TwinError, match="may be one of these") as several:
        read_document(warehouse, "ada", "loaf")
    assert str(first) in str(several.value) and str(several.value).count("Loaf") == 5
    dropped = read_document(warehouse, "ada", str(post_id("ada", "draft")))
    assert (dropped.reason, dropped.detail, dropped.blocks) == ("draft", "is a draft", ())


def test_long_documents_are_cut_in_a_review_and_not_by_themselves(warehouse: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twin_assets.cleaning.review.LONGEST_SHOWN", 10)
    document = read_review(warehouse, "ada").documents[0]
    heading, own = document.blocks
    assert (heading.unshown, document.unshown) == (0, 3)
    assert "".join(piece.text for piece in own.pieces) == PROSE[:10]
    assert own.unshown == len(PROSE.replace("baker@b.co", "[email 1]")) - 10
    page = document_to_html(document)
    assert "3 more blocks are too long" in page and f"{own.unshown} more characters" in page
    assert read_document(warehouse, "ada", "Lanes").unshown == 0


def test_the_others_are_sampled_and_long_lists_are_cut(warehouse: Database) -> None:
    found = read_review(warehouse, "ada", most=2, sample=3, dropped=0, listed=1)
    ids: set[UUID] = {document.id for document in (*found.documents, *found.sample)}
    assert (len(found.documents), len(found.sample), len(ids)) == (2, 3, 5)
    page = to_html(found, "ada")
    assert "These are 2 of 6, and of the others 3." in page
    assert "1 more are not listed here" in page


def test_the_page_is_made_once_for_the_same_posts(warehouse: Database, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, artifacts = Registry(warehouse), ArtifactStore(str(tmp_path))
    first = publish(warehouse, registry, artifacts, "ada")
    assert "What cleaning made of ada" in artifacts.read_bytes(first.page).decode()
    assert "Lanes" in first.removed
    monkeypatch.setattr("twin_assets.cleaning.review_page.to_html", lambda *_: pytest.fail("made again"))
    assert publish(warehouse, registry, artifacts, "ada") == first
    monkeypatch.undo()
    artifacts.local(first.page).unlink()
    assert publish(warehouse, registry, artifacts, "ada") == first
    known = registry.latest_artifact("ada", KIND)
    assert known is not None and known.figures == {"kept": 6, "dropped": 2}


def test_an_author_that_was_never_cleaned_is_told_what_to_run(warehouse: Database) -> None:
    for read in (read_review, lambda database, author: read_document(database, author, "x")):
        with pytest.raises(TwinError, match="twin run nobody --to cleaned_documents"):
            read(warehouse, "nobody")


def test_before_the_first_build_the_error_says_what_to_run(warehouse: Database) -> None:
    with warehouse.begin() as connection:
        connection.execute(text("alter table cleaning.int_posts rename to set_aside"))
    try:
        with pytest.raises(TwinError, match="twin run ada --to cleaned_documents"):
            read_review(warehouse, "ada")
    finally:
        with warehouse.begin() as connection:
            connection.execute(text("alter table cleaning.set_aside rename to int_posts"))
