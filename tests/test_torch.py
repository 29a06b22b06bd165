"""Networks to PyTorch and modules to networks: what is accepted, what is refused and why."""

from __future__ import annotations

import copy
import functools
import importlib.util
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activations import COMPUTED
from lenet import engines
from lenet.data import Dataset
from lenet.network import zoo
from lenet.network.architecture import Network, Normalization, trace_layers
from lenet.network.layers import (
    GELU,
    ArchitectureError,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Sigmoid,
    SiLU,
    Tanh,
)
from lenet.network.parameters import State, initialize
from lenet.optimization import Objective, Optimizer

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

import lenet.torch as lenet_torch  # noqa: E402
from lenet.torch import UnsupportedModuleError, from_torch, of_1998, to_torch  # noqa: E402
from lenet.torch.translation import operations, read  # noqa: E402

PICTURE = (1, 28, 28)
HAS_NATIVE = importlib.util.find_spec("lenet._native") is not None


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """PyTorch's threads wait for each other in every operation: on a busy machine, for long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- to_torch ----------------------------------------------------------------------------------


def test_pytorchs_modules_are_the_networks(small: Dataset) -> None:
    images = small.test.images[:5]
    for network in (zoo.lenet(), zoo.lenet_max(), zoo.lenet_relu(), zoo.mlp()):
        values = initialize(network, "torch", 3)
        net = to_torch(network, values)
        assert {name: tuple(value.shape) for name, value in net.state_dict().items()} == {
            name: value.shape for name, value in values.items()
        }
        engine: Any = engines.make(
            engines.Choice("numpy", "cpu", ""), network, Optimizer(), Objective(), 1
        )
        engine.load(State(values))
        X = torch.from_numpy(images) / 255
        with torch.no_grad():
            theirs = net.eval()(
                (X - network.normalization.mean[0]) / network.normalization.deviation[0]
            )
        assert theirs.numpy() == pytest.approx(engine.logits(images), rel=1e-4, abs=1e-5)


def test_to_torch_copies_the_weights_that_evaluation_uses() -> None:
    network = zoo.lenet()
    first, second = (initialize(network, "torch", seed) for seed in (1, 2))
    net = to_torch(network, State(first, average=second))
    assert torch.equal(net[0].weight, torch.from_numpy(second["0.weight"]))
    with torch.no_grad():
        net[0].weight.zero_()
    assert second["0.weight"].any()
    doubled = {name: value.astype(np.float64) for name, value in first.items()}
    assert to_torch(network, doubled)[0].weight.dtype == torch.float32
    with pytest.raises(ValueError, match=r"missing .*'0.bias'"):
        to_torch(network, {"0.weight": first["0.weight"]})


def test_to_torch_without_weights_draws_them_as_pytorch_does() -> None:
    torch.manual_seed(3)
    ours = to_torch(zoo.mlp())
    torch.manual_seed(3)
    theirs = nn.Linear(784, ours[1].out_features)
    assert torch.equal(ours[1].weight, theirs.weight)


@pytest.mark.parametrize("name", ["lenet5", "lenet1989"])
def test_the_layers_of_1998_go_there_and_back(name: str) -> None:
    network = zoo.build(name)
    parameters = initialize(network, "lecun", 2)
    module = to_torch(network, parameters)
    back = from_torch(module, network.input_shape)  # which compares every layer's numbers
    assert back.network.layers == network.layers
    assert back.exact
    assert all(np.array_equal(back.parameters[key], parameters[key]) for key in parameters)
    assert {key for key, _ in module.state_dict().items()} == set(parameters)
    # first weights of PyTorch's own drawing have no kernels where the table has none
    drawn = from_torch(to_torch(network), network.input_shape)
    for layer, values in zip(network.layers, drawn.network.layers, strict=True):
        assert layer == values
    if name == "lenet5":
        with torch.no_grad():
            module[-1].codes[0, 0] *= -1
        with pytest.raises(UnsupportedModuleError, match="its codes are others"):
            from_torch(module, network.input_shape)
        connected = next(m for m in module if isinstance(m, of_1998.ConnectedConv2d))
        connected.mask *= 0.5
        with pytest.raises(UnsupportedModuleError, match="numbers besides 0 and 1"):
            from_torch(module, network.input_shape)


def test_to_torch_refuses_a_network_that_does_not_fit_together() -> None:
    with pytest.raises(ArchitectureError, match="layer 0"):
        to_torch(Network("bad", (1, 4, 4), (Conv2d(1, 2, 5),), ("a", "b")))


# --- the tutorials' modules --------------------------------------------------------------------


class Reshape(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(-1, 1, 28, 28)


def tutorial_001() -> nn.Module:
    return nn.Sequential(Reshape(), *to_torch(zoo.lenet()))


class Tutorial002(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(nn.Conv2d(1, 6, 5), nn.Sigmoid(), nn.MaxPool2d(2, 2)),
            *(nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.MaxPool2d(2, 2)),
        )
        self.fc = nn.Sequential(
            *(nn.Linear(16 * 4 * 4, 120), nn.Sigmoid()),
            *(nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10)),
        )

    def forward(self, img: Tensor) -> Any:
        feature = self.conv(img)
        return self.fc(feature.view(img.shape[0], -1))


class Tutorial003(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.fc1 = nn.Linear(5 * 5 * 16, 120)
        self.fc2 = nn.Linear(120, 84)
        self.clf = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Any:
        x = F.avg_pool2d(F.sigmoid(self.conv1(x)), kernel_size=2, stride=2)
        x = F.avg_pool2d(F.sigmoid(self.conv2(x)), kernel_size=2, stride=2)
        x = torch.flatten(x, start_dim=1)
        return self.clf(F.sigmoid(self.fc2(F.sigmoid(self.fc1(x)))))


class SizesByHand(nn.Module):
    """PyTorch's first tutorial in its older form, with one pooling module for both places."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 16, 3)
        self.pool = nn.MaxPool2d(2)
        self.fc1, self.fc2 = nn.Linear(16 * 25, 120), nn.Linear(120, 10)
        self.drop = nn.Dropout(0.25)

    def features(self, x: Tensor) -> int:
        count = 1
        for size in x.size()[1:]:
            count *= size
        return count

    def forward(self, x: Tensor) -> Any:
        assert x.shape[1:] == PICTURE
        assert x.dim() == x.ndim == 4
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(-1, self.features(x))
        x = F.dropout(F.relu(self.fc1(x)), training=self.training)
        return self.fc2(self.drop(x))


