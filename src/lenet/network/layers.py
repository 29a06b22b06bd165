"""What a layer is: arguments with their limits, shapes, parameters, costs, an activation's curve.

Each fact about a kind of layer is said here once. Who needs a group of kinds asks by
``isinstance(layer, Activation)``, ``Pooling``, ``Windowed``, ``Dense`` or ``Weighted``; who needs a
fact asks the function for it. Standard library only.

>>> layer = Conv2d(1, 6, 5, padding=2)
>>> output_shape(layer, (1, 28, 28)), parameter_count(layer), isinstance(layer, Windowed)
((6, 28, 28), (156, '6×1×5×5 + 6'), True)
"""

from __future__ import annotations

import dataclasses
import math
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

Shape = tuple[int, ...]

LARGEST = 2**31 - 1  # of any size: more is a mistake, or a file that wants to fill the memory


class ArchitectureError(ValueError):
    """A network that does not fit together; the message names the layer and the shapes."""


# --- layers, with the arguments of their namesakes in torch.nn ---------------------------------


def _number(default: float, wanted: str, valid: Callable[[float], bool]) -> Any:
    """An argument that is a number, with what it must be, in words and as a test."""
    return dataclasses.field(default=default, metadata={"wanted": wanted, "valid": valid})


def _finite_but_zero(value: float) -> bool:
    return math.isfinite(value) and value != 0


@dataclass(frozen=True)
class Conv2d:
    """A convolution: ``out_channels`` square kernels over every input channel.

    ``connections`` restricts it as in C3 of the 1998 network: one tuple of input channels for
    each output channel; the weights between the others do not exist.

    ``bias_size`` is 1 where an output channel has one bias, and the rows, and columns, of the
    output where each of its units has a bias of its own, as in the network of 1989.
    """

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    connections: tuple[tuple[int, ...], ...] | None = None
    bias_size: int = 1


@dataclass(frozen=True)
class AvgPool2d:
    """The mean of each window. Padding adds zeros that count, as in PyTorch's default."""

    kernel_size: int
    stride: int | None = None  # None, as in torch.nn: the kernel size
    padding: int = 0


@dataclass(frozen=True)
class MaxPool2d:
    """The largest value of each window. Padding adds minus infinity: it never wins."""

    kernel_size: int
    stride: int | None = None  # None, as in torch.nn: the kernel size
    padding: int = 0


@dataclass(frozen=True)
class Sigmoid:
    """1 / (1 + exp(-x))."""


@dataclass(frozen=True)
class Tanh:
    """tanh(x)."""


@dataclass(frozen=True)
class ReLU:
    """max(0, x)."""


@dataclass(frozen=True)
class LeakyReLU:
    """max(0, x) + negative_slope * min(0, x)."""

    negative_slope: float = _number(
        0.01, "a finite number, at least 0", lambda slope: 0 <= slope < math.inf
    )


@dataclass(frozen=True)
class GELU:
    """x * Φ(x), where Φ(x) is the share of a normal distribution below x, computed by erf."""


@dataclass(frozen=True)
class SiLU:
    """x / (1 + exp(-x)), also called swish."""


@dataclass(frozen=True)
class Dropout:
    """In training each unit is zero with probability ``p``, the others divided by 1 - p."""

    p: float = _number(0.5, "from 0 to 1", lambda p: 0 <= p <= 1)


@dataclass(frozen=True)
class Flatten:
    """(channels, height, width) as one vector, channel by channel, row by row."""


@dataclass(frozen=True)
class Linear:
    """A dense layer: every output sees every input."""

    in_features: int
    out_features: int


@dataclass(frozen=True)
class ScaledTanh:
    """amplitude * tanh(slope * x): the squashing function of LeCun et al. 1998, appendix A."""

    amplitude: float = _number(1.7159, "a finite number but zero", _finite_but_zero)
    slope: float = _number(2 / 3, "a finite number but zero", _finite_but_zero)


@dataclass(frozen=True)
class Subsample:
    """The sum of each window times one trainable weight, plus one bias, a channel.

    LeCun et al. 1998, section II.B, layers S2 and S4; windows do not overlap.
    """

    channels: int
    kernel_size: int = 2


@dataclass(frozen=True)
class RBF:
    """Minus the squared distance to a fixed code for each class: higher is better.

    LeCun et al. 1998, section II.B, the output layer; the codes are 7×12 pictures of the
    characters and are not trained.
    """

    in_features: int
    out_features: int


