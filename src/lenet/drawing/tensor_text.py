"""An array as PyTorch prints a tensor, without PyTorch.

>>> import numpy as np
>>> print(tensor_text(np.array([[0.25, -1.5], [3.0, 10.0]], np.float32)))
tensor([[ 0.2500, -1.5000],
        [ 3.0000, 10.0000]])
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

LINE = 80  # characters, torch's own `linewidth`
OPENING = "tensor("


def tensor_text(array: NDArray[np.float32]) -> str:
    """What ``print(torch.from_numpy(array))`` prints, all numbers of it.

    Four digits, columns aligned, lines of 80 characters, as torch does unless told otherwise; but
    where it leaves numbers out (more than 1,000), they are here: as under its profile "full".
    """
    if not array.size:
        shape = f", size={array.shape}" if array.ndim != 1 else ""
        return f"{OPENING}[]{shape})"
    show, width = _number_format(array)
    return f"{OPENING}{_nested(array, len(OPENING), show, width)})"


def _number_format(array: NDArray[np.float32]) -> tuple[Callable[[float], str], int]:
    """How every number is written, and the width they share: the widest finite one's."""
    values = array.astype(np.float64).ravel()
    finite = values[np.isfinite(values) & (values != 0)]
    if not finite.size:
        return (lambda value: _whole(value)), 1
    sizes = np.abs(finite)
    smallest, largest = float(sizes.min()), float(sizes.max())
    whole = bool(np.all(finite == np.ceil(finite)))
    # torch's limits: beyond them four digits after the point would say too little
    if largest / smallest > 1000 or largest > 1e8 or (not whole and smallest < 1e-4):
        return _aligned(finite, lambda value: f"{value:.4e}")
    if whole:
        return _aligned(finite, _whole)
    return _aligned(finite, lambda value: f"{value:.4f}")


def _whole(value: float) -> str:
    return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"


def _aligned(
    finite: NDArray[np.float64], show: Callable[[float], str]
) -> tuple[Callable[[float], str], int]:
    return show, max(len(show(value)) for value in finite.tolist())


def _nested(
    array: NDArray[np.float32], indent: int, show: Callable[[float], str], width: int
) -> str:
    """The array in brackets; what follows a line break begins at column ``indent`` or right of it.

    One line break between rows, and one more for each dimension above them.
    """
    if array.ndim == 0:
        return show(float(array)).rjust(width)
    if array.ndim == 1:
        words = [show(value).rjust(width) for value in array.tolist()]
        in_a_line = max(1, (LINE - indent) // (width + 2))
        lines = [words[start : start + in_a_line] for start in range(0, len(words), in_a_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(map(", ".join, lines)) + "]"
    parts = [_nested(part, indent + 1, show, width) for part in array]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"
