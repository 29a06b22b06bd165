"""The named networks: each a function of the input shape and the classes.

``NETWORKS`` maps the names that the command line takes to these functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from numbers import Integral

from lenet.names import did_you_mean, known_as
from lenet.network.architecture import Network, Normalization, trace, trace_layers
from lenet.network.layers import (
    RBF,
    ArchitectureError,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    ScaledTanh,
    Sigmoid,
    Subsample,
)
from lenet.untrusted import shown

InputShape = tuple[int, int, int]
Classes = int | tuple[str, ...]


def lenet(input_shape: InputShape = (1, 28, 28), classes: Classes = 10) -> Network:
    """The tutorials' network (000, 001, 004): sigmoid, average pooling; 61,706 parameters."""
    return _lenet("lenet", input_shape, classes, Sigmoid(), AvgPool2d(2, stride=2), padding=2)


def lenet_max(input_shape: InputShape = (1, 28, 28), classes: Classes = 10) -> Network:
    """The class of tutorial 002: no padding, max pooling, 16·4·4 into the dense layers."""
    return _lenet("lenet-max", input_shape, classes, Sigmoid(), MaxPool2d(2, stride=2), padding=0)


def lenet_relu(input_shape: InputShape = (1, 28, 28), classes: Classes = 10) -> Network:
    """``lenet`` with what came later: ReLU and max pooling; 61,706 parameters."""
    return _lenet("lenet-relu", input_shape, classes, ReLU(), MaxPool2d(2, stride=2), padding=2)


def modern(input_shape: InputShape = (1, 28, 28), classes: Classes = 10) -> Network:
    """The best classifier that was found at LeNet's size: 54,410 parameters (docs/modern.md)."""
    convolutions = (
        Conv2d(input_shape[0], 16, kernel_size=5, padding=2),  # 16×28×28
        ReLU(),
        MaxPool2d(2, stride=2),
        Conv2d(16, 32, kernel_size=5, padding=2),  # 32×14×14
        ReLU(),
        MaxPool2d(2, stride=2),
        Conv2d(32, 24, kernel_size=3),  # 24×5×5
        ReLU(),
    )
    return _three_stages("modern", input_shape, classes, convolutions, dense=56)


def small(input_shape: InputShape = (1, 28, 28), classes: Classes = 10) -> Network:
    """The same plan for digits, with fewer than 20,000 parameters: 19,194 (docs/modern.md)."""
    convolutions = (
        Conv2d(input_shape[0], 8, kernel_size=5, padding=2),  # 8×28×28
        ReLU(),
        MaxPool2d(2, stride=2),
        Conv2d(8, 24, kernel_size=5, padding=2),  # 24×14×14
        ReLU(),
        MaxPool2d(2, stride=2),
        Conv2d(24, 40, kernel_size=3),  # 40×5×5
        ReLU(),
        MaxPool2d(2, stride=2),  # 40×2×2
    )
    return _three_stages("small", input_shape, classes, convolutions, dense=32, dropout=0.05)


def mlp(input_shape: InputShape = (1, 28, 28), classes: Classes = 10) -> Network:
    """Tutorial 004's comparison without convolutions: 784-256-128-10, 235,146 parameters."""
    names = class_names(classes)
    channels, height, width = input_shape
    layers = (
        Flatten(),
        Linear(channels * height * width, 256),
        ReLU(),
        Linear(256, 128),
        ReLU(),
        Linear(128, len(names)),
    )
    return Network("mlp", input_shape, layers, names)


def linear(input_shape: InputShape = (1, 28, 28), classes: Classes = 10) -> Network:
    """The baseline: one dense layer, no hidden one; 7,850 parameters. Softmax regression."""
    names = class_names(classes)
    channels, height, width = input_shape
    layers = (Flatten(), Linear(channels * height * width, len(names)))
    return Network("linear", input_shape, layers, names)


_SIGNED = Normalization(mean=(0.5,), deviation=(0.5,))  # background -1, ink 1

# LeCun et al. 1998, table I: the S2 maps that each of the sixteen C3 maps sees.
C3_CONNECTIONS = (
    *(tuple(sorted((first + i) % 6 for i in range(3))) for first in range(6)),  # 3 neighbours
    *(tuple(sorted((first + i) % 6 for i in range(4))) for first in range(6)),  # 4 neighbours
    (0, 1, 3, 4),  # two pairs
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),  # all
)


