"""Plateau diagnosis: every constructed fault is named, no healthy run is, and nothing changes."""

import dataclasses
import math
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lenet import data, engines
from lenet.engines import Batches, Position
from lenet.engines.numpy import NumpyEngine, cross_entropy
from lenet.language.finding import MOST_WORDS, Finding, lines, told
from lenet.network import zoo
from lenet.network.architecture import Network
from lenet.network.layers import Dropout, Flatten, Layer, Linear, ReLU, Sigmoid, Tanh
from lenet.network.parameters import Parameters, State, initialize
from lenet.optimization import Objective, Optimizer, Schedule, Settings
from lenet.training import Callbacks, Checkpoint, Outcome, Parts, Reading, diagnosis, fit
from lenet.training.diagnosis import judge
from lenet.training.plateau import Plateau, find_plateau
from lenet.training.symptoms import (
    ActivationSymptoms,
    Symptoms,
    WeightSymptoms,
    measure_symptoms,
)

Edit = Callable[[str, NDArray[Any]], NDArray[Any]]


@pytest.fixture(scope="module")
def pictures(small: data.Dataset) -> data.Split:
    return data.subset(small.train, 2000, 0)


def dense(activation: Layer, hidden: int = 3, width: int = 16, classes: int = 10) -> Network:
    """784 - 16 - 16 - 16 - 10: as deep as LeNet, and fifty times as fast."""
    layers: list[Layer] = [Flatten(), Linear(784, width), activation]
    for _ in range(hidden - 1):
        layers += [Linear(width, width), activation]
    layers.append(Linear(width, classes))
    return Network("dense", (1, 28, 28), tuple(layers), zoo.class_names(classes))


def train(
    split: data.Split,
    network: Network,
    how: Settings,
    scheme: str = "xavier",
    edit: Edit | None = None,
) -> tuple[list[str], Outcome]:
    """The remarks of a training, and its outcome."""
    parameters: Parameters = initialize(network, scheme, how.seed)
    if edit is not None:
        parameters = {name: edit(name, values) for name, values in parameters.items()}
    choice = engines.choose("auto", network, "cpu")
    engine = engines.make(choice, network, how.optimizer, how.objective, threads=1)
    remarks: list[str] = []
    start = Checkpoint(State(parameters))
    outcome = fit(
        engine, Parts(split, None, None), how, start, [Callbacks(on_remark=remarks.append)]
    )
    return remarks, outcome


def recipe(
    learning_rate: float,
    method: str = "sgd",
    epochs: int = 2,
    batch_size: int = 32,
    seed: int = 1,
    **optimizer: float,
) -> Settings:
    """63 steps an epoch on the 2,000 pictures."""
    return Settings(
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        optimizer=Optimizer(method, **optimizer),  # type: ignore[arg-type]
        schedule=Schedule(learning_rate=learning_rate),
    )


def thirty_times(name: str, values: NDArray[Any]) -> NDArray[Any]:
    return values * np.float32(30) if name.endswith("weight") else values


def bias_of(bias: float) -> Edit:
    return lambda name, values: values + np.float32(bias) if name.endswith("bias") else values


# --- a fault of each kind, trained on real pictures --------------------------------------------


def test_weights_thirty_times_too_large_saturate(pictures: data.Split) -> None:
    remarks, _ = train(pictures, zoo.lenet(), recipe(0.9), edit=thirty_times)
    (text,) = remarks
    assert "loss has stayed at 1" in text
    assert ", above ln 10 (2.303), for 2 epochs; 100% of the Sigmoid outputs of layer 10" in text
    assert "are saturated (slope under 4% of its peak), as in layers 4 and 8. Why: " in text
    assert "30 times as large as Xavier's. Try: smaller first weights (initialization" in text


