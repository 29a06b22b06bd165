"""Networks as data: layers named as in torch.nn, and what follows from them.

A network is a tuple of layer descriptions. Nothing here computes with pictures; every engine,
table, figure and file format is derived from these descriptions. Standard library only.

>>> network = Network("tiny", (1, 6, 6), (Conv2d(1, 2, 3), ReLU(), Flatten(), Linear(32, 2)),
...                   classes=("cat", "dog"))
>>> [layer.output_shape for layer in trace(network)]
[(2, 4, 4), (2, 4, 4), (32,), (2,)]
"""

from __future__ import annotations

import dataclasses
import math
import reprlib
import unicodedata
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypeVar

Shape = tuple[int, ...]
T = TypeVar("T")

LARGEST = 2**31 - 1  # of any size: more is a mistake, or a file that wants to fill the memory
MOST_LAYERS = 1_000
LONGEST_NAME = 100  # of a network or a class
# Signs that turn the order of what follows: a name with one reads as another.
_TURNING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}


class ArchitectureError(ValueError):
    """A network that does not fit together; the message names the layer and the shapes."""


# --- layers, with the arguments of their namesakes in torch.nn ---------------------------------


@dataclass(frozen=True)
class Conv2d:
    """A convolution: ``out_channels`` square kernels over every input channel.

    ``connections`` restricts it as in C3 of the 1998 network: one tuple of input channels for
    each output channel; the weights between the others do not exist.
    """

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    connections: tuple[tuple[int, ...], ...] | None = None


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
class Dropout:
    """In training each unit is zero with probability ``p``, the others divided by 1 - p."""

    p: float = 0.5


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

    amplitude: float = 1.7159
    slope: float = 2 / 3


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


Layer = (
    Conv2d
    | AvgPool2d
    | MaxPool2d
    | Sigmoid
    | Tanh
    | ReLU
    | Dropout
    | Flatten
    | Linear
    | ScaledTanh
    | Subsample
    | RBF
)

LAYER_TYPES: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (
        Conv2d,
        AvgPool2d,
        MaxPool2d,
        Sigmoid,
        Tanh,
        ReLU,
        Dropout,
        Flatten,
        Linear,
        ScaledTanh,
        Subsample,
        RBF,
    )
}


def stride_of(layer: Conv2d | AvgPool2d | MaxPool2d | Subsample) -> int:
    """The step between windows: torch.nn's pooling uses the kernel size when none is given."""
    if isinstance(layer, Subsample) or layer.stride is None:
        return layer.kernel_size
    return layer.stride


def padding_of(layer: Conv2d | AvgPool2d | MaxPool2d | Subsample) -> int:
    """The rows and columns added on each side before the windows are laid."""
    return 0 if isinstance(layer, Subsample) else layer.padding


def connection_count(layer: Conv2d) -> int:
    """How many pairs of an input and an output channel have a kernel."""
    if layer.connections is None:
        return layer.in_channels * layer.out_channels
    return sum(len(sources) for sources in layer.connections)


# --- networks ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Normalization:
    """What turns a pixel into the first layer's input: (pixel / 255 - mean) / deviation.

    One value a channel, or a single value for all of them.
    """

    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Network:
    """A name, the shape of a picture, layers, and the names of the classes.

    The normalization belongs to the network, so that a saved file predicts by itself. It is no
    layer: the parameters' names are those of an ``nn.Sequential`` of ``layers``.

    Lists are taken for the tuples, and NumPy's whole numbers for Python's. Raises
    ArchitectureError, naming the argument or the layer, for anything of another type; whether the
    layers fit together, ``trace`` says.
    """

    name: str
    input_shape: tuple[int, int, int]  # channels, height, width
    layers: tuple[Layer, ...]
    classes: tuple[str, ...]
    normalization: Normalization = Normalization()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ArchitectureError(f"name is {_show(self.name)}, must be text")
        shape = _sequence("input_shape", self.input_shape, "(channels, height, width)")
        layers = _sequence("layers", self.layers, "a tuple of layers, such as (Flatten(), …)")
        classes = _sequence("classes", self.classes, 'a tuple of names, such as ("cat", "dog")')
        for name in classes:
            if not isinstance(name, str):
                raise ArchitectureError(
                    f"classes hold {_show(name)}, must be names: write {str(name)[:50]!r}"
                )
        if not isinstance(self.normalization, Normalization):
            raise ArchitectureError(
                f"normalization is {_show(self.normalization)}, must be a Normalization"
            )
        typed = {
            "input_shape": tuple(_whole("a size in input_shape", size) for size in shape),
            "layers": tuple(_typed_layer(index, layer) for index, layer in enumerate(layers)),
            "classes": classes,
        }
        for field, value in typed.items():
            object.__setattr__(self, field, value)  # frozen: the one place where they are set