def lenet5(input_shape: InputShape = (1, 32, 32), classes: Classes = 10) -> Network:
    """LeNet-5 as in LeCun et al. 1998, section II.B: 60,000 trainable parameters.

    Background pixels become -0.1 and ink 1.175, as there.
    """
    names = class_names(classes)
    layers = (
        Conv2d(input_shape[0], 6, kernel_size=5),  # C1: 6×28×28
        ScaledTanh(),
        Subsample(6),  # S2: 6×14×14
        ScaledTanh(),
        Conv2d(6, 16, kernel_size=5, connections=C3_CONNECTIONS),  # C3: 16×10×10
        ScaledTanh(),
        Subsample(16),  # S4: 16×5×5
        ScaledTanh(),
        Conv2d(16, 120, kernel_size=5),  # C5: 120×1×1
        ScaledTanh(),
        Flatten(),
        Linear(120, 84),  # F6
        ScaledTanh(),
        RBF(84, len(names)),
    )
    normalization = Normalization(mean=(0.1 / 1.275,), deviation=(1 / 1.275,))
    return Network("lenet5", input_shape, layers, names, normalization)


# LeCun et al. 1990, table 1: the H2 maps that each of the twelve H3 maps sees.
H3_CONNECTIONS = tuple(
    tuple(first + one for one in pair)
    for first in (0, 2)
    for pair in ((0,), (0, 1), (0, 1), (1,), (0, 1), (0, 1))
)


def lenet1(input_shape: InputShape = (1, 28, 28), classes: Classes = 10) -> Network:
    """LeNet-1, LeCun et al. 1990: 2,578 parameters, 98,442 connections.

    Its ten outputs were squashed and compared with ±1; here they are logits.
    """
    names = class_names(classes)
    stages = (
        Conv2d(input_shape[0], 4, kernel_size=5),  # H1: 4×24×24
        ScaledTanh(),
        Subsample(4),  # H2: 4×12×12
        ScaledTanh(),
        Conv2d(4, 12, kernel_size=5, connections=H3_CONNECTIONS),  # H3: 12×8×8
        ScaledTanh(),
        Subsample(12),  # H4: 12×4×4
        ScaledTanh(),
        Flatten(),
    )
    (features,) = trace_layers(input_shape, stages)[-1].output_shape
    return Network("lenet1", input_shape, (*stages, Linear(features, len(names))), names, _SIGNED)


