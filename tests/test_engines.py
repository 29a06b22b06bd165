"""Every engine against PyTorch, central differences, plain loops and the other engines."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from activations import COMPUTED
from engine_cases import (
    CROSS_ENTROPY,
    SGD,
    Pictures,
    assert_close,
    batches,
    network_of,
    random_pictures,
)
from lenet import engines
from lenet.engines import Batches, Choice, Engine, EngineError, Position
from lenet.engines import numpy as numpy_engine
from lenet.machine import cpu_quota
from lenet.network import hashing, zoo
from lenet.network.architecture import Network, trace, trace_layers
from lenet.network.layers import (
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
    Tanh,
)
from lenet.network.parameters import Parameters, State, initialize
from lenet.optimization import Objective, Optimizer, SettingError

HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
HAS_NATIVE = importlib.util.find_spec("lenet._native") is not None
needs_native = pytest.mark.skipif(not HAS_NATIVE, reason="the native engine was not built")
ENGINES = (
    "numpy",
    pytest.param("native", marks=needs_native),
    pytest.param("torch", marks=needs_torch),
)
CPU_ENGINE = "native" if HAS_NATIVE else "numpy"  # that auto takes
HERE = ["numpy", *["native"] * HAS_NATIVE, *["torch"] * HAS_TORCH]
every_array_library = pytest.mark.parametrize("kind", [ENGINES[0], ENGINES[-1]])
every_engine = pytest.mark.parametrize("kind", ENGINES)

# One float32 operation is wrong by at most 2^-24 = 6e-8 of its result. The sums here have up to a
# few hundred terms, in an order that each library chooses; their error grows with the square root.
FLOAT32 = 2e-6
DRAWN = 10 * FLOAT32  # of networks drawn at random: some sums nearly cancel
FLOAT64 = 1e-12  # the same, with 2^-53 = 1.1e-16 and room for cancellation

OPTIMIZERS = {
    "sgd": SGD,
    "sgd-decay": Optimizer(weight_decay=0.01),
    "momentum": Optimizer(momentum=0.9),
    "momentum-decay": Optimizer(momentum=0.9, weight_decay=0.01),
    "nesterov": Optimizer(momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": Optimizer("adam"),
    "adam-decay": Optimizer("adam", weight_decay=0.1, beta1=0.8, beta2=0.9, eps=1e-4),
    "adamw": Optimizer("adamw", weight_decay=0.1),
    "average": Optimizer(momentum=0.9, average=0.9),
    "adam-average": Optimizer("adam", average=0.5),
}
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


# --- what the tests are made of ----------------------------------------------------------------


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """PyTorch's threads wait for each other in every operation: on a busy machine, for long."""
    if not HAS_TORCH:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(
    kind: str,
    network: Network,
    optimizer: Optimizer = SGD,
    objective: Objective = CROSS_ENTROPY,
    dtype: type = np.float32,
    seed: int = 0,
) -> Engine:
    """An engine with its first weights; one thread, since tests run beside each other."""
    engine: Any
    if kind == "torch":
        from lenet.engines.torch import TorchEngine

        engine = TorchEngine(network, optimizer, objective, threads=1, dtype=dtype)
    elif kind == "native":  # float32 whatever is asked for
        from lenet.engines.native import NativeEngine

        engine = NativeEngine(network, optimizer, objective)
    else:
        engine = numpy_engine.NumpyEngine(network, optimizer, objective, dtype=dtype)
    engine.load(State(initialize(network, "torch", seed)))
    return engine


def part_of(whole: Batches, first: int, last: int) -> Batches:
    """Steps first … last - 1 of a stretch."""
    start, stop = first * whole.batch_size, last * whole.batch_size
    return replace(
        whole,
        order=whole.order[start:stop],
        learning_rates=whole.learning_rates[first:last],
        augmentation=None if whole.augmentation is None else whole.augmentation[start:stop],
        weights=None if whole.weights is None else whole.weights[start:stop],
        position=replace(whole.position, first_sample=whole.position.first_sample + start),
    )


def random_table(
    n: int, reach: int = 3, warped: bool = False, erased: bool = False
) -> NDArray[np.int16]:
    random = np.random.default_rng(n)
    table = random.integers(-reach, reach, (n, 53 if warped else 3), np.int16, endpoint=True)
    table[:, 2] = random.integers(0, 2, n)
    table[:, 3:] *= 256 // 2  # of the grid: up to half of `reach` pixels
    if warped:  # what is far outside, and the farthest of all
        table[0, 3:28], table[1, 28:], table[2, 3:] = -32_768, 32_767, 1
    if erased:  # also over the edges, and one of no size
        rectangles = random.integers(-1, 6, (n, 5), np.int16)
        rectangles[:, 4] = random.integers(0, 256, n)
        table = np.hstack([table, rectangles])
    return table


def flat(engine: Engine, parameters: Parameters) -> NDArray[np.float64]:
    return np.concatenate([parameters[name].ravel() for name in engine.state().parameters])


def assert_equal_states(one: State, other: State) -> None:
    """Every number of both, bit for bit."""
    assert one.step == other.step
    assert one.moments.keys() == other.moments.keys()
    assert (one.average is None) == (other.average is None)
    pairs = [(one.parameters, other.parameters), (one.average or {}, other.average or {})]
    pairs += [(one.moments[name], other.moments[name]) for name in one.moments]
    for mine, its in pairs:
        assert mine.keys() == its.keys()
        for name in mine:
            assert mine[name].dtype == its[name].dtype
            assert mine[name].tobytes() == its[name].tobytes(), name


# --- PyTorch's own modules ---------------------------------------------------------------------


def module_of(network: Network, parameters: Parameters) -> Any:
    """An nn.Sequential in float64 with these weights."""
    from torch import nn, tensor

    def module(layer: Layer) -> nn.Module:
        match layer:
            case Conv2d(i, o, k, stride, padding):
                return nn.Conv2d(i, o, k, stride=stride, padding=padding)
            case AvgPool2d(k, stride, padding):
                return nn.AvgPool2d(k, stride=stride, padding=padding)
            case MaxPool2d(k, stride, padding):
                return nn.MaxPool2d(k, stride=stride, padding=padding)
            case Linear(i, o):
                return nn.Linear(i, o)
            case Dropout(p):
                return nn.Dropout(p)
            case _:
                return getattr(nn, type(layer).__name__)(**asdict(layer))  # type: ignore[no-any-return]

    modules = nn.Sequential(*map(module, network.layers)).double()
    modules.load_state_dict({name: tensor(value) for name, value in parameters.items()})
    return modules


def inputs_of(network: Network, images: NDArray[np.uint8]) -> Any:
    """What the first layer sees, float64, by the formula of Normalization."""
    import torch

    mean = np.reshape(network.normalization.mean, (-1, 1, 1))
    deviation = np.reshape(network.normalization.deviation, (-1, 1, 1))
    return torch.tensor((images / 255 - mean) / deviation)


def reference(
    network: Network,
    parameters: Parameters,
    split: Pictures,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] = (),
) -> tuple[list[Any], float, Parameters]:
    """Every layer's output, the mean loss, and every gradient, as PyTorch has them."""
    import torch

    module = module_of(network, parameters)
    x, outputs = inputs_of(network, split.images), []
    for layer in module:
        x = layer(x)
        outputs.append(x.detach().numpy())
    weight = torch.tensor(class_weights, dtype=torch.float64) if class_weights else None
    objective = torch.nn.CrossEntropyLoss(weight, label_smoothing=label_smoothing)
    loss = objective(x, torch.tensor(split.labels))
    loss.backward()
    gradients = {name: p.grad.numpy() for name, p in module.named_parameters()}
    return outputs, loss.item(), gradients