def test_the_tutorials_networks() -> None:
    lenet = zoo.lenet()
    for shape in (PICTURE, (784,), (28, 28)):
        found = from_torch(tutorial_001(), shape)
        assert (found.network.input_shape, found.network.layers) == (PICTURE, lenet.layers)
        assert found.keys["1.weight"] == "0.weight"
        assert found.keys["12.bias"] == "11.bias"
    found = from_torch(Tutorial002(), PICTURE)
    assert list(found.keys.items())[:3:2] == [
        ("conv.0.weight", "0.weight"),
        ("conv.3.weight", "3.weight"),
    ]
    assert found.network.layers[2:7:4] == (MaxPool2d(2, 2), Flatten())
    found = from_torch(Tutorial003(), PICTURE)
    assert found.network.layers == lenet.layers
    assert list(found.keys) == [name for name, _ in Tutorial003().named_parameters()]
    found = from_torch(SizesByHand(), PICTURE)
    assert found.network.layers[9:11] == (Dropout(0.5), Dropout(0.25))


def test_what_is_returned() -> None:
    module = tutorial_001()
    classes = tuple("abcdefghij")
    scale = Normalization((0.1307,), (0.3081,))
    found = from_torch(module, PICTURE, name="mine", classes=classes, normalization=scale)
    network = found.network
    assert (network.name, network.classes, network.normalization) == ("mine", classes, scale)
    before = found.parameters["0.weight"].copy()
    with torch.no_grad():
        module[1].weight.zero_()
    assert np.array_equal(found.parameters["0.weight"], before)
    again = to_torch(network, found.parameters)
    assert from_torch(again, PICTURE).parameters.keys() == found.parameters.keys()
    with pytest.raises(UnsupportedModuleError, match="3 classes"):
        from_torch(module, PICTURE, classes=("a", "b", "c"))


def test_the_module_and_the_random_state_stay_as_they_are() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.calls, self.last = to_torch(zoo.mlp()), 0, None

        def forward(self, x: Tensor) -> Any:
            self.calls += 1
            self.last = x
            torch.rand(3)
            return self.body(x)

    net = Counts()
    net.body[1].eval()
    before = copy.deepcopy(net.state_dict())
    state = torch.get_rng_state()
    from_torch(net, PICTURE)
    assert torch.equal(torch.get_rng_state(), state)
    assert [own.training for own in net.modules()][:4] == [True, True, True, False]
    assert (net.calls, net.last) == (0, None)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert read(net, PICTURE).writes in ("changes self.calls", "changes self.last")
    assert read(net.body, PICTURE).writes == ""


def test_a_module_elsewhere_is_read_from_a_copy() -> None:
    net = to_torch(zoo.mlp()).to("meta")
    with pytest.raises((UnsupportedModuleError, NotImplementedError), match="meta"):
        from_torch(net, PICTURE)


# --- modules drawn at random -------------------------------------------------------------------


