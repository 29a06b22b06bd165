"""Unequal classes: weights as numbers, and epochs in which each class comes equally often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lenet.data import Split
from lenet.names import did_you_mean
from lenet.optimization import (
    BALANCED,
    Objective,
    SettingError,
    Settings,
    parse_weights,
    weights_text,
)
from lenet.untrusted import shown


def resolved(objective: Objective, train: Split) -> Objective:
    """The objective with one number for each class in place of "balanced" or of names.

    Balanced weights are n / (k · nᶜ) for the nᶜ of n pictures of class c, k the classes that have
    any, as in scikit-learn; a class without pictures has weight 1, which nothing meets. Raises
    SettingError for a name that no class has, or another count of numbers than of classes.
    """
    if not objective.class_weights:
        return objective
    numbers = _class_weights(objective.class_weights, train.labels, train.classes)
    return replace(objective, class_weights=weights_text(numbers))


def _class_weights(text: str, labels: NDArray[np.int64], classes: Sequence[str]) -> list[float]:
    said = parse_weights(text)
    if isinstance(said, str):
        return list(map(float, balanced(labels, len(classes))))
    if said[0][0] is None:
        if len(said) != len(classes):
            raise SettingError(
                f"objective.class_weights has {len(said)} numbers for {len(classes)} classes "
                f"({', '.join(map(shown, classes[:12]))}): give one for each, or name the classes, "
                f"such as {classes[0]}=2"
            )
        return [number for _, number in said]
    found = dict.fromkeys(classes, 1.0)
    for name, number in said:
        if name not in found:
            hint = did_you_mean(str(name), found)
            raise SettingError(
                f"objective.class_weights: no class is called {shown(name)}; {hint}choose from "
                f"{', '.join(map(shown, classes[:50]))}"
            )
        found[name] = number
    if not any(found[classes[label]] for label in np.unique(labels)):
        raise SettingError(
            "objective.class_weights are 0 for every class that has pictures: nothing would be "
            "learnt"
        )
    return list(found.values())


def balanced(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """n / (k · nᶜ) for each class, (classes,); 1 for one without pictures.

    >>> balanced(np.array([0, 0, 0, 1]), 3)
    array([0.66666667, 2.        , 1.        ])
    """
    counts = np.bincount(labels, minlength=classes)
    there = counts > 0
    return np.where(there, len(labels) / (there.sum() * np.maximum(counts, 1)), 1.0)


def weights_of(pictures: object) -> NDArray[np.float32] | None:
    """The pictures' own weights; None where they are all alike, or cannot have any."""
    found: NDArray[np.float32] | None = getattr(pictures, "weights", None)
    return found


def emphasis(
    labels: NDArray[np.int64],
    classes: int,
    settings: Settings,
    weights: NDArray[np.float32] | None,
) -> NDArray[np.float64] | None:
    """How much each training picture counts in all, (n,); None where all count alike.

    Its own weight, its class's, and how much more often balanced sampling shows it.
    """
    numbers = settings.objective.numbers
    if weights is None and not numbers and settings.sampling != BALANCED:
        return None
    found = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    if numbers:
        found *= np.asarray(numbers)[labels]
    if settings.sampling == BALANCED:
        found *= balanced(labels, classes)[labels]
    return found if found.sum() > 0 else None


def balanced_order(random: np.random.Generator, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """An epoch's order (n,) in which every class that has pictures comes equally often.

    Each class gives n / k pictures, some one more, by lot. Within a class every picture comes once
    before one comes twice: of the larger classes an epoch shows a part, of the smaller all, again
    and again.
    """
    present, where = np.unique(labels, return_inverse=True)
    by_class = np.split(np.argsort(where, kind="stable"), np.cumsum(np.bincount(where))[:-1])
    shares = np.full(len(present), len(labels) // len(present))
    shares[random.permutation(len(present))[: len(labels) % len(present)]] += 1
    drawn = []
    for members, share in zip(by_class, shares, strict=True):
        rounds = [random.permutation(members) for _ in range(-(-share // len(members)))]
        drawn.append(np.concatenate(rounds)[:share] if rounds else members[:0])
    return np.asarray(random.permutation(np.concatenate(drawn)), np.int64)