# --- layers ------------------------------------------------------------------------------------

FIRST = Conv2d(2, 3, kernel_size=3)  # so that what follows must hand a gradient on
NETWORKS = {
    "conv": network_of((1, 6, 6), Conv2d(1, 2, 3)),
    "conv-1x1": network_of((2, 5, 4), FIRST, Conv2d(3, 2, 1)),
    "conv-padded": network_of((2, 7, 5), Conv2d(2, 3, 5, padding=2), Conv2d(3, 2, 3, padding=1)),
    "conv-even-kernel": network_of((2, 7, 6), FIRST, Conv2d(3, 2, 4, padding=1)),
    "conv-all-padding": network_of((2, 5, 6), FIRST, Conv2d(3, 2, 3, padding=4)),
    "conv-stride": network_of((2, 9, 8), FIRST, Conv2d(3, 2, 3, stride=2, padding=1)),
    "conv-stride-left-over": network_of((2, 9, 8), FIRST, Conv2d(3, 2, 2, stride=3)),
    "conv-whole-picture": network_of((2, 6, 5), FIRST, Conv2d(3, 2, 3, padding=0)),
    "conv-7x7": network_of((1, 7, 9), Conv2d(1, 2, 7, padding=3)),
    "avg": network_of((2, 8, 6), FIRST, AvgPool2d(2)),
    "avg-left-over": network_of((2, 9, 7), FIRST, AvgPool2d(2)),
    "avg-padded": network_of((2, 8, 7), FIRST, AvgPool2d(3, stride=2, padding=1)),
    "avg-overlapping": network_of((2, 8, 6), FIRST, AvgPool2d(3, stride=1)),
    "avg-apart": network_of((2, 9, 9), FIRST, AvgPool2d(2, stride=3)),
    "max": network_of((2, 8, 6), FIRST, MaxPool2d(2)),
    "max-left-over": network_of((2, 9, 7), FIRST, MaxPool2d(2)),
    "max-padded": network_of((2, 8, 7), FIRST, MaxPool2d(3, stride=2, padding=1)),
    "max-overlapping": network_of((2, 8, 6), FIRST, MaxPool2d(3, stride=1, padding=1)),
    "max-apart": network_of((2, 9, 9), FIRST, MaxPool2d(2, stride=3)),
    "leaky-0.3": network_of((2, 8, 6), FIRST, LeakyReLU(0.3), MaxPool2d(2)),
    **{name: network_of((2, 5, 4), FIRST, layer) for name, layer in COMPUTED.items()},
    **{
        f"{name}-pooled": network_of((2, 8, 6), FIRST, layer, AvgPool2d(2))
        for name, layer in COMPUTED.items()
    },
    "first-layer-has-no-weights": network_of((3, 6, 6), Tanh(), MaxPool2d(2), Conv2d(3, 2, 2)),
    "dense": network_of((1, 4, 5), Flatten(), Linear(20, 6), Sigmoid()),
    "dense-alone": network_of((3, 2, 3)),
    "lenet": zoo.lenet((1, 16, 16), 4),
    "lenet-relu": zoo.lenet_relu((3, 16, 20), 5),
    "lenet-max": zoo.lenet_max((1, 20, 18), 3),
}
every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


@needs_torch
@every_engine
@every_network
def test_outputs_and_gradients_are_those_of_pytorch(kind: str, network: Network) -> None:
    engine, split = make(kind, network), random_pictures(network, 9)
    outputs, loss, expected = reference(network, engine.state().parameters, split)

    for index, (mine, its) in enumerate(
        zip(engine.activations(split.images), outputs, strict=True)
    ):
        assert mine.dtype == np.float32
        assert_close(mine, its, FLOAT32, f"output of layer {index}")
    gradients = engine.gradients(split.images, split.labels, Position(0, 0, 0))
    assert gradients.flat.dtype == np.float32
    assert gradients.metrics.loss == pytest.approx(loss, rel=FLOAT32)
    assert gradients.metrics.correct == (outputs[-1].argmax(1) == split.labels).sum()
    named = gradients.named()
    assert list(named) == list(expected)
    for name in expected:
        assert_close(named[name], expected[name], FLOAT32, name)


DROPPING = network_of((2, 7, 6), FIRST, Tanh(), Dropout(0.4), Conv2d(3, 2, 2), Dropout(0.2))


@pytest.mark.parametrize(
    "network", [*NETWORKS.values(), DROPPING], ids=[*NETWORKS, "dropout: the same units each time"]
)
def test_gradients_of_the_reference_are_slopes_of_its_loss(network: Network) -> None:
    # The error of a central difference is about step² (curvature) and 1e-16 / step (rounding);
    # a short step also seldom meets a kink of ReLU or max pooling, where there is no slope.
    engine, split = make("numpy", network, dtype=np.float64), random_pictures(network, 3)
    step = 1e-6
    start = engine.state().parameters
    found = engine.gradients(split.images, split.labels, Position(0, 0, 0)).named()
    random = np.random.default_rng(0)
    for name, value in start.items():
        # in one random direction a parameter, and along a few of its numbers
        directions = [random.normal(size=value.shape)]
        for place in random.choice(value.size, min(value.size, 6), replace=False):
            directions.append((np.arange(value.size) == place).astype(float).reshape(value.shape))
        for direction in directions:
            direction = direction / np.linalg.norm(direction)
            losses = []
            for sign in (1, -1):
                engine.load(State(start | {name: value + sign * step * direction}))
                there = engine.gradients(split.images, split.labels, Position(0, 0, 0))
                losses.append(there.metrics.loss)
            slope = (losses[0] - losses[1]) / (2 * step)
            assert (found[name] * direction).sum() == pytest.approx(slope, rel=1e-6, abs=2e-9)


def all_ties(kind: str, padding: int) -> tuple[Engine, Pictures]:
    """An engine whose max pooling sees equal values alone, made of pixels that differ.

    Its convolution's weight is 0. The gradient of that weight is a sum of the pixels that won,
    and so shows which they were.
    """
    network = network_of((1, 7, 9), Conv2d(1, 1, 1), MaxPool2d(3, 2, padding))
    engine = make(kind, network)
    parameters = engine.state().parameters
    parameters["0.weight"][:] = 0
    engine.load(State(parameters))
    return engine, random_pictures(network, 5)


@every_engine
def test_the_first_of_equal_values_gets_max_poolings_gradient(kind: str) -> None:
    engine, split = all_ties(kind, padding=0)
    logits = engine.activations(split.images)[-1]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    dlogits = (shares - np.eye(4)[split.labels]) / 5
    dpooled = dlogits @ engine.state().parameters["3.weight"]  # (n, 3·4)
    first = (split.images[:, 0, 0:5:2, 0:7:2] / 255 - 0.3) / 0.2  # the upper left of each window
    gradients = engine.gradients(split.images, split.labels, Position(0, 0, 0)).named()
    assert_close(gradients["0.weight"].ravel(), [(dpooled * first.reshape(5, -1)).sum()], FLOAT32)