# What each layer is; these serve isinstance and annotations alike.
Activation = Sigmoid | Tanh | ReLU | LeakyReLU | GELU | SiLU | ScaledTanh
Pooling = AvgPool2d | MaxPool2d | Subsample
Windowed = Conv2d | Pooling
Dense = Linear | RBF
Weighted = Conv2d | Linear | Subsample  # has weights that training changes
Layer = Windowed | Dense | Activation | Dropout | Flatten
Of1998 = ScaledTanh | Subsample | RBF

LAYER_TYPES: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (
        Conv2d,
        AvgPool2d,
        MaxPool2d,
        Sigmoid,
        Tanh,
        ReLU,
        LeakyReLU,
        GELU,
        SiLU,
        Dropout,
        Flatten,
        Linear,
        ScaledTanh,
        Subsample,
        RBF,
    )
}

# Arguments of torch.nn that change nothing at these values; they have no other value here.
AS_IN_TORCH: dict[type[Layer], dict[str, Any]] = {
    Conv2d: {"dilation": 1, "groups": 1, "bias": True, "padding_mode": "zeros"},
    AvgPool2d: {"ceil_mode": False, "count_include_pad": True, "divisor_override": None},
    MaxPool2d: {"dilation": 1, "return_indices": False, "ceil_mode": False},
    GELU: {"approximate": "none"},
    Flatten: {"start_dim": 1, "end_dim": -1},
    Linear: {"bias": True},
}
IN_PLACE = ReLU | LeakyReLU | SiLU | Dropout  # inplace=True computes the same


def is_of_1998(layer: Layer) -> bool:
    """Whether LeCun's networks of 1989 to 1998 alone have it: PyTorch has no module for it."""
    return isinstance(layer, Of1998) or (
        isinstance(layer, Conv2d) and (layer.connections is not None or layer.bias_size != 1)
    )


def role_of(cls: type[Layer]) -> str:
    """What a kind of layer is in a word: "convolution", "pooling", "dense", "activation",
    "dropout" or "reshaping".

    >>> role_of(Subsample), role_of(Flatten)
    ('pooling', 'reshaping')
    """
    if cls is Conv2d:
        return "convolution"
    groups: dict[str, Any] = {
        "pooling": Pooling,
        "dense": Dense,
        "activation": Activation,
        "dropout": Dropout,
    }
    return next((role for role, group in groups.items() if issubclass(cls, group)), "reshaping")


# --- activations -------------------------------------------------------------------------------

# An activation is saturated where its slope is below this share of its steepest: a sigmoid below
# 0.0101 and above 0.9899, a tanh beyond ±0.98. So little of a gradient comes back there.
SATURATED_SHARE = 0.04


@dataclass(frozen=True)
class Curve:
    """What is known of an activation's function f, whoever computes it."""

    word: str  # in a sentence or a drawing: "sigmoid"
    formula: str  # "1 / (1 + exp(−x))"
    steepest: float  # the largest size of its slope
    bounds: tuple[float, float]  # its values lie between; infinite where nothing bounds them

    @property
    def saturates(self) -> bool:
        """Whether it is flat at both ends, as a sigmoid."""
        return math.isfinite(self.bounds[0]) and math.isfinite(self.bounds[1])

    @property
    def flat_below(self) -> bool:
        """Whether it is flat for small x alone, as ReLU: a unit that is there for every picture
        does not learn."""
        return math.isfinite(self.bounds[0]) and not math.isfinite(self.bounds[1])


def curve(layer: Activation) -> Curve:
    """The function of an activation.

    >>> curve(Sigmoid()).saturates, curve(ReLU()).flat_below
    (True, True)
    """
    infinity = math.inf
    match layer:
        case Sigmoid():
            return Curve("sigmoid", "1 / (1 + exp(−x))", 0.25, (0.0, 1.0))
        case Tanh():
            return Curve("tanh", "tanh(x)", 1.0, (-1.0, 1.0))
        case ReLU():
            return Curve("ReLU", "max(0, x)", 1.0, (0.0, infinity))
        case LeakyReLU(slope):
            formula = f"max(0, x) + {_short(slope)} · min(0, x)"
            bounds = (-infinity if slope else 0.0, infinity)
            return Curve("leaky ReLU", formula, max(1.0, slope), bounds)
        case GELU():
            return Curve("GELU", "x · Φ(x)", 1.1289042, (-0.16997121, infinity))
        case SiLU():
            return Curve("SiLU", "x / (1 + exp(−x))", 1.0998393, (-0.27846455, infinity))
        case ScaledTanh(amplitude, slope):
            most = abs(amplitude)
            formula = f"{_short(amplitude)} · tanh({_short(slope)} · x)"
            return Curve("scaled tanh", formula, abs(amplitude * slope), (-most, most))


