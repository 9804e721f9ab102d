"""Real writing, read roughly: prose lines of Markdown without code, markup and lists."""

import csv
import json
import re
from pathlib import Path

_DROPPED = re.compile(r"\A---\n.*?\n---\n|```.*?(?:```|\Z)|\{\{.*?\}\}|<[^>]+>|!\[[^\]]*\]\([^)]*\)|https?://\S+", re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_DATE = re.compile(r'^date: *"?(\d{4})', re.MULTILINE)


def prose(markdown: str) -> str:
    """Lines long enough to be sentences of the author's."""
    lines = _LINK.sub(r"\1", _DROPPED.sub("", markdown)).splitlines()
    return "\n\n".join(line for line in lines if len(line.split()) >= 12 and not re.match(r"\s*(#|>|\||    )", line))


def blog(data: Path) -> tuple[list[str], list[str]]:
    """An author's posts up to 2024, and those after."""
    posts = [path.read_text() for path in sorted((data / "blog_mtlynch" / "content").rglob("*.md"))]
    dated = sorted((found[1], prose(post)) for post in posts if (found := _DATE.search(post)))
    return [text for year, text in dated if year < "2025"], [text for year, text in dated if year >= "2025"]


def others(data: Path) -> dict[str, list[str]]:
    """Four other people's writing."""
    notes = [path for path in sorted((data / "til_simonw").rglob("*.md")) if path.parent != data / "til_simonw"]
    voices = {"simonw": [prose(path.read_text()) for path in notes]}
    with (data / "linkedin_sanand0" / "Shares.csv").open(newline="") as file:
        voices["sanand0"] = [re.sub(r'"\s*\n"', "\n", row["ShareCommentary"]) for row in csv.DictReader(file)]
    (articles,) = (data / "llm_handbook_raw").rglob("ArticleDocument.json")
    for article in json.loads(articles.read_text()):
        text = "\n".join(value for value in article["content"].values() if value)
        voices.setdefault(article["author_full_name"], []).append(prose(text))
    return voices