@needs_torch
@every_engine
@pytest.mark.parametrize("padding", [0, 1])
def test_ties_in_max_pooling_are_broken_as_in_pytorch(kind: str, padding: int) -> None:
    engine, split = all_ties(kind, padding)
    _, _, expected = reference(engine.network, engine.state().parameters, split)
    named = engine.gradients(split.images, split.labels, Position(0, 0, 0)).named()
    for name in expected:  # one weight's gradient is the sum of 60 terms of both signs
        assert_close(named[name], expected[name], 2 * FLOAT32, name)


@needs_torch
@every_engine
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_label_smoothing_is_pytorchs(kind: str, smoothing: float) -> None:
    network = NETWORKS["lenet"]
    engine = make(kind, network, objective=Objective(smoothing))
    split = random_pictures(network, 12)
    _, loss, expected = reference(network, engine.state().parameters, split, smoothing)
    gradients = engine.gradients(split.images, split.labels, Position(0, 0, 0))
    assert gradients.metrics.loss == pytest.approx(loss, rel=FLOAT32)
    for name, value in gradients.named().items():
        assert_close(value, expected[name], FLOAT32, name)
    # evaluation reports the plain cross-entropy whatever the objective
    _, plain, _ = reference(network, engine.state().parameters, split)
    assert engine.evaluate(split).loss == pytest.approx(plain, rel=FLOAT32)


# --- weights of classes and of pictures --------------------------------------------------------

WEIGHTS = (0.5, 2.0, 0.0, 3.0)  # of the four classes


@needs_torch
@every_engine
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("n", [1, 3, 40])
def test_class_weights_are_pytorchs(kind: str, smoothing: float, n: int) -> None:
    network = NETWORKS["lenet"]
    engine = make(kind, network, objective=Objective(smoothing, class_weights=WEIGHTS))
    split = random_pictures(network, n)
    split.labels[0] = 1  # some weight, or PyTorch divides by 0
    parameters = engine.state().parameters
    _, loss, expected = reference(network, parameters, split, smoothing, WEIGHTS)
    gradients = engine.gradients(split.images, split.labels, Position(0, 0, 0))
    assert gradients.metrics.loss == pytest.approx(loss, rel=FLOAT32)
    for name, value in gradients.named().items():
        assert_close(value, expected[name], FLOAT32, name)
    # evaluation reports the plain cross-entropy whatever the objective
    _, plain, _ = reference(network, parameters, split)
    assert engine.evaluate(split).loss == pytest.approx(plain, rel=FLOAT32)


@every_engine
def test_a_picture_of_weight_two_counts_as_the_same_picture_twice(kind: str) -> None:
    network = NETWORKS["lenet"]
    split = random_pictures(network, 20)
    times = np.array([0, 1, 2, 1, 3] * 4)
    engine = make(kind, network, objective=Objective(0.1, class_weights=WEIGHTS))
    place = Position(0, 0, 0)
    weighted = engine.gradients(split.images, split.labels, place, times.astype(np.float32))
    often = np.repeat(np.arange(20), times)
    expected = engine.gradients(split.images[often], split.labels[often], place)
    assert weighted.metrics.loss == pytest.approx(expected.metrics.loss, rel=FLOAT32)
    assert_close(weighted.flat, expected.flat, FLOAT32)
    # only how the weights compare with each other matters
    scaled = engine.gradients(split.images, split.labels, place, times.astype(np.float32) * 1000)
    assert_close(scaled.flat, weighted.flat, FLOAT32)


@every_engine
def test_equal_weights_are_no_weights(kind: str) -> None:
    network, n = NETWORKS["lenet"], 45
    split, plan = random_pictures(network, n), batches(n, 10)
    plain = make(kind, network)
    before = plain.train(split, plan)
    for objective, weights in (
        (Objective(class_weights="2, 2, 2, 2"), None),
        (Objective(), np.full(n, 0.25, np.float32)),
    ):
        engine = make(kind, network, objective=objective)
        now = engine.train(split, replace(plan, weights=weights))
        assert_close(now.losses, before.losses, FLOAT32)
        assert now.correct == before.correct
        parameters = plain.state().parameters
        assert_close(flat(engine, engine.state().parameters), flat(plain, parameters), FLOAT32)


@every_engine
def test_weighted_steps_cut_into_parts_are_the_same_steps(kind: str) -> None:
    network, n = NETWORKS["lenet"], 70
    split = random_pictures(network, n)
    weights = np.random.default_rng(1).random(n).astype(np.float32)
    weights[10:20] = 0  # a batch that teaches nothing
    plan = replace(batches(n, 10), augmentation=random_table(n), weights=weights)
    objective = Objective(0.1, class_weights=WEIGHTS)
    whole = make(kind, network, OPTIMIZERS["momentum"], objective)
    metrics = whole.train(split, plan)
    assert metrics.losses[1] == 0
    assert metrics.losses[2] > 0
    in_parts = make(kind, network, OPTIMIZERS["momentum"], objective)
    for first, last in ((0, 1), (1, 4), (4, 7)):
        part = in_parts.train(split, part_of(plan, first, last))
        assert (part.losses == metrics.losses[first:last]).all()
    assert_equal_states(whole.state(), in_parts.state())


@needs_torch
def test_engines_agree_on_weighted_steps() -> None:
    network, n = NETWORKS["lenet-relu"], 64
    split = random_pictures(network, n)
    weights = np.random.default_rng(1).random(n).astype(np.float32)
    plan = replace(batches(n, 16), weights=weights)
    objective = Objective(0.1, class_weights=[1, 2, 3, 0.5, 1])
    results = []
    for kind in HERE:
        engine = make(kind, network, OPTIMIZERS["momentum"], objective)
        losses = engine.train(split, plan).losses
        results.append((losses, flat(engine, engine.state().parameters)))
    for losses, parameters in results[1:]:
        assert_close(losses, results[0][0], 5 * FLOAT32)
        assert_close(parameters, results[0][1], 5 * FLOAT32)


@every_engine
def test_weights_that_do_not_fit_are_refused(kind: str) -> None:
    network = NETWORKS["lenet"]
    with pytest.raises(EngineError, match="has 3 numbers; network 'lenet' has 4 classes"):
        make(kind, network, objective=Objective(class_weights="1, 2, 3"))
    with pytest.raises(SettingError, match="depends on the training pictures"):
        make(kind, network, objective=Objective(class_weights="balanced"))
    split = random_pictures(network, 10)
    plan = replace(batches(10, 5), weights=np.ones(3, np.float32))
    with pytest.raises(ValueError, match=r"the weights have shape \(3,\), not \((10|5),\)"):
        make(kind, network).train(split, plan)


# --- optimisers --------------------------------------------------------------------------------


def pytorch_steps(
    network: Network, start: Parameters, optimizer: Optimizer, split: Pictures, plan: Batches
) -> Parameters:
    """The weights that evaluation would use after a stretch with torch.optim, in float64."""
    import torch

    module = module_of(network, start)
    common: dict[str, Any] = {"lr": 0.1, "weight_decay": optimizer.weight_decay}
    adams = {"betas": (optimizer.beta1, optimizer.beta2), "eps": optimizer.eps}
    its: torch.optim.Optimizer
    if optimizer.method == "sgd":
        its = torch.optim.SGD(
            module.parameters(),
            momentum=optimizer.momentum,
            nesterov=optimizer.nesterov,
            **common,
        )
    elif optimizer.method == "adam":
        its = torch.optim.Adam(module.parameters(), **adams, **common)
    else:
        its = torch.optim.AdamW(module.parameters(), **adams, **common)
    averages = {name: p.detach().clone() for name, p in module.named_parameters()}
    for step, (place, rate) in enumerate(zip(plan.steps(), plan.learning_rates, strict=True), 1):
        chosen = plan.order[place]
        its.param_groups[0]["lr"] = rate
        its.zero_grad()
        logits = module(inputs_of(network, split.images[chosen]))
        torch.nn.CrossEntropyLoss()(logits, torch.tensor(split.labels[chosen])).backward()
        its.step()
        decay = min(optimizer.average, (1 + step) / (10 + step))
        for name, p in module.named_parameters():
            averages[name] += (1 - decay) * (p.detach() - averages[name])
    return {name: value.numpy() for name, value in averages.items()}


