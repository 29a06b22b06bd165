"""How good a trained network is: loss, accuracy, each class, what is mistaken for what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lenet import engines
from lenet.data import Split
from lenet.network.architecture import Network
from lenet.network.layers import ArchitectureError, show_shape
from lenet.network.parameters import Parameters

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Mistake:
    """A picture that the network called something else than it is."""

    index: int  # in the split, from 0
    label: int
    predicted: int
    probability: float  # of the predicted class, 0 to 1
    label_probability: float  # of the true one


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network calls each picture of a split, and how surely."""

    predicted: NDArray[np.int64]  # (n,) class numbers
    probability: NDArray[np.float64]  # (n,) of the predicted class, 0 to 1
    label_probability: NDArray[np.float64]  # (n,) of the true one


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

    def f1(self, label: int) -> float | None:
        """The harmonic mean of precision and recall; None where neither has anything to count.

        0 where nothing of this class was recognised, as in scikit-learn.
        """
        total = int(self.confusion[label].sum()) + int(self.confusion[:, label].sum())
        return 2 * int(self.confusion[label, label]) / total if total else None

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have pictures: each counts alike, however rare."""
        return self._mean(self.recall)

    @property
    def macro_precision(self) -> float:
        """The mean precision of the classes that have pictures; 0 for one that was never named."""
        return self._mean(self.precision)

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that have pictures."""
        return self._mean(self.f1)

    def _mean(self, share: Callable[[int], float | None]) -> float:
        there = np.flatnonzero(self.confusion.sum(1))
        return sum(share(int(label)) or 0.0 for label in there) / len(there)

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
    engine = _engine(network, parameters, split, threads)
    metrics = engine.evaluate(split)
    assert metrics.confusion is not None  # an engine's evaluate always counts it
    return Report(split.identity, split.classes, metrics.loss, metrics.confusion)


def mistakes(
    network: Network,
    parameters: Parameters,
    split: Split,
    count: int,
    threads: int | None = None,
    temperature: float = 1.0,
) -> tuple[Mistake, ...]:
    """The ``count`` mistakes that the network was most sure of, the surest first.

    Raises as ``evaluate``, and ValueError for fewer than one.
    """
    if count < 1:
        raise ValueError(f"{count} mistakes: ask for at least 1")
    seen = predictions(network, parameters, split, threads, temperature)
    wrong = np.flatnonzero(seen.predicted != split.labels)
    chosen = wrong[np.argsort(-seen.probability[wrong], kind="stable")][:count]
    return tuple(
        Mistake(
            index=int(index),
            label=int(split.labels[index]),
            predicted=int(seen.predicted[index]),
            probability=float(seen.probability[index]),
            label_probability=float(seen.label_probability[index]),
        )
        for index in chosen
    )


def predictions(
    network: Network,
    parameters: Parameters,
    split: Split,
    threads: int | None = None,
    temperature: float = 1.0,
) -> Predictions:
    """What the network calls each picture of the split. Raises as ``evaluate``."""
    return predicted_by(_engine(network, parameters, split, threads), split, temperature)


def predicted_by(engine: engines.Engine, split: Split, temperature: float = 1.0) -> Predictions:
    """What an engine's network calls each picture of the split, at a calibration's temperature."""
    outputs = engine.logits(split.images)  # (n, classes)
    probabilities = softmax(outputs / np.float64(temperature))
    predicted = outputs.argmax(axis=1)
    each = np.arange(len(split))
    return Predictions(predicted, probabilities[each, predicted], probabilities[each, split.labels])


