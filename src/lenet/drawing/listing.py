"""Lists for a terminal of any width: columns are left out, one is wrapped; no word is cut.

Where even the fewest columns do not fit beside a long name, the name stands on a line of its own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import RenderableType

GAP = 2


@dataclass(frozen=True)
class Column:
    """A column: how it stands, and when it goes."""

    heading: str
    right: bool = False
    wrap: bool = False  # between words, down to MIN_WRAPPED cells or its longest word
    spare: int = 0  # what is not 0 is left out where there is no room, the highest first


MIN_WRAPPED = 16


def listing(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int
) -> RenderableType | str:
    """The rows as a table of at most ``width`` cells; the first column is never left out.

    Where that is impossible, a text with lines of any length.
    """
    from rich.table import Table
    from rich.text import Text

    kept = list(range(len(columns)))
    while _needed(columns, rows, kept) > width:
        spare = max(kept, key=lambda at: columns[at].spare)
        if not columns[spare].spare:
            return _paragraphs(rows, kept, width)
        kept.remove(spare)
    widths = _widths(columns, rows, kept, width)
    table = Table(box=None, pad_edge=False, padding=(0, GAP // 2), header_style="bold")
    for at, cells in zip(kept, widths, strict=True):
        column = columns[at]
        heading = textwrap.fill(column.heading, cells, break_long_words=False)
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(heading, justify=justify, no_wrap=not column.wrap, width=cells)
    for row in rows:
        table.add_row(*(Text(row[at]) for at in kept))
    return table


def _needed(columns: Sequence[Column], rows: Sequence[Sequence[str]], kept: list[int]) -> int:
    least = sum(_least(columns[at], [row[at] for row in rows]) for at in kept)
    return least + GAP * (len(kept) - 1)


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], kept: list[int], width: int
) -> list[int]:
    """The cells of each column: what it needs, and in their order what is left for the others."""
    from rich.cells import cell_len

    left = width - _needed(columns, rows, kept)
    widths = []
    for at in kept:
        cells = [row[at] for row in rows]
        least = _least(columns[at], cells)
        wanted = max(map(cell_len, (*cells, columns[at].heading)))
        more = min(max(0, wanted - least), left)
        widths.append(least + more)
        left -= more
    return widths


def _least(column: Column, cells: Sequence[str]) -> int:
    """The cells that a column takes at least, without cutting a word."""
    from rich.cells import cell_len

    longest = max(map(cell_len, cells), default=0)
    if column.wrap:
        words = [cell_len(word) for cell in cells for word in cell.split()]
        longest = min(longest, max([MIN_WRAPPED, *words]))
    return max(longest, max(map(cell_len, column.heading.split())))


def _paragraphs(rows: Sequence[Sequence[str]], kept: Sequence[int], width: int) -> str:
    """Each row's first cell on a line of its own, however long, and the others below it."""
    lines = []
    for row in rows:
        lines.append(row[0])
        for at in kept[1:]:
            lines += textwrap.wrap(
                row[at],
                width,
                initial_indent=" " * GAP,
                subsequent_indent=" " * GAP,
                break_long_words=False,  # such as a path
                break_on_hyphens=False,
            )
    return "\n".join(lines)
