"""What can go wrong with a source, said to the person who named it, and typed for those who count it."""

from typing import Literal

from twin_assets.store.errors import TwinError

Outcome = Literal[
    "ok",
    "missing",
    "malformed",
    "needs_login",
    "challenge",
    "forbidden",
    "refused",
    "gone",
    "rate_limited",
    "server_error",
    "timeout",
    "unreachable",
    "too_large",
    "truncated",
]
"""How a read ended.

``missing``: no such file; ``malformed``: not what its format says; ``needs_login``: an auth wall; ``challenge``: a bot check or a cookie
page; ``refused``: by robots.txt or a redirect that may not be followed; ``gone``: 404 or 410; ``truncated``: a part is missing.
"""


class SourceError(TwinError):
    """A source cannot be read as a whole: what, where, and what to do."""

    def __init__(self, message: str, outcome: Outcome = "malformed") -> None:
        super().__init__(message)
        self.outcome: Outcome = outcome


class FetchError(SourceError):
    """A web address did not answer with something readable."""

    def __init__(self, message: str, outcome: Outcome = "unreachable", status: int | None = None) -> None:
        super().__init__(message, outcome)
        self.status = status
