"""How a run ended: a finding where the network knows no more than a guess, or worse.

diagnosis.py looks for faults while a network trains, and leaves a natural start alone. At the end
of a run a start that has not come to pass is worth a line as well, however short the run was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lenet.data import mapped
from lenet.engines import Engine, Pictures
from lenet.language.finding import Finding
from lenet.network.parameters import State
from lenet.optimization import Settings
from lenet.training import diagnosis
from lenet.training.plateau import ACCURACY_MARGIN, LOSS_MARGIN, Plateau, Reading, find_plateau
from lenet.training.symptoms import Symptoms, measure_symptoms
from lenet.training.weighting import emphasis, weights_of

EXAMINED: Final = 1_000  # training pictures; accuracy to within 0.02 where it is 0.1
BLOWN_UP: Final = 2.0  # times the loss of a guess: no network that has learnt is so wrong at home

# d2l's LeNet on 10,000 pictures, steps of SGD until the loss of an epoch is below 2.1 (n = 3 seeds
# each): in batches of 256 352 to 408 at 0.9, 400 to 448 at 0.5, 528 to 648 at 0.3; at 0.9 in
# batches of 64 1,130 to 2,260, of 32 2,002 to 4,066: it is the pictures that count there.
SIGMOIDS_NEED: Final = 400
SIGMOIDS_NEED_PICTURES: Final = 100_000
SIGMOIDS_NEED_AT: Final = 0.9  # of the learning rate
SIGMOIDS_NEED_OF_ADAM: Final = 150  # 112 to 188 at 0.001 and 0.002, in batches of 64 and 256
OTHERS_NEED: Final = 100  # ReLU and tanh learn from the first step; this is to see it
BEYOND_THE_START: Final = 2.5  # an epoch number that is proposed is for learning, too


@dataclass(frozen=True)
class Guess:
    """What outputs that ignore the pictures reach at best."""

    loss: float  # ln(classes) where the classes are balanced
    accuracy: float  # the share of the most frequent class
    name: str  # of the loss: "ln 10"


def conclude(
    engine: Engine,
    train: Pictures,
    settings: Settings,
    rates: NDArray[np.float64],
    history: Sequence[Reading],
    first: State,
) -> str | None:
    """One line on why the network has not learnt by the end of its run, or None where it has.

    ``history`` is that of the whole run, ``first`` the weights that it began with, ``rates`` the
    learning rate of every step. The network is judged by up to 1,000 of its own training
    pictures. Nothing in the engine changes.
    """
    if not history:
        return None
    classes = len(engine.network.classes)
    counted = emphasis(train.labels, classes, settings, weights_of(train))
    chosen = _examined(len(train.labels), counted)
    examined = _Pictures(mapped.gather(train.images, chosen), train.labels[chosen])
    guess = best_guess(train.labels if counted is None else examined.labels, classes)
    if not guess.loss:
        return None  # one class: there is nothing to learn
    with np.errstate(all="ignore"):  # weights of 1e30 are a finding here, no error
        found = engine.evaluate(examined)
        blown_up = not found.loss <= BLOWN_UP * guess.loss
        if not blown_up and not _is_a_guess(found.loss, found.accuracy, guess, len(chosen)):
            return None
        plateau = _plateau(train, settings, history, len(engine.network.classes), guess)
        symptoms = measure_symptoms(engine, train, settings, rates, history, first, plateau)
    if blown_up:
        return _blown_up(symptoms, found.loss, found.accuracy, guess)
    fault = diagnosis.find_fault(symptoms)
    if fault is not None and (fault.cause != "too-small-step" or symptoms.steps >= OTHERS_NEED):
        return fault.text
    why, to_try = _too_early(symptoms, settings, rates, history[-1])
    seen = (
        f"this run ended before its network learnt anything: its loss of {found.loss:.3f} and its "
        f"accuracy of {found.accuracy:.3f} are those of a guess ({guess.name}, "
        f"{guess.accuracy:.3f})"
    )
    return str(Finding(seen, why, to_try))


@dataclass(frozen=True)
class _Pictures:
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def _examined(pictures: int, counted: NDArray[np.float64] | None) -> NDArray[np.int64]:
    """Which pictures the network is judged by: spread evenly, or as much as each counts."""
    count = min(EXAMINED, pictures)
    if counted is None:
        return np.linspace(0, pictures - 1, count).astype(np.int64)
    sums = np.cumsum(counted)
    places = (np.arange(count) + 0.5) / count * sums[-1]
    return np.asarray(np.searchsorted(sums, places).clip(0, pictures - 1), np.int64)


def best_guess(labels: NDArray[np.int64], classes: int) -> Guess:
    """What always the same outputs reach on pictures with these labels."""
    share = np.bincount(labels, minlength=classes) / len(labels)
    share = share[share > 0]
    loss = float(-(share * np.log(share)).sum())
    balanced = abs(loss - math.log(classes)) <= 0.015 * math.log(classes) if classes > 1 else False
    name = f"ln {classes}" if balanced else f"{loss:.3f}"
    return Guess(max(loss, 0.0), float(share.max()), name)


def _is_a_guess(loss: float, accuracy: float, guess: Guess, pictures: int) -> bool:
    """Whether loss and accuracy are no better than a guess's, by more than chance explains."""
    variance = guess.accuracy * (1 - guess.accuracy)
    luck = ACCURACY_MARGIN * variance + 4 * math.sqrt(variance / pictures)
    return loss >= guess.loss * (1 - LOSS_MARGIN) and accuracy <= guess.accuracy + luck