def twenty_steps(
    kind: str, network: Network, optimizer: Optimizer, dtype: type, split: Pictures, plan: Batches
) -> NDArray[np.float64]:
    engine = make(kind, network, optimizer, dtype=dtype)
    engine.train(split, plan)
    assert engine.state().step == 20
    return flat(engine, engine.state().weights)


@needs_torch
@every_optimizer
def test_twenty_steps_of_every_optimizer(optimizer: Optimizer) -> None:
    network = zoo.lenet((1, 16, 16), 4)
    split = random_pictures(network, 20 * 16)
    plan = batches(len(split.labels), 16, 0.1 if optimizer.method == "sgd" else 0.001)
    start = make("numpy", network).state().parameters
    expected = pytorch_steps(network, start, optimizer, split, plan)
    its = np.concatenate([expected[name].ravel() for name in start])
    for kind in HERE:
        if kind != "native":
            exact = twenty_steps(kind, network, optimizer, np.float64, split, plan)
            assert_close(exact, its, 1e-9, kind)
        rounded = twenty_steps(kind, network, optimizer, np.float32, split, plan)
        # Of all weights together: Adam's first steps are the gradients' signs, so where one is
        # zero but for rounding, a single weight goes where chance has it.
        assert np.linalg.norm(rounded - its) <= 1e-5 * np.linalg.norm(its), kind


# --- stretches ---------------------------------------------------------------------------------

# Dropout, both poolings, three channels: whatever could depend on where a stretch begins.
MIXED = network_of(
    (3, 9, 8),
    *(Conv2d(3, 4, 3, padding=1), ReLU(), MaxPool2d(2), Dropout(0.3)),
    *(Conv2d(4, 3, 2), Tanh(), AvgPool2d(2, 1), Flatten(), Dropout(0.5), Linear(12, 10), Sigmoid()),
)


@every_engine
@every_optimizer
def test_train_is_gradients_and_apply_repeated(kind: str, optimizer: Optimizer) -> None:
    split, table = random_pictures(MIXED, 23), random_table(23, warped=True)
    plan = batches(23, 5, table=table)
    whole, stepwise = (make(kind, MIXED, optimizer, Objective(0.1)) for _ in range(2))
    metrics = whole.train(split, plan)

    losses, correct = [], 0
    for place, rate in zip(plan.steps(), plan.learning_rates, strict=True):
        chosen = plan.order[place]
        gradients = stepwise.gradients(
            numpy_engine.augment(split.images[chosen], table[place]),
            split.labels[chosen],
            Position(7, 3, place.start),
        )
        before = stepwise.state()
        assert_equal_states(before, stepwise.state())
        stepwise.apply(gradients, float(rate))
        losses += list(gradients.metrics.losses)
        correct += gradients.metrics.correct
    assert_equal_states(whole.state(), stepwise.state())
    assert metrics.losses.tolist() == losses
    assert metrics.losses.dtype == np.float64
    assert (metrics.correct, metrics.examples) == (correct, 23)


@every_engine
def test_gradients_change_nothing(kind: str) -> None:
    engine, split = make(kind, MIXED, OPTIMIZERS["adam-average"]), random_pictures(MIXED, 6)
    engine.train(split, batches(6, 2))
    before = engine.state()
    first, second = (
        engine.gradients(split.images, split.labels, Position(0, 0, 0)) for _ in range(2)
    )
    engine.evaluate(split)
    engine.activations(split.images)
    assert_equal_states(before, engine.state())
    assert first.flat.tobytes() == second.flat.tobytes()


@every_engine
@every_optimizer
def test_where_a_stretch_is_cut_changes_no_bit(kind: str, optimizer: Optimizer) -> None:
    split = random_pictures(MIXED, 44)
    plan = batches(44, 5, table=random_table(44))  # nine steps, the last of four pictures
    whole, cut = (make(kind, MIXED, optimizer) for _ in range(2))
    at_once = whole.train(split, plan)
    ends = (0, 1, 4, 5, 9)
    pieces = [cut.train(split, part_of(plan, *ends)) for ends in itertools.pairwise(ends)]
    assert_equal_states(whole.state(), cut.state())
    assert at_once.losses.tolist() == [loss for piece in pieces for loss in piece.losses]
    assert at_once.correct == sum(piece.correct for piece in pieces)
    assert at_once.examples == sum(piece.examples for piece in pieces) == 44


@every_engine
@every_optimizer
def test_state_and_load_keep_every_bit(kind: str, optimizer: Optimizer) -> None:
    split, plan = random_pictures(MIXED, 30), batches(30, 5)
    steady = make(kind, MIXED, optimizer)
    steady.train(split, part_of(plan, 0, 3))
    saved = steady.state()
    assert saved.step == 3
    assert set(saved.moments) == set(optimizer.moments)

    resumed = make(kind, MIXED, optimizer, seed=1)
    resumed.load(saved)
    assert_equal_states(resumed.state(), saved)
    for other in HERE:  # from and to every engine
        foreign = make(other, MIXED, optimizer, seed=2)
        foreign.load(saved)
        assert_equal_states(foreign.state(), saved)

    steady.train(split, part_of(plan, 3, 6))
    resumed.train(split, part_of(plan, 3, 6))
    assert_equal_states(resumed.state(), steady.state())


@every_engine
def test_a_state_is_a_copy(kind: str) -> None:
    engine = make(kind, MIXED, OPTIMIZERS["adam-average"])
    state = engine.state()
    engine.load(state)
    for arrays in (state.parameters, state.average or {}, *state.moments.values()):
        for array in arrays.values():
            array += 1
    assert not np.array_equal(engine.state().parameters["0.bias"], state.parameters["0.bias"])
    assert (engine.state().moments["exp_avg"]["0.bias"] == 0).all()


@every_engine
def test_load_refuses_another_networks_weights(kind: str) -> None:
    engine = make(kind, MIXED)
    parameters = engine.state().parameters
    with pytest.raises(ValueError, match=r"0\.bias has shape"):
        engine.load(State(parameters | {"0.bias": np.zeros(5, np.float32)}))
    del parameters["0.bias"]
    with pytest.raises(ValueError, match=r"missing \['0\.bias'\]"):
        engine.load(State(parameters))


