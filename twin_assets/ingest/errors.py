"""What can go wrong with a source, said to the person who named it."""

from twin_assets.store.errors import TwinError


class SourceError(TwinError):
    """A source cannot be read as a whole: what, where, and what to do."""


class FetchError(SourceError):
    """A web address did not answer with something readable."""
