"""A trained network as the service sees it: from pictures to answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lenet.network.architecture import Network
from lenet.serve.batching import Outcome, UInt8
from lenet.serve.exchange import RefusedError

NONE_OF_THESE = "none of these"


@dataclass(frozen=True)
class Served:
    """A network by its name, and what turns pictures into answers.

    ``logits`` and ``probabilities`` take (n, channels, height, width) uint8 and (n, classes)
    float32; ``known`` says which are pictures of the network's kind. ``read`` is a picture of a
    file as the network sees it, (channels, height, width); it raises ValueError for what is none.
    """

    name: str
    network: Network
    logits: Callable[[UInt8], NDArray[np.float32]]
    probabilities: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    known: Callable[[NDArray[np.float32]], NDArray[np.bool_]]
    read: Callable[[BinaryIO, str], UInt8]
    engine: str = ""

    def compute(self, images: UInt8) -> Outcome:
        """What the network says. Raises ArithmeticError where its outputs are no numbers."""
        logits = self.logits(images)
        if not np.isfinite(logits).all():
            raise ArithmeticError(
                f"the outputs of {self.name} are no finite numbers: its training went wrong"
            )
        return Outcome(logits, self.probabilities(logits), self.known(logits))


def shaped(served: Served, pixels: NDArray[Any], what: str) -> UInt8:
    """Pixels as the network's pictures, (n, channels, height, width) uint8.

    Taken: (n, c, h, w), (n, c·h·w), one channel also (n, h, w); whole numbers from 0 to 255 of any
    type. Refused otherwise, with the shape or value in the sentence.
    """
    c, h, w = served.network.input_shape
    shapes = [(c, h, w), (c * h * w,), *([(h, w)] if c == 1 else [])]
    if pixels.ndim < 2 or pixels.shape[1:] not in shapes:
        raise RefusedError(
            400,
            f"{what} has the shape {list(pixels.shape)}; {served.name} takes "
            f"[n, {c}, {h}, {w}] or [n, {c * h * w}]",
        )
    if not len(pixels):
        raise RefusedError(400, f"{what} holds no picture")
    if pixels.dtype != np.uint8:
        if pixels.dtype.kind not in "iufb":
            raise RefusedError(400, f"{what} holds something that is no number from 0 to 255")
        with np.errstate(invalid="ignore"):
            whole = pixels.astype(np.uint8)
            wrong = pixels[whole != pixels]
        if wrong.size:
            raise RefusedError(
                400,
                f"{what} holds {wrong.flat[0]}; pixels are whole numbers from 0 to 255, as in a "
                "picture file, neither scaled nor normalised",
            )
        pixels = whole
    return np.ascontiguousarray(pixels).reshape(-1, c, h, w)
