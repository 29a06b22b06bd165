"""A socket that a server of ours listens on."""

from __future__ import annotations

import socket


class ServerError(ValueError):
    """Why nothing can be served here; the message says what to do."""


def listen(host: str, port: int, backlog: int = 128) -> socket.socket:
    """A socket that listens there. Raises ServerError where that cannot be."""
    if not 0 <= port <= 65_535:
        raise ServerError(f"port {port}: give one from 1 to 65535, or 0 for any that is free")
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        listening = socket.create_server(address[:2], family=family, backlog=backlog)
        # its connections inherit it: else a body waits 40 ms for its head to be acknowledged
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "; another program listens there: give another --port" if port else ""
        raise ServerError(f"cannot listen on {host}, port {port}: {reason}{hint}") from None