def _short(value: float) -> str:
    return f"{round(value, 4):g}".replace("-", "−")


def he_gain(layer: Layer | None) -> float:
    """By how much larger than 1 / fan_in the variance of weights must be before this layer, for
    numbers to keep their size: what rectifying takes away (He et al. 2015, section 2.2)."""
    return 2 / (1 + layer.negative_slope**2) if isinstance(layer, LeakyReLU) else 2.0


# --- arguments ---------------------------------------------------------------------------------


def typed_layer(index: int, layer: Any) -> Layer:
    """The layer with numbers of Python's own types; ArchitectureError for what is no layer."""
    if not isinstance(layer, Layer):
        hint = "one of lenet's layers, such as lenet.ReLU()"
        if isinstance(layer, type) and layer in LAYER_TYPES.values():
            hint = f"a layer: write {layer.__name__}()"
        elif type(layer).__module__.startswith("torch."):
            hint = "one of lenet's layers: lenet.from_torch(module, input_shape) translates them"
        raise ArchitectureError(f"layer {index} is {show_value(layer)}, must be {hint}")
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        what = f"layer {index} ({type(layer).__name__}): {field.name}"
        if field.type == "float":
            if isinstance(value, bool) or not isinstance(value, Real):
                raise ArchitectureError(f"{what} is {show_value(value)}, must be a number")
            continue
        if value is None and field.default is None:
            continue
        if field.name == "connections":
            rows = sequence(what, value, "a tuple of tuples of input channels")
            new: Any = tuple(
                tuple(whole(what, source) for source in sequence(what, row, "a tuple of tuples"))
                for row in rows
            )
        elif isinstance(value, tuple | list) and len(set(value)) == 1:
            raise ArchitectureError(
                f"{what} is {show_value(value)}, must be one number: windows are square, write "
                f"{show_value(value[0])}"
            )
        else:
            new = whole(what, value)
        if type(value) is not type(new) or value != new:
            changed[field.name] = new
    return dataclasses.replace(layer, **changed) if changed else layer


def sequence(what: str, value: Any, wanted: str) -> tuple[Any, ...]:
    """A tuple or list as a tuple; text and numbers are neither."""
    if not isinstance(value, tuple | list):
        raise ArchitectureError(f"{what} is {show_value(value)}, must be {wanted}")
    return tuple(value)


def whole(what: str, value: Any) -> int:
    """A whole number as Python's own; ArchitectureError for anything else."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ArchitectureError(f"{what} is {show_value(value)}, must be a whole number")
    return int(value)


def show_value(value: Any) -> str:
    """What a stranger wrote, cut to a length and depth that a message can hold."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes no whole numbers of more than 4,300 digits
        kind = "whole number" if isinstance(value, int) else type(value).__name__
        return f"a {kind} too long to show"


def check_arguments(index: int, layer: Layer) -> None:
    """Refuse sizes that no layer can have, whatever comes before it."""
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if "valid" in field.metadata:
            valid, wanted = field.metadata["valid"](value), field.metadata["wanted"]
        elif field.name == "padding":
            # a window that lies wholly in the padding would have no pixel
            most = LARGEST if isinstance(layer, Conv2d) else layer.kernel_size // 2  # type: ignore[union-attr]
            valid, wanted = 0 <= value <= most, f"from 0 to {most}"
        elif field.name == "connections" or value is None:
            continue
        else:
            wanted = "at least 1" if value < 1 else f"at most {LARGEST}"
            valid = 1 <= value <= LARGEST
        if not valid:
            raise ArchitectureError(
                f"layer {index} ({type(layer).__name__}): {field.name} is {show_value(value)}, "
                f"must be {wanted}"
            )
    if isinstance(layer, Conv2d) and layer.connections is not None:
        _check_connections(index, layer, layer.connections)


