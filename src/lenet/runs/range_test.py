"""Which learning rate to take: a range test on the training pictures.

L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017. The rate rises from
step to step, by the same factor, until the loss runs away. The rule that makes a rate of the curve
was measured (docs/learning-rate.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lenet.data import Split
from lenet.engines import Batches, Engine, Position
from lenet.network.architecture import Network
from lenet.network.layers import Sigmoid
from lenet.network.parameters import State, initialize
from lenet.optimization import (
    DEFAULT_LEARNING_RATE,
    SettingError,
    Settings,
    usual_learning_rate,
)
from lenet.training import draw_epoch

STEPS: Final = 200
TESTS: Final = 2  # from other first weights and in another order each
LOWEST: Final = 1e-5
HIGHEST: Final = {"sgd": 10.0, "adam": 1.0, "adamw": 1.0}
BELOW: Final = {"sgd": 3, "adam": 40, "adamw": 40}  # the highest rate that still learns well
TENTH: Final = 0.1  # of the fall of the loss: so near the lowest it has learnt well
SMOOTHING: Final = 0.9  # of the loss, a step
LEARNS: Final = 0.97  # times the loss of a guess; above it the network has learnt nothing
AWAY: Final = 2.0, 0.5  # times the lowest loss, plus this: the end of a test


@dataclass(frozen=True, eq=False)
class Curve:
    """One range test: the loss while the learning rate rises."""

    learning_rates: NDArray[np.float64]  # (steps,)
    losses: NDArray[np.float64]  # (steps,) of each batch before its step
    smoothed: NDArray[np.float64]  # (steps,)

    @property
    def lowest(self) -> float:
        """The lowest smoothed loss."""
        return float(self.smoothed.min())

    @property
    def edge(self) -> float:
        """The highest learning rate at which the smoothed loss is nearly as low as anywhere.

        The lowest place itself lies anywhere in a long valley; where the valley ends does not.
        """
        near = self.lowest + TENTH * (float(self.smoothed[:10].mean()) - self.lowest)
        return float(self.learning_rates[np.flatnonzero(self.smoothed <= near)[-1]])


@dataclass(frozen=True, eq=False)
class RangeTest:
    """A learning rate, why it is this one, and the curves that say so."""

    learning_rate: float
    why: str  # a sentence or two
    curves: tuple[Curve, ...]
    found: bool  # False: the test showed nothing, and the rate is the usual one


def range_test(
    engine: Engine, network: Network, train: Split, settings: Settings, initialization: str
) -> RangeTest:
    """The learning rate for this network, these pictures and these settings.

    A function of the arguments and ``settings.seed``; the engine's weights are others afterwards.
    """
    method = settings.optimizer.method
    if method not in BELOW:
        raise SettingError(
            f"no range test is made for {method}, whose steps depend on the curvature too: "
            f"give a learning rate; its usual one is {DEFAULT_LEARNING_RATE[method]:g}"
        )
    curves = tuple(
        _curve(engine, network, train, replace(settings, seed=seed), initialization)
        for seed in range(settings.seed, settings.seed + TESTS)
    )
    return choose(curves, settings, network, _loss_of_a_guess(train))


def choose(
    curves: Sequence[Curve], settings: Settings, network: Network, guess: float
) -> RangeTest:
    """The rate that the curves show; ``guess`` is the loss of a network that knows nothing."""
    method = settings.optimizer.method
    losses = [curve.lowest for curve in curves]
    if min(losses) > LEARNS * guess:
        sigmoids = any(isinstance(layer, Sigmoid) for layer in network.layers)
        usual = usual_learning_rate(method, sigmoids=sigmoids)
        return RangeTest(
            usual,
            f"in {STEPS} steps the loss went no lower than {min(losses):.2f} at any rate, which is "
            f"that of a guess ({guess:.2f}): the network takes longer to start than the test. So "
            f"it is the usual rate of {method}, {usual:g}",
            tuple(curves),
            False,
        )
    edge = math.exp(sum(math.log(curve.edge) for curve in curves) / len(curves))
    rate = float(f"{edge / BELOW[method]:.2g}")
    return RangeTest(
        rate,
        f"up to a learning rate of {edge:.2g} the loss stayed near its lowest, {min(losses):.2f}, "
        f"and above it rose; a whole training with {method} wants 1/{BELOW[method]} of that",
        tuple(curves),
        True,
    )


def _curve(
    engine: Engine, network: Network, train: Split, settings: Settings, initialization: str
) -> Curve:
    """One range test, up to where the loss runs away or the rates end."""
    engine.load(State(initialize(network, initialization, settings.seed)))
    rates = np.geomspace(LOWEST, HIGHEST[settings.optimizer.method], STEPS)
    size = min(settings.batch_size, len(train))
    epochs = -(-STEPS * size // len(train))
    drawn = [draw_epoch(settings, train.labels, epoch, (1, 1))[0] for epoch in range(epochs)]
    order = np.concatenate(drawn)[: STEPS * size]
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    for step in range(STEPS):
        part = order[step * size : (step + 1) * size]
        batches = Batches(
            order=part,
            batch_size=size,
            learning_rates=rates[step : step + 1],
            augmentation=None,
            position=Position(settings.seed, 0, step * size),
            weights=None if train.weights is None else train.weights[part],
        )
        loss = engine.train(train, batches).loss
        if not math.isfinite(loss):
            break
        losses.append(loss)
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smoothed.append(mean / (1 - SMOOTHING ** (step + 1)))
        if step > 5 and smoothed[-1] > AWAY[0] * min(smoothed) + AWAY[1]:
            break
    return Curve(rates[: len(losses)], np.array(losses), np.array(smoothed))


def _loss_of_a_guess(train: Split) -> float:
    share = np.bincount(train.labels) / len(train)
    return float(-(share[share > 0] * np.log(share[share > 0])).sum())
