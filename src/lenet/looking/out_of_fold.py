"""What networks that never saw a picture make of it: k trainings, each without a k-th part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lenet import engines
from lenet.data import DataError, Split
from lenet.engines import Batches, Engine, Position
from lenet.network.architecture import Network
from lenet.network.parameters import State, initialize
from lenet.optimization import Settings
from lenet.training import check_finite, draw_epoch

STRETCH = 16_384  # pictures between two calls of on_progress
MOST_FOLDS = 100


@dataclass(frozen=True)
class OutOfFold:
    """Probabilities (n, classes) float64 by networks that were not trained on the picture."""

    train: NDArray[np.float64]  # each picture's from the one network that it was kept from
    others: list[NDArray[np.float64]]  # of each other part the mean of all networks


def folds(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """The fold of each picture (n,), from 0; every class is spread evenly over the folds."""
    ranks = np.random.default_rng((seed, 0x666C64)).random(len(labels))  # "fld"
    found = np.empty(len(labels), np.int64)
    dealt = 0
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(ranks[members], kind="stable")]
        found[members] = (np.arange(len(members)) + dealt) % count
        dealt += len(members)
    return found


def check_count(count: int, train: Split) -> None:
    """Raise DataError for a number of folds that the pictures cannot be dealt to."""
    if not 2 <= count <= min(len(train), MOST_FOLDS):
        raise DataError(
            f"{count} folds of {len(train):,} training pictures: give at least 2, at most "
            f"{min(len(train), MOST_FOLDS)}"
        )


def predict(
    network: Network,
    train: Split,
    others: Sequence[Split],
    settings: Settings,
    *,
    initialization: str = "he",
    count: int = 5,
    threads: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, all: None,
) -> OutOfFold:
    """All parts' probabilities by ``count`` networks, each trained on all but one fold of train.

    ``on_progress`` is called with the pictures trained on and their number in all. A function of
    the arguments and ``settings.seed``. Raises DataError for more folds than pictures, EngineError
    where no engine computes the network, TrainingError where a loss is not finite.
    """
    check_count(count, train)
    choice = engines.choose("auto", network, "cpu")
    engine = engines.make(choice, network, settings.optimizer, settings.objective, threads)
    fold = folds(train.labels, count, settings.seed)
    out = np.zeros((len(train), len(network.classes)))
    of_others = [np.zeros((len(part), len(network.classes))) for part in others]
    total = (count - 1) * len(train) * settings.epochs
    done = 0
    for held in range(count):
        engine.load(State(initialize(network, initialization, settings.seed)))
        kept = np.flatnonzero(fold != held)
        for trained in train_on(engine, train, kept, settings):
            done += trained
            on_progress(done, total)
        mine = np.flatnonzero(fold == held)
        for start in range(0, len(mine), STRETCH):  # of a file in memory, never all at once
            part = mine[start : start + STRETCH]
            out[part] = softmax(engine.logits(train.images[part]))
        for other, found in zip(others, of_others, strict=True):
            for start in range(0, len(other), STRETCH):
                here = slice(start, start + STRETCH)
                found[here] += softmax(engine.logits(other.images[here])) / count
    return OutOfFold(out, of_others)


def train_on(
    engine: Engine, pictures: Split, kept: NDArray[np.int64], settings: Settings
) -> Iterator[int]:
    """Train on the pictures of these indices alone; yields how many after each stretch."""
    labels, size = pictures.labels[kept], settings.batch_size
    steps = -(-len(kept) // size)
    rates = settings.schedule.learning_rates(steps, settings.epochs)
    stretch = max(1, STRETCH // size)
    height, width = pictures.images.shape[2:]
    for epoch in range(settings.epochs):
        order, table = draw_epoch(settings, labels, epoch, (height, width))
        for step in range(0, steps, stretch):
            part = slice(step * size, min((step + stretch) * size, len(kept)))
            first = epoch * steps + step
            batches = Batches(
                order=kept[order[part]],
                batch_size=size,
                learning_rates=rates[first : first + -(-(part.stop - part.start) // size)],
                augmentation=None if table is None else table[part],
                position=Position(settings.seed, epoch, part.start),
                weights=None if pictures.weights is None else pictures.weights[kept[order[part]]],
            )
            check_finite(engine.train(pictures, batches), first, rates)
            yield part.stop - part.start


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits (n, classes) as probabilities, float64, so that very small ones stay apart."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
