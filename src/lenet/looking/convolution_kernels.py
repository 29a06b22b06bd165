"""The kernels of a network's convolutions: every number, and a picture of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lenet.drawing.tensor_text import tensor_text
from lenet.language.asked import known_language
from lenet.network.architecture import Network, trace
from lenet.network.layers import Conv2d, connection_count
from lenet.network.parameters import Parameters

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class NoKernelsError(ValueError):
    """A network without convolutions was asked for its kernels."""


@dataclass(frozen=True)
class Bank:
    """The kernels of one convolution."""

    number: int  # among the convolutions, from 1, as tutorial 004 counts them
    index: int  # of the layer, from 0, as in the parameters' names
    stage: str
    layer: Conv2d
    weights: NDArray[np.float32]  # (out_channels, in_channels, k, k)

    @property
    def connected(self) -> NDArray[np.bool_]:
        """Whether an input channel (column) has a kernel for an output channel (row)."""
        if self.layer.connections is None:
            return np.ones(self.weights.shape[:2], bool)
        there = np.zeros(self.weights.shape[:2], bool)
        for output, sources in enumerate(self.layer.connections):
            there[output, list(sources)] = True
        return there


@dataclass(frozen=True)
class Kernels:
    """The kernels of all convolutions of a network; a notebook shows their picture."""

    network: str
    banks: tuple[Bank, ...]

    def __str__(self) -> str:
        return to_text(self)

    def figure(self) -> Figure:
        """Each kernel as a small map, all layers on one colour scale."""
        from lenet.drawing import maps

        grids = []
        for bank in self.banks:
            values = np.where(bank.connected[..., None, None], bank.weights, np.nan)
            count, size = connection_count(bank.layer), bank.layer.kernel_size
            low, high = _signed(np.nanmin(values)), _signed(np.nanmax(values))
            title = (
                f"{bank.stage}, layer {bank.index}: {count:,} kernels of {size}×{size}, "
                f"{low} to {high}"
            )
            grids.append(maps.Grid(title, values))
        return maps.kernel_grids(grids, f"Kernels of {self.network}", known_language(None))

    def _repr_png_(self) -> bytes:
        from lenet.drawing import figures

        return figures.encoded(self.figure(), "png", dpi=110)


def kernels(network: Network, parameters: Parameters) -> Kernels:
    """The kernels of each convolution, in order. Raises NoKernelsError where there are none."""
    banks: list[Bank] = []
    for row in trace(network):
        if isinstance(row.layer, Conv2d):
            weights = parameters[f"{row.index}.weight"]
            banks.append(Bank(len(banks) + 1, row.index, row.stage, row.layer, weights))
    if not banks:
        raise NoKernelsError(
            f"network {network.name!r} has no convolutions, so no kernels; "
            "--parameters shows the weights of its dense layers"
        )
    return Kernels(network.name, tuple(banks))


def to_text(kernels: Kernels) -> str:
    """Every number of every kernel, printed as tutorial 004 prints them."""
    parts = []
    for bank in kernels.banks:
        parts.append(f"conv layer {bank.number} kernels shape: {bank.weights.shape}")
        if bank.layer.connections is not None:
            absent = int((~bank.connected).sum())
            parts.append(f"({absent} of these kernels do not exist and stay zero)")
        parts.append(tensor_text(bank.weights))
    return "\n".join(parts)


def to_json(kernels: Kernels) -> list[dict[str, Any]]:
    """One object a convolution: ``number``, ``layer``, ``stage``, ``shape``, ``weights``."""
    return [
        {
            "number": bank.number,
            "layer": bank.index,
            "stage": bank.stage,
            "shape": list(bank.weights.shape),
            "weights": bank.weights.tolist(),
        }
        for bank in kernels.banks
    ]


def _signed(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
