"""Past runs as a table for a terminal: what was trained, how it ended, its curve in small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lenet.data import DERIVED, KNOWN
from lenet.drawing import terminal_plot
from lenet.drawing.listing import Column, listing
from lenet.runs.record import Group, RunRecord
from lenet.untrusted import plain

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMNS = (
    Column("run"),
    Column("status"),
    Column("network", spare=3),
    Column("data", spare=4),
    Column("epochs", right=True, spare=1),
    Column("train loss", right=True, spare=6),
    Column("test acc", right=True),
    Column("test acc by epoch", spare=5),
)
CURVE_CELLS = 12


def render(
    runs: Sequence[RunRecord | Group],
    names: Sequence[str],
    width: int,
    *,
    ascii_only: bool = False,
) -> RenderableType | str:
    """The runs as a table of at most ``width`` cells; ``names`` are what to call them, in order.

    A group of runs is one row, with how many there are.
    """
    rows = [
        _group_row(run, name) if isinstance(run, Group) else _row(run, name, ascii_only)
        for run, name in zip(runs, names, strict=True)
    ]
    return listing(COLUMNS, rows, width)


def _group_row(group: Group, name: str) -> tuple[str, ...]:
    network = _one_of(group.networks)
    data = _one_of(tuple(data if data in KNOWN else Path(data).name for data in group.data))
    count = f"{group.runs:,} run{'s' if group.runs > 1 else ''}"
    return (plain(name), count, plain(network), plain(data), "–", "–", "–", "")


def _one_of(values: tuple[str, ...]) -> str:
    """The value where there is one alone."""
    return values[0] if len(values) == 1 else f"{len(values)} kinds" if values else "–"


def _row(run: RunRecord, name: str, ascii_only: bool) -> tuple[str, ...]:
    recipe, history = run.recipe, run.history
    tested = [row.test_acc for row in history if row.test_acc is not None]
    return (
        plain(name),
        run.state,
        plain(recipe.network),
        plain(recipe.data if recipe.data in {*KNOWN, *DERIVED} else Path(recipe.data).name),
        f"{history[-1].epoch:g}/{recipe.settings.epochs}" if history else "–",
        f"{history[-1].train_loss:.3f}" if history else "–",
        f"{tested[-1]:.3f}" if tested else "–",
        terminal_plot.sparkline(tested, CURVE_CELLS, ascii_only=ascii_only),
    )
