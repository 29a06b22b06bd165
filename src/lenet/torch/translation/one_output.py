"""Modules with one output, z, as networks, which have at least two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lenet.network.layers import Conv2d, Layer, Linear, Sigmoid
from lenet.network.parameters import Array, Parameters

SQUEEZE, SQUEEZE_CLASSES = "squeeze", "squeeze(1)"  # (n, 1) to (n,), the first (1, 1) to ()
SINGLE = ("", SQUEEZE, SQUEEZE_CLASSES)  # what may come last where there is one output


def widened(layers: tuple[Layer, ...]) -> tuple[tuple[Layer, ...], int | None]:
    """The layers with one more output in front of the only one, and where that begins.

    None, and the layers as they are, where the last layer with parameters has several outputs. With
    zeros as its further parameters (``with_zeros``) nothing else in the network changes.
    """
    for index in reversed(range(len(layers))):
        match layers[index]:
            case Linear(out_features=1) as last:
                wide: Layer = replace(last, out_features=2)
            case Conv2d(out_channels=1) as last:
                wide = replace(last, out_channels=2)
            case Linear() | Conv2d():
                break
            case _:
                continue
        return (*layers[:index], wide, *layers[index + 1 :]), index
    return layers, None


def with_zeros(parameters: Mapping[str, Array], index: int | None) -> Parameters:
    """The parameters of widened layers: a row of zeros before that of layer ``index``."""
    names = () if index is None else (f"{index}.weight", f"{index}.bias")
    rows = {
        name: np.concatenate([np.zeros_like(parameters[name]), parameters[name]]) for name in names
    }
    return {**parameters, **rows}


def for_two_classes(
    layers: tuple[Layer, ...], final: str, parameters: Parameters
) -> tuple[tuple[Layer, ...], Parameters]:
    """The layers and parameters, where they end with one output z as the logits 0 and z.

    A sigmoid behind that output is left out: it is the softmax of the two.
    """
    left = layers[:-1] if layers[-1:] == (Sigmoid(),) else layers
    last = left[-1] if left else None
    if not isinstance(last, Linear) or last.out_features != 1 or final not in SINGLE:
        return layers, parameters
    wide, index = widened(left)
    return wide, with_zeros(parameters, index)
