"""One training over many processes: each computes its part of every batch.

A step is: each process computes the gradient of its part of the batch with an engine of its own;
the gradients are averaged over all of them; each applies the same average to the same weights.
So the batch, and the result but for rounding, are those of one process.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lenet.engines.group import Float32, Group
from lenet.engines.numpy import augment
from lenet.engines.protocol import (
    Batches,
    Engine,
    EngineError,
    Gradients,
    Metrics,
    Pictures,
    Position,
    class_weights_of,
)
from lenet.network.parameters import Layout, State
from lenet.optimization import Objective

PIECE = 1024  # pictures evaluated by one process; a multiple of every engine's own chunks
SPLITS = 4  # data sets whose own part is kept: an engine knows them again by their arrays


@dataclass(frozen=True)
class Part:
    """A stretch of a split; see ``Pictures``."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class DistributedEngine:
    """See ``lenet.engines.Engine``: an engine that does its process's part of the work.

    ``train`` and ``evaluate`` must be called by all processes of the group alike, and give the
    same in each. The other methods are the engine's own, and ask nobody.
    """

    def __init__(self, engine: Engine, group: Group, objective: Objective) -> None:
        self.engine = engine
        self.group = group
        self.name, self.device = engine.name, engine.device
        self.network, self.threads = engine.network, engine.threads
        self.instruction_set = engine.instruction_set
        self.layout = Layout.of(engine.network)
        self._class_weights = np.array(class_weights_of(objective, engine.network))
        self._parts: list[tuple[Pictures, Part]] = []

    def train(self, split: Pictures, batches: Batches) -> Metrics:
        """As one process: the losses of the whole batches, the weights after the last step.

        Raises EngineError where the processes have come to different weights.
        """
        steps = batches.steps()
        found = np.zeros(len(steps) + 2)  # losses, correct, checksum of the weights
        for step, (place, rate) in enumerate(zip(steps, batches.learning_rates, strict=True)):
            flat, found[step], correct = self._gradient(split, batches, place)
            found[-2] += correct
            average = self.group.total(flat)  # of parts that are scaled already
            metrics = Metrics(found[step : step + 1], correct, batches.batch_size)
            self.engine.apply(Gradients(average, self.layout, metrics), float(rate))
        found[-1] = self._checksum()
        everyone = np.stack(self.group.gather(found))  # (processes, …)
        losses = everyone[:, :-2].sum(0)
        if np.isfinite(losses).all():
            self._check_equal(everyone[:, -1])
        return Metrics(losses, int(everyone[:, -2].sum()), len(batches.order))

    def _gradient(
        self, split: Pictures, batches: Batches, place: slice
    ) -> tuple[Float32, float, int]:
        """This process's share of a batch's mean gradient, (size,), of its loss and its hits."""
        order = batches.order[place]
        mine = part_of(len(order), self.group)
        share, factor = self._share(
            split.labels[order], None if batches.weights is None else batches.weights[place], mine
        )
        if mine.start == mine.stop:  # of a last batch that has fewer pictures than processes
            return np.zeros(self.layout.size, np.float32), 0.0, 0
        images = split.images[order[mine]]
        if batches.augmentation is not None:
            images = augment(images, batches.augmentation[place][mine])
        at = batches.position
        gradients = self.engine.gradients(
            images,
            split.labels[order[mine]],
            Position(at.seed, at.epoch, at.first_sample + place.start + mine.start),
            None if batches.weights is None else batches.weights[place][mine],
        )
        flat = gradients.flat * np.float32(share)
        return flat, gradients.metrics.losses[0] * factor, gradients.metrics.correct

    def _share(
        self, labels: NDArray[np.int64], weights: NDArray[np.float32] | None, mine: slice
    ) -> tuple[float, float]:
        """How much of a batch's mean this part is; and what its loss counts in the batch's.

        Both are weighted means (protocol.shares), the loss times its pictures.
        """
        size = mine.stop - mine.start
        if weights is None and not len(self._class_weights):
            return size / len(labels), 1.0
        counts = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
        if len(self._class_weights):
            counts = counts * self._class_weights[labels]
        whole = counts.sum()
        share = float(counts[mine].sum() / whole) if whole > 0 else 0.0
        return share, share * len(labels) / max(size, 1)

    def _checksum(self) -> int:
        return zlib.crc32(self.layout.flatten(self.engine.state().parameters).tobytes())

    def _check_equal(self, checksums: NDArray[np.float64]) -> None:
        others = np.flatnonzero(checksums != checksums[0])
        if len(others):
            raise EngineError(
                f"process {others[0]} has come to other weights than process 0 (this is process "
                f"{self.group.rank}, on {self.instruction_set}): their processors round "
                "differently. Give all machines the same LENET_ISA, such as x86-64-v3, or take "
                "machines of one kind"
            )

    def evaluate(self, split: Pictures) -> Metrics:
        """As one process; whole chunks of the pictures, so that the sums are the same."""
        part = self._own_part(split)
        classes = len(self.network.classes)
        found = np.zeros(0)
        if len(part.labels):
            metrics = self.engine.evaluate(part)
            assert metrics.confusion is not None
            found = np.concatenate([metrics.losses, metrics.confusion.reshape(-1)])
        lengths = [int(length[0]) for length in self.group.gather(np.array([float(len(found))]))]
        padded = np.zeros(max(lengths))
        padded[: len(found)] = found
        parts = [
            numbers[:length]
            for numbers, length in zip(self.group.gather(padded), lengths, strict=True)
            if length
        ]
        losses = np.concatenate([numbers[: -(classes**2)] for numbers in parts])
        cells = np.sum([numbers[-(classes**2) :] for numbers in parts], axis=0)
        confusion = cells.astype(np.int64).reshape(classes, classes)
        return Metrics(losses, int(np.trace(confusion)), len(split.labels), confusion)

    def _own_part(self, split: Pictures) -> Part:
        """The pieces of a split that this process evaluates."""
        for held, part in self._parts:
            if held.images is split.images and held.labels is split.labels:
                return part
        pieces = part_of(-(-len(split.labels) // PIECE), self.group)
        mine = slice(pieces.start * PIECE, pieces.stop * PIECE)
        part = Part(split.images[mine], split.labels[mine])
        self._parts = [*self._parts[1 - SPLITS :], (split, part)]
        return part

    # --- the engine's own ---

    def load(self, state: State) -> None:
        self.engine.load(state)

    def state(self) -> State:
        return self.engine.state()

    def gradients(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        position: Position,
        weights: NDArray[np.float32] | None = None,
    ) -> Gradients:
        return self.engine.gradients(images, labels, position, weights)

    def apply(self, gradients: Gradients, learning_rate: float) -> None:
        self.engine.apply(gradients, learning_rate)

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.engine.logits(images)

    def activations(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        return self.engine.activations(images)


def part_of(count: int, group: Group) -> slice:
    """Which of so many things, one after the other, this process takes."""
    rank, size = group.rank, group.size
    return slice(count * rank // size, count * (rank + 1) // size)
