"""Bytes from the first of several mirrors that sends the right ones.

A mirror can refuse, lie, hang, or trickle a byte a second so that no read ever times out. Hence
each attempt runs in a thread of its own that hands over pieces, and the caller waits for the next
piece so long and no longer. An attempt given up ends by itself: its next piece meets a closed door.
"""

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import requests

Content = TypeVar("Content")

# A mirror has to send one piece in `patience_s`: 1.6 kB/s. At that rate 30 MB take five hours.
PIECE_BYTES = 1 << 14
LIMIT_BYTES = 1 << 27


def from_mirrors(
    bases: list[str],
    file: str,
    accept: Callable[[bytes], Content],
    received: Callable[[int], None],
    patience_s: float,
) -> tuple[Content | None, list[str]]:
    """What `accept` makes of BASE/file at the first base where it does, and the others' reasons.

    `accept` raises ValueError for wrong bytes. Content is None when no base will do. A base that
    fails goes to the end of `bases`, so that the next file starts with one that works.
    `received` is told of bytes as they come, and of a negative number when they were in vain.
    """
    reasons: list[str] = []
    for base in list(bases):
        address = f"{base.rstrip('/')}/{file}"
        arrived = 0

        def count(size: int) -> None:
            nonlocal arrived
            arrived += size
            received(size)

        try:
            return accept(get(address, count, patience_s)), reasons
        except (OSError, ValueError) as error:
            received(-arrived)
            reasons.append(f"{address}: {error}")
            bases.remove(base)
            bases.append(base)
    return None, reasons


def get(address: str, received: Callable[[int], None], patience_s: float) -> bytes:
    """The bytes at an address, at most LIMIT_BYTES. Raises OSError with a reason of one line."""
    import pooch  # type: ignore[import-untyped]  # here, lest the import use up the patience

    answers: list[requests.Response] = []
    download = pooch.HTTPDownloader(
        chunk_size=PIECE_BYTES,
        timeout=patience_s,  # to connect, and between bytes
        headers={"Accept-Encoding": "identity"},  # the files are compressed already
        hooks={"response": lambda answer, **_: answers.append(answer)},
    )
    arrivals: queue.Queue[bytes | BaseException | None] = queue.Queue()
    given_up = threading.Event()

    def write(piece: bytes) -> None:
        if given_up.is_set():
            raise OSError("given up")
        arrivals.put(piece)

    def attempt() -> None:
        try:
            download(address, SimpleNamespace(write=write, flush=lambda: None), None)
            arrivals.put(None)
        except BaseException as error:
            arrivals.put(error)
        finally:
            for answer in answers:  # pooch leaves one open that it does not read to the end
                answer.close()

    threading.Thread(target=attempt, daemon=True).start()
    content = bytearray()
    try:
        while (piece := arrivals.get(timeout=patience_s)) is not None:
            if isinstance(piece, BaseException):
                raise OSError(_reason(piece))
            content += piece
            received(len(piece))
            if len(content) > LIMIT_BYTES:
                raise OSError(f"sends more than {LIMIT_BYTES:,} bytes")
    except queue.Empty:
        raise OSError(f"{len(content):,} bytes, then too little for {patience_s:g} s") from None
    finally:
        given_up.set()
    return bytes(content)


def _reason(error: BaseException) -> str:
    """One line instead of a chain of wrapped exceptions."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate was not accepted"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


@contextmanager
def progress_bar(name: str, total_bytes: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """A function to be told of bytes received; a bar on a terminal, else one plain line."""
    if not shown:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        print(f"downloading {name} ({total_bytes / 1e6:.0f} MB)", file=sys.stderr, flush=True)
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        task = progress.add_task(f"downloading {name}", total=total_bytes)
        yield lambda size: progress.advance(task, size)