def softmax(outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Outputs (n, classes) as probabilities, float64, each row adding up to one."""
    shifted = outputs.astype(np.float64)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _engine(
    network: Network, parameters: Parameters, split: Split, threads: int | None
) -> engines.Engine:
    """An engine with these parameters, once the pictures and classes are known to be its own."""
    shape = split.images.shape[1:]
    if shape != network.input_shape or len(split.classes) != len(network.classes):
        raise ArchitectureError(
            f"network {network.name!r} takes pictures of {show_shape(network.input_shape)} in "
            f"{len(network.classes)} classes; these are {show_shape(shape)} in "
            f"{len(split.classes)}"
        )
    return engines.with_weights(network, parameters, threads)


def to_json(report: Report) -> dict[str, Any]:
    """The report as plain values, for ``lenet evaluate --json``."""
    return {
        "split": report.split,
        "examples": report.examples,
        "loss": report.loss,
        "accuracy": report.accuracy,
        "balanced_accuracy": report.balanced_accuracy,
        "macro_precision": report.macro_precision,
        "macro_recall": report.balanced_accuracy,
        "macro_f1": report.macro_f1,
        "classes": [
            {
                "name": name,
                "examples": int(report.confusion[label].sum()),
                "recall": report.recall(label),
                "precision": report.precision(label),
                "f1": report.f1(label),
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
        f"loss {report.loss:.4f}, accuracy {report.accuracy:.4f} on {report.examples:,} pictures; "
        f"balanced accuracy {report.balanced_accuracy:.4f}"
    )
    classes = Table(box=None, pad_edge=False, header_style="bold")
    classes.add_column("class")
    for heading in ("pictures", "precision", "recall", "F1"):
        classes.add_column(heading, justify="right")
    classes.add_column("most often mistaken for")
    for label, name in enumerate(report.classes):
        mistaken = report.mistaken_for(label)
        classes.add_row(
            Text(name),  # a stranger's text, no markup
            f"{int(report.confusion[label].sum()):,}",
            _share(report.precision(label)),
            _share(report.recall(label)),
            _share(report.f1(label)),
            Text(f"{report.classes[mistaken[0]]} ({mistaken[1]})" if mistaken else "–"),
        )
    classes.add_section()
    classes.add_row(
        "mean",
        "",
        _share(report.macro_precision),
        _share(report.balanced_accuracy),
        _share(report.macro_f1),
        "",
    )
    note = Text("recall: of its pictures so many were recognised; precision: so many were right ")
    note.append("when it was named; F1: both in one number")
    parts: list[RenderableType] = [head, Text(), classes, Text(), note]
    matrix = _matrix(report)
    if _matrix_width(report) <= width:
        parts += [Text(), Text("rows: what it is; columns: what it was called"), matrix]
    return Group(*parts)


def mistakes_to_json(mistakes: Sequence[Mistake], classes: Sequence[str]) -> list[dict[str, Any]]:
    """The mistakes as plain values: ``index``, ``label``, ``predicted``, ``probability``,
    ``label_probability``."""
    return [
        {
            "index": mistake.index,
            "label": classes[mistake.label],
            "predicted": classes[mistake.predicted],
            "probability": mistake.probability,
            "label_probability": mistake.label_probability,
        }
        for mistake in mistakes
    ]


def render_mistakes(mistakes: Sequence[Mistake], classes: Sequence[str]) -> RenderableType:
    """The mistakes as a table: which picture, what it is, what it was called, and how surely."""
    from rich.table import Table
    from rich.text import Text

    if not mistakes:
        return Text("no mistakes")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, right in (
        ("picture", True),
        ("it is", False),
        ("called", False),
        ("probability", True),
        ("of what it is", True),
    ):
        table.add_column(heading, justify="right" if right else "left")
    for mistake in mistakes:
        table.add_row(
            str(mistake.index),
            Text(classes[mistake.label]),
            Text(classes[mistake.predicted]),
            f"{mistake.probability:.4f}",
            f"{mistake.label_probability:.4f}",
        )
    return table


def _matrix(report: Report) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("")
    for name in report.classes:
        table.add_column(Text(name[:5]), justify="right")
    for label, name in enumerate(report.classes):
        counts = [str(count) if count else "·" for count in report.confusion[label]]
        counts[label] = f"[bold]{counts[label]}[/bold]"
        table.add_row(Text(name), *counts)
    return table


def _matrix_width(report: Report) -> int:
    cells = [
        max(len(name[:5]), *(len(str(count)) for count in report.confusion[:, label]))
        for label, name in enumerate(report.classes)
    ]
    return max(map(len, report.classes)) + sum(cells) + len(cells)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
