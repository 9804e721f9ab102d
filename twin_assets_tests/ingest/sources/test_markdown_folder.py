import shutil
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest

from twin_assets.ingest.collect import collect
from twin_assets.ingest.files import open_files
from twin_assets.ingest.posts import Post
from twin_assets.ingest.sources.markdown_folder import from_files
from twin_assets_tests.ingest.inputs import write


def read(path: Path) -> dict[str, Post]:
    source = from_files(open_files(path))
    assert source is not None
    return {post.origin: post for post in collect(source)}


def git(folder: Path, *arguments: str, date: str = "2020-01-01T00:00:00Z") -> None:
    environment = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, "HOME": str(folder), "PATH": "/usr/bin:/bin:/usr/local/bin"}
    names = ["-c", "user.name=x", "-c", "user.email=x@y.example", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *names, "-C", str(folder), *arguments], check=True, capture_output=True, env=environment)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    git(
        write(tmp_path, {"notes/a.md": "One two three four five six seven.", "notes/dated.md": "---\ndate: 2015-01-01\n---\nWords."}),
        "init",
        "-q",
    )
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first", date="2019-01-01T00:00:00Z")
    (tmp_path / "notes/a.md").rename(tmp_path / "notes/b ü\n.md")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "renamed", date="2020-01-01T00:00:00Z")
    (tmp_path / "notes/new.md").write_text("New.")
    (tmp_path / "notes/b ü\n.md").write_text("One two three four five six eight.")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "edited", date="2021-01-01T00:00:00+02:00")
    return tmp_path


def test_files_without_a_date_have_that_of_their_first_commit_renames_followed(checkout: Path) -> None:
    (checkout / "notes/uncommitted.md").write_text("Later.")
    posts = read(checkout / "notes")
    dates = {name: (str(post.published_at)[:10], str(post.edited_at)[:10]) for name, post in posts.items()}
    assert dates == {
        "b ü\n.md": ("2019-01-01", "2020-12-31"),
        "dated.md": ("2015-01-01", "None"),
        "new.md": ("2020-12-31", "None"),
        "uncommitted.md": ("None", "None"),
    }


def test_git_is_not_asked_where_every_file_has_a_date(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twin_assets.ingest.sources.markdown_folder.file_dates", lambda folder: pytest.fail("asked"))
    (checkout / "notes/b ü\n.md").unlink()
    (checkout / "notes/new.md").unlink()
    assert list(read(checkout / "notes")) == ["dated.md"]


def test_a_shallow_checkout_has_no_dates_that_could_be_trusted(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    shallow = tmp_path_factory.mktemp("shallow") / "clone"
    git(checkout, "clone", "-q", "--depth=1", checkout.as_uri(), str(shallow))
    assert read(shallow / "notes")["new.md"].published_at is None


def test_a_strangers_git_configuration_starts_no_programs(checkout: Path, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    script = write(tmp_path, {"trap.sh": f"#!/bin/sh\ntouch {trap}\necho '[GNUPG:] SIG_CREATED x' >&2\necho signature\n"}) / "trap.sh"
    script.chmod(0o755)
    for setting in ("gpg.program", "core.fsmonitor", "core.pager", "diff.external", "diff.x.textconv", "core.sshCommand"):
        git(checkout, "config", setting, str(script))
    git(checkout, "config", "log.showSignature", "true")
    write(checkout, {".gitattributes": "*.md diff=x\n", "notes/signed.md": "Signed."})
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-S", "-m", "signed")
    assert trap.exists()  # by signing, which was asked for
    trap.unlink()
    assert read(checkout / "notes")["signed.md"].published_at
    assert not trap.exists()


def test_a_checkout_that_is_broken_has_no_dates(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "Words.", ".git/HEAD": "nothing"})
    assert read(tmp_path)["a.md"].published_at is None


def test_jekylls_posts_in_html(tmp_path: Path) -> None:
    files = {
        "_posts/2020-01-02-a.html": "---\ntitle: A\nauthor: Jane\n---\n<p>It’s {% include x.html %}here.</p>\n<pre>x</pre>",
        "_posts/2020-01-03-plain.html": "<p>Copied as it is.</p>",
        "_posts/2020-01-04-broken.html": "---\na: [\n---\nx",
        "_layouts/default.html": "<html>{{ content }}</html>",
        "2020-01-05-here.html": "---\ntitle: B\n---\n<p>Words.</p>",
    }
    posts = read(write(tmp_path, files))
    assert {name: post.state for name, post in posts.items()} == {
        "2020-01-05-here.html": "kept",
        "_posts/2020-01-02-a.html": "kept",
        "_posts/2020-01-03-plain.html": "empty",
        "_posts/2020-01-04-broken.html": "unreadable",
        "_layouts/default.html": "empty",
    }
    first = posts["_posts/2020-01-02-a.html"]
    assert (first.title, first.bylines, str(first.published_at)[:10]) == ("A", ("Jane",), "2020-01-02")
    assert [(block.type, block.text) for block in first.blocks] == [("paragraph", "It’s here."), ("code", "x")]


def test_a_readme_beside_code_is_no_blog(tmp_path: Path) -> None:
    assert from_files(open_files(write(tmp_path / "code", {"README.md": "# Tool", "CHANGELOG.md": "x", "main.py": "x"}))) is None
    assert from_files(open_files(write(tmp_path / "saved", {"2020-01-05-page.html": "<p>x</p>"}))) is None
    assert read(write(tmp_path / "one", {"README.md": "Words."}) / "README.md")["README.md"].state == "kept"


def test_a_zip_is_read_like_a_folder(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "blog.zip", "w") as archive:
        archive.writestr("blog/content/posts/a/index.md", "+++\ntitle = 'A'\ndate = 2020-01-01T10:00:00+02:00\n+++\nWords.")
        archive.writestr("blog/content/posts/b.mdx", "import X from './x'\n\n# B\n\n<X />\n\nWords of b.")
        archive.writestr("blog/hugo.toml", "x")
    posts = read(tmp_path / "blog.zip")
    assert [post.state for post in posts.values()] == ["kept", "kept", "empty"]
    assert str(posts["blog/content/posts/a/index.md"].published_at) == "2020-01-01 08:00:00+00:00"


@pytest.mark.parametrize(
    ("meta", "published", "edited"),
    [
        ("date: 2020-01-01\nlastmod: 2021-01-01", "2020-01-01", "2021-01-01"),
        ("pubDate: 2020-01-01\nupdatedDate: 2019-01-01", "2020-01-01", "None"),
        ("datePublished: Tue Apr 18 2023 05:24:10 GMT+0000 (Coordinated Universal Time)", "2023-04-18", "None"),
    ],
)
def test_dates_in_front_matter(tmp_path: Path, meta: str, published: str, edited: str) -> None:
    [post] = read(write(tmp_path, {"a.md": f"---\n{meta}\n---\nWords."})).values()
    assert (str(post.published_at)[:10], str(post.edited_at)[:10]) == (published, edited)


def test_real_blogs_are_accounted_for_file_by_file(test_data: Path) -> None:
    for name, kept in (("blog_mtlynch", 247), ("til_simonw", 577), ("ghost_migrate_fixtures/packages/mg-jekyll-export/test/fixtures", 12)):
        folder = test_data / name
        posts = read(folder)
        assert len(posts) == sum(path.is_file() for path in folder.rglob("*"))
        assert sum(post.state in ("kept", "foreign") for post in posts.values()) == kept
