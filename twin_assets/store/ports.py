"""Free ports on this machine."""

import socket

from twin_assets.store.errors import TwinError

HOST = "127.0.0.1"
PORTS_TRIED = 50


def is_free(port: int) -> bool:
    """Whether a server could listen on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def next_free_port(port: int, last: int | None = None) -> int:
    """The port, or the first free one after it.

    Args:
        port: The first port to try.
        last: The first port not to try; empty tries fifty.

    Raises:
        TwinError: When all of them are in use.
    """
    last = port + PORTS_TRIED if last is None else last
    for candidate in range(port, last):
        if is_free(candidate):
            return candidate
    raise TwinError(f"No free port between {port} and {last - 1}. Stop what runs there (`twin down`), or set another TWIN_*_PORT.")
