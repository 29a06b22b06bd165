"""The torch engine's gradients in a process of their own, under the C library's checks.

PyTorch's convolutions for the CPU have written past their memory: then the process dies, or a
gradient is another. Both are looked for, on shapes that did it once and on networks drawn at
random. As a script, this file is that process.
"""

from __future__ import annotations

import ctypes.util
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lenet.engines import Position
from lenet.engines.numpy import NumpyEngine
from lenet.network.architecture import Network, trace_layers
from lenet.network.layers import (
    ArchitectureError,
    AvgPool2d,
    Conv2d,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
)
from lenet.network.parameters import State, initialize
from lenet.optimization import Objective, Optimizer

# channels in and out, stride, height, width, batch: each killed the process with PyTorch 2.13, or
# (the last three, with AVX2) gave another gradient
FAULTS = [
    *((2, 8, 2, 12, 6, 5), (7, 3, 2, 30, 8, 31), (5, 1, 3, 30, 27, 5), (9, 2, 2, 26, 28, 31)),
    *((3, 48, 2, 8, 20, 2), (7, 2, 2, 8, 18, 16), (6, 15, 2, 12, 30, 8), (5, 7, 2, 22, 6, 5)),
    *((5, 17, 2, 6, 22, 2), (4, 64, 2, 14, 8, 64), (2, 31, 3, 24, 3, 5)),
]
DRAWN = 40  # networks


def completed(shape: tuple[int, int, int], *layers: Layer) -> Network:
    """The layers with a dense layer behind them, for 17 classes."""
    (features,) = trace_layers(shape, (*layers, Flatten()))[-1].output_shape
    layers = (*layers, Flatten(), Linear(features, 17))
    return Network("drawn", shape, layers, tuple(map(str, range(17))))


def drawn(number: int) -> tuple[Network, int]:
    """A network of one or two convolutions, every second of them strided 1×1, and a batch."""
    draw = random.Random(number)
    shape = (draw.choice((1, 2, 3, 5, 7, 9, 16, 17)), draw.randint(4, 24), draw.randint(4, 24))
    layers: list[Layer] = []
    channels = shape[0]
    for _ in range(draw.randint(1, 2)):
        kernel, stride = draw.choice(((1, 2), (1, 3), (1, 1), (2, 2), (3, 1), (3, 2), (5, 1)))
        outputs = draw.choice((1, 2, 3, 8, 15, 16, 17, 31))
        candidates: list[Layer] = [
            Conv2d(channels, outputs, kernel, stride, draw.choice((0, 0, 1))),
            draw.choice((AvgPool2d(2), MaxPool2d(3, 2, 1), ReLU())),
        ]
        try:
            trace_layers(shape, (*layers, *candidates))
        except ArchitectureError:  # larger than what is left
            break
        layers += candidates
        channels = outputs
    return completed(shape, *layers), draw.choice((1, 2, 5, 16, 31))


def check(network: Network, n: int, threads: int = 1) -> None:
    """AssertionError where the gradients are not those of the reference, in float64."""
    from lenet.engines.torch import TorchEngine

    values = np.random.default_rng(0)
    images = values.integers(0, 256, (n, *network.input_shape), np.uint8)
    labels = values.integers(0, 17, n)
    state = State(initialize(network, "torch", 0))
    reference = NumpyEngine(network, Optimizer(), Objective(), dtype=np.float64)
    reference.load(state)
    expected = reference.gradients(images, labels, Position(0, 0, 0)).flat
    engine = TorchEngine(network, Optimizer(), Objective(), threads=threads)
    engine.load(state)
    for _ in range(5):
        found = engine.gradients(images, labels, Position(0, 0, 0)).flat
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("instructions", ["ALL", "AVX2"])
def test_gradients_write_nowhere_else(instructions: str) -> None:
    pytest.importorskip("torch")
    checks = {"MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "85", "ONEDNN_MAX_CPU_ISA": instructions}
    checks["OMP_WAIT_POLICY"] = "passive"  # other processes need the processors
    if library := ctypes.util.find_library("c_malloc_debug"):  # without it MALLOC_CHECK_ is nothing
        checks["LD_PRELOAD"] = library
    child = subprocess.run(
        [sys.executable, Path(__file__)],
        env={**os.environ, **checks},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert child.returncode == 0, child.stdout[-500:] + child.stderr[-2000:]
    assert child.stdout.endswith("all\n")


if __name__ == "__main__":
    for i, o, stride, height, width, n in FAULTS:
        print(i, o, stride, height, width, n, flush=True)
        for threads in (1, 2):
            check(completed((i, height, width), Conv2d(i, o, 1, stride)), n, threads)
    for number in range(DRAWN):
        print(*drawn(number), flush=True)
        check(*drawn(number))
    print("all")
