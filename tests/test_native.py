"""The native engine: what only it promises. That it computes what others do: test_engines.py."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from inspect import getsource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import engine_cases
from activations import COMPUTED
from engine_cases import (
    CROSS_ENTROPY,
    SGD,
    Pictures,
    batches,
    network_of,
    random_pictures,
)
from lenet import engines
from lenet.engines import Batches, EngineError, Position
from lenet.engines.protocol import normalization_table
from lenet.machine import available_cpus
from lenet.network import zoo
from lenet.network.architecture import Network, trace_layers
from lenet.network.layers import (
    GELU,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Sigmoid,
)
from lenet.network.parameters import State, initialize
from lenet.optimization import Objective, Optimizer

if importlib.util.find_spec("lenet._native") is None:
    pytest.skip("the native engine was not built", allow_module_level=True)

from lenet import _native
from lenet.engines.native import NativeEngine
from lenet.engines.numpy import NumpyEngine, activate, slope

FLOAT32 = 1e-5  # room for sums that nearly cancel, and for sets that fuse no multiply-adds
INSTRUCTION_SETS = _native.instruction_sets()
every_set = pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
fast_sets = [name for name in INSTRUCTION_SETS if name != "plain"]


def make(
    network: Network,
    optimizer: Optimizer = SGD,
    objective: Objective = CROSS_ENTROPY,
    **options: Any,
) -> NativeEngine:
    engine = NativeEngine(network, optimizer, objective, **options)
    engine.load(State(initialize(network, "torch", seed=0)))
    return engine


def assert_close(actual: Any, expected: Any, what: str = "") -> None:
    engine_cases.assert_close(actual, expected, FLOAT32, what)


# --- functions of one number -------------------------------------------------------------------

EXACT: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "exp": np.exp,
    **{name: partial(activate, layer) for name, layer in COMPUTED.items()},
}


def apply(
    instruction_set: str, function: str, x: NDArray[np.float32], *, slope: bool = False
) -> NDArray[np.float32]:
    y = np.empty_like(x)
    arguments = dataclasses.astuple(COMPUTED[function]) if function in COMPUTED else ()
    parameter = arguments[0] if arguments else 0.0
    _native.apply_function(instruction_set, function, parameter, slope, x, y)
    return y


def in_ulps(y: NDArray[np.float32], exact: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far y lies from the exact value rounded to float32, in units of its last place."""
    rounded = exact.astype(np.float32)
    return np.abs(y.astype(np.float64) - rounded) / np.spacing(np.abs(rounded), dtype=np.float32)


@pytest.mark.slow
@every_set
@pytest.mark.parametrize("function", EXACT)
def test_functions_are_within_a_few_units_in_the_last_place(
    instruction_set: str, function: str
) -> None:
    # every 1,009th of all floats of either sign, subnormal ones too, and densely where it bends
    bits = np.arange(0, 0x7F800000, 1009, dtype=np.uint32)
    x = np.concatenate([bits, bits | np.uint32(1 << 31)]).view(np.float32)
    x = np.concatenate([x, np.linspace(-110, 110, 400_001, dtype=np.float32)])
    with np.errstate(over="ignore", under="ignore"):
        exact = EXACT[function](x.astype(np.float64))
        y = apply(instruction_set, function, x)
        finite = np.isfinite(exact.astype(np.float32))
        assert np.array_equal(y[~finite], exact[~finite].astype(np.float32))
        units = in_ulps(y[finite], exact[finite])
        # GELU and SiLU multiply by x what may be rounded to a subnormal number already
        size = np.maximum(np.abs(x[finite].astype(np.float64)), 1)
        subnormal = np.abs(exact[finite]) < np.finfo(np.float32).tiny * size
        most = {"GELU": 8}.get(function, 4)
        assert units[~subnormal].max() <= most
        assert (units[subnormal] <= most + size[subnormal]).all()


@every_set
@pytest.mark.parametrize("function", COMPUTED)
def test_slopes_are_exact_to_rounding(instruction_set: str, function: str) -> None:
    x = np.linspace(-40, 40, 400_001, dtype=np.float32)
    layer, wide = COMPUTED[function], x.astype(np.float64)
    exact = slope(layer, wide, activate(layer, wide))
    assert np.abs(apply(instruction_set, function, x, slope=True) - exact).max() < 4e-7