def test_tutorial_003_is_stuck_since_its_first_steps_saturate_the_sigmoids(
    pictures: data.Split,
) -> None:
    how = recipe(0.01, "adamw", seed=2, weight_decay=0.01)
    (text,), _ = train(pictures, zoo.lenet(), how, scheme="torch")
    assert text.startswith("Seen: the loss has stayed at 2.30")
    assert "≈ ln 10 for 2 epochs" in text
    assert "of the Sigmoid outputs of layer" in text
    assert "126 steps of AdamW moved the weights of layer" in text
    assert "Try: a tenth of the learning rate (0.001). It can also end by itself" in text


def test_saturated_tanh(pictures: data.Split) -> None:
    network = dense(Tanh())
    (text,), _ = train(pictures, network, recipe(0.001), edit=bias_of(30))
    assert "100% of the Tanh outputs of layer 2 (F1) are saturated" in text
    assert "as in layers 4 and 6" in text


def test_dead_from_the_start(pictures: data.Split) -> None:
    (text,), _ = train(pictures, zoo.lenet_relu(), recipe(0.1), edit=bias_of(-10))
    assert "≈ ln 10 for 2 epochs; 100% of the ReLU maps of layer 1 (C1) are 0 for every" in text
    assert "as in 3 other layers. Why: such maps pass no gradient; " in text
    assert "moved the weights of layer 0 (C1) by only 0% of their size" in text
    assert "initialization he" in text


def test_dead_by_steps_that_were_too_large(pictures: data.Split) -> None:
    (text,), _ = train(pictures, zoo.lenet_relu(), recipe(5))
    assert "are 0 for every picture" in text
    assert "126 steps of SGD moved the weights of layer" in text
    assert "Try: a learning rate of 0.1 in place of 5" in text


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_too_small_steps(pictures: data.Split, momentum: float) -> None:
    (text,), _ = train(pictures, zoo.mlp(), recipe(1e-6, momentum=momentum))
    assert "the steps are too small: 126 of them moved the weights of most layers by 0.0" in text
    assert "% of their size or less (a tenth would take" in text
    assert "in place of 1e-06" in text


def test_too_small_steps_of_adam(pictures: data.Split) -> None:
    (text,), _ = train(pictures, zoo.mlp(), recipe(1e-7, "adam"))
    assert "the steps are too small" in text
    assert text.endswith("Try: a learning rate of 0.0005 in place of 1e-07.")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "rate", "better"),
    [("sgd", 30, "learning rate of 0.9 in"), ("adam", 3, "learning rate of 0.001 in")],
)
def test_too_large_steps(pictures: data.Split, method: str, rate: float, better: str) -> None:
    (text,), _ = train(pictures, zoo.lenet(), recipe(rate, method))
    assert ", above ln 10 (2.303), for 2 epochs" in text
    assert "Why: the steps are too large: 126 steps of" in text
    assert "times their first size" in text
    assert better in text


def test_a_slow_start(small: data.Dataset) -> None:
    how = recipe(0.1, epochs=16, batch_size=256)
    (text,), _ = train(small.train, dense(Sigmoid()), how, scheme="torch")
    assert "≈ ln 10 for 16 epochs, and the outputs hardly depend on the picture" in text
    assert "nothing is saturated, but from layer 2 to layer 6 the differences between" in text
    assert "Try: some more epochs (it often ends by itself); or initialization" in text
    assert "(the first weights had 53% of its size); or a learning rate of 0.9; or" in text


# --- healthy runs ------------------------------------------------------------------------------


