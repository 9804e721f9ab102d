"""The sample author, Odile Marsh, and two control voices; all of them invented for this project."""

from pathlib import Path

SAMPLE_AUTHOR = "odile-marsh"

_ROOT = Path(__file__).resolve().parent


def sample_sources() -> list[Path]:
    """The folders of the sample author: a blog's Markdown, a LinkedIn export, a Substack export."""
    author = _ROOT / "authors" / SAMPLE_AUTHOR
    return [author / "blog" / "content", author / "linkedin", author / "substack"]


def control_texts() -> dict[str, list[str]]:
    """Each control voice's name with the bodies of its pieces, in file order, without front matter."""
    return {
        folder.name: [path.read_text(encoding="utf-8").split("---\n", 2)[2].strip() for path in sorted(folder.glob("*.md"))]
        for folder in sorted((_ROOT / "controls").iterdir())
        if folder.is_dir()
    }
