"""HTML to blocks: one walker for fragments of feeds and exports, rendered Markdown, and the bodies of pages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from twin_assets.ingest.posts import Block, BlockType


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


DROPPED = _tags(
    "script style noscript template nav button form input select textarea option svg canvas head title meta link map dialog "
    "-comment rp rt source track param datalist progress meter"
)
_BLOCKS = _tags(
    "address article aside body center details dd div dl dt fieldset figure footer header hgroup hr html legend li main p section summary "
    "tbody td tfoot th thead tr menu search"
)
_TEXTS = _tags("p li dd dt td th")
_EMBEDS = _tags("iframe video audio embed object")
_HEADINGS = _tags("h1 h2 h3 h4 h5 h6")
_CODE_MARKS = _tags("code kbd samp tt")
_EMBEDDED_POSTS = re.compile(
    r"\b(twitter-tweet|tweet|instagram-media|bluesky-embed|mastodon-embed|fb-post|graf--mixtapeEmbed|tumblr-post)\b"
)
_LANGUAGE = re.compile(r"(?:^|\s)(?:(?:language|lang|highlight-source|highlight)-|brush:\s*)([\w+#.-]+)")
_FILE_NAME = re.compile(r"^\S+\.(png|jpe?g|gif|webp|svg|avif)$", re.IGNORECASE)
_BROKEN_ALT = re.compile(r">\s*<")  # an unclosed quote lets the alternative text run on into markup
_NOT_LANGUAGES = frozenset({"highlight", "text", "plaintext", "none", "source", "block", "wrapper"})

WIDGETS = (
    ".subscription-widget-wrap, .subscription-widget-wrap-editor, .button-wrapper, .captioned-button-wrap, .image-link-expand, "
    ".install-substack-app-embed, .digest-post-embed, .embedded-post-wrap, .cta-caption, .header-anchor-parent, .header-anchor-widget, "
    ".subscribe-widget, .poll-embed, .community-chat, .post-footer, .comments-section, .comment-list, #comments, #respond, .sharedaddy, "
    ".jp-relatedposts, .social-share, .share-buttons, .post-navigation, .related-posts, .footnote-anchor, .footnote-number, "
    ".footnote-ref, .footnote-backref, .headerlink, .katex-html, .screen-reader-text, .sr-only, .visually-hidden, a.anchor[aria-hidden], "
    "[data-component-name=DigestPostEmbed], [data-component-name=SubscribeWidgetToDOM], [hidden], [role=navigation], "
    "[style*='display:none'], [style*='display: none']"
)
"""What publishing platforms put into a body that nobody wrote: subscribe boxes, share buttons, anchors, related posts."""

_MAX_DEPTH = 150
_BREAK = "\x1f"


def html_blocks(html: str, *, bare_text: bool = True) -> list[Block]:
    """The blocks of an HTML fragment.

    Args:
        html: A fragment or a page; broken markup is repaired as a browser would.
        bare_text: Whether text that stands in no paragraph, heading or list counts.
    """
    body = LexborHTMLParser(html).body
    return node_blocks(body, bare_text=bare_text) if body else []


def node_blocks(node: LexborNode, *, bare_text: bool = True) -> list[Block]:
    """The blocks below a node, without widgets; the tree is changed by that."""
    for widget in node.css(WIDGETS):
        if widget.mem_id != node.mem_id:
            widget.decompose()
    walker = _Walker(bare_text=bare_text)
    walker.walk(node)
    walker.flush()
    return walker.blocks


@dataclass(slots=True)
class _Walker:
    """Gathers inline text until a block ends."""

    bare_text: bool = True
    depth: int = 0
    blocks: list[Block] = field(default_factory=list)
    _inline: list[str] = field(default_factory=list)
    _captions: list[str] = field(default_factory=list)
    _open: int = 0  # paragraphs and the like around the current text
    _after_pre: bool = False

    def walk(self, node: LexborNode) -> None:
        for child in node.iter(include_text=True):
            if child.tag == "-text":
                self._inline.append(child.text_content or "")
            elif child.tag not in DROPPED:
                self._element(child, child.tag or "")

    def _element(self, node: LexborNode, tag: str) -> None:
        classes = node.attributes.get("class") or ""
        if self.depth >= _MAX_DEPTH:
            self._inline.append(node.text(deep=True, separator=" "))
        elif tag == "br":
            self._inline.append(_BREAK)
        elif tag == "img":
            self._caption(node.attributes.get("alt") or "")
        elif tag in _HEADINGS:
            self._add("heading", self._text_of(node), level=int(tag[1]))
        elif tag in ("ul", "ol", "menu", "dir"):
            self._list(node, tag)
        elif tag == "dl":
            self._definitions(node)
        elif tag == "blockquote" or "graf--pullquote" in classes or "graf--blockquote" in classes:
            self._quote(node, classes)
        elif "graf--mixtapeEmbed" in classes:
            self._add("embed", self._text_of(node))
        elif tag in ("pre", "listing", "plaintext", "xmp"):
            self._pre(node, classes)
        elif tag == "figure":
            self._figure(node)
        elif tag == "figcaption" or "imageCaption" in classes:
            self._add("caption", self._text_of(node))
        elif tag == "table":
            self._table(node)
        elif tag in _EMBEDS:
            self._embed(node)
        elif tag in _CODE_MARKS:
            self._code_mark(node)
        else:
            self._container(node, tag)

    def _container(self, node: LexborNode, tag: str) -> None:
        block = tag in _BLOCKS
        if block:
            self.flush()
        self.depth += 1
        self._open += tag in _TEXTS
        self.walk(node)
        if block:
            self.flush()
        self._open -= tag in _TEXTS
        self.depth -= 1

    def flush(self) -> None:
        """Ends the running paragraph, then puts down the captions of images that stood in it."""
        raw, captions = "".join(self._inline), self._captions
        self._inline, self._captions = [], []
        if self.bare_text or self._open:
            for text in tidy(raw):
                self._put(Block("paragraph", text))
        for caption in captions:
            self._put(Block("caption", caption))

    def _put(self, block: Block) -> None:
        self._after_pre = False
        self.blocks.append(block)

    def _add(self, type: BlockType, text: str, *, level: int | None = None) -> None:
        self.flush()
        if text:
            self._put(Block(type, text, level=level))

    def _inside(self, node: LexborNode) -> list[Block]:
        walker = _Walker(depth=self.depth + 1)
        walker.walk(node)
        walker.flush()
        return walker.blocks

    def _text_of(self, node: LexborNode) -> str:
        return " ".join(block.text for block in self._inside(node) if block.type not in ("embed", "caption")).strip()

    def _caption(self, alt: str) -> None:
        text = " ".join(tidy(_BROKEN_ALT.split(alt)[0]))
        if text and not _FILE_NAME.match(text) and text.lower() not in ("image", "img", "photo", "avatar"):
            self._captions.append(text)

    def _code_mark(self, node: LexborNode) -> None:
        text = " ".join(node.text(deep=True).split())
        if text:
            fence = "``" if "`" in text else "`"
            self._inline.append(f"{fence}{text}{fence}")

    def _quote(self, node: LexborNode, classes: str) -> None:
        if _EMBEDDED_POSTS.search(classes):
            links = [link.attributes.get("href") or "" for link in node.css("a")]
            self._add("embed", links[-1] if links else self._text_of(node))
        else:
            self._add("quote", "\n\n".join(block.text for block in self._inside(node)))

    def _pre(self, node: LexborNode, classes: str) -> None:
        self.flush()
        code = "".join(_verbatim(node)).strip("\n").rstrip()
        if not code:
            return
        last = self.blocks[-1] if self.blocks else None
        if self._after_pre and "graf--pre" in classes and last:
            self.blocks[-1] = Block("code", f"{last.text}\n{code}", language=last.language)
        else:
            self.blocks.append(Block("code", code, language=_language(node)))
        self._after_pre = True

    def _figure(self, node: LexborNode) -> None:
        self.flush()
        inside = self._inside(node)
        if node.css_first("figcaption") is not None:  # what stands below the picture says more than its alternative text
            for image in node.css("img"):
                image.decompose()
            inside = self._inside(node)
        for block in inside:
            self._put(Block("caption", block.text) if block.type == "paragraph" else block)

    def _table(self, node: LexborNode) -> None:
        code = node.css("pre")
        if code:  # a highlighter's table: line numbers, then the code
            self._pre(code[-1], "")
            return
        rows = [[cell for cell in row.iter() if cell.tag in ("td", "th")] for row in node.css("tr")]
        if node.css_first("table table") or node.attributes.get("role") == "presentation" or all(len(row) < 2 for row in rows):
            self._container(node, "div")
            return
        lines = [" | ".join(self._text_of(cell).replace("\n", " ") for cell in row) for row in rows]
        self._add("table", "\n".join(line for line in lines if line.strip(" |")))

    def _embed(self, node: LexborNode) -> None:
        attributes = node.attributes
        inner = node.css_first("source[src]")
        source = attributes.get("src") or attributes.get("data-src") or attributes.get("data") or (inner and inner.attributes.get("src"))
        self._add("embed", source or attributes.get("title") or "")

    def _definitions(self, node: LexborNode) -> None:
        lines = [("- " if part.tag == "dt" else "  ") + self._text_of(part) for part in node.css("dt, dd")]
        self._add("list", "\n".join(line for line in lines if line.strip(" -")))

    def _list(self, node: LexborNode, tag: str) -> None:
        self.flush()
        lines: list[str] = []
        number = _integer(node.attributes.get("start"), 1)
        for item in node.iter():
            if item.tag in DROPPED:
                continue
            mark = f"{number}. " if tag == "ol" else "- "
            number += 1
            for block in self._inside_item(item):
                if block.type in ("paragraph", "heading", "list"):
                    lines += _item_lines(block, mark)
                    mark = " " * len(mark)
                else:  # code, quotes and captions are no list text: the list goes on after them
                    self._add("list", "\n".join(lines))
                    lines = []
                    self._put(block)
        self._add("list", "\n".join(lines))

    def _inside_item(self, item: LexborNode) -> list[Block]:
        if item.tag in ("ul", "ol"):  # a list directly in a list, as some editors write it
            walker = _Walker(depth=self.depth + 1)
            walker._list(item, item.tag)
            return walker.blocks
        return self._inside(item)


def _item_lines(block: Block, mark: str) -> Iterator[str]:
    indent = " " * len(mark)
    nested = block.type == "list"
    for index, line in enumerate(block.text.split("\n")):
        yield (mark if index == 0 and not nested else indent) + line if line else ""


def tidy(raw: str) -> list[str]:
    """Paragraphs of gathered inline text: blanks collapse as in a browser, hard breaks stay, two in a row part paragraphs."""
    text = re.sub(r"[ \t\r\n\f\v\xa0]+", " ", raw.translate(_INVISIBLE))
    text = re.sub(rf" *{_BREAK} *", "\n", text)
    return [part.strip() for part in re.split(r"\n{2,}", text) if part.strip()]


_INVISIBLE = dict.fromkeys(map(ord, "\u200b\ufeff\u00ad\u2060\x00"))


def _verbatim(node: LexborNode) -> Iterator[str]:
    for child in node.traverse(include_text=True):
        if child.tag == "-text":
            yield child.text_content or ""
        elif child.tag == "br":
            yield "\n"


def _language(node: LexborNode) -> str | None:
    candidates = [node, *node.css("code"), *_parents(node, 2)]
    for candidate in candidates:
        attributes = candidate.attributes
        named = attributes.get("data-lang") or attributes.get("data-language") or attributes.get("data-code-block-lang")
        found = _LANGUAGE.search(attributes.get("class") or "")
        language = (named or (found[1] if found else "")).strip().lower()
        if language and language not in _NOT_LANGUAGES:
            return language
    return None


def _parents(node: LexborNode, count: int) -> Iterator[LexborNode]:
    parent = node.parent
    while parent is not None and count and parent.tag in ("div", "figure", "td"):
        yield parent
        parent, count = parent.parent, count - 1


def _integer(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 9 else default
