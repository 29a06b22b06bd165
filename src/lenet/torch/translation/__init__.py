"""PyTorch modules as networks: what their ``forward`` does, read, checked and tried."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from lenet.engines import normalization_table
from lenet.engines.numpy import NumpyEngine
from lenet.network.architecture import Network, Normalization, trace, trace_layers
from lenet.network.layers import (
    ArchitectureError,
    Dropout,
    Layer,
    Shape,
    Weighted,
    show_shape,
)
from lenet.network.parameters import Parameters, State
from lenet.optimization import Objective, Optimizer
from lenet.torch.translation.hooks import check_surroundings
from lenet.torch.translation.one_output import for_two_classes, widened, with_zeros
from lenet.torch.translation.operations import OPERATIONS
from lenet.torch.translation.reader import Reader, UnsupportedModuleError, picture_shape
from lenet.torch.translation.surroundings import Surroundings
from lenet.torch.translation.trial import Traces, as_before

__all__ = [
    "Reading",
    "Translation",
    "UnsupportedModuleError",
    "from_torch",
    "network_of",
    "parameters_of",
    "read",
]

# Of the largest output of a layer. A float32 operation is wrong by 6e-8 of its result; sums of up
# to 10,000 terms in another order, a few layers one after the other, by about 1e-5. A wrong stride,
# padding, order or function moves a layer's outputs by as much as they differ among themselves.
TOLERANCE = 1e-4
PICTURES = 4  # that a translation is tried on


@dataclass(frozen=True)
class Translation:
    """A module's network, its parameters by the network's names, and the map from the module's."""

    network: Network
    parameters: Parameters
    keys: dict[str, str]  # "conv.0.weight" of the module: "0.weight" of the network
    zeros: tuple[str, ...] = ()  # biases that the module lacks; training changes them, too
    # Whether outputs and training are the module's: nothing was left out at the end or added.
    exact: bool = True


@dataclass(frozen=True)
class Reading:
    """What ``forward`` computes, as layers; ``from_torch`` takes only what is a network."""

    input_shape: Shape  # channels, height, width
    layers: tuple[Layer, ...]
    keys: dict[str, str]  # of the network's names: the module's; a bias may be missing
    final: str  # "softmax", "log_softmax", SQUEEZE … after the last layer, or empty
    writes: str  # what forward does besides ("changes self.last"), or empty
    untrained: str  # what forward computes first under torch.no_grad ("fc, Linear"), or empty


def from_torch(
    module: nn.Module,
    input_shape: Shape,
    *,
    name: str = "imported",
    classes: tuple[str, ...] | None = None,
    normalization: Normalization | None = None,
) -> Translation:
    """The network that a module computes, with copies of its parameters and the map of its keys.

    ``input_shape`` is that of one picture as the module takes it, (channels, height, width);
    or (784,) where it takes flat pictures, of a square and one channel where the length allows,
    else of one row. ``normalization`` is what the pixels went through before the module saw them,
    if it is not pixel / 255; ``classes`` are "0", "1", … where no names are given. Of the arguments
    of ``forward``, pictures alone are given: others keep their defaults.

    Sequentials, classes with submodules and functional code may be mixed. Accepted are

    - ``nn.Conv2d``, ``F.conv2d``, ``torch.conv2d`` and ``nn.Linear``, ``F.linear``, each with
      parameters of its own: square kernels, the same stride and padding in both directions, zeros
      as padding, no dilation, no groups. A missing bias becomes one of zeros, named in ``zeros``:
      the outputs are the same until the network is trained further, which changes it;
    - ``nn.AvgPool2d``, ``F.avg_pool2d`` and ``nn.MaxPool2d``, ``F.max_pool2d``,
      ``torch.max_pool2d``, with square windows; ``ceil_mode`` and ``count_include_pad`` where
      they change nothing;
    - the activations of lenet, as modules (``nn.ReLU``), functions (``F.relu``, ``torch.relu``) and
      methods (``Tensor.relu``) where PyTorch has them, in place (``F.relu_``) or not;
    - the modules of ``lenet.torch.of_1998``;
    - ``nn.Dropout``, ``F.dropout``, ``torch.dropout`` with ``training=self.training``;
    - ``nn.Flatten``, ``torch.flatten``, ``Tensor.flatten``, and ``torch.reshape``,
      ``Tensor.reshape``, ``Tensor.view`` where they do the same;
    - at the beginning, to give a picture its shape: those three, ``nn.Unflatten``,
      ``torch.unflatten``, ``Tensor.unflatten``, ``torch.unsqueeze``, ``Tensor.unsqueeze``;
    - ``nn.ZeroPad2d``, ``nn.ConstantPad2d``, ``F.pad`` with zeros, the same on all sides, right
      before a convolution or average pooling;
    - ``nn.Identity``, ``Tensor.contiguous``, ``Tensor.float``, and ``Tensor.size``,
      ``Tensor.shape``, ``Tensor.dim``, ``Tensor.ndim`` for any arithmetic with sizes but the
      number of pictures;
    - at the end ``nn.Softmax``, ``F.softmax``, ``torch.softmax``, ``Tensor.softmax``,
      ``nn.LogSoftmax``, ``F.log_softmax``, ``torch.log_softmax``, ``Tensor.log_softmax`` over the
      classes. A network ends with its logits, so it is left out: the logits have the same softmax;
    - one output, z, with a sigmoid behind it or none, as for binary cross-entropy, and then
      ``torch.squeeze``, ``Tensor.squeeze``, ``x[:, 0]``, ``x.view(-1)`` or none, which a sigmoid
      may follow. It becomes the logits 0 and z of two classes,
      whose softmax is the sigmoid of z: the network's last dense layer has a row of zeros before
      the module's.

    The module stays as it is, and so does PyTorch's random state. The result is tried: on random
    pictures, in evaluation mode, every layer's output must be within 1e-4 of the module's, as a
    share of the layer's largest (see ``TOLERANCE``).

    Raises UnsupportedModuleError, naming the node and the reason, for anything else: a skip
    connection, a branch that depends on the pictures, several inputs or outputs, parameters that
    are shared, unused or not float32; and for what computes beside ``forward``: hooks of the
    forward pass, parametrizations such as weight_norm, a class's own ``__call__``, active modes.
    """
    module = _on_cpu(module)
    check_surroundings(module)
    reading = read(module, input_shape)
    parameters = parameters_of(module, reading)
    zeros = tuple(name for name in parameters if name not in reading.keys)
    layers, parameters = for_two_classes(reading.layers, reading.final, parameters)
    network = network_of(replace(reading, layers=layers), name, classes, normalization)
    named = dict(module.named_parameters(remove_duplicate=False))
    ours = {id(named[theirs]): key for key, theirs in reading.keys.items()}
    keys = {theirs: ours[id(parameter)] for theirs, parameter in named.items()}
    left_out = reading.final or reading.untrained
    exact = not zeros and not left_out and layers == reading.layers
    return Translation(network, parameters, keys, zeros, exact)


