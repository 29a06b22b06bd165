"""Networks to PyTorch, PyTorch's modules to networks, and modules on the native engine.

``to_torch`` is here; ``from_torch`` is in ``translation``, ``accelerate`` in ``acceleration``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import torch
from torch import nn

from lenet.network.architecture import Network, trace
from lenet.network.codes import codes_as_text
from lenet.network.layers import (
    RBF,
    AvgPool2d,
    Conv2d,
    Layer,
    Linear,
    MaxPool2d,
    ScaledTanh,
    Subsample,
    is_of_1998,
)
from lenet.network.parameters import Array, State, check_parameters
from lenet.torch import of_1998
from lenet.torch.acceleration import accelerate, accelerated
from lenet.torch.translation import Translation, UnsupportedModuleError, from_torch

__all__ = [
    "Translation",
    "UnsupportedModuleError",
    "accelerate",
    "accelerated",
    "from_torch",
    "to_torch",
]


def to_torch(network: Network, state: State | Mapping[str, Array] | None = None) -> nn.Sequential:
    """The network as PyTorch's own modules; the keys of its parameters are the network's.

    For the layers of 1998, which PyTorch lacks, it has those of ``lenet.torch.of_1998``.

    ``state`` is a run's or an engine's, of which the averaged weights are taken where there are
    any, or a mapping of arrays by the network's names; they are copied, as float32. Without one,
    PyTorch draws the first weights as it does for any module, by ``torch.manual_seed``.

    The module takes what the first layer sees: pictures (n, channels, height, width) float32,
    divided by 255 and normalised as ``network.normalization`` says.

    Raises ValueError for parameters that are not the network's.
    """
    trace(network)
    net = nn.Sequential(*map(module_of, network.layers))
    if state is not None:
        parameters = dict(state.weights if isinstance(state, State) else state)
        check_parameters(network, parameters, "to_torch")
        tensors = {
            name: torch.from_numpy(np.array(a, np.float32)) for name, a in parameters.items()
        }
        net.load_state_dict(tensors)
    return net


def module_of(layer: Layer) -> nn.Module:
    """The module that computes a layer."""
    match layer:
        case RBF():
            return of_1998.RBF(codes_as_text(layer))
        case Conv2d() | Subsample() | ScaledTanh() if is_of_1998(layer):
            name = "ConnectedConv2d" if isinstance(layer, Conv2d) else type(layer).__name__
            made: nn.Module = getattr(of_1998, name)(**vars(layer))
            return made
        case Conv2d():
            channels = layer.in_channels, layer.out_channels
            return nn.Conv2d(*channels, layer.kernel_size, layer.stride, layer.padding)
        case AvgPool2d():
            return nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding)
        case MaxPool2d():
            return nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding)
        case Linear():
            return nn.Linear(layer.in_features, layer.out_features)
        case _:  # named as there, with its arguments
            module: nn.Module = getattr(nn, type(layer).__name__)(**asdict(layer))
            return module
