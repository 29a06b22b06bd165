"""The C code of a network in float32: tables of numbers, and a function a stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.engines.protocol import normalization_table
from lenet.network.architecture import Network
from lenet.network.layers import (
    AvgPool2d,
    ReLU,
    Sigmoid,
    Tanh,
)
from lenet.network.parameters import Parameters
from lenet.ship.c.plan import Activation, Stage, arena, stages
from lenet.ship.c.text import Arithmetic, stage_function

LEAST = "-3.402823466e+38f"  # FLT_MAX, negative
ACTIVATIONS = (
    """\
static float PREFIX_sigmoid(float x)
{
    const float e = PREFIX_exp(x < 0.0f ? x : -x);
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}
""",
    """\
static float PREFIX_tanh(float x)
{
    const float e = PREFIX_exp(x < 0.0f ? 2.0f * x : -2.0f * x);
    return (x < 0.0f ? e - 1.0f : 1.0f - e) / (1.0f + e);
}
""",
    """\
static inline float PREFIX_relu(float x)
{
    return x > 0.0f ? x : 0.0f;
}
""",
)


def code(prefix: str, network: Network, parameters: Parameters) -> str:
    """The tables and functions that compute the logits of a network, as C."""
    planned = stages(network)
    parts = [_input_table(prefix, network)]
    for stage in planned:
        if stage.weighted is not None:
            for what in ("weight", "bias"):
                values = parameters[f"{stage.index}.{what}"]
                parts.append(array("float", f"{prefix}_{what}_{stage.index}", floats(values)))
    used = {type(stage.activation) for stage in planned}
    for kind, text in zip((Sigmoid, Tanh, ReLU), ACTIVATIONS, strict=True):
        if kind in used:
            parts.append(text.replace("PREFIX", prefix))
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
        return activate(expression, channel) if stage.pooled_first else expression

    return Arithmetic(
        "uint8_t" if first else "float", "float", "float", LEAST, value, activate, finish
    )


def _activated(prefix: str, activation: Activation | None, expression: str) -> str:
    match activation:
        case None:
            return expression
        case ReLU():
            return f"{prefix}_relu({expression})"
        case Sigmoid():
            return f"{prefix}_sigmoid({expression})"
        case Tanh():
            return f"{prefix}_tanh({expression})"


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


def array(kind: str, name: str, texts: list[str]) -> str:
    """A constant array in C."""
    return f"static const {kind} {name}[{len(texts)}] = {{\n{lines(texts)}\n}};\n"


def floats(values: Sequence[float] | NDArray[Any]) -> list[str]:
    """float32 numbers as C writes them, in as few digits as read back to the same.

    >>> floats([np.float32(0.1), np.float32(1), np.float32(1e-8)])
    ['0.1f', '1.0f', '1e-08f']
    """
    texts = (str(np.float32(value)) for value in np.ravel(np.asarray(values, np.float32)))
    return [f"{text}f" for text in texts]


def lines(texts: list[str], width: int = 100) -> str:
    """Numbers between commas, in lines of at most ``width`` characters."""
    rows, row = [], ""
    for text in texts:
        if row and len(row) + len(text) + 2 > width:
            rows.append(row)
            row = ""
        row += f"{text}, " if row else f"  {text}, "
    return "\n".join(line.rstrip() for line in [*rows, row]).rstrip(",")