@st.composite
def chains(draw: Any) -> tuple[tuple[int, int, int], list[Layer]]:
    """A small picture's shape and layers that fit it, ending in a few classes."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(6, 12)), draw(st.integers(6, 12)))
    layers: list[Layer] = []

    def now() -> tuple[int, ...]:
        return trace_layers(shape, tuple(layers))[-1].output_shape if layers else shape

    for _ in range(draw(st.integers(0, 5))):
        kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        candidates: list[Layer] = [
            Conv2d(now()[0], draw(st.integers(1, 4)), kernel, stride, draw(st.integers(0, 2))),
            AvgPool2d(kernel, stride, draw(st.integers(0, kernel // 2))),
            MaxPool2d(kernel, stride, draw(st.integers(0, kernel // 2))),
            *(*COMPUTED.values(), Dropout(draw(st.sampled_from([0.1, 0.5])))),
        ]
        layer = draw(st.sampled_from(candidates))
        try:
            trace_layers(shape, (*layers, layer))
        except ArchitectureError:
            continue
        layers.append(layer)
    layers.append(Flatten())
    for _ in range(draw(st.integers(0, 2))):
        layers.append(Linear(now()[0], draw(st.integers(2, 6))))
        layers.append(draw(st.sampled_from([*COMPUTED.values(), Dropout(0.3)])))
    layers.append(Linear(now()[0], draw(st.integers(2, 4))))
    return shape, layers


def submodules(layers: list[Layer]) -> list[nn.Module]:
    return [lenet_torch.module_of(layer) for layer in layers]


def grouped(draw: Any, layers: list[Layer]) -> nn.Module:
    """A Sequential of Sequentials, cut at random places, with Identities between."""
    parts, rest = [], submodules(layers)
    while rest:
        size = draw(st.integers(1, len(rest)))
        part, rest = rest[:size], rest[size:]
        parts.append(part[0] if draw(st.booleans()) else nn.Sequential(*part[:1]))
        parts += [nn.Sequential(*part[1:])] if part[1:] else [nn.Identity()]
    return nn.Sequential(*parts)


class Class(nn.Module):
    """A class whose submodules have names, and whose forward calls them one by one."""

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        for index, module in enumerate(submodules(layers)):
            self.add_module(f"part{index}", module)
        self.count = len(layers)

    def forward(self, x: Tensor) -> Any:
        for index in range(self.count):
            x = getattr(self, f"part{index}")(x)
        return x


class Functional(nn.Module):
    """Functions and methods of PyTorch, with the parameters held by the class itself."""

    def __init__(self, layers: list[Layer], draw: Any) -> None:
        super().__init__()
        self.steps = [self.step(draw, index, layer) for index, layer in enumerate(layers)]

    def step(self, draw: Any, index: int, layer: Layer) -> Callable[[Tensor], Any]:
        pick = lambda *choices: draw(st.sampled_from(choices))  # noqa: E731
        match layer:
            case Conv2d() | Linear():
                module = lenet_torch.module_of(layer)
                self.register_parameter(f"w{index}", module.weight)
                self.register_parameter(f"b{index}", module.bias)
                weight = lambda: (getattr(self, f"w{index}"), getattr(self, f"b{index}"))  # noqa: E731
                if isinstance(layer, Linear):
                    return lambda x: F.linear(x, *weight())
                sizes = {"stride": (layer.stride,) * 2, "padding": layer.padding}
                return pick(
                    lambda x: F.conv2d(x, *weight(), **sizes),
                    lambda x: torch.conv2d(x, *weight(), **sizes),
                )
            case AvgPool2d(kernel, stride, padding):
                return pick(
                    lambda x: F.avg_pool2d(x, kernel, stride=stride, padding=padding),
                    lambda x: F.avg_pool2d(
                        x, (kernel, kernel), (stride, stride), (padding, padding)
                    ),
                )
            case MaxPool2d(kernel, stride, padding):
                return pick(
                    lambda x: F.max_pool2d(x, kernel, stride=stride, padding=padding),
                    lambda x: torch.max_pool2d(x, kernel, stride, padding),
                )
            case Sigmoid():
                return pick(F.sigmoid, torch.sigmoid, lambda x: x.sigmoid())
            case Tanh():
                return pick(F.tanh, torch.tanh, lambda x: x.tanh())
            case ReLU():
                return pick(F.relu, torch.relu, lambda x: x.relu(), lambda x: x.contiguous().relu())
            case LeakyReLU(a):
                return pick(lambda x: F.leaky_relu(x, a), lambda x: F.leaky_relu(x, a, False))
            case GELU():
                return pick(F.gelu, lambda x: F.gelu(x, approximate="none"))
            case SiLU():
                return pick(F.silu, lambda x: F.silu(x, inplace=False))
            case Dropout(p):
                return pick(
                    lambda x: F.dropout(x, p, training=self.training),
                    lambda x: torch.dropout(x, p, self.training),
                )
            case _:
                return pick(
                    lambda x: x.view(x.size(0), -1),
                    lambda x: x.view(x.shape[0], -1),
                    lambda x: x.view(-1, x.size(1) * x.shape[2] * x.shape[3]),
                    lambda x: x.reshape((x.shape[0], -1)),
                    lambda x: torch.reshape(x, (x.size()[0], -1)),
                    lambda x: torch.flatten(x, 1),
                    lambda x: torch.flatten(x, start_dim=1, end_dim=3),
                    lambda x: x.flatten(-3),
                )

    def forward(self, x: Tensor) -> Any:
        for step in self.steps:
            x = step(x)
        return x


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(chain=chains(), style=st.sampled_from(["sequential", "class", "functional"]), data=st.data())
def test_modules_drawn_at_random(chain: Any, style: str, data: Any) -> None:
    shape, layers = chain
    makers: dict[str, Callable[[], nn.Module]] = {
        "sequential": lambda: grouped(data.draw, layers),
        "class": lambda: Class(layers),
        "functional": lambda: Functional(layers, data.draw),
    }
    module = makers[style]()
    found = from_torch(module, shape)
    assert list(found.network.layers) == layers
    named = dict(module.named_parameters())
    assert found.keys.keys() == named.keys()
    for theirs, ours in found.keys.items():
        assert np.array_equal(found.parameters[ours], named[theirs].detach().numpy())


# --- what is accepted --------------------------------------------------------------------------


def test_the_docstring_lists_every_operation() -> None:
    text = from_torch.__doc__ or ""
    listed = set(re.findall(r"``((?:nn|F|torch|Tensor)\.\w+)``", text))
    homes = {"nn": nn, "F": F, "torch": torch}
    functions = {getattr(homes[n.split(".")[0]], n.split(".")[1]) for n in listed if n[0] in "Fnt"}
    finals = {"softmax", "log_softmax", "Softmax", "LogSoftmax"}
    assert "``x[:, 0]``" in text
    finals |= {"getitem"}
    activations = {name.lower() for name in COMPUTED}

    def told(name: str) -> bool:  # "the activations of lenet", as a module, in place or not
        return name in finals or name.replace("_", "").lower() in activations

    assert f"the modules of ``{of_1998.__name__}``" in text
    functions |= {cls for cls in operations.MODULES if cls.__module__ == of_1998.__name__}
    for target in [*operations.FUNCTIONS, *operations.MODULES]:
        assert target in functions or told(getattr(target, "__name__", "")), target
    for method in operations.METHODS:
        assert f"Tensor.{method}" in listed or told(method), method
    known = {
        *(f"Tensor.{name}" for name in operations.METHODS),
        *("Tensor.shape", "Tensor.dim", "Tensor.ndim"),
        *("F.sigmoid", "F.tanh"),  # which call the methods
    }
    for name in listed - known:
        home, _, last = name.partition(".")
        target = getattr(homes[home], last)
        assert target in operations.FUNCTIONS or target in operations.MODULES, name


def classifier(*front: nn.Module, features: int, bias: bool = True) -> nn.Sequential:
    return nn.Sequential(*front, nn.Flatten(), nn.Linear(features, 10, bias=bias))


def test_other_spellings_of_the_same() -> None:
    for module, layer in (
        (nn.Conv2d(1, 2, 3, padding="same"), Conv2d(1, 2, 3, 1, 1)),
        (nn.Conv2d(1, 2, 3, padding="valid"), Conv2d(1, 2, 3)),
        (nn.AvgPool2d(2, ceil_mode=True), AvgPool2d(2, 2)),
        (nn.AvgPool2d(2, count_include_pad=False), AvgPool2d(2, 2)),
        (nn.AvgPool2d(2, divisor_override=4), AvgPool2d(2, 2)),
        (nn.MaxPool2d((3, 3), (2, 2), (1, 1)), MaxPool2d(3, 2, 1)),
        (nn.Sequential(nn.ZeroPad2d(2), nn.Conv2d(1, 2, 5, padding=1)), Conv2d(1, 2, 5, 1, 3)),
        (nn.Sequential(nn.ConstantPad2d(1, 0.0), nn.AvgPool2d(2)), AvgPool2d(2, 2, 1)),
    ):
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an even kernel with padding="same"
            features = module(torch.zeros(1, *PICTURE)).numel()
        assert from_torch(classifier(module, features=features), PICTURE).network.layers[0] == layer
    inplace = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 10), nn.ReLU(inplace=True), nn.Linear(10, 2)
    )
    assert from_torch(inplace, PICTURE).network.layers[2] == ReLU()
    vectors = nn.Sequential(nn.Unflatten(1, PICTURE), *tutorial_001()[1:])
    assert from_torch(vectors, (784,)).network.input_shape == PICTURE

    class Channel(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.pad(x.float().unsqueeze(1), (2, 2, 2, 2))

    thirty_two = nn.Sequential(Channel(), nn.Conv2d(1, 6, 5), nn.Flatten(), nn.Linear(4704, 10))
    assert from_torch(thirty_two, (28, 28)).network.layers[0] == Conv2d(1, 6, 5, 1, 2)


# --- what the arithmetic allows, though a network is written otherwise -------------------------


def outputs(found: Any, X: Tensor) -> Tensor:
    """What the network gives, by PyTorch's own modules."""
    net = to_torch(found.network, found.parameters).eval()
    with torch.no_grad():
        return cast(Tensor, net(X.reshape(-1, *found.network.input_shape)))


