"""Words of a text as the word search sees them: identifiers whole and split, and the names that code defines.

Postgres does the rest: stemming and stop words of a language by its text search configurations.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache

LONGEST_WORD = 80
"""Characters; a longer run of letters is data, and nobody asks for it."""
MOST_DEFINITIONS = 1000
"""Names kept of one text; one that defines more is generated."""
LONGEST_LINE = 500
"""Characters; a longer line of code is minified, and only its start is read."""

CONFIGURATIONS = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "nb": "norwegian",
    "nn": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
"""Text search configurations that every Postgres from 15 on has, by ISO 639-1."""

_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese: no blanks between words."""
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_MODIFIERS = re.compile(
    r"abstract|async|auto|companion|const|constexpr|crate|data|declare|default|export|final|inline|internal|"
    r"local|native|open|override|partial|private|protected|pub|public|readonly|sealed|static|super|suspend|"
    r"synchronized|typedef|unsafe|virtual"
)
_STATEMENTS = re.compile(
    r"and|assert|await|case|catch|defer|delete|do|elif|else|elseif|elsif|except|for|foreach|from|go|goto|"
    r"if|import|in|is|loop|match|new|not|or|print|raise|return|select|switch|throw|try|unless|until|use|"
    r"using|when|where|while|with|yield"
)
_COMMENTS = ("*", "/*", "//", "# ", "--", "%", ";")
_PARAMETERS = re.compile(r"<[^<>]*>")
_PLAIN = re.compile(r'[\s\w().@"]*')
_KEYWORD = re.compile(
    r"\b(?:class|struct|enum|trait|interface|protocol|record|union|object|actor|type|typealias|module|mod|namespace|package|extension"
    r"|def|fn|func|fun|function|sub|proc|macro|macro_rules!)[ \t]+(?:\([^()]*\)[ \t]*)?\*?([A-Za-z_$][\w$.]*)"
)
_IMPLEMENTATION = re.compile(r"[ \t]*(?:unsafe[ \t]+)?impl\b[ \t]*(?:([\w:]+)[ \t]+for[ \t]+)?&?([\w:]+)")
_CALLABLE = re.compile(r"[ \t]*((?:[\w:.,\[\]?&*~@]+[ \t]+)*)[*&]*([A-Za-z_~$][\w:$]*)\(")
_ASSIGNED = re.compile(
    r"([A-Za-z_$][\w$]*)[ \t]*[:=][ \t]*(?:async[ \t]+)?(?:function\b|\([^()]*\)[ \t]*(?::[^=]*)?=>|[\w$]+[ \t]*=>)"
    r"|^(?:export[ \t]+)?(?:pub(?:\([^()]*\))?[ \t]+)?(?:const|static|var|val|let)[ \t]+(?:mut[ \t]+)?([A-Za-z_$][\w$]*)[ \t]*[:=]"
    r"|^([A-Z_][A-Z0-9_]+)[ \t]*(?::[^=]*)?=(?!=)"
    r"|^[ \t]*#[ \t]*define[ \t]+(\w+)"
)


def searchable(text: str) -> str:
    """The words of a text, in lower case, with one blank between them.

    Words are runs of letters, digits and the marks that go with letters, of any script. Identifiers in camelCase and snake_case are
    given whole, without their separators, and split: whole they say most, split they meet the words that people use. What is written
    without blanks between words (Chinese, Japanese, Thai) is given as pairs of characters.

    Args:
        text: Anything, of any length; the time is linear in it.

    Returns:
        Words of at most `LONGEST_WORD` characters, without any character that means something to Postgres.
    """
    runs = _runs().findall(unicodedata.normalize("NFKC", text))
    return " ".join(word for run in runs for word in (_short_forms(run) if len(run) <= LONGEST_WORD else _forms(run)))


