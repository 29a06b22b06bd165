"""What a request may call a server: a foreign name that points here (DNS rebinding) is refused."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Addresses:
    """What a request may call this server: the values of Host, and whether any number does."""

    hosts: frozenset[str]
    port: int
    any_number: bool = False  # bound to all interfaces, whose numbers cannot be listed

    def accept(self, host: str) -> bool:
        """Whether a Host header is of this server. A number cannot be made to point elsewhere."""
        host = host.lower()
        if host in self.hosts:
            return True
        name, colon, port = host.rpartition(":")
        if not self.any_number or not colon or port != str(self.port):
            return False
        try:
            bracketed = name.startswith("[") and name.endswith("]")
            version = ipaddress.ip_address(name[1:-1] if bracketed else name).version
        except ValueError:
            return False
        return bracketed == (version == 6)


def addresses(host: str, port: int) -> Addresses:
    """The addresses of a server that is bound to ``host``, which may be all interfaces."""
    names = {"127.0.0.1", "localhost", "[::1]"}
    everywhere = is_everywhere(host)
    if everywhere:
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    else:
        names.add(f"[{host}]" if ":" in host else host.lower())
    hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
    return Addresses(frozenset(hosts), port, everywhere)


def is_everywhere(host: str) -> bool:
    """Whether a host to bind to means all interfaces."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that is bound to ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
