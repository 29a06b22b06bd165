"""Why a network does not learn: a plateau at ln(classes), explained from what it computes.

Three steps, each of use by itself: plateau.find_plateau() reads the history,
symptoms.measure_symptoms() looks at activations, gradients and weights, judge() turns these
numbers into a cause and a finding. What the thresholds rest on: for d2l's LeNet with Xavier
weights, SGD 0.9 and batch 256 the loss stays at ln 10 for 250 to 600 steps before it falls, and
nothing is wrong; with tutorial 003's AdamW at 0.01 it stays there because the first thirty steps
saturate every sigmoid of C3.
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
from lenet.language.finding import Finding
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
    """The cause of a plateau; what was seen, why, and what to try, for the person who trains."""

    cause: Cause
    finding: Finding

    @property
    def text(self) -> str:
        """The line that files keep."""
        return str(self.finding)


def diagnose(
    engine: Engine,
    train: Pictures,
    settings: Settings,
    rates: NDArray[np.float64],
    history: Sequence[Reading],
    start: State,
) -> str | None:
    """Why the loss stays at ln(classes), in one line, or None where it does not, or not yet.

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
        return Diagnosis("slow-start", _slow(symptoms))
    return None


def find_fault(symptoms: Symptoms) -> Diagnosis | None:
    """The fault that the numbers show, or None where they show none, however short the plateau."""
    plateau = symptoms.plateau
    farthest, largest = _farthest(symptoms), _largest(symptoms)
    thrown = farthest.moved >= MOVED_FAR or largest.relative_step >= LARGE_STEP
    if thrown and plateau.loss >= HIGH_LOSS * plateau.ignorant_loss:
        return Diagnosis("too-large-step", find_large_steps(symptoms, _head(plateau)))

    if symptoms.activations and symptoms.output_deviation < SAME_OUTPUTS:
        deadest = max(symptoms.activations, key=lambda layer: layer.dead)  # the first such layer
        if deadest.dead >= DEAD:
            return Diagnosis("dead", _dead(symptoms, deadest))
        flattest = max(symptoms.activations, key=lambda layer: layer.saturated)
        if flattest.saturated >= SATURATED:
            return Diagnosis("saturated", _saturated(symptoms, flattest))

    moved = statistics.median(layer.moved for layer in symptoms.weights)
    if moved < UNMOVED:
        return Diagnosis("too-small-step", _too_small(symptoms, moved))
    return None


def _farthest(symptoms: Symptoms) -> WeightSymptoms:
    return max(symptoms.weights, key=lambda layer: layer.moved)


def _largest(symptoms: Symptoms) -> WeightSymptoms:
    return max(symptoms.weights, key=lambda layer: layer.relative_step)


def _head(plateau: Plateau) -> str:
    """ "the loss has stayed at 2.303 ≈ ln 10 for 3 epochs" """
    loss, expected = plateau.loss, plateau.ignorant_loss
    uniform = math.log(plateau.classes)
    name = f"ln {plateau.classes}"
    if abs(expected - uniform) > 0.015 * uniform:  # classes of different frequencies
        name = "a guess by class frequency"
        uniform = expected
    duration = f"for {plateau.epochs:.0f} epochs"
    if plateau.epochs < FAULT_EPOCHS:
        duration = f"for {plateau.steps:,} steps"
    if loss <= 1.015 * expected:
        return f"the loss has stayed at {loss:.3f} ≈ {name} {duration}"
    shown = f"{loss:.3f}" if loss < 10 else _figure(loss)
    return f"the loss has stayed at {shown}, above {name} ({uniform:.3f}), {duration}"


def _too_small(symptoms: Symptoms, moved: float) -> Finding:
    steps, rate, plateau = symptoms.steps, symptoms.learning_rate, symptoms.plateau
    why = f"the steps are too small: {steps:,} of them moved the weights of most layers by "
    if moved:
        epochs = 0.1 / (moved / max(steps, 1) * plateau.steps / plateau.epochs)
        why += f"{_percent(moved)} of their size or less (a tenth would take {_figure(epochs)} "
        why += "epochs)"
    else:
        why += "nothing"
    typical = statistics.median(layer.relative_step for layer in symptoms.weights)
    usual = _usual_rate(symptoms)
    better = min(usual, rate * GOOD_STEP / typical) if typical else usual
    # Not 'better' where a schedule has ended: the rate is small there, and was not before.
    rates = f"a learning rate of {_round(max(better, 10 * rate))} in place of {rate:g}"
    return Finding(_head(plateau), why, rates)


def find_large_steps(symptoms: Symptoms, seen: str) -> Finding:
    """That the steps are too large: what was ``seen`` and what shows it, and a rate to try."""
    farthest, largest = _farthest(symptoms), _largest(symptoms)
    worst = max(symptoms.activations, key=lambda a: max(a.saturated, a.dead), default=None)
    if worst and max(worst.saturated, worst.dead) >= SATURATED:
        seen += f"; {_share(worst)}"
    if farthest.moved >= MOVED_FAR:
        evidence = _way(symptoms, farthest)
    else:
        evidence = f"one changes the weights of {_name(largest)} by "
        evidence += f"{_percent(largest.relative_step)} of their size"
    return Finding(seen, f"the steps are too large: {evidence}", _smaller_rate(symptoms))