def _plateau(
    train: Pictures,
    settings: Settings,
    history: Sequence[Reading],
    classes: int,
    guess: Guess,
) -> Plateau:
    """The plateau that the run ended on; its last epoch where the readings show none."""
    found = find_plateau(history, train.labels, classes, settings, weights_of(train))
    if found is not None:
        return found
    pictures = min(len(train.labels), history[-1].examples_seen)
    steps = math.ceil(pictures / settings.batch_size)
    return Plateau(history[-1].train_loss, guess.loss, classes, 1.0, steps, pictures)


def _blown_up(symptoms: Symptoms, loss: float, accuracy: float, guess: Guess) -> str:
    """What a loss far above that of a guess comes from."""
    seen = (
        f"this run ended worse than it began: its loss on its own training pictures is {loss:.3g} "
        f"(accuracy {accuracy:.3f}), that of a guess {guess.name}"
    )
    return str(diagnosis.find_large_steps(symptoms, seen))


def _too_early(
    symptoms: Symptoms, settings: Settings, rates: NDArray[np.float64], last: Reading
) -> tuple[str, str]:
    """How many steps a network like this needs to start, how many it did; and what to try."""
    sigmoids = any(layer.kind == "Sigmoid" for layer in symptoms.activations)
    done = last.step
    per_epoch = max(1, round(done / last.epoch))
    if sigmoids:
        needed = _sigmoids_need(symptoms, float(rates[:done].mean()))
        why = f"Sigmoid networks need about {needed:,} such steps to start, and this run did "
    else:
        needed = OTHERS_NEED
        why = f"a network needs {needed:,} steps and more, and this run did "
    why += f"{done:,} ({per_epoch:,} an epoch)"
    if done >= needed:
        why += "; some need several times as many"
        needed = 2 * done
    to_try = f"--epochs {math.ceil(BEYOND_THE_START * needed / per_epoch)}"
    if sigmoids:
        to_try += ", or ReLU in place of Sigmoid, which starts at once (the recipe quickstart)"
    return why, to_try


def _sigmoids_need(symptoms: Symptoms, rate: float) -> int:
    """The steps that d2l's LeNet takes to leave ln 10, in such batches at this mean rate."""
    if symptoms.method != "sgd":
        return SIGMOIDS_NEED_OF_ADAM
    steps = max(SIGMOIDS_NEED, SIGMOIDS_NEED_PICTURES / symptoms.batch_size)
    slower = SIGMOIDS_NEED_AT * (1 - symptoms.momentum) / rate
    return 100 * round(steps * math.cbrt(max(1.0, slower)) / 100)
