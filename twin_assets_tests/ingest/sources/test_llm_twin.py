import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.ingest.collect import Rules, collect
from twin_assets.ingest.files import open_files
from twin_assets.ingest.posts import Post
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.sources import llm_twin
from twin_assets.ingest.web import Web

SHARE = "Share this post\n\n#### {title}\n\nnews.example.com\n\nCopy link\n\nFacebook\n\nEmail\n\nNote\n\nOther\n\n"
BODY = "I don’t know — it’s a matter of fine-\ntuning, and **patience** , they say.\n\nThe second paragraph."


def substack(title: str = "A title that is\nwrapped", names: str = "Jane Doe", body: str = BODY, after: str = "") -> str:
    share = SHARE.format(title=title)
    return (
        f"#\n\nSubscribeSign in\n\n{share}# {title}\n\n### A subtitle\n\n{names}\n\nJul 20, 2024\n\n13\n\n{share}2\n\nShare\n\n{body}\n\n13\n\n"
        f"{share}Share\n\nPreviousNext\n\n{after}#### Discussion about this post\n\nComments\n\nRestacks\n\n"
        "| A ReaderThe Buffet Aug 31Liked by Jane DoeGreat!Expand full\ncommentReplyShare  \n---|---  \n  \n1 more comment...\n\nTop\n\nNo posts\n\n"
        "Ready for more?\n\nSubscribe\n\n© 2024 Jane Doe\n\nPrivacy ∙ Terms ∙ Collection notice\n\nStart WritingGet the app\n\n"
        "Substack is the home for great culture\n\nThis site requires JavaScript to run correctly. Please turn on JavaScript or\nunblock scripts\n\n"
    )


MEDIUM = (
    "A title | A PublicationOpen in appSign upSign inWriteSign upSign inA titleA subtitle.Jane Doe·FollowPublished inA Publication·12 min "
    "read·Mar 30, 20242.1K13ListenShareIt’s the first paragraph — really.The second one has a list:onetwo3. A headingHere is the code ↓"
    'import os    print("x")So, that was it.Sign up to discover human stories that deepen your understanding of the world.FreeRecommended '
    "from MediumJohn RoeinOther PublicationBuy my courseWritten by Jane Doe5.1K Followers·Editor\n\n\n\nTo make Medium work, we log user data."
)
PAGE = (
    "Jane Doe\n\n  * __Research\n  * __About\n\n__\n\n# A title\n\nA subtitle\n\nAuthor\n\nJane De\n\nPublished\n\nJuly 29, 2024\n\n"
    "  * menu\n\n    * entry\n\n## **Sections**\n\n  * One\n\nThe text begins.\n\n    \n    \n    x = 1__\n\n__Copyright 2023, Jane Doe\n\n"
)


def document(text: str | None, link: str = "https://news.example.com/p/a?r=1abc", author: str = "Jane Doe", **more: Any) -> dict[str, Any]:
    content = {"Title": "A title - by Jane Doe", "Subtitle": None, "Content": text, "language": "en"}
    return {"_id": "a1", "content": content, "platform": "x", "author_id": "u1", "author_full_name": author, "link": link, **more}


def posts(folder: Path, *documents: object, name: str = "ArticleDocument.json", names: tuple[str, ...] = ()) -> list[Post]:
    (folder / name).write_text(json.dumps(documents))
    source = llm_twin.from_files(open_files(folder))
    assert source is not None
    return collect(source, Rules(names))


def read(folder: Path, *documents: object) -> list[str]:
    return [block.text for block in posts(folder, *documents)[0].blocks]


def test_a_page_of_substack_comes_out_as_the_post(tmp_path: Path) -> None:
    post = posts(tmp_path, document(substack()))[0]
    assert (post.state, post.platform, post.title, post.bylines) == ("kept", "substack", "A title that is wrapped", ("Jane Doe",))
    assert str(post.published_at) == "2024-07-20 00:00:00+00:00"
    assert [block.text for block in post.blocks] == [
        "I don’t know — it’s a matter of fine-tuning, and patience, they say.",
        "The second paragraph.",
    ]


