from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import open_files
from twin_assets.ingest.posts import Post
from twin_assets.ingest.source import Address
from twin_assets.ingest.sources.feed import Feed, from_address, from_files
from twin_assets.ingest.web import Limits, MemoryPages, Web
from twin_assets_tests.ingest.site import Answer, serve

WORDS = "Words that somebody wrote on a long evening, one after the other. " * 6
PAGE = f"<html><head><title>One</title></head><body><article><h1>One</h1><p>{WORDS}</p><p>{WORDS}</p></article></body></html>".encode()


def rss(*items: str, more: str = "", end: str = "</channel></rss>") -> bytes:
    names = 'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    names += ' xmlns:atom="http://www.w3.org/2005/Atom"'
    return f'<?xml version="1.0"?><rss version="2.0" {names}><channel><title>t</title>{more}{"".join(items)}{end}'.encode()


def item(n: int, *, link: str = "https://me.example/", text: str = WORDS, more: str = "") -> str:
    body = f"<content:encoded><![CDATA[<p>{n}. {text}</p>]]></content:encoded>"
    return f"<item><title>T{n}</title><link>{link}{n}</link>{more}{body}</item>"


def posts(content: bytes) -> list[Post]:
    return list(Feed("f.xml", content).read())


def test_dates_names_and_edits() -> None:
    atom = b"""<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>t</title><entry><id>tag:me.example,2024:1</id>
    <title>A &amp;amp; B</title><link href="https://me.example/a?utm_source=x"/><published>2024-01-01T10:00:00+02:00</published>
    <updated>2024-02-01T00:00:00Z</updated><author><name>Jane</name></author><author><name>Joe</name></author>
    <content type="html">&lt;p&gt;It\xe2\x80\x99s here \xf0\x9f\x98\x80.&lt;/p&gt;</content></entry></feed>"""
    [post] = posts(atom)
    assert (post.key, post.title, post.bylines) == ("https://me.example/a", "A & B", ("Jane", "Joe"))
    assert str(post.published_at) == "2024-01-01 08:00:00+00:00"
    assert str(post.edited_at) == "2024-02-01 00:00:00+00:00"
    assert post.blocks[0].text == "It’s here 😀."


def test_rdf_is_read() -> None:
    content = b"""<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
    xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel rdf:about="https://me.example/"><title>t</title></channel>
    <item rdf:about="https://me.example/1"><title>T</title><link>https://me.example/1</link>
    <content:encoded>&lt;p&gt;Words.&lt;/p&gt;</content:encoded></item></rdf:RDF>"""
    assert [post.key for post in posts(content)] == ["https://me.example/1"]


def test_an_email_address_is_no_byline() -> None:
    [post] = posts(rss(item(1, more="<author>jane@example.com</author>")))
    assert post.bylines == ()
    [post] = posts(rss(item(1, more="<author>jane@example.com (Jane Doe)</author>")))
    assert post.bylines == ("Jane Doe",)


def test_a_date_that_is_not_there_is_not_made_up() -> None:
    [post] = posts(rss(item(1)))
    assert (post.published_at, post.edited_at) == (None, None)


def test_a_feed_that_breaks_off_is_read_until_there_and_says_so() -> None:
    content = rss(item(1), item(2))
    source = Feed("f.xml", content[: content.index(b"2. Words") + 60])
    found = list(source.read())
    assert [post.state for post in found] == ["kept", "partial"]
    assert "breaks off" in source.truncated
    whole = Feed("f.xml", content + b"\n<!-- served from a cache -->\n")
    assert [post.state for post in whole.read()] == ["kept", "kept"]
    assert whole.truncated == ""