# LeCun et al. 1989: each H2 map sees eight of the twelve H1 maps; which, the paper does not say.
# Here three groups of four each see two thirds.
H2_CONNECTIONS = tuple(
    tuple(one for one in range(12) if one // 4 != 2 - group) for group in range(3) for _ in range(4)
)


def lenet1989(input_shape: InputShape = (1, 16, 16), classes: Classes = 10) -> Network:
    """The network of LeCun et al. 1989: 9,760 parameters, 64,660 connections.

    A map shares its kernel, and each unit has a bias of its own. Around a picture the paper has
    its background, -1, and here is 0: the units' own biases take that up. Its ten outputs were
    squashed and compared with ±1; here they are logits.
    """
    names = class_names(classes)
    rows = (input_shape[1] - 1) // 2 + 1
    layers = (
        Conv2d(input_shape[0], 12, 5, stride=2, padding=2, bias_size=rows),  # H1: 12×8×8
        ScaledTanh(),
        Conv2d(
            *(12, 12, 5), stride=2, padding=2, connections=H2_CONNECTIONS, bias_size=(rows + 1) // 2
        ),  # H2: 12×4×4
        ScaledTanh(),
        Flatten(),
        Linear(12 * ((rows + 1) // 2) ** 2, 30),  # H3
        ScaledTanh(),
        Linear(30, len(names)),
    )
    return Network("lenet1989", input_shape, layers, names, _SIGNED)


NETWORKS: dict[str, Callable[[InputShape, Classes], Network]] = {
    "lenet": lenet,
    "lenet-max": lenet_max,
    "lenet-relu": lenet_relu,
    "modern": modern,
    "small": small,
    "mlp": mlp,
    "linear": linear,
    "lenet5": lenet5,
    "lenet1": lenet1,
    "lenet1989": lenet1989,
}

FROM_1989_TO_1998 = ("lenet1989", "lenet1", "lenet5")  # whose first weights are "lecun"

# Where the pictures are not 28×28.
OWN_SIDES = {"lenet5": 32, "lenet1989": 16}


def own_shape(name: str) -> InputShape:
    """The shape of the pictures that the named network was made for, of one channel."""
    side = OWN_SIDES.get(name, 28)
    return 1, side, side


def build(
    name: str, input_shape: InputShape | None = None, classes: Classes | None = None
) -> Network:
    """The named network for these pictures and classes, traced once so that it is known to fit.

    Without a shape, that of the network's own pictures (``own_shape``).
    Raises ValueError with the nearest name for an unknown one, ArchitectureError where the
    pictures are too small for the layers.
    """
    name = name_of(name)
    own_size = own_shape(name)
    shape = own_size if input_shape is None else input_shape
    _check_shape(shape)
    try:
        network = NETWORKS[name](shape, 10 if classes is None else classes)
        trace(network)
    except ArchitectureError as error:
        size = "×".join(map(str, shape))
        own = "×".join(map(str, own_size))
        raise ArchitectureError(
            f"{name} was made for pictures of {own} and does not fit {size}: {error}"
        ) from None
    return network


def _check_shape(shape: object) -> None:
    """Raise ArchitectureError for what is no shape of a picture: a text, two numbers."""
    sizes: list[object] = list(shape) if isinstance(shape, tuple | list) else []
    if len(sizes) == 3 and all(map(_is_whole, sizes)):
        return
    if isinstance(shape, str):
        sizes = [int(number) for number in re.findall(r"\d{1,9}", shape)]
    hint = ""
    if len(sizes) in (2, 3) and all(map(_is_whole, sizes)):
        hint = f", such as ({', '.join(map(str, [1, *sizes][-3:]))})"
    raise ArchitectureError(
        f"input_shape is {shown(shape)}; give (channels, height, width) as whole numbers{hint}"
    )


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def name_of(name: str) -> str:
    """The network's name as ``NETWORKS`` spells it, whatever the case it was typed in.

    Raises ValueError, with the nearest name, where no network is called so.
    """
    found = known_as(name, NETWORKS)
    if found is None:
        hint = did_you_mean(name, NETWORKS)
        raise ValueError(f"unknown network {name!r}; {hint}choose from {', '.join(NETWORKS)}")
    return found


def class_names(classes: Classes) -> tuple[str, ...]:
    """The names themselves, or "0", "1", … for a count.

    >>> class_names(3)
    ('0', '1', '2')
    """
    if isinstance(classes, int):
        return tuple(str(index) for index in range(classes))
    return classes


def _lenet(
    name: str,
    input_shape: InputShape,
    classes: Classes,
    activation: Layer,
    pooling: Layer,
    padding: int,
) -> Network:
    """Two stages of convolution and pooling, then 120, 84 and one output a class."""
    names = class_names(classes)
    stages = (
        Conv2d(input_shape[0], 6, kernel_size=5, padding=padding),
        activation,
        pooling,
        Conv2d(6, 16, kernel_size=5),
        activation,
        pooling,
        Flatten(),
    )
    (features,) = trace_layers(input_shape, stages)[-1].output_shape
    head = (
        Linear(features, 120),
        activation,
        Linear(120, 84),
        activation,
        Linear(84, len(names)),
    )
    return Network(name, input_shape, (*stages, *head), names)


def _three_stages(
    name: str,
    input_shape: InputShape,
    classes: Classes,
    convolutions: tuple[Layer, ...],
    dense: int,
    dropout: float = 0.0,
) -> Network:
    """The convolutions with what is between them, then dropout, if any, and two dense layers."""
    names = class_names(classes)
    stages = (*convolutions, Flatten(), *([Dropout(dropout)] if dropout else []))
    (features,) = trace_layers(input_shape, stages)[-1].output_shape
    head = (Linear(features, dense), ReLU(), Linear(dense, len(names)))
    return Network(name, input_shape, (*stages, *head), names)
