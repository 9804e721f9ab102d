"""Hugo shortcodes, Liquid and MDX, turned into HTML or removed wherever they do not stand in code."""

import html
import re
from collections.abc import Callable

# Texts are anyone's, so each pattern takes linear time: none reads on beyond the next tag's opening, and none goes back over what it read.
_ATTRIBUTE = re.compile(r"""(?<![\w-])([\w-]++)=(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`|'([^']*)'|(\S+))""")
_HUGO_OPENING = r"\{\{[<%]"
HUGO_TAG = re.compile(
    r"\{\{([<%])\s*+(/?)\s*+([\w./-]*+)"
    rf"((?:\"(?:\\[\"\\]|(?!{_HUGO_OPENING})[^\"])*+\"|`(?:(?!{_HUGO_OPENING})[^`])*+`|\\[\"\\]|(?!{_HUGO_OPENING}|[>%]\}}\}}).)*+)"
    r"[>%]\}\}",
    re.DOTALL,
)
_ESCAPED = re.compile(rf"{_HUGO_OPENING}/\*(?:(?!{_HUGO_OPENING}/\*).)*?\*/[>%]\}}\}}", re.DOTALL)
_COMMENT = re.compile(
    r"\{\{[<%]\s*comment\s*[>%]\}\}(?:(?!\{\{[<%]\s*comment\b).)*?\{\{[<%]\s*/comment\s*[>%]\}\}"
    r"|\{%-?\s*comment\s*-?%\}(?:(?!\{%-?\s*comment\b).)*?\{%-?\s*endcomment\s*-?%\}"
    r"|\{#(?:(?!\{#)[^\n])*?#\}",
    re.DOTALL,
)
_LIQUID = re.compile(r"\{%-?\s*+(\w*+)((?:(?!\n\n|\{%).)*?)-?%\}", re.DOTALL)  # no tag goes on beyond its paragraph
_OUTPUT = re.compile(r"\{\{(?:(?!\n\n|\{\{).)*?\}\}", re.DOTALL)
_ATTRIBUTES = re.compile(r"(?<![ \t])[ \t]*(?:\{#[\w-]+\}|\{:[^{}\n]*\})[ \t]*$", re.MULTILINE)
_GONE = "\x1e"
_GONE_FIRST = re.compile(rf"^([ \t>]*){_GONE}[ \t{_GONE}]*", re.MULTILINE)
_MDX_COMMENT = re.compile(r"\{/\*(?:(?!\{/\*).)*?\*/\}", re.DOTALL)
_MDX_STATEMENT = re.compile(
    r"^(?:import\s+(?:[\w*{][^\n]*?\s+from\s+)?['\"][^\n]*"
    r"|export\s+(?:const|default|function|let|var|async|\{|\*)[^\n]*(?:\n[ \t}\])][^\n]*)*)$",
    re.MULTILINE,
)
_MDX_VALUE = re.compile(r"(?<=[\w-]=)\{((?:[^{}]|\{[^{}]*\})*)\}")
_MDX_EXPRESSION = re.compile(r"(?<!\\)\{[^{}\n]*\}")
_EMBEDS = {
    "youtube": "https://www.youtube.com/watch?v=",
    "vimeo": "https://vimeo.com/",
    "gist": "https://gist.github.com/",
    "tweet": "https://twitter.com/i/status/",
    "twitter": "https://twitter.com/i/status/",
    "x": "https://x.com/i/status/",
    "instagram": "https://www.instagram.com/p/",
    "video": "",
    "audio": "",
}


def render(text: str, inline: Callable[[str], str]) -> str:
    """Hugo and Liquid tags out of a piece of Markdown that holds no code.

    Captions become ``figcaption``, videos and the like ``iframe``, highlighted code a fence; any other tag goes and what stands between a
    pair of them stays.

    Args:
        text: The piece of Markdown.
        inline: Renders a caption's inline Markdown to HTML.
    """
    text = _COMMENT.sub("", text)
    text = _ESCAPED.sub("", text)
    text = _ATTRIBUTES.sub("", text)
    text = HUGO_TAG.sub(lambda found: _place(found, _tag(found[3], _arguments(found[4]), closing=bool(found[2]), inline=inline)), text)
    text = _LIQUID.sub(lambda found: _place(found, _liquid(found[1], found[2], inline)), text)
    # Blanks after a tag that opened a line would become an indent, and four of them code.
    return _GONE_FIRST.sub(r"\1", _OUTPUT.sub(_GONE, text)).replace(_GONE, "")


def strip_mdx(text: str) -> str:
    """Imports, exports, comments and expressions out of a piece of MDX that holds no code."""
    text = _MDX_COMMENT.sub("", text)
    text = _MDX_STATEMENT.sub("", text)
    text = _MDX_VALUE.sub('""', text)
    return _MDX_EXPRESSION.sub("", text)


def _place(found: re.Match[str], replacement: str) -> str:
    """Block-level replacements stand on lines of their own, at the indent of the tag, so that Markdown around them is still read."""
    if not replacement:
        return _GONE
    line = found.string[found.string.rfind("\n", 0, found.start()) + 1 : found.start()]
    if replacement.startswith("```"):
        return f"\n{line}{replacement}\n{line}" if not line.strip() else replacement
    return f"{replacement}\n{line}\n{line}" if not line.strip(" \t>") else replacement


def _arguments(inside: str) -> str:
    """What stands between a tag's name and its end, without the slash of one that closes itself."""
    return inside.rstrip().removesuffix("/")


def _tag(name: str, arguments: str, *, closing: bool, inline: Callable[[str], str]) -> str:
    if name == "highlight":
        return "```" if closing else f"```{(arguments.split() or [''])[0]}"
    if closing:
        return ""
    attributes = {found[1].lower(): found[2] or found[3] or found[4] or found[5] or "" for found in _ATTRIBUTE.finditer(arguments)}
    words = attributes.get("caption") or attributes.get("alt") or ""
    if name in _EMBEDS:
        positional = (_ATTRIBUTE.sub("", arguments).split() or [""])[0].strip("\"'`")
        source = _EMBEDS[name] + (attributes.get("src") or attributes.get("id") or positional)
        embed = f'<iframe src="{html.escape(source)}"></iframe>'
        return embed + _caption(words, inline) if source else _caption(words, inline)
    return _caption(words, inline)


def _caption(words: str, inline: Callable[[str], str]) -> str:
    words = " ".join(words.replace('\\"', '"').split())
    return f"<figcaption>{inline(words)}</figcaption>" if words else ""


def _liquid(name: str, arguments: str, inline: Callable[[str], str]) -> str:
    if name == "highlight":
        return f"```{(arguments.split() or [''])[0]}"
    return "```" if name == "endhighlight" else _tag(name, arguments, closing=name.startswith("end"), inline=inline)