def read(module: nn.Module, input_shape: Shape) -> Reading:
    """What ``forward`` computes from pictures of that shape, tried on random ones.

    Raises UnsupportedModuleError. The module and PyTorch's random state are as before.
    """
    if (
        not isinstance(input_shape, tuple | list)
        or not input_shape
        or any(not isinstance(size, int) or size < 1 for size in input_shape)
    ):
        shown = tuple(input_shape) if isinstance(input_shape, tuple | list) else input_shape
        raise UnsupportedModuleError(
            f"input_shape is {shown}, must be (channels, height, width), or (784,) for flat "
            "pictures; the number of pictures is no part of it"
        )
    for key, parameter in module.named_parameters():
        if parameter.dtype != torch.float32:
            raise UnsupportedModuleError(f"parameter {key} is {parameter.dtype}, not torch.float32")
    for path, own in module.named_modules():
        own_forward = own.__dict__.get("forward")
        # What lenet.accelerate puts there says by ``func`` that it computes the same.
        if own_forward and getattr(own_forward, "func", None) is not type(own).forward:
            raise UnsupportedModuleError(
                f"{path or 'the module'} ({type(own).__name__}) has a forward put in place of "
                "its class's: define it in a class of its own"
            )
    with _noting(traces := Traces()), _as_before(module, traces):
        _set_training(module, True)
        training = Reader(module, input_shape, OPERATIONS)
        training.trace()
        _set_training(module, False)
        evaluation = Reader(module, input_shape, OPERATIONS)
        evaluation.trace()
        if training.without_dropout() != evaluation.without_dropout():
            raise UnsupportedModuleError(
                "forward computes something else in training than in evaluation, and not by dropout"
            )
        reading = Reading(
            evaluation.input_shape,
            tuple(training.layers),
            training.keys,
            training.final,
            writes="",
            untrained=training.untrained or evaluation.untrained,
        )
        try:
            _try(module, reading, evaluation)
        except UnsupportedModuleError:
            check_surroundings(module)  # a hook is a better reason than the numbers that it changed
            raise
    return replace(reading, writes=traces.words)


def network_of(
    reading: Reading,
    name: str,
    classes: tuple[str, ...] | None = None,
    normalization: Normalization | None = None,
) -> Network:
    """The network of the layers; UnsupportedModuleError where they make none."""
    try:
        rows = trace_layers(picture_shape(reading.input_shape), reading.layers)
        outputs = rows[-1].output_shape if rows else reading.input_shape
        if len(outputs) != 1:
            raise UnsupportedModuleError(
                f"the outputs have shape {show_shape(outputs)}, must be one number a class: end "
                "with nn.Flatten() and nn.Linear"
            )
        if outputs == (1,):
            raise UnsupportedModuleError(
                "the module has one output, and a network has at least 2, one a class: end with "
                "nn.Linear(…, 1) and nothing or a sigmoid, or with nn.Linear(…, 2)"
            )
        network = Network(
            name,
            picture_shape(reading.input_shape),
            reading.layers,
            classes or tuple(map(str, range(outputs[0]))),
            normalization or Normalization(),
        )
        trace(network)
    except ArchitectureError as error:
        raise UnsupportedModuleError(str(error)) from None
    return network


