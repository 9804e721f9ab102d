"""Values out of JSON that came from outside: asked for by shape, so that whatever stands there instead is simply nothing."""

from typing import Any

_LONGEST_NUMBER = 25


def at(value: object, *path: str) -> Any:
    """What stands at the end of a path of keys; None where the path ends early."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def items(value: object) -> list[Any]:
    """The elements of a list; none of anything else."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """A text without lone halves of characters, which no file and no database takes; empty for anything else."""
    return value.encode("utf-8", errors="replace").decode() if isinstance(value, str) else ""


def number_id(value: object) -> str:
    """An id that is a number, given as text or as a number; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    if isinstance(value, int):
        return str(value) if 0 <= value < 10**_LONGEST_NUMBER else ""
    return value if value.isascii() and value.isdecimal() and len(value) <= _LONGEST_NUMBER else ""
