"""What an explanation of a layer speaks of: its numbers, its place, what training made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lenet.engines.numpy import saturated
from lenet.network.architecture import Network, TracedLayer, trace
from lenet.network.layers import (
    Activation,
    Conv2d,
    Dense,
    Layer,
    Weighted,
    curve,
)

if TYPE_CHECKING:
    from lenet.network.parameters import Parameters


@dataclass(frozen=True)
class Measured:
    """What a run's weights and pictures say of one layer; None where that says nothing."""

    weights: tuple[float, float] | None = None  # smallest and largest
    idle: float | None = None  # outputs that are saturated, as a share of all, 0 to 1
    dead: int | None = None  # ReLU and its kin: units that are so for every picture
    pictures: int = 0  # of which ``idle`` and ``dead`` were counted


@dataclass(frozen=True)
class LayerFacts:
    """One layer in its place."""

    row: TracedLayer
    picture: tuple[int, int]  # rows and columns of the network's input
    again: bool  # a layer of this kind came before
    first_dense: bool
    sees: str  # what its inputs speak of: "pixels", "regions" of the picture, or "all" of it
    last_dense: bool  # its outputs are the network's
    share: float  # of all parameters, 0 to 1
    measured: Measured

    @property
    def layer(self) -> Layer:
        """The layer itself."""
        return self.row.layer

    @property
    def field(self) -> tuple[int, int]:
        """Rows and columns of the picture that one output depends on, at most all of them."""
        rows, columns = self.row.receptive_field
        return min(rows, self.picture[0]), min(columns, self.picture[1])

    @property
    def sees_all(self) -> bool:
        """Whether one output depends on every row and column of the picture."""
        return self.field == self.picture

    @property
    def kept(self) -> float:
        """How many numbers leave the layer for each that enters it."""
        return math.prod(self.row.output_shape) / math.prod(self.row.input_shape)

    @property
    def covers_its_input(self) -> bool:
        """Whether a convolution's kernel is as large as the maps it gets."""
        layer = self.layer
        return isinstance(layer, Conv2d) and self.row.input_shape[1:] == (layer.kernel_size,) * 2

    @property
    def dense_parameters(self) -> int:
        """The parameters of a dense layer from the same inputs to the same outputs."""
        return (math.prod(self.row.input_shape) + 1) * math.prod(self.row.output_shape)


@dataclass(frozen=True)
class Facts:
    """A network's layers, each in its place, and sums over them."""

    network: Network
    layers: tuple[LayerFacts, ...]
    parameters: int
    dense_share: float  # of the parameters in dense layers, 0 to 1


def gather(
    network: Network,
    parameters: Parameters | None = None,
    outputs: list[NDArray[np.float32]] | None = None,
) -> Facts:
    """The facts of every layer; with a run's parameters and outputs (n, …) of each layer, theirs.

    Raises ArchitectureError where the network does not fit together.
    """
    rows = trace(network)
    total = sum(row.parameters for row in rows)
    dense = [row.index for row in rows if isinstance(row.layer, Dense)]
    in_dense = sum(row.parameters for row in rows if row.index in dense)
    facts = []
    for row in rows:
        facts.append(
            LayerFacts(
                row=row,
                picture=network.input_shape[1:],
                again=any(before.kind == row.kind for before in rows[: row.index]),
                first_dense=bool(dense) and row.index == dense[0],
                sees=_seen(rows[: row.index], network.input_shape[1:]),
                last_dense=bool(dense) and row.index == dense[-1] == rows[-1].index,
                share=row.parameters / total if total else 0.0,
                measured=_measure(row, parameters, outputs),
            )
        )
    return Facts(network, tuple(facts), total, in_dense / total if total else 0.0)


def _seen(before: tuple[TracedLayer, ...], picture: tuple[int, int]) -> str:
    field = before[-1].receptive_field if before else (1, 1)
    if field == (1, 1):
        return "pixels"
    return "all" if field[0] >= picture[0] and field[1] >= picture[1] else "regions"


def _measure(
    row: TracedLayer, parameters: Parameters | None, outputs: list[NDArray[np.float32]] | None
) -> Measured:
    if isinstance(row.layer, Weighted) and parameters is not None:
        weights = parameters[f"{row.index}.weight"]
        return Measured(weights=(float(weights.min()), float(weights.max())))
    if outputs is None or row.index == 0 or not isinstance(row.layer, Activation):
        return Measured()
    about, values = curve(row.layer), outputs[row.index]
    if not about.saturates and not about.flat_below:
        return Measured()
    idle = saturated(row.layer, outputs[row.index - 1], values)
    dead = int(idle.all(axis=0).sum()) if about.flat_below else None
    return Measured(idle=float(idle.mean()), dead=dead, pictures=len(values))