@every_engine
def test_a_batch_counts_what_is_there(kind: str) -> None:
    """The mean gradient of a batch is the mean of its pictures' gradients; a short one's too."""
    network = NETWORKS["lenet-relu"]
    engine, split = make(kind, network), random_pictures(network, 5)
    whole = engine.gradients(split.images, split.labels, Position(0, 0, 0))
    single = [
        engine.gradients(split.images[i : i + 1], split.labels[i : i + 1], Position(0, 0, i))
        for i in range(5)
    ]
    assert_close(whole.flat, np.mean([one.flat for one in single], axis=0), FLOAT32)
    assert whole.metrics.loss == pytest.approx(np.mean([one.metrics.loss for one in single]))
    assert whole.metrics.examples == 5

    for size in (1, 3, 5, 100):
        engine = make(kind, network)
        metrics = engine.train(split, batches(5, size))
        steps = -(-5 // size)
        assert metrics.losses.shape == (steps,)
        assert engine.state().step == steps
        assert metrics.examples == 5


@every_engine
def test_train_wants_a_learning_rate_for_every_step(kind: str) -> None:
    engine, split, plan = make(kind, MIXED), random_pictures(MIXED, 6), batches(6, 2)
    before = engine.state()
    for rates in (np.full(4, 0.1), np.full(2, 0.1)):
        with pytest.raises(ValueError, match=r"zip|learning rates for 3 steps"):
            engine.train(split, replace(plan, learning_rates=rates))
        engine.load(before)


@every_engine
def test_pictures_may_be_read_only_and_strided(kind: str) -> None:
    split = random_pictures(MIXED, 24)
    plain, other = (make(kind, MIXED) for _ in range(2))
    images = np.repeat(split.images, 2, axis=0)[::2]
    labels = split.labels.copy()
    images.flags.writeable = labels.flags.writeable = False
    order = batches(24, 7).order
    order.flags.writeable = False
    plain.train(split, batches(24, 7))
    other.train(Pictures(images, labels), replace(batches(24, 7), order=order))
    assert_equal_states(plain.state(), other.state())


@every_engine
def test_batches_larger_than_a_chunk(kind: str) -> None:
    """Engines may cut a batch into pieces; the dropped units must not notice."""
    split = random_pictures(MIXED, 150)
    engine = make(kind, MIXED, dtype=np.float64)
    whole = engine.gradients(split.images, split.labels, Position(7, 3, 11))
    total = np.zeros_like(whole.flat)
    for start in range(0, 150, 50):
        part = slice(start, start + 50)
        its = engine.gradients(split.images[part], split.labels[part], Position(7, 3, 11 + start))
        total += its.flat / 3
    assert_close(whole.flat, total, FLOAT32 if kind == "native" else FLOAT64)


# --- networks drawn at random ------------------------------------------------------------------


@st.composite
def networks(draw: st.DrawFn) -> Network:
    shape = draw(st.tuples(st.integers(1, 3), st.integers(4, 9), st.integers(4, 9)))
    layers: list[Layer] = []

    def add(layer: Layer) -> tuple[int, ...]:
        """The shape with the layer, or as before where it does not fit."""
        try:
            rows = trace_layers(shape, (*layers, layer))
        except ArchitectureError:
            return trace_layers(shape, tuple(layers))[-1].output_shape if layers else shape
        layers.append(layer)
        return rows[-1].output_shape

    activations = st.sampled_from([*COMPUTED.values(), Dropout(0.25)])
    now: tuple[int, ...] = shape
    for _ in range(draw(st.integers(0, 2))):
        kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        now = add(Conv2d(now[0], draw(st.integers(1, 5)), kernel, stride, draw(st.integers(0, 2))))
        add(draw(activations))
        kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        pool = draw(st.sampled_from([AvgPool2d, MaxPool2d]))
        now = add(pool(kernel, stride, draw(st.integers(0, kernel // 2))))
    (features,) = add(Flatten())
    if draw(st.booleans()):
        add(Linear(features, draw(st.integers(1, 9))))
        add(draw(activations))
    return network_of(shape, *layers)


@needs_native
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(networks(), st.integers(1, 90), st.integers(0, 2**32 - 1), st.data())
def test_the_native_engine_agrees_on_any_network(
    network: Network, n: int, seed: int, data: st.DataObject
) -> None:
    optimizer = data.draw(st.sampled_from(list(OPTIMIZERS.values())))
    split, at = random_pictures(network, n, seed), Position(seed, 2, 1000)
    exact, mine = (make(kind, network, optimizer, dtype=np.float64) for kind in ("numpy", "native"))
    one, other = (e.gradients(split.images, split.labels, at) for e in (exact, mine))
    assert_close(other.flat, one.flat, DRAWN)
    assert other.metrics.loss == pytest.approx(one.metrics.loss, rel=DRAWN)
    for x, y in zip(exact.activations(split.images), mine.activations(split.images), strict=True):
        assert_close(y, x, DRAWN)
    assert_close(mine.logits(split.images), exact.logits(split.images), DRAWN)
    plan = batches(n, -(-n // 3), 0.01, random_table(n))
    exact.train(split, plan)
    mine.train(split, plan)
    weights = flat(exact, exact.state().parameters)
    moved = flat(mine, mine.state().parameters) - weights
    assert np.linalg.norm(moved) <= 1e-4 * np.linalg.norm(weights)


@pytest.mark.slow
@needs_native
@needs_torch
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(networks(), st.integers(1, 40), st.sampled_from(list(OPTIMIZERS)), st.integers(0, 99))
def test_the_native_engine_takes_pytorchs_twenty_steps_on_any_network(
    network: Network, size: int, name: str, seed: int
) -> None:
    # PyTorch draws its own units to drop
    layers = tuple(layer for layer in network.layers if not isinstance(layer, Dropout))
    network, optimizer = replace(network, layers=layers), OPTIMIZERS[name]
    split = random_pictures(network, 20 * size, seed)
    engine = make("native", network, optimizer)
    start = engine.state().parameters
    outputs, loss, expected = reference(network, start, split)
    for mine, its in zip(engine.activations(split.images), outputs, strict=True):
        assert_close(mine, its, DRAWN)
    gradients = engine.gradients(split.images, split.labels, Position(0, 0, 0))
    assert gradients.metrics.loss == pytest.approx(loss, rel=DRAWN)
    assert_close(gradients.flat, flat(engine, expected), DRAWN)

    plan = batches(20 * size, size, 0.05 if optimizer.method == "sgd" else 0.001)
    engine.train(split, plan)
    its = flat(engine, pytorch_steps(network, start, optimizer, split, plan))
    mine = flat(engine, engine.state().weights)
    assert np.linalg.norm(mine - its) <= 1e-4 * np.linalg.norm(its)


@needs_torch
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(networks(), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_engines_agree_on_any_network(network: Network, n: int, seed: int) -> None:
    split, at = random_pictures(network, n, seed), Position(seed, 2, 1000)
    mine, its = (make(kind, network, dtype=np.float64) for kind in ("numpy", "torch"))
    one, other = (e.gradients(split.images, split.labels, at) for e in (mine, its))
    assert_close(other.flat, one.flat, 1e-10)
    assert other.metrics.loss == pytest.approx(one.metrics.loss, rel=1e-10)
    assert other.metrics.correct == one.metrics.correct
    for x, y in zip(mine.activations(split.images), its.activations(split.images), strict=True):
        assert_close(y, x, FLOAT32)
    first, second = mine.evaluate(split), its.evaluate(split)
    assert second.loss == pytest.approx(first.loss, rel=1e-10)
    assert np.array_equal(first.confusion, second.confusion)


# --- augmentation ------------------------------------------------------------------------------


def augment(kind: str, images: NDArray[np.uint8], table: NDArray[np.int16]) -> NDArray[np.uint8]:
    if kind == "numpy":
        return numpy_engine.augment(images, table)
    import torch

    from lenet.engines.torch import augment

    result = augment(torch.tensor(images), torch.tensor(table))
    assert result.dtype == torch.uint8
    return result.numpy()


def changed_with_loops(images: NDArray[np.uint8], table: NDArray[np.int16]) -> NDArray[np.uint8]:
    result = np.zeros_like(images)
    n, channels, height, width = images.shape
    erased = table.shape[1] > 3
    for i, c, y, x in itertools.product(range(n), range(channels), range(height), range(width)):
        down, right, mirrored = map(int, table[i, :3])
        from_y, from_x = y - down, x - right
        if 0 <= from_y < height and 0 <= from_x < width:
            if mirrored:
                from_x = width - 1 - from_x
            result[i, c, y, x] = images[i, c, from_y, from_x]
        if erased:
            top, left, rows, columns, grey = map(int, table[i, 3:])
            if y in range(top, top + rows) and x in range(left, left + columns):
                result[i, c, y, x] = grey
    return result


@every_array_library
@pytest.mark.parametrize("reach", [0, 1, 3, 127])
@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 4, 7), (2, 1, 1)])
def test_augmentation_is_what_plain_loops_do(
    kind: str, reach: int, shape: tuple[int, int, int]
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, *shape), np.uint8)
    for erased in (False, True):
        table = random_table(40, reach, erased=erased)
        assert np.array_equal(augment(kind, images, table), changed_with_loops(images, table))


@every_array_library
def test_augmentation_that_does_nothing(kind: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 2, 6, 5), np.uint8)
    nothing, mirror = np.zeros((10, 3), np.int16), np.zeros((10, 3), np.int16)
    mirror[:, 2] = 1
    assert np.array_equal(augment(kind, images, nothing), images)
    mirrored = augment(kind, images, mirror)
    assert np.array_equal(mirrored, images[..., ::-1])
    assert np.array_equal(augment(kind, mirrored, mirror), images)
    unbent = np.zeros((10, 53), np.int16)
    assert np.array_equal(augment(kind, images, unbent), images)
    unbent[:, 3:28] = -512  # every row from two rows above: the same as two rows down
    nothing[:, 0] = 2
    assert np.array_equal(augment(kind, images, unbent), augment(kind, images, nothing))


def warped_with_fractions(
    image: NDArray[np.uint8], row: NDArray[np.int16], y: int, x: int
) -> Fraction:
    """A pixel of one plane after its warp, exactly, the source taken to the nearest 1/256."""
    height, width = image.shape
    grid = row[3:].reshape(2, 5, 5)
    where = []
    for axis, pixel in enumerate((y, x)):
        moved = Fraction(0)
        (i, v), (j, u) = (divmod(p * 1024 // side, 256) for p, side in ((y, height), (x, width)))
        for (a, b), share in {
            (0, 0): (256 - v) * (256 - u),
            (0, 1): (256 - v) * u,
            (1, 0): v * (256 - u),
            (1, 1): v * u,
        }.items():
            moved += Fraction(share * int(grid[axis, i + a, j + b]), 256**2)
        where.append(pixel + Fraction(math.floor(moved + Fraction(1, 2)), 256))
    value = Fraction(0)
    for near_y, near_x in itertools.product(
        *(range(math.floor(w), math.floor(w) + 2) for w in where)
    ):
        if 0 <= near_y < height and 0 <= near_x < width:
            share = (1 - abs(where[0] - near_y)) * (1 - abs(where[1] - near_x))
            value += share * int(image[near_y, near_x])
    return value


@every_array_library
@pytest.mark.parametrize("shape", [(1, 7, 5), (2, 3, 12), (1, 1, 1)])
def test_a_warp_is_two_linear_interpolations(kind: str, shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, *shape), np.uint8)
    table = random_table(8, warped=True)
    table[:, :3] = 0
    found = augment(kind, images, table)
    for i, c, y, x in np.ndindex(found.shape):
        exact = warped_with_fractions(images[i, c], table[i], y, x)
        assert found[i, c, y, x] == math.floor(exact + Fraction(1, 2))
    whole = random_table(8, warped=True)  # mirrored first, then warped, then moved
    moves = whole[:, :3].copy()
    mirror, table[:, 3:] = moves * np.int16([0, 0, 1]), whole[:, 3:]
    in_turn = augment(kind, augment(kind, images, mirror), table)
    in_turn = augment(kind, in_turn, moves * np.int16([1, 1, 0]))
    assert np.array_equal(augment(kind, images, whole), in_turn)
    erased = random_table(8, warped=True, erased=True)  # at last, and without any effect on these
    paint = np.hstack([np.zeros_like(moves), erased[:, 53:]])
    assert np.array_equal(augment(kind, images, erased), augment(kind, in_turn, paint))


@every_engine
@pytest.mark.parametrize("warped", [False, True])
def test_few_pictures_are_changed_as_many_are(kind: str, warped: bool) -> None:
    network = Network(
        "plain",
        (3, 9, 8),
        (Conv2d(3, 4, 3), ReLU(), Flatten(), Linear(168, 10)),
        zoo.class_names(10),
    )
    split, table = random_pictures(network, 9), random_table(9, warped=warped, erased=True)
    plan = batches(9, 2, table=table)
    metrics = make(kind, network, OPTIMIZERS["momentum"]).train(split, plan)
    changed = Pictures(
        numpy_engine.augment(split.images[plan.order], table), split.labels[plan.order]
    )
    plan = replace(plan, order=np.arange(9), augmentation=None)
    again = make(kind, network, OPTIMIZERS["momentum"]).train(changed, plan)
    assert metrics.losses.tolist() == again.losses.tolist()


# --- dropout -----------------------------------------------------------------------------------


def dropout_scale(
    kind: str, p: float, shape: tuple[int, ...], layer: int, position: Position
) -> NDArray[np.float64]:
    """The engine's mask, (n, …); the native engine's own cannot be asked for, and is the same."""
    if kind in ("numpy", "native"):
        mask = numpy_engine.dropout_scale(p, (*shape[1:], shape[0]), layer, position)
        return np.moveaxis(mask, -1, 0)
    import torch

    from lenet.engines.torch import dropout_place, dropout_scale

    place = torch.tensor(dropout_place(position, position.first_sample))
    return dropout_scale(p, shape, layer, place, torch.float64).numpy()


@needs_torch
@pytest.mark.parametrize("p", [1e-9, 0.1, 0.5, 1 / 3, 0.999, np.nextafter(1, 0), 1.0])
@pytest.mark.parametrize(
    "position", [Position(0, 0, 0), Position(2**32 - 1, 10**6, 59_990), Position(5, 1, 2**31)]
)
def test_engines_drop_the_same_units(p: float, position: Position) -> None:
    for shape in ((7, 30), (3, 4, 5, 6)):
        one, other = (dropout_scale(kind, p, shape, 9, position) for kind in ("numpy", "torch"))
        assert one.tobytes() == other.tobytes()


@every_array_library
@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_share_of_dropped_units_is_p(kind: str, p: float) -> None:
    mask = dropout_scale(kind, p, (500, 200), 3, Position(1, 2, 3))
    assert set(np.unique(mask)) == {0, 1 / (1 - p)}
    dropped = mask == 0
    deviation = np.sqrt(p * (1 - p))  # of one unit; the mean of n has it divided by √n
    assert abs(dropped.mean() - p) < 5 * deviation / np.sqrt(dropped.size)
    assert np.abs(dropped.mean(0) - p).max() < 5 * deviation / np.sqrt(500)  # every unit
    assert np.abs(dropped.mean(1) - p).max() < 5 * deviation / np.sqrt(200)  # every picture


@every_array_library
def test_masks_differ_by_seed_epoch_layer_and_picture(kind: str) -> None:
    base = Position(1, 2, 0)
    masks = [
        dropout_scale(kind, 0.5, (20, 100), layer, position)
        for layer, position in [
            (3, base),
            (4, base),
            (3, replace(base, epoch=3)),
            (3, replace(base, seed=2)),
            (3, replace(base, first_sample=20)),
        ]
    ]
    for one, other in itertools.combinations(masks, 2):
        assert 0.4 < (one == other).mean() < 0.6  # half of two coins agree: 0.5 ± 5 · 0.011
    first = masks[0]
    assert len(np.unique(first, axis=0)) == 20
    later = dropout_scale(kind, 0.5, (5, 100), 3, replace(base, first_sample=10))
    assert np.array_equal(first[10:15], later)  # a picture's mask is its place's, not the batch's


@every_engine
def test_dropout_acts_in_training_alone(kind: str) -> None:
    network = network_of((1, 8, 8), Flatten(), Dropout(0.5))
    engine, split = make(kind, network), random_pictures(network, 6)
    flattened, dropped, logits = engine.activations(split.images)
    assert np.array_equal(flattened, dropped)
    shifted = logits - logits.max(1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(6), split.labels]
    assert engine.evaluate(split).loss == pytest.approx(losses.mean(), rel=1e-5)

    position = Position(4, 1, 100)
    mask = dropout_scale(kind, 0.5, (6, 64), 1, position)
    parameters = engine.state().parameters
    logits = (flattened * mask) @ parameters["2.weight"].T + parameters["2.bias"]
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    dlogits = (shares - np.eye(4)[split.labels]) / 6
    gradients = engine.gradients(split.images, split.labels, position).named()
    assert_close(gradients["2.weight"], dlogits.T @ (flattened * mask), FLOAT32)


def doc_tables() -> list[list[list[str]]]:
    """The rows of each table in docs/randomness.md, without their heads."""
    text = (Path(__file__).parents[1] / "docs" / "randomness.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [
        [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]
        for table in tables
    ]


def hash32(kind: str, x: int) -> int:
    if kind == "numpy":
        return int(hashing.hash32(np.array([x], np.uint32))[0])
    import torch

    from lenet.engines.torch import hash32

    assert hash32(torch.tensor([x])).item() == hash32(x)
    return hash32(x)


@every_array_library
def test_the_hash_is_the_documented_one(kind: str) -> None:
    _, hashes, drawn = doc_tables()
    assert len(hashes) == 5
    for x, expected in hashes:
        assert hash32(kind, int(x, 16)) == int(expected, 16)
    assert len(drawn) == 8
    for *place, expected, dropped in drawn:
        seed, epoch, layer, sample, unit = map(int, place)
        key = hash32(kind, hash32(kind, hash32(kind, seed) ^ epoch) ^ layer)
        picture = hash32(kind, key ^ sample)
        found = hash32(kind, (picture + unit * 0x9E3779B9) % 2**32)
        assert found == int(expected, 16)
        assert (found < 2**31) == (dropped == "yes")
        mask = dropout_scale(kind, 0.5, (1, unit + 1), layer, Position(seed, epoch, sample))
        assert (mask[0, unit] == 0) == (dropped == "yes")


# --- evaluation --------------------------------------------------------------------------------


@every_engine
@pytest.mark.parametrize("n", [1, 64, 1030])
def test_evaluation_adds_up(kind: str, n: int) -> None:
    network = NETWORKS["dense"]
    engine, split = make(kind, network), random_pictures(network, n)
    metrics = engine.evaluate(split)
    logits = engine.activations(split.images)[-1].astype(np.float64)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(n), split.labels]
    assert metrics.loss == pytest.approx(losses.mean(), rel=1e-6)
    assert metrics.losses.dtype == np.float64
    confusion = np.zeros((4, 4), np.int64)
    np.add.at(confusion, (split.labels, logits.argmax(1)), 1)
    assert np.array_equal(metrics.confusion, confusion)
    assert metrics.confusion is not None
    assert metrics.confusion.dtype == np.int64
    assert (metrics.correct, metrics.examples) == (np.trace(confusion), n)
    assert metrics.accuracy == metrics.correct / n


@every_engine
def test_evaluation_uses_the_averaged_weights(kind: str) -> None:
    network = NETWORKS["lenet-relu"]
    split = random_pictures(network, 30)
    averaging = make(kind, network, Optimizer(average=0.9))
    averaging.train(split, batches(30, 3))
    state = averaging.state()
    assert state.average is not None
    assert not np.array_equal(state.average["0.weight"], state.parameters["0.weight"])

    of_average, of_last = make(kind, network), make(kind, network)
    of_average.load(State(state.average))
    of_last.load(State(state.parameters))
    assert averaging.evaluate(split).losses.tolist() == of_average.evaluate(split).losses.tolist()
    assert averaging.evaluate(split).losses.tolist() != of_last.evaluate(split).losses.tolist()
    for one, other in zip(
        averaging.activations(split.images), of_average.activations(split.images), strict=True
    ):
        assert np.array_equal(one, other)
    # training goes on from the last weights, not from the average
    at = Position(0, 0, 0)
    one = averaging.gradients(split.images, split.labels, at).flat
    assert np.array_equal(one, of_last.gradients(split.images, split.labels, at).flat)


@every_engine
def test_activations_share_no_memory(kind: str) -> None:
    engine = make(kind, MIXED)
    outputs = engine.activations(random_pictures(MIXED, 3).images)
    assert [output.shape[1:] for output in outputs] == [row.output_shape for row in trace(MIXED)]
    assert all(output.flags.writeable for output in outputs)
    for one, other in itertools.combinations(outputs, 2):
        assert not np.shares_memory(one, other)


# --- choosing ----------------------------------------------------------------------------------


def test_choose_refuses_unknown_names() -> None:
    with pytest.raises(
        EngineError, match="unknown engine 'jax'; choose from auto, native, numpy, torch"
    ):
        engines.choose("jax", zoo.lenet())
    with pytest.raises(EngineError, match="unknown device 'tpu'; did you mean cpu"):
        engines.choose("auto", zoo.lenet(), "tpu")
    with pytest.raises(EngineError, match="the numpy engine runs only on the cpu, not on cuda"):
        engines.choose("numpy", zoo.lenet(), "cuda")


def test_choose_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    for device in ("auto", "cpu"):
        choice = engines.choose("auto", zoo.lenet(), device)
        assert (choice.engine, choice.device) == (CPU_ENGINE, "cpu")
    with pytest.raises(EngineError, match=r"the torch engine needs PyTorch.*pip install 'torch"):
        engines.choose("torch", zoo.lenet())
    with pytest.raises(EngineError, match=r"device cuda needs PyTorch"):
        engines.choose("auto", zoo.lenet(), "cuda")


@needs_torch
def test_choose_takes_the_gpu_that_pytorch_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    import lenet.engines.torch as module

    monkeypatch.setattr(engines, "gpu_driver", lambda: True)
    monkeypatch.setattr(module, "find_device", lambda device: "cuda")
    assert engines.choose("auto", zoo.lenet()) == Choice("torch", "cuda", "cuda is here")
    monkeypatch.setattr(module, "find_device", lambda device: "cpu")
    assert engines.choose("auto", zoo.lenet()).engine == CPU_ENGINE
    assert engines.choose("torch", zoo.lenet()) == Choice("torch", "cpu", "asked for")


@every_engine
def test_make_makes_what_was_chosen(kind: str) -> None:
    choice = engines.choose(kind, zoo.lenet(), "cpu")
    engine = engines.make(choice, zoo.lenet(), Optimizer(), Objective(), threads=1)
    assert (engine.name, engine.device, engine.threads) == (kind, "cpu", 1)
    assert engine.network == zoo.lenet()
    assert engine.instruction_set
    with pytest.raises(EngineError, match="threads is 0"):
        engines.make(choice, zoo.lenet(), Optimizer(), Objective(), threads=0)


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/", {"cpu.max": "max 100000"}, np.inf),
        ("0::/", {}, np.inf),
        ("0::/a/b", {"cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 0.5),
        ("0::/a/b", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "300000 100000"}, 3.0),
        (
            "5:memory:/x\n4:cpu,cpuacct:/x",
            {
                "cpu,cpuacct/x/cpu.cfs_quota_us": "250000",
                "cpu,cpuacct/x/cpu.cfs_period_us": "100000",
            },
            2.5,
        ),
        (
            "4:cpu:/",
            {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
            np.inf,
        ),
        (
            "0::/elsewhere",
            {"cpu.max": "200000 100000"},
            2.0,
        ),  # a container sees its own as the root
    ],
)
def test_control_groups_limit_the_cpus(
    membership: str, files: dict[str, str], expected: float, tmp_path: Path
) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    proc.write_text(membership + "\n")
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text + "\n")
    assert cpu_quota(proc, groups) == expected
    assert cpu_quota(tmp_path / "none", groups) == np.inf


# --- the torch engine alone --------------------------------------------------------------------


@needs_torch
def test_torch_refuses_a_device_that_is_not_here() -> None:
    import torch

    from lenet.engines.torch import find_device

    assert find_device("cpu") == "cpu"
    assert find_device("auto") in ("cpu", "cuda", "mps")
    with pytest.raises(EngineError, match="unknown device 'tpu'"):
        find_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(EngineError, match=r"device cuda cannot be used; PyTorch .* reports: "):
            find_device("cuda")


@needs_torch
def test_torch_refuses_pictures_of_another_shape_and_labels_without_a_class() -> None:
    engine, split = make("torch", MIXED), random_pictures(MIXED, 4)
    with pytest.raises(ValueError, match="network 'test' has classes 0 to 3"):
        engine.evaluate(Pictures(split.images, split.labels + 4))
    with pytest.raises(ValueError, match=r"needs uint8 \(4, 3, 9, 8\)"):
        engine.train(Pictures(split.images[:, :1], split.labels), batches(4, 2))
    with pytest.raises(ValueError, match="images are float64"):
        engine.activations(split.images / 255)  # type: ignore[arg-type]


@needs_torch
def test_torch_leaves_the_process_as_it_was() -> None:
    import torch

    engine, split = make("torch", MIXED), random_pictures(MIXED, 4)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        engine.train(split, batches(4, 2))
        engine.evaluate(split)
        assert torch.get_num_threads() == 3
        with pytest.raises(IndexError):
            engine.train(split, replace(batches(4, 2), order=np.array([0, 1, 2, 99])))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert torch.is_grad_enabled()


@needs_torch
def test_torch_keeps_the_last_few_splits() -> None:
    from lenet.engines.torch import SPLITS, TorchEngine

    engine = make("torch", MIXED)
    assert isinstance(engine, TorchEngine)
    for seed in range(SPLITS + 2):
        split = random_pictures(MIXED, 4, seed)
        engine.evaluate(split)
        engine.evaluate(replace(split))  # another object around the same arrays
    assert len(engine._splits) == SPLITS


@needs_torch
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.timeout(600)  # on a busy machine
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_torch_compiled_is_the_same_engine(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As "eager" it is read and not translated: that shows all layers, a short last batch and
    evaluating. "inductor" makes C++ of the training step of a few layers, which takes long."""
    import torch

    from lenet.engines.torch import TorchEngine

    compile = functools.partial(torch.compile, backend=backend)
    monkeypatch.setattr(torch, "compile", compile)
    network, n = MIXED, 13
    if backend == "inductor":
        # a small step compiles as soon without: they are 150 MB
        monkeypatch.setattr("torch._inductor.config.cpp_cache_precompile_headers", False)
        few = (Conv2d(3, 2, 3), Tanh(), AvgPool2d(2), Flatten(), Dropout(0.5))
        network, n = network_of((3, 9, 8), *few), 10
    split, plan = random_pictures(network, n), batches(n, 5, table=random_table(n))
    plain = make("torch", network, OPTIMIZERS["adam"])
    compiled = TorchEngine(network, OPTIMIZERS["adam"], Objective(), threads=1, compile=True)
    compiled.load(plain.state())
    one, other = plain.train(split, plan), compiled.train(split, plan)
    assert_close(other.losses, one.losses, 1e-5)
    weights = flat(plain, plain.state().parameters)
    assert_close(flat(compiled, compiled.state().parameters), weights, 1e-4)
    if backend == "eager":
        assert compiled.evaluate(split).loss == pytest.approx(plain.evaluate(split).loss, rel=1e-4)


@needs_torch
@pytest.mark.gpu
@every_optimizer
def test_cuda_trains_as_the_cpu_does(optimizer: Optimizer) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    from lenet.engines.torch import TorchEngine

    split = random_pictures(MIXED, 44)
    plan = batches(44, 5, 0.1 if optimizer.method == "sgd" else 0.001, random_table(44))
    cpu = make("torch", MIXED, optimizer)
    gpu, other = (TorchEngine(MIXED, optimizer, Objective(), device="cuda") for _ in range(2))
    for engine in (gpu, other):
        engine.load(cpu.state())
    expected, metrics = cpu.train(split, plan), gpu.train(split, plan)
    assert gpu._graph is not None
    assert_close(metrics.losses, expected.losses, 1e-5)
    weights = flat(cpu, cpu.state().parameters)
    assert_close(flat(gpu, gpu.state().parameters), weights, 1e-5)
    assert gpu.evaluate(split).loss == pytest.approx(cpu.evaluate(split).loss, rel=1e-5)

    # the graph is the same step again: cut anywhere, or with other weights loaded into it
    for ends in ((0, 3), (3, 9)):
        other.train(split, part_of(plan, *ends))
    assert_equal_states(gpu.state(), other.state())
    gpu.load(make("torch", MIXED, optimizer).state())
    gpu.train(split, plan)
    assert_equal_states(gpu.state(), other.state())


def test_with_weights_is_the_chosen_engine_with_these_weights() -> None:
    network = zoo.build("lenet")
    parameters = initialize(network, "xavier", 3)
    engine = engines.with_weights(network, parameters, threads=1, device="cpu")
    assert (engine.name, engine.threads) == (CPU_ENGINE, 1)
    loaded = engine.state().parameters
    assert loaded.keys() == parameters.keys()
    assert all(np.array_equal(loaded[name], parameters[name]) for name in parameters)
    with pytest.raises(EngineError, match="threads is 0"):
        engines.with_weights(network, parameters, threads=0)
