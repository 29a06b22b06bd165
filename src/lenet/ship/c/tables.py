"""What a layer of 1998 reads beside its weights: which kernels there are, and the codes."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.network.codes import codes
from lenet.network.layers import RBF, Conv2d
from lenet.ship.c.numbers import array
from lenet.ship.c.plan import Stage


def compact(weight: NDArray[Any], layer: Conv2d) -> NDArray[Any]:
    """The kernels (n, k, k) that a table of connections has, output channel by output channel; all
    weights where there is no table."""
    if layer.connections is None:
        return weight
    return np.concatenate(
        [weight[output, list(sources)] for output, sources in enumerate(layer.connections)]
    )


def tables(prefix: str, stage: Stage) -> list[str]:
    """The constant arrays of a stage: each kernel's input channel, and an output channel's first
    kernel; or the code of each class."""
    match stage.weighted:
        case Conv2d(connections=table) if table is not None:
            sources = [source for row in table for source in row]
            first = [0, *accumulate(map(len, table))]
            return [
                _whole(f"{prefix}_source_{stage.index}", sources),
                _whole(f"{prefix}_first_{stage.index}", first),
            ]
        case RBF() as layer:
            texts = [str(int(sign)) for sign in codes(layer).ravel()]
            return [array("int8_t", f"{prefix}_code_{stage.index}", texts)]
        case _:
            return []


def _whole(name: str, values: list[int]) -> str:
    """Numbers from 0 in the smallest type that holds them."""
    largest = max(values)
    kind = "uint8_t" if largest < 2**8 else "uint16_t" if largest < 2**16 else "int32_t"
    return array(kind, name, list(map(str, values)))
