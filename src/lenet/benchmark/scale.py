"""How the cost of training grows with the work: ``lenet bench --scale``.

One thing is varied at a time: the batch, the network's width, the side of its pictures, or the
threads. At each point the native engine and PyTorch eager take turns, as in ``lenet bench``, with
the multiply-adds that the threads can issue measured in the same rounds. Every point is kept in a
file when it is done, so that a benchmark that was stopped goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lenet.benchmark import measuring
from lenet.benchmark.measuring import BenchmarkError, Cell, Plan, Turns, flops_per_example
from lenet.drawing.figures import GREY, INK, PALETTE, blank, style
from lenet.files import read_bounded, write_atomically
from lenet.machine import available_cpus, processor
from lenet.network import zoo
from lenet.network.architecture import Network
from lenet.network.layers import Conv2d, Linear
from lenet.untrusted import from_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import RenderableType

TRAINERS: Final = ("native", measuring.REFERENCE)
BATCH: Final = 256  # where it is not what is varied
TITLES: Final = {
    "batch": "pictures in a batch",
    "width": "width: channels and units, times lenet's",
    "size": "side of the pictures, pixels",
    "threads": "threads",
}
POINTS: Final[Mapping[str, tuple[int, ...]]] = {
    "batch": (1, 4, 16, 64, 256, 1024, 4096, 15_000, 60_000),
    "width": (1, 2, 4, 8),
    "size": (16, 28, 56, 112),
}
QUICK: Final[Mapping[str, tuple[int, ...]]] = {
    "batch": (1, 32, 256, 4096),
    "width": (1, 4),
    "size": (28, 56),
}
LARGEST_FILE: Final = 1 << 20


@dataclass(frozen=True)
class Point:
    """One measurement to be made: what is varied, to what, and who is to train what."""

    axis: str
    value: int
    network: Network
    batch_size: int
    threads: int

    @property
    def work(self) -> tuple[Network, int, int]:
        """What is measured: points of several axes may be the same."""
        return self.network, self.batch_size, self.threads


def widened(times: int) -> Network:
    """``lenet`` with so many times its channels and units; what goes in and out stays.

    >>> widened(2).layers[0].out_channels, widened(2).layers[-1].out_features
    (12, 10)
    """
    network, layers = zoo.lenet(), []
    last = max(i for i, layer in enumerate(network.layers) if isinstance(layer, Linear))
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Conv2d):
            wide_in = layer.in_channels * (times if index else 1)
            layer = replace(layer, in_channels=wide_in, out_channels=layer.out_channels * times)
        elif isinstance(layer, Linear):
            wide_out = layer.out_features * (times if index != last else 1)
            layer = replace(layer, in_features=layer.in_features * times, out_features=wide_out)
        layers.append(layer)
    name = network.name if times == 1 else f"lenet-{times}x"
    return replace(network, name=name, layers=tuple(layers))


def points(quick: bool = False) -> tuple[Point, ...]:
    """All points of the four axes; the threads are doubled up to all CPUs that there are."""
    cpus = available_cpus()
    chosen = QUICK if quick else POINTS
    threads = sorted({cpus, *(1 << n for n in range(cpus.bit_length()) if 1 << n <= cpus)})
    return (
        *(Point("batch", size, zoo.lenet(), size, cpus) for size in chosen["batch"]),
        *(Point("width", times, widened(times), BATCH, cpus) for times in chosen["width"]),
        *(Point("size", s, zoo.lenet((1, s, s)), BATCH, cpus) for s in chosen["size"]),
        *(Point("threads", count, zoo.lenet(), BATCH, count) for count in threads),
    )


def measure(
    path: Path,
    *,
    quick: bool = False,
    seconds: float = 0.3,
    rounds: int = 5,
    tell: Callable[[int, str], None] = lambda done, what: None,
) -> dict[str, Any]:
    """The results at all points as plain values, as ``path`` holds them afterwards.

    Points that ``path`` holds already are not measured again. ``tell`` is called before each thing
    that takes time, with how many points are done. Raises BenchmarkError where ``path`` is of
    another machine or was measured otherwise; a KeyboardInterrupt leaves the points that are done.
    """
    asked = measuring.plan([*TRAINERS], ["lenet"], ["train"], [BATCH], None, seconds, rounds)
    able = asked.cells[0].trainers
    settings = {"quick": quick, "seconds": seconds, "rounds": rounds, "trainers": [*able]}
    results = _kept(path, {"cpu": processor(), "cpus": available_cpus(), **settings})
    done = {(row["axis"], row["value"]): row for row in results["points"]}
    same: dict[Any, dict[str, Any]] = {}  # by what was measured: points of several axes
    for number, point in enumerate(points(quick)):
        if (point.axis, point.value) in done:
            row = done[point.axis, point.value]
        elif point.work in same:
            row = {**same[point.work], "axis": point.axis, "value": point.value}
        else:
            row = _measured(point, able, asked, partial(tell, number))
        same[point.work] = done[point.axis, point.value] = row
        results["points"] = [*done.values()]
        write_atomically(path, (json.dumps(results, indent=1) + "\n").encode())
    return results


def _kept(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What the file holds, or the beginning of a new one."""
    if not path.exists():
        return {**settings, "points": []}
    try:
        kept = from_json(read_bounded(path, LARGEST_FILE))
        points = kept["points"]
        assert all({"axis", "value", "examples_per_s"} <= row.keys() for row in points)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
        raise BenchmarkError(f"{path} holds no results of this benchmark: remove it") from None
    for key, value in settings.items():
        if kept.get(key) != value:
            raise BenchmarkError(
                f"{path} was measured with {key} {kept.get(key)!r}, not {value!r}: remove it, or "
                "give another --out"
            )
    return dict(kept)


