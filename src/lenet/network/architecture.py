"""Networks as data: a tuple of layers, and what follows from their order.

What a layer is, layers.py says. Nothing here computes with pictures; every engine,
table, figure and file format is derived from these descriptions. Standard library only.

>>> from lenet.network.layers import Conv2d, Flatten, Linear, ReLU
>>> network = Network("tiny", (1, 6, 6), (Conv2d(1, 2, 3), ReLU(), Flatten(), Linear(32, 2)),
...                   classes=("cat", "dog"))
>>> [layer.output_shape for layer in trace(network)]
[(2, 4, 4), (2, 4, 4), (32,), (2,)]
"""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from dataclasses import dataclass
from typing import Any, TypeVar

from lenet.network import layers as layers_module
from lenet.network.layers import (
    LARGEST,
    LAYER_TYPES,
    ArchitectureError,
    Dense,
    Layer,
    Shape,
    Windowed,
    check_arguments,
    costs,
    output_shape,
    padding_of,
    parameter_count,
    sequence,
    show_shape,
    show_value,
    size_formula,
    stage_letter,
    stride_of,
    typed_layer,
    whole,
)

T = TypeVar("T")

MOST_LAYERS = 1_000
LONGEST_NAME = 100  # of a network or a class
# Signs that turn the order of what follows: a name with one reads as another.
_TURNING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}


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
            raise ArchitectureError(f"name is {show_value(self.name)}, must be text")
        shape = sequence("input_shape", self.input_shape, "(channels, height, width)")
        layers = sequence("layers", self.layers, "a tuple of layers, such as (Flatten(), …)")
        classes = sequence("classes", self.classes, 'a tuple of names, such as ("cat", "dog")')
        for name in classes:
            if not isinstance(name, str):
                raise ArchitectureError(
                    f"classes hold {show_value(name)}, must be names: write {str(name)[:50]!r}"
                )
        if not isinstance(self.normalization, Normalization):
            raise ArchitectureError(
                f"normalization is {show_value(self.normalization)}, must be a Normalization"
            )
        typed = {
            "input_shape": tuple(whole("a size in input_shape", size) for size in shape),
            "layers": tuple(typed_layer(index, layer) for index, layer in enumerate(layers)),
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
            f"network is {show_value(network)}; give a lenet.Network: lenet.build(name) makes one, "
            "and a run has it as run.network"
        )
    _check_head(network)
    rows = trace_layers(network.input_shape, network.layers)
    shape = rows[-1].output_shape
    if shape != (len(network.classes),):
        raise ArchitectureError(
            f"network {show_value(network.name)} ends with shape {show_shape(shape)}, but has "
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
        check_arguments(index, layer)
        try:
            output = output_shape(layer, shape)
        except ArchitectureError as error:
            where = f"layer {index} ({type(layer).__name__})"
            raise ArchitectureError(f"{where} {error}") from None
        if isinstance(layer, Windowed):
            reach = (layer.kernel_size - 1) * jump
            field = (field[0] + reach, field[1] + reach)
            offset -= padding_of(layer) * jump
            jump *= stride_of(layer)
            # windows that do not divide the size leave its last rows and columns out
            rows_end, columns_end = (offset + (n - 1) * jump + field[0] for n in output[1:])
            seen = (max(0, min(seen[0], rows_end)), max(0, min(seen[1], columns_end)))
        elif isinstance(layer, Dense):
            field, jump, offset = seen, 1, 0
        letter = stage_letter(layer)
        stages += bool(letter)
        parameters, formula = parameter_count(layer)
        macs, connections = costs(layer, output)
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
                size_formula=size_formula(layer, shape, output),
                receptive_field=field,
                input_stride=jump,
                input_offset=offset,
            )
        )
        shape = output
    return tuple(rows)


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
            f"input shape {show_value(shape)} must be (channels, height, width), each at least 1 "
            f"and at most {LARGEST}"
        )


def _check_head(network: Network) -> None:
    _check_input_shape(network.input_shape)
    for name in (network.name, *network.classes):
        if trouble := trouble_with_name(name):
            raise ArchitectureError(f"the name {show_value(name)} {trouble}")
    if len(network.layers) > MOST_LAYERS:
        raise ArchitectureError(
            f"network {show_value(network.name)} has {len(network.layers):,} layers; "
            f"at most {MOST_LAYERS:,} are taken"
        )
    if not network.layers:
        raise ArchitectureError(
            f"network {show_value(network.name)} has no layers; give at least one"
        )
    if len(network.classes) < 2:
        raise ArchitectureError(
            f"network {show_value(network.name)} has {len(network.classes)} classes; "
            "it needs at least 2"
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
            f"normalization mean {show_value(mean)}, deviation {show_value(deviation)}: "
            "means must be finite and deviations positive"
        )


# --- as JSON -----------------------------------------------------------------------------------


def to_dict(network: Network) -> dict[str, Any]:
    """The network as plain values for JSON; ``from_dict`` reads it back."""
    layers = []
    for layer in network.layers:
        values = {
            field.name: getattr(layer, field.name)
            for field in dataclasses.fields(layer)
            if getattr(layer, field.name) is not None
            # a later field: where it says nothing, older versions read the file, too
            and (field.name != "bias_size" or getattr(layer, field.name) != field.default)
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
        raise ArchitectureError(f"{what} is {show_value(value)}, must be a {kind.__name__}")
    return value


def _only(values: Any, known: tuple[str, ...], what: str) -> None:
    unknown = [key for key in _typed(values, dict, what) if key not in known]
    if unknown:
        raise ArchitectureError(
            f"{what} has an unknown key {show_value(unknown[0])}; choose from {', '.join(known)} "
            "(a newer version of lenet may have written it)"
        )


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArchitectureError(f"{what} is {show_value(value)}, must be a number")
    try:
        return float(value)
    except OverflowError:
        raise ArchitectureError(f"{what} is {show_value(value)}, too large for a number") from None


def _numbers(value: Any, what: str) -> tuple[float, ...]:
    return tuple(_number(item, what) for item in _typed(value, list, what))


def _integer(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
        raise ArchitectureError(
            f"{what} is {show_value(value)}, must be a whole number of at most {LARGEST}"
        )
    return value


def _shape3(value: Any) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3:
        raise ArchitectureError(
            f"input_shape is {show_value(value)}, must be [channels, height, width]"
        )
    channels, height, width = (_integer(size, "input_shape") for size in value)
    return channels, height, width


def _layer(index: int, values: Any) -> Layer:
    kind = _typed(values, dict, f"layer {index}").get("type")
    cls = LAYER_TYPES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        known = ", ".join(LAYER_TYPES)
        raise ArchitectureError(
            f"layer {index}: unknown type {show_value(kind)}; choose from {known}"
        )
    types = {field.name: field.type for field in dataclasses.fields(cls)}
    _only(values, ("type", *types), f"layer {index}")
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        what = f"layer {index} ({kind}): {name}"
        if name == "type":
            continue
        if name == "connections":
            rows = [_typed(row, list, what) for row in _typed(value, list, what)]
            arguments[name] = tuple(tuple(_integer(i, what) for i in row) for row in rows)
        elif types[name] == "float":
            arguments[name] = _number(value, what)
        else:
            arguments[name] = _integer(value, what)
    try:
        return cls(**arguments)
    except TypeError as error:
        raise ArchitectureError(f"layer {index} ({kind}): {error}") from None


def __getattr__(name: str) -> Any:
    """A layer or what is known of layers, under the path that programs know it by."""
    if name.startswith("_"):
        raise AttributeError(name)
    return getattr(layers_module, name)