def _check_connections(index: int, layer: Conv2d, table: tuple[tuple[int, ...], ...]) -> None:
    where = f"layer {index} (Conv2d): connections"
    if len(table) != layer.out_channels:
        raise ArchitectureError(
            f"{where} has {len(table)} rows for {layer.out_channels} output channels"
        )
    for output, sources in enumerate(table):
        legal = all(0 <= source < layer.in_channels for source in sources)
        if not sources or not legal or len(set(sources)) != len(sources):
            raise ArchitectureError(
                f"{where} of output channel {output} are {show_value(sources)}; "
                f"give different input channels from 0 to {layer.in_channels - 1}"
            )


def notation(layer: Layer) -> tuple[str, tuple[str, ...]]:
    """A layer in the notation of tutorial 004, and its arguments that are not the default.

    >>> notation(Conv2d(1, 6, 5, padding=2))
    ('Conv2d(1→6, 5×5)', ('padding 2',))
    """
    name = type(layer).__name__
    if isinstance(layer, Windowed):
        kernel = layer.kernel_size
        stride, padding = stride_of(layer), padding_of(layer)
        options: tuple[str, ...] = ()
        if stride != (1 if isinstance(layer, Conv2d) else kernel):
            options += (f"stride {stride}",)
        if padding:
            options += (f"padding {padding}",)
        if not isinstance(layer, Conv2d):
            return f"{name}({kernel}×{kernel})", options
        pairs = layer.in_channels * layer.out_channels
        if layer.connections is not None:
            options += (f"{connection_count(layer)} of {pairs} kernels",)
        if layer.bias_size != 1:
            options += ("a bias a unit",)
        return f"{name}({layer.in_channels}→{layer.out_channels}, {kernel}×{kernel})", options
    if isinstance(layer, Dense):
        return f"{name}({layer.in_features}→{layer.out_features})", ()
    values = [getattr(layer, field.name) for field in dataclasses.fields(layer)]
    usual = [field.default for field in dataclasses.fields(layer)]
    if values == usual and not isinstance(layer, Dropout):
        return name, ()
    return f"{name}({', '.join(f'{value:g}' for value in values)})", ()


# --- windows and connections -------------------------------------------------------------------


def stride_of(layer: Windowed) -> int:
    """The step between windows: torch.nn's pooling uses the kernel size when none is given."""
    if isinstance(layer, Subsample) or layer.stride is None:
        return layer.kernel_size
    return layer.stride


def padding_of(layer: Windowed) -> int:
    """The rows and columns added on each side before the windows are laid."""
    return 0 if isinstance(layer, Subsample) else layer.padding


def connection_count(layer: Conv2d) -> int:
    """How many pairs of an input and an output channel have a kernel."""
    if layer.connections is None:
        return layer.in_channels * layer.out_channels
    return sum(len(sources) for sources in layer.connections)


# --- shapes ------------------------------------------------------------------------------------


def show_shape(shape: Shape) -> str:
    """A shape as the tables print it.

    >>> show_shape((6, 28, 28)), show_shape((84,))
    ('6×28×28', '84')
    """
    return "×".join(str(size) for size in shape)


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """The shape that leaves a layer; ArchitectureError where ``shape`` cannot enter it.

    The message says what the layer expects; whoever knows its number says that before it.
    """

    def misfit(expected: str) -> ArchitectureError:
        return ArchitectureError(f"expects {expected}, but its input has shape {show_shape(shape)}")

    match layer:
        case Conv2d() | AvgPool2d() | MaxPool2d() | Subsample():
            if len(shape) != 3:
                raise misfit("channels×height×width")
            if isinstance(layer, Conv2d) and shape[0] != layer.in_channels:
                raise misfit(f"{layer.in_channels}×height×width")
            if isinstance(layer, Subsample) and shape[0] != layer.channels:
                raise misfit(f"{layer.channels}×height×width")
            kernel, padding = layer.kernel_size, padding_of(layer)
            if min(shape[1:]) + 2 * padding < kernel:
                smallest = kernel - 2 * padding
                raise misfit(f"at least {smallest}×{smallest} for its {kernel}×{kernel} window")
            channels = layer.out_channels if isinstance(layer, Conv2d) else shape[0]
            sizes = tuple(_windows(layer, size) for size in shape[1:])
            if isinstance(layer, Conv2d) and layer.bias_size != 1:
                own = (layer.bias_size, layer.bias_size)
                if sizes != own:
                    raise ArchitectureError(
                        f"has biases for {show_shape(own)} units of a channel, but its output has "
                        f"{show_shape(sizes)}"
                    )
            return (channels, *sizes)
        case Flatten():
            if len(shape) != 3:
                raise misfit("channels×height×width")
            return (math.prod(shape),)
        case Linear() | RBF():
            if shape != (layer.in_features,):
                raise misfit(f"a vector of {layer.in_features}")
            return (layer.out_features,)
        case _:
            return shape


