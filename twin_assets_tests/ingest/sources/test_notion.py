import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import open_files
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.sources.notion import NotionExport, from_files
from twin_assets.ingest.web import Web
from twin_assets_tests.ingest.inputs import read

ID = "0123456789abcdef0123456789abcde"
HTML = f"""<html><head><title>After</title></head><body><article id="x" class="page sans"><header>
<h1 class="page-title">After the rain</h1><p class="page-description"></p><table class="properties"><tbody>
<tr class="property-row property-row-created_time"><th><span class="icon property-icon"></span>Created</th>
<td><time>@March 4, 2021 10:15 PM</time></td></tr>
<tr class="property-row property-row-person"><th>Author</th><td><span class="user">Jane Doe</span></td></tr>
<tr class="property-row property-row-status"><th>Status</th><td><span>Published</span></td></tr></tbody></table></header>
<div class="page-body"><nav class="table_of_contents">After</nav><p>It rained.</p><blockquote>Said she.</blockquote>
<pre class="code"><code class="language-python">x = 1</code></pre><figure class="link-to-page"><a href="x {ID}0.html">Child</a></figure>
<figure class="image"><img alt="Untitled" src="After/Untitled.png"/></figure>
<div class="collection-content"><table><tr><td>a</td><td>b</td></tr></table></div>
<ul class="to-do-list"><li><div class="checkbox checkbox-on"></div><span>done</span></li></ul></div></article></body></html>"""

MEMBERS: dict[str, str | bytes] = {
    f"Notes {ID}0.md": f"# Notes\n\nThe first words.\n\n[After](Notes%20{ID}0/After%20{ID}1.md)\n\n[Log](Notes/Log%20{ID}9.csv)\n",
    f"Notes {ID}0/After {ID}1.md": "# After\n\nNote: this is a sentence, not a property.\n\n![Untitled](After/Untitled.png)\n\nMore words.",
    f"Notes {ID}0/Log {ID}9.csv": "Name,Tags\n",
    f"Notes {ID}0/Log {ID}9_all.csv": "Name,Tags\n",
    f"Notes {ID}0/Log {ID}9/Day {ID}2.md": (
        "# Day\n\nAuthor: Jane Doe\nCreated: March 4, 2021 10:15 PM\nLast edited time: March 5, 2021\nMood: fine\n\nIt rained: all day."
    ),
    f"Notes {ID}0/Log {ID}9/Odd {ID}3.md": "# Odd\n\nMood: fine\n\nWords below it.",
    f"Notes {ID}0/Log {ID}9/Idea {ID}4.md": "# Idea\n\nStatus: Not started\n\nSome words.",
    f"Notes {ID}0/Log {ID}9/Guest {ID}5.md": "# Guest\n\nCreated by: Max Roe\n\nHis words.",
    f"Notes {ID}0/Log {ID}9/Mine {ID}6.md": "# Mine\n\nCreated by: Jane Doe\nPublished: Yes\nDate: 2021/03/04 10:15 (UTC) → 2021/03/05\n\nMy words.",
    f"Notes {ID}0/After/Untitled.png": b"x",
    f"Notes {ID}0/letter.pdf": b"private",
    f"Empty {ID}7.md": "# Empty\n",
    f"Binary {ID}8.md": b"\x00\x01",
}