def _measured(
    point: Point, able: Sequence[str], asked: Plan, tell: Callable[[str], None]
) -> dict[str, Any]:
    cell = Cell(point.network, "train", point.batch_size, tuple(able))
    plan = replace(asked, cells=(cell,), threads=point.threads)
    measure_limit, instruction_set = measuring.limit_of(plan)
    turns = Turns(cell)
    with closing(turns.take(plan, measure_limit)) as steps:
        for what in steps:
            tell(f"{TITLES[point.axis].partition(':')[0]} {point.value:,}: {what}")
    rows = {row.trainer: row for row in turns.rows(point.threads)}
    native = rows.get("native")
    ratio = native.ratio if native else None
    limit = next((row.limit_gflops for row in rows.values()), None)
    flops = flops_per_example(point.network, "train")
    return {
        "axis": point.axis,
        "value": point.value,
        "network": point.network.name,
        "batch_size": point.batch_size,
        "threads": point.threads,
        "instruction_set": instruction_set,
        "flops_per_example": flops,
        "limit_examples_per_s": None if limit is None else limit * 1e9 / flops,
        "examples_per_s": {name: asdict(row.examples_per_s) for name, row in rows.items()},
        "times_torch_eager": None if ratio is None else asdict(ratio),
        "left_out": {lack.trainer: lack.why for lack in turns.left_out},
    }


# --- shown ---------------------------------------------------------------------------------------


def render(results: Mapping[str, Any]) -> RenderableType:
    """A table for each axis, at most 80 columns wide."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = [
        Text(
            f"{results['cpu']}, {results['cpus']} CPUs: training lenet, medians of "
            f"{results['rounds']} rounds of {results['seconds']:g} s"
        )
    ]
    for axis, title in TITLES.items():
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for heading in ("", "native", "torch-eager", "× eager", "low–high", "limit"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in results["points"]:
            if row["axis"] == axis:
                table.add_row(f"{row['value']:,}", *_cells(row))
        parts += [Text(), Text(f"{title}, examples/s", style="bold"), table]
    lacks = {f"{name}: {why}" for row in results["points"] for name, why in row["left_out"].items()}
    parts += [Text(f"left out somewhere: {lack}") for lack in sorted(lacks)]
    return Group(*parts)


def _cells(row: Mapping[str, Any]) -> list[str]:
    speeds, ratio, limit = (
        row["examples_per_s"],
        row["times_torch_eager"],
        row["limit_examples_per_s"],
    )
    cells = [f"{speeds[name]['median']:,.0f}" if name in speeds else "–" for name in TRAINERS]
    cells += (
        [f"{ratio['median']:.2f}", f"{ratio['min']:.2f}–{ratio['max']:.2f}"] if ratio else [""] * 2
    )
    share = speeds["native"]["median"] / limit if limit and "native" in speeds else None
    return [*cells, "" if share is None else f"{share:.0%}"]


LOOKS: Final[Mapping[str, dict[str, Any]]] = {
    "native": {"color": PALETTE["train_loss"], "linestyle": "-", "marker": "o"},
    "torch-eager": {"color": PALETTE["train_acc"], "linestyle": "--", "marker": "s"},
}
NAMES: Final = {"native": "native engine", "torch-eager": "PyTorch eager"}


def figure(results: Mapping[str, Any]) -> Figure:
    """Examples/s over what is varied, a panel each: engine, eager PyTorch, and the limit."""
    with style([]):
        drawn = blank(8.6, 6.6)
        for index, (axis, title) in enumerate(TITLES.items()):
            left, bottom = 0.085 + 0.5 * (index % 2), 0.56 - 0.47 * (index // 2)
            axes = drawn.add_axes((left, bottom, 0.395, 0.345))
            _panel(axes, [row for row in results["points"] if row["axis"] == axis], title)
        handles, labels = drawn.axes[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.075, 0.955), ncols=3)
        drawn.text(
            0.085,
            0.968,
            f"Training lenet, examples/s; {results['cpu']}, {results['cpus']} CPUs",
            fontsize=10.5,
            weight="bold",
            color=INK,
        )
    return drawn


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    for name, look in LOOKS.items():
        there = [row for row in rows if name in row["examples_per_s"]]
        xs = [row["value"] for row in there]
        low, middle, high = (
            [row["examples_per_s"][name][key] for row in there] for key in ("min", "median", "max")
        )
        axes.plot(xs, middle, markersize=4.0, label=NAMES[name], **look)
        axes.fill_between(xs, low, high, color=look["color"], alpha=0.15, linewidth=0)
    limits = [(row["value"], row["limit_examples_per_s"]) for row in rows]
    limits = [(value, limit) for value, limit in limits if limit]
    if limits:
        axes.plot(*zip(*limits, strict=True), color=GREY, linestyle=":", label="limit of the cores")
    values = sorted({row["value"] for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(values)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, at: _short(value)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, at: _short(value)))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, at: ""))
    axes.set_xlabel(title)


def _short(value: float) -> str:
    """A number in the room that a tick has: 4096 is 4k."""
    return f"{value / 1000:.0f}k" if value >= 1000 else f"{value:g}"
