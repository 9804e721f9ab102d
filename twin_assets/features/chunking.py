"""Splits a cleaned document into pieces small enough to embed, along its own structure: headings, paragraphs, classes, functions."""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid5

from twin_assets.cleaning.documents import Document

if TYPE_CHECKING:
    from tree_sitter import Node

CHUNKER = "v2"
MAX_TOKENS = 256
RESERVED_TOKENS = 4
"""Of what the embedder reads: the special tokens around every text, and the empty line between context and text."""
TARGET_TOKENS = 170
"""Most tokens of a chunk, its context apart, unless it is a whole post: smaller ones are found more often, larger ones say more."""
SHORT_TOKENS = 40
"""A chunk of fewer goes on across the next heading."""
LONGEST_PART = 160
"""Characters of a title or of one heading in the context."""
CHARACTERS_PER_TOKEN = 8
"""Most characters of a chunk for each of its tokens: what has more is no language, and tokenizers take it for one unknown word."""
LONGEST_WORD = 100
"""Characters of a word that is counted; of a longer one, as in scripts without blanks, each is taken for a token."""
SLAB = 10_000
"""Characters that a splitter is given at once: the time that it takes grows faster than its text."""
DEEPEST_CODE = 200
"""Levels of nesting of code that is split by its syntax: the time that the splitter takes grows with their third power."""
LARGEST_CODE = 200_000
"""Characters of one piece of code that is parsed; a longer one is data, and split as text."""
SHORT_KINDS = frozenset({"post", "comment", "note"})

