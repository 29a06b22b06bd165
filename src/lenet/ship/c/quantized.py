"""A network in whole numbers of 8 bits: how each stage is scaled, and NumPy that computes it.

Weights are int8 with one scale an output channel; what flows between stages is uint8 where it is
never negative (a picture, sigmoid, ReLU) and int8 elsewhere, with one scale a stage and no zero
point, so that padding is zero. Sums are int32, of which a factor for each channel makes the next
stage's numbers. Sigmoid and tanh are tables of 256 steps, read between two entries. A Subsample is
a convolution of one kernel a channel, all of whose weights are equal. The C code and
``QuantizedNetwork.logits`` give the same whole numbers, bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lenet.engines.numpy import activate
from lenet.network.architecture import Network
from lenet.network.codes import codes
from lenet.network.layers import (
    RBF,
    Activation,
    ArchitectureError,
    AvgPool2d,
    Conv2d,
    Linear,
    MaxPool2d,
    Pooling,
    ReLU,
    ScaledTanh,
    Sigmoid,
    Subsample,
    Tanh,
    curve,
    padding_of,
    stride_of,
)
from lenet.network.parameters import Parameters, existing_weights
from lenet.ship.c.plan import Stage, stages

Float = NDArray[np.float64]
Whole = NDArray[np.int64]

TABLE_STEPS: Final = 256
ARGUMENT_BITS: Final = 16  # of what a table is read with: 8 for the step, 8 for the place in it
CHUNK: Final = 250  # pictures at once
CALIBRATION_PICTURES: Final = 1_000


@dataclass(frozen=True)
class Format:
    """How whole numbers stand for the values between two stages: (number - zero) * scale."""

    signed: bool
    scale: tuple[float, ...]  # one, or one a channel: of a picture
    zero: tuple[int, ...] = (0,)  # other than 0 for a picture alone

    @property
    def largest(self) -> int:
        """The largest number."""
        return 127 if self.signed else 255

    @property
    def c_type(self) -> str:
        """The number's type in C."""
        return "int8_t" if self.signed else "uint8_t"


@dataclass(frozen=True, eq=False)
class Table:
    """An activation as 257 entries over [-limit, limit]; entry / 2**shift is a number that leaves
    the stage."""

    limit: float
    entries: Whole  # (257,) int16
    shift: int


