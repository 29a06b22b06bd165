"""32 bits mixed well: what dropout and codes at random are drawn with (docs/randomness.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def hash32(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """32 well mixed bits for each 32 bits, in the same shape.

    Xor-shift and multiply, with the numbers of C. Wellons' "lowbias32" (Hash Prospector, 2018).
    No two values have the same hash. A product that is too large keeps its lowest 32 bits.
    """
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))
