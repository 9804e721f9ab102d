from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.features.chunking import chunk_document, embedding_text
from twin_assets.models import Embedder
from twin_assets_tests.features.documents import document

CODE = "```python\ndef add(one, other):\n    # the sum\n    return one + other\n```"


def count_words(text: str) -> int:
    return len(text.split())


def squeezed(text: str) -> str:
    return "".join(text.split())


words = st.text("abcé.!🙂'", min_size=1, max_size=12)
paragraphs = st.lists(words, min_size=1, max_size=40).map(" ".join)
texts = st.lists(st.one_of(paragraphs, paragraphs.map("## {}".format), st.just(CODE), paragraphs.map("- {}".format))).map("\n\n".join)


@given(texts, st.sampled_from(["article", "post", "code"]), st.integers(12, 60))
def test_no_text_is_lost_and_every_chunk_is_verbatim(text: str, kind: str, max_tokens: int) -> None:
    chunks = chunk_document(document(text, kind), count_words, max_tokens)
    assert squeezed("".join(chunk.text for chunk in chunks)) == squeezed(text)
    assert all(chunk.text in text for chunk in chunks)
    assert all(count_words(embedding_text("On pickles", chunk.text)) <= max_tokens for chunk in chunks)
    assert [chunk.position for chunk in chunks] == list(range(len(chunks)))
    assert len({chunk.id for chunk in chunks}) == len(chunks)


def test_a_short_post_is_one_chunk() -> None:
    text = "I ate a pickle.\n\nHere is what it taught me about sales:\n\n# nothing"
    assert [chunk.text for chunk in chunk_document(document(text, "post"), count_words)] == [text]


def test_an_article_is_split_at_its_headings_and_code_stays_whole() -> None:
    text = f"## One\n\n{'word ' * 15}\n\n## Two\n\n{'other ' * 12}\n\n{CODE}\n\n{'last ' * 15}"
    found = [chunk.text for chunk in chunk_document(document(text, title=None), count_words, max_tokens=28)]
    assert any(chunk.startswith("## Two") for chunk in found)
    assert any(CODE in chunk for chunk in found)


def test_ids_change_with_the_text_and_the_title_only() -> None:
    key = uuid4()
    first, again = (chunk_document(document("A pickle.", key=key), count_words) for _ in range(2))
    assert first == again
    assert chunk_document(document("A pickle!", key=key), count_words)[0].id != first[0].id
    assert chunk_document(document("A pickle.", title="Other", key=key), count_words)[0].content_hash != first[0].content_hash


def test_an_empty_document_has_no_chunks() -> None:
    assert chunk_document(document(" \n"), count_words) == []


@pytest.mark.parametrize("title", [None, "On pickles", "A title that does not know when to stop " * 30, "漬物" * 200])
def test_the_embedder_reads_every_chunk_to_its_end(minilm: Embedder, title: str | None) -> None:
    text = "\n\n".join(f"Paragraph {number} about pneumonoultramicroscopic brine, 3.14159 jars & {CODE}" for number in range(40))
    chunks = chunk_document(document(text, title=title), minilm.count_tokens, minilm.max_tokens)
    assert len(chunks) > 3
    assert max(minilm.count_tokens(embedding_text(title, chunk.text)) for chunk in chunks) + 2 <= minilm.max_tokens
