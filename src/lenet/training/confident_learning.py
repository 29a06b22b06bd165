"""Which labels are probably wrong, from out-of-sample probabilities: confident learning.

C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
JAIR 70 (2021). A picture counts for a class where its probability is at least what that class's own
pictures have on average; a picture that counts for another class than its label is suspected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Doubts:
    """Every picture of a part, the most doubtful first."""

    order: NDArray[np.int64]  # (n,) indices
    suggested: NDArray[np.int64]  # (n,) by index: the class that fits best
    score: NDArray[np.float64]  # (n,) by index: the label's probability less the suggested one's
    suspected: NDArray[np.bool_]  # (n,) by index: counts for another class than its label
    joint: NDArray[np.int64]  # (classes, classes) the confident joint: labels in rows


def thresholds(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of each class the mean probability that its own pictures have, (classes,); 1 without any."""
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, own, minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)


def doubt(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Doubts:
    """The pictures ranked by how probably their labels (n,) are wrong.

    ``probabilities`` (n, classes) are those of networks that never saw the picture. The rank is
    the margin between the label and the best other class; suspected are the pictures off the
    diagonal of the confident joint. To put these first found no more of the wrong labels that were
    put in for a measurement, and often fewer (docs/doubt.md).
    """
    each, classes = np.arange(len(labels)), probabilities.shape[1]
    own = probabilities[each, labels]
    others = probabilities.copy()
    others[each, labels] = -1.0
    suggested = others.argmax(1)
    score = own - others[each, suggested]

    counts = probabilities >= thresholds(labels, probabilities)  # which classes it counts for
    counted = np.where(counts, probabilities, -1.0).argmax(1)  # of several the most probable
    sure = counts.any(1)
    joint = np.bincount(labels[sure] * classes + counted[sure], minlength=classes**2)
    suspected = sure & (counted != labels)
    return Doubts(
        order=np.lexsort((each, score)),
        suggested=suggested,
        score=score,
        suspected=suspected,
        joint=joint.reshape(classes, classes),
    )