@dataclass(frozen=True, eq=False)
class QuantizedStage:
    """A stage with its whole numbers."""

    stage: Stage
    input: Format
    output: Format | None  # None: it gives the logits
    weight: Whole | None  # (outputs, …) int8; the codes of an RBF
    bias: Whole | None  # (outputs,) int32, or one a unit (outputs, rows, columns)
    multiplier: Whole | None  # (outputs,) int32: what a sum is multiplied by
    shift: int  # and then divided by 2**shift
    table: Table | None
    map: Whole | None  # (256,) of a stage that is an activation alone
    logit_scale: NDArray[np.float32] | None  # (outputs,) of the last stage, where that is no RBF


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A network in whole numbers."""

    network: Network
    stages: tuple[QuantizedStage, ...]

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The logits (n, classes) of pictures (n, channels, height, width), as the C code's."""
        chunks = [self._logits(images[at : at + CHUNK]) for at in range(0, len(images), CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros((0, len(self.network.classes)), "f4")

    def _logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        x: Whole = images.astype(np.int64)
        *before, last = self.stages
        for one in before:
            x = _compute(one, x)
        if isinstance(last.stage.weighted, RBF):
            return _distances(last, x)
        assert last.logit_scale is not None
        return np.asarray(_compute(last, x).astype(np.float32) * last.logit_scale)


def quantize(
    network: Network, parameters: Parameters, pictures: NDArray[np.uint8]
) -> QuantizedNetwork:
    """The network in whole numbers; the pictures (n, channels, height, width) say how large the
    values between its stages become.

    Raises ArchitectureError for what cannot be computed so, by the layer.
    """
    planned = _apart(network)
    sizes = _sizes(network, parameters, planned, pictures[:CALIBRATION_PICTURES])
    found: list[QuantizedStage] = []
    form = _picture_format(network)
    for number, stage in enumerate(planned):
        last = number == len(planned) - 1
        one = _quantize(network, stage, form, sizes[number], parameters, last)
        found.append(one)
        if one.output is not None:
            form = one.output
    return QuantizedNetwork(network, tuple(found))


def quantized_stages(network: Network) -> tuple[Stage, ...]:
    """The stages of the network's int8 code. Raises ArchitectureError where it has none."""
    return _apart(network)


def _apart(network: Network) -> tuple[Stage, ...]:
    planned = tuple(part for stage in stages(network) for part in _subsampled_apart(stage))
    first, last = planned[0], planned[-1]
    if first.weighted is None or isinstance(first.weighted, RBF):
        raise ArchitectureError(
            f"network {network.name!r} begins with {first.rows[0].kind}, which has no "
            "int8 code for a picture; leave out --quantize int8"
        )
    if last.weighted is None or last.activation is not None or last.pooling is not None:
        raise ArchitectureError(
            f"network {network.name!r} ends with {last.rows[-1].kind}; int8 code needs "
            "a Linear, Conv2d or RBF layer that gives the logits; leave out --quantize int8"
        )
    for stage in planned[:-1]:
        if isinstance(stage.weighted, RBF):
            raise ArchitectureError(
                f"layer {stage.index} (RBF) of network {network.name!r} has int8 code at the end "
                "alone, where it gives the logits; leave out --quantize int8"
            )
    apart: list[Stage] = []
    for stage in planned:
        if stage.weighted is None and stage.pooling is not None and stage.activation is not None:
            *rows, row = stage.rows
            apart.append(replace(stage, rows=tuple(rows), activation=None))
            stage = Stage((row,), None, stage.activation, None, False, *(row.output_shape,) * 3)
        apart.append(stage)
    return tuple(apart)


def _subsampled_apart(stage: Stage) -> list[Stage]:
    """The stage, or its Subsample as a convolution behind what comes before it."""
    pooling = stage.pooling
    if not isinstance(pooling, Subsample):
        return [stage]
    kinds = [type(row.layer) for row in stage.rows]
    at = kinds.index(Subsample)
    before, rows = stage.rows[:at], stage.rows[at:]
    after = stage.activation if len(rows) > 1 else None
    own = tuple((channel,) for channel in range(pooling.channels))
    size = pooling.kernel_size
    conv = Conv2d(pooling.channels, pooling.channels, size, size, connections=own)
    pooled = rows[0].output_shape
    alone = Stage(rows, conv, after, None, False, stage.middle_shape, pooled, stage.output_shape)
    if not before:
        return [alone]
    activation = None if stage.pooled_first else stage.activation
    first = replace(
        stage,
        rows=before,
        activation=activation,
        pooling=None,
        pooled_first=False,
        output_shape=stage.middle_shape,
    )
    return [first, alone]


def _weight(stage: Stage, parameters: Parameters) -> Float:
    """The weights of a stage's convolution or dense layer, (outputs, …)."""
    weight = parameters[f"{stage.index}.weight"]
    if isinstance(stage.rows[0].layer, Subsample):
        size = stage.rows[0].layer.kernel_size
        channels = np.eye(len(weight))[:, :, None, None]
        return np.asarray(channels * weight[:, None, None, None] * np.ones((1, 1, size, size)))
    if isinstance(stage.weighted, Conv2d):
        weight = existing_weights(stage.weighted, weight)
    return weight.astype(np.float64)


def _picture_format(network: Network) -> Format:
    channels = network.input_shape[0]
    mean = np.resize(network.normalization.mean, channels)
    deviation = np.resize(network.normalization.deviation, channels)
    zero = tuple(int(z) for z in np.rint(255 * mean))
    scale = tuple(float(s) for s in 1 / (255 * deviation))
    return Format(False, scale, (0,) if not any(zero) else zero)


# --- how large values become -------------------------------------------------------------------


@dataclass(frozen=True)
class _Sizes:
    """How large values become in a stage, over the pictures that it is calibrated on."""

    before: float = 0.0  # of what the layer with weights gives
    after: float = 0.0  # of what leaves


def _sizes(
    network: Network,
    parameters: Parameters,
    planned: tuple[Stage, ...],
    pictures: NDArray[np.uint8],
) -> list[_Sizes]:
    """The largest values of each stage, in float."""
    from lenet import engines

    if len(pictures) == 0:
        raise ValueError("no pictures to calibrate on; give at least one")
    engine = engines.with_weights(network, parameters)
    found = [_Sizes()] * len(planned)
    for at in range(0, len(pictures), CHUNK):
        largest = [
            float(np.abs(values).max()) for values in engine.activations(pictures[at : at + CHUNK])
        ]
        if not all(map(math.isfinite, largest)):
            found = [_Sizes(math.inf)]
            break
        found = [
            _Sizes(
                max(sizes.before, largest[stage.index]),
                max(sizes.after, largest[stage.rows[-1].index]),
            )
            for sizes, stage in zip(found, planned, strict=True)
        ]
    if found[0].before == math.inf:
        raise ValueError(
            f"the values in network {network.name!r} are not finite: its training went wrong"
        )
    return found


# --- a stage in whole numbers ------------------------------------------------------------------


def _quantize(
    network: Network,
    stage: Stage,
    form: Format,
    sizes: _Sizes,
    parameters: Parameters,
    last: bool,
) -> QuantizedStage:
    output = None if last else _output_format(stage, form, sizes)
    empty = QuantizedStage(stage, form, output, None, None, None, 0, None, None, None)
    if stage.weighted is None:
        assert output is not None  # the last stage has weights
        return empty if stage.pooling is not None else replace(empty, map=_map(stage, form, output))
    if isinstance(stage.weighted, RBF):
        return _of_codes(network, empty, stage.weighted)
    weight = _weight(stage, parameters)
    bias = parameters[f"{stage.index}.bias"].astype(np.float64)
    outputs = len(weight)
    inputs = _per_input(form.scale, stage)
    effective = weight.reshape(outputs, -1) * inputs  # (outputs, inputs) for whole numbers
    # a channel without weights has a scale all the same: one in which its bias is no large number
    of_biases = np.abs(bias).reshape(outputs, -1).max(1)
    largest = np.maximum(np.abs(effective).max(1) / 127, of_biases / 2**24)
    scale = np.asarray(np.maximum(largest, 1e-12))
    whole = np.rint(effective / scale[:, None]).astype(np.int64)
    # the picture's zero is rounded: what that leaves out of each product goes into the bias
    left_out = _per_input(_true_zero(network, form), stage) - _per_input(form.zero, stage)
    each = (outputs, *(1,) * (bias.ndim - 1))
    whole_bias = np.rint(bias / scale.reshape(each) - (whole @ left_out).reshape(each)).astype(int)
    _check_sums(network, stage, form, whole, whole_bias)
    done = replace(empty, weight=whole.reshape(weight.shape), bias=whole_bias)
    if output is None:
        return replace(done, logit_scale=scale.astype(np.float32))
    share = 1.0
    if isinstance(stage.pooling, AvgPool2d) and (stage.pooled_first or _is_linear(stage)):
        share = 1 / stage.pooling.kernel_size**2  # the sums of the window are added, not averaged
    table = None
    if not _is_linear(stage):
        assert stage.activation is not None
        table = _table(stage.activation, output, sizes)
        unit = 2 * table.limit / 2**ARGUMENT_BITS
    else:
        unit = output.scale[0]
    multiplier, shift = _fixed(scale * share / unit)
    return replace(done, multiplier=multiplier, shift=shift, table=table)


def _of_codes(network: Network, empty: QuantizedStage, layer: RBF) -> QuantizedStage:
    """The last stage, of an RBF. Raises ArchitectureError where a sum may exceed 32 bits."""
    if layer.in_features * empty.input.largest**2 >= 2**31:
        raise _too_large(network, empty.stage)
    return replace(empty, weight=codes(layer).astype(np.int64))


def _is_linear(stage: Stage) -> bool:
    """Whether a sum needs a factor and a limit alone to become the next stage's number."""
    return stage.activation is None or isinstance(stage.activation, ReLU)


def _output_format(stage: Stage, form: Format, sizes: _Sizes) -> Format:
    if stage.activation is None:
        # a pooling alone leaves numbers as they are
        return form if stage.weighted is None else _format_of(True, sizes.after)
    shape = curve(stage.activation)
    largest = max(map(abs, shape.bounds)) if shape.saturates else sizes.after
    return _format_of(shape.bounds[0] < 0, largest)


def _format_of(signed: bool, largest: float) -> Format:
    return Format(signed, (max(largest, 1e-9) / (127 if signed else 255),))


def _map(stage: Stage, form: Format, output: Format) -> Whole:
    """What leaves for each of the 256 numbers that may come, in the order 0 … 255 of its bits."""
    assert stage.activation is not None
    bits = np.arange(256)
    numbers = np.where(bits > 127, bits - 256, bits) if form.signed else bits
    with np.errstate(all="ignore"):  # exp may overflow on its way to a quotient of 0
        values = activate(stage.activation, numbers.astype(np.float64) * form.scale[0])
    return _clip(np.rint(values / output.scale[0]).astype(np.int64), output)


def _table(activation: Activation, output: Format, sizes: _Sizes) -> Table:
    match activation:
        case Sigmoid():
            limit = 8.0  # there it is a tenth of a number from its end
        case Tanh():
            limit = 4.0
        case ScaledTanh():
            limit = 4.0 / abs(activation.slope)
        case _:  # a tenth beyond what was seen
            limit = max(1.1 * sizes.before, 1e-3)
    points = np.linspace(-limit, limit, TABLE_STEPS + 1)
    with np.errstate(all="ignore"):
        numbers = activate(activation, points) / output.scale[0]
    # as fine as int16 allows
    shift = int(np.clip(math.floor(math.log2(32_767 / np.abs(numbers).max())), 0, 14))
    return Table(limit, np.rint(numbers * 2**shift).astype(np.int64), shift)


def _fixed(factors: Float) -> tuple[Whole, int]:
    """Factors as whole numbers below 2**31 and the power of two that divides them all."""
    shift = int(np.clip(30 - math.floor(math.log2(factors.max())), 1, 62))
    return np.rint(factors * 2.0**shift).astype(np.int64), shift


def _check_sums(network: Network, stage: Stage, form: Format, weight: Whole, bias: Whole) -> None:
    """Raise ArchitectureError where a sum may have no place in 32 bits."""
    far = max(abs(255 - min(form.zero)), abs(max(form.zero))) if any(form.zero) else 255
    of_biases = np.abs(bias).reshape(len(bias), -1).max(1)
    largest = float((np.abs(weight).sum(1) * far + of_biases).max())
    if stage.pooling is not None:
        largest *= stage.pooling.kernel_size**2
    if largest >= 2**31:
        raise _too_large(network, stage)


def _too_large(network: Network, stage: Stage) -> ArchitectureError:
    row = stage.rows[0]
    return ArchitectureError(
        f"layer {row.index} ({row.kind}) of network {network.name!r} adds up more than 32 bits "
        "hold in int8; leave out --quantize int8"
    )


def _per_input(values: tuple[float, ...], stage: Stage) -> Float:
    """One number for every input of a row of weights, from one for all or one a channel."""
    match stage.weighted:
        case Conv2d(in_channels=channels, kernel_size=k):
            inputs = channels * k * k
        case Linear(in_features=inputs):
            pass
        case _:
            raise AssertionError("a stage without weights")
    return np.repeat(np.asarray(values, np.float64), inputs // len(values))


def _true_zero(network: Network, form: Format) -> tuple[float, ...]:
    if not any(form.zero):
        return (0.0,)
    mean = np.resize(network.normalization.mean, network.input_shape[0])
    return tuple(float(value) for value in 255 * mean)


# --- as NumPy computes it ----------------------------------------------------------------------


def _compute(one: QuantizedStage, x: Whole) -> Whole:
    """What leaves a stage: x and the result (n, …) whole numbers, the last stage's int32 sums."""
    stage = one.stage
    n = len(x)
    x = x.reshape(n, *stage.input_shape)
    if one.map is not None:
        return np.asarray(one.map[x & 255]).reshape(n, *stage.output_shape)
    if one.weight is None:
        assert stage.pooling is not None
        return _round_mean(_windows(x, stage.pooling), stage).reshape(n, *stage.output_shape)
    assert one.bias is not None
    if any(one.input.zero):
        zero = np.resize(one.input.zero, stage.input_shape[0])
        x = x - zero.reshape(-1, *(1,) * (x.ndim - 2))
    match stage.weighted:
        case Conv2d() as conv:
            sums = _convolve(x, one.weight, conv)
        case _:
            sums = _product(x.reshape(n, -1), one.weight)
    units = one.bias.ndim > 1
    sums = sums + (one.bias if units else one.bias.reshape(-1, *(1,) * (sums.ndim - 2)))
    if one.output is None:
        return sums.reshape(n, *stage.output_shape)
    if stage.pooling is not None and stage.pooled_first:
        sums = _windows(sums, stage.pooling)
    values = _activated(one, sums)
    if stage.pooling is not None and not stage.pooled_first:
        values = _windows(values, stage.pooling)
    return _finished(one, values).reshape(n, *stage.output_shape)


def _distances(one: QuantizedStage, x: Whole) -> NDArray[np.float32]:
    """Minus the squared distance of (n, …) whole numbers to each code, as in the C code."""
    assert one.weight is not None
    x = x.reshape(len(x), -1)
    twice, square, features = distance_factors(one)
    along = (x @ one.weight.T).astype(np.float32) * twice
    own = (x * x).sum(1, keepdims=True).astype(np.float32) * square
    return np.asarray(along - own - features)


def distance_factors(one: QuantizedStage) -> NDArray[np.float32]:
    """a, b and c of a·Σ(x·code) - b·Σx² - c, which is -Σ(scale·x - code)²."""
    assert one.weight is not None
    (scale,) = one.input.scale
    return np.array([2 * scale, scale**2, one.weight.shape[1]], np.float32)


def _activated(one: QuantizedStage, sums: Whole) -> Whole:
    """Sums after the activation: those of ReLU still in the scale of the sums."""
    if one.table is None:
        return np.maximum(sums, 0) if isinstance(one.stage.activation, ReLU) else sums
    at = np.clip(_scaled(one, sums), -(2**15), 2**15 - 1) + 2**15
    entries, step, within = one.table.entries, at >> 8, at & 255
    return np.asarray(entries[step] + (((entries[step + 1] - entries[step]) * within) >> 8))


def _finished(one: QuantizedStage, values: Whole) -> Whole:
    assert one.output is not None
    if one.table is None:
        return _clip(_scaled(one, values), one.output)
    divisor = 1 << one.table.shift
    if isinstance(one.stage.pooling, AvgPool2d) and not one.stage.pooled_first:
        divisor *= one.stage.pooling.kernel_size**2
    return _clip(_rounded(values, divisor), one.output)


def _scaled(one: QuantizedStage, sums: Whole) -> Whole:
    """A sum times its channel's factor."""
    assert one.multiplier is not None
    factor = one.multiplier.reshape(-1, *(1,) * (sums.ndim - 2))
    return (sums * factor + (1 << (one.shift - 1))) >> one.shift


def _clip(values: Whole, form: Format) -> Whole:
    return np.clip(values, -form.largest if form.signed else 0, form.largest)


def _rounded(values: Whole, divisor: int) -> Whole:
    """values / divisor, rounded to the nearest, halves away from zero."""
    return np.asarray(np.sign(values) * ((np.abs(values) + divisor // 2) // divisor))


def _round_mean(values: Whole, stage: Stage) -> Whole:
    if isinstance(stage.pooling, AvgPool2d):
        return _rounded(values, stage.pooling.kernel_size**2)
    return values


def _windows(x: Whole, pooling: Pooling) -> Whole:
    """The sum of each window for a mean, else the largest: (n, c, h, w) → (n, c, oh, ow)."""
    k, step, p = pooling.kernel_size, stride_of(pooling), padding_of(pooling)
    largest = isinstance(pooling, MaxPool2d)
    fill = -(2**31) if largest else 0
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=fill)
    oh, ow = ((size - k) // step + 1 for size in padded.shape[2:])
    parts = [
        padded[
            :,
            :,
            row : row + (oh - 1) * step + 1 : step,
            column : column + (ow - 1) * step + 1 : step,
        ]
        for row in range(k)
        for column in range(k)
    ]
    total = parts[0].copy()
    for part in parts[1:]:
        total = np.maximum(total, part) if largest else total + part
    return total


def _convolve(x: Whole, weight: Whole, conv: Conv2d) -> Whole:
    """(n, c, h, w) → (n, o, oh, ow), exact."""
    p, k, step = conv.padding, conv.kernel_size, conv.stride
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(2, 3))
    windows = windows[:, :, ::step, ::step]  # (n, c, oh, ow, k, k)
    n, _, oh, ow = windows.shape[:4]
    rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * oh * ow, -1)
    return (
        _product(rows, weight.reshape(len(weight), -1)).reshape(n, oh, ow, -1).transpose(0, 3, 1, 2)
    )


def _product(rows: Whole, weight: Whole) -> Whole:
    """rows @ weight.T in float64, which holds these whole numbers exactly, and is fast."""
    return np.asarray(rows.astype(np.float64) @ weight.T.astype(np.float64)).astype(np.int64)
