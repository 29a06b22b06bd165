"""The C code of a network in whole numbers of 8 bits: its tables, and a function a stage."""

from __future__ import annotations

from lenet.network.layers import (
    RBF,
    AvgPool2d,
    Conv2d,
    MaxPool2d,
    ReLU,
    curve,
)
from lenet.ship.c import tables as constants
from lenet.ship.c.numbers import array, floats
from lenet.ship.c.plan import arena
from lenet.ship.c.quantized import (
    QuantizedNetwork,
    QuantizedStage,
    Table,
    Whole,
    distance_factors,
)
from lenet.ship.c.text import INDENT, Arithmetic, function, stage_function

LEAST = "INT32_MIN"
# Right shifts of negative numbers keep the sign with every compiler that there is.
SCALED = """\
static inline int32_t PREFIX_scaled(int32_t sum, int32_t factor, int shift)
{
    return (int32_t)(((int64_t)sum * factor + ((int64_t)1 << (shift - 1))) >> shift);
}
"""
CLAMPED = """\
static inline int32_t PREFIX_clamped(int32_t value, int32_t least, int32_t most)
{
    return value < least ? least : value > most ? most : value;
}
"""
MEAN = """\
static inline int32_t PREFIX_mean(int32_t sum, int32_t count)
{
    return sum < 0 ? -((-sum + count / 2) / count) : (sum + count / 2) / count;
}
"""
# 8 bits of the argument choose an entry, 8 say how far it is to the next one.
TABLE = """\
static int32_t PREFIX_entry(const int16_t *table, int32_t argument)
{
    const int32_t at = PREFIX_clamped(argument, -32768, 32767) + 32768;
    const int16_t *entry = table + (at >> 8);
    return entry[0] + (((entry[1] - entry[0]) * (at & 255)) >> 8);
}
"""
RELU = """\
static inline int32_t PREFIX_relu(int32_t value)
{
    return value > 0 ? value : 0;
}
"""


def code(prefix: str, quantized: QuantizedNetwork) -> str:
    """The tables and functions that compute the logits of a network in int8, as C."""
    parts: list[str] = []
    tables: dict[bytes, str] = {}  # equal tables are written once
    for one in quantized.stages:
        parts += _arrays(prefix, one)
        if one.table is not None and _key(one.table) not in tables:
            name = f"{prefix}_table_{one.stage.index}"
            tables[_key(one.table)] = name
            parts.append(array("int16_t", name, [str(entry) for entry in one.table.entries]))
    zero = quantized.stages[0].input.zero
    if len(set(zero)) > 1:
        parts.append(array("int16_t", f"{prefix}_zero", [str(value) for value in zero]))
    functions = []
    for number, one in enumerate(quantized.stages):
        arithmetic = _arithmetic(prefix, one, tables)
        if isinstance(one.stage.weighted, RBF):
            body = _distances(prefix, one, one.stage.weighted)
            functions.append(function(prefix, number, one.stage, arithmetic, body))
        else:
            functions.append(stage_function(prefix, number, one.stage, arithmetic))
    written = "\n".join(functions)
    helpers = {
        "scaled": SCALED,
        "clamped": CLAMPED,
        "mean": MEAN,
        "entry": TABLE,
        "relu": RELU,
    }
    needed = {name for name in helpers if f"{prefix}_{name}(" in written}
    if "entry" in needed:
        needed.add("clamped")
    parts += [text.replace("PREFIX", prefix) for name, text in helpers.items() if name in needed]
    return "\n".join([*parts, *functions])


def memory(quantized: QuantizedNetwork) -> tuple[int, tuple[str, ...]]:
    """How many bytes the stages need, and each stage's output as C."""
    place = arena(tuple(one.stage for one in quantized.stages))
    texts = []
    for one, at in zip(quantized.stages, place.outputs, strict=True):
        text = "scratch->bytes" if not at else f"scratch->bytes + {at}"
        if one.output is None:
            text = "logits"
        elif one.output.signed:
            text = f"(int8_t *)({text})"
        texts.append(text)
    return place.size, tuple(texts)


def weight_bytes(quantized: QuantizedNetwork) -> int:
    """The bytes of the weights and biases, as the code holds them."""
    return sum(
        _kernels(one).size + 4 * one.bias.size for one in quantized.stages if one.bias is not None
    )


