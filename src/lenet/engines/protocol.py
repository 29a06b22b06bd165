"""What every engine can do, and what goes in and out of it.

An engine is made from a network, an optimiser and an objective; it holds the weights and does
all the arithmetic of training. Engines differ in speed, not in results: they start from the same
weights, see the same pictures in the same order and drop the same units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lenet.network.architecture import Network
from lenet.network.parameters import Layout, State
from lenet.optimization import Objective


class EngineError(ValueError):
    """An engine that cannot run here, or not this network; the message says why."""


class Pictures(Protocol):
    """A data set's split, as far as an engine is concerned."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """(n, channels, height, width)"""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,), from 0 to classes - 1"""


@dataclass(frozen=True)
class Position:
    """Where in a run a stretch of training begins; decides the dropout masks."""

    seed: int
    epoch: int  # from 0
    first_sample: int  # how many pictures of this epoch came before


@dataclass(frozen=True)
class Batches:
    """A stretch of one epoch: which pictures, in which order, in steps of which size."""

    order: NDArray[np.int64]  # (n,) indices into the split
    batch_size: int
    learning_rates: NDArray[np.float64]  # (ceil(n / batch_size),) one a step
    augmentation: NDArray[np.int16] | None  # (n, 3) or more: warping.parts
    position: Position
    weights: NDArray[np.float32] | None = None  # (n,) how much each counts; None: all alike

    def steps(self) -> list[slice]:
        """The place of each step's pictures in ``order``; the last may be short."""
        starts = range(0, len(self.order), self.batch_size)
        return [slice(start, start + self.batch_size) for start in starts]


@dataclass(frozen=True)
class Metrics:
    """Sums over the pictures seen, kept a batch apart so that any grouping gives equal sums.

    Where pictures or classes have weights, a batch's loss is the weighted mean times its pictures.
    """

    losses: NDArray[np.float64]  # (batches,) the sum of the loss over each batch's pictures
    correct: int
    examples: int
    confusion: NDArray[np.int64] | None = None  # (classes, classes), rows the true class

    @property
    def loss(self) -> float:
        """The mean loss of a picture."""
        return float(self.losses.sum()) / self.examples

    @property
    def accuracy(self) -> float:
        """The share of pictures whose highest output is their class."""
        return self.correct / self.examples


@dataclass(frozen=True)
class Gradients:
    """The mean gradient over a batch: one float32 vector, and where each parameter lies in it."""

    flat: NDArray[np.float32]
    layout: Layout
    metrics: Metrics

    def named(self) -> dict[str, NDArray[np.float32]]:
        """Each parameter's gradient in its own shape, as views of the vector."""
        return self.layout.views(self.flat)


class Engine(Protocol):
    """One implementation of a network's arithmetic."""

    name: str  # "numpy", "native", "torch"
    device: str  # "cpu", "cuda", "mps"
    network: Network
    threads: int
    instruction_set: str  # what the arithmetic runs on; another one may round differently

    def load(self, state: State) -> None:
        """Take parameters, optimiser moments, step and averaged weights in, bit for bit."""

    def state(self) -> State:
        """A copy of all of that, bit for bit."""

    def train(self, split: Pictures, batches: Batches) -> Metrics:
        """One optimiser step a batch; what the network said before each step is summed."""

    def gradients(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        position: Position,
        weights: NDArray[np.float32] | None = None,
    ) -> Gradients:
        """The (weighted) mean gradient of one batch, in training mode; nothing changes."""

    def apply(self, gradients: Gradients, learning_rate: float) -> None:
        """One optimiser step with these gradients."""

    def evaluate(self, split: Pictures) -> Metrics:
        """Plain cross-entropy, accuracy and confusion; with the averaged weights if there are."""

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's outputs (n, classes), in evaluation mode, as ``evaluate`` sees them."""

    def activations(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The output of every layer, batch first, in evaluation mode, as ``evaluate`` sees it."""


def normalization_table(network: Network) -> NDArray[np.float64]:
    """The first layer's input for each value of a pixel, (channels, 256) float64.

    A table, so that every engine feeds the same numbers to its first layer.
    """
    channels = network.input_shape[0]
    mean = np.resize(network.normalization.mean, channels)[:, None]
    deviation = np.resize(network.normalization.deviation, channels)[:, None]
    return np.asarray((np.arange(256) / 255 - mean) / deviation, np.float64)


def shares(
    class_weights: Sequence[float],
    labels: NDArray[np.int64],
    weights: NDArray[np.float32] | None,
    batch_size: int,
) -> NDArray[np.float64] | None:
    """How much of its batch's mean loss each picture is, (n,); None where all are 1 / batch.

    The loss of a batch is Σ sᵢ · lossᵢ / Σ sᵢ · w[labelᵢ], s the weights of the pictures and w
    those of the classes (which are in lossᵢ already), as in PyTorch's CrossEntropyLoss. A batch
    whose weights add up to 0 teaches nothing: its shares are 0. Raises ValueError where there is
    not one weight a picture.
    """
    if weights is None and not class_weights:
        return None
    if weights is not None and weights.shape != labels.shape:
        raise ValueError(f"the weights have shape {weights.shape}, not {labels.shape}")
    each = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    counted = each * np.asarray(class_weights)[labels] if class_weights else each
    starts = np.arange(0, len(labels), batch_size)
    sums = np.repeat(np.add.reduceat(counted, starts), batch_size)[: len(labels)]
    return np.asarray(np.divide(each, sums, out=np.zeros(len(labels)), where=sums > 0))


def class_weights_of(objective: Objective, network: Network) -> tuple[float, ...]:
    """A weight for each class of the network, or none at all.

    Raises EngineError for another number of them, SettingError where they are no numbers yet.
    """
    numbers = objective.numbers
    if numbers and len(numbers) != len(network.classes):
        raise EngineError(
            f"objective.class_weights has {len(numbers)} numbers; network {network.name!r} has "
            f"{len(network.classes)} classes"
        )
    return numbers


def check_pictures(
    network: Network, images: NDArray[np.uint8], labels: NDArray[np.int64] | None = None
) -> None:
    """Raise ValueError for pictures or labels that are not the network's.

    A GPU would notice them late, and a C++ loop not at all.
    """
    if images.dtype != np.uint8 or images.shape[1:] != network.input_shape:
        raise ValueError(
            f"images are {images.dtype} {images.shape}; network {network.name!r} needs uint8 "
            f"{(len(images), *network.input_shape)}"
        )
    if labels is None:
        return
    classes = len(network.classes)
    if len(labels) != len(images):
        raise ValueError(f"{len(images)} pictures have {len(labels)} labels")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"labels go from {labels.min()} to {labels.max()}; network {network.name!r} has "
            f"classes 0 to {classes - 1}"
        )


def check_batch(batch_size: int, processes: int) -> None:
    """Raise EngineError for a batch that leaves some of the processes without a picture."""
    if batch_size < processes:
        raise EngineError(
            f"{processes} processes cannot share a batch of {batch_size}: start at most "
            f"{batch_size}, or give a larger --batch-size"
        )
