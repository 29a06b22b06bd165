"""The loops of the C code, whatever the numbers in them are: one function a stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from lenet.network.layers import (
    RBF,
    Conv2d,
    Linear,
    MaxPool2d,
    Pooling,
    notation,
    padding_of,
    show_shape,
    stride_of,
)
from lenet.ship.c.plan import Stage

LARGEST_UNROLLED: Final = 7  # columns of a kernel that are written out
MOST_TOGETHER: Final = 28  # products that are written out where windows share a weight
INDENT: Final = "    "


@dataclass(frozen=True)
class Arithmetic:
    """What a stage computes with, as C: types, and expressions made of expressions."""

    input_type: str  # of a value that goes in
    output_type: str
    sum_type: str
    least: str  # a sum that every other one exceeds
    value: Callable[[str, str], str]  # (channel, index) -> what goes in, ready to be multiplied
    activate: Callable[[str, str], str]  # (sum, channel) -> what the pooling takes
    finish: Callable[[str, str], str]  # (what the pooling gives, channel) -> what goes out


def stage_function(prefix: str, number: int, stage: Stage, with_: Arithmetic) -> str:
    """The C function ``PREFIX_stage_NUMBER`` that computes a stage."""
    match stage.weighted:
        case Conv2d():
            body = _convolution(f"{prefix}_%s_{stage.index}", stage, stage.weighted, with_)
        case Linear():
            body = _dense(f"{prefix}_%s_{stage.index}", stage, stage.weighted, with_)
        case RBF():
            body = _distances(f"{prefix}_code_{stage.index}", stage, stage.weighted, with_)
        case _ if stage.pooling is not None:
            body = _pooling(stage, with_)
        case _:
            body = _map(stage, with_)
    return function(prefix, number, stage, with_, body)


def function(prefix: str, number: int, stage: Stage, with_: Arithmetic, body: list[str]) -> str:
    """The C function ``PREFIX_stage_NUMBER`` with these lines."""
    head = [
        f"/* {title(stage)} */",
        f"static inline void {prefix}_stage_{number}"
        f"(const {with_.input_type} *in, {with_.output_type} *out)",
        "{",
    ]
    return "\n".join([*head, *(INDENT + line for line in body), "}", ""])


def title(stage: Stage) -> str:
    """A stage's layers and shapes in one line.

    >>> from lenet.network.zoo import lenet
    >>> from lenet.ship.c.plan import stages
    >>> title(stages(lenet())[0])
    '0 Conv2d(1->6, 5x5), padding 2; 1 Sigmoid; 2 AvgPool2d(2x2): 1x28x28 -> 6x14x14'
    """
    names = []
    for row in stage.rows:
        kind, options = notation(row.layer)
        names.append(f"{row.index} {', '.join((kind, *options))}")
    shapes = f"{show_shape(stage.input_shape)} -> {show_shape(stage.output_shape)}"
    return ascii_of(f"{'; '.join(names)}: {shapes}")


def ascii_of(text: str) -> str:
    """A line of ours for a C comment: × and → have ASCII forms, and nothing ends the comment."""
    text = text.replace("×", "x").replace("→", "->").replace("·", "*").replace("−", "-")
    return (
        text.encode("ascii", "backslashreplace").decode().replace("*/", "* /").replace("/*", "/ *")
    )


def _convolution(name: str, stage: Stage, conv: Conv2d, with_: Arithmetic) -> list[str]:
    """Every output, the windows of its pooling one after the other."""
    _, height, width = stage.input_shape
    outputs, rows, columns = _pooled_shape(stage)
    k, stride, padding = conv.kernel_size, conv.stride, conv.padding
    pool = stage.pooling
    step = 1 if pool is None else stride_of(pool)
    size = 1 if pool is None else pool.kernel_size
    row, column = ("y", "x") if pool is None else (f"(y * {step} + py)", f"(x * {step} + px)")
    window = [
        f"const int top = {_place(row, stride, padding)};",
        f"const int left = {_place(column, stride, padding)};",
        _kernels(name, conv, with_),
        f"{with_.sum_type} sum = {_bias(name, conv, row, column)};",
        *_window_sum(name, conv, height, width, with_),
    ]
    if k * size * size <= MOST_TOGETHER and (pool is not None or padding):
        inner = _together(name, stage, conv, pool, window, with_)
    else:
        inner = _pooled(stage, pool, size, window, "o", with_)
    return _for("o", outputs, _for("y", rows, _for("x", columns, inner)))


def _together(
    name: str,
    stage: Stage,
    conv: Conv2d,
    pool: Pooling | None,
    window: list[str],
    with_: Arithmetic,
) -> list[str]:
    """One output: each weight is read once for all windows of its pooling, and what they share of
    the input once; at the edges, where windows reach into the padding, one after the other."""
    _, height, width = stage.input_shape
    k, stride, padding = conv.kernel_size, conv.stride, conv.padding
    size = 1 if pool is None else pool.kernel_size
    apart = 1 if pool is None else stride_of(pool)
    step = (
        stride if pool is None else stride_of(pool) * stride
    )  # rows of the input from one output to the next
    reach = k + (size - 1) * stride
    windows = [(p // size * stride, p % size * stride) for p in range(size * size)]
    sums = [f"s{p}" for p in range(len(windows))]
    places = [
        [_plus(_place(at, apart, 0), p) for at, p in zip("yx", divmod(p, size), strict=True)]
        for p in range(len(windows))
    ]
    biases = [_bias(name, conv, *place) for place in places]
    begin = ", ".join(
        f"{one} = {'s0' if number and bias == biases[0] else bias}"
        for number, (one, bias) in enumerate(zip(sums, biases, strict=True))
    )
    products = [
        f"s{p} += w[{_plus(_kernel_row(conv), n)}] * "
        f"{with_.value('c', _plus('at', down * width + right + n))};"
        for n in range(k)
        for p, (down, right) in enumerate(windows)
    ]
    top, left = (_place(index, step, padding) for index in ("y", "x"))
    at = f"const int at = (c * {height} + {top} + row) * {width} + {left};"
    whole = [
        _kernels(name, conv, with_),
        f"{with_.sum_type} {begin};",
        *_over_kernels(name, conv, _for("row", k, [at, *products])),
        *(f"sums[{p}] = s{p};" for p in range(len(windows))),
    ]
    lines = [f"{with_.sum_type} sums[{len(windows)}];"]
    if padding:
        inside = [
            f"{index} >= {-(-padding // step)} && {index} <= {(length + padding - reach) // step}"
            for index, length in (("y", height), ("x", width))
        ]
        each = [*window, "sums[0] = sum;"]
        if pool is not None:
            each[-1] = f"sums[py * {size} + px] = sum;"
            each = _for("py", size, _for("px", size, each))
        lines += [
            f"if ({' && '.join(inside)}) {{",
            *(INDENT + line for line in whole),
            "} else {",
            *(INDENT + line for line in each),
            "}",
        ]
    else:
        lines += whole
    pooled = [f"const {with_.sum_type} sum = sums[{'p' if pool else 0}];"]
    return lines + _pooled(stage, pool, size, pooled, "o", with_, over="p")


def _kernels(name: str, conv: Conv2d, with_: Arithmetic) -> str:
    """Where ``w`` points: to an output channel's kernels, or to all of a table of connections."""
    place = f" + o * {conv.in_channels * conv.kernel_size**2}" if conv.connections is None else ""
    return f"const {_weight_type(with_)} *w = {name % 'weight'}{place};"


