"""Whether a network is right as often as it says: the reliability diagram, and its one number.

Predictions are put into bins by their probability. Where a network says 0.8 it should be right in
80 of 100; the expected calibration error is the mean distance from that, each bin counting as many
times as it has pictures (C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017,
section 2, with 15 bins).

How well strangers are told is the area under the ROC curve of the familiarity: the share of pairs,
one of the network's own pictures and a stranger, in which its own is the more familiar one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet import engines
from lenet.data import Split
from lenet.drawing.figures import INK, blank, drawn, said, style
from lenet.network.architecture import Network
from lenet.network.layers import ArchitectureError, show_shape
from lenet.network.parameters import Parameters
from lenet.training import calibration as calibrating
from lenet.training.calibration import Calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import RenderableType

    from lenet.language.asked import Language

BINS: Final = 15
FEW: Final = 20  # pictures of a bin that tell nothing
BLUE, RED = "#0072B2", "#D55E00"


@dataclass(frozen=True)
class Bin:
    """The pictures whose predicted class got a probability in this range."""

    low: float
    high: float
    pictures: int
    confidence: float  # the mean probability; 0 where there are none
    accuracy: float  # the share that is right; 0 where there are none


@dataclass(frozen=True)
class Strangers:
    """How pictures that are none of the classes are told."""

    name: str
    pictures: int
    auroc: float  # 1: each is less familiar than every picture of the network's own; 0.5: chance
    refused: int | None  # called "none of these"; None where there is no threshold


@dataclass(frozen=True)
class Reliability:
    """What a network's probabilities are worth on some pictures."""

    split: str
    calibration: Calibration
    pictures: int
    bins: tuple[Bin, ...]  # of the calibrated probabilities
    plain_bins: tuple[Bin, ...]  # at temperature 1
    refused: int | None  # of these pictures, all of them real; None where there is no threshold
    strangers: Strangers | None = None

    @property
    def error(self) -> float:
        """The expected calibration error, 0 to 1."""
        return expected_error(self.bins)

    @property
    def plain_error(self) -> float:
        """The same at temperature 1."""
        return expected_error(self.plain_bins)


def measure(
    network: Network,
    parameters: Parameters,
    notes: Mapping[str, Any],
    split: Split,
    strangers: tuple[str, Split] | None = None,
    threads: int | None = None,
) -> Reliability:
    """What a network's probabilities are worth on a split; ``notes`` are those of its file.

    ``strangers`` are a name and pictures that are none of its classes. Raises CalibrationError for
    notes that are none, ArchitectureError where the pictures are not the network's.
    """
    calibration = calibrating.of_notes(notes)
    engine = engines.with_weights(network, parameters, threads)
    for part in (split, *(() if strangers is None else (strangers[1],))):
        if part.images.shape[1:] != network.input_shape:
            raise ArchitectureError(
                f"network {network.name!r} takes pictures of {show_shape(network.input_shape)}; "
                f"these are {show_shape(part.images.shape[1:])}"
            )
    others = None
    if strangers is not None:
        others = (strangers[0], engine.logits(strangers[1].images))
    logits = engine.logits(split.images)
    return reliability(logits, split.labels, calibration, split.identity, others)


def reliability(
    logits: NDArray[Any],
    labels: NDArray[np.int64],
    calibration: Calibration,
    split: str,
    strangers: tuple[str, NDArray[Any]] | None = None,
) -> Reliability:
    """What the probabilities of logits (n, classes) are worth, the labels being (n,).

    ``strangers`` are a name and the logits of pictures that are none of the classes.
    """
    limit = calibration.threshold
    told = None
    if strangers is not None:
        name, theirs = strangers
        told = Strangers(
            name,
            len(theirs),
            auroc(calibrating.familiarity(logits), calibrating.familiarity(theirs)),
            None if limit is None else int((~calibrating.known(theirs, calibration)).sum()),
        )
    return Reliability(
        split,
        calibration,
        len(labels),
        bins(calibrating.probabilities(logits, calibration), labels),
        bins(calibrating.probabilities(logits), labels),
        None if limit is None else int((~calibrating.known(logits, calibration)).sum()),
        told,
    )


def bins(shares: NDArray[Any], labels: NDArray[np.int64]) -> tuple[Bin, ...]:
    """The 15 bins, of equal width, of probabilities (n, classes)."""
    confidence = shares.max(axis=1).astype(np.float64)
    right = shares.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    at_least_1 = np.maximum(counts, 1)
    confidences = np.bincount(place, confidence, BINS) / at_least_1
    accuracies = np.bincount(place, right, BINS) / at_least_1
    return tuple(
        Bin(i / BINS, (i + 1) / BINS, int(counts[i]), float(confidences[i]), float(accuracies[i]))
        for i in range(BINS)
    )


def expected_error(bins: tuple[Bin, ...]) -> float:
    """The expected calibration error: mean |accuracy − confidence|, weighted by pictures."""
    total = sum(each.pictures for each in bins)
    return sum(each.pictures * abs(each.accuracy - each.confidence) for each in bins) / total


