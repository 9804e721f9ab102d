"""The base of every error that is meant for the user."""


class TwinError(Exception):
    """Something the user can act on: the message says what happened, to what, and what to do."""