@dataclass(frozen=True)
class TracedLayer:
    """One layer of a network with everything that follows from its place there."""

    index: int  # from 0, as in the parameters' names
    layer: Layer
    stage: str  # the paper's names: C1 S2 C3 S4 C5 F6; empty where a layer has none
    input_shape: Shape
    output_shape: Shape
    parameters: int
    parameter_formula: str  # "16×6×5×5 + 16"; empty where there are none
    macs: int  # multiply-accumulates of one picture, biases not counted
    connections: int  # as the paper counts them: macs, and one for each bias used
    size_formula: str  # "(28 + 2·2 - 5) / 1 + 1 = 28"; empty where windows play no part
    receptive_field: tuple[int, int]  # input rows and columns from first to last that one output
    # depends on; as if the picture had no edges, but for dense layers cut to the picture
    input_stride: int  # input pixels between neighbouring outputs
    input_offset: int  # first input row (and column) of output (0, 0); negative in the padding

    @property
    def kind(self) -> str:
        """The layer's type by name, as in torch.nn."""
        return type(self.layer).__name__


def trace(network: Network) -> tuple[TracedLayer, ...]:
    """Each layer with its shapes, costs and receptive field, in order.

    Raises ArchitectureError, with the layer's number and the shapes, where a layer does not fit
    what comes before it or the classes.
    """
    if not isinstance(network, Network):
        raise ArchitectureError(
            f"network is {_show(network)}; give a lenet.Network: lenet.build(name) makes one, and "
            "a run has it as run.network"
        )
    _check_head(network)
    rows = trace_layers(network.input_shape, network.layers)
    shape = rows[-1].output_shape
    if shape != (len(network.classes),):
        raise ArchitectureError(
            f"network {_show(network.name)} ends with shape {show_shape(shape)}, but has "
            f"{len(network.classes)} classes; end it with Linear(…, {len(network.classes)})"
        )
    return rows


def trace_layers(
    input_shape: tuple[int, int, int], layers: tuple[Layer, ...]
) -> tuple[TracedLayer, ...]:
    """Each of the layers as in ``trace``, for a chain that need not end in classes."""
    _check_input_shape(input_shape)
    shape: Shape = input_shape
    field, jump, offset = (1, 1), 1, 0
    seen = input_shape[1:]  # rows and columns of the picture that the whole output depends on
    stages = 0
    rows: list[TracedLayer] = []
    for index, layer in enumerate(layers):
        _check_values(index, layer)
        output = _output_shape(index, layer, shape)
        if isinstance(layer, Conv2d | AvgPool2d | MaxPool2d | Subsample):
            reach = (layer.kernel_size - 1) * jump
            field = (field[0] + reach, field[1] + reach)
            offset -= padding_of(layer) * jump
            jump *= stride_of(layer)
            # windows that do not divide the size leave its last rows and columns out
            rows_end, columns_end = (offset + (n - 1) * jump + field[0] for n in output[1:])
            seen = (max(0, min(seen[0], rows_end)), max(0, min(seen[1], columns_end)))
        elif isinstance(layer, Linear | RBF):
            field, jump, offset = seen, 1, 0
        letter = _stage_letter(layer)
        stages += bool(letter)
        parameters, formula = _parameters(layer)
        macs, connections = _costs(layer, shape, output)
        rows.append(
            TracedLayer(
                index=index,
                layer=layer,
                stage=f"{letter}{stages}" if letter else "",
                input_shape=shape,
                output_shape=output,
                parameters=parameters,
                parameter_formula=formula,
                macs=macs,
                connections=connections,
                size_formula=_size_formula(layer, shape, output),
                receptive_field=field,
                input_stride=jump,
                input_offset=offset,
            )
        )
        shape = output
    return tuple(rows)