ENDS: dict[str, Callable[[], nn.Module]] = {
    "Softmax": lambda: nn.Softmax(1),
    "LogSoftmax": lambda: nn.LogSoftmax(-1),
    "Softmax without dim": nn.Softmax,
    "LogSoftmax without dim": nn.LogSoftmax,
}


@pytest.mark.parametrize("end", ENDS)
def test_a_softmax_at_the_end_is_left_out(end: str) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), ENDS[end]())
    found, X = from_torch(net, PICTURE), torch.rand(7, *PICTURE)
    assert found.network.layers == (Flatten(), Linear(784, 10))
    assert not found.exact
    with torch.no_grad():
        logits = net[:2](X)
    assert torch.equal(outputs(found, X), logits)


class OldDefaults(nn.Module):
    """PyTorch's MNIST example as it stood until 2018, without a dim."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 5), nn.Linear(4 * 12 * 12, 10)
        self.end = end

    def forward(self, x: Tensor, debug: bool = False, *, scale: float = 1.0) -> Tensor:
        if debug:
            raise AssertionError("debug is False where nothing is given")
        x = F.relu(F.max_pool2d(self.conv(x), 2)).view(-1, 4 * 12 * 12)
        return self.end(F.dropout(self.fc(x), training=self.training))


@pytest.mark.parametrize("end", [F.log_softmax, F.softmax, lambda x: x.softmax(1), F.tanh])
def test_what_older_code_leaves_out_is_what_pytorch_takes(end: Callable[[Tensor], Tensor]) -> None:
    net, X = OldDefaults(end).eval(), torch.rand(7, *PICTURE)
    found = from_torch(net, PICTURE)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, of the dim
        theirs = net(X)
    ours = outputs(found, X)
    assert torch.equal(ours.argmax(1), theirs.argmax(1))
    if end is F.log_softmax:
        assert torch.allclose(F.log_softmax(ours, 1), theirs, atol=1e-6)


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_one_output_is_two_classes_of_the_same_probability(sigmoid: bool, bias: bool) -> None:
    end = [nn.Sigmoid()] * sigmoid
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 5), nn.ReLU(), nn.Linear(5, 1, bias), *end)
    found, X = from_torch(net, PICTURE, classes=("cat", "dog")), torch.rand(9, *PICTURE)
    assert found.network.layers[-1] == Linear(5, 2)
    assert found.network.classes == ("cat", "dog")
    assert found.keys["3.weight"] == "3.weight"
    assert not found.exact
    with torch.no_grad():
        z = net[:4](X)
    ours = outputs(found, X)
    assert torch.allclose(ours, torch.cat([torch.zeros_like(z), z], 1), atol=1e-6)
    assert torch.allclose(F.softmax(ours, 1)[:, 1:], z.sigmoid(), atol=1e-6)
    # and the loss is binary cross-entropy
    labels = torch.arange(9) % 2
    theirs = F.binary_cross_entropy_with_logits(z[:, 0], labels.float())
    assert float(F.cross_entropy(ours, labels)) == pytest.approx(float(theirs), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    [
        *(lambda z: z.squeeze(1), torch.squeeze, lambda z: torch.sigmoid(z).squeeze(-1)),
        *(lambda z: torch.sigmoid(z.squeeze()), lambda z: z[:, 0], lambda z: z[..., -1].sigmoid()),
        *(lambda z: z.view(-1), lambda z: z.reshape(z.shape[0]), torch.flatten),
    ],
)
def test_one_output_a_picture_without_its_dimension(end: Callable[[Tensor], Tensor]) -> None:
    net, X = Forward(lambda self, x: end(self.fc(self.same(self.conv(x)).flatten(1)))), PICTURE
    net.fc = nn.Linear(2 * 28 * 28, 1)
    found = from_torch(net, X)
    assert found.network.layers[-1] == Linear(1568, 2)
    with pytest.raises(UnsupportedModuleError, match=r"squeeze.*a picture is 10 here"):
        from_torch(Forward(lambda self, x: self.fc(self.conv(x).flatten(1)).squeeze(1)), PICTURE)
    with pytest.raises(UnsupportedModuleError, match=r"getitem.*only x\[:, 0\] of a single output"):
        from_torch(Forward(lambda self, x: self.fc(self.conv(x).flatten(1))[:, 0]), PICTURE)
    net = Forward(lambda self, x: end(self.fc(self.conv(x).flatten(1))) * 2)
    net.fc = nn.Linear(2 * 28 * 28, 1)
    with pytest.raises(UnsupportedModuleError, match="mul"):
        from_torch(net, PICTURE)


def test_what_is_computed_without_gradients_is_not_exact() -> None:
    def frozen(self: Any, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.same(self.conv(x))
        return self.fc(x.flatten(1))

    X = torch.rand(3, *PICTURE)
    for forward in (frozen, torch.no_grad()(frozen), torch.inference_mode()(frozen)):
        net = Forward(forward)
        found = from_torch(net, PICTURE)
        assert not found.exact
        with torch.no_grad():
            assert torch.allclose(outputs(found, X), net(X), atol=1e-6)
    assert from_torch(
        Forward(lambda self, x: self.fc(self.same(self.conv(x)).flatten(1))), PICTURE
    ).exact
    with torch.no_grad():  # of the caller
        assert from_torch(
            Forward(lambda self, x: self.fc(self.same(self.conv(x)).flatten(1))), PICTURE
        ).exact

    def mixed(self: Any, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.fc(self.same(self.conv(x)).flatten(1)).float()

    with pytest.raises(UnsupportedModuleError, match="under autocast"):
        from_torch(Forward(mixed), PICTURE)


def test_a_forward_that_refuses_the_trial_is_refused() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        if type(x) is Tensor and float(x.max()) > 0.5:
            raise ValueError("too bright")
        return self.fc(self.same(self.conv(x)).flatten(1))

    with pytest.raises(UnsupportedModuleError, match=r"ValueError .* between 0 and 1.*too bright"):
        from_torch(Forward(forward), PICTURE)


def test_missing_biases_are_zeros_and_named() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 3, 5, bias=False), nn.Flatten(), nn.Linear(1728, 4), nn.Linear(4, 2, False)
    )
    found, X = from_torch(net, PICTURE), torch.rand(7, *PICTURE)
    assert found.zeros == ("0.bias", "3.bias")
    assert not any(found.parameters[name].any() for name in found.zeros)
    assert found.keys.keys() == dict(net.named_parameters()).keys()
    with torch.no_grad():
        assert torch.allclose(outputs(found, X), net(X), atol=1e-6)
    again = from_torch(to_torch(found.network, found.parameters), PICTURE)
    assert (found.exact, again.exact, again.zeros) == (False, True, ())
    assert all(np.array_equal(again.parameters[k], v) for k, v in found.parameters.items())


@pytest.mark.parametrize(
    ("size", "picture"),
    [(784, (1, 28, 28)), (12, (1, 1, 12)), (3072, (1, 1, 3072)), (1, (1, 1, 1))],
)
def test_flat_pictures(size: int, picture: tuple[int, int, int]) -> None:
    for front in ([], [nn.Dropout(0.2)], [nn.Identity(), nn.Tanh()], [nn.Flatten()]):
        net = nn.Sequential(*front, nn.Linear(size, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
        found, X = from_torch(net, (size,)), torch.rand(5, size)
        assert found.network.input_shape == picture
        assert found.network.layers[0] == Flatten()
        assert found.keys[f"{len(front)}.weight"].endswith(".weight")
        with torch.no_grad():
            assert torch.allclose(outputs(found, X), net(X), atol=1e-6)
    with pytest.raises(UnsupportedModuleError, match=r"node '_0'.*its input has shape 784"):
        from_torch(nn.Sequential(nn.Conv2d(1, 2, 5)), (784,))


def test_dropout_of_everything_leaves_the_bias() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Dropout(1.0), nn.Linear(784, 3))
    found = from_torch(net, PICTURE)
    assert found.network.layers[1] == Dropout(1.0)
    images = np.random.default_rng(0).integers(0, 256, (6, *PICTURE), np.uint8)
    labels = np.arange(6) % 3
    net.train()
    F.cross_entropy(net(torch.from_numpy(images) / 255), torch.from_numpy(labels)).backward()
    for kind in ("numpy", "native", "torch"):
        if kind == "native" and not HAS_NATIVE:
            continue
        engine: Any = engines.make(
            engines.Choice(kind, "cpu", ""), found.network, Optimizer(), Objective(), 1
        )
        engine.load(State(found.parameters))
        gradients = engine.gradients(images, labels, engines.Position(0, 0, 0)).named()
        assert not gradients["2.weight"].any()
        assert gradients["2.bias"] == pytest.approx(net[2].bias.grad.numpy(), abs=1e-6)


# --- what computes beside forward --------------------------------------------------------------


def normalise(self: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return ((inputs[0] - 0.5) / 0.5,)


def with_hook(register: Callable[[nn.Sequential], Any]) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        net = classifier(nn.Conv2d(1, 2, 5), nn.Sequential(nn.ReLU()), features=1152)
        register(net)
        return net

    return make


def compiled() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, of what it imports then
        return cast(nn.Module, torch.compile(classifier(features=784)))


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is old
        return cast(nn.Module, torch.jit.script(classifier(features=784)))


def own_call() -> nn.Module:
    class Normalises(nn.Sequential):
        def __call__(self, x: Tensor) -> Any:
            return super().__call__(x - 0.5)

    return Normalises(nn.Flatten(), nn.Linear(784, 2))


def subclassed_parameter() -> nn.Module:
    class Halved(Tensor):
        @classmethod
        def __torch_function__(cls, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return super().__torch_function__(f, types, args, kwargs)

    net = classifier(features=784)
    net[1].weight = nn.Parameter(net[1].weight.detach().as_subclass(Halved))
    return net


def doubling(self: Any, args: Any, *rest: Any) -> Any:
    return 2 * rest[-1] if len(rest) else args


BESIDE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "pre-hook": (
        with_hook(lambda net: net.register_forward_pre_hook(normalise)),
        r"the Sequential has the forward pre-hook normalise at test_torch.py:\d+.*normalization=",
    ),
    "pre-hook with kwargs": (
        with_hook(lambda net: net.register_forward_pre_hook(doubling, with_kwargs=True)),
        "the Sequential has the forward pre-hook doubling",
    ),
    "hook": (
        with_hook(lambda net: net.register_forward_hook(doubling)),
        "the Sequential has the forward hook doubling",
    ),
    "inner hook": (
        with_hook(lambda net: net[0].register_forward_hook(doubling)),
        r"layer 0 \(Conv2d\) has the forward hook doubling .* remove it",
    ),
    "hook of an inner Sequential": (
        with_hook(lambda net: net[1].register_forward_hook(doubling, with_kwargs=True)),
        r"layer 1 \(Sequential\) has the forward hook doubling",
    ),
    "partial": (
        with_hook(lambda net: net[0].register_forward_hook(functools.partial(doubling))),
        "the forward hook doubling at",
    ),
    "weight_norm of old": (
        with_hook(lambda net: weight_norm_of_old(net[0])),
        r"layer 0 \(Conv2d\) has weight_norm on 'weight': .*remove_weight_norm",
    ),
    "weight_norm": (
        with_hook(lambda net: nn.utils.parametrizations.weight_norm(net[0])),
        r"layer 0 .* computes its weight anew.*remove_parametrizations\(layer, 'weight'\)",
    ),
    "spectral_norm of old": (
        with_hook(lambda net: nn.utils.spectral_norm(net[3])),
        r"layer 3 \(Linear\) has spectral_norm on 'weight'",
    ),
    "pruned": (
        with_hook(lambda net: prune.l1_unstructured(net[3], "weight", 0.5)),
        r"layer 3 \(Linear\) has pruning on 'weight': .*prune.remove\(layer, 'weight'\)",
    ),
    "lazy": (
        lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(10)),
        r"layer 1 \(LazyLinear\) has no sizes yet.*run one batch",
    ),
    "compiled": (
        compiled,
        "what torch.compile made: give from_torch the Sequential",
    ),
    "scripted": (scripted, "a RecursiveScriptModule has no forward in Python.*it was made of"),
    "__call__": (own_call, "the Normalises has a __call__ of its own"),
    "subclass": (subclassed_parameter, r"weight of layer 1 \(Linear\) is a \w+, which may compute"),
}


def weight_norm_of_old(layer: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is a new one
        nn.utils.weight_norm(layer)


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[pytest.mark.slow] if c == "compiled" else []) for c in BESIDE],
)
def test_what_computes_beside_forward_is_refused_by_name(case: str) -> None:
    make, message = BESIDE[case]
    with pytest.raises(UnsupportedModuleError, match=message) as caught:
        from_torch(make(), PICTURE)
    assert "please report" not in str(caught.value)


@pytest.mark.parametrize("case", ["inner hook", "partial"])
def test_a_reading_that_a_hook_spoils_names_the_hook(case: str) -> None:
    """``read`` alone, which ``accelerate`` uses, does not ask for hooks first."""
    make, message = BESIDE[case]
    with pytest.raises(UnsupportedModuleError, match=message):
        read(make(), PICTURE)


def test_hooks_of_all_modules_and_modes_are_refused() -> None:
    net, global_hooks = classifier(features=784), nn.modules.module
    for register in (
        global_hooks.register_module_forward_pre_hook,
        global_hooks.register_module_forward_hook,
    ):
        handle = register(doubling)
        try:
            with pytest.raises(UnsupportedModuleError, match=f"doubling.*{register.__name__}"):
                from_torch(net, PICTURE)
        finally:
            handle.remove()

    class Twice(TorchFunctionMode):
        def __torch_function__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return f(*args, **(kwargs or {}))

    class Watches(TorchDispatchMode):
        def __torch_dispatch__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return f(*args, **(kwargs or {}))

    for mode in (Twice(), Watches()):
        with mode, pytest.raises(UnsupportedModuleError, match=f"mode {type(mode).__name__} is"):
            from_torch(net, PICTURE)
    found = from_torch(net, PICTURE)
    for place in (torch.device("cpu"), torch.device("meta"), torch.autocast("cpu")):
        with place:
            again = from_torch(net, PICTURE)
        assert again.network == found.network
        assert np.array_equal(again.parameters["1.weight"], found.parameters["1.weight"])


def test_hooks_that_leave_the_outputs_alone_are_no_matter() -> None:
    net = classifier(features=784)
    net.register_full_backward_hook(lambda *given: None)
    net.register_state_dict_pre_hook(lambda *given: None)
    net[1].weight.register_hook(lambda gradient: gradient)
    assert from_torch(net, PICTURE).network.layers == (Flatten(), Linear(784, 10))
    traced = torch.fx.symbolic_trace(classifier(features=784))  # has a __call__ of its own
    assert from_torch(traced, PICTURE).network.layers == (Flatten(), Linear(784, 10))


# --- what is refused, and why ------------------------------------------------------------------


class Forward(nn.Module):
    """A body of two convolutions and a dense layer with somebody's forward."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        super().__init__()
        self.conv, self.same = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.fc = nn.Linear(2 * 28 * 28, 10)
        self.given = forward
        self.register_buffer("fixed", torch.ones(10, 2 * 28 * 28))

    def forward(self, x: Tensor) -> Any:
        return self.given(self, x)


