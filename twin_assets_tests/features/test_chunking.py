import hashlib
import re
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twin_assets.features import chunking
from twin_assets.features.chunking import Chunk, chunk_document, embedding_text
from twin_assets.models import Embedder
from twin_assets_tests.features.documents import document

SMALL = "```python\ndef add(one, other):\n    # the sum\n    return one + other\n```"
PYTHON = """\
import jars

class Shelf:
    \"\"\"Où les bocaux 🫙 attendent.\"\"\"

    def put(self, jar):
        for place in self.places:
            if place.is_free:
                return place.take(jar)
        raise Full(jar)

    def oldest(self):
        return min(self.jars, key=lambda jar: jar.closed_on)

def label(jar):
    return f"{jar.name} {jar.closed_on:%d.%m.%Y}"
"""
FENCE_LINE = re.compile(r"\s*(`{3,}|~{3,})[^`]*")


def count_words(text: str) -> int:
    return len(text.split())


def chunks_of(text: str, kind: str = "article", tokens: int = 256, title: str | None = None, url: str | None = None) -> list[Chunk]:
    return chunk_document(replace(document(text, kind, title), url=url), count_words, tokens)


def assert_sound(text: str, chunks: list[Chunk]) -> None:
    """Verbatim, in order, and only white space and fences between them."""
    behind = 0
    for position, chunk in enumerate(chunks):
        assert chunk.position == position
        assert behind <= chunk.starts < chunk.ends
        assert chunk.text == text[chunk.starts : chunk.ends]
        assert_nothing_lost(text[behind : chunk.starts])
        behind = chunk.ends
    assert_nothing_lost(text[behind:])


def assert_nothing_lost(between: str) -> None:
    assert all(not line.strip() or FENCE_LINE.fullmatch(line) for line in between.split("\n")), between


words = st.text("abcé.!🙂'漬#`~ ", min_size=1, max_size=12)
paragraphs = st.lists(words, min_size=1, max_size=40).map(" ".join)
headings = st.builds("{} {}".format, st.sampled_from(["#", "##", "####", "#######"]), words)
code = st.builds(
    "{0}{1}\n{2}\n{0}".format,
    st.sampled_from(["```", "~~~~", "`````"]),
    st.sampled_from(["", "python", "js", "cobol", "c++ x=1"]),
    st.one_of(st.just(PYTHON), paragraphs, st.just("")),
)
lists = st.lists(paragraphs, min_size=1, max_size=5).map(lambda items: "\n".join(f"- {item}" for item in items))
quotes = paragraphs.map("> {}".format)
texts = st.lists(st.one_of(paragraphs, headings, code, lists, quotes, st.just("```"), st.just("   "))).map("\n\n".join)


