"""The native engine against NumPy in float64, on 2,000 networks drawn at random.

`test_engines.py` tries small ones, which hypothesis can make smaller still; these are as wide, as
deep and as large as what the engine's tiles, bands and chunks tell apart.
"""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest

from activations import COMPUTED
from engine_cases import CROSS_ENTROPY, SGD, assert_close, network_of, random_pictures
from lenet.engines import Position
from lenet.network.architecture import Network, trace_layers
from lenet.network.layers import AvgPool2d, Conv2d, Dropout, Flatten, Layer, Linear, MaxPool2d
from lenet.network.parameters import State, initialize

if importlib.util.find_spec("lenet._native") is None:
    pytest.skip("the native engine was not built", allow_module_level=True)

from lenet import _native
from lenet.engines.native import NativeEngine
from lenet.engines.numpy import NumpyEngine

PARTS, NETWORKS = 20, 2000
MOST_MACS = 3_000_000  # a picture's; larger networks take long, and show nothing else
FAST_SETS = [name for name in _native.instruction_sets() if name != "plain"]


def drawn(random: np.random.Generator) -> Network:
    """A network of up to three convolutions, each with an activation and perhaps pooling."""

    def below(end: int) -> int:  # small numbers oftener than large ones
        return int(math.exp(random.uniform(0, math.log(end + 1))))

    activations = [*COMPUTED.values(), Dropout(0.25)]
    shape = (below(4), *(int(side) for side in random.integers(3, 21, 2)))
    layers: list[Layer] = []
    now: tuple[int, ...] = shape
    for _ in range(int(random.integers(4))):
        kernel, padding = int(random.integers(1, 8)), int(random.integers(4))
        stride = 1 if random.random() < 0.7 else int(random.integers(2, 4))
        if kernel > min(now[1:]) + 2 * padding:
            continue
        layers.append(Conv2d(now[0], below(40), kernel, stride, padding))
        layers.append(activations[random.integers(len(activations))])
        _, *sides = trace_layers(shape, tuple(layers))[-1].output_shape
        window = min(int(random.integers(1, 4)), *sides)
        if random.random() < 0.6:
            pool = AvgPool2d if random.random() < 0.5 else MaxPool2d
            stride, padding = int(random.integers(1, 4)), int(random.integers(window // 2 + 1))
            layers.append(pool(window, stride, padding))
        now = trace_layers(shape, tuple(layers))[-1].output_shape
    features = math.prod(now)
    layers.append(Flatten())
    for _ in range(int(random.integers(3))):
        layers.append(Linear(features, features := below(130)))
        layers.append(activations[random.integers(len(activations))])
    return network_of(shape, *layers)


def cost(network: Network) -> int:
    return sum(row.macs for row in trace_layers(network.input_shape, network.layers))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_native_engine_agrees_with_numpy(part: int) -> None:
    for seed in range(part, NETWORKS, PARTS):
        random = np.random.default_rng(seed)
        network = drawn(random)
        while cost(network) > MOST_MACS:
            network = drawn(random)
        n = int(random.integers(1, 70)) if cost(network) < 100_000 else int(random.integers(1, 20))
        options = {
            "instruction_set": str(random.choice(FAST_SETS)),
            "threads": int(random.integers(1, 3)),
        }
        split, at = random_pictures(network, n, seed), Position(seed, 2, 1000)
        exact = NumpyEngine(network, SGD, CROSS_ENTROPY, dtype=np.float64)
        mine = NativeEngine(network, SGD, CROSS_ENTROPY, **options)
        for engine in (exact, mine):
            engine.load(State(initialize(network, "torch", seed)))

        what = f"{network.input_shape} {network.layers}, {n} pictures, seed {seed}, {options}"
        assert_close(mine.logits(split.images), exact.logits(split.images), 2e-5, what)
        one, other = (engine.gradients(split.images, split.labels, at) for engine in (exact, mine))
        assert other.metrics.loss == pytest.approx(one.metrics.loss, rel=2e-5), what
        assert_close(other.flat, one.flat, 2e-5, what)
