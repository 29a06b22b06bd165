"""native/c, the engine without Python: in the page and on ARM, beside the native engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from engine_cases import Pictures, assert_close, network_of, random_pictures
from lenet.engines import Batches, Position
from lenet.engines.native import NativeEngine, _numbers_of, choose_instruction_set
from lenet.engines.protocol import normalization_table
from lenet.network.architecture import Network, to_dict, trace
from lenet.network.layers import (
    GELU,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    MaxPool2d,
    SiLU,
    Tanh,
)
from lenet.network.parameters import Layout, State, initialize
from lenet.network.zoo import build
from lenet.optimization import Objective, Optimizer

ROOT = Path(__file__).parents[1]
WASM = ROOT / "src/lenet/lab/page/network/engine.wasm"
# The C library of 64-bit ARM. Zig could link its own, musl, but compiles it first: for a minute.
ARM_LIBRARIES = Path("/usr/aarch64-linux-gnu")
ARM = "aarch64-linux-gnu.2.31"
POSITION = Position(seed=3, epoch=2, first_sample=0)
LEARNING_RATE, EPOCHS = 0.05, 2

NETWORKS = {
    "lenet": build("lenet"),
    "odd": network_of(
        (2, 11, 9),
        Conv2d(2, 5, 3, padding=2, stride=2),
        GELU(),
        MaxPool2d(3, 2, 1),
        Conv2d(5, 3, 2),
        LeakyReLU(0.2),
        Dropout(0.3),
    ),
    "pooled": network_of((1, 8, 8), AvgPool2d(2), SiLU(), Conv2d(1, 6, 1), Tanh()),
}
CASES = {
    "lenet": ("lenet", Optimizer(momentum=0.9), 32),
    "odd": ("odd", Optimizer("adamw", weight_decay=0.02, average=0.9), 7),
    "pooled": ("pooled", Optimizer("adam"), 16),
}


def pictures_of(name: str) -> Pictures:
    return random_pictures(NETWORKS[CASES[name][0]], 110 if name == "lenet" else 61, seed=5)


def javascript() -> list[str]:
    """What runs JavaScript here: node, or the deno that checks the page."""
    if node := shutil.which("node"):
        return [node]
    deno = Path(sys.executable).parent / "deno"
    if not deno.exists():
        pytest.skip("neither node nor deno is installed")
    return [str(deno), "run", "--quiet", "--allow-read", "--allow-write", "--no-check"]


def write_case(folder: Path, name: str) -> None:
    """The pictures, their order and the first weights of a case, as files of numbers."""
    network, pictures = NETWORKS[CASES[name][0]], pictures_of(name)
    weights = Layout.of(network).flatten(initialize(network, "torch", 1), np.float32)
    weights.tofile(folder / f"{name}.weights")
    pictures.images.tofile(folder / f"{name}.images")
    pictures.labels.astype(np.uint8).tofile(folder / f"{name}.labels")
    order_of(name).astype(np.int32).tofile(folder / f"{name}.order")


@pytest.fixture(scope="module")
def in_the_page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the module says of every case, and of two networks that it must refuse."""
    folder = tmp_path_factory.mktemp("wasm")
    job: list[dict[str, Any]] = []
    for name, (network_name, optimizer, batch_size) in CASES.items():
        network = NETWORKS[network_name]
        write_case(folder, name)
        names = {"weight_decay": "weightDecay"}
        job.append(
            {
                "name": name,
                "network": to_dict(network),
                "optimizer": {names.get(k, k): v for k, v in asdict(optimizer).items()},
                "batchSize": batch_size,
                "learningRate": LEARNING_RATE,
                "position": {"seed": 3, "epoch": 2, "firstSample": 0},
                "epochs": EPOCHS,
            }
        )
    large = Network("large", (1, 28, 28), (Conv2d(1, 2, 9), Flatten(), Linear(800, 2)), ("a", "b"))
    job.append({**job[0], "network": to_dict(large)})
    job.append({**job[0], "network": to_dict(build("lenet5"))})
    job.append({**job[0], "optimizer": {"method": "lion"}})
    (folder / "job.json").write_text(json.dumps(job))
    script = Path(__file__).with_name("wasm_engine.mjs")
    command = [*javascript(), str(script), str(folder), str(WASM)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    said = json.loads((folder / "results.json").read_text())
    return {"folder": folder, **said}


def order_of(name: str) -> np.ndarray[Any, Any]:
    n = len(pictures_of(name).labels)
    return np.random.default_rng(n).permutation(n)[: n - 10]


def check(folder: Path, name: str, said: dict[str, Any], instruction_set: str, exact: bool) -> None:
    """Compares what lies in ``folder`` with the native engine, in bits or within rounding."""
    network_name, optimizer, batch_size = CASES[name]
    network, pictures, order = NETWORKS[network_name], pictures_of(name), order_of(name)
    engine = NativeEngine(network, optimizer, Objective(), 1, instruction_set)
    start = initialize(network, "torch", 1)
    engine.load(State(start, {}, start if optimizer.average else None, 0))

    def same(what: str, expected: Any, tolerance: float, dtype: Any = np.float32) -> None:
        actual = np.fromfile(folder / f"{name}.{what}", dtype)
        expected = np.asarray(expected, dtype).ravel()
        if exact:
            np.testing.assert_array_equal(actual, expected, what)
        else:
            assert_close(actual, expected, tolerance, what)

    first = order[:batch_size]
    gradients = engine.gradients(pictures.images[first], pictures.labels[first], POSITION)
    same("gradients", gradients.flat, 1e-5)
    assert said["loss"] == pytest.approx(gradients.metrics.loss, rel=1e-6)
    rates = np.full(-(-len(order) // batch_size), LEARNING_RATE)
    for epoch in range(EPOCHS):
        position = Position(POSITION.seed, POSITION.epoch + epoch, 0)
        trained = engine.train(pictures, Batches(order, batch_size, rates, None, position))
    flatten = Layout.of(network).flatten
    same("trained", flatten(engine.state().parameters, np.float32), 1e-3)
    sizes = [len(order[i : i + batch_size]) for i in range(0, len(order), batch_size)]
    losses = np.fromfile(folder / f"{name}.losses")
    assert_close(losses, trained.losses / sizes, 1e-6 if exact else 1e-3)
    few = pictures.images[:6]
    same("logits", engine.logits(few), 1e-3)
    outputs = [output.ravel() for output in engine.activations(few)]
    assert len(outputs) == len(trace(network))
    same("outputs", np.concatenate(outputs), 1e-3)
    evaluated = engine.evaluate(Pictures(pictures.images[2:], pictures.labels[2:]))
    assert said["evaluated"]["loss"] == pytest.approx(evaluated.loss, rel=1e-6 if exact else 1e-3)
    assert said["step"] == EPOCHS * len(rates)
    if exact:
        same("confusion", evaluated.confusion, 0, np.int32)
        assert said["right"] == trained.correct
        assert said["evaluated"]["right"] == evaluated.correct


@pytest.mark.parametrize("name", CASES)
def test_the_page_s_module_computes_what_the_native_engine_does(
    in_the_page: dict[str, Any], name: str
) -> None:
    said = in_the_page["results"][list(CASES).index(name)]
    assert "error" not in said
    check(in_the_page["folder"], name, said, choose_instruction_set(), exact=False)


@pytest.mark.parametrize("name", CASES)
def test_with_vectors_of_the_same_width_its_bits_are_the_native_engine_s(
    in_the_page: dict[str, Any], name: str
) -> None:
    from lenet._native import instruction_sets

    if "x86-64-v2" not in instruction_sets():
        pytest.skip("only x86-64-v2 has 4 lanes and no fused multiply-add, as WebAssembly")
    said = in_the_page["results"][list(CASES).index(name)]
    check(in_the_page["folder"], name, said, "x86-64-v2", exact=True)


def test_the_page_s_module_needs_nothing_and_refuses_what_it_cannot(
    in_the_page: dict[str, Any],
) -> None:
    assert in_the_page["imports"] == []
    large, lenet5, lion = (said["error"] for said in in_the_page["results"][-3:])
    assert "kernel_size is larger than 7" in large
    assert "a table of connections" in lenet5 or "not known" in lenet5
    assert "the method is not" in lion


def test_the_page_s_module_is_small() -> None:
    assert WASM.stat().st_size < 150_000


def c_case(folder: Path, name: str) -> None:
    """Writes a case as tests/c_engine.c reads it."""
    write_case(folder, name)
    network_name, optimizer, batch_size = CASES[name]
    network, steps = NETWORKS[network_name], len(order_of(name))
    layers = [_numbers_of(layer) for layer in network.layers]
    head = [*network.input_shape, len(network.classes), len(layers), len(pictures_of(name).labels)]
    head += [steps, batch_size, EPOCHS, POSITION.seed, POSITION.epoch, LEARNING_RATE]
    o = optimizer
    numbers = [("sgd", "adam", "adamw").index(o.method), o.nesterov, o.momentum, o.weight_decay]
    numbers += [o.beta1, o.beta2, o.eps, o.average, 0]
    # C knows six numbers a layer: the second argument is that of a layer of 1998
    numbers += [number for layer in layers for number in layer[1:7]]
    lines = [
        " ".join(map(repr, head)) + " " + " ".join(layer[0] for layer in layers),
        " ".join(repr(float(number)) for number in numbers),
    ]
    (folder / f"{name}.txt").write_text("\n".join(lines))
    normalization_table(network).astype(np.float32).tofile(folder / f"{name}.table")


@pytest.fixture(scope="session")
def for_arm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/c_engine.c with the engine, compiled for 64-bit ARM."""
    if find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed: make .venv/all.stamp")
    if not ARM_LIBRARIES.exists():
        pytest.skip(f"{ARM_LIBRARIES} is not there: apt install libc6-arm64-cross")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # one of the workers compiles it for all
    program = shared / "c_engine_for_arm"
    with FileLock(f"{program}.lock"):
        if not program.exists():
            made = program.with_suffix(".made")
            command = [sys.executable, "scripts/zig.py", "c", ARM, str(made), "tests/c_engine.c"]
            subprocess.run([*command, "--optimize", "1"], cwd=ROOT, check=True)
            made.rename(program)
    return program


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_on_arm_the_engine_computes_the_same(tmp_path: Path, for_arm: Path, name: str) -> None:
    qemu = shutil.which("qemu-aarch64")
    if qemu is None:
        pytest.skip("qemu-aarch64 is not installed: apt install qemu-user")
    c_case(tmp_path, name)
    command = [qemu, "-L", str(ARM_LIBRARIES), str(for_arm), str(tmp_path), name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    check(tmp_path, name, json.loads(done.stdout), choose_instruction_set(), exact=False)


@pytest.mark.slow
@pytest.mark.long
def test_the_page_s_module_is_what_its_sources_make(tmp_path: Path) -> None:
    if find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed: make .venv/all.stamp")
    made = tmp_path / "engine.wasm"
    command = [sys.executable, "scripts/zig.py", "wasm", str(made)]
    subprocess.run(command, cwd=ROOT, check=True)
    assert made.read_bytes() == WASM.read_bytes(), "run python scripts/zig.py wasm and commit it"


@pytest.mark.slow
@pytest.mark.long
def test_for_windows_and_macos_the_engine_compiles() -> None:
    """The objects of the engine, and a program of its C interface; docs/targets.md has the rest."""
    if find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed: make .venv/all.stamp")
    targets = ["x86_64-windows-gnu", "aarch64-macos"]
    command = [sys.executable, "scripts/zig.py", "targets", "--quick", *targets]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == targets
