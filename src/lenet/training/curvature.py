"""The curvature of the loss along each weight, which the optimiser ``sdlm`` divides its steps by.

LeCun et al. 1998, appendix C: stochastic diagonal Levenberg–Marquardt. The curvature is the mean,
over 500 training pictures, of the diagonal of the Gauss–Newton approximation to the second
derivative; it is estimated anew before each epoch.

The paper takes second derivatives back through the layers, and leaves out the terms between two
units, and between two places that share a weight. Here the same diagonal is estimated by first
derivatives alone, which every engine has: for a loss that is the negative logarithm of a
probability, the Gauss–Newton matrix is the mean of g·gᵀ, where g is the gradient for a label that
is drawn from the network's own probabilities (Martens 2020, "New insights and perspectives on the
natural gradient method", section 5). So shared weights are right, and nothing is left out, but a
single picture's estimate is a random one. Of the class "none of these"
(``Objective.rubbish_distance``) no label is drawn: where it is likely, at the beginning, the
curvature comes out too large, and the first steps too short.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lenet.data import Split
from lenet.engines import Engine, Position
from lenet.network.parameters import State
from lenet.optimization import Settings

EXAMPLES = 500  # pictures that it is estimated from, as in the paper


def with_curvature(engine: Engine, train: Split, settings: Settings, epoch: int) -> State:
    """The engine's state with the curvature of this epoch, a function of it, seed and epoch."""
    state = engine.state()
    random = np.random.default_rng((settings.seed, epoch + 1, EXAMPLES))
    chosen = np.sort(random.choice(len(train), min(EXAMPLES, len(train)), replace=False))
    images = np.ascontiguousarray(train.images[chosen])
    engine.load(replace(state, average=None))  # logits are those of the weights that are trained
    labels = draw_labels(engine.logits(images), random)
    total = np.zeros(1)
    layout = None
    for i, label in enumerate(labels):
        one = engine.gradients(
            images[i : i + 1], np.array([label]), Position(settings.seed, epoch, i)
        )
        total = total + np.square(one.flat, dtype=np.float64)
        layout = one.layout
    assert layout is not None
    return replace(state, moments={"curvature": layout.views(total / len(labels))})


def draw_labels(logits: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.int64]:
    """A label (n,) for each row of logits (n, classes), with the probabilities that they stand for.

    The largest sum of a logit and Gumbel's noise has them.
    """
    noise = random.gumbel(size=logits.shape)
    return np.asarray((logits + noise).argmax(1), np.int64)