def test_tracking_is_no_part_of_the_key(tmp_path: Path) -> None:
    found = posts(tmp_path, document(substack()), document(substack(body="Other."), "https://medium.com/pub/title-0123456789ab?source=rss"))
    assert [post.key for post in found] == ["https://news.example.com/p/a", "https://medium.com/p/0123456789ab"]


def test_the_same_page_by_two_links_is_one_post(tmp_path: Path) -> None:
    found = posts(tmp_path, document(substack()), document(substack(), "https://news.example.com/p/a"))
    assert [post.state for post in found] == ["kept", "duplicate"]


@pytest.mark.parametrize(
    ("names", "state", "found"),
    [
        ("Jane Doe", "kept", ("Jane Doe",)),
        ("John Roe", "foreign", ("John Roe",)),
        ("Jane Doe\n\n,\n\nJohn Roe\n\n, and\n\nAnn Poe", "foreign", ("Jane Doe", "John Roe", "Ann Poe")),
        ("Jane Doe\n\nand\n\nJohn Roe", "foreign", ("Jane Doe", "John Roe")),
        ("Jane  Do", "kept", ("Jane Doe",)),
        ("", "kept", ("Jane Doe",)),
    ],
)
def test_the_byline_in_the_text_tells_guests(tmp_path: Path, names: str, state: str, found: tuple[str, ...]) -> None:
    post = posts(tmp_path, document(substack(names=names)), names=("Jane Doe",))[0]
    assert (post.state, post.bylines) == (state, found)


def test_each_of_two_twins_in_one_warehouse_gets_its_own(tmp_path: Path) -> None:
    both = document(substack()), document(substack(names="John Roe", body="Words of another."), "https://john.example/p/b", "John Roe")
    assert [post.state for post in posts(tmp_path, *both, names=("John Roe",))] == ["foreign", "kept"]


def test_boxes_and_cards_in_the_text_go_and_what_they_show_is_not_said_by_the_author(tmp_path: Path) -> None:
    body = (
        "Before.\n\nJane’s Letter is a reader-supported publication. To receive new posts and support my work, consider\nbecoming a "
        "paid subscriber.\n\nSubscribe\n\n#### Another post\n\nJohn Roe\n\n·\n\nJan 18"
        "\n\nRead full story\n\n**A third post**  \n _What it is\nabout_medium.com\n\nAfter."
    )
    post = posts(tmp_path, document(substack(body=body, after="| A guest post by| Li| Subscribe to Li  \n---|---  \n  \n")))[0]
    assert [(block.type, block.text) for block in post.blocks] == [
        ("paragraph", "Before."),
        ("embed", "Another post"),
        ("embed", "A third post\nWhat it is about_medium.com"),
        ("paragraph", "After."),
    ]


def test_a_teaser_is_partial(tmp_path: Path) -> None:
    post = posts(tmp_path, document(substack(body="The beginning.\n\nThis post is for paid subscribers\n\nAlready a paid subscriber?")))[0]
    assert (post.state, bool(post.reason)) == ("partial", True)


def test_a_page_of_medium_ends_before_other_peoples_cards(tmp_path: Path) -> None:
    post = posts(tmp_path, document(MEDIUM, "https://medium.com/pub/a-title-0123456789ab"))[0]
    assert (post.platform, post.bylines, str(post.published_at)) == ("medium", ("Jane Doe",), "2024-03-30 00:00:00+00:00")
    assert [(block.type, block.text) for block in post.blocks] == [
        ("paragraph", "It’s the first paragraph — really."),
        ("paragraph", "The second one has a list:onetwo3. A heading"),
        ("paragraph", "Here is the code ↓"),
        ("code", 'import os    print("x")'),
        ("paragraph", "So, that was it."),
    ]


def test_any_other_page_begins_after_its_header_and_menus(tmp_path: Path) -> None:
    post = posts(tmp_path, document(PAGE, "https://jane.example/a.html"))[0]
    assert (post.platform, post.title, post.bylines, str(post.published_at)[:10]) == ("web", "A title", ("Jane Doe",), "2024-07-29")
    assert [block.text for block in post.blocks] == ["The text begins.", "x = 1"]


