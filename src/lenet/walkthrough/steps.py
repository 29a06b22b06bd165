"""Pooling and convolution number by number, as ``lenet explain`` shows them.

``pooling`` and ``convolution`` compute, with the loops of ``scratch``; ``text`` writes out what
they did, in English or Chinese, ``remarks`` says what to learn from it, and ``picture`` draws it.

>>> walk = convolution([[[0, 1, 2], [3, 4, 5], [6, 7, 8]]], [[[0, 1], [2, 3]]])
>>> walk.output.tolist()
[[[19, 25], [37, 43]]]
>>> walk.steps[0].arithmetic
('0·0 + 1·1 + 3·2 + 4·3 = 19',)
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lenet import scratch
from lenet.language.asked import language_of
from lenet.scratch import Step


class WalkthroughError(ValueError):
    """An example that cannot be read or shown; the message says what is expected."""


@dataclass(frozen=True)
class Walkthrough:
    """One example: what went in, what came out, and each step between.

    Printed, it is the text of ``lenet explain``; a notebook shows the picture of its last step.
    """

    kind: Literal["max", "avg", "conv"]
    input: NDArray[Any] = field(repr=False)  # (channels, rows, columns)
    kernel: NDArray[Any] | None = field(repr=False)  # (channels, rows, columns); None for pooling
    bias: float | None
    window: tuple[int, int]  # rows, columns
    padding: int
    stride: int
    count_include_pad: bool  # of averages
    output: NDArray[Any] = field(repr=False)  # (channels, rows, columns); of a convolution, one
    steps: tuple[Step, ...] = field(repr=False)  # in the order of the output's numbers

    def name(self, position: tuple[int, ...]) -> str:
        """A number of the output as it is called: Y[0, 0], or Y[1, 0, 0] of several channels."""
        shown = position if len(self.output) > 1 else position[1:]
        return f"Y[{', '.join(map(str, shown))}]"

    def __str__(self) -> str:
        from lenet.walkthrough import text

        return "\n".join(text.lines(self, language_of(os.environ)))

    def _repr_png_(self) -> bytes:
        from lenet.drawing import figures
        from lenet.walkthrough import picture

        language, _ = picture.drawable(language_of(os.environ))
        return figures.encoded(picture.last_frame(self, language), "png", dpi=90)


def pooling(
    X: Any,
    window: tuple[int, int] = (2, 2),
    mode: str = "max",
    *,
    padding: int = 0,
    stride: int = 1,
    count_include_pad: bool = True,
) -> Walkthrough:
    """The steps of pooling X (channels, rows, columns). Raises ScratchError as ``pool2d``."""
    X = np.asarray(X)

    def pooled(explain: bool) -> Any:
        return scratch.pool2d(
            X,
            window,
            mode,
            padding=padding,
            stride=stride,
            count_include_pad=count_include_pad,
            explain=explain,
        )

    output = pooled(explain=False)
    kind: Literal["max", "avg"] = "avg" if mode == "avg" else "max"
    return Walkthrough(
        kind=kind,
        input=X,
        kernel=None,
        bias=None,
        window=window,
        padding=padding,
        stride=stride,
        count_include_pad=count_include_pad,
        output=output,
        steps=tuple(pooled(explain=True)),
    )


def convolution(
    X: Any, K: Any, bias: float | None = None, *, padding: int = 0, stride: int = 1
) -> Walkthrough:
    """The steps to one output channel from X and K, both (channels, rows, columns).

    Raises ScratchError as ``conv2d``.
    """
    X, K = np.asarray(X), np.asarray(K)
    biases = None if bias is None else [bias]
    output = scratch.conv2d(X, K[None], biases, padding=padding, stride=stride)
    steps = scratch.conv2d(X, K[None], biases, padding=padding, stride=stride, explain=True)
    rows, columns = K.shape[-2:]
    return Walkthrough(
        kind="conv",
        input=X,
        kernel=K,
        bias=bias,
        window=(rows, columns),
        padding=padding,
        stride=stride,
        count_include_pad=True,
        output=output,
        steps=tuple(steps),
    )


# --- examples ----------------------------------------------------------------------------------


def counted(rows: int, columns: int, channels: int = 1) -> NDArray[np.int64]:
    """0, 1, 2 … row by row, each further channel one more: tutorial 004's and the book's numbers.

    >>> counted(2, 2, channels=2).tolist()
    [[[0, 1], [2, 3]], [[1, 2], [3, 4]]]
    """
    if min(rows, columns, channels) < 1:
        raise WalkthroughError(
            f"{rows} rows, {columns} columns, {channels} channels: each must be at least 1"
        )
    first = np.arange(rows * columns).reshape(1, rows, columns)
    return first + np.arange(channels).reshape(-1, 1, 1)


def parse(text: str) -> NDArray[Any]:
    """Numbers (channels, rows, columns): ``;`` ends a row, ``|`` a channel.

    >>> parse("0 1; 2 3 | -1 0.5; 0 0").tolist()
    [[[0.0, 1.0], [2.0, 3.0]], [[-1.0, 0.5], [0.0, 0.0]]]
    >>> parse("0 1; 2 3").dtype
    dtype('int64')
    """
    try:
        channels = [
            [[float(number) for number in row.replace(",", " ").split()] for row in rows]
            for rows in (channel.strip().strip(";").split(";") for channel in text.split("|"))
        ]
    except ValueError as error:
        raise WalkthroughError(f"{text!r}: {error}; write numbers such as '0 1; 2 3'") from None
    shapes = {(len(rows), len(row)) for rows in channels for row in rows}
    if len(shapes) != 1 or (1, 0) in shapes:
        raise WalkthroughError(
            f"{text!r}: every row needs as many numbers, and every channel as many rows"
        )
    numbers = np.array(channels)
    if not np.isfinite(numbers).all():
        raise WalkthroughError(f"{text!r} holds a number that is not finite")
    return numbers.astype(np.int64) if (numbers == np.round(numbers)).all() else numbers