def _kernel_row(conv: Conv2d) -> str:
    """The first weight in a row of a kernel of ``w``."""
    k = conv.kernel_size
    return f"({'c' if conv.connections is None else 's'} * {k} + row) * {k}"


def _over_kernels(name: str, conv: Conv2d, body: list[str]) -> list[str]:
    """A loop over the kernels of an output channel, each with its input channel ``c``."""
    if conv.connections is None:
        return _for("c", conv.in_channels, body)
    channel = f"const int c = {name % 'source'}[s];"
    first = name % "first"
    return _loop("s", f"{first}[o]", f"{first}[o + 1]", [channel, *body])


def _bias(name: str, conv: Conv2d, row: str, column: str) -> str:
    """The bias of an output channel, or of its unit at a place."""
    size = conv.bias_size
    index = "o" if size == 1 else f"(o * {size} + {row}) * {size} + {column}"
    return f"{name % 'bias'}[{index}]"


def _window_sum(name: str, conv: Conv2d, height: int, width: int, with_: Arithmetic) -> list[str]:
    """The lines that add the products of a kernel ``w`` and the window at (top, left)."""
    k, padding = conv.kernel_size, conv.padding
    rows = ("0", str(k))
    lines: list[str] = []
    if padding:
        lines += [
            "const int first = top < 0 ? -top : 0;",
            f"const int last = top + {k} > {height} ? {height} - top : {k};",
        ]
        rows = ("first", "last")
    line = f"(c * {height} + top + row) * {width} + left"
    kernel = _kernel_row(conv)
    terms = [f"w[{_plus(kernel, n)}] * {with_.value('c', _plus(line, n))}" for n in range(k)]
    loop = [
        f"for (int column = {'left < 0 ? -left : 0' if padding else '0'}; "
        f"column < {f'(left + {k} > {width} ? {width} - left : {k})' if padding else k}; column++)",
        f"{INDENT}sum += w[{kernel} + column] * {with_.value('c', f'{line} + column')};",
    ]
    # where a window may reach into the padding, _together writes out those that do not
    inner = loop if k > LARGEST_UNROLLED or padding else _sum_of(terms)
    return lines + _over_kernels(name, conv, _for("row", rows[1], inner, first=rows[0]))


