"""Why a network does not learn: a plateau at ln(classes), explained from what it computes.

Three steps, each of use by itself: plateau.find_plateau() reads the history,
symptoms.measure_symptoms() looks at activations, gradients and weights, judge() turns these numbers
into a cause and one line. What the thresholds rest on: for d2l's LeNet with Xavier weights, SGD 0.9
and batch 256 the loss stays at ln 10 for 250 to 600 steps before it falls, and nothing is wrong;
with tutorial 003's AdamW at 0.01 it stays there because the first thirty steps saturate every
sigmoid of C3.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lenet.engines import Engine, Pictures
from lenet.network.layers import SATURATED_SHARE
from lenet.network.parameters import State
from lenet.optimization import Settings, usual_learning_rate
from lenet.training.plateau import FAULT_EPOCHS, Plateau, Reading, find_plateau, is_long
from lenet.training.symptoms import (
    ActivationSymptoms,
    Symptoms,
    WeightSymptoms,
    measure_symptoms,
)
from lenet.training.weighting import weights_of

# Natural starts took up to 600 steps (at batch 256: 150,000 pictures) and 1,600 steps (at batch
# 64: 100,000 pictures): beyond both numbers, somebody waits for what should be helped along.
SLOW_STEPS = 600
SLOW_PICTURES = 160_000

# --- what counts as a symptom
SATURATED = 0.5  # share of outputs; in natural starts it is 0, in 003's plateau 0.85 to 1
DEAD = 0.9  # share of units; a fresh lenet-relu has up to 0.2 and learns
UNMOVED = 0.005  # of its first size, the median layer; natural starts: 0.03 after 40 steps
MOVED_FAR = 2.0  # times a layer's first size: no more what was initialized
MOVED = 0.5  # … and from here on the steps, not the first weights, made the outputs what they are
LARGE_STEP = 0.2  # of a layer's size in one step; natural starts: 0.1 after 100 steps
HIGH_LOSS = 1.05  # times ln(classes), over an epoch; natural starts: 1.01 after 100 steps
LARGE_START = 4.0  # times Xavier's first weights; initialization he gives up to 2.7
SAME_OUTPUTS = 0.05  # deviation of the logits over pictures; at 0.3 the loss falls
ABOUT_TO_END = 0.005  # it doubles every 50 steps by then: nothing to say any more
GOOD_STEP = 0.003  # of a layer's size; the median over layers where training goes well

Cause = Literal["saturated", "dead", "too-small-step", "too-large-step", "slow-start"]


@dataclass(frozen=True)
class Diagnosis:
    """The cause of a plateau, and one line for the person who trains."""

    cause: Cause
    text: str


def diagnose(
    engine: Engine,
    train: Pictures,
    settings: Settings,
    rates: NDArray[np.float64],
    history: Sequence[Reading],
    start: State,
) -> str | None:
    """One line on why the loss stays at ln(classes), or None where it does not, or not yet.

    To be called at the end of an epoch: ``history`` since the weights were ``start``, ``rates``
    of every step of the run. Nothing in the engine changes.
    """
    classes = len(engine.network.classes)
    plateau = find_plateau(history, train.labels, classes, settings, weights_of(train))
    if plateau is None or not is_long(plateau):
        return None
    with np.errstate(all="ignore"):  # weights of 1e20 are a finding here, no error
        symptoms = measure_symptoms(engine, train, settings, rates, history, start, plateau)
    diagnosis = judge(symptoms)
    return None if diagnosis is None else diagnosis.text


def judge(symptoms: Symptoms) -> Diagnosis | None:
    """The cause that the numbers show, or None: nothing is wrong, or nothing that they show.

    In this order, since the later may follow from the earlier: weights that are thrown about,
    units that pass no gradient, weights that stand still, a slow start.
    """
    plateau = symptoms.plateau
    if not is_long(plateau):
        return None
    if fault := find_fault(symptoms):
        return fault
    waited = plateau.steps >= SLOW_STEPS and plateau.pictures >= SLOW_PICTURES
    if waited and symptoms.activations and symptoms.output_deviation < ABOUT_TO_END:
        return Diagnosis("slow-start", f"{_head(plateau)}: {_slow(symptoms)}")
    return None


def find_fault(symptoms: Symptoms) -> Diagnosis | None:
    """The fault that the numbers show, or None where they show none, however short the plateau."""
    plateau = symptoms.plateau
    head = _head(plateau)
    farthest, largest = _farthest(symptoms), _largest(symptoms)
    thrown = farthest.moved >= MOVED_FAR or largest.relative_step >= LARGE_STEP
    if thrown and plateau.loss >= HIGH_LOSS * plateau.ignorant_loss:
        return Diagnosis("too-large-step", f"{head}: {explain_large_steps(symptoms)}")

    if symptoms.activations and symptoms.output_deviation < SAME_OUTPUTS:
        deadest = max(symptoms.activations, key=lambda layer: layer.dead)  # the first such layer
        if deadest.dead >= DEAD:
            return Diagnosis("dead", f"{head}: {_dead(symptoms, deadest)}")
        flattest = max(symptoms.activations, key=lambda layer: layer.saturated)
        if flattest.saturated >= SATURATED:
            return Diagnosis("saturated", f"{head}: {_saturated(symptoms, flattest)}")

    moved = statistics.median(layer.moved for layer in symptoms.weights)
    if moved < UNMOVED:
        return Diagnosis("too-small-step", f"{head}: {_too_small(symptoms, moved)}")
    return None


def _farthest(symptoms: Symptoms) -> WeightSymptoms:
    return max(symptoms.weights, key=lambda layer: layer.moved)


def _largest(symptoms: Symptoms) -> WeightSymptoms:
    return max(symptoms.weights, key=lambda layer: layer.relative_step)


def _head(plateau: Plateau) -> str:
    """ "loss has stayed at 2.303 ≈ ln 10 for 3 epochs" """
    loss, expected = plateau.loss, plateau.ignorant_loss
    uniform = math.log(plateau.classes)
    name = f"ln {plateau.classes}"
    if abs(expected - uniform) > 0.015 * uniform:  # classes of different frequencies
        name = "what a guess by the frequency of the classes gives"
        uniform = expected
    duration = f"for {plateau.epochs:.0f} epochs"
    if plateau.epochs < FAULT_EPOCHS:
        duration = f"for {plateau.steps:,} steps"
    if loss <= 1.015 * expected:
        return f"loss has stayed at {loss:.3f} ≈ {name} {duration}"
    shown = f"{loss:.3f}" if loss < 10 else _figure(loss)
    return f"loss has stayed at {shown}, above {name} ({uniform:.3f}), {duration}"


def _too_small(symptoms: Symptoms, moved: float) -> str:
    steps, rate, plateau = symptoms.steps, symptoms.learning_rate, symptoms.plateau
    text = f"the steps are too small: {steps:,} of them moved the weights of most layers by "
    if moved:
        epochs = 0.1 / (moved / max(steps, 1) * plateau.steps / plateau.epochs)
        text += f"{_percent(moved)} of their size or less (a tenth would take {_figure(epochs)} "
        text += "epochs)"
    else:
        text += "nothing"
    typical = statistics.median(layer.relative_step for layer in symptoms.weights)
    usual = _usual_rate(symptoms)
    better = min(usual, rate * GOOD_STEP / typical) if typical else usual
    # Not 'better' where a schedule has ended: the rate is small there, and was not before.
    return f"{text}; try a learning rate of {_round(max(better, 10 * rate))} in place of {rate:g}"


def explain_large_steps(symptoms: Symptoms) -> str:
    """That the steps are too large, what shows it, and a learning rate to try."""
    farthest, largest = _farthest(symptoms), _largest(symptoms)
    if farthest.moved >= MOVED_FAR:
        evidence = f"{_way(symptoms, farthest)}"
    else:
        evidence = f"one changes the weights of {_name(largest)} by "
        evidence += f"{_percent(largest.relative_step)} of their size"
    worst = max(symptoms.activations, key=lambda a: max(a.saturated, a.dead), default=None)
    if worst and max(worst.saturated, worst.dead) >= SATURATED:
        evidence += f", and {_share(worst)}"
    return f"the steps are too large: {evidence}; try {_smaller_rate(symptoms)}"


def _dead(symptoms: Symptoms, layer: ActivationSymptoms) -> str:
    others = [a for a in symptoms.activations if a.dead >= DEAD and a is not layer]
    cause = _cause(symptoms, layer, "initialization he, biases near 0")
    return f"{_share(layer)}{_also(others)}, so no gradient passes them; {cause}"


def _saturated(symptoms: Symptoms, layer: ActivationSymptoms) -> str:
    others = [a for a in symptoms.activations if a.saturated >= SATURATED and a is not layer]
    cause = _cause(symptoms, layer, "initialization xavier")
    text = f"{_share(layer)}{_also(others)}, so {_shrinking(symptoms)}; {cause}"
    if symptoms.method != "sgd" and symptoms.weights[0].gradient:
        text += f". It can end by itself: the steps of {_METHOD[symptoms.method]} do not shrink "
        text += "with the gradient"
    return text


def _cause(symptoms: Symptoms, layer: ActivationSymptoms, better: str) -> str:
    """Whether the first weights or the steps brought the units where they are, and what to try."""
    feeding = [weights for weights in symptoms.weights if weights.index < layer.index]
    if not feeding:
        return f"try {_smaller_rate(symptoms)}"
    weights = feeding[-1]
    if weights.first_size >= LARGE_START:
        return (
            f"the first weights of {_name(weights)} were {_figure(weights.first_size)} times as "
            "large as Xavier's: try smaller ones (initialization xavier)"
        )
    if weights.moved >= MOVED:
        return f"{_way(symptoms, weights)}: try {_smaller_rate(symptoms)}"
    return (
        f"{symptoms.steps:,} steps moved the weights of {_name(weights)} by only "
        f"{_percent(weights.moved)} of their size: try other first weights ({better}) or "
        f"{_smaller_rate(symptoms)}"
    )


def _slow(symptoms: Symptoms) -> str:
    first, last = symptoms.activations[0], symptoms.activations[-1]
    text = "the outputs hardly depend on the picture (they differ by "
    text += f"{_figure(symptoms.output_deviation)} from one to the next) although nothing is "
    text += "saturated"
    if first is not last:
        text += f": from layer {first.index} to layer {last.index} the differences shrink from "
        text += f"{_figure(first.deviation)} to {_figure(last.deviation)}"
        text += f", and {_shrinking(symptoms)}"
    text += ". This often ends by itself after some more epochs. What shortens it: "

    usual, rate = _usual_rate(symptoms), symptoms.learning_rate
    ways = []
    size = statistics.median(layer.first_size for layer in symptoms.weights)
    if size <= 0.75:
        ways.append(f"larger first weights (initialization xavier; these had {size:.0%} of it)")
    if rate <= usual / 3:
        ways.append(f"a larger learning rate ({_round(usual)})")
    elif rate > usual / 2 and symptoms.batch_size < 128:
        ways.append(f"a third of the learning rate ({_round(rate / 3)}) or larger batches")
    if symptoms.method == "sgd":
        ways.append("AdamW with learning rate 0.001")
    if any(layer.kind == "Sigmoid" for layer in symptoms.activations):
        ways.append("Tanh or ReLU in place of Sigmoid")
    return text + ", ".join(ways)


_METHOD = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "sdlm": "SDLM"}


def _share(layer: ActivationSymptoms) -> str:
    """What is flat: "97% of the Sigmoid outputs of layer 1 (C1) are saturated (their slope …)"."""
    after = f"layer {layer.index}" + (f" ({layer.stage})" if layer.stage else "")
    if layer.dead:
        what = "maps" if layer.stage.startswith("C") else "units"
        zero = "0" if layer.kind == "ReLU" else "flat"
        return (
            f"{_percent(layer.dead)} of the {layer.kind} {what} of {after} are {zero} for every "
            "picture"
        )
    share = f"{_percent(layer.saturated)} of the {layer.kind} outputs of {after}"
    slope = f"their slope is below {SATURATED_SHARE:.0%} of the steepest"
    return f"{share} are saturated ({slope})"


def _also(others: Sequence[ActivationSymptoms]) -> str:
    if not others:
        return ""
    *most, last = (str(layer.index) for layer in others)
    layers = f"layers {', '.join(most)} and {last}" if most else f"layer {last}"
    return f", as are most of {layers}"


def _shrinking(symptoms: Symptoms) -> str:
    # No ratio of weight gradients: layers sum over different numbers of places.
    first = symptoms.weights[0]
    return (
        "little gradient passes" if first.gradient else f"no gradient reaches layer {first.index}"
    )


def _way(symptoms: Symptoms, layer: WeightSymptoms) -> str:
    return (
        f"{symptoms.steps:,} steps of {_METHOD[symptoms.method]} moved the weights of "
        f"{_name(layer)} by {_figure(layer.moved)} times their first size"
    )


def _name(layer: WeightSymptoms) -> str:
    return f"layer {layer.index} ({layer.stage or layer.kind})"


def _smaller_rate(symptoms: Symptoms) -> str:
    tenth, usual = symptoms.learning_rate / 10, _usual_rate(symptoms)
    if tenth <= usual:
        return f"a tenth of the learning rate ({_round(tenth)})"
    return f"a learning rate of {_round(usual)} in place of {symptoms.learning_rate:g}"


def _usual_rate(symptoms: Symptoms) -> float:
    """Where to begin with this optimiser; momentum makes a step so much longer."""
    sigmoids = any(layer.kind == "Sigmoid" for layer in symptoms.activations)
    return usual_learning_rate(symptoms.method, sigmoids=sigmoids) * (1 - symptoms.momentum)


def _figure(value: float) -> str:
    """A number with the two digits that matter: 0.00034, 2.1, 41,000, 7e+21."""
    if not 1e-5 <= abs(value) < 1e6:
        return f"{value:.1g}" if value else "0"
    value = float(f"{value:.2g}")
    digits = 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(digits, 0)}f}"


def _round(rate: float) -> str:
    return f"{rate:.1g}" if rate < 1e-4 or rate >= 1 else f"{float(f'{rate:.1g}'):g}"


def _percent(share: float) -> str:
    """A share that reads as all only where it is all."""
    if share >= 0.1:
        return "over 99%" if 0.995 <= share < 1 else f"{share:.0%}"
    return f"{_figure(100 * share)}%"
