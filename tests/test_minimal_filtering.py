"""Convolutions that the native engine computes with fewer multiplications.

Whether a layer is one of them, only its numbers say: see the test about infinity.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from engine_cases import CROSS_ENTROPY, SGD, assert_close, network_of, random_pictures
from lenet.engines import Position
from lenet.network.architecture import Network
from lenet.network.layers import AvgPool2d, Conv2d, Dropout, Sigmoid, Tanh
from lenet.network.parameters import State, initialize

if importlib.util.find_spec("lenet._native") is None:
    pytest.skip("the native engine was not built", allow_module_level=True)

from lenet import _native
from lenet.engines.native import NativeEngine
from lenet.engines.numpy import NumpyEngine

AT = Position(5, 1, 40)
FAST_SETS = [name for name in _native.instruction_sets() if name != "plain"]
every_fast_set = pytest.mark.parametrize("instruction_set", FAST_SETS)

# The second convolution has channels enough to be filtered; its rows are cut into whole tiles, into
# one that is not whole, and into tiles and a rest.
CASES = {
    "3x3": ((12, 13), Conv2d(12, 16, 3)),
    "3x3-padded": ((9, 12), Conv2d(12, 16, 3, padding=1)),
    "3x3-all-padding": ((5, 6), Conv2d(12, 16, 3, padding=4)),
    "4x4": ((9, 13), Conv2d(12, 16, 4, padding=1)),
    "5x5": ((14, 14), Conv2d(12, 16, 5)),
    "5x5-whole-tiles": ((7, 16), Conv2d(12, 16, 5)),
    "5x5-one-row": ((5, 8), Conv2d(12, 16, 5)),
    "5x5-padded": ((8, 7), Conv2d(12, 16, 5, padding=2)),
    "6x6": ((10, 11), Conv2d(12, 16, 6, padding=2)),
    "7x7": ((9, 10), Conv2d(12, 16, 7, padding=3)),
}


def make(network: Network, **options: Any) -> NativeEngine:
    engine = NativeEngine(network, SGD, CROSS_ENTROPY, **options)
    engine.load(State(initialize(network, "torch", seed=0)))
    return engine


def exact(engine: NativeEngine) -> NumpyEngine:
    reference = NumpyEngine(engine.network, SGD, CROSS_ENTROPY, dtype=np.float64)
    reference.load(engine.state())
    return reference


@every_fast_set
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_exact_to_rounding(instruction_set: str, case: str) -> None:
    (height, width), convolution = CASES[case]
    network = network_of(
        (1, height, width), Conv2d(1, 12, 3, padding=1), Tanh(), convolution, Sigmoid()
    )
    mine = make(network, instruction_set=instruction_set)
    its, split = exact(mine), random_pictures(network, 21)
    outputs, expected = mine.activations(split.images), its.activations(split.images)
    assert_close(outputs[2], expected[2], 2e-6, "output of the filtered convolution")
    assert_close(outputs[-1], expected[-1], 5e-6, "logits: a sum over up to 2,112 products")
    one, other = (engine.gradients(split.images, split.labels, AT) for engine in (mine, its))
    for name, gradient in other.named().items():
        assert_close(one.named()[name], gradient, 5e-6, name)


@pytest.mark.threads
@pytest.mark.parametrize("batch_size", [5, 100, 259])
def test_the_number_of_threads_changes_no_bit(batch_size: int) -> None:
    layers = (Conv2d(1, 12, 3), Dropout(0.2), Conv2d(12, 16, 5), Sigmoid(), AvgPool2d(2))
    network = network_of((1, 16, 16), *layers)
    split = random_pictures(network, batch_size)
    one, *others = (
        make(network, threads=threads).gradients(split.images, split.labels, AT).flat
        for threads in (1, 2, 3)
    )
    assert all(np.array_equal(one, other) for other in others)


@every_fast_set
def test_infinity_stays_in_its_tile(instruction_set: str) -> None:
    """Where plain loops give infinity or NaN, filtering does, and beside it in the same tile.

    Other pictures, rows and tiles of four columns have the numbers that plain loops give.
    """
    network = network_of((1, 14, 14), Conv2d(1, 6, 1), Conv2d(6, 16, 5))
    random = np.random.default_rng(0)
    images = random.integers(76, 78, (20, 1, 14, 14), np.uint8)  # about the mean
    for picture in range(0, 20, 2):
        images[picture, 0, random.integers(14), random.integers(14)] = 255
    parameters = initialize(network, "torch", seed=0)
    parameters["0.weight"][:] = 1e38  # white becomes infinite, and other pixels do not
    engines = make(network, instruction_set=instruction_set), make(network, instruction_set="plain")
    for engine in engines:
        engine.load(State(parameters))
    mine, plain = (engine.activations(images)[1] for engine in engines)

    bad, expected = ~np.isfinite(mine), ~np.isfinite(plain)
    assert not bad[1::2].any()
    assert bad[expected].all()
    assert (bad & ~expected).any(), "this convolution is not filtered: the tests here test nothing"
    tiles = [
        np.pad(each, [(0, 0), (0, 0), (0, 0), (0, 2)]).reshape(20, 16, 10, 3, 4).any(-1)
        for each in (bad, expected)
    ]
    assert np.array_equal(*tiles)
    assert_close(mine[~bad], plain[~bad], 2e-6)