@pytest.mark.parametrize(
    "declared",
    ['<!ENTITY a "&#65;"><!ENTITY b "&a;&a;&a;&a;">', f'<!ENTITY a "{"x" * 5000}">', '<!ENTITY % a "<!ENTITY b &#39;&c;&#39;>">'],
    ids=["nested", "long", "parameter"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-7"])
def test_xml_bombs_are_refused(declared: str, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE rss [{declared}]><rss version="2.0"><channel><title>&a;</title></channel></rss>'
    declaration, rest = text.split("?>", 1)
    content = (declaration + "?>").encode() + rest.encode(encoding) if encoding == "utf-7" else text.encode(encoding)
    with pytest.raises(SourceError, match="entities"):
        posts(content)


def test_a_harmless_doctype_is_read() -> None:
    content = rss(item(1)).replace(b"?><rss", b'?><!DOCTYPE rss [<!ENTITY nbsp "&#160;">]><rss')
    assert posts(content)[0].state == "kept"


def test_a_feed_is_never_taken_for_the_name_of_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(rss(item(1)))
    with pytest.raises(SourceError):
        posts(str(secret).encode())


def test_further_pages_are_followed_until_they_repeat() -> None:
    def following(path: str) -> str:
        return f'<atom:link rel="next" href="{path}"/>'

    routes = {
        "/feed": Answer(rss(item(1), more=following("/feed?page=2")), "application/rss+xml"),
        "/feed?page=2": Answer(rss(item(2), more=following("/feed?page=3")), "application/rss+xml"),
        "/feed?page=3": Answer(rss(item(2), more=following("/feed?page=4")), "application/rss+xml"),
    }
    with serve(routes) as site, Web() as web:
        source = from_address(Address(f"{site.url}/feed", web))
        assert source is not None
        assert [post.key for post in source.read()] == ["https://me.example/1", "https://me.example/2", "https://me.example/2"]
        assert "/feed?page=4" not in site.requests


def test_a_further_page_that_fails_leaves_what_was_read() -> None:
    routes = {"/feed": Answer(rss(item(1), more='<atom:link rel="next" href="/gone"/>'), "application/rss+xml")}
    with serve(routes) as site, Web() as web:
        source = from_address(Address(f"{site.url}/feed", web))
        assert source is not None
        assert len(list(source.read())) == 1
        assert "404" in source.truncated


def test_a_teaser_is_completed_from_its_own_page_but_not_from_elsewhere() -> None:
    teaser = "<description>Only the start of it…</description>"
    with serve({"/1": Answer(PAGE), "/2": Answer(b"<p>no</p>", status=500)}) as site, Web(Limits(tries=1)) as web:
        entries = [f"<item><title>One</title><link>{link}</link>{teaser}</item>" for link in (f"{site.url}/1", f"{site.url}/2")]
        entries.append(f"<item><title>One</title><link>https://other.example/1</link>{teaser}</item>")
        source = Feed(f"{site.url}/feed", rss(*entries), web=web, url=f"{site.url}/feed")
        found = list(source.read())
        assert [post.state for post in found] == ["kept", "partial", "partial"]
        assert found[0].words > 50
        assert sum(site.requests.values()) == 3  # two pages and robots.txt


def test_a_completed_teaser_is_not_fetched_again_while_the_feed_says_it_is_the_same() -> None:
    pages = MemoryPages()
    with serve({"/1": Answer(PAGE)}) as site:
        date = "<pubDate>Mon, 01 Jan 2024 00:00:00 GMT</pubDate>"
        content = rss(f"<item><title>One</title><link>{site.url}/1</link>{date}<description>Start…</description></item>")
        for _ in range(2):
            with Web(pages=pages) as web:
                assert [post.state for post in Feed("f", content, web=web, url=f"{site.url}/feed").read()] == ["kept"]
        assert site.requests["/1"] == 1


def test_a_page_or_a_front_page_is_no_feed() -> None:
    with serve({"/": Answer(b'<html><link rel="alternate" type="application/rss+xml" href="/feed">' + PAGE)}) as site, Web() as web:
        assert from_address(Address(f"{site.url}/", web)) is None


def test_a_file_and_a_zip_like_name(tmp_path: Path) -> None:
    (tmp_path / "f.xml").write_bytes(rss(item(1)))
    source = from_files(open_files(tmp_path / "f.xml"))
    assert source is not None and len(collect(source)) == 1
    (tmp_path / "g.txt").write_bytes(rss(item(1)))
    assert from_files(open_files(tmp_path / "g.txt")) is None


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_read_or_refused(noise: bytes, inside: bool) -> None:
    content = rss(item(1)).replace(b"T1", noise) if inside else noise
    try:
        found = posts(content)
    except SourceError:
        return
    assert all(post.state for post in found)
