"""A bar for the reading of many picture files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

FEW: Final = 2_000  # files that are read before anybody wonders


@contextmanager
def counting(what: str, total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """A function to be told how many files were read since; a bar on a terminal's stderr."""
    if not shown or total < FEW or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)