def _sum_of(terms: list[str]) -> list[str]:
    return [f"sum += {term};" for term in terms]


def _dense(name: str, stage: Stage, layer: Linear, with_: Arithmetic) -> list[str]:
    """Every output: the products of a row of weights and all that goes in."""
    channels = stage.input_shape[0] if len(stage.input_shape) == 3 else 1
    each = layer.in_features // channels
    index = "i" if channels == 1 else f"c * {each} + i"
    inside = [f"sum += w[{index}] * {with_.value('c' if channels > 1 else '0', index)};"]
    loop = _for("i", each, inside)
    if channels > 1:
        loop = _for("c", channels, loop)
    finished = with_.activate("sum", "o") if not stage.pooled_first else "sum"
    return _for(
        "o",
        layer.out_features,
        [
            f"const {_weight_type(with_)} *w = {name % 'weight'} + o * {layer.in_features};",
            f"{with_.sum_type} sum = {name % 'bias'}[o];",
            *loop,
            f"out[o] = {with_.finish(finished, 'o')};",
        ],
    )


def _distances(code: str, stage: Stage, layer: RBF, with_: Arithmetic) -> list[str]:
    """Every output: minus the squared distance of all that goes in to a code."""
    channels = stage.input_shape[0] if len(stage.input_shape) == 3 else 1
    each = layer.in_features // channels
    index = "i" if channels == 1 else f"c * {each} + i"
    value = with_.value("c" if channels > 1 else "0", index)
    loop = _for(
        "i",
        each,
        [f"const {with_.sum_type} apart = {value} - code[{index}];", "sum -= apart * apart;"],
    )
    return _for(
        "o",
        layer.out_features,
        [
            f"const int8_t *code = {code} + o * {layer.in_features};",
            f"{with_.sum_type} sum = {_zero(with_)};",
            *(_for("c", channels, loop) if channels > 1 else loop),
            f"out[o] = {with_.finish(with_.activate('sum', 'o'), 'o')};",
        ],
    )


def _pooling(stage: Stage, with_: Arithmetic) -> list[str]:
    """A pooling of values that are already there."""
    pool = stage.pooling
    assert pool is not None
    channels, height, width = stage.input_shape
    _, rows, columns = _pooled_shape(stage)
    step, size, padding = stride_of(pool), pool.kernel_size, padding_of(pool)
    adds = not isinstance(pool, MaxPool2d)
    index = f"(c * {height} + row) * {width} + column"
    body = [
        f"const int top = {_place('y', step, padding)};",
        f"const int left = {_place('x', step, padding)};",
        f"{with_.sum_type} pooled = {_zero(with_) if adds else with_.least};",
    ]
    last_row, last_column = f"top + {size}", f"left + {size}"
    if padding:
        last_row = f"({last_row} > {height} ? {height} : {last_row})"
        last_column = f"({last_column} > {width} ? {width} : {last_column})"
    value = with_.value("c", index)
    take = [f"pooled += {value};"]
    if not adds:
        take = [
            f"const {with_.sum_type} one = {value};",
            "pooled = one > pooled ? one : pooled;",
        ]
    body += _loop(
        "row",
        "top < 0 ? 0 : top" if padding else "top",
        last_row,
        _loop("column", "left < 0 ? 0 : left" if padding else "left", last_column, take),
    )
    body.append(f"*out++ = {with_.finish('pooled', 'c')};")
    return _for("c", channels, _for("y", rows, _for("x", columns, body)))


