"""Numbers as C writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def array(kind: str, name: str, texts: list[str]) -> str:
    """A constant array in C."""
    return f"static const {kind} {name}[{len(texts)}] = {{\n{lines(texts)}\n}};\n"


def floats(values: Sequence[float] | NDArray[Any]) -> list[str]:
    """float32 numbers as C writes them, in as few digits as read back to the same.

    >>> floats([np.float32(0.1), np.float32(1), np.float32(1e-8)])
    ['0.1f', '1.0f', '1e-08f']
    """
    texts = (str(np.float32(value)) for value in np.ravel(np.asarray(values, np.float32)))
    return [f"{text}f" for text in texts]


def lines(texts: list[str], width: int = 100) -> str:
    """Numbers between commas, in lines of at most ``width`` characters."""
    rows, row = [], ""
    for text in texts:
        if row and len(row) + len(text) + 2 > width:
            rows.append(row)
            row = ""
        row += f"{text}, " if row else f"  {text}, "
    return "\n".join(line.rstrip() for line in [*rows, row]).rstrip(",")
