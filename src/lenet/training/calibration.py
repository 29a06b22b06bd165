"""Probabilities that mean something, and when a picture is none of the classes.

Both are fitted on held-out pictures, and are functions of the logits alone, so that every export
carries them.

The temperature T is the one number that all logits are divided by before the softmax; it is chosen
so that the held-out pictures are as probable as can be (C. Guo et al., "On Calibration of Modern
Neural Networks", ICML 2017). No prediction changes by it.

The familiarity of a picture is log Σ exp(logit): high where some class answers loudly, low where
none does (W. Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020). Below a
threshold that at most one in a hundred held-out pictures lies under, a picture is none of these.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet.untrusted import shown

REFUSED: Final = 0.01  # of the held-out pictures, at most
FEWEST: Final = 100  # held-out pictures, below which one in a hundred is no picture at all
MOST: Final = 10_000  # held-out pictures that the temperature is fitted on
LARGEST_TEMPERATURE: Final = 20.0  # and its reciprocal the smallest


class CalibrationError(ValueError):
    """What is no calibration, or nothing to fit one on."""


@dataclass(frozen=True)
class Calibration:
    """What turns logits into probabilities, and says "none of these"."""

    temperature: float = 1.0
    threshold: float | None = None  # of the familiarity; None: "none of these" is never said
    pictures: int = 0  # held-out pictures that both were fitted on

    def __post_init__(self) -> None:
        numbers = {"temperature": self.temperature, "threshold": self.threshold or 0.0}
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise CalibrationError(f"{name} is {shown(value)}, must be a number")
            if not math.isfinite(value) or (name == "temperature" and value <= 0):
                kind = "a positive number" if name == "temperature" else "finite"
                raise CalibrationError(f"{name} is {shown(value)}, must be {kind}")
        if type(self.pictures) is not int or self.pictures < 0:
            raise CalibrationError(f"pictures is {shown(self.pictures)}, must be a whole number")


def to_dict(calibration: Calibration) -> dict[str, Any]:
    """The calibration as plain values."""
    return dataclasses.asdict(calibration)


def from_dict(values: Any) -> Calibration:
    """The calibration that ``to_dict`` described. Raises CalibrationError for anything else."""
    if not isinstance(values, dict):
        raise CalibrationError(f"a calibration is {shown(values)}, must be an object")
    known = {field.name for field in dataclasses.fields(Calibration)}
    return Calibration(**{key: value for key, value in values.items() if key in known})


def of_notes(notes: Mapping[str, Any]) -> Calibration:
    """The calibration that a model's file tells; none where it tells nothing.

    Raises CalibrationError.
    """
    told = notes.get("calibration")
    return Calibration() if told is None else from_dict(told)


def fit_calibration(logits: NDArray[Any], labels: NDArray[np.int64]) -> Calibration:
    """Temperature and threshold for the logits (n, classes) of held-out pictures and their labels.

    A weak prior (log T is normal around 0) keeps the temperature near 1 where pictures are few, or
    all recognised; from a thousand on it changes nothing. With fewer than 100 pictures there is no
    threshold. Raises CalibrationError for no pictures, and where a logit is not finite.
    """
    outputs = np.asarray(logits, np.float64)
    if not len(outputs) or len(outputs) != len(labels) or not np.isfinite(outputs).all():
        raise CalibrationError(
            f"nothing to calibrate on: {len(outputs)} pictures with {len(labels)} labels, all "
            "logits must be finite"
        )
    threshold = None
    if len(outputs) >= FEWEST:
        scores = np.sort(familiarity(outputs))
        threshold = float(scores[math.floor(REFUSED * len(scores))])
    temperature = _temperature(outputs[:MOST], labels[:MOST])
    return Calibration(round(temperature, 4), threshold, len(outputs))


def probabilities(
    logits: NDArray[Any],
    calibration: Calibration = Calibration(),
) -> NDArray[np.float32]:
    """The softmax of the logits (n, classes) divided by the temperature; rows add up to one."""
    shifted = np.asarray(logits, np.float64) / calibration.temperature
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


def familiarity(logits: NDArray[Any]) -> NDArray[np.float64]:
    """log Σ exp(logit) of each picture (n,): the higher, the more like what was trained on."""
    outputs = np.asarray(logits, np.float64)
    highest = outputs.max(axis=1)
    return np.asarray(highest + np.log(np.exp(outputs - highest[:, None]).sum(axis=1)))


def known(logits: NDArray[Any], calibration: Calibration) -> NDArray[np.bool_]:
    """Which pictures (n,) are of the classes; the others are "none of these"."""
    if calibration.threshold is None:
        return np.ones(len(logits), np.bool_)
    return np.asarray(familiarity(logits) >= calibration.threshold)


def _temperature(outputs: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature at the minimum, to four digits: a grid, then golden sections."""
    relative = outputs - outputs[np.arange(len(outputs)), labels][:, None]  # (n, classes)

    def loss(log_t: float) -> float:
        return float(familiarity(relative * math.exp(-log_t)).sum()) + 0.5 * log_t**2

    end = math.log(LARGEST_TEMPERATURE)
    grid = np.linspace(-end, end, 25)
    at = int(np.argmin([loss(float(place)) for place in grid]))
    low, high = float(grid[max(at - 1, 0)]), float(grid[min(at + 1, len(grid) - 1)])
    section = (math.sqrt(5) - 1) / 2
    inner, outer = high - section * (high - low), low + section * (high - low)
    losses = loss(inner), loss(outer)
    while high - low > 1e-5:
        if losses[0] < losses[1]:
            high, outer = outer, inner
            inner = high - section * (high - low)
            losses = loss(inner), losses[0]
        else:
            low, inner = inner, outer
            outer = low + section * (high - low)
            losses = losses[1], loss(outer)
    return math.exp((low + high) / 2)