def _map(stage: Stage, with_: Arithmetic) -> list[str]:
    """An activation alone, on values that are already there."""
    channels = stage.input_shape[0] if len(stage.input_shape) == 3 else 1
    each = math.prod(stage.input_shape) // channels
    index = "i" if channels == 1 else f"c * {each} + i"
    one = [f"const {with_.sum_type} one = {with_.value('c' if channels > 1 else '0', index)};"]
    one.append(f"out[{index}] = {with_.finish(with_.activate('one', '0'), '0')};")
    loop = _for("i", each, one)
    return _for("c", channels, loop) if channels > 1 else loop


def _pooled(
    stage: Stage,
    pool: Pooling | None,
    size: int,
    window: list[str],
    channel: str,
    with_: Arithmetic,
    over: str = "",
) -> list[str]:
    """One output: the window alone, or the pooling of ``size`` × ``size`` windows."""
    if pool is None:
        return [*window, f"*out++ = {with_.finish(with_.activate('sum', channel), channel)};"]
    one = "sum" if stage.pooled_first else with_.activate("sum", channel)
    adds = not isinstance(pool, MaxPool2d)
    take = [f"pooled += {one};"]
    if not adds:
        take = [f"const {with_.sum_type} one = {one};", "pooled = one > pooled ? one : pooled;"]
    inner = (
        _for(over, size * size, [*window, *take])
        if over
        else _for("py", size, _for("px", size, [*window, *take]))
    )
    start = _zero(with_) if adds else with_.least
    return [
        f"{with_.sum_type} pooled = {start};",
        *inner,
        f"*out++ = {with_.finish('pooled', channel)};",
    ]


def _pooled_shape(stage: Stage) -> tuple[int, int, int]:
    """(channels, height, width) of a stage's output, flattened or not."""
    channels, height, width = stage.middle_shape
    if stage.pooling is None:
        return channels, height, width
    size, step, padding = (
        stage.pooling.kernel_size,
        stride_of(stage.pooling),
        padding_of(stage.pooling),
    )
    rows, columns = ((n + 2 * padding - size) // step + 1 for n in (height, width))
    return channels, rows, columns


def _for(name: str, count: int | str, body: list[str], first: str = "0") -> list[str]:
    return _loop(name, first, str(count), body)


def _loop(name: str, first: str, end: str, body: list[str]) -> list[str]:
    head = f"for (int {name} = {first}; {name} < {end}; {name}++)"
    if len(body) == 1 or (body[0].startswith("for ") and _is_one_loop(body)):
        return [head, *(INDENT + line for line in body)]
    return [f"{head} {{", *(INDENT + line for line in body), "}"]


def _is_one_loop(body: Iterable[str]) -> bool:
    """Whether these lines are a single statement: a loop and what is indented in it."""
    first, *rest = body
    closing = [line for line in rest if not line.startswith(INDENT)]
    return closing == (["}"] if first.endswith("{") else [])


def _place(index: str, stride: int, padding: int) -> str:
    scaled = index if stride == 1 else f"{index} * {stride}"
    text = scaled if padding == 0 else f"{scaled} - {padding}"
    return text[1:-1] if text.startswith("(") and text.endswith(")") else text


def _plus(text: str, number: int) -> str:
    return text if number == 0 else f"{text} + {number}"


def _zero(with_: Arithmetic) -> str:
    return "0.0f" if with_.sum_type == "float" else "0"


def _weight_type(with_: Arithmetic) -> str:
    return "float" if with_.sum_type == "float" else "int8_t"