def skip(self: Any, x: Any) -> Any:
    y = self.conv(x)
    return self.fc((y + self.same(y)).flatten(1))


def branch(self: Any, x: Any) -> Any:
    y = self.conv(x)
    if y.mean() > 0:
        y = self.same(y)
    return self.fc(y.flatten(1))


def old_value(self: Any, x: Any) -> Any:
    y = self.conv(x)
    self.same(y)
    return self.fc(y.flatten(1))


def twice(self: Any, x: Any) -> Any:
    return self.fc(self.same(self.same(self.conv(x))).flatten(1))


def two_outputs(self: Any, x: Any) -> Any:
    y = self.same(self.conv(x)).flatten(1)
    return self.fc(y), y


def a_buffer(self: Any, x: Any) -> Any:
    return F.linear(self.same(self.conv(x)).flatten(1), self.fixed, self.fc.bias)


def loop(self: Any, x: Any) -> Any:
    return self.fc(torch.stack([self.conv(picture) for picture in x]).flatten(1))


def length(self: Any, x: Any) -> Any:
    return self.fc(self.same(self.conv(x)).reshape(len(x), -1))


def number(self: Any, x: Any) -> Any:
    return self.fc(self.conv(x * float(x.sum())).flatten(1))


def other_in_training(self: Any, x: Any) -> Any:
    x = self.same(self.conv(x)) if self.training else self.same(F.relu(self.conv(x)))
    return self.fc(x.flatten(1))