@given(texts, st.sampled_from(["article", "post", "code", "note", "comment"]), st.integers(16, 90))
@example("```python\n" + PYTHON, "code", 30)
@example("~~~\n```\nx\n~~~", "article", 20)
def test_nothing_but_white_space_and_fences_is_lost(text: str, kind: str, tokens: int) -> None:
    chunks = chunks_of(text, kind, tokens, title="On pickles")
    assert_sound(text, chunks)
    assert all(count_words(embedding_text(chunk.context, chunk.text)) <= tokens for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == len(chunks)


@given(st.text(max_size=400), st.sampled_from(["article", "code"]))
def test_any_text_can_be_split(text: str, kind: str) -> None:
    chunks = chunk_document(document(text, kind), len, 40)
    assert_sound(text, chunks)
    assert all(len(embedding_text(chunk.context, chunk.text)) <= 40 for chunk in chunks)


# -- posts


def test_a_post_that_the_embedder_reads_whole_is_one_chunk() -> None:
    text = "I ate a pickle.\n\nHere is what it taught me about sales:\n\n" + "It is sour. " * 60
    chunks = chunks_of(f"\n{text}\n", "post")
    assert [chunk.text for chunk in chunks] == [text.strip()]
    assert chunks_of(text, "article")[0].text != text.strip()


def test_a_long_post_is_split() -> None:
    text = "It is sour, and that is good. " * 60
    chunks = chunks_of(text, "post")
    assert len(chunks) > 2
    assert_sound(text, chunks)


# -- articles


def test_headings_cut_and_are_the_path_of_what_is_below_them() -> None:
    text = f"# Brine\n\nIntro.\n\n## Salt\n\n{'salt ' * 60}\n\n### How much\n\n{'much ' * 60}\n\n## Time\n\n{'time ' * 60}"
    found = [(chunk.headings, chunk.text.split()[-1]) for chunk in chunks_of(text)]
    assert found == [
        (("Brine",), "salt"),
        (("Brine", "Salt", "How much"), "much"),
        (("Brine", "Time"), "time"),
    ]


def test_a_heading_stays_with_what_is_below_it() -> None:
    text = f"{'one ' * chunking.TARGET_TOKENS}\n\n## Two\n\n{'other ' * 30}"
    assert [chunk.text.split()[0] for chunk in chunks_of(text)] == ["one", "##"]


def test_short_sections_are_put_together() -> None:
    text = "\n\n".join(f"## Number {number}\n\nA short answer." for number in range(5))
    assert [chunk.text for chunk in chunks_of(text)] == [text]


def test_a_long_paragraph_is_cut_behind_sentences() -> None:
    text = "A pickle is a cucumber that had time. " * 120
    chunks = chunks_of(text)
    assert len(chunks) > 3
    assert all(chunk.text.startswith("A pickle") and chunk.text.endswith("time.") for chunk in chunks)


def test_a_short_code_block_stays_whole_with_the_prose_around_it() -> None:
    text = f"So you add them:\n\n{SMALL}\n\nAnd that is all."
    assert [chunk.text for chunk in chunks_of(text)] == [text]


def test_a_hash_in_code_is_no_heading() -> None:
    text = f"## Real\n\n```bash\n# not a heading\n{'make pickles ' * 50}\n```\n\nText."
    assert {chunk.headings[0] for chunk in chunks_of(text)} == {"Real"}


# -- code


def test_code_is_split_at_its_functions_and_knows_its_class() -> None:
    text = f"```python\n{PYTHON}```"
    chunks = chunk_document(replace(document(text, "code", "shelf.py"), url=None), count_words, 20)
    assert_sound(text, chunks)
    found = {chunk.text.split("(")[0].strip(): chunk.headings for chunk in chunks}
    assert found["def oldest"] == ("Shelf", "oldest")
    assert found["def label"] == ("label",)
    assert all("```" not in chunk.text for chunk in chunks)


def test_the_first_line_of_a_chunk_keeps_its_indentation() -> None:
    chunks = chunks_of(f"```python\n{PYTHON}```", "code", 26)
    assert any(chunk.text.startswith("    def ") for chunk in chunks)


def test_the_context_of_code_is_the_path_of_its_file_and_its_class() -> None:
    url = "https://github.com/ada/jars/blob/main/src/my%20shelf.py"
    chunks = chunks_of(f"```python\n{PYTHON}```", "code", 40, title="src/my shelf.py", url=url)
    assert chunks[-1].context == "ada/jars/src/my shelf.py\nlabel"
    assert not any("ada/jars" in chunk.text for chunk in chunks)


@pytest.mark.parametrize(
    ("language", "text", "names"),
    [
        ("c", "static int *salt(int jar, char *b)\n{\n    return 0;\n}\n", ["salt"]),
        (
            "cpp",
            "namespace jar { class Lid { int turn() const { return 1; } }; }\nint jar::Lid::open(int x) { return x; }",
            ["jar::Lid::open"],
        ),
        ("cs", "namespace Jars { public class Lid { public int Turn() { return 1; } } }", ["Jars", "Lid", "Turn"]),
        ("go", "package main\n\nfunc (l *Lid) Turn() int {\n\treturn 1\n}\n", ["Turn"]),
        ("java", "class Lid { int turn() { return 1; } }", ["Lid", "turn"]),
        ("js", "class Lid { turn() { return 1 } }\nconst open = (lid) => { return lid }", ["Lid", "turn", "open"]),
        ("jsx", "function Lid() { return <b/> }", ["Lid"]),
        ("kotlin", "class Lid {\n    fun turn(): Int {\n        return 1\n    }\n}\n", ["Lid", "turn"]),
        ("php", "<?php\nclass Lid { function turn() { return 1; } }", ["Lid", "turn"]),
        ("rb", "class Lid\n  def turn\n    1\n  end\nend", ["Lid", "turn"]),
        ("rs", "impl Turn for Lid { fn turn(&self) {} }", ["Lid", "turn"]),
        ("scala", "object Lid { def turn(by: Int): Int = { by } }", ["Lid", "turn"]),
        ("sh", "turn() {\n  echo 1\n}", ["turn"]),
        ("swift", "struct Lid {\n  func turn() { }\n}", ["Lid", "turn"]),
        ("ts", "interface Lid { by: number }\nconst open = async (lid: Lid): Promise<void> => {}", ["Lid", "open"]),
        ("tsx", "export const Lid = () => <b/>;", ["Lid"]),
    ],
)
def test_names_are_found_in_every_language_with_a_grammar(language: str, text: str, names: list[str]) -> None:
    found = [(text[starts:ends], name) for starts, ends, name in chunking._definitions(text, chunking._grammar(language))]
    assert {name for _, name in found} >= set(names)
    assert all(name.split("::")[-1] in span for span, name in found)


def test_every_grammar_is_installed() -> None:
    assert all(chunking._grammar(language) is not None for language in [*chunking.GRAMMARS, *chunking.ALIASES])
    assert chunking._grammar("cobol") is None


def test_code_without_a_grammar_is_split_at_lines() -> None:
    text = "```cobol\n" + "\n".join(f"MOVE {number} TO JAR-COUNT." for number in range(300)) + "\n```"
    chunks = chunks_of(text, "code")
    assert len(chunks) > 2
    assert all(chunk.text.startswith("MOVE") and chunk.text.endswith(".") for chunk in chunks)
    assert_sound(text, chunks)


# -- identity and context


def test_ids_change_with_the_text_and_the_context_only() -> None:
    key = uuid4()
    first, again = (chunk_document(document("A pickle.", key=key), count_words) for _ in range(2))
    assert first == again
    assert chunk_document(document("A pickle!", key=key), count_words)[0].id != first[0].id
    other = chunk_document(document("A pickle.", title="Other", key=key), count_words)[0]
    assert other.content_hash != first[0].content_hash
    assert other.text == first[0].text
    assert first[0].content_hash == hashlib.sha256(b"On pickles\n\nA pickle.").hexdigest()


def test_the_context_is_the_title_and_the_headings() -> None:
    chunk = chunks_of("# One\n\n## Two\n\nText.", title="On  \npickles")[0]
    assert chunk.context == "On pickles\nOne > Two"
    assert embedding_text("", "text") == "text"


@pytest.mark.parametrize("text", ["", " \n", "```\n```", "```python\n\n```"])
def test_what_holds_no_text_has_no_chunks_as_code(text: str) -> None:
    assert chunks_of(text, "code") == []
    assert chunks_of(text.replace("`", "").replace("python", ""), "article") == []


# -- what no author writes


@pytest.mark.parametrize(
    "text",
    [
        "🙂" * 5_000,
        "🙂 " * 5_000,
        "漬物" * 3_000,
        "x" * 20_000,
        "word " * 8_000,
        "`" * 5_000,
        "# " * 3_000,
        "```\n" * 2_001,
        "- a\n" * 3_000,
    ],
    ids=["emoji", "emoji-blanks", "no-blanks", "one-word", "no-sentence", "backticks", "hashes", "fences", "items"],
)
def test_the_embedder_reads_all_of_a_text_that_nobody_writes(minilm: Embedder, text: str) -> None:
    for kind in ("article", "post", "code"):
        chunks = chunk_document(document(text, kind), minilm.count_tokens, minilm.max_tokens)
        assert_sound(text, chunks)
        assert all(minilm.count_tokens(embedding_text(chunk.context, chunk.text)) + 2 <= minilm.max_tokens for chunk in chunks)


def test_a_long_text_is_not_counted_over_and_over() -> None:
    given = 0

    def count(text: str) -> int:
        nonlocal given
        given += len(text)
        return len(text.split())

    text = "Salt draws water out of a cucumber, and time does the rest. " * 5_000
    assert len(chunk_document(document(text), count, 256)) > 100
    assert given < 1.5 * len(text)


def test_a_paragraph_of_two_megabytes_is_split() -> None:
    text = "Salt draws water out of a cucumber, and time does the rest. " * 35_000
    chunks = chunk_document(document(text), lambda text: len(text.split()), 256)
    assert len(text) > 2_000_000
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(text.split())


@pytest.mark.parametrize(("language", "opening", "closing"), [("python", "[", "]"), ("javascript", "{", "}")])
def test_code_that_is_nested_too_deep_is_split_as_text(language: str, opening: str, closing: str) -> None:
    text = f"```{language}\n{opening * 20_000}{closing * 20_000}\n```"
    chunks = chunk_document(document(text, kind="code"), len, 256)
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == opening * 20_000 + closing * 20_000


@pytest.mark.parametrize("title", [None, "On pickles", "A title that does not know when to stop " * 30, "漬物" * 200])
def test_the_embedder_reads_every_chunk_to_its_end(minilm: Embedder, title: str | None) -> None:
    text = "\n\n".join(f"## {'漬' * 200}\n\nParagraph {n} about pneumonoultramicroscopic brine, 3.14159 jars & {SMALL}" for n in range(40))
    chunks = chunk_document(document(text, title=title), minilm.count_tokens, minilm.max_tokens)
    assert len(chunks) > 3
    assert max(minilm.count_tokens(embedding_text(chunk.context, chunk.text)) for chunk in chunks) + 2 <= minilm.max_tokens
