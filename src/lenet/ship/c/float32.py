"""The C code of a network in float32: tables of numbers, and a function a stage."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lenet.engines.protocol import normalization_table
from lenet.network.architecture import Network
from lenet.network.layers import Activation, AvgPool2d, Conv2d, Subsample
from lenet.network.parameters import Parameters
from lenet.ship.c.formulas import functions, name_of
from lenet.ship.c.numbers import array, floats, lines
from lenet.ship.c.plan import Stage, arena, stages
from lenet.ship.c.tables import compact, tables
from lenet.ship.c.text import Arithmetic, stage_function

LEAST = "-3.402823466e+38f"  # FLT_MAX, negative


def code(prefix: str, network: Network, parameters: Parameters) -> str:
    """The tables and functions that compute the logits of a network, as C."""
    planned = stages(network)
    parts = [_input_table(prefix, network)]
    for stage in planned:
        for row in stage.trained:
            weight, bias = (parameters[f"{row.index}.{what}"] for what in ("weight", "bias"))
            if isinstance(row.layer, Conv2d):
                weight = compact(weight, row.layer)
            parts.append(array("float", f"{prefix}_weight_{row.index}", floats(weight)))
            parts.append(array("float", f"{prefix}_bias_{row.index}", floats(bias)))
        parts += tables(prefix, stage)
    activations = (stage.activation for stage in planned)
    parts += functions(prefix, [one for one in activations if one is not None])
    same = len(_tables(network)) == 1
    for number, stage in enumerate(planned):
        parts.append(
            stage_function(prefix, number, stage, _arithmetic(prefix, stage, number == 0, same))
        )
    return "\n".join(parts)


def memory(network: Network) -> tuple[int, tuple[str, ...]]:
    """How many floats the stages need, and each stage's output as C."""
    place = arena(stages(network))
    return place.size, tuple(
        "logits" if at is None else f"scratch->values + {at}" if at else "scratch->values"
        for at in place.outputs
    )


def _arithmetic(prefix: str, stage: Stage, first: bool, same: bool) -> Arithmetic:
    def value(channel: str, index: str) -> str:
        if not first:
            return f"in[{index}]"
        return f"{prefix}_input[{'0' if same else channel}][in[{index}]]"

    def activate(expression: str, channel: str) -> str:
        return _activated(prefix, stage.activation, expression)

    def finish(expression: str, channel: str) -> str:
        if isinstance(stage.pooling, AvgPool2d):
            share = 1 / stage.pooling.kernel_size**2
            expression = f"{expression} * {floats([share])[0]}"
        if isinstance(stage.pooling, Subsample):
            index = stage.trained[-1].index
            weight, bias = (f"{prefix}_{what}_{index}[{channel}]" for what in ("weight", "bias"))
            expression = f"({expression} * {weight} + {bias})"
        return activate(expression, channel) if stage.pooled_first else expression

    return Arithmetic(
        "uint8_t" if first else "float", "float", "float", LEAST, value, activate, finish
    )


def _activated(prefix: str, activation: Activation | None, expression: str) -> str:
    return expression if activation is None else f"{name_of(prefix, activation)}({expression})"


def _tables(network: Network) -> NDArray[np.float32]:
    """What a pixel's value means to the first layer, (1 or channels, 256): one row if all agree."""
    tables = normalization_table(network).astype(np.float32)
    return tables[:1] if (tables == tables[0]).all() else tables


def _input_table(prefix: str, network: Network) -> str:
    tables = _tables(network)
    rows = [f"{{\n{lines(floats(row))}\n}}" for row in tables]
    return (
        "/* what the first layer sees for each value of a pixel: the normalization */\n"
        f"static const float {prefix}_input[{len(tables)}][256] = {{{', '.join(rows)}}};\n"
    )