def parameters_of(module: nn.Module, reading: Reading) -> Parameters:
    """Copies of the module's parameters by the network's names; zeros for biases it lacks."""
    named = dict(module.named_parameters(remove_duplicate=False))
    parameters: Parameters = {}
    for index, layer in enumerate(reading.layers):
        if isinstance(layer, Weighted):
            weight = named[reading.keys[f"{index}.weight"]]
            bias = reading.keys.get(f"{index}.bias")
            values = torch.zeros(len(weight), device="cpu") if bias is None else named[bias]
            parameters[f"{index}.weight"] = _array(weight)
            parameters[f"{index}.bias"] = _array(values)
    return parameters


def _array(values: Tensor) -> NDArray[np.float32]:
    return np.array(values.detach().cpu().resolve_neg().numpy(), np.float32, order="C")


# --- the module stays as it is -----------------------------------------------------------------


@contextmanager
def _as_before(module: nn.Module, traces: Traces) -> Iterator[None]:
    """Put back what ``forward`` can change, which modules train, and random states, afterwards.

    ``traces`` gets what was undone, apart from ``training``.
    """
    surroundings = Surroundings(module)
    training = [(own, own.training) for own in module.modules()]
    with as_before(surroundings, traces):
        try:
            yield
        finally:
            for own, trains in training:
                own.training = trains


@contextmanager
def _noting(traces: Traces) -> Iterator[None]:
    """Have an error say, too, what forward had done until then."""
    try:
        yield
    except UnsupportedModuleError as error:
        error.writes = traces.words
        raise


def _set_training(module: nn.Module, training: bool) -> None:
    for own in module.modules():
        own.training = training  # not train(), which a class may have made do something else


def _on_cpu(module: nn.Module) -> nn.Module:
    """The module, or a copy of it where it is on another device."""
    if not isinstance(module, nn.Module):
        raise UnsupportedModuleError(f"a {type(module).__name__} is no nn.Module")
    if all(parameter.device.type == "cpu" for parameter in module.parameters()):
        return module
    return copy.deepcopy(module).cpu()


# --- trying the result -------------------------------------------------------------------------


class _Recorder(fx.Interpreter):
    """Runs the module's graph and keeps copies of what nodes gave, since some write in place."""

    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        super().__init__(module, graph=graph)
        self.outputs: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor) and n.op != "get_attr":
            self.outputs[n] = value.clone()
        return value


def _try(module: nn.Module, reading: Reading, evaluation: Reader) -> None:
    """Raise UnsupportedModuleError where the network computes something else than the module.

    The module must be in evaluation mode.
    """
    layers, single = widened(reading.layers)
    network = network_of(replace(reading, layers=layers), "imported")
    engine = NumpyEngine(network, Optimizer(), Objective(), threads=1)
    engine.load(State(with_zeros(parameters_of(module, reading), single)))
    images = np.random.default_rng(0).integers(0, 256, (PICTURES, *network.input_shape), np.uint8)
    activations = engine.activations(images)
    computed = [
        values if single is None or index < single else values[:, 1:]
        for index, (layer, values) in enumerate(zip(layers, activations, strict=True))
        if not isinstance(layer, Dropout)
    ]
    table = normalization_table(network)[0].astype(np.float32)
    X = torch.from_numpy(table[images]).reshape(PICTURES, *evaluation.first_shape)
    assert evaluation.graph is not None
    assert evaluation.current is not None
    recorder = _Recorder(module, evaluation.graph)
    with torch.no_grad(), torch.autocast("cpu", enabled=False), warnings.catch_warnings():
        # Of what older code leaves out (the dim of a softmax), the user's own calls tell.
        warnings.simplefilter("ignore")
        final = recorder.run(X)
        try:
            said = type(module).forward(module, X)  # no hooks, and nothing put in its place
        except Exception as error:  # it checks the pictures, which is its right
            raise UnsupportedModuleError(
                f"forward of {type(module).__name__} raises {type(error).__name__} for the random "
                f"pictures between 0 and 1 that it is tried on: {error}"
            ) from error
    for node, values in zip(evaluation.computing_nodes(), computed, strict=True):
        # a sigmoid may come after a squeeze
        _compare(evaluation, node, recorder.outputs[node].reshape(values.shape).numpy(), values)
    _compare(evaluation, evaluation.current.node, said.numpy(), final.numpy())


def _compare(
    reader: Reader, node: fx.Node, theirs: NDArray[np.float32], ours: NDArray[np.float32]
) -> None:
    finite = np.abs(theirs[np.isfinite(theirs)])
    allowed = TOLERANCE * float(finite.max(initial=np.finfo(np.float32).tiny))
    if not np.allclose(ours, theirs, rtol=0, atol=allowed, equal_nan=True):
        raise reader.refuse(
            f"its outputs differ from the network's by up to {np.nanmax(np.abs(ours - theirs)):.2g}"
            f", more than {allowed:.2g}; please report this",
            node,
        )