def always_drops(self: Any, x: Any) -> Any:
    return self.fc(F.dropout(self.same(self.conv(x))).flatten(1))


def never_uses(self: Any, x: Any) -> Any:
    return self.fc(self.conv(x).flatten(1))


REFUSED_FORWARDS = {
    skip: r"node 'add' \(add\) at test_torch.py:\d+: .*skip connection",
    branch: r"node 'gt' \(gt\) at test_torch.py:\d+: forward branches on its value",
    old_value: r"node 'flatten'.* takes the output of 'conv', but 'same' came after",
    twice: r"node 'same_1' \(same, Conv2d\).*same.weight is used twice",
    two_outputs: r"node 'output'.*must return one tensor",
    a_buffer: r"node 'linear'.*its weight is not a parameter",
    loop: r"node 'x'.*loops over it",
    length: r"node 'x'.*x.shape\[0\] can be followed",
    number: r"forward of Forward cannot be followed at test_torch.py:\d+",
    other_in_training: "in training than in evaluation",
    always_drops: r"node 'dropout'.*training=self.training",
    never_uses: r"parameter same.weight is not used",
    lambda self, x: self.fc(self.same(self.conv(x).detach()).flatten(1)): r"Tensor.detach\)",
    lambda self, x: self.fc(self.same(self.conv(x)).view(1, -1)): "fixes the number of pictures",
    lambda self, x: self.fc(self.same(self.conv(x)).view(-1, 28)): "one picture a row",
    lambda self, x: self.fc(self.same(self.conv(x)).flatten(0)): "start_dim=1",
    lambda self, x: self.fc(self.same(self.conv(x).view(-1, 1, 56, 28))): "can only flatten",
    lambda self, x: self.fc(self.same(F.pad(F.relu(self.conv(x)), (1, 0, 0, 0)))): "all four sides",
    lambda self, x: self.fc(F.relu(F.pad(self.conv(x), (1, 1, 1, 1)))): r"node 'pad'.*right before",
    lambda self, x: self.fc(F.relu(x, inplace=True)): "would write into the pictures",
    lambda self, x: self.fc(F.elu(self.conv(x))): r"node 'elu' \(elu\).*no such layer",
    lambda self, x: F.softmax(self.fc(self.conv(x).flatten(1)), 0): "only dim=1",
    lambda self, x: None: "must return one tensor",
}