def show_shape(shape: Shape) -> str:
    """A shape as the tables print it.

    >>> show_shape((6, 28, 28)), show_shape((84,))
    ('6×28×28', '84')
    """
    return "×".join(str(size) for size in shape)


def _sequence(what: str, value: Any, wanted: str) -> tuple[Any, ...]:
    """A tuple or list as a tuple; text and numbers are neither."""
    if not isinstance(value, tuple | list):
        raise ArchitectureError(f"{what} is {_show(value)}, must be {wanted}")
    return tuple(value)


def _whole(what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ArchitectureError(f"{what} is {_show(value)}, must be a whole number")
    return int(value)


def _typed_layer(index: int, layer: Any) -> Layer:
    """The layer with numbers of Python's own types; ArchitectureError for what is no layer."""
    if not isinstance(layer, Layer):
        hint = "one of lenet's layers, such as lenet.ReLU()"
        if isinstance(layer, type) and layer in LAYER_TYPES.values():
            hint = f"a layer: write {layer.__name__}()"
        elif type(layer).__module__.startswith("torch."):
            hint = "one of lenet's layers: lenet.from_torch(module, input_shape) translates them"
        raise ArchitectureError(f"layer {index} is {_show(layer)}, must be {hint}")
    typed: dict[str, Any] = {}
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        what = f"layer {index} ({type(layer).__name__}): {field.name}"
        if field.name in ("p", "amplitude", "slope"):
            if isinstance(value, bool) or not isinstance(value, Real):
                raise ArchitectureError(f"{what} is {_show(value)}, must be a number")
            continue
        if value is None and field.default is None:
            continue
        if field.name == "connections":
            rows = _sequence(what, value, "a tuple of tuples of input channels")
            whole: Any = tuple(
                tuple(_whole(what, source) for source in _sequence(what, row, "a tuple of tuples"))
                for row in rows
            )
        elif isinstance(value, tuple | list) and len(set(value)) == 1:
            raise ArchitectureError(
                f"{what} is {_show(value)}, must be one number: windows are square, write "
                f"{_show(value[0])}"
            )
        else:
            whole = _whole(what, value)
        if type(value) is not type(whole) or value != whole:
            typed[field.name] = whole
    return dataclasses.replace(layer, **typed) if typed else layer


def trouble_with_name(name: str, most: int = LONGEST_NAME) -> str:
    """What is wrong with a name that is printed, as the end of a sentence; empty if nothing.

    >>> trouble_with_name("ankle boot"), trouble_with_name("a\\nb")
    ('', 'must have no control characters')
    """
    if len(name) > most:
        return f"has {len(name):,} characters, must have at most {most}"
    # they would act on the terminal that prints them; surrogates have no UTF-8
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in name):
        return "must have no control characters"
    if any(ord(sign) in _TURNING for sign in name):
        return "must have no signs that turn the direction of writing"
    return ""


def _check_input_shape(shape: Shape) -> None:
    if len(shape) != 3 or min(shape) < 1 or max(shape) > LARGEST:
        raise ArchitectureError(
            f"input shape {_show(shape)} must be (channels, height, width), each at least 1 "
            f"and at most {LARGEST}"
        )


def _check_head(network: Network) -> None:
    _check_input_shape(network.input_shape)
    for name in (network.name, *network.classes):
        if trouble := trouble_with_name(name):
            raise ArchitectureError(f"the name {_show(name)} {trouble}")
    if len(network.layers) > MOST_LAYERS:
        raise ArchitectureError(
            f"network {_show(network.name)} has {len(network.layers):,} layers; "
            f"at most {MOST_LAYERS:,} are taken"
        )
    if not network.layers:
        raise ArchitectureError(f"network {_show(network.name)} has no layers; give at least one")
    if len(network.classes) < 2:
        raise ArchitectureError(
            f"network {_show(network.name)} has {len(network.classes)} classes; it needs at least 2"
        )
    channels = network.input_shape[0]
    mean, deviation = network.normalization.mean, network.normalization.deviation
    if any(len(values) not in (1, channels) for values in (mean, deviation)):
        raise ArchitectureError(
            f"normalization has {len(mean)} means and {len(deviation)} deviations for "
            f"{channels} channels; give one for all, or one for each"
        )
    if not all(math.isfinite(value) for value in mean + deviation) or min(deviation) <= 0:
        raise ArchitectureError(
            f"normalization mean {_show(mean)}, deviation {_show(deviation)}: "
            "means must be finite and deviations positive"
        )


