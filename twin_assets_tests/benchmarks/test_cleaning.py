"""What the cleaning benchmark measures with: the posts it invents and its own tests of what cleaning left."""

import json
from collections import Counter
from uuid import UUID

from benchmarks import cleaning_corpora
from benchmarks.cleaning_posts import COLUMNS, PUBLICATIONS, SMALL, SMALL_POSTS, Writer, post_id
from twin_assets.store.tables import raw_posts

WRITER = Writer()
LONG = "Nobody ever says these eight words by chance, number"


def test_posts_are_the_same_whoever_writes_them_and_fill_the_table() -> None:
    posts = [WRITER.post(number) for number in range(40)]
    assert posts == list(map(Writer().post, range(40)))
    assert posts != list(map(Writer(2).post, range(40)))
    assert all(set(post) == set(COLUMNS) for post in posts)
    needed = {column.name for column in raw_posts.columns if not column.nullable and column.server_default is None}
    assert needed <= set(COLUMNS) <= {column.name for column in raw_posts.columns}


def test_posts_are_of_all_kinds_and_lengths_and_have_real_typography() -> None:
    posts = [WRITER.post(number) for number in range(SMALL_POSTS, 1500)]
    blocks = [block for post in posts for block in json.loads(post["blocks"])]
    text = "\n".join(block["text"] for block in blocks)
    kept = [post for post in posts if post["state"] == "kept"]
    assert {post["platform"] for post in posts} == {platform for platform, *_ in PUBLICATIONS}
    assert {block["type"] for block in blocks} == {"paragraph", "heading", "list", "quote", "code", "caption", "table"}
    assert 240 < sum(post["words"] for post in kept) / len(kept) < 360
    assert all(mark in text for mark in "’“”‘—–…🚀;") and "Share this post" in text and "@example.com" in text
    assert any("\U0001d5d4" <= letter <= "\U0001d607" for letter in text)
    assert 0.05 < sum(post["state"] != "kept" or post["deleted_at"] is not None for post in posts) / len(posts) < 0.2
    assert any(post["work"] != post["id"] for post in posts) and len({post["author"] for post in posts}) == 3


def test_a_publication_repeats_its_footers_and_a_small_one_is_one_post_short_of_it() -> None:
    found = Counter(
        (post["source"], block["text"])
        for post in map(WRITER.post, range(1500))
        for block in json.loads(post["blocks"])
        if block["text"].endswith("/about")
    )
    assert len(found) == 2 * sum(kind == "article" and bool(place) for _, kind, place, _ in PUBLICATIONS) + 1
    assert [count for (source, _), count in found.items() if source == SMALL] == [3]
    assert json.loads(WRITER.small_post(99, ends_alike=True)["blocks"])[-1] == json.loads(WRITER.post(0)["blocks"])[-1]


def test_a_long_line_counts_from_four_texts_on_and_a_short_one_where_many_have_it() -> None:
    texts = [("blog", f"{LONG} {number}!\nYes, short one\nText of its own: {'x' * number}") for number in range(4)]
    texts += [("blog", "Something else.") for _ in range(10)]
    assert cleaning_corpora.repeated_lines(texts) == [("blog", f"{LONG} 0!", 4)]  # the short one is in 4 of 14
    assert len(cleaning_corpora.repeated_lines(texts[:13])) == 2
    assert cleaning_corpora.repeated_lines(texts[:3]) == []
    assert cleaning_corpora.repeated_lines([*texts[:3], ("other", LONG)]) == []
    assert cleaning_corpora.repeated_lines([("blog", f"{LONG}\n{LONG}")] * 2 + [("blog", "Well then.")] * 9) == []


def test_a_long_line_of_a_few_among_many_is_a_habit() -> None:
    texts = [("blog", LONG)] * 4
    assert len(cleaning_corpora.repeated_lines(texts + [("blog", "")] * 129)) == 1
    assert cleaning_corpora.repeated_lines(texts + [("blog", "")] * 130) == []


def test_marks_are_counted_without_those_of_addresses() -> None:
    text = "“It’s” — see https://example.org/a,b?c=1, or (www.example.org/x;y)… “https://a.b”!"
    assert cleaning_corpora.without_addresses(text) == "“It’s” — see , or ()… “”!"
    assert cleaning_corpora.marks_kept([text], "“It’s” — see, or… “”!") == (9, 9, Counter())
    there, kept, lost = cleaning_corpora.marks_kept([text], '"It\'s" - see, or...')
    assert (there, kept) == (9, 1) and lost == Counter("“”“”’—…!")


def test_paragraphs_that_run_together_are_lost() -> None:
    assert cleaning_corpora.paragraphs_kept(["One.", "Two.\n\nThree.", "https://a.b"], "One.\n\nTwo.\n\nThree.") == (3, 3)
    assert cleaning_corpora.paragraphs_kept(["One.", "Two."], "One. Two.") == (2, 0)


def test_what_is_left_of_a_document_is_its_prose_without_what_was_removed() -> None:
    blocks = [
        {"type": "heading", "text": "Why"},
        {"type": "paragraph", "text": "Mine.\nShare this post\nMine too."},
        {"type": "paragraph", "text": "Follow me."},
        {"type": "paragraph", "text": "My number is 1."},
        {"type": "list", "text": "- one"},
    ]
    document = cleaning_corpora.Document(post_id(1), ("ada", "blog"), "", "", blocks, frozenset({4}))
    document.removed[2].append("Share this post")
    document.removed[3].append("Follow me.")
    assert list(cleaning_corpora.prose_left(document)) == [(2, "Mine.\nMine too."), (5, "- one")]
    assert isinstance(document.id, UUID)


def test_removals_are_drawn_of_each_kind_in_turn_and_first_of_different_documents() -> None:
    urls = [cleaning_corpora.Removal("ada", "url", "A list", f"https://example.org/{number}", "") for number in range(50)]
    other = cleaning_corpora.Removal("ada", "url", "A post", "https://example.com", "")
    line = cleaning_corpora.Removal("ada", "interface_line", "A post", "Subscribe", "")
    lines = cleaning_corpora.sampled([*urls, other, line], 3, seed=1)
    assert [text.split(". ")[1] for text in lines if ". " in text[:4]].count("interface_line, ada: A post") == 1
    assert any("https://example.com" in text for text in lines)
    assert lines == cleaning_corpora.sampled([*urls, other, line], 3, seed=1)
    assert len(cleaning_corpora.sampled([other, line], 100, seed=1)) == 2 * 4
