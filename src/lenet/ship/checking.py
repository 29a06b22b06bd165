"""What an exported file must do before it is kept: compute what the network does."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

CLOSE: Final = 1e-4  # of a logit; of the largest where that is above 1


class ParityError(RuntimeError):
    """An exported file that computes something else than the network does."""


def largest_difference(
    who: str, logits: NDArray[np.float32], expected: NDArray[np.float32]
) -> float:
    """The largest difference of a logit. Raises ParityError, naming who computed it, above 1e-4."""
    apart = float(np.abs(logits - expected).max(initial=0))
    if not apart <= CLOSE * max(1.0, float(np.abs(expected).max(initial=0))):
        raise ParityError(
            f"{who} computes logits that differ by {apart:.2g} from the right ones; the "
            "file was not kept"
        )
    return apart