HEALTHY = {
    "d2l's natural start": (zoo.lenet(), recipe(0.9, epochs=6, batch_size=64)),
    "relu": (zoo.lenet_relu(), recipe(0.1, epochs=3)),
    "relu adamw": (zoo.lenet_relu(), recipe(0.001, "adamw", weight_decay=0.01)),
    "mlp": (zoo.mlp(), recipe(0.1, epochs=3)),
    "tanh": (dense(Tanh()), recipe(0.1, epochs=3)),
    "deep sigmoids": (dense(Sigmoid()), recipe(0.9, epochs=8)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_is_left_alone(pictures: data.Split, name: str) -> None:
    network, how = HEALTHY[name]
    remarks, outcome = train(pictures, network, how)
    assert remarks == []
    if "natural" in name:  # the plateau was there, and long enough to be looked at
        assert outcome.history[-1].train_loss > 2.29


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_natural_start_on_small_data_is_left_alone(small: data.Dataset, seed: int) -> None:
    how = recipe(0.9, epochs=18, batch_size=256, seed=seed)
    remarks, outcome = train(small.train, zoo.lenet(), how)
    assert remarks == []
    assert outcome.history[-1].train_acc > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_d2l_recipe_is_left_alone(full_data: None, seed: int) -> None:
    split = data.load("fashion-mnist").train
    remarks, outcome = train(split, zoo.lenet(), recipe(0.9, epochs=2, batch_size=256, seed=seed))
    assert remarks == []
    assert outcome.history[-1].train_acc > 0.2  # over the whole second epoch


@pytest.mark.slow
def test_tutorial_003_itself_is_explained_after_two_epochs(full_data: None) -> None:
    how = recipe(0.01, "adamw", batch_size=512, seed=7, weight_decay=0.01)
    (text,), outcome = train(data.load("mnist").train, zoo.lenet(), how, scheme="torch")
    assert outcome.history[-1].train_acc < 0.12
    assert "for 2 epochs; 100% of the Sigmoid outputs of layer 4 (C3) are saturated" in text


# --- it only looks -----------------------------------------------------------------------------


def test_training_is_the_same_bit_for_bit_without_it(
    pictures: data.Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = recipe(0.01, "adamw", seed=2, epochs=3, average=0.9)
    layers = (Flatten(), Linear(784, 16), Sigmoid(), Dropout(0.5), Linear(16, 10))
    network = Network("dropout", (1, 28, 28), layers, zoo.class_names(10))
    remarks, looked = train(pictures, network, how, edit=bias_of(30))
    assert remarks
    monkeypatch.setattr(diagnosis, "diagnose", lambda *_: None)
    _, not_looked = train(pictures, network, how, edit=bias_of(30))
    assert_same(looked.checkpoint.state, not_looked.checkpoint.state)
    assert [row.train_loss for row in looked.history] == [
        row.train_loss for row in not_looked.history
    ]


def assert_same(a: State, b: State) -> None:
    assert a.step == b.step
    assert a.moments.keys() == b.moments.keys()
    groups = [(a.parameters, b.parameters), (a.average or {}, b.average or {})]
    groups += [(a.moments[name], b.moments[name]) for name in a.moments]
    for one, other in groups:
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def measured(
    split: data.Split, network: Network, how: Settings, edit: Edit | None = None
) -> tuple[Symptoms, NumpyEngine]:
    """The symptoms of a network that was never trained."""
    parameters = initialize(network, "xavier", 0)
    if edit is not None:
        parameters = {name: edit(name, values) for name, values in parameters.items()}
    engine = NumpyEngine(network, how.optimizer, how.objective, threads=1)
    engine.load(State(parameters))
    symptoms = measure_symptoms(
        engine, split, how, np.full(9, 0.1), [row(1.0, 9, 2000)], State(parameters), plateau()
    )
    return symptoms, engine


def test_measuring_leaves_the_engine_as_it_was_and_gives_the_same_again(
    pictures: data.Split,
) -> None:
    layers = (Flatten(), Linear(784, 9), ReLU(), Dropout(0.5), Linear(9, 10))
    network = Network("dropout", (1, 28, 28), layers, zoo.class_names(10))
    how = recipe(0.1, "adam", average=0.9)
    first, engine = measured(pictures, network, how)
    before = engine.state()
    again = measure_symptoms(
        engine, pictures, how, np.full(9, 0.1), [row(1.0, 9, 2000)], before, plateau()
    )
    assert again == first
    assert_same(engine.state(), before)


def test_it_takes_less_than_an_epoch_of_as_many_pictures(pictures: data.Split) -> None:
    """A quarter of it, measured in this process's own time, whatever else the machine does."""
    order, rates = np.arange(len(pictures)), np.full(63, 0.1)
    epoch = Batches(order, 32, rates, None, Position(0, 0, 0))
    started = time.process_time()
    _, engine = measured(pictures, zoo.lenet(), recipe(0.9))
    measuring = time.process_time() - started
    engine.train(pictures, epoch)
    assert measuring < time.process_time() - started - measuring


def test_a_remark_is_repeated_after_five_epochs(small: data.Dataset) -> None:
    split = data.subset(small.train, 200, 0)
    how = recipe(0.1, epochs=9, batch_size=4)
    remarks, _ = train(split, dense(ReLU()), how, edit=bias_of(-100))
    assert ["for 2 epochs" in text or "for 7 epochs" in text for text in remarks] == [True, True]


# --- what is measured --------------------------------------------------------------------------


def test_symptoms_of_dead_and_saturated_layers(pictures: data.Split) -> None:
    layers = (Flatten(), Linear(784, 8), ReLU(), Linear(8, 8), Sigmoid(), Linear(8, 10))
    network = Network("both", (1, 28, 28), layers, zoo.class_names(10))

    def half_dead(name: str, values: NDArray[Any]) -> NDArray[Any]:
        if name == "1.bias":
            return np.repeat(np.array([-100, 100], np.float32), 4)
        return np.full_like(values, -9) if name == "3.bias" else values

    symptoms, _ = measured(pictures, network, recipe(0.1), half_dead)
    relu, sigmoid = symptoms.activations
    assert (relu.index, relu.kind, relu.stage) == (2, "ReLU", "F1")
    assert (relu.dead, relu.saturated) == (0.5, 0)
    assert (sigmoid.index, sigmoid.kind, sigmoid.stage) == (4, "Sigmoid", "F2")
    assert sigmoid.dead == 0
    assert [layer.index for layer in symptoms.weights] == [1, 3, 5]
    assert [layer.moved for layer in symptoms.weights] == [0, 0, 0]
    assert [layer.first_size for layer in symptoms.weights] == pytest.approx([1, 1, 1], rel=0.2)


@pytest.mark.parametrize(
    "optimizer",
    [
        Optimizer("sgd"),
        Optimizer("sgd", momentum=0.9, nesterov=True),
        Optimizer("adam"),
        Optimizer("adamw", weight_decay=0.01),
    ],
    ids=["sgd", "momentum", "adam", "adamw"],
)
def test_the_relative_step_is_that_of_the_next_step(
    pictures: data.Split, optimizer: Optimizer
) -> None:
    network = dense(Tanh())
    how = Settings(batch_size=64, optimizer=optimizer, schedule=Schedule(learning_rate=0.1))
    engine = NumpyEngine(network, optimizer, Objective(), threads=1)
    start = State(initialize(network, "xavier", 0))
    engine.load(start)
    split = data.Split(pictures.images[:256], pictures.labels[:256], pictures.classes, "256")
    position = Position(0, 0, 0)
    engine.apply(engine.gradients(split.images[:64], split.labels[:64], position), 0.1)
    symptoms = measure_symptoms(
        engine, split, how, np.full(4, 0.1), [row(1.0, 4, 256)], start, plateau()
    )
    before = engine.state().parameters
    engine.apply(engine.gradients(split.images, split.labels, position), 0.1)
    after = engine.state().parameters
    for layer in symptoms.weights:
        name = f"{layer.index}.weight"
        step = np.linalg.norm(after[name] - before[name]) / np.linalg.norm(before[name])
        assert layer.relative_step == pytest.approx(float(step), rel=1e-3)
        way = np.linalg.norm(before[name] - start.parameters[name])
        moved = way / np.linalg.norm(start.parameters[name])
        assert layer.moved == pytest.approx(float(moved), rel=1e-3)


# --- what is a plateau -------------------------------------------------------------------------


def row(epoch: float, step: int, seen: int, loss: float = 2.303, accuracy: float = 0.1) -> Reading:
    return Reading(epoch, step, seen, loss, accuracy, None, None, None, None, 0.0, 0.0)


def balanced(classes: int, count: int = 1000) -> NDArray[np.int64]:
    return np.arange(count, dtype=np.int64) % classes


HUNDRED = Settings(batch_size=100)


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_a_plateau_lies_at_the_logarithm_of_the_classes(classes: int) -> None:
    labels, loss = balanced(classes), math.log(classes)
    history = [row(1, 10, 1000, loss, 1 / classes), row(2, 20, 2000, loss, 1 / classes)]
    found = find_plateau(history, labels, classes, HUNDRED)
    assert found is not None
    assert found.ignorant_loss == pytest.approx(loss)
    assert (found.epochs, found.steps, found.pictures) == (2, 20, 2000)
    lower = [*history, row(3, 30, 3000, 0.97 * loss, 1 / classes)]
    assert find_plateau(lower, labels, classes, HUNDRED) is None


def test_readings_within_an_epoch_are_means_since_it_began() -> None:
    # 500 pictures with 2.0, then 500 with 2.6: at the end nothing is learnt
    history = [row(0.5, 5, 500, 2.0, 0.5), row(1, 10, 1000, 2.3, 0.3), row(2, 20, 2000)]
    found = find_plateau(history, balanced(10), 10, HUNDRED)
    assert found is not None
    assert (found.epochs, found.steps) == (1.5, 15)
    # a run that goes on in the middle of its fifth epoch: that reading is since the epoch began
    resumed = [row(4.6, 46, 4600), row(5, 50, 5000)]
    found = find_plateau(resumed, balanced(10), 10, HUNDRED)
    assert found is not None
    assert (found.epochs, found.steps) == (1, 10)


def test_classes_of_different_frequencies_have_a_lower_plateau() -> None:
    labels = np.repeat(np.array([0, 1]), [900, 100])
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    found = find_plateau([row(1, 10, 1000, entropy, 0.9)], labels, 2, HUNDRED)
    assert found is not None
    assert found.ignorant_loss == pytest.approx(entropy)
    assert find_plateau([row(1, 10, 1000, 0.2, 0.93)], labels, 2, HUNDRED) is None
    diagnosed = judge(symptoms_of(dataclasses.replace(found, steps=1000), moved=0.0))
    assert diagnosed is not None
    assert "≈ a guess by class frequency for" in diagnosed.text


def test_label_smoothing_raises_the_plateau_where_classes_differ() -> None:
    labels = np.repeat(np.array([0, 1]), [900, 100])
    smooth = dataclasses.replace(HUNDRED, objective=Objective(label_smoothing=0.2))
    found = find_plateau([row(1, 10, 1000, 0.6, 0.9)], labels, 2, smooth)
    assert found is not None
    assert found.ignorant_loss == pytest.approx(
        -(0.82 * math.log(0.82) + 0.18 * math.log(0.18)), rel=1e-6
    )


def test_weights_that_balance_classes_raise_the_plateau_to_that_of_equal_ones() -> None:
    labels = np.repeat(np.array([0, 1]), [900, 100])
    for changes in (
        {"objective": Objective(class_weights="1, 9")},
        {"objective": Objective(0.2, class_weights="1, 1"), "sampling": "balanced"},
        {"sampling": "balanced"},
    ):
        even = dataclasses.replace(HUNDRED, **changes)
        history = [row(1, 10, 1000, 0.69, 0.6)]
        found = find_plateau(history, labels, 2, even)
        assert found is not None
        assert found.ignorant_loss == pytest.approx(math.log(2))
    found = find_plateau(history, labels, 2, HUNDRED, np.repeat(np.float32([1, 9]), [900, 100]))
    assert found is not None
    assert found.ignorant_loss == pytest.approx(math.log(2))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_plateau_of_weighted_classes_is_the_best_of_constant_outputs(smoothing: float) -> None:
    labels, weights = np.repeat(np.array([0, 1, 2]), [50, 30, 20]), [1.0, 2.0, 5.0]
    weighted = dataclasses.replace(HUNDRED, objective=Objective(smoothing, weights))
    found = find_plateau([row(1, 10, 1000, 2.0, 0.1)], labels, 3, weighted)
    assert found is not None
    outputs = np.zeros((3, 1))
    for _ in range(3000):  # gradient descent on three numbers, which are what every picture gets
        same = np.repeat(outputs, 100, axis=1)
        losses, gradient = cross_entropy(same, labels, smoothing, weights)
        outputs -= 0.01 * gradient.mean(1, keepdims=True)
    mean = losses.sum() / np.asarray(weights)[labels].sum()
    assert found.ignorant_loss == pytest.approx(mean, rel=1e-6)


def test_a_loss_after_a_huge_one_is_lost_in_rounding_and_proves_nothing() -> None:
    # 1e21 for one batch, 2.3 for nine: the sums no longer know of the 2.3
    history = [row(0.1, 1, 100, 1e21), row(1, 10, 1000, 0.999999999999999e20), row(2, 20, 2000)]
    found = find_plateau(history, balanced(10), 10, HUNDRED)
    assert found is not None
    assert found.epochs == 2


def test_no_history_no_plateau() -> None:
    assert find_plateau([], balanced(10), 10, HUNDRED) is None


@given(
    classes=st.integers(2, 100),
    losses=st.lists(st.floats(0, 50), min_size=1, max_size=8),
    above=st.floats(0, 1),
)
@settings(max_examples=50, deadline=None)
def test_no_alarm_where_the_accuracy_is_clearly_above_chance(
    classes: int, losses: list[float], above: float
) -> None:
    chance = 1 / classes
    clear = chance + chance * (1 - chance) + 0.02
    accuracy = clear + above * (1 - clear)
    history = [
        row(i + 1, 2000 * (i + 1), 200_000 * (i + 1), loss, accuracy)
        for i, loss in enumerate(losses)
    ]
    assert find_plateau(history, balanced(classes, 200_000), classes, HUNDRED) is None


# --- what is judged ----------------------------------------------------------------------------


def plateau(
    loss: float = 2.303, classes: int = 10, epochs: float = 3.0, steps: int = 354
) -> Plateau:
    return Plateau(loss, math.log(classes), classes, epochs, steps, pictures=steps * 512)


def symptoms_of(where: Plateau | None, *, kind: str = "Sigmoid", **changes: float) -> Symptoms:
    """One hidden layer of a healthy network on a plateau, but for ``changes``."""
    assert where is not None
    of_activation = {"saturated": 0.0, "dead": 0.0, "deviation": 0.03}
    of_weights = {"gradient": 1e-3, "relative_step": 1e-3, "moved": 0.2, "first_size": 1.0}
    of_all = {"learning_rate": 0.9, "output_deviation": 0.001, "momentum": 0.0}
    assert changes.keys() <= {*of_activation, *of_weights, *of_all}

    def pick(values: dict[str, float]) -> dict[str, float]:
        return {name: changes.get(name, value) for name, value in values.items()}

    weights = WeightSymptoms(0, "Conv2d", "C1", **pick(of_weights))
    return Symptoms(
        plateau=where,
        method="sgd",
        batch_size=256,
        steps=where.steps,
        activations=(ActivationSymptoms(1, kind, "C1", **pick(of_activation)),),
        weights=(weights, dataclasses.replace(weights, index=4, kind="Linear", stage="F2")),
        **pick(of_all),
    )


VERBATIM = {
    "saturated": (
        symptoms_of(plateau(), saturated=0.97, moved=0.1, gradient=0.0),
        "the loss has stayed at 2.303 ≈ ln 10 for 3 epochs; 97% of the Sigmoid outputs of layer 1 "
        "(C1) are saturated (slope under 4% of its peak)",
        "no gradient reaches layer 0 through a flat Sigmoid; 354 steps moved the weights of layer "
        "0 (C1) by only 10% of their size",
        "other first weights (initialization xavier); or a tenth of the learning rate (0.09)",
    ),
    "dead": (
        symptoms_of(plateau(classes=100, loss=4.61), kind="ReLU", dead=0.996, moved=3.0),
        "the loss has stayed at 4.610 ≈ ln 100 for 3 epochs; over 99% of the ReLU maps of layer 1 "
        "(C1) are 0 for every picture",
        "such maps pass no gradient; 354 steps of SGD moved the weights of layer 0 (C1) by 3.0 "
        "times their first size",
        "a tenth of the learning rate (0.09)",
    ),
    "too-small-step": (
        symptoms_of(plateau(), learning_rate=1e-6, moved=4e-6, relative_step=1e-8),
        "the loss has stayed at 2.303 ≈ ln 10 for 3 epochs",
        "the steps are too small: 354 of them moved the weights of most layers by 0.00040% of "
        "their size or less (a tenth would take 75,000 epochs)",
        "a learning rate of 0.3 in place of 1e-06",
    ),
    "too-large-step": (
        symptoms_of(plateau(classes=2, loss=21.3), moved=71.6, learning_rate=30),
        "the loss has stayed at 21, above ln 2 (0.693), for 3 epochs",
        "the steps are too large: 354 steps of SGD moved the weights of layer 0 (C1) by 72 times "
        "their first size",
        "a learning rate of 0.9 in place of 30",
    ),
    "slow-start": (
        symptoms_of(plateau(steps=705, epochs=6), first_size=0.5),
        "the loss has stayed at 2.303 ≈ ln 10 for 6 epochs, and the outputs hardly depend on the "
        "picture: they differ by 0.0010 from one to the next",
        "a slow start: nothing is saturated",
        "some more epochs (it often ends by itself); or initialization xavier (the first "
        "weights had 50% of its size); or AdamW at 0.001; or Tanh or ReLU in place of Sigmoid",
    ),
}


@pytest.mark.parametrize("cause", VERBATIM)
def test_what_is_said_of_each_cause(cause: str) -> None:
    symptoms, seen, why, to_try = VERBATIM[cause]
    found = judge(symptoms)
    assert found is not None
    assert (found.cause, found.finding) == (cause, Finding(seen, why, to_try))
    assert found.text == f"Seen: {seen}. Why: {why}. Try: {to_try}."


PART = st.sampled_from([0.0, 0.004, 0.3, 0.95, 0.997])
SIZE = st.sampled_from([0.0, 1e-9, 0.003, 0.3, 1.0, 9.0, 4.2e8])


@st.composite
def any_symptoms(draw: st.DrawFn) -> Symptoms:
    """Up to five hidden layers, at their worst or not."""
    classes = draw(st.sampled_from([2, 100]))
    guess = math.log(classes) * draw(st.sampled_from([0.4, 1.0]))
    loss = guess * draw(st.sampled_from([1.0, 30.0]))
    epochs, kind = draw(st.sampled_from([0.9, 12.0])), draw(st.sampled_from(["Sigmoid", "ReLU"]))
    layers = draw(st.integers(1, 5))
    return Symptoms(
        plateau=Plateau(loss, guess, classes, epochs, 234_567, 10**8),
        method=draw(st.sampled_from(["sgd", "adamw"])),
        batch_size=draw(st.sampled_from([64, 256])),
        steps=234_567,
        activations=tuple(
            ActivationSymptoms(3 * n + 1, kind, f"C{n}", draw(PART), draw(PART), draw(SIZE))
            for n in range(layers)
        ),
        weights=tuple(
            WeightSymptoms(3 * n, "Conv2d", f"C{n}", draw(SIZE), draw(SIZE), draw(SIZE), draw(SIZE))
            for n in range(layers)
        ),
        learning_rate=draw(st.sampled_from([1e-6, 0.9, 30.0])),
        output_deviation=draw(st.sampled_from([0.001, 0.2])),
        momentum=0.9,
    )


NAMES = {"Sigmoid", "ReLU", "Tanh", "SGD", "AdamW", "Conv2d", "C", "F", "Xavier", "ln", "e"}
SETTINGS = {"initialization", "xavier", "he"}


@pytest.mark.slow
@given(symptoms=any_symptoms())
@settings(max_examples=300, deadline=None)
def test_no_part_is_longer_than_forty_words_and_each_is_said_in_chinese(symptoms: Symptoms) -> None:
    found = judge(symptoms)
    if found is None:
        return
    for part in dataclasses.astuple(found.finding):
        assert 0 < len(part.split()) <= MOST_WORDS, part
    english = lines(found.text)
    assert [line.partition(": ")[0] for line in english] == ["Seen", "Why", "Try"]
    seen, why, to_try = told(found.text, "zh", "utf-8").splitlines()
    assert (seen[:3], why[:3], to_try[:3]) == ("现象：", "原因：", "建议：")
    for line in (seen, why, to_try):
        assert set(re.findall("[A-Za-z]+(?:2d)?", line)) <= NAMES | SETTINGS, line
        assert len(re.findall("[\u4e00-\u9fff]", line)) <= 2 * MOST_WORDS


@pytest.mark.parametrize(
    "symptoms",
    [
        symptoms_of(plateau()),  # a slow start that is not yet slow
        symptoms_of(plateau(steps=2000, epochs=9), output_deviation=0.02),  # about to end
        symptoms_of(plateau(), saturated=0.97, output_deviation=0.5),  # the pictures get through
        symptoms_of(plateau(epochs=1.0), dead=1.0, kind="ReLU"),  # one epoch alone
        symptoms_of(plateau(steps=40, epochs=10), dead=1.0, kind="ReLU"),  # of four steps each
        symptoms_of(plateau(loss=2.4), moved=0.3),  # high as yet, but nothing is thrown about
    ],
)
def test_no_judgement_without_evidence_or_time(symptoms: Symptoms) -> None:
    assert judge(symptoms) is None


def test_one_long_epoch_is_enough() -> None:
    found = judge(symptoms_of(plateau(steps=1875, epochs=1.0), dead=1.0, kind="ReLU"))
    assert found is not None
    assert "≈ ln 10 for 1,875 steps; 100% of the ReLU maps" in found.text


def test_a_network_without_hidden_layers_can_have_the_wrong_step_alone() -> None:
    bare = dataclasses.replace(symptoms_of(plateau(steps=2000, epochs=9)), activations=())
    assert judge(bare) is None
    still = [dataclasses.replace(layer, moved=0.0) for layer in bare.weights]
    found = judge(dataclasses.replace(bare, weights=tuple(still)))
    assert found is not None
    assert found.cause == "too-small-step"
    assert "of them moved the weights of most layers by nothing. Try" in found.text


def test_momentum_and_relu_lower_the_rate_to_try() -> None:
    thrown = symptoms_of(plateau(loss=9.0), moved=50.0, learning_rate=5, momentum=0.9)
    found = judge(thrown)
    assert found is not None
    assert "Try: a learning rate of 0.09 in place of 5" in found.text
    found = judge(symptoms_of(plateau(loss=9.0), kind="ReLU", moved=50.0, learning_rate=5))
    assert found is not None
    assert "Try: a learning rate of 0.1 in place of 5" in found.text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.000344, "0.00034"),
        (2.06, "2.1"),
        (9.96, "10"),
        (41_234, "41,000"),
        (7e21, "7e+21"),
    ],
)
def test_figures_have_two_digits(value: float, text: str) -> None:
    assert diagnosis._figure(value) == text