def auroc(own: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """The share of pairs in which the first is the higher; equal ones count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, own, "left") + np.searchsorted(ordered, own, "right")
    return float(below.sum()) / (2 * len(own) * len(others))


# --- to be read --------------------------------------------------------------------------------


def to_json(found: Reliability) -> dict[str, Any]:
    """The numbers as plain values, for ``lenet evaluate --calibration --json``."""
    from dataclasses import asdict

    return {
        "temperature": found.calibration.temperature,
        "threshold": found.calibration.threshold,
        "fitted_on": found.calibration.pictures,
        "pictures": found.pictures,
        "expected_calibration_error": found.error,
        "expected_calibration_error_at_temperature_1": found.plain_error,
        "refused": found.refused,
        "bins": [asdict(each) for each in found.bins],
        "strangers": None if found.strangers is None else asdict(found.strangers),
    }


def sentences(found: Reliability) -> list[str]:
    """What the numbers mean, a sentence each."""
    own = found.calibration
    if not own.pictures:
        said = [
            f"expected calibration error {found.error:.4f}. No temperature was fitted: the run "
            "held out no pictures ('lenet train --val 0.1' holds out some)"
        ]
    else:
        said = [
            f"expected calibration error {found.error:.4f}; it was {found.plain_error:.4f} before "
            f"the temperature {own.temperature:g}, fitted on {own.pictures:,} held-out pictures"
        ]
    if found.refused is not None:
        said.append(
            f'"none of these" was said of {found.refused:,} of these {found.pictures:,} pictures '
            f"({found.refused / found.pictures:.2%}), all of them real"
        )
    if (strangers := found.strangers) is not None:
        refused = (
            "" if strangers.refused is None
            else f'; "none of these" was said of {strangers.refused / strangers.pictures:.1%}'
        )  # fmt: skip
        said.append(
            f"{strangers.pictures:,} pictures of {strangers.name} as strangers: AUROC "
            f"{strangers.auroc:.4f}{refused}"
        )
    return said


def render(found: Reliability) -> RenderableType:
    """The bins that have pictures, as a table: what was said, and how often it was right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("said", "pictures", "mean said", "right"):
        table.add_column(heading, justify="right")
    for each in found.bins:
        if each.pictures:
            table.add_row(
                f"{each.low:.0%} to {each.high:.0%}",
                f"{each.pictures:,}",
                f"{each.confidence:.1%}",
                f"{each.accuracy:.1%}",
            )
    return table


def figure(found: Reliability, name: str, language: Language = "en") -> Figure:
    """The reliability diagram, calibrated and before, above how many pictures each bin has."""
    title = drawn(said(f"{name}: is it right as often as it says?", language))
    with style([title]):
        made = blank(5.4, 5.9)
        made.text(0.055, 0.955, title, fontsize=10.5, weight="bold", color=INK)
        upper = made.add_axes((0.13, 0.33, 0.82, 0.50))
        lower = made.add_axes((0.13, 0.09, 0.82, 0.16))
        _draw_bars(upper, found.bins, language)
        if found.calibration.pictures:
            before = [each for each in found.plain_bins if each.pictures >= FEW]
            upper.plot(
                [each.confidence for each in before],
                [each.accuracy for each in before],
                "o-",
                markersize=4,
                linewidth=1,
                color=RED,
                clip_on=False,
                label=said(f"at temperature 1: error {found.plain_error:.4f}", language),
            )
        even = said("as it says", language)
        upper.plot((0, 1), (0, 1), color=INK, linewidth=1, linestyle=":", label=even)
        upper.set(xlim=(0, 1), ylim=(0, 1), ylabel=said("share that is right", language))
        upper.legend(
            loc="lower left", bbox_to_anchor=(0, 1.01), frameon=False, fontsize=8.0, ncols=1
        )
        width = 1 / BINS
        counts = [each.pictures for each in found.bins]
        places = [each.low + width / 2 for each in found.bins]
        lower.bar(places, counts, 0.9 * width, color=BLUE)
        below = said("probability that it gave its answer", language)
        lower.set(xlim=(0, 1), xlabel=below, ylabel=said("pictures", language))
        lower.set_yscale("symlog", linthresh=10)
    return made


def _draw_bars(axes: Axes, bins: tuple[Bin, ...], language: Language) -> None:
    """A bar for each bin; pale where its pictures are too few to tell."""
    width = 1 / BINS
    named = f"calibrated: error {expected_error(bins):.4f}; pale: fewer than {FEW} pictures"
    named = said(named, language)
    for label, few in ((named, False), ("", True)):
        there = [each for each in bins if each.pictures and (each.pictures < FEW) == few]
        axes.bar(
            [each.low + width / 2 for each in there],
            [each.accuracy for each in there],
            0.9 * width,
            color=BLUE,
            alpha=0.3 if few else 1.0,
            label=label,
        )
