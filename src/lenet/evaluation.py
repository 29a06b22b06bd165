"""How good a trained network is: loss, accuracy, each class, what is mistaken for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lenet import engines
from lenet.architecture import ArchitectureError, Network, show_shape
from lenet.data import Split
from lenet.optimization import Objective, Optimizer
from lenet.parameters import Parameters, State

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Report:
    """What a network makes of a split."""

    split: str  # the split's identity
    classes: tuple[str, ...]
    loss: float
    confusion: NDArray[np.int64]  # (classes, classes), rows the true class

    @property
    def examples(self) -> int:
        """How many pictures there were."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The share of pictures that were recognised."""
        return float(np.trace(self.confusion)) / self.examples

    def recall(self, label: int) -> float | None:
        """The share of this class's pictures that were recognised; None where it has none."""
        total = int(self.confusion[label].sum())
        return int(self.confusion[label, label]) / total if total else None

    def precision(self, label: int) -> float | None:
        """The share of what was called this class that is; None where nothing was."""
        total = int(self.confusion[:, label].sum())
        return int(self.confusion[label, label]) / total if total else None

    def mistaken_for(self, label: int) -> tuple[int, int] | None:
        """The class that this one is most often called instead, and how often; None if never."""
        others = self.confusion[label].copy()
        others[label] = 0
        most = int(others.argmax())
        return (most, int(others[most])) if others[most] else None


def evaluate(
    network: Network, parameters: Parameters, split: Split, threads: int | None = None
) -> Report:
    """What a network with these parameters makes of a split.

    Raises ArchitectureError when the pictures or classes are not the network's, EngineError when
    no engine here computes the network.
    """
    shape = split.images.shape[1:]
    if shape != network.input_shape or len(split.classes) != len(network.classes):
        raise ArchitectureError(
            f"network {network.name!r} takes pictures of {show_shape(network.input_shape)} in "
            f"{len(network.classes)} classes; these are {show_shape(shape)} in "
            f"{len(split.classes)}"
        )
    choice = engines.choose("auto", network)
    engine = engines.make(choice, network, Optimizer(), Objective(), threads)
    engine.load(State(parameters))
    metrics = engine.evaluate(split)
    assert metrics.confusion is not None  # an engine's evaluate always counts it
    return Report(split.identity, split.classes, metrics.loss, metrics.confusion)


def to_json(report: Report) -> dict[str, Any]:
    """The report as plain values, for ``lenet evaluate --json``."""
    return {
        "split": report.split,
        "examples": report.examples,
        "loss": report.loss,
        "accuracy": report.accuracy,
        "classes": [
            {
                "name": name,
                "examples": int(report.confusion[label].sum()),
                "recall": report.recall(label),
                "precision": report.precision(label),
            }
            for label, name in enumerate(report.classes)
        ],
        "confusion": report.confusion.tolist(),
    }


def render(report: Report, width: int) -> RenderableType:
    """The report as tables of at most ``width`` columns: each class, then the confusion matrix."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head = Text(
        f"loss {report.loss:.4f}, accuracy {report.accuracy:.4f} on {report.examples:,} pictures"
    )
    classes = Table(box=None, pad_edge=False, header_style="bold")
    classes.add_column("class")
    for heading in ("pictures", "recognised", "right when named"):
        classes.add_column(heading, justify="right")
    classes.add_column("most often mistaken for")
    for label, name in enumerate(report.classes):
        mistaken = report.mistaken_for(label)
        classes.add_row(
            name,
            f"{int(report.confusion[label].sum()):,}",
            _share(report.recall(label)),
            _share(report.precision(label)),
            f"{report.classes[mistaken[0]]} ({mistaken[1]})" if mistaken else "–",
        )
    parts: list[RenderableType] = [head, Text(), classes]
    matrix = _matrix(report)
    if _matrix_width(report) <= width:
        parts += [Text(), Text("rows: what it is; columns: what it was called"), matrix]
    return Group(*parts)


def _matrix(report: Report) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("")
    for name in report.classes:
        table.add_column(name[:5], justify="right")
    for label, name in enumerate(report.classes):
        counts = [str(count) if count else "·" for count in report.confusion[label]]
        counts[label] = f"[bold]{counts[label]}[/bold]"
        table.add_row(name, *counts)
    return table


def _matrix_width(report: Report) -> int:
    cells = [
        max(len(name[:5]), *(len(str(count)) for count in report.confusion[:, label]))
        for label, name in enumerate(report.classes)
    ]
    return max(map(len, report.classes)) + sum(cells) + len(cells)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
