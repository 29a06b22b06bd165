"""The benchmark's results as JSON and as tables."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from itertools import compress
from typing import TYPE_CHECKING, Any

from lenet.benchmark.measuring import (
    COMPILED,
    REFERENCE,
    Results,
    Row,
    flops_per_example,
    sentences,
)
from lenet.benchmark.trainers import TORCH_LIMITS
from lenet.machine import available_cpus, processor
from lenet.network.architecture import Network
from lenet.network.layers import show_shape
from lenet.system import command_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

# --- as JSON -----------------------------------------------------------------------------------


def to_json(results: Results) -> dict[str, Any]:
    """The results as plain values for ``--json``. Keys may be added, but none change or go.

    - ``limit_gflops``: the multiply-adds that the threads can issue, two operations each, in 10⁹
      operations a second, the median of all rounds; null without the native module
    - ``rows``: ``task``, ``trainer``, ``network``, ``batch_size``, ``threads``,
      ``examples_per_s`` (median, min, max), ``share_of_limit`` (0 to 1, or null),
      ``flops_per_example``, ``limit_gflops`` (the median of this cell's rounds, or null),
      ``times_torch_eager`` and ``times_torch_compile`` (median, min, max of the rounds' ratios,
      or null),
      ``median_latency_us`` (for one-picture, else null), ``instruction_set``, ``rounds`` (the
      examples/s of each)
    - ``left_out``: ``trainer`` and ``why``
    - ``instruction_set`` (that the limit is of), ``pictures`` (by network), ``machine``, ``cpu``,
      ``cpus``, ``versions``, ``load_average`` (before the start), ``threads``, ``seconds``,
      ``rounds``, ``command``, ``interrupted``
    """
    plan = results.plan
    return {
        "limit_gflops": results.limit_gflops,
        "rows": [_row_to_json(row) for row in results.rows],
        "left_out": [asdict(lack) for lack in results.left_out],
        "instruction_set": results.instruction_set,
        "pictures": results.pictures,
        "machine": platform.platform(),
        "cpu": processor(),
        "cpus": available_cpus(),
        "versions": versions(),
        "load_average": results.load_average,
        "threads": plan.threads,
        "seconds": plan.seconds,
        "rounds": plan.rounds,
        "command": command_line(["lenet", *sys.argv[1:]]),
        "interrupted": results.interrupted,
    }


def _row_to_json(row: Row) -> dict[str, Any]:
    return {
        "task": row.cell.task,
        "trainer": row.trainer,
        "network": row.cell.network.name,
        "batch_size": row.cell.batch_size,
        "threads": row.threads,
        "examples_per_s": asdict(row.examples_per_s),
        "share_of_limit": row.share_of_limit,
        "flops_per_example": row.flops_per_example,
        "limit_gflops": row.limit_gflops,
        "times_torch_eager": None if row.ratio is None else asdict(row.ratio),
        "times_torch_compile": (
            None if row.ratio_to_compiled is None else asdict(row.ratio_to_compiled)
        ),
        "median_latency_us": row.median_latency_us,
        "instruction_set": row.instruction_set,
        "rounds": [speed.examples_per_s for speed in row.speeds],
    }


def versions() -> dict[str, str]:
    """What decides the speeds, besides the machine."""
    names = ["lenet", "numpy"] + (["torch"] if find_spec("torch") else [])
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


# --- for the terminal --------------------------------------------------------------------------


def render(results: Results) -> RenderableType:
    """A table for each network, at most 80 columns wide, and what must be known to read it."""
    from rich.console import Group
    from rich.text import Text

    plan = results.plan
    lines = [
        f"{processor()}: {plan.threads} threads on {available_cpus()} CPUs; "
        + ", ".join(f"{name} {number}" for name, number in versions().items()),
        f"examples per second, medians of {plan.rounds} rounds of {plan.seconds:g} s, "
        "lowest and highest beside",
    ]
    parts: list[RenderableType] = [Text(line) for line in lines]
    for name in dict.fromkeys(row.cell.network.name for row in results.rows):
        rows = [row for row in results.rows if row.cell.network.name == name]
        parts += [Text(), _title(rows[0].cell.network, results.pictures[name]), _table(rows)]
    parts += [Text(), *(Text(line) for line in _notes(results))]
    return Group(*parts)


def _title(network: Network, pictures: str) -> Text:
    from rich.text import Text

    train, look = (flops_per_example(network, task) / 1e6 for task in ("train", "evaluate"))
    return Text.assemble(
        (network.name, "bold"),
        f": {show_shape(network.input_shape)}, {pictures}; "
        f"{train:.3g} MFLOP to train on one, {look:.3g} to recognise it",
    )


def _table(rows: Sequence[Row]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    columns = ["", "per s", "low–high", "µs", "× eager", "low–high", "× comp", "limit"]
    wanted = [
        *(True, True, True),
        any(row.median_latency_us for row in rows),
        *[any(row.ratio for row in rows)] * 2,
        any(row.ratio_to_compiled for row in rows),
        any(row.share_of_limit for row in rows),
    ]
    for heading in compress(columns, wanted):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    cell = None
    for row in rows:
        if row.cell != cell:
            cell = row.cell
            table.add_row(Text(cell.title, style="bold"))
        speed, ratio, compiled = row.examples_per_s, row.ratio, row.ratio_to_compiled
        itself = row.trainer == REFERENCE
        cells = [
            f" {row.trainer}",
            _figure(speed.median),
            f"{_figure(speed.min)}–{_figure(speed.max)}",
            f"{row.median_latency_us:.0f}" if row.median_latency_us else "",
            _ratio(ratio.median) if ratio else "",
            f"{_ratio(ratio.min)}–{_ratio(ratio.max)}" if ratio and not itself else "",
            _ratio(compiled.median) if compiled else "",
            "" if row.share_of_limit is None else f"{row.share_of_limit:.0%}",
        ]
        table.add_row(*compress(cells, wanted))
    return table


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}"


def _notes(results: Results) -> list[str]:
    """What stands below the tables."""
    lines = []
    if results.rows and any(row.ratio for row in results.rows):
        lines.append(f"× eager: times as fast as {REFERENCE} in the same round")
    if any(row.ratio_to_compiled for row in results.rows):
        lines.append(f"× comp: times as fast as {COMPILED} in the same round")
    if results.limit_gflops is not None:
        lines.append(
            f"limit: share of the multiply-adds that {results.plan.threads} threads can issue, "
            f"measured: {results.limit_gflops:,.0f} GFLOP/s with {results.instruction_set}"
        )
    else:
        lines.append(
            "no share of the processor's limit: the native module measures it, which is not here "
            "('lenet doctor' says why)"
        )
    isa = os.environ.get("LENET_ISA", "")
    if isa in TORCH_LIMITS:
        lines.append(f"PyTorch, too, was held to the instructions of LENET_ISA={isa}")
    lines += [f"left out: {sentence}" for sentence in sentences(results.left_out)]
    cpus = available_cpus()
    if results.load_average is not None and results.load_average > cpus / 2:
        lines.append(
            f"the machine was busy before this began (load average {results.load_average:.1f} on "
            f"{cpus} CPUs): if it still was, these figures are too low, and some more than others"
        )
    if results.interrupted:
        done = sum(len(row.speeds) for row in results.rows)
        lines.append(f"interrupted after {done} of {results.plan.measurements} measurements")
    return lines
