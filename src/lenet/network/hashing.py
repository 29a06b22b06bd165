"""32 bits mixed well: what dropout and codes at random are drawn with (docs/randomness.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def hash32(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """32 well mixed bits for 32 bits: xor-shift and multiply, with Wellons' "lowbias32" numbers."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))
