"""HTML to blocks: one walker for fragments of feeds and exports, rendered Markdown, and the bodies of pages."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
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
_PARAGRAPH_END = re.compile(r"\n{2,}")
_INVISIBLE = "\u200b\ufeff\u00ad\u2060\x00"


_VOID = _tags("area base br col embed hr img input link meta param source track wbr")
_ENDED_BY_OTHERS = _tags("p li dt dd tr td th thead tbody tfoot option optgroup colgroup caption rp rt html head body")
"""They may go without an end tag, and do not nest but in other tags, which are counted."""
_RAW = _tags("script style textarea title xmp iframe noembed noframes")
"""What stands in them is no markup."""
_FEW_TAGS = 15_000
_DEEPEST = 2_000
_LONGEST_TAG = 64 * 1024
_SHORT_PAGE = 2 * _LONGEST_TAG
_START_TAG = (
    r"<([a-zA-Z][^\s/>]*+)"
    r"""(?:[\s/]++|[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\s>"'][^\s>]*+)?+)?+)*+>?+"""
)
"""With its attributes, as HTML reads them (13.2.5.32 to 39): a quotation mark counts only at the start of a value."""
_START_TAGS = re.compile(_START_TAG.replace("(", "(?:", 1))
_TAG = re.compile(rf"<!--.*?(?:-->|\Z)|{_START_TAG}|</([a-zA-Z][^\s/>]*+)[^>]*+>?+", re.DOTALL)
_DATA_ADDRESS = re.compile(r"data:[^\s\"'>]+")


def parse(html: str) -> LexborHTMLParser:
    """The tree of a page or fragment from outside; every parse goes through here.

    Tags nested by the thousand and tags of many thousand attributes would take the parser minutes, as its time grows with their square.
    So tags are left out where more than 2,000 are open, and a tag longer than 64 KB loses the images that are written into it, or if
    that is not enough all its attributes. Where there are neither many tags nor long ones, only that is looked at; in a page of less
    than 128 KB nothing takes long enough to look for.
    """
    many = html.count("<") - html.count("</") > _FEW_TAGS
    long = len(html) > _SHORT_PAGE and max(map(len, _START_TAGS.findall(html)), default=0) > _LONGEST_TAG
    return LexborHTMLParser(_bounded(html) if many or long else html)


def _bounded(html: str) -> str:
    """The text without tags that nest too deep, and without what makes a tag too long."""
    kept: list[str] = []
    opened: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    start = position = depth = 0
    while tag := _TAG.search(html, position):
        position = tag.end()
        if not (name := (tag[1] or tag[2] or "").lower()):
            continue
        if position - tag.start() > _LONGEST_TAG:
            kept += [html[start : tag.start()], _shortened(tag)]
            start = position
        if tag[2] and left_out[name]:
            left_out[name] -= 1
            kept.append(html[start : tag.start()])
            start = position
        elif tag[2]:
            closed = min(opened[name], 1)
            opened[name] -= closed
            depth -= closed
        elif name in _RAW:
            end = re.compile(f"</{name}", re.IGNORECASE).search(html, position)
            position = end.start() if end else len(html)
        elif name not in _VOID and name not in _ENDED_BY_OTHERS and not ((opened["svg"] or opened["math"]) and tag[0].endswith("/>")):
            if depth < _DEEPEST:
                opened[name] += 1
                depth += 1
            else:
                left_out[name] += 1
                kept.append(html[start : tag.start()])
                start = position
    return "".join([*kept, html[start:]])


def _shortened(tag: re.Match[str]) -> str:
    short = _DATA_ADDRESS.sub("", tag[0])
    return short if len(short) <= _LONGEST_TAG else f"<{tag[1][:100]}>" if tag[1] else f"</{tag[2][:100]}>"


def html_blocks(html: str, *, bare_text: bool = True) -> list[Block]:
    """The blocks of an HTML fragment.

    Args:
        html: A fragment or a page; broken markup is repaired as a browser would.
        bare_text: Whether text that stands in no paragraph, heading or list counts.
    """
    body = parse(html).body
    return node_blocks(body, bare_text=bare_text) if body else []


def node_blocks(
    node: LexborNode, *, bare_text: bool = True, alternatives: bool = True, widgets: str = WIDGETS, dropped: frozenset[str] = DROPPED
) -> list[Block]:
    """The blocks below a node, without widgets; the tree is changed by that.

    Args:
        node: What holds the text.
        bare_text: Whether text that stands in no paragraph, heading or list counts.
        alternatives: Whether the alternative text of images counts as captions: a reader of the page does not see it.
        widgets: Selectors of what nobody wrote.
        dropped: Tags of what nobody wrote.
    """
    for widget in node.css(widgets) if widgets else ():
        if widget.mem_id != node.mem_id:
            widget.decompose()
    telling = node.css_first(".graf, .pullquote") is not None
    walker = _Walker(bare_text, alternatives, dropped if alternatives else dropped | {"img", "picture"}, telling)
    walker.walk(node)
    walker.flush()
    return walker.blocks


@dataclass(slots=True)
class _Walker:
    """Gathers inline text until a block ends."""

    bare_text: bool
    alternatives: bool
    dropped: frozenset[str]
    telling: bool
    """Whether classes of Medium and Substack, which say more than their tags, may occur."""
    blocks: list[Block] = field(default_factory=list)
    _depth: int = 0
    _inline: list[str] = field(default_factory=list)
    _captions: list[str] = field(default_factory=list)
    _open: int = 0  # paragraphs and the like around the current text
    _after_pre: bool = False

    def walk(self, node: LexborNode) -> None:
        """Reads what stands in a node; this is called for every element, and most of the time goes here."""
        if self._depth >= _MAX_DEPTH:
            self._inline.append(node.text(deep=True, separator=" "))
            return
        self._depth += 1
        dropped, telling = self.dropped, self.telling
        for child in node.iter(include_text=True):
            tag = child.tag or ""
            if tag == "-text":
                text = child.text_content or ""
                if self._inline or not text.isspace():
                    self._inline.append(text)
            elif tag not in dropped:
                read = _READERS.get(tag, _Walker._emphasis)
                (_telling_reader(child, read) if telling else read)(self, child, tag)
        self._depth -= 1

    def _emphasis(self, node: LexborNode, tag: str) -> None:
        self.walk(node)

    def _container(self, node: LexborNode, tag: str) -> None:
        if self._inline or self._captions:
            self.flush()
        self.walk(node)
        if self._inline or self._captions:
            self.flush()

    def _paragraph(self, node: LexborNode, tag: str) -> None:
        self._open += 1
        self._container(node, tag)
        self._open -= 1

    def _p(self, node: LexborNode, tag: str) -> None:
        only = node.first_child
        if only is None or only.next is not None or only.tag != "-text":
            self._paragraph(node, tag)
            return
        if self._inline or self._captions:
            self.flush()
        for text in tidy(only.text_content or ""):
            self._put(Block("paragraph", text))

    def _break(self, node: LexborNode, tag: str) -> None:
        self._inline.append(_BREAK)

    def _image(self, node: LexborNode, tag: str) -> None:
        alt = node.attributes.get("alt")
        text = " ".join(tidy(_BROKEN_ALT.split(alt)[0])) if alt else ""
        if text and not _FILE_NAME.match(text) and text.lower() not in ("image", "img", "photo", "avatar"):
            self._captions.append(text)

    def _heading(self, node: LexborNode, tag: str) -> None:
        self._add("heading", self._text_of(node), level=int(tag[1]))

    def _caption(self, node: LexborNode, tag: str) -> None:
        self._add("caption", self._text_of(node))

    def _card(self, node: LexborNode, tag: str) -> None:
        self._add("embed", self._text_of(node))

    def flush(self) -> None:
        """Ends the running paragraph, then puts down the captions of images that stood in it."""
        if self._inline:
            raw, self._inline = "".join(self._inline), []
            if self.bare_text or self._open:
                for text in tidy(raw):
                    self._put(Block("paragraph", text))
        if self._captions:
            captions, self._captions = self._captions, []
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
        """What stands in a node, taken out of the run of blocks."""
        self.flush()
        outer, self.blocks = self.blocks, []
        self._open += 1
        self.walk(node)
        self.flush()
        self._open -= 1
        inner, self.blocks = self.blocks, outer
        return inner

    def _text_of(self, node: LexborNode) -> str:
        return " ".join([block.text for block in self._inside(node) if block.type not in ("embed", "caption")])

    def _code_mark(self, node: LexborNode, tag: str) -> None:
        text = " ".join(node.text(deep=True).split())
        if text:
            fence = "``" if "`" in text else "`"
            self._inline.append(f"{fence}{text}{fence}")

    def _quote(self, node: LexborNode, tag: str) -> None:
        classes = _classes(node)
        if classes and _EMBEDDED_POSTS.search(classes):
            links = [link.attributes.get("href") or "" for link in node.css("a")]
            self._add("embed", links[-1] if links else self._text_of(node))
        else:
            self._add("quote", "\n\n".join(block.text for block in self._inside(node)))

    def _pre(self, node: LexborNode, tag: str) -> None:
        self.flush()
        code = "".join(_verbatim(node)).strip("\n").rstrip()
        if not code:
            return
        last = self.blocks[-1] if self.blocks else None
        if self._after_pre and last and "graf--pre" in _classes(node):
            self.blocks[-1] = Block("code", f"{last.text}\n{code}", language=last.language)
        else:
            self.blocks.append(Block("code", code, language=_language(node)))
        self._after_pre = True

    def _figure(self, node: LexborNode, tag: str) -> None:
        self.flush()
        if (
            self.alternatives and node.css_first("figcaption") is not None
        ):  # what stands below the picture says more than its alternative text
            for image in node.css("img"):
                image.decompose()
        for block in self._inside(node):
            self._put(Block("caption", block.text) if block.type == "paragraph" else block)

    def _table(self, node: LexborNode, tag: str) -> None:
        code = node.css("pre")
        if code:  # a highlighter's table: line numbers, then the code
            self._pre(code[-1], "pre")
            return
        rows = [[cell for cell in row.iter() if cell.tag in ("td", "th")] for row in node.css("tr")]
        if node.css_first("table table") or node.attributes.get("role") == "presentation" or all(len(row) < 2 for row in rows):
            self._container(node, "div")
            return
        lines = [" | ".join(self._text_of(cell).replace("\n", " ") for cell in row) for row in rows]
        self._add("table", "\n".join(line for line in lines if line.strip(" |")))

    def _embed(self, node: LexborNode, tag: str) -> None:
        attributes = node.attributes
        inner = node.css_first("source[src]")
        source = attributes.get("src") or attributes.get("data-src") or attributes.get("data") or (inner and inner.attributes.get("src"))
        self._add("embed", source or attributes.get("title") or "")

    def _definitions(self, node: LexborNode, tag: str) -> None:
        lines = [("- " if part.tag == "dt" else "  ") + self._text_of(part) for part in _definition_parts(node)]
        self._add("list", "\n".join(line for line in lines if line.strip(" -")))

    def _list(self, node: LexborNode, tag: str) -> None:
        self.flush()
        lines: list[str] = []
        number = _integer(node.attributes.get("start"), 1)
        for item in node.iter():
            if item.tag in self.dropped:
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
        if item.tag not in ("ul", "ol"):
            return self._inside(item)
        outer, self.blocks = self.blocks, []  # a list directly in a list, as some editors write it
        self._list(item, item.tag)
        inner, self.blocks = self.blocks, outer
        return inner


def _item_lines(block: Block, mark: str) -> Iterator[str]:
    indent = " " * len(mark)
    nested = block.type == "list"
    for index, line in enumerate(block.text.split("\n")):
        yield (mark if index == 0 and not nested else indent) + line if line else ""


_Reader = Callable[[_Walker, LexborNode, str], None]
_READERS: dict[str, _Reader] = {
    **dict.fromkeys(_BLOCKS, _Walker._container),
    **dict.fromkeys(_tags("li dd dt td th"), _Walker._paragraph),
    "p": _Walker._p,
    "br": _Walker._break,
    "img": _Walker._image,
    "dl": _Walker._definitions,
    "blockquote": _Walker._quote,
    "figure": _Walker._figure,
    "figcaption": _Walker._caption,
    "table": _Walker._table,
    **dict.fromkeys(_tags("h1 h2 h3 h4 h5 h6"), _Walker._heading),
    **dict.fromkeys(_tags("ul ol menu dir"), _Walker._list),
    **dict.fromkeys(_tags("pre listing plaintext xmp"), _Walker._pre),
    **dict.fromkeys(_tags("iframe video audio embed object"), _Walker._embed),
    **dict.fromkeys(_tags("code kbd samp tt"), _Walker._code_mark),
}
_TELLING_READERS = (
    ("graf--pullquote", _Walker._quote),
    (" pullquote ", _Walker._quote),  # words of the text, said once more
    ("graf--blockquote", _Walker._quote),
    ("graf--mixtapeEmbed", _Walker._card),
    ("imageCaption", _Walker._caption),
)


def _telling_reader(node: LexborNode, read: _Reader) -> _Reader:
    classes = f" {_classes(node)} "
    return next((reader for mark, reader in _TELLING_READERS if mark in classes), read)


def tidy(raw: str) -> list[str]:
    """Paragraphs of gathered inline text: blanks collapse as in a browser, hard breaks stay, two in a row part paragraphs."""
    text = raw.strip()
    if text.isprintable():
        lines = [" ".join(text.split()) if "  " in text else text]
    else:
        for nothing in _INVISIBLE:
            text = text.replace(nothing, "")
        lines = [" ".join(line.split()) for line in text.split(_BREAK)]
    if len(lines) > 1:
        return [part.strip() for part in _PARAGRAPH_END.split("\n".join(lines)) if part.strip()]
    return lines if lines[0] else []


def _classes(node: LexborNode) -> str:
    return node.attributes.get("class") or ""


def _definition_parts(node: LexborNode) -> Iterator[LexborNode]:
    """The terms and definitions of one list, also where a ``div`` groups them."""
    for part in node.iter():
        if part.tag == "div":
            yield from (inner for inner in part.iter() if inner.tag in ("dt", "dd"))
        elif part.tag in ("dt", "dd"):
            yield part


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