def test_what_three_of_ten_posts_repeat_is_the_publications(tmp_path: Path) -> None:
    documents = [
        document(substack(body=f"Hello there!\n\nPost number {n}.\n\n### Conclusion\n\nSee you."), f"https://jane.substack.com/p/{n}")
        for n in range(6)
    ]
    elsewhere = document(substack(body="Hello there!\n\nElsewhere."), "https://other.example/p/a")
    found = posts(tmp_path, *documents, elsewhere)
    assert [block.text for block in found[0].blocks] == ["Post number 0.", "Conclusion"]
    assert [block.text for block in found[-1].blocks] == ["Hello there!", "Elsewhere."]


def test_posts_of_linkedin_and_repositories(tmp_path: Path) -> None:
    (tmp_path / "RepositoryDocument.json").write_text(json.dumps([document(None, content={"a.py": "defmain():"})]))
    found = posts(
        tmp_path, {**document(None), "content": {"text": "Own words.\n\nMore."}, "platform": "linkedin"}, name="PostDocument.json"
    )
    assert (found[0].kind, found[0].state, found[0].platform) == ("post", "kept", "linkedin")
    assert [block.text for block in found[0].blocks] == ["Own words.", "More."]
    assert (found[1].state, "repository" in found[1].reason) == ("empty", True)


def test_every_document_and_file_is_accounted_for_and_private_ones_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "UserDocument.json").write_text("private")
    (tmp_path / "PostDocument.json").write_text("{")
    broken = [5, None, document(None), {**document("x"), "content": [1]}, {**document("Words."), "link": 7, "author_full_name": {"a": 1}}]
    (tmp_path / "ArticleDocument.json").write_text(json.dumps([document(substack()), *broken]))
    files = open_files(tmp_path)
    source = llm_twin.from_files(files)
    assert source is not None
    found = collect(source)
    states = [post.state for post in found]
    assert states == ["kept", "unreadable", "unreadable", "unreadable", "unreadable", "kept", "unreadable", "empty"]
    assert all(post.reason for post in found if post.state != "kept")
    assert "UserDocument.json" not in files.opened


@pytest.mark.parametrize("content", ["[]", "{}", "[1]", '[{"content": 1}]', "not json", "[" * 100_000])
def test_other_files_of_that_name_are_not_taken(tmp_path: Path, content: str) -> None:
    (tmp_path / "PostDocument.json").write_text(content)
    assert llm_twin.from_files(open_files(tmp_path)) is None


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Content", "text", "a"]), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["content", "platform", "author_full_name", "link", "_id"]), ANY_JSON))
def test_any_document_becomes_one_post(record: dict[str, Any]) -> None:
    post = llm_twin.Document("ArticleDocument.json:1", record).post("llm_twin")
    assert post.state in ("kept", "unreadable", "partial", "empty")


LINES = st.sampled_from(
    [
        *substack().split("\n"),
        *PAGE.split("\n"),
        "Share this post",
        "Other",
        "Read full story",
        "Jan 1, 2024",
        "·",
        "    x",
        "",
        "13",
        MEDIUM,
    ]
)


@given(st.lists(LINES, max_size=60).map("\n".join))
def test_any_page_is_survived(text: str) -> None:
    for cut in (llm_twin.substack_page, llm_twin.medium_page, llm_twin.web_page):
        assert all(block.text.strip() for block in cut(text).blocks)


def test_the_handbooks_own_warehouse(test_data: Path) -> None:
    folder = test_data / "llm_handbook_raw" / "data" / "data_warehouse_raw_data"
    kept = 0
    for owner in ("Paul Iusztin", "Maxime Labonne"):
        found = [post for post in collect(open_source(str(folder), Web()), Rules((owner,))) if post.state == "kept"]
        assert {post.bylines for post in found} == {(owner,)}
        assert not any(sign in block.text for post in found for block in post.blocks for sign in ("Share this post", "JavaScript to run"))
        kept += len(found)
    assert kept == 70