def _dead(symptoms: Symptoms, layer: ActivationSymptoms) -> Finding:
    others = [a for a in symptoms.activations if a.dead >= DEAD and a is not layer]
    way, to_try = _cause(symptoms, layer, "initialization he, biases near 0")
    seen = f"{_head(symptoms.plateau)}; {_share(layer)}{_also(others)}"
    return Finding(seen, f"such {_units(layer)} pass no gradient{way}", to_try)


def _saturated(symptoms: Symptoms, layer: ActivationSymptoms) -> Finding:
    others = [a for a in symptoms.activations if a.saturated >= SATURATED and a is not layer]
    way, to_try = _cause(symptoms, layer, "initialization xavier")
    seen = f"{_head(symptoms.plateau)}; {_share(layer)}{_also(others)}"
    first = symptoms.weights[0]
    why = f"a flat {layer.kind} passes little gradient"
    if not first.gradient:
        why = f"no gradient reaches layer {first.index} through a flat {layer.kind}"
    elif symptoms.method != "sgd":
        to_try += f". It can also end by itself: the steps of {_METHOD[symptoms.method]} do not "
        to_try += "shrink with the gradient"
    return Finding(seen, why + way, to_try)


def _cause(symptoms: Symptoms, layer: ActivationSymptoms, better: str) -> tuple[str, str]:
    """Whether the first weights or the steps brought the units where they are, and what to try."""
    feeding = [weights for weights in symptoms.weights if weights.index < layer.index]
    if not feeding:
        return "", _smaller_rate(symptoms)
    weights = feeding[-1]
    if weights.first_size >= LARGE_START:
        times = _figure(weights.first_size)
        way = f"; the first weights of {_name(weights)} were {times} times as large as Xavier's"
        return way, "smaller first weights (initialization xavier)"
    if weights.moved >= MOVED:
        return f"; {_way(symptoms, weights)}", _smaller_rate(symptoms)
    way = f"; {symptoms.steps:,} steps moved the weights of {_name(weights)} by only "
    way += f"{_percent(weights.moved)} of their size"
    return way, f"other first weights ({better}); or {_smaller_rate(symptoms)}"


def _slow(symptoms: Symptoms) -> Finding:
    first, last = symptoms.activations[0], symptoms.activations[-1]
    seen = f"{_head(symptoms.plateau)}, and the outputs hardly depend on the picture: they differ "
    seen += f"by {_figure(symptoms.output_deviation)} from one to the next"
    why = "a slow start: nothing is saturated"
    if first is not last:
        why += f", but from layer {first.index} to layer {last.index} the differences between "
        why += f"pictures shrink from {_figure(first.deviation)} to {_figure(last.deviation)}"
        if not symptoms.weights[0].gradient:
            why += f", and no gradient reaches layer {symptoms.weights[0].index}"

    usual, rate = _usual_rate(symptoms), symptoms.learning_rate
    ways = ["some more epochs (it often ends by itself)"]
    size = statistics.median(layer.first_size for layer in symptoms.weights)
    if size <= 0.75:
        ways.append(f"initialization xavier (the first weights had {size:.0%} of its size)")
    if rate <= usual / 3:
        ways.append(f"a learning rate of {_round(usual)}")
    elif rate > usual / 2 and symptoms.batch_size < 128:
        ways.append(f"a learning rate of {_round(rate / 3)} or larger batches")
    if symptoms.method == "sgd":
        ways.append("AdamW at 0.001")
    if any(layer.kind == "Sigmoid" for layer in symptoms.activations):
        ways.append("Tanh or ReLU in place of Sigmoid")
    return Finding(seen, why, "; or ".join(ways))


_METHOD = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "sdlm": "SDLM"}


def _share(layer: ActivationSymptoms) -> str:
    """What is flat: "97% of the Sigmoid outputs of layer 1 (C1) are saturated (slope under …)"."""
    after = f"layer {layer.index}" + (f" ({layer.stage})" if layer.stage else "")
    if layer.dead:
        share = f"{_percent(layer.dead)} of the {layer.kind} {_units(layer)} of {after}"
        return f"{share} are {'0' if layer.kind == 'ReLU' else 'flat'} for every picture"
    share = f"{_percent(layer.saturated)} of the {layer.kind} outputs of {after}"
    return f"{share} are saturated (slope under {SATURATED_SHARE:.0%} of its peak)"


def _units(layer: ActivationSymptoms) -> str:
    return "maps" if layer.stage.startswith("C") else "units"


def _also(others: Sequence[ActivationSymptoms]) -> str:
    if not others:
        return ""
    if len(others) > 2:
        return f", as in {len(others)} other layers"
    layers = " and ".join(str(layer.index) for layer in others)
    return f", as in layer{'s' if len(others) > 1 else ''} {layers}"


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