GRAMMARS = {
    "bash": "bash",
    "c": "c",
    "cpp": "cpp",
    "csharp": "c_sharp",
    "go": "go",
    "java": "java",
    "javascript": "javascript",
    "jsx": "javascript",
    "kotlin": "kotlin",
    "php": "php",
    "python": "python",
    "ruby": "ruby",
    "rust": "rust",
    "scala": "scala",
    "swift": "swift",
    "tsx": "typescript",
    "typescript": "typescript",
}
"""Languages by the names that code blocks have, and their grammars ``tree_sitter_*``. Each grammar lies in its wheel: none is loaded
from the network when it is used. Code in other languages is split as text, at empty lines and lines."""
ALIASES = {
    "c#": "csharp",
    "c++": "cpp",
    "console": "bash",
    "cs": "csharp",
    "golang": "go",
    "js": "javascript",
    "kt": "kotlin",
    "mjs": "javascript",
    "py": "python",
    "python3": "python",
    "rb": "ruby",
    "rs": "rust",
    "sh": "bash",
    "shell": "bash",
    "ts": "typescript",
    "zsh": "bash",
}
LANGUAGE_FUNCTIONS = {"php": "language_php", "tsx": "language_tsx", "typescript": "language_typescript"}

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^`\n]*)")
_HEADING = re.compile(r"(#{1,6})[ \t]+(.*)")
_SENTENCE_END = re.compile(r"[.!?。！？…][\"'”’)\]]*\s|\n")
_DEFINITION = re.compile(
    r"(class|constructor|enum|extension|function|impl|interface|method|mod|module|namespace|object|protocol|record|struct|trait|type|union)"
    r"(_alias|_declaration|_definition|_item|_spec|_specifier)?|abstract_class_declaration|internal_module|singleton_method"
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A verbatim piece of a document's text for retrieval.

    Attributes:
        id: The same for the same piece at the same place of the same document.
        document_id: Where it is from.
        position: Its place among the document's chunks, from 0.
        starts: Its first character in ``text_for_rag``.
        ends: One behind its last: ``text == text_for_rag[starts:ends]``.
        text: What is shown.
        headings: The headings above it; of code the classes and functions that it lies in.
        context: What is embedded and searched with the text, and never shown: title, path of the file, headings.
        words: How many it has.
        content_hash: SHA-256 of what the embedder reads.
    """

    id: UUID
    document_id: UUID
    position: int
    starts: int
    ends: int
    text: str
    headings: tuple[str, ...]
    context: str
    words: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of the text: a heading, a paragraph or a code block, and later a chunk.

    ``inner`` is the span of the code between the fences, ``language`` what the fence names.
    """

    starts: int
    ends: int
    headings: tuple[str, ...] = ()
    heading: bool = False
    inner: tuple[int, int] | None = None
    language: str = ""


def embedding_text(context: str, text: str) -> str:
    """What the embedder reads: a piece alone seldom says what it is about, its context does."""
    return f"{context}\n\n{text}" if context else text


def chunk_document(document: Document, count_tokens: Callable[[str], int], max_tokens: int = MAX_TOKENS) -> list[Chunk]:
    """Splits one document.

    A post that the embedder can read whole is one chunk. Articles are split at headings and paragraphs, and at sentences where a
    paragraph alone is too long. A short code block stays with the prose around it; a longer one, and a file of code, is split by
    classes and functions where there is a grammar for its language. Chunks follow each other and do not overlap; what lies
    between them is white space or the fence of a code block.

    Args:
        document: A cleaned document.
        count_tokens: The embedder's own count of a text, without special tokens.
        max_tokens: What the embedder reads of one text, special tokens and context included.
    """
    text, base, room = document.text_for_rag, _base(document), max_tokens - RESERVED_TOKENS
    pieces = [_Piece(*_stripped(text, 0, len(text)))]
    if document.kind not in SHORT_KINDS or not _fits(embedding_text(base, text[pieces[0].starts : pieces[0].ends]), count_tokens, room):
        pieces = _Splitter(text, count_tokens, min(TARGET_TOKENS, room)).pieces(is_code=document.kind == "code")
    sure = [part for piece in pieces for part in _sure(text, piece, count_tokens, room)]
    return [
        _chunk(document, position, piece, _shortened(_context(base, piece.headings), count_tokens, room - tokens))
        for position, (piece, tokens) in enumerate(sure)
    ]


def _chunk(document: Document, position: int, piece: _Piece, context: str) -> Chunk:
    text = document.text_for_rag[piece.starts : piece.ends]
    content_hash = hashlib.sha256(embedding_text(context, text).encode()).hexdigest()
    return Chunk(
        id=uuid5(document.id, f"{CHUNKER}/{position}/{content_hash}"),
        document_id=document.id,
        position=position,
        starts=piece.starts,
        ends=piece.ends,
        text=text,
        headings=piece.headings,
        context=context,
        words=len(text.split()),
        content_hash=content_hash,
    )


def _base(document: Document) -> str:
    """The title; of code the path of its file, which tells more."""
    title = " ".join((document.title or "").split())
    path = _path(document.url) if document.kind == "code" else ""
    return path if title in path else "\n".join(part[:LONGEST_PART] for part in (title, path) if part)


def _path(url: str | None) -> str:
    parts = [part for part in unquote(urlsplit(url or "").path).split("/") if part]
    if parts[2:3] in (["blob"], ["src"], ["raw"]):  # owner, repository, "blob", branch, path of the file
        del parts[2:4]
    return "/".join(parts)[-LONGEST_PART:]


def _context(base: str, headings: tuple[str, ...]) -> str:
    return "\n".join(part for part in (base, " > ".join(heading[:LONGEST_PART] for heading in headings)) if part)


def _shortened(context: str, count_tokens: Callable[[str], int], most: int) -> str:
    while context and count_tokens(context) > most:
        context = context[: len(context) * 3 // 4].rstrip()
    return context


def _fits(text: str, count_tokens: Callable[[str], int], most: int) -> bool:
    return len(text) <= most * CHARACTERS_PER_TOKEN and count_tokens(text) <= most


def _sure(text: str, piece: _Piece, count_tokens: Callable[[str], int], most: int) -> Iterator[tuple[_Piece, int]]:
    """The piece and its tokens; in halves where a tokenizer counts more for it than for its words one by one."""
    tokens = count_tokens(text[piece.starts : piece.ends])
    if tokens <= most or piece.ends - piece.starts < 2:
        if piece.ends > piece.starts:
            yield piece, tokens
        return
    middle = (piece.starts + piece.ends) // 2
    cut = max(text.rfind(blank, piece.starts, middle) + 1 for blank in "\n ") or middle
    for starts, ends in ((piece.starts, cut), (cut, piece.ends)):
        stripped = _stripped(text, starts, ends)
        yield from _sure(text, replace(piece, starts=stripped[0], ends=stripped[1]), count_tokens, most)


class _Splitter:
    """Splits one text into pieces of about ``target`` tokens at most.

    Tokens are counted word by word, each word once: splitting asks for the size of every stretch of a text many times.
    """

    def __init__(self, text: str, count_tokens: Callable[[str], int], target: int) -> None:
        self.text = text
        self.target = target
        self.tokens = cache(count_tokens)

    def size(self, text: str) -> int:
        """Tokens of a text; of one with far too many characters for any chunk just some number that is too large."""
        if len(text) > self.target * CHARACTERS_PER_TOKEN:
            return len(text)
        return sum(self.tokens(word) if len(word) <= LONGEST_WORD else len(word) for word in text.split())

    def fits(self, piece: _Piece) -> bool:
        """Whether it is small enough for a chunk."""
        return piece.ends - piece.starts <= self.target * CHARACTERS_PER_TOKEN and (
            self.size(self.text[piece.starts : piece.ends]) <= self.target
        )

    def pieces(self, is_code: bool) -> list[_Piece]:
        """Spans of the chunks, in order, without white space around them."""
        found = [piece for block in _blocks(self.text) for piece in self._small(block, is_code)]
        return found if is_code else list(self._packed(found))

    def _small(self, block: _Piece, is_code: bool) -> Iterator[_Piece]:
        """The block itself, or parts of it that are small enough."""
        if block.inner is None:
            yield from self._parts(block)
        elif is_code or not self.fits(block):
            yield from self._code(block)
        else:
            yield block

    def _parts(self, block: _Piece) -> Iterator[_Piece]:
        from semantic_text_splitter import TextSplitter

        if self.fits(block):
            yield block
            return
        splitter = TextSplitter.from_callback(self.size, self.target)
        for starts, ends in _slabs(self.text, block.starts, block.ends):
            for offset, part in splitter.chunk_indices(self.text[starts:ends]):
                yield replace(block, starts=starts + offset, ends=starts + offset + len(part))

    def _code(self, block: _Piece) -> Iterator[_Piece]:
        """Parts of the code between the fences, each with the classes and functions that it lies in."""
        from semantic_text_splitter import CodeSplitter

        starts, ends = block.inner or (block.starts, block.ends)
        grammar = _grammar(block.language) if ends - starts <= LARGEST_CODE else None
        inner = replace(block, starts=starts, ends=ends, inner=None)
        if grammar is None:
            yield from self._parts(replace(inner, **dict(zip(("starts", "ends"), _stripped(self.text, starts, ends), strict=True))))
            return
        code = self.text[starts:ends]
        definitions = _definitions(code, grammar)
        if definitions is None:
            yield from self._parts(replace(inner, **dict(zip(("starts", "ends"), _stripped(self.text, starts, ends), strict=True))))
            return
        splitter = CodeSplitter.from_callback(grammar, self.size, self.target)
        for offset, part in splitter.chunk_indices(code):
            first = starts + offset
            last = first + len(part)
            line = self.text.rfind("\n", starts, first) + 1 or starts
            names = _names(definitions, offset, offset + len(part))
            yield replace(inner, starts=first if self.text[line:first].strip() else line, ends=last, headings=(*block.headings, *names))

    def _packed(self, pieces: list[_Piece]) -> Iterator[_Piece]:
        """Neighbours put together as long as they fit; a heading goes with what is below it."""
        run: list[_Piece] = []
        tokens = 0
        for piece in pieces:
            size = self.size(self.text[piece.starts : piece.ends])
            if run and (tokens + size > self.target or (piece.heading and tokens >= SHORT_TOKENS and not run[-1].heading)):
                yield from self._run(run)
                run, tokens = [], 0
            run.append(piece)
            tokens += size
        yield from self._run(run)

    def _run(self, run: list[_Piece]) -> Iterator[_Piece]:
        if not run:
            return
        whole = replace(run[0], ends=run[-1].ends, inner=None, headings=next((p for p in run if not p.heading), run[-1]).headings)
        yield whole


def _blocks(text: str) -> Iterator[_Piece]:
    """Headings, paragraphs and fenced code blocks, in order, with the headings above them."""
    path: list[tuple[int, str]] = []
    paragraph: int | None = None
    lines = _lines(text)
    behind = 0
    for starts, ends in lines:
        line = text[starts:ends]
        fence, heading = _FENCE.fullmatch(line), _HEADING.fullmatch(line)
        if paragraph is not None and (fence or heading or not line.strip()):
            yield _Piece(*_stripped(text, paragraph, behind), headings=_names_of(path))
            paragraph = None
        behind = ends
        if fence:
            inner, behind = _closing(text, lines, fence[1], ends)
            language = (fence[2].split() or [""])[0].lower()
            yield _Piece(*_stripped(text, starts, behind), headings=_names_of(path), inner=inner, language=language)
        elif heading:
            path = [*(above for above in path if above[0] < len(heading[1])), (len(heading[1]), heading[2].strip(" \t#"))]
            yield _Piece(*_stripped(text, starts, ends), headings=_names_of(path), heading=True)
        elif line.strip() and paragraph is None:
            paragraph = starts
    if paragraph is not None:
        yield _Piece(*_stripped(text, paragraph, len(text)), headings=_names_of(path))


def _names_of(path: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(heading for _, heading in path if heading)


def _closing(text: str, lines: Iterator[tuple[int, int]], mark: str, behind: int) -> tuple[tuple[int, int], int]:
    """The span of the code after a fence, and where the block ends; one that is never closed ends with the text."""
    first = min(behind + 1, len(text))
    for starts, ends in lines:
        line = text[starts:ends].strip()
        if len(line) >= len(mark) and not line.strip(mark[0]) and not text[starts:ends].startswith("    "):
            return (first, max(first, starts - 1)), ends
    return (first, len(text)), len(text)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Spans of the lines, without their ends."""
    starts = 0
    while starts <= len(text):
        ends = text.find("\n", starts)
        ends = len(text) if ends < 0 else ends
        yield starts, ends
        starts = ends + 1


def _stripped(text: str, starts: int, ends: int) -> tuple[int, int]:
    part = text[starts:ends]
    return starts + len(part) - len(part.lstrip()), max(ends - (len(part) - len(part.rstrip())), starts)


def _slabs(text: str, starts: int, ends: int) -> Iterator[tuple[int, int]]:
    """The span cut behind a sentence or line, else at a blank, so that no part is long."""
    while ends - starts > SLAB:
        window = text[starts : starts + SLAB]
        cuts = [match.end() for match in _SENTENCE_END.finditer(window, SLAB // 2)]
        cut = starts + (cuts[-1] if cuts else window.rfind(" ", SLAB // 2) + 1 or SLAB)
        yield starts, cut
        starts = cut
    yield starts, ends


@cache
def _grammar(language: str) -> Any:
    """The grammar of a language by the name of its code blocks; None where there is none."""
    name = ALIASES.get(language, language)
    if name not in GRAMMARS:
        return None
    module = import_module(f"tree_sitter_{GRAMMARS[name]}")
    return getattr(module, LANGUAGE_FUNCTIONS.get(name, "language"))()


def _definitions(code: str, grammar: Any) -> list[tuple[int, int, str]] | None:
    """Spans and names of the classes and functions, the outer before the inner; None where the code is nested too deep."""
    from tree_sitter import Language, Parser

    tree = Parser(Language(grammar)).parse(code.encode())
    places = [0]
    for character in code:
        places.append(places[-1] + len(character.encode()))
    found, waiting = [], [(tree.root_node, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > DEEPEST_CODE:
            return None
        if _is_definition(node) and (name := _name(node)):
            found.append((bisect_left(places, node.start_byte), bisect_left(places, node.end_byte), name))
        waiting.extend((child, depth + 1) for child in reversed(node.children))
    return found


def _name(node: "Node") -> str:
    """What a definition calls itself; empty where it has no name, or only mentions what is defined elsewhere."""
    if node.type.endswith("_specifier") and node.child_by_field_name("body") is None:
        return ""
    named = node.child_by_field_name("name") or node.child_by_field_name("declarator") or node.child_by_field_name("type")
    while named is not None and (inner := named.child_by_field_name("declarator")) is not None:
        named = inner  # C writes the type around the name
    text = (named.text if named is not None else None) or b""
    return " ".join(text.decode(errors="replace").split("(")[0].split())[:LONGEST_PART]


def _is_definition(node: "Node") -> bool:
    if node.type == "variable_declarator":  # const f = () => ...
        value = node.child_by_field_name("value")
        return value is not None and value.type in ("arrow_function", "function_expression")
    return node.is_named and _DEFINITION.fullmatch(node.type) is not None


def _names(definitions: list[tuple[int, int, str]], starts: int, ends: int) -> tuple[str, ...]:
    """Names of the definitions that more than half of a span lies in, the outer first."""
    return tuple(name for first, last, name in definitions if 2 * (min(last, ends) - max(first, starts)) > ends - starts)
