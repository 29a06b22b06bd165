"""A network's numbers: names, shapes, first values, and what an optimiser keeps beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lenet.names import did_you_mean, known_as
from lenet.network.architecture import Network
from lenet.network.layers import (
    Activation,
    Conv2d,
    Layer,
    Linear,
    Shape,
    Weighted,
    fans,
    he_gain,
    weight_and_bias_shapes,
)

Array = NDArray[Any]
Parameters = dict[str, Array]  # keys and layouts of an nn.Sequential: "0.weight", "0.bias", …

INITIALIZATIONS = ("xavier", "xavier-linear", "torch", "he", "lecun")


@dataclass(frozen=True)
class State:
    """Everything of an engine that the next step depends on.

    ``moments`` maps the optimiser's names (``momentum_buffer``, ``exp_avg``, ``exp_avg_sq``) to
    arrays with the parameters' names and shapes; ``average`` is the moving average of the
    weights, where the optimiser keeps one.
    """

    parameters: Parameters
    moments: dict[str, Parameters] = field(default_factory=dict)
    average: Parameters | None = None
    step: int = 0

    @property
    def weights(self) -> Parameters:
        """What evaluation uses and a finished run keeps: the average where there is one."""
        return self.parameters if self.average is None else self.average


def parameter_shapes(network: Network) -> dict[str, Shape]:
    """The shape of every parameter by its name, in the order of the layers.

    >>> from lenet.network.zoo import lenet
    >>> list(parameter_shapes(lenet()).items())[:2]
    [('0.weight', (6, 1, 5, 5)), ('0.bias', (6,))]
    """
    shapes: dict[str, Shape] = {}
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Weighted):
            shapes[f"{index}.weight"], shapes[f"{index}.bias"] = weight_and_bias_shapes(layer)
    return shapes


def check_parameters(network: Network, parameters: Parameters, where: str) -> None:
    """Raise ValueError unless the names and shapes are exactly the network's."""
    shapes = parameter_shapes(network)
    missing, extra = shapes.keys() - parameters.keys(), parameters.keys() - shapes.keys()
    if missing or extra:
        raise ValueError(
            f"{where}: not the parameters of network {network.name!r}: "
            f"missing {sorted(missing) or 'none'}, unexpected {sorted(extra) or 'none'}"
        )
    for name, shape in shapes.items():
        if parameters[name].shape != shape:
            raise ValueError(
                f"{where}: {name} has shape {parameters[name].shape}, "
                f"network {network.name!r} needs {shape}"
            )


def initialize(network: Network, scheme: str, seed: int) -> Parameters:
    """First values, float32, a function of the seed alone.

    - ``xavier``: weights uniform within ±sqrt(6 / (fan_in + fan_out)), as the tutorials set them
    - ``xavier-linear``: the same for dense layers, convolutions as PyTorch leaves them: what
      tutorial 002 does, whose ``init_weights`` names no convolution
    - ``torch``: PyTorch's default, uniform within ±1 / sqrt(fan_in)
    - ``he``: normal with deviation sqrt(2 / fan_in), for ReLU
    - ``lecun``: uniform within ±2.4 / fan_in (LeCun et al. 1998, appendix A)

    Biases are PyTorch's default in all of them, uniform within ±1 / sqrt(fan_in), since the
    tutorials leave them so.
    """
    found = known_as(scheme, INITIALIZATIONS)
    if found is None:
        hint, known = did_you_mean(scheme, INITIALIZATIONS), ", ".join(INITIALIZATIONS)
        raise ValueError(f"unknown initialization {scheme!r}; {hint}choose from {known}")
    scheme = found
    random = np.random.default_rng((seed, 0))
    parameters: Parameters = {}
    shapes = parameter_shapes(network)
    for index, layer in enumerate(network.layers):
        if not isinstance(layer, Weighted):
            continue
        fan_in, fan_out = fans(layer)
        shape = shapes[f"{index}.weight"]
        if scheme == "he":
            weight = random.normal(0, math.sqrt(he_gain(_next(network, index)) / fan_in), shape)
        else:
            bound = 1 / math.sqrt(fan_in)
            if scheme == "xavier" or (scheme == "xavier-linear" and isinstance(layer, Linear)):
                bound = math.sqrt(6 / (fan_in + fan_out))
            elif scheme == "lecun":
                bound = 2.4 / fan_in
            weight = random.uniform(-bound, bound, shape)
        if isinstance(layer, Conv2d) and layer.connections is not None:
            weight[connection_mask(layer) == 0] = 0
        bias_bound = 1 / math.sqrt(fan_in)
        bias = random.uniform(-bias_bound, bias_bound, shapes[f"{index}.bias"])
        parameters[f"{index}.weight"] = weight.astype(np.float32)
        parameters[f"{index}.bias"] = bias.astype(np.float32)
    return parameters


def connection_mask(layer: Conv2d) -> Array:
    """1 where an output channel sees an input channel, else 0: (out_channels, in_channels)."""
    mask = np.zeros((layer.out_channels, layer.in_channels), np.float32)
    table = layer.connections or (range(layer.in_channels),) * layer.out_channels
    for output, sources in enumerate(table):
        mask[output, list(sources)] = 1
    return mask


def existing_weights(layer: Conv2d, weight: Array) -> Array:
    """The weights (out, in, k, k) with 0 where the layer's table of connections has no kernel."""
    if layer.connections is None:
        return weight
    return np.asarray(weight * connection_mask(layer)[:, :, None, None])


def weight_mask(network: Network, layout: Layout) -> Array | None:
    """1 for each number of the flat vector, 0 for the weights that a table of connections leaves
    out, (size,) float32; None where all of them exist."""
    mask = np.ones(layout.size, np.float32)
    views = layout.views(mask)
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Conv2d) and layer.connections is not None:
            views[f"{index}.weight"][:] = connection_mask(layer)[:, :, None, None]
    return None if mask.all() else mask


def _next(network: Network, index: int) -> Layer | None:
    """The activation that a layer's outputs go through; None where weights come before one."""
    behind = (one for one in network.layers[index + 1 :] if isinstance(one, Activation | Weighted))
    return next(behind, None)


@dataclass(frozen=True)
class Layout:
    """Where each parameter lies in one flat vector, in the order of the layers."""

    shapes: dict[str, Shape]

    @staticmethod
    def of(network: Network) -> Layout:
        """The layout of a network's parameters."""
        return Layout(parameter_shapes(network))

    @property
    def size(self) -> int:
        """The length of the flat vector: all parameters together."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def slices(self) -> Iterator[tuple[str, slice, Shape]]:
        """Each parameter's name, its place in the vector, and its shape."""
        start = 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            yield name, slice(start, stop), shape
            start = stop

    def views(self, flat: Array) -> Parameters:
        """Each parameter as a view into ``flat``, (size,); writing to one writes to the other."""
        return {name: flat[place].reshape(shape) for name, place, shape in self.slices()}

    def flatten(self, parameters: Parameters, dtype: DTypeLike = np.float32) -> Array:
        """A new vector, (size,), with every parameter copied to its place."""
        flat = np.empty(self.size, dtype)
        for name, place, _ in self.slices():
            flat[place] = parameters[name].reshape(-1)
        return flat
