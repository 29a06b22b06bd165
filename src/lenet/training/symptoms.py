"""What a network does with a probe of its pictures, in numbers: activations, gradients, weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.data import mapped
from lenet.engines import Engine, Pictures, Position
from lenet.engines.numpy import optimizer_step, saturated
from lenet.network.architecture import Network, trace
from lenet.network.layers import Activation, Layer, curve
from lenet.network.parameters import Layout, State, initialize
from lenet.optimization import Settings
from lenet.training.plateau import Plateau, Reading

PROBE_PICTURES = 256  # shares to within 3%; 0.1 s with the numpy engine


@dataclass(frozen=True)
class ActivationSymptoms:
    """What an activation layer does with the probe."""

    index: int
    kind: str  # "Sigmoid"
    stage: str  # of the layer whose output it takes: "C3"
    saturated: float  # share of outputs that are, where it is flat at both ends; else 0
    dead: float  # where it is flat below alone (ReLU): share of units (maps, after a convolution)
    # that are so for every picture; else 0
    deviation: float  # over the pictures, root mean square over the units


@dataclass(frozen=True)
class WeightSymptoms:
    """What training does with a layer's weights; sizes are root mean squares."""

    index: int
    kind: str
    stage: str
    gradient: float
    relative_step: float  # size of the next step / size of the weights
    moved: float  # distance from the first weights / size of the first weights
    first_size: float  # of the first weights / size that Xavier gives


@dataclass(frozen=True)
class Symptoms:
    """All that judge() decides by."""

    plateau: Plateau
    method: str  # of the optimiser
    momentum: float
    batch_size: int
    learning_rate: float  # the highest so far
    steps: int  # since the first weights, those that training started or went on from
    output_deviation: float  # of the logits over the pictures, root mean square over the classes
    activations: tuple[ActivationSymptoms, ...]
    weights: tuple[WeightSymptoms, ...]


def measure_symptoms(
    engine: Engine,
    train: Pictures,
    settings: Settings,
    rates: NDArray[np.float64],
    history: Sequence[Reading],
    start: State,
    plateau: Plateau,
) -> Symptoms:
    """What the network does with a fixed probe of the training pictures, and its next step with it.

    Deterministic, and without effect on the engine: it only reads activations, the gradient of
    one batch and a copy of the state.
    """
    last = history[-1]
    probe = np.linspace(0, len(train.labels) - 1, min(PROBE_PICTURES, len(train.labels)))
    chosen = probe.astype(np.int64)  # spread evenly: files may be sorted by class
    images, labels = mapped.gather(train.images, chosen), train.labels[chosen]
    # the highest so far is what somebody set; at the end of a schedule the last one is near 0
    learning_rate = float(rates[: last.step].max())

    outputs = engine.activations(images)
    position = Position(settings.seed, max(math.ceil(last.epoch) - 1, 0), 0)
    gradients = engine.gradients(images, labels, position)
    state = engine.state()
    return Symptoms(
        plateau=plateau,
        method=settings.optimizer.method,
        momentum=settings.optimizer.momentum if settings.optimizer.method == "sgd" else 0.0,
        batch_size=settings.batch_size,
        learning_rate=learning_rate,
        steps=max(state.step - start.step, 0),
        output_deviation=_deviation(outputs[-1]),
        activations=_activation_symptoms(engine.network, outputs),
        weights=_weight_symptoms(
            engine.network, settings, learning_rate, state, start, gradients.flat
        ),
    )


def _activation_symptoms(
    network: Network, outputs: Sequence[NDArray[Any]]
) -> tuple[ActivationSymptoms, ...]:
    found = []
    stage = ""
    for row, output in zip(trace(network), outputs, strict=True):
        stage = row.stage if row.parameters else stage
        if not isinstance(row.layer, Activation) or row.index == 0:  # what the picture does there
            continue  # says nothing of the weights
        flat = saturated(row.layer, outputs[row.index - 1], output)
        units = flat.reshape(*flat.shape[:2], -1)  # (n, maps or units, positions)
        found.append(
            ActivationSymptoms(
                index=row.index,
                kind=row.kind,
                stage=stage,
                saturated=float(flat.mean()) if curve(row.layer).saturates else 0.0,
                dead=float(units.all(axis=(0, 2)).mean()) if curve(row.layer).flat_below else 0.0,
                deviation=_deviation(output),
            )
        )
    return tuple(found)


def saturated_share(
    layer: Layer, inputs: NDArray[Any] | None, outputs: NDArray[Any]
) -> float | None:
    """The share of an activation's outputs that are saturated.

    None for other layers, for one that is not flat at both ends (ReLU), and without inputs.
    """
    if inputs is None or not isinstance(layer, Activation) or not curve(layer).saturates:
        return None
    return float(saturated(layer, inputs, outputs).mean())


def _weight_symptoms(
    network: Network,
    settings: Settings,
    learning_rate: float,
    state: State,
    start: State,
    gradient: NDArray[Any],
) -> tuple[WeightSymptoms, ...]:
    layout = Layout.of(network)
    now = layout.flatten(state.parameters, np.float64)
    stepped = now.copy()
    # An optimiser that has not stepped yet has no moments: they are zeros then.
    moments = {
        name: layout.flatten(state.moments[name], np.float64)
        if name in state.moments
        else np.zeros_like(now)
        for name in settings.optimizer.moments
    }
    optimizer_step(
        settings.optimizer,
        stepped,
        gradient.astype(np.float64),
        moments,
        learning_rate,
        state.step + 1,
    )
    first = layout.flatten(start.parameters, np.float64)
    gradients, steps, weights, firsts, way = (
        layout.views(flat) for flat in (gradient, stepped - now, now, first, now - first)
    )
    xavier = initialize(network, "xavier", seed=0)
    found = []
    for row in trace(network):
        name = f"{row.index}.weight"
        if name not in weights:
            continue
        found.append(
            WeightSymptoms(
                index=row.index,
                kind=row.kind,
                stage=row.stage,
                gradient=_size(gradients[name]),
                relative_step=_ratio(_size(steps[name]), _size(weights[name])),
                moved=_ratio(_size(way[name]), _size(firsts[name])),
                first_size=_ratio(_size(firsts[name]), _size(xavier[name])),
            )
        )
    return tuple(found)


def _size(values: NDArray[Any]) -> float:
    """The root mean square."""
    return math.sqrt(float(np.square(values, dtype=np.float64).mean()))


def _deviation(output: NDArray[Any]) -> float:
    """Over the pictures (the first axis), root mean square over the units."""
    return math.sqrt(float(output.var(axis=0, dtype=np.float64).mean()))


def _ratio(a: float, b: float) -> float:
    return a / b if b else (math.inf if a else 0.0)
