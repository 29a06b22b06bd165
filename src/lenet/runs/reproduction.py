"""Recipes over several seeds, beside the figures that were published for them.

A reproduction is a folder of runs, ``d2l-0``, ``d2l-1`` …, one a seed, and the table made from
them. Begun again it goes on: finished runs are taken as they are, an interrupted one is resumed.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenet.files import write_atomically
from lenet.runs import experiments
from lenet.runs.experiments import Experiment
from lenet.runs.record import RunError, RunRecord
from lenet.runs.record import read as read_run
from lenet.system import command_line
from lenet.training import recipes
from lenet.training.recipes import Recipe

if TYPE_CHECKING:
    from rich.console import RenderableType

# What is printed of a run's last reading: its name, in a recipe's [[published]], in history.csv.
FIGURES = (
    ("train loss", "loss", "train_loss"),
    ("train accuracy", "train_acc", "train_acc"),
    ("test loss", "test_loss", "test_loss"),
    ("test accuracy", "test_acc", "test_acc"),
)
SPEED = "examples/s"

# What is run when no recipe is named. Longer ones have pages of their own: docs/1998.md, modern.md.
RECIPES = ("d2l", "d2l-adam", "d2l-max", "mnist-adamw", "quickstart")


@dataclass(frozen=True)
class Quoted:
    """A published figure and where it stands."""

    value: float
    source: str
    device: str | None = None  # of a speed


@dataclass(frozen=True)
class Row:
    """One figure of one recipe: published beside measured."""

    recipe: str
    figure: str
    published: tuple[Quoted, ...]
    measured: tuple[float, ...]  # one a seed

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.measured)

    @property
    def deviation(self) -> float | None:
        """The standard deviation (n - 1); None of a single seed."""
        return statistics.stdev(self.measured) if len(self.measured) > 1 else None


@dataclass(frozen=True)
class Table:
    """What was measured, and all that a published result must carry."""

    rows: tuple[Row, ...]
    machine: str
    versions: str
    engines: str
    data: str  # the sets, with the first digits of their pictures' SHA-256
    command: str


# --- running -----------------------------------------------------------------------------------


def reproduce(
    wanted: Sequence[Recipe],
    seeds: int,
    folder: Path,
    *,
    data_dir: Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    tell: Callable[[str], None] = lambda line: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[RunRecord]:
    """The finished runs of each recipe with seeds 0 to ``seeds`` - 1, in ``folder``.

    Where ``stop()`` comes true the run under way is left to be resumed, and those that are
    finished are returned. Raises RunError where the folder holds other runs, and as
    ``experiments.begin`` and ``Experiment.train`` do.
    """
    if seeds < 1:
        raise RunError(f"seeds is {seeds}; at least 1 is needed, and 2 for a deviation")
    finished: list[RunRecord] = []
    for recipe in wanted:
        for seed in range(seeds):
            seeded = recipes.change(recipe, "seed", seed)
            out = folder / f"{recipe.name}-{seed}"
            record = _same(out, seeded, engine) if (out / "run.json").exists() else None
            if record is None:
                begun = experiments.begin(
                    seeded,
                    out=out,
                    data_dir=data_dir,
                    engine=engine,
                    device=device,
                    threads=threads,
                )
                record = _train(begun, stop)
            elif record.status != "finished":
                record = _train(experiments.go_on(out, data_dir=data_dir, threads=threads), stop)
            if record is None:
                return finished
            finished.append(record)
            tell(f"{out.name}: {_closing(record)}")
    return finished


def _same(folder: Path, recipe: Recipe, engine: str) -> RunRecord:
    """The record of an earlier run of this very recipe; RunError where it is another's."""
    record = read_run(folder)
    if other := recipes.difference(record.recipe, recipe):
        raise RunError(f"{folder} is a run with {other}: give another folder by --out")
    if engine not in ("auto", record.info["engine"]["name"]):
        raise RunError(
            f"{folder} was trained by engine {record.info['engine']['name']}, not {engine}: give "
            "another folder by --out"
        )
    return record


def _train(experiment: Experiment, stop: Callable[[], bool]) -> RunRecord | None:
    """The record of the run once it has finished; None where it was stopped."""
    outcome = experiment.train(stop=stop)
    return read_run(experiment.run.folder) if outcome.finished else None


def _closing(record: RunRecord) -> str:
    last = record.history[-1]
    values = [(name, getattr(last, column)) for name, _, column in FIGURES]
    texts = [f"{name} {value:.4f}" for name, value in values if value is not None]
    return ", ".join([*texts, f"{record.info['outcome']['examples_per_s']:,.0f} {SPEED}"])


# --- the table ---------------------------------------------------------------------------------