def _check_values(index: int, layer: Layer) -> None:
    """Refuse sizes that no layer can have, whatever comes before it."""
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if field.name == "p":
            valid, wanted = 0 <= value <= 1, "from 0 to 1"
        elif field.name == "padding":
            # a window that lies wholly in the padding would have no pixel
            most = LARGEST if isinstance(layer, Conv2d) else layer.kernel_size // 2  # type: ignore[union-attr]
            valid, wanted = 0 <= value <= most, f"from 0 to {most}"
        elif field.name in ("amplitude", "slope"):
            valid, wanted = math.isfinite(value) and value != 0, "a finite number but zero"
        elif field.name == "connections" or value is None:
            continue
        else:
            wanted = "at least 1" if value < 1 else f"at most {LARGEST}"
            valid = 1 <= value <= LARGEST
        if not valid:
            raise ArchitectureError(
                f"layer {index} ({type(layer).__name__}): {field.name} is {_show(value)}, "
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
                f"{where} of output channel {output} are {_show(sources)}; "
                f"give different input channels from 0 to {layer.in_channels - 1}"
            )


def _output_shape(index: int, layer: Layer, shape: Shape) -> Shape:
    """The shape that leaves a layer; ArchitectureError where ``shape`` cannot enter it."""

    def misfit(expected: str) -> ArchitectureError:
        return ArchitectureError(
            f"layer {index} ({type(layer).__name__}) expects {expected}, "
            f"but its input has shape {show_shape(shape)}"
        )

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
            return (channels, *(_windows(layer, size) for size in shape[1:]))
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


def _windows(layer: Conv2d | AvgPool2d | MaxPool2d | Subsample, size: int) -> int:
    return (size + 2 * padding_of(layer) - layer.kernel_size) // stride_of(layer) + 1


def _size_formula(layer: Layer, shape: Shape, output: Shape) -> str:
    """Tutorial 002's (W + 2P - F) / S + 1 with this layer's height put in (and width, if other)."""
    if not isinstance(layer, Conv2d | AvgPool2d | MaxPool2d | Subsample):
        return ""
    padding, kernel, stride = padding_of(layer), layer.kernel_size, stride_of(layer)

    def formula(size: int, result: int) -> str:
        padded = f"{size} + 2·{padding} - {kernel}" if padding else f"{size} - {kernel}"
        exact = (size + 2 * padding - kernel) % stride == 0
        quotient = f"({padded}) / {stride}" if exact else f"⌊({padded}) / {stride}⌋"
        return f"{quotient} + 1 = {result}"

    formulas = [formula(size, result) for size, result in zip(shape[1:], output[1:], strict=True)]
    return ", ".join(dict.fromkeys(formulas))


def _stage_letter(layer: Layer) -> str:
    match layer:
        case Conv2d():
            return "C"
        case AvgPool2d() | MaxPool2d() | Subsample():
            return "S"
        case Linear():
            return "F"
        case _:
            return ""


def _parameters(layer: Layer) -> tuple[int, str]:
    """The trainable parameters of a layer, and the formula in the notation of tutorial 004."""
    match layer:
        case Conv2d(connections=None):
            i, o, k = layer.in_channels, layer.out_channels, layer.kernel_size
            return o * i * k * k + o, f"{o}×{i}×{k}×{k} + {o}"
        case Conv2d():
            pairs, o, k = connection_count(layer), layer.out_channels, layer.kernel_size
            return pairs * k * k + o, f"{pairs}×{k}×{k} + {o}"
        case Linear():
            i, o = layer.in_features, layer.out_features
            return o * i + o, f"{o}×{i} + {o}"
        case Subsample():
            return 2 * layer.channels, f"{layer.channels} + {layer.channels}"
        case _:
            return 0, ""


def _costs(layer: Layer, shape: Shape, output: Shape) -> tuple[int, int]:
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
        case _:
            return 0, 0


# --- as JSON -----------------------------------------------------------------------------------