@every_set
def test_functions_of_nan_and_infinity_are_ieees(instruction_set: str) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32)
    for function, expected in {
        "exp": [np.nan, np.inf, 0, 1, 1],
        "Sigmoid": [np.nan, 1, 0, 0.5, 0.5],
        "Tanh": [np.nan, 1, -1, 0, 0],
        "ReLU": [np.nan, np.inf, 0, 0, 0],
        "LeakyReLU": [np.nan, np.inf, -np.inf, 0, 0],
        "GELU": [np.nan, np.inf, np.nan, 0, 0],
        "SiLU": [np.nan, np.inf, np.nan, 0, 0],
    }.items():
        np.testing.assert_array_equal(apply(instruction_set, function, x), expected, function)


# --- instruction sets, against plain loops -----------------------------------------------------


def assert_same_numbers(network: Network, n: int, **options: Any) -> None:
    """Outputs and gradients of an instruction set are those of the plain loops and of NumPy."""
    split, at = random_pictures(network, n), Position(5, 1, 40)
    one, plain = make(network, **options), make(network, instruction_set="plain")
    exact = NumpyEngine(network, Optimizer(), Objective(), dtype=np.float64)
    exact.load(one.state())
    outputs, expected = one.activations(split.images), exact.activations(split.images)
    for layer, (mine, its) in enumerate(zip(outputs, expected, strict=True)):
        assert_close(mine, its, f"output of layer {layer}")
    assert_close(one.logits(split.images), expected[-1], "logits")
    assert_close(one.logits(split.images[:1]), expected[-1][:1], "logits of one picture")
    # all together: where the terms of a sum cancel, what is left of it is mostly rounding
    mine, its, theirs = (
        engine.gradients(split.images, split.labels, at).flat for engine in (one, plain, exact)
    )
    assert_close(mine, its, "gradients against plain loops")
    assert_close(mine, theirs, "gradients against NumPy")
    few = split.images[:3], split.labels[:3], at  # these go through the network one by one
    mine, theirs = (engine.gradients(*few).flat for engine in (one, exact))
    assert_close(mine, theirs, "gradients of a few pictures")


@every_set
@pytest.mark.parametrize("name", ["lenet", "lenet-max", "lenet-relu", "mlp", "linear"])
def test_every_instruction_set_computes_the_zoo(instruction_set: str, name: str) -> None:
    assert_same_numbers(zoo.build(name), 37, instruction_set=instruction_set)


@every_set
def test_a_padded_max_pool_may_come_first(instruction_set: str) -> None:
    layers = (MaxPool2d(3, 2, padding=1), Sigmoid(), Conv2d(5, 6, 3))
    assert_same_numbers(network_of((5, 12, 11), *layers), 9, instruction_set=instruction_set)


@every_set
def test_a_maximum_sees_nothing_beyond_the_edge(instruction_set: str) -> None:
    """The largest of negative numbers at the edge is negative: around them is no zero."""
    network = network_of((1, 9, 9), Conv2d(1, 5, 3), MaxPool2d(2, 1, 1))
    assert_same_numbers(network, 5, instruction_set=instruction_set)


@every_set
@pytest.mark.parametrize("activation", [ReLU(), Sigmoid()])
def test_a_maximum_hands_on_nan_and_infinity(instruction_set: str, activation: Layer) -> None:
    """Where only the maxima are activated, and where nobody asks who won, as layer by layer."""
    layers = (Conv2d(1, 2, 2), activation, MaxPool2d(2), Flatten())
    network = Network("test", (1, 9, 9), layers, tuple(f"{i}" for i in range(32)))
    engine = make(network, instruction_set=instruction_set)
    weights = np.array([np.inf, 1, 1, 1, 3e38, -3e38, 1e38, 0.5], np.float32).reshape(2, 1, 2, 2)
    engine.set_parameters({"0.weight": weights, "0.bias": np.zeros(2, np.float32)})
    random = np.random.default_rng(0)
    images = random.choice(np.array([0, 255], np.uint8), (40, 1, 9, 9), p=[0.2, 0.8])
    expected = engine.activations(images)[-1]
    assert {*np.isnan(expected[:, :16]).ravel()} == {False, True}
    np.testing.assert_array_equal(engine.logits(images), expected)
    inputs = normalization_table(network).astype(np.float32)[0][images]
    np.testing.assert_array_equal(engine.forward(inputs), expected)