def table(records: Sequence[RunRecord]) -> Table:
    """Published beside measured, a row a figure, from finished runs of any recipes."""
    rows: list[Row] = []
    for name in dict.fromkeys(record.recipe.name for record in records):
        own = [record for record in records if record.recipe.name == name]
        published = own[-1].recipe.published
        for figure, key, column in FIGURES:
            values = [getattr(record.history[-1], column) for record in own]
            if None not in values:
                rows.append(Row(name, figure, _quoted(published, key), tuple(values)))
        speeds = tuple(record.info["outcome"]["examples_per_s"] for record in own)
        rows.append(Row(name, SPEED, _quoted(published, "examples_per_s"), speeds))
    return Table(
        rows=tuple(rows),
        machine=_all(records, lambda info: info["machine"]["processor"]),
        versions=_all(records, lambda info: _pairs(info["versions"])),
        engines=_all(records, lambda info: _engine(info["engine"])),
        data=_all(records, lambda info: _data(info["data"])),
        command=command_line(["lenet", *sys.argv[1:]]),
    )


def _quoted(published: Sequence[recipes.Published], key: str) -> tuple[Quoted, ...]:
    return tuple(
        Quoted(value, row.source, row.device if key == "examples_per_s" else None)
        for row in published
        if (value := getattr(row, key)) is not None
    )


def _all(records: Sequence[RunRecord], text: Callable[[dict[str, Any]], str]) -> str:
    return "; ".join(dict.fromkeys(text(record.info) for record in records))


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _engine(engine: dict[str, Any]) -> str:
    return f"{engine['name']} on {engine['device']}, {engine['threads']} threads"


def _data(data: dict[str, Any]) -> str:
    pictures = next(iter(data["sha256"].values()))
    return f"{data['name']} (SHA-256 of the training pictures {pictures[:12]}…)"


def to_json(table: Table) -> dict[str, Any]:
    """The table as plain values, with mean and deviation of each row."""
    rows = [{**asdict(row), "mean": row.mean, "deviation": row.deviation} for row in table.rows]
    return {**asdict(table), "rows": rows}


def from_json(values: dict[str, Any]) -> Table:
    """The table that ``to_json`` wrote."""
    rows = tuple(
        Row(
            row["recipe"],
            row["figure"],
            tuple(Quoted(**quoted) for quoted in row["published"]),
            tuple(row["measured"]),
        )
        for row in values["rows"]
    )
    return Table(rows, **{key: value for key, value in values.items() if key != "rows"})


def write(table: Table, folder: Path) -> list[Path]:
    """The table's files in ``folder``: table.md and table.json."""
    contents = {
        "table.md": to_markdown(table),
        "table.json": json.dumps(to_json(table), indent=1, ensure_ascii=False) + "\n",
    }
    for name, content in contents.items():
        write_atomically(folder / name, content.encode())
    return [folder / name for name in contents]


# --- for reading -------------------------------------------------------------------------------

HEADINGS = ("recipe", "figure", "published", "measured", "n")


def cells(table: Table) -> list[tuple[str, str, str, str, str]]:
    """Each row as text, under ``HEADINGS``."""
    lines = []
    for before, row in zip((None, *table.rows), table.rows, strict=False):
        name = "" if before is not None and before.recipe == row.recipe else row.recipe
        quoted = ", ".join(_quotation(row, quoted) for quoted in row.published)
        lines.append((name, row.figure, quoted or "–", _measured(row), str(len(row.measured))))
    return lines


def _quotation(row: Row, quoted: Quoted) -> str:
    where = ", ".join(filter(None, (_short(quoted.source), quoted.device)))
    value = f"{quoted.value:,.0f}" if row.figure == SPEED else f"{quoted.value:g}"
    return f"{value} ({where})"


def _short(source: str) -> str:
    """
    >>> _short("tutorial 001"), _short("LeCun et al. 1998")
    ('001', 'LeCun et al. 1998')
    """
    return source.removeprefix("tutorial ")


def _measured(row: Row) -> str:
    if row.figure == SPEED:  # varies with what else a machine does: no bell curve
        middle = f"{statistics.median(row.measured):,.0f}"
        if row.deviation is None:
            return middle
        return f"{middle} ({min(row.measured):,.0f} to {max(row.measured):,.0f})"
    return f"{row.mean:.4f}" + ("" if row.deviation is None else f" ± {row.deviation:.4f}")


def notes(table: Table) -> list[str]:
    """What stands below the table."""
    return [
        "Measured: mean ± standard deviation (n - 1) of n seeds; for examples/s the median and the "
        "range. Nothing was chosen on the test pictures.",
        f"Machine: {table.machine}. Engine: {table.engines}.",
        f"Data: {table.data}.",
        f"Versions: {table.versions}.",
    ]


def to_markdown(table: Table) -> str:
    """The table and its notes as Markdown."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|---|---|--:|"]
    for line in cells(table):
        name, *rest = line
        lines.append("| " + " | ".join([f"`{name}`" if name else "", *rest]) + " |")
    text = [*lines, "", *(f"{note}\n" for note in notes(table)), f"`{table.command}`"]
    return "\n".join(text) + "\n"


def render(table: Table) -> RenderableType:
    """The table and its notes for a terminal."""
    from rich.console import Group
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        grid.add_column(heading, justify="right" if heading == "n" else "left")
    for line in cells(table):
        grid.add_row(*map(Text, line))
    return Group(grid, Text(), *(Text(note) for note in notes(table)))
