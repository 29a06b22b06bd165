"""What a few runs say of two settings: means, confidence intervals, paired tests.

Student's t has closed forms for whole degrees of freedom, which these are: Abramowitz and Stegun,
*Handbook of Mathematical Functions*, 26.7.3 and 26.7.4.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Summary:
    """The mean of n values, and what n says of it; None where one value says nothing."""

    n: int
    mean: float
    deviation: float | None  # with n - 1
    low: float | None  # of the 95% confidence interval of the mean
    high: float | None


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences, and how likely one as large is where there is none."""

    n: int
    mean: float
    low: float | None
    high: float | None
    p: float | None  # two-sided


def summary(values: Sequence[float]) -> Summary:
    """Mean, standard deviation and 95% confidence interval of some values.

    >>> found = summary([1.0, 2.0, 3.0])
    >>> found.mean, found.deviation, round(found.low, 3), round(found.high, 3)
    (2.0, 1.0, -0.484, 4.484)
    """
    n, mean = len(values), statistics.fmean(values)
    if n < 2:
        return Summary(n, mean, None, None, None)
    deviation = statistics.stdev(values)
    half = t_quantile(CONFIDENCE, n - 1) * deviation / math.sqrt(n)
    return Summary(n, mean, deviation, mean - half, mean + half)


def paired(first: Sequence[float], second: Sequence[float]) -> Difference:
    """``first`` minus ``second``, pair by pair: the paired t test, two-sided.

    Where all differences are equal, they say for sure whether there is one.
    """
    found = summary([a - b for a, b in zip(first, second, strict=True)])
    if found.deviation is None:
        return Difference(found.n, found.mean, None, None, None)
    if found.deviation == 0:
        p = 1.0 if found.mean == 0 else 0.0
    else:
        p = t_probability(found.mean / found.deviation * math.sqrt(found.n), found.n - 1)
    return Difference(found.n, found.mean, found.low, found.high, p)


def holm(probabilities: Sequence[float | None]) -> list[float | None]:
    """The probabilities made larger, as many comparisons ask for (Holm, 1979): one below 0.05 is a
    difference, however many were compared.

    >>> holm([0.01, 0.04, None, 0.03])
    [0.03, 0.06, None, 0.06]
    """
    known = sorted((p, place) for place, p in enumerate(probabilities) if p is not None)
    found: list[float | None] = [None] * len(probabilities)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        found[place] = highest
    return found


def t_probability(t: float, freedom: int) -> float:
    """The probability of a value at least as far from 0 as ``t``, by Student's distribution.

    >>> round(t_probability(2.776, 4), 3)
    0.05
    """
    theta = math.atan(abs(t) / math.sqrt(freedom))
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = freedom % 2
    term = total = cosine if odd else 1.0
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    if not odd:
        inside = sine * total
    else:
        inside = 2 / math.pi * (theta + (sine * total if freedom > 1 else 0.0))
    return max(0.0, 1.0 - inside)


def t_quantile(share: float, freedom: int) -> float:
    """How far from 0 that share of the values lies at most.

    >>> round(t_quantile(0.95, 4), 3), round(t_quantile(0.95, 1), 3)
    (2.776, 12.706)
    """
    low, high = 0.0, 1.0
    while t_probability(high, freedom) > 1 - share:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        if t_probability(middle, freedom) > 1 - share:
            low = middle
        else:
            high = middle
    return high
