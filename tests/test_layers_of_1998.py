"""The layers, the loss and the optimiser of 1998: every engine against the reference, and that
against the slopes of its loss."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine_cases import Pictures, assert_close, batches, network_of, random_pictures
from lenet import engines
from lenet.data import Split
from lenet.engines import Engine, EngineError, Position
from lenet.engines.numpy import NumpyEngine
from lenet.network import zoo
from lenet.network.architecture import Network
from lenet.network.codes import DIGITS, HEIGHT, WIDTH, codes
from lenet.network.layers import (
    RBF,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    ScaledTanh,
    Sigmoid,
    Subsample,
)
from lenet.network.parameters import State, initialize
from lenet.optimization import Objective, Optimizer, Schedule, Settings
from lenet.training.curvature import draw_labels, with_curvature
from test_engines import FLOAT32, needs_native, needs_torch

TABLE = ((0, 1), (1, 2), (0, 2), (0, 1, 2))
CODED = Network(
    "coded",
    (1, 12, 10),
    (
        Conv2d(1, 3, 3),
        ScaledTanh(),
        Subsample(3),
        ScaledTanh(1.2, 0.5),
        Conv2d(3, 4, 3, connections=TABLE),
        ScaledTanh(),
        Subsample(4, 2),
        Flatten(),
        Linear(4, 7),
        ScaledTanh(),
        RBF(7, 4),
    ),
    ("a", "b", "c", "d"),
)
NETWORKS = {
    "coded": CODED,
    "subsample-first": network_of((2, 7, 5), Subsample(2), Sigmoid(), Subsample(2)),
    "subsample-behind-a-function": network_of(
        (2, 8, 8), ScaledTanh(), Subsample(2), Conv2d(2, 2, 3)
    ),
    "table-with-stride": network_of((3, 7, 7), Conv2d(3, 4, 3, 2, 1, TABLE), Subsample(4, 3)),
    "codes-behind-pictures": Network(
        "far",
        (1, 3, 3),
        (Flatten(), RBF(9, 6), ScaledTanh(-2.0, 0.1), Linear(6, 3)),
        ("a", "b", "c"),
    ),
    "a-bias-a-unit": network_of(
        (1, 7, 7),
        Conv2d(1, 3, 3, 2, 1, bias_size=4),
        ScaledTanh(),
        Conv2d(3, 4, 3, 1, 0, TABLE, bias_size=2),
    ),
    "dropped": network_of((1, 8, 8), Conv2d(1, 2, 3), Dropout(0.4), Subsample(2), ScaledTanh()),
}
OBJECTIVES = {
    "plain": Objective(),
    "rubbish": Objective(rubbish_distance=2.0),
    "all": Objective(0.2, "1, 2, 0.5, 3", rubbish_distance=0.5),
}
every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
every_other_engine = pytest.mark.parametrize(
    "kind",
    [pytest.param("native", marks=needs_native), pytest.param("torch", marks=needs_torch)],
)


def make(kind: str, network: Network, optimizer: Optimizer, objective: Objective) -> Engine:
    if kind == "torch":
        from lenet.engines.torch import TorchEngine

        return TorchEngine(network, optimizer, objective, threads=1)
    if kind == "native":
        from lenet.engines.native import NativeEngine

        return NativeEngine(network, optimizer, objective)
    return NumpyEngine(network, optimizer, objective, dtype=np.float64)


def first_state(network: Network, optimizer: Optimizer) -> State:
    """Weights, and a curvature where the optimiser has one."""
    weights = initialize(network, "torch", 3)
    moments = {
        name: {key: np.abs(value) for key, value in initialize(network, "torch", 4).items()}
        for name in optimizer.moments
    }
    return State(weights, moments)


def fitted(objective: Objective, network: Network) -> Objective:
    """With as many class weights as there are classes."""
    weights = ",".join(objective.class_weights.split(",")[: len(network.classes)])
    return Objective(objective.label_smoothing, weights, objective.rubbish_distance)


@every_network
@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_the_references_gradients_are_slopes_of_its_loss(
    network: Network, objective: Objective
) -> None:
    engine = make("numpy", network, Optimizer(), fitted(objective, network))
    split, start = random_pictures(network, 3), first_state(network, Optimizer())
    engine.load(start)
    position, step = Position(1, 2, 3), 1e-6
    found = engine.gradients(split.images, split.labels, position).named()
    random = np.random.default_rng(0)
    for name, value in start.parameters.items():
        direction = random.normal(size=value.shape)
        direction[value == 0] = 0  # a weight that does not exist
        losses = []
        for sign in (1, -1):
            engine.load(State(start.parameters | {name: value + sign * step * direction}))
            there = engine.gradients(split.images, split.labels, position)
            losses.append(there.metrics.loss)
        slope = (losses[0] - losses[1]) / (2 * step)
        assert (found[name] * direction).sum() == pytest.approx(slope, rel=1e-6, abs=5e-9), name


@every_other_engine
@every_network
@pytest.mark.parametrize("n", [1, 3, 40])
def test_engines_agree(kind: str, network: Network, n: int) -> None:
    if kind == "native" and network is NETWORKS["a-bias-a-unit"]:
        with pytest.raises(EngineError, match=r"layer 0 \(Conv2d\) .* has one a unit"):
            make(kind, network, Optimizer(), Objective())
        assert engines.choose("auto", network, "cpu").engine == "numpy"
        return
    split = random_pictures(network, n)
    optimizer, objective = Optimizer("sdlm", damping=0.3), fitted(OBJECTIVES["all"], network)
    seen = []
    for engine in (make(one, network, optimizer, objective) for one in ("numpy", kind)):
        engine.load(first_state(network, optimizer))
        gradients = engine.gradients(split.images, split.labels, Position(0, 0, 0))
        outputs = [engine.logits(split.images), *engine.activations(split.images)]
        evaluated = engine.evaluate(split)
        stepped = engine.train(split, batches(n, 7, 0.01))
        after = list(engine.state().parameters.values())
        losses = [gradients.metrics.losses.sum(), evaluated.losses.sum(), stepped.losses.sum()]
        seen.append([*outputs, losses, *gradients.named().values(), *after])
    for expected, mine in zip(*seen, strict=True):
        assert_close(mine, expected, 10 * FLOAT32)


@every_other_engine
def test_lenet5_takes_the_same_steps(kind: str) -> None:
    network = zoo.lenet5()
    split = random_pictures(network, 6)
    optimizer, objective = Optimizer("sdlm"), Objective(rubbish_distance=20)
    states = []
    for engine in (make(one, network, optimizer, objective) for one in ("numpy", kind)):
        engine.load(State(initialize(network, "lecun", 0)))
        engine.load(with_curvature(engine, split_of(split), Settings(optimizer=optimizer), 0))
        engine.train(split, batches(6, 2, 1e-5))
        states.append(engine.state())
    for name, expected in states[0].parameters.items():
        assert_close(states[1].parameters[name], expected, FLOAT32, name)
        assert_close(
            states[1].moments["curvature"][name],
            states[0].moments["curvature"][name],
            100 * FLOAT32,
            name,
        )
    absent = states[1].parameters["4.weight"][0, 3:]  # the first map of C3 sees S2's first three
    assert not absent.any()


def split_of(pictures: Pictures) -> Split:
    return Split(pictures.images, pictures.labels, tuple("0123456789"), "random")


@pytest.mark.parametrize(
    "kind",
    ["numpy", pytest.param("native", marks=needs_native), pytest.param("torch", marks=needs_torch)],
)
def test_weights_that_a_table_leaves_out_play_no_part(kind: str) -> None:
    network = NETWORKS["coded"]
    split = random_pictures(network, 5)
    engine = make(kind, network, Optimizer(weight_decay=0.1), Objective())
    state = first_state(network, Optimizer())
    engine.load(state)
    expected = engine.logits(split.images)
    state.parameters["4.weight"][0, 2] = 1e6  # a stranger's file may have anything there
    engine.load(state)
    assert np.array_equal(engine.logits(split.images), expected)


# --- the codes ---------------------------------------------------------------------------------


def test_the_codes_of_ten_classes_are_digits_of_7_by_12() -> None:
    drawn = codes(RBF(84, 10))
    assert drawn.shape == (10, 84)
    assert set(np.unique(drawn)) == {-1, 1}
    for code, picture in zip(drawn, DIGITS, strict=True):
        lines = picture.split()
        assert [len(line) for line in lines] == [WIDTH] * HEIGHT
        assert ["".join("#" if x > 0 else "." for x in row) for row in code.reshape(12, 7)] == lines
    apart = ((drawn[:, None] - drawn) ** 2).sum(2) / 4 + 84 * np.eye(10)
    assert apart.min() >= 10  # pixels in which two digits differ


@pytest.mark.parametrize(("units", "classes"), [(84, 26), (10, 10), (100, 2)])
def test_other_codes_are_random_and_all_different(units: int, classes: int) -> None:
    drawn = codes(RBF(units, classes))
    assert drawn.dtype == np.float32
    assert len(np.unique(drawn, axis=0)) == classes
    assert abs(drawn.mean()) < 0.25


# --- the loss ----------------------------------------------------------------------------------


def test_the_loss_is_equation_9_of_the_paper() -> None:
    network = zoo.lenet5()
    split = random_pictures(network, 5)
    j = 150.0
    engine = make("numpy", network, Optimizer(), Objective(rubbish_distance=j))
    engine.load(State(initialize(network, "lecun", 0)))
    distances = -engine.logits(split.images).astype(np.float64)
    assert (distances > 0).all()
    right = distances[np.arange(5), split.labels]
    wanted = (right + np.log(np.exp(-j) + np.exp(-distances).sum(1))).mean()
    found = engine.gradients(split.images, split.labels, Position(0, 0, 0)).metrics.loss
    assert found == pytest.approx(wanted, rel=1e-5)


# --- curvature ---------------------------------------------------------------------------------


def test_labels_are_drawn_with_the_networks_probabilities() -> None:
    logits = np.log(np.array([[0.2, 0.5, 0.3]], np.float32)).repeat(20_000, 0)
    drawn = draw_labels(logits, np.random.default_rng(0))
    assert np.bincount(drawn) / 20_000 == pytest.approx([0.2, 0.5, 0.3], abs=0.015)


@pytest.mark.slow
def test_the_curvature_is_the_diagonal_of_gauss_newton() -> None:
    # of softmax regression it is known: x² p (1 - p) for each weight, p (1 - p) for each bias
    network = network_of((1, 1, 2))
    random = np.random.default_rng(0)
    images: NDArray[np.uint8] = np.tile(
        random.integers(0, 256, (1, 1, 1, 2), np.uint8), (500, 1, 1, 1)
    )
    optimizer = Optimizer("sdlm")
    engine = make("numpy", network, optimizer, Objective())
    state = first_state(network, optimizer)
    engine.load(state)
    split = split_of(Pictures(images, np.zeros(500, np.int64)))
    mean = np.mean(
        [
            with_curvature(engine, split, Settings(optimizer=optimizer, seed=seed), 0).moments[
                "curvature"
            ]["1.weight"]
            for seed in range(8)
        ],
        axis=0,
    )
    logits = engine.logits(images[:1])[0]
    p = np.exp(logits) / np.exp(logits).sum()
    x = engine.activations(images[:1])[0].ravel()
    np.testing.assert_allclose(mean, np.outer(p * (1 - p), x * x), rtol=0.12)
    # a function of seed and epoch alone, and the weights stay
    again, other = (
        with_curvature(engine, split, Settings(optimizer=optimizer), epoch) for epoch in (0, 1)
    )
    assert again.parameters["1.bias"].tobytes() == engine.state().parameters["1.bias"].tobytes()
    assert (again.moments["curvature"]["1.bias"] != other.moments["curvature"]["1.bias"]).any()


def test_the_schedule_of_1998_has_its_20_rates() -> None:
    schedule = Schedule("listed", 0.0005, factors="1 x2, 0.4 x3, 0.2 x3, 0.1 x4, 0.02")
    rates = schedule.learning_rates(3, 20)[::3]
    wanted = [5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 4 + [1e-5] * 8
    np.testing.assert_allclose(rates, wanted)
