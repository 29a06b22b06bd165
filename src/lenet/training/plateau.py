"""Whether the loss has stayed where a network is that ignores the pictures, and for how long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lenet.optimization import Objective, Settings
from lenet.training.weighting import emphasis

LOSS_MARGIN = 0.015  # down to 2.268: so low some networks begin, by luck
ACCURACY_MARGIN = 0.75  # of chance · (1 - chance): up to 0.17 of 10 classes, 0.69 of 2
FAULT_EPOCHS = 1.5  # after the second epoch, though the first readings were still falling …
FAULT_STEPS = 100  # … but not when an epoch is a handful of steps
MANY_STEPS = 1000  # enough, whatever the epochs


class Reading(Protocol):
    """The columns of lenet.training.Reading that matter here."""

    @property
    def epoch(self) -> float: ...
    @property
    def step(self) -> int: ...
    @property
    def examples_seen(self) -> int: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def train_acc(self) -> float: ...


@dataclass(frozen=True)
class Plateau:
    """How long the loss has been no better than that of a network which ignores the pictures."""

    loss: float  # mean over the last epoch
    ignorant_loss: float  # of the best constant outputs: ln(classes) where classes are balanced
    classes: int
    epochs: float
    steps: int
    pictures: int


@dataclass(frozen=True)
class _Part:
    """The training between two readings of an epoch."""

    first_step: int
    pictures: int
    loss: float
    rounding: float  # what of the loss may be rounding: after a loss of 1e21 all of it
    accuracy: float


def find_plateau(
    history: Sequence[Reading],
    labels: NDArray[np.int64],
    classes: int,
    settings: Settings,
    weights: NDArray[np.float32] | None = None,
) -> Plateau | None:
    """The stretch up to the last reading in which nothing was learnt, or None.

    Nothing is learnt where the loss is not below that of the best constant outputs, and the
    accuracy not above that of naming the most frequent class, by more than chance explains.
    ``weights`` are those of the training pictures.
    """
    if not history:
        return None
    counted = emphasis(labels, classes, settings, weights)
    share = np.bincount(labels, counted, classes).astype(np.float64)  # (classes,)
    share = _smoothed(np.asarray(share / share.sum()), settings.objective)
    surprise = -np.log(share[share > 0] / share.sum())
    share = share[share > 0]
    ignorant_loss = float(share @ surprise)
    spread = math.sqrt(float(share @ (surprise - ignorant_loss) ** 2))  # 0 for balanced classes
    chance = float(share.max() / share.sum())
    luck = math.sqrt(chance * (1 - chance))

    def ignorant(part: _Part) -> bool:
        lowest = ignorant_loss * (1 - LOSS_MARGIN) - 3 * spread / math.sqrt(part.pictures)
        highest = chance + ACCURACY_MARGIN * luck**2 + 4 * luck / math.sqrt(part.pictures)
        return part.loss >= lowest - part.rounding and part.accuracy <= highest

    parts = list(takewhile(ignorant, reversed(_parts(history, len(labels), settings.batch_size))))
    if not parts:
        return None
    pictures = sum(part.pictures for part in parts)
    return Plateau(
        loss=history[-1].train_loss,
        ignorant_loss=ignorant_loss,
        classes=classes,
        epochs=pictures / len(labels),
        steps=history[-1].step - parts[-1].first_step,
        pictures=pictures,
    )


def _smoothed(share: NDArray[np.float64], objective: Objective) -> NDArray[np.float64]:
    """The mean target of a batch, (classes,), from the share that each class has in its mean.

    It adds up to 1 but where both labels are smoothed and classes have weights.
    """
    smoothing, classes = objective.label_smoothing, len(share)
    if not smoothing or not objective.numbers:
        return (1 - smoothing) * share + smoothing / classes
    weights = np.asarray(objective.numbers)
    # Σ of weights over the labels of a batch divides all: 1 / Σ share / w is its mean
    met = share > 0
    mean_weight = 1 / float((share[met] / weights[met]).sum())
    return (1 - smoothing) * share + smoothing / classes * weights / mean_weight


def _parts(history: Sequence[Reading], epoch_pictures: int, batch_size: int) -> list[_Part]:
    """The readings, which are means since their epoch began, as means since the one before."""
    parts = []
    before_epoch, before, loss_before, correct_before = -1, 0, 0.0, 0.0
    for reading in history:
        epoch = (reading.examples_seen - 1) // epoch_pictures
        if epoch != before_epoch:
            before_epoch, before, loss_before, correct_before = epoch, 0, 0.0, 0.0
        seen = reading.examples_seen - epoch * epoch_pictures
        loss, correct = reading.train_loss * seen, reading.train_acc * seen
        pictures = seen - before
        parts.append(
            _Part(
                first_step=reading.step - math.ceil(pictures / batch_size),
                pictures=pictures,
                loss=(loss - loss_before) / pictures,
                rounding=1e-12 * loss_before / pictures,
                accuracy=(correct - correct_before) / pictures,
            )
        )
        before, loss_before, correct_before = seen, loss, correct
    return parts


def is_long(plateau: Plateau) -> bool:
    """Whether it is time to look for a fault."""
    return plateau.steps >= MANY_STEPS or (
        plateau.steps >= FAULT_STEPS and plateau.epochs >= FAULT_EPOCHS
    )