@pytest.mark.parametrize(
    ("forward", "message"), REFUSED_FORWARDS.items(), ids=[f.__name__ for f in REFUSED_FORWARDS]
)
def test_forwards_that_are_refused(forward: Callable[..., Any], message: str) -> None:
    with pytest.raises(UnsupportedModuleError, match=message):
        from_torch(Forward(forward), PICTURE)


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x


class KeywordNeeded(nn.Module):
    def forward(self, x: Tensor, *, mask: Tensor) -> Tensor:
        return x


class Starred(nn.Module):
    def forward(self, *pictures: Tensor) -> Tensor:
        return pictures[0]


def shared() -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 784), nn.Linear(784, 784), nn.Linear(784, 10))
    net[2].weight = net[1].weight
    return net


def replaced_forward() -> nn.Module:
    net: Any = classifier(nn.ReLU(), features=784)
    net[0].forward = torch.tanh
    return net


def doubled() -> nn.Module:
    net = tutorial_001()
    net[4].double()
    return net


REFUSED_MODULES: dict[str, tuple[Callable[[], Any], str]] = {
    "dilation": (lambda: nn.Conv2d(1, 2, 3, dilation=2), r"node '_0' \(0, Conv2d\): dilation is"),
    "kernel": (lambda: nn.Conv2d(1, 2, (3, 5)), r"kernel_size is \(3, 5\)"),
    "stride": (lambda: nn.Conv2d(1, 2, 3, stride=(1, 2)), r"stride is \(1, 2\)"),
    "padding": (lambda: nn.Conv2d(1, 2, 3, padding=(1, 2)), r"padding is \(1, 2\)"),
    "padding mode": (lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), "'reflect'"),
    "same": (lambda: nn.Conv2d(1, 2, 4, padding="same"), "'same' is not symmetric"),
    "ceil": (lambda: nn.MaxPool2d(3, ceil_mode=True), "ceil_mode is True"),
    "pool": (lambda: nn.MaxPool2d((2, 3)), r"kernel_size is \(2, 3\)"),
    "pool dilation": (lambda: nn.MaxPool2d(2, dilation=2), "dilation is 2"),
    "indices": (lambda: nn.MaxPool2d(2, return_indices=True), "indices"),
    "pad": (lambda: nn.AvgPool2d(3, padding=1, count_include_pad=False), "count_include_pad"),
    "divisor": (lambda: nn.AvgPool2d(2, divisor_override=3), "divisor_override is 3"),
    "norm": (lambda: nn.BatchNorm2d(1), r"node '_0' \(0, BatchNorm2d\): lenet has no such layer"),
    "channels": (lambda: nn.Dropout2d(), r"Dropout2d\): lenet has no such"),
    "wrong": (lambda: nn.Conv2d(3, 2, 3), "expects 3×height×width"),
    "gelu": (lambda: nn.GELU("tanh"), "approximate is 'tanh'; lenet's GELU is exact"),
    "leaky": (lambda: nn.LeakyReLU(-0.5), "negative_slope is -0.5, must be .* at least 0"),
    "constant": (lambda: nn.Sequential(nn.ConstantPad2d(1, 2.0), nn.Conv2d(1, 2, 3)), "with 2.0"),
}


