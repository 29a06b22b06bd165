"""A Ray cluster, joined and left. LeNet is on each of its machines, which share no disk."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from lenet.installing import how_to_install
from lenet.untrusted import shown

REACHED_S: Final = 10.0
LARGEST_PORT: Final = 65535
RETRIES: Final = 10  # of a task whose machine or process is lost


class ClusterError(ValueError):
    """A cluster that is not there, or lost what it was to compute; the message says what to do."""


def join(address: str) -> Any:
    """The module ray, connected to the cluster at ``address``; "auto" is the one of this machine,
    or a new one of this machine alone.

    Raises ClusterError where there is none, or Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise ClusterError(f"--ray needs Ray: {how_to_install('scale')}") from None
    if address != "auto":
        _check_reachable(address)
    _keep_stdout_clean()
    try:
        _initialize(ray, address)
    except Exception as error:  # Ray raises of every kind
        raise ClusterError(f"no Ray cluster at {address}: {first_line(error)}") from None
    return ray


def leave() -> None:
    """End the connection; what still runs for it ends, too."""
    import ray

    with suppress(Exception):
        ray.shutdown()


def first_line(message: object) -> str:
    """What Ray says of an error, without where it came from and what it had in mind then."""
    return str(message).strip().split("\n")[0][:500]


def _keep_stdout_clean() -> None:
    """Let what Ray reports, such as a lost machine, go to standard error, a line each.

    It prints to standard output, in the midst of a command's JSON, twenty lines of a log with it.
    Ray has no setting for that, and a version without this function keeps its own way.
    """
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = _tell


def _tell(data: Mapping[str, Any], ignore_prefix: bool = False) -> None:
    for message in data["lines"]:
        print(f"lenet: Ray says: {first_line(message)}", file=sys.stderr)


def _check_reachable(address: str) -> None:
    """Raise ClusterError where nobody listens: Ray would try for minutes, and print it."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or len(port) > 5 or int(port) > LARGEST_PORT:
        raise ClusterError(
            f"--ray {shown(address)}: give auto, or an address such as 10.0.0.1:6379, with a port "
            f"up to {LARGEST_PORT}"
        )
    try:
        socket.create_connection((host, int(port)), timeout=REACHED_S).close()
    except OSError as error:
        raise ClusterError(
            f"no Ray cluster at {shown(address)}: {error}. 'ray start --head' on its first machine "
            "begins one and prints its address"
        ) from None


def _initialize(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": "error"}
    if address != "auto":
        ray.init(address=address, **quiet)
        return
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:
        ray.init(address="local", include_dashboard=False, **quiet)
