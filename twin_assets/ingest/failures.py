"""One page that cannot be read, or a whole site: when to go on, and when to stop asking."""

from twin_assets.ingest.errors import FetchError, Outcome

_ENDING: frozenset[Outcome] = frozenset({"truncated", "rate_limited", "challenge", "needs_login"})
_PASSING: frozenset[Outcome] = frozenset({"timeout", "server_error", "unreachable"})
_MOST_IN_A_ROW = 5


class Failures:
    """Watches a listing whose items are fetched one by one."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def succeeded(self) -> None:
        """An item was read."""
        self._in_a_row = 0

    def ends_reading(self, error: FetchError) -> bool:
        """Whether the site, not this one item, is what cannot be read: a limit, a wall, or nothing but faults one after the other."""
        self._in_a_row += error.outcome in _PASSING
        return error.outcome in _ENDING or self._in_a_row >= _MOST_IN_A_ROW