@pytest.mark.parametrize("case", REFUSED_MODULES)
def test_layers_that_are_refused(case: str) -> None:
    make, message = REFUSED_MODULES[case]
    with pytest.raises(UnsupportedModuleError, match=message):
        from_torch(classifier(make(), features=10), PICTURE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: classifier(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3, groups=2), features=1),
            "groups is 2",
        ),
        (lambda: nn.Sequential(nn.Linear(784, 10)), r"put nn.Flatten\(\) in front"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Softmax(1), nn.Linear(784, 10)), "only the end"),
        (lambda: nn.Sequential(nn.Conv2d(1, 2, 3)), "outputs have shape 2×26×26"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 1), nn.ReLU()), "has one output"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 1), nn.Softmax(1)), "has one output"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 2), nn.Softmax(0)), "only dim=1"),
        (nn.Sequential, "outputs have shape 1×28×28"),
        (TwoInputs, "node 'mask'.*a second input"),
        (Starred, "outputs have shape 1×28×28"),
        (KeywordNeeded, "node 'mask'.*a second input"),
        (shared, "parameter 2.weight is used twice"),
        (replaced_forward, r"0 \(ReLU\) has a forward put in place"),
        (doubled, "parameter 4.weight is torch.float64"),
        (lambda: torch.zeros(3), "a Tensor is no nn.Module"),
    ],
)
def test_modules_that_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(UnsupportedModuleError, match=message):
        from_torch(make(), PICTURE)


def test_a_network_takes_pictures() -> None:
    with pytest.raises(UnsupportedModuleError, match=r"input_shape is \(28, 28\)"):
        from_torch(nn.Sequential(nn.Linear(28, 10)), (28, 28))
    for shape, shown in (
        ((), r"\(\)"),
        (784, "784"),
        ((-1, 784), r"\(-1, 784\)"),
        ((0,), r"\(0,\)"),
    ):
        with pytest.raises(UnsupportedModuleError, match=f"input_shape is {shown}, must be"):
            from_torch(tutorial_001(), shape)  # type: ignore[arg-type]


def test_a_wrong_result_is_noticed_and_its_layer_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the table of operations were wrong."""
    broken = operations.Operations(  # type: ignore[attr-defined]
        {**operations.MODULES, nn.Sigmoid: operations.MODULES[nn.Tanh]},
        operations.FUNCTIONS,
        operations.METHODS,
    )
    monkeypatch.setattr("lenet.torch.translation.OPERATIONS", broken)
    with pytest.raises(
        UnsupportedModuleError, match=r"node '_2' \(2, Sigmoid\): its outputs differ"
    ):
        from_torch(tutorial_001(), PICTURE)


def test_a_forward_that_computes_something_else_when_it_runs_is_noticed() -> None:
    class Fickle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(784, 10)

        def forward(self, x: Tensor) -> Any:
            y = self.fc(x.flatten(1))
            return y + 1 if isinstance(x, Tensor) else y

    with pytest.raises(UnsupportedModuleError, match="its outputs differ"):
        from_torch(Fickle(), PICTURE)