def _windows(layer: Windowed, size: int) -> int:
    return (size + 2 * padding_of(layer) - layer.kernel_size) // stride_of(layer) + 1


def size_formula(layer: Layer, shape: Shape, output: Shape) -> str:
    """Tutorial 002's (W + 2P - F) / S + 1 with this layer's height put in (and width, if other)."""
    if not isinstance(layer, Windowed):
        return ""
    padding, kernel, stride = padding_of(layer), layer.kernel_size, stride_of(layer)

    def formula(size: int, result: int) -> str:
        padded = f"{size} + 2·{padding} - {kernel}" if padding else f"{size} - {kernel}"
        exact = (size + 2 * padding - kernel) % stride == 0
        quotient = f"({padded}) / {stride}" if exact else f"⌊({padded}) / {stride}⌋"
        return f"{quotient} + 1 = {result}"

    formulas = [formula(size, result) for size, result in zip(shape[1:], output[1:], strict=True)]
    return ", ".join(dict.fromkeys(formulas))


def stage_letter(layer: Layer) -> str:
    """C, S or F, as the paper calls convolutions, pooling and dense layers; empty for others."""
    match layer:
        case Conv2d():
            return "C"
        case AvgPool2d() | MaxPool2d() | Subsample():
            return "S"
        case Linear():
            return "F"
        case _:
            return ""


# --- parameters and costs ----------------------------------------------------------------------


def parameter_count(layer: Layer) -> tuple[int, str]:
    """The trainable parameters of a layer, and the formula in the notation of tutorial 004."""
    match layer:
        case Conv2d():
            pairs, o, k = connection_count(layer), layer.out_channels, layer.kernel_size
            kernels = f"{o}×{layer.in_channels}" if layer.connections is None else f"{pairs}"
            units = layer.bias_size
            biases = f"{o}" if units == 1 else f"{o}×{units}×{units}"
            return pairs * k * k + o * units**2, f"{kernels}×{k}×{k} + {biases}"
        case Linear():
            i, o = layer.in_features, layer.out_features
            return o * i + o, f"{o}×{i} + {o}"
        case Subsample():
            return 2 * layer.channels, f"{layer.channels} + {layer.channels}"
        case _:
            return 0, ""


def weight_and_bias_shapes(layer: Weighted) -> tuple[Shape, Shape]:
    """The shapes of a layer's weight and bias, as those of its namesake in torch.nn."""
    match layer:
        case Conv2d():
            kernel = (layer.kernel_size, layer.kernel_size)
            units = () if layer.bias_size == 1 else (layer.bias_size, layer.bias_size)
            return (layer.out_channels, layer.in_channels, *kernel), (layer.out_channels, *units)
        case Linear():
            return (layer.out_features, layer.in_features), (layer.out_features,)
        case Subsample():
            return (layer.channels,), (layer.channels,)


def fans(layer: Weighted) -> tuple[float, float]:
    """How many inputs one output sums, and how many outputs one input reaches."""
    match layer:
        case Conv2d():
            area, pairs = layer.kernel_size**2, connection_count(layer)
            return pairs * area / layer.out_channels, pairs * area / layer.in_channels
        case Linear():
            return layer.in_features, layer.out_features
        case Subsample():
            return layer.kernel_size**2, 1


def costs(layer: Layer, output: Shape) -> tuple[int, int]:
    """Multiply-accumulates for one picture, and connections as LeCun et al. 1998 count them."""
    match layer:
        case Conv2d():
            macs = connection_count(layer) * layer.kernel_size**2 * math.prod(output[1:])
            return macs, macs + math.prod(output)
        case Linear():
            macs = layer.in_features * layer.out_features
            return macs, macs + layer.out_features
        case RBF():
            macs = layer.in_features * layer.out_features
            return macs, macs
        case Subsample():
            units = math.prod(output)
            return units, units * (layer.kernel_size**2 + 1)
        case AvgPool2d() | MaxPool2d():  # a window's members, and no bias
            return 0, math.prod(output) * layer.kernel_size**2
        case _:
            return 0, 0