@st.composite
def convolutions(draw: st.DrawFn) -> Network:
    """Two convolutions, so that gradients of weights and of inputs are both needed, and pooling."""
    kernels = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    paddings = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    channels = draw(st.tuples(st.integers(1, 4), st.integers(1, 19), st.integers(1, 13)))
    shape = (channels[0], draw(st.integers(7, 20)), draw(st.integers(7, 20)))
    first = Conv2d(channels[0], channels[1], kernels[0], strides[0], paddings[0])
    layers: list[Layer] = [first, draw(st.sampled_from([Sigmoid(), Dropout(0.4)]))]
    _, height, width = trace_layers(shape, tuple(layers))[-1].output_shape
    room = min(height, width) + 2 * paddings[1]
    layers.append(Conv2d(*channels[1:], min(kernels[1], room), strides[1], paddings[1]))
    _, height, width = trace_layers(shape, tuple(layers))[-1].output_shape
    pool = draw(st.sampled_from([AvgPool2d, MaxPool2d]))
    size = min(draw(st.integers(1, 4)), height, width)
    layers.append(pool(size, draw(st.integers(1, 4)), draw(st.integers(0, size // 2))))
    return network_of(shape, *layers)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(convolutions(), st.integers(1, 40), st.sampled_from(fast_sets))
def test_kernels_of_any_size_stride_and_padding(network: Network, n: int, name: str) -> None:
    assert_same_numbers(network, n, instruction_set=name)


def test_lenet_isa_forces_an_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in INSTRUCTION_SETS:
        monkeypatch.setenv("LENET_ISA", name)
        assert make(zoo.lenet()).instruction_set == name
    monkeypatch.delenv("LENET_ISA")
    assert make(zoo.lenet()).instruction_set == INSTRUCTION_SETS[-1]
    monkeypatch.setenv("LENET_ISA", "mmx")
    with pytest.raises(EngineError, match=r"LENET_ISA is 'mmx'; this processor has plain, "):
        make(zoo.lenet())


@every_set
@pytest.mark.parametrize("n", [3, 37])
def test_every_instruction_set_weighs_pictures_and_classes(instruction_set: str, n: int) -> None:
    network, at = zoo.lenet_relu((1, 16, 16), 5), Position(5, 1, 40)
    split, weights = random_pictures(network, n), np.random.default_rng(n).random(n, np.float32)
    for objective in (CROSS_ENTROPY, Objective(0.2, class_weights=[1, 0.5, 0, 3, 2])):
        one = make(network, objective=objective, instruction_set=instruction_set)
        exact = NumpyEngine(network, SGD, objective, dtype=np.float64)
        exact.load(one.state())
        mine, its = (
            engine.gradients(split.images, split.labels, at, weights) for engine in (one, exact)
        )
        assert mine.metrics.loss == pytest.approx(its.metrics.loss, rel=FLOAT32)
        assert mine.metrics.correct == its.metrics.correct
        assert_close(mine.flat, its.flat)


@every_set
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_of_a_few_train_as_any_other(instruction_set: str, weighted: bool) -> None:
    """Channels that fill no whole vector; whatever lies in the empty lanes must never matter."""
    layers = (Conv2d(2, 19, 3, padding=1), GELU(), MaxPool2d(2), Conv2d(19, 5, 3), Sigmoid())
    network = network_of((2, 9, 8), *layers, Flatten(), Linear(5 * 2 * 2, 21), ReLU())
    optimizer = Optimizer("adamw", weight_decay=0.1, average=0.5)
    objective = Objective(0.1, class_weights=[1, 0.5, 2, 3] if weighted else ())
    split = random_pictures(network, 40)
    table = np.random.default_rng(1).integers(-1, 2, (40, 3)).astype(np.int8)
    table[:, 2] &= 1
    engine = make(network, optimizer, objective, instruction_set=instruction_set)
    exact = NumpyEngine(network, optimizer, objective, dtype=np.float64)
    exact.load(engine.state())
    for batch_size in (3, 16, 1):  # 40 = 13 · 3 + 1; and between packed and flat weights
        plan = batches(40, batch_size, 0.01, table)
        if weighted:
            plan = replace(plan, weights=np.linspace(0, 2, 40, dtype=np.float32))
        ours, theirs = engine.train(split, plan), exact.train(split, plan)
        np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-4)
        assert ours.correct == theirs.correct
    mine, its = engine.state(), exact.state()
    assert mine.step == its.step == 14 + 3 + 40
    for name, value in its.parameters.items():
        engine_cases.assert_close(mine.parameters[name], value, 1e-3, name)
        engine_cases.assert_close(mine.average[name], its.average[name], 1e-3, name)
        for moment in optimizer.moments:
            mine_of, its_of = mine.moments[moment][name], its.moments[moment][name]
            engine_cases.assert_close(mine_of, its_of, 1e-2, f"{moment} of {name}")


def test_a_short_last_batch_does_not_matter_to_where_a_stretch_is_cut() -> None:
    split = random_pictures(zoo.lenet(), 34)
    plan = batches(34, 16)
    whole, parts = (make(zoo.lenet(), Optimizer(momentum=0.9)) for _ in range(2))
    whole.train(split, plan)
    for step, rate in zip(plan.steps(), plan.learning_rates, strict=True):
        chosen = plan.order[step]
        gradients = parts.gradients(split.images[chosen], split.labels[chosen], Position(7, 3, 0))
        parts.apply(gradients, float(rate))
    mine, its = (engine.state().parameters for engine in (whole, parts))
    assert all(mine[name].tobytes() == its[name].tobytes() for name in its)


# --- threads -----------------------------------------------------------------------------------


@pytest.mark.threads
@pytest.mark.parametrize(
    ("batch_size", "weighted"),
    [*((size, False) for size in (1, 7, 64, 300, 1000)), (64, True), (300, True)],
)
def test_the_number_of_threads_changes_no_bit(batch_size: int, weighted: bool) -> None:
    network = zoo.lenet_max((1, 20, 20), 5)
    split, optimizer = random_pictures(network, 1000), Optimizer("adam", average=0.9)
    steps = batches(min(1000, 40 * batch_size), batch_size)
    steps = replace(
        steps, weights=split.labels[steps.order].astype(np.float32) if weighted else None
    )
    results = []
    for threads in (1, 2, 3, 8):
        engine = make(network, optimizer, threads=threads)
        metrics = engine.train(split, steps)
        looked = engine.evaluate(split)
        state = engine.state()
        numbers = [*state.parameters.values(), *state.moments["exp_avg_sq"].values()]
        numbers += [metrics.losses, looked.losses, engine.logits(split.images[:99])]
        results.append((b"".join(array.tobytes() for array in numbers), metrics.correct))
    assert all(result == results[0] for result in results)


@pytest.mark.threads
def test_a_large_batch_is_summed_a_span_after_the_other() -> None:
    """Of at most 1,024 pictures something is kept for dense layers' gradients; none is lost."""
    network = network_of((1, 4, 4), Flatten(), Linear(16, 21), Sigmoid())
    split, at = random_pictures(network, 2500), Position(0, 0, 0)
    one, two = (make(network, threads=threads) for threads in (1, 2))
    exact = NumpyEngine(network, Optimizer(), Objective(), dtype=np.float64)
    exact.load(one.state())
    mine, its, theirs = (
        engine.gradients(split.images, split.labels, at).flat for engine in (one, two, exact)
    )
    assert mine.tobytes() == its.tobytes()
    assert_close(mine, theirs)


def test_what_has_several_threads_is_tried_under_thread_sanitizer() -> None:
    import test_minimal_filtering

    several = re.compile("threads" + r"=(?!1\b)")
    for module in (sys.modules[__name__], test_minimal_filtering):
        for name, test in vars(module).items():
            if name.startswith("test_") and callable(test) and several.search(getsource(test)):
                assert "threads" in {mark.name for mark in getattr(test, "pytestmark", [])}, name


@pytest.mark.threads
def test_there_are_never_more_threads_than_processors() -> None:
    choice = engines.choose("native", zoo.lenet())
    engine = engines.make(choice, zoo.lenet(), Optimizer(), Objective(), threads=1000)
    assert engine.threads == available_cpus()


@pytest.mark.threads
@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_one_picture_wakes_no_thread() -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/task"))

    engine, split = make(zoo.lenet(), threads=3), random_pictures(zoo.lenet(), 300)
    before = count()
    engine.logits(split.images[:1])
    engine.activations(split.images[:1])
    assert count() == before
    engine.evaluate(split)
    assert count() == before + 2
    del engine
    assert count() == before


def run(code: str) -> str:
    """What a script prints, in a process of its own, with the names of this module."""
    head = "import sys; sys.path.insert(0, sys.argv[1])\nfrom test_native import *\n"
    command = [sys.executable, "-c", head + code, str(Path(__file__).parent)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.threads
@pytest.mark.slow
@pytest.mark.parametrize("size", [50, 2])
def test_a_signal_ends_a_long_stretch_between_two_steps(size: int) -> None:
    out = run(
        f"size = {size}"
        + """
network = zoo.lenet()
split, many = random_pictures(network, 500), 40_000 * size
order = np.random.default_rng(0).integers(0, 500, many)
batches = Batches(order, size, np.full(many // size, 0.05), None, Position(0, 0, 0))
engine, other = make(network, threads=2), make(network)
import signal
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    engine.train(split, batches)
except KeyboardInterrupt:
    step = engine.state().step
    part = Batches(order[: size * step], size, np.full(step, 0.05), None, Position(0, 0, 0))
    other.train(split, part)
    same = [engine.state().parameters[name].tobytes() == value.tobytes()
            for name, value in other.state().parameters.items()]
    print(0 < step < many // size, all(same))
    engine.train(split, part)  # and it can go on
"""
    )
    assert out == "True True"


@pytest.mark.threads
def test_other_python_threads_run_meanwhile() -> None:
    engine, split = make(zoo.lenet()), random_pictures(zoo.lenet(), 2000)
    turns, done = 0, threading.Event()

    def train() -> None:
        for _ in range(3):
            engine.train(split, batches(2000, 2000))
        done.set()

    thread = threading.Thread(target=train)
    thread.start()
    while not done.wait(0.001):
        turns += 1
    thread.join()
    assert turns > 3  # at least once in a call, where one call takes many thousandths


@pytest.mark.threads
def test_two_python_threads_take_turns() -> None:
    split = random_pictures(zoo.lenet(), 64)
    alone, shared = make(zoo.lenet()), make(zoo.lenet(), threads=2)
    for _ in range(20):
        alone.train(split, batches(64, 64))
    jobs = [
        threading.Thread(target=lambda: [shared.train(split, batches(64, 64)) for _ in range(5)])
        for _ in range(4)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    one, other = alone.state(), shared.state()
    assert one.step == other.step == 20
    for name, value in one.parameters.items():
        assert value.tobytes() == other.parameters[name].tobytes()


@pytest.mark.threads
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_threads_of_its_own() -> None:
    out = run("""
import warnings
warnings.simplefilter("ignore")  # newer Pythons warn of threads, which is what is tried here
engine, split = make(zoo.lenet(), threads=2), random_pictures(zoo.lenet(), 300)
engine.train(split, batches(300, 300))
before = engine.state()
child = os.fork()
if child == 0:
    engine.train(split, batches(300, 300))
    os._exit(int(engine.state().step != 2))
engine.train(split, batches(300, 300))
print(os.waitpid(child, 0)[1], engine.state().step)
""")
    assert out == "0 2"


# --- forward and backward apart ----------------------------------------------------------------


@pytest.mark.threads
@pytest.mark.parametrize("n", [1, 5, 100])
def test_a_gradient_of_the_logits_drives_backward(n: int) -> None:
    network = zoo.lenet_relu((3, 16, 20), 5)
    engine, split = make(network, threads=2), random_pictures(network, n)
    inputs = (split.images / 255).astype(np.float32)
    logits = engine.forward(inputs)
    assert_close(logits, engine.logits(split.images))
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    dlogits = (shares - np.eye(5, dtype=np.float32)[split.labels]) / n
    found = engine.backward(dlogits).named()
    expected = engine.gradients(split.images, split.labels, Position(0, 0, 0)).named()
    for name, value in expected.items():
        assert_close(found[name], value, name)
    # any loss: the gradient is linear in that of the logits
    doubled = engine.backward(2 * dlogits).flat
    assert np.array_equal(doubled, 2 * engine.backward(dlogits).flat)


def test_forward_in_training_drops_units() -> None:
    network = network_of((1, 6, 6), Conv2d(1, 4, 3), Dropout(0.5))
    engine, split = make(network), random_pictures(network, 20)
    inputs, at = (split.images / 255).astype(np.float32), Position(3, 1, 10)
    dropped = engine.forward(inputs, at)
    assert not np.allclose(dropped, engine.forward(inputs), atol=1e-3)
    assert np.array_equal(dropped, engine.forward(inputs, at))


def test_backward_wants_its_forward() -> None:
    engine = make(zoo.lenet())
    with pytest.raises(ValueError, match="backward of 4 pictures without their forward"):
        engine.backward(np.zeros((4, 10), np.float32))
    engine.forward(np.zeros((3, 1, 28, 28), np.float32))
    with pytest.raises(ValueError, match="backward of 4 pictures without their forward"):
        engine.backward(np.zeros((4, 10), np.float32))
    assert np.abs(engine.backward(np.zeros((3, 10), np.float32)).flat).max() == 0
    with pytest.raises(ValueError, match=r"dlogits has shape \(3, 9\), not \(n, 10\)"):
        engine.backward(np.zeros((3, 9), np.float32))
    with pytest.raises(ValueError, match=r"inputs have shape \(3, 28, 28\), not \(n, 1, 28, 28\)"):
        engine.forward(np.zeros((3, 28, 28), np.float32))


# --- what goes in ------------------------------------------------------------------------------


def test_pictures_may_lie_in_a_mapped_file(tmp_path: Path) -> None:
    split = random_pictures(zoo.lenet(), 200)
    file = tmp_path / "pictures"
    file.write_bytes(split.images.tobytes())
    mapped = Pictures(np.memmap(file, np.uint8, "r", shape=split.images.shape), split.labels)
    one, other = make(zoo.lenet()), make(zoo.lenet())
    assert one.train(split, batches(200, 64)).losses.tolist() == (
        other.train(mapped, batches(200, 64)).losses.tolist()
    )


def test_wrong_input_is_refused_before_the_loops_see_it() -> None:
    engine, split = make(zoo.lenet()), random_pictures(zoo.lenet(), 10)
    before = engine.state().parameters
    with pytest.raises(IndexError, match="the order names pictures 0 to 10, of 10"):
        engine.train(split, Batches(np.arange(11), 11, np.ones(1), None, Position(0, 0, 0)))
    with pytest.raises(ValueError, match=r"labels go from 1 to 10; .* has classes 0 to 9"):
        engine.evaluate(Pictures(split.images, np.arange(1, 11)))
    with pytest.raises(ValueError, match="10 pictures have 9 labels"):
        engine.evaluate(Pictures(split.images, split.labels[:9]))
    with pytest.raises(ValueError, match="images are float64"):
        engine.logits(split.images / 255)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"needs uint8 \(10, 1, 28, 28\)"):
        engine.activations(split.images[:, :, :27])
    table = np.zeros((9, 3), np.int16)
    with pytest.raises(
        ValueError, match=r"augmentation has shape \(9, 3\), not \(10, 3 or 8 or 53 or 58\)"
    ):
        engine.train(split, Batches(np.arange(10), 10, np.ones(1), table, Position(0, 0, 0)))
    for name, value in engine.state().parameters.items():
        assert np.array_equal(value, before[name])


@pytest.mark.threads
def test_no_pictures_are_no_work() -> None:
    engine, none = make(zoo.lenet(), threads=2), random_pictures(zoo.lenet(), 0)
    assert engine.evaluate(none).examples == 0
    assert engine.logits(none.images).shape == (0, 10)
    assert engine.train(none, batches(0, 8)).examples == 0


def test_large_kernels_are_refused_by_name_and_auto_takes_numpy() -> None:
    network = network_of((1, 12, 12), Conv2d(1, 2, 8))
    with pytest.raises(EngineError, match=r"layer 0 \(Conv2d\) of network 'test' has 8×8"):
        engines.choose("native", network)
    with pytest.raises(EngineError, match="8×8"):
        NativeEngine(network, Optimizer(), Objective())
    choice = engines.choose("auto", network, "cpu")
    assert choice.engine == "numpy"
    assert "8×8" in choice.reason


def test_without_the_compiled_part_auto_takes_numpy_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lenet.engines import native

    monkeypatch.setattr(native, "find_spec", lambda name: None)
    choice = engines.choose("auto", zoo.lenet(), "cpu")
    assert choice.engine == "numpy"
    assert choice.reason == "the native engine was not built here; lenet doctor says why"
    with pytest.raises(EngineError, match="not built here"):
        engines.choose("native", zoo.lenet())
