"""What the tests of engines are made of: networks, pictures, orders, and when numbers agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.engines import Batches, Position
from lenet.network.architecture import Network, Normalization, trace, trace_layers
from lenet.network.layers import Flatten, Layer, Linear
from lenet.optimization import Objective, Optimizer

SGD, CROSS_ENTROPY = Optimizer(), Objective()


@dataclass(frozen=True)
class Pictures:
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def random_pictures(network: Network, n: int, seed: int = 0) -> Pictures:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (n, *network.input_shape), np.uint8)
    return Pictures(images, random.integers(0, len(network.classes), n))


def network_of(shape: tuple[int, int, int], *layers: Layer) -> Network:
    """The layers, completed by Flatten and a dense layer for four classes.

    Each channel has its own mean and deviation.
    """
    if not any(isinstance(layer, Flatten) for layer in layers):
        layers = (*layers, Flatten())
    (features,) = trace_layers(shape, layers)[-1].output_shape
    channels = range(shape[0])
    means, deviations = (0.3, 0.4, 0.6), (0.2, 0.3, 0.5)
    network = Network(
        "test",
        shape,
        (*layers, Linear(features, 4)),
        ("a", "b", "c", "d"),
        Normalization(
            tuple(means[c % 3] for c in channels), tuple(deviations[c % 3] for c in channels)
        ),
    )
    trace(network)
    return network


def batches(
    n: int,
    batch_size: int,
    learning_rate: float = 0.1,
    table: NDArray[np.int8] | None = None,
) -> Batches:
    """All of n pictures in a random order, learning rates falling."""
    rates = learning_rate * np.linspace(1, 0.5, -(-n // batch_size))
    order = np.random.default_rng(n).permutation(n)
    return Batches(order, batch_size, rates, table, Position(7, 3, 0))


def assert_close(actual: Any, expected: Any, tolerance: float, what: str = "") -> None:
    """Equal up to ``tolerance`` times the largest number of ``expected`` (or 1e-3, if less)."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, what
    scale = max(float(np.abs(expected).max(initial=0)), 1e-3)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale, err_msg=what)