def to_dict(network: Network) -> dict[str, Any]:
    """The network as plain values for JSON; ``from_dict`` reads it back."""
    layers = []
    for layer in network.layers:
        values = {
            field.name: getattr(layer, field.name)
            for field in dataclasses.fields(layer)
            if getattr(layer, field.name) is not None
        }
        if "connections" in values:
            values["connections"] = [list(sources) for sources in values["connections"]]
        layers.append({"type": type(layer).__name__, **values})
    return {
        "name": network.name,
        "input_shape": list(network.input_shape),
        "layers": layers,
        "classes": list(network.classes),
        "normalization": {
            "mean": list(network.normalization.mean),
            "deviation": list(network.normalization.deviation),
        },
    }


def from_dict(values: Any) -> Network:
    """The network that ``to_dict`` wrote, checked by ``trace``.

    Takes what strangers' files hold: raises ArchitectureError, and nothing else, for anything
    that is not a complete, well-typed network that fits together, and for keys it does not know
    (they may change what the network means). Names layer types only from this module.
    """
    try:
        _only(values, ("name", "input_shape", "layers", "classes", "normalization"), "network")
        normalization = values.get("normalization", {"mean": [0.0], "deviation": [1.0]})
        _only(normalization, ("mean", "deviation"), "normalization")
        network = Network(
            name=_typed(values["name"], str, "name"),
            input_shape=_shape3(values["input_shape"]),
            layers=tuple(
                _layer(index, layer)
                for index, layer in enumerate(_typed(values["layers"], list, "layers"))
            ),
            classes=tuple(
                _typed(name, str, "class") for name in _typed(values["classes"], list, "classes")
            ),
            normalization=Normalization(
                mean=_numbers(normalization["mean"], "normalization mean"),
                deviation=_numbers(normalization["deviation"], "normalization deviation"),
            ),
        )
    except KeyError as error:
        raise ArchitectureError(f"not a network description: {error} is missing") from None
    trace(network)
    return network


def _typed(value: Any, kind: type[T], what: str) -> T:
    if not isinstance(value, kind):
        raise ArchitectureError(f"{what} is {_show(value)}, must be a {kind.__name__}")
    return value


def _only(values: Any, known: tuple[str, ...], what: str) -> None:
    unknown = [key for key in _typed(values, dict, what) if key not in known]
    if unknown:
        raise ArchitectureError(
            f"{what} has an unknown key {_show(unknown[0])}; choose from {', '.join(known)} "
            "(a newer version of lenet may have written it)"
        )


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArchitectureError(f"{what} is {_show(value)}, must be a number")
    try:
        return float(value)
    except OverflowError:
        raise ArchitectureError(f"{what} is {_show(value)}, too large for a number") from None


def _numbers(value: Any, what: str) -> tuple[float, ...]:
    return tuple(_number(item, what) for item in _typed(value, list, what))


def _integer(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
        raise ArchitectureError(
            f"{what} is {_show(value)}, must be a whole number of at most {LARGEST}"
        )
    return value


def _show(value: Any) -> str:
    """What a stranger wrote, cut to a length and depth that a message can hold."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes no whole numbers of more than 4,300 digits
        kind = "whole number" if isinstance(value, int) else type(value).__name__
        return f"a {kind} too long to show"


def _shape3(value: Any) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3:
        raise ArchitectureError(f"input_shape is {_show(value)}, must be [channels, height, width]")
    channels, height, width = (_integer(size, "input_shape") for size in value)
    return channels, height, width


def _layer(index: int, values: Any) -> Layer:
    kind = _typed(values, dict, f"layer {index}").get("type")
    cls = LAYER_TYPES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        known = ", ".join(LAYER_TYPES)
        raise ArchitectureError(f"layer {index}: unknown type {_show(kind)}; choose from {known}")
    _only(values, ("type", *(field.name for field in dataclasses.fields(cls))), f"layer {index}")
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        what = f"layer {index} ({kind}): {name}"
        if name == "type":
            continue
        if name == "connections":
            rows = [_typed(row, list, what) for row in _typed(value, list, what)]
            arguments[name] = tuple(tuple(_integer(i, what) for i in row) for row in rows)
        elif name in ("p", "amplitude", "slope"):
            arguments[name] = _number(value, what)
        else:
            arguments[name] = _integer(value, what)
    try:
        return cls(**arguments)
    except TypeError as error:
        raise ArchitectureError(f"layer {index} ({kind}): {error}") from None