def definitions(code: str) -> str:
    """Names that a piece of code defines: its classes, types, functions, methods and constants, each once, in order.

    Found line by line by what most programming languages have in common, so that it needs neither a grammar nor whole files. What
    is missed or too much costs a little rank, nothing else.

    Args:
        code: In any language, also a fragment.

    Returns:
        Names with blanks between them, as they are written, at most `MOST_DEFINITIONS`.
    """
    names: dict[str, None] = {}
    for line in code.splitlines():
        names.update(dict.fromkeys(_defined(line[:LONGEST_LINE])))
        if len(names) >= MOST_DEFINITIONS:
            break
    return " ".join(list(names)[:MOST_DEFINITIONS])


def configuration(language: str | None) -> str:
    """The Postgres text search configuration of a language.

    Args:
        language: ISO 639-1, such as ``en``; with a region, such as ``pt-BR``, too.

    Returns:
        Its name; ``simple``, without stemming and stop words, where there is none or the language is not known.
    """
    return CONFIGURATIONS.get((language or "").replace("_", "-").split("-")[0].lower(), "simple")


@cache
def _runs() -> re.Pattern[str]:
    # The standard library's \w leaves out the marks that Indic and other scripts write vowels with.
    marks = "".join(char for char in map(chr, range(0x300, 0x20000)) if unicodedata.category(char) in {"Mn", "Mc"})
    return re.compile(rf"[\w{marks}]+")


@lru_cache(maxsize=65_536)
def _short_forms(run: str) -> tuple[str, ...]:
    return tuple(_forms(run))


def _forms(run: str) -> Iterator[str]:
    """A run of letters, digits and underscores whole and in parts."""
    parts = [run[found.start() : found.end()] for found in _PART.finditer(_shape(run))]
    whole = run.replace("_", "")
    is_spaceless = _SPACELESS.search(run) is not None
    if len(parts) > 1 and not is_spaceless:
        parts.insert(0, whole)
    for part in parts:
        if is_spaceless:
            yield from _pairs(part)
        elif len(part) <= LONGEST_WORD:
            yield part.lower()


def _shape(run: str) -> str:
    """The run with ``A`` for each capital, ``a`` for any other letter or mark, ``0`` for a digit, so that case is seen in any script."""
    if run.isascii():
        return run
    return "".join("A" if char.isupper() else "0" if char.isdecimal() else "_" if char == "_" else "a" for char in run)


def _pairs(text: str) -> Iterator[str]:
    """A text without blanks, cut into pairs of characters where its script writes none."""
    at = 0
    for found in _SPACELESS.finditer(text):
        yield from (text[at : found.start()].lower(),) if at < found.start() <= at + LONGEST_WORD else ()
        yield from (text[here : here + 2] for here in range(found.start(), max(found.end() - 1, found.start() + 1)))
        at = found.end()
    yield from (text[at:].lower(),) if at < len(text) <= at + LONGEST_WORD else ()


def _defined(line: str) -> Iterator[str]:
    """Names that a line of code defines."""
    if line.lstrip().startswith(_COMMENTS):
        return
    line = _without_parameters(line)
    for found in _KEYWORD.finditer(line):
        before = line[: found.start()]
        if _PLAIN.fullmatch(before) and all(map(_MODIFIERS.fullmatch, re.findall(r"\w+", before))):
            yield found[1]
    if implementation := _IMPLEMENTATION.match(line):
        yield from (name for name in implementation.groups() if name)
    if (called := _CALLABLE.match(line)) and _is_signature(line, called):
        yield called[2]
    if assigned := _ASSIGNED.search(line):
        yield next(name for name in assigned.groups() if name)


def _without_parameters(line: str) -> str:
    """A line without what stands in angle brackets, at most four deep."""
    for _ in range(4):
        if "<" not in line:
            break
        line = _PARAMETERS.sub("", line)
    return line


def _is_signature(line: str, called: re.Match[str]) -> bool:
    """Whether a name before a parenthesis is a function's own, as in C and its kin: a type is before it, or a body behind it."""
    words = re.findall(r"\w+", called[1])
    if _MODIFIERS.fullmatch(called[2]) or any(map(_STATEMENTS.fullmatch, (called[2], *words[:1]))):
        return False
    return bool(words) or line.rstrip().endswith("{")