def zipped(members: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def placed(folder: Path, kind: str, members: dict[str, str | bytes]) -> Path:
    if kind == "folder":
        for name, content in members.items():
            (folder / "x" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "x" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / "x"
    inside = zipped(members)
    if kind == "parts":
        names = sorted(members)
        halves = [{name: members[name] for name in part} for part in (names[:5], names[5:])]
        inside = zipped({f"Export-7c-Part-{n}.zip": zipped(half) for n, half in enumerate(halves, 1)})
    (folder / "x.zip").write_bytes(inside)
    return folder / "x.zip"


@pytest.mark.parametrize("kind", ["folder", "zip", "parts"])
def test_an_export(tmp_path: Path, kind: str) -> None:
    files = open_files(placed(tmp_path, kind, MEMBERS))
    source = from_files(files)
    assert isinstance(source, NotionExport)
    posts = {post.origin.rpartition("/")[2].split(f" {ID}")[0] + post.origin[-4:]: post for post in collect(source)}
    states = {name: post.state for name, post in posts.items() if not name.endswith((".zip", ".csv"))}
    assert states == {
        "Notes.md".replace(".md", "0.md"): "kept",
        "After1.md": "kept",
        "Day2.md": "kept",
        "Odd3.md": "kept",
        "Idea4.md": "draft",
        "Guest5.md": "foreign",
        "Mine6.md": "kept",
        "Untitled.png.png": "empty",
        "letter.pdf.pdf": "empty",
        "Empty7.md": "empty",
        "Binary8.md": "unreadable",
    }
    assert all(post.reason for post in posts.values() if post.state != "kept")
    assert len(list(collect(source))) == len(MEMBERS) + (2 if kind == "parts" else 0)
    assert posts["After1.md"].key == f"notion:{ID}1"
    assert posts["Binary8.md"].key == f"notion:{ID}8"
    assert posts["Notes0.md"].title == "Notes"
    assert [block.text for block in posts["Notes0.md"].blocks] == ["The first words."]
    assert [block.text for block in posts["After1.md"].blocks] == ["Note: this is a sentence, not a property.", "More words."]
    day = posts["Day2.md"]
    assert [block.text for block in day.blocks] == ["It rained: all day."]
    assert (day.bylines, str(day.published_at), str(day.edited_at)) == (
        ("Jane Doe",),
        "2021-03-04 22:15:00+00:00",
        "2021-03-05 00:00:00+00:00",
    )
    assert [block.text for block in posts["Odd3.md"].blocks] == ["Words below it."]
    assert str(posts["Mine6.md"].published_at) == "2021-03-04 10:15:00+00:00"
    assert not any(name.endswith((".csv", ".pdf", ".png")) for name in source.files.opened)


def test_an_export_in_html(tmp_path: Path) -> None:
    post = read(placed(tmp_path, "zip", {f"After {ID}1.html": HTML, "index.html": "<a href=x>After</a>"}))[f"After {ID}1.html"]
    assert (post.key, post.title, post.bylines, post.state) == (f"notion:{ID}1", "After the rain", ("Jane Doe",), "kept")
    assert str(post.published_at) == "2021-03-04 22:15:00+00:00"
    assert [(block.type, block.text) for block in post.blocks] == [
        ("paragraph", "It rained."),
        ("quote", "Said she."),
        ("code", "x = 1"),
        ("list", "- done"),
    ]


def test_the_same_page_has_one_key_in_both_formats(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    keys = [
        {post.key for post in read(placed(tmp_path / "a", "zip", {f"Sub/After {ID}1.html": HTML})).values()},
        {post.key for post in read(placed(tmp_path / "b", "folder", {f"After {ID}1.md": "# After\n\nx"})).values()},
    ]
    assert keys[0] == keys[1]


def test_a_page_is_the_same_in_another_export(tmp_path: Path) -> None:
    (post,) = read(placed(tmp_path, "folder", {f"After {ID}1.md": "# After\n\nx"})).values()
    assert post.known_everywhere


def test_one_page(tmp_path: Path) -> None:
    (tmp_path / f"After {ID}1.md").write_text("# After\n\nTags: a\n\nIt rained.")
    post = read(tmp_path / f"After {ID}1.md")[f"After {ID}1.md"]
    assert (post.title, [block.text for block in post.blocks]) == ("After", ["It rained."])


def test_other_folders_are_not_taken_for_an_export(tmp_path: Path) -> None:
    path = placed(tmp_path, "folder", {"a.md": "x", "b.md": "y", f"c {ID}1.md": "z"})
    assert from_files(open_files(path)) is None


def test_a_part_that_is_broken_is_not_an_empty_one(tmp_path: Path) -> None:
    whole = zipped({f"a {ID}1.md": "# A\n\nWords."})
    (tmp_path / "x.zip").write_bytes(zipped({"Export-1-Part-1.zip": whole, "Export-1-Part-2.zip": whole[:40]}))
    with pytest.raises(SourceError, match="Part-2"):
        open_source(str(tmp_path / "x.zip"), Web())


def test_a_bomb_in_a_part(tmp_path: Path) -> None:
    part = zipped({f"bomb {ID}1.md": b"\x00" * (20 * 2**20), f"a {ID}2.md": "# A\n\nWords."})
    (tmp_path / "x.zip").write_bytes(zipped({"Export-1-Part-1.zip": part}))
    posts = read(tmp_path / "x.zip")
    assert {post.key[-1]: post.state for post in posts.values() if post.key.startswith("notion:0")} == {"1": "unreadable", "2": "kept"}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(), st.text(alphabet="#: ab\n[](!)|→<>*-").map(str.encode)), st.sampled_from(["md", "html"]))
def test_any_page_is_read_or_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    name = f"a {ID}1.{suffix}"
    (tmp_path / name).write_bytes(content)
    (post,) = read(tmp_path / name).values()
    assert post.state in ("kept", "empty", "unreadable", "draft")
    (tmp_path / name).unlink()