def _kernels(one: QuantizedStage) -> Whole:
    """The weights that there are: those that a table of connections leaves out are not written."""
    assert one.weight is not None
    conv = one.stage.weighted
    return constants.compact(one.weight, conv) if isinstance(conv, Conv2d) else one.weight


def _arrays(prefix: str, one: QuantizedStage) -> list[str]:
    index = one.stage.index
    parts = constants.tables(prefix, one.stage)
    for kind, what, values in (
        ("int8_t", "weight", None if one.bias is None else _kernels(one)),
        ("int32_t", "bias", one.bias),
        ("int32_t", "factor", one.multiplier),
    ):
        if values is not None:
            texts = [str(value) for value in values.ravel()]
            parts.append(array(kind, f"{prefix}_{what}_{index}", texts))
    if one.logit_scale is not None:
        parts.append(array("float", f"{prefix}_scale_{index}", floats(one.logit_scale)))
    if one.map is not None and one.output is not None:
        texts = [str(value) for value in one.map]
        parts.append(array(one.output.c_type, f"{prefix}_map_{index}", texts))
    return parts


def _distances(prefix: str, one: QuantizedStage, layer: RBF) -> list[str]:
    """The lines that compute the logits from the distances to codes."""
    features = layer.in_features
    twice, square, constant = floats(distance_factors(one))
    return [
        "int32_t squares = 0;",
        f"for (int i = 0; i < {features}; i++)",
        f"{INDENT}squares += in[i] * in[i];",
        f"for (int o = 0; o < {layer.out_features}; o++) {{",
        f"{INDENT}const int8_t *code = {prefix}_code_{one.stage.index} + o * {features};",
        f"{INDENT}int32_t along = 0;",
        f"{INDENT}for (int i = 0; i < {features}; i++)",
        f"{INDENT * 2}along += in[i] * code[i];",
        f"{INDENT}out[o] = (float)along * {twice} - (float)squares * {square} - {constant};",
        "}",
    ]


def _key(table: Table) -> bytes:
    return table.entries.tobytes()


def _arithmetic(prefix: str, one: QuantizedStage, tables: dict[bytes, str]) -> Arithmetic:
    stage, index = one.stage, one.stage.index
    zero = one.input.zero

    def value(channel: str, at: str) -> str:
        if len(set(zero)) > 1:
            return f"(in[{at}] - {prefix}_zero[{channel}])"
        return f"(in[{at}] - {zero[0]})" if zero[0] else f"in[{at}]"

    def scaled(expression: str, channel: str) -> str:
        return f"{prefix}_scaled({expression}, {prefix}_factor_{index}[{channel}], {one.shift})"

    def rounded(expression: str, count: int) -> str:
        if one.output is not None and not one.output.signed:  # no number is negative
            return f"(({expression} + {count // 2}) / {count})"
        return f"{prefix}_mean({expression}, {count})"

    def limited(expression: str) -> str:
        assert one.output is not None
        least = -127 if one.output.signed else 0
        return f"{prefix}_clamped({expression}, {least}, {one.output.largest})"

    def activate(expression: str, channel: str) -> str:
        if one.map is not None:
            return f"{prefix}_map_{index}[(uint8_t){expression}]"
        if one.table is not None:
            name = tables[_key(one.table)]
            return f"{prefix}_entry({name}, {scaled(expression, channel)})"
        if isinstance(stage.activation, ReLU):
            return f"{prefix}_relu({expression})"
        return expression

    def finish(expression: str, channel: str) -> str:
        if one.output is None:
            return f"(float){expression} * {prefix}_scale_{index}[{channel}]"
        kind = one.output.c_type
        if one.map is not None:
            return expression
        if one.weight is None:
            assert stage.pooling is not None
            if isinstance(stage.pooling, MaxPool2d):
                return f"({kind}){expression}"
            return f"({kind}){rounded(expression, stage.pooling.kernel_size**2)}"
        if stage.pooled_first:
            expression = activate(expression, channel)
        if one.table is not None:
            count = 1 << one.table.shift
            if isinstance(stage.pooling, AvgPool2d) and not stage.pooled_first:
                count *= stage.pooling.kernel_size**2
            number = rounded(expression, count)
            if stage.activation is not None and not curve(stage.activation).saturates:
                number = limited(number)  # its table goes a little beyond what was seen
            return f"({kind}){number}"
        number = scaled(expression, channel)
        return f"({kind}){limited(number)}"

    output = "float" if one.output is None else one.output.c_type
    return Arithmetic(one.input.c_type, output, "int32_t", LEAST, value, activate, finish)
