"""Convolution and pooling with plain loops: for teaching, and as the oracle of the tests.

Nothing here is fast, and nothing is hidden. The functions take NumPy arrays, nested lists and torch
tensors, and return what they were given; PyTorch is not imported, and its gradients flow.

    corr2d                one channel                  (h, w), (kh, kw)
    corr2d_multi_in       the sum over channels        (c, h, w), (c, kh, kw)
    corr2d_multi_in_out   one sum for each kernel      (c, h, w), (o, c, kh, kw)
    conv2d                samples, bias, padding and stride as well
    pool2d                maximum or mean, whatever the number of dimensions

What deep learning calls convolution is cross-correlation: the kernel is not turned around. With
``explain=True`` each function yields its steps instead of the result.

>>> X = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
>>> pool2d(X, (2, 2))
array([[4, 5],
       [7, 8]])
>>> for step in corr2d(X, [[0, 1], [2, 3]], explain=True):
...     print(step.position, *step.arithmetic)
(0, 0) 0·0 + 1·1 + 3·2 + 4·3 = 19
(0, 1) 1·0 + 2·1 + 4·2 + 5·3 = 25
(1, 0) 3·0 + 4·1 + 6·2 + 7·3 = 37
(1, 1) 4·0 + 5·1 + 7·2 + 8·3 = 43
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any  # a NumPy array, a nested list of numbers, or a torch tensor
Number = int | float
Grid = tuple[tuple[Number | None, ...], ...]  # rows of cells; None where padding lies


class ScratchError(ValueError):
    """Numbers that do not fit together; the message gives their shapes."""


@dataclass(frozen=True)
class Step:
    """One number of a result, and how it came about."""

    position: tuple[int, ...]  # where it stands in the result
    place: tuple[int, ...]  # where the window begins in the input; negative: in the padding
    window: tuple[Grid, ...]  # (channels, rows, columns); pooling looks at one channel at a time
    kernel: tuple[Grid, ...] | None  # (channels, rows, columns); None for pooling
    bias: Number | None
    arithmetic: tuple[str, ...]  # one line a channel; where there is more to add up, the total last
    result: Number


# --- convolution -------------------------------------------------------------------------------


def corr2d(X: Array, K: Array, *, explain: bool = False) -> Any:
    """The cross-correlation (h - kh + 1, w - kw + 1) of X (h, w) with the kernel K (kh, kw).

    Each number is the sum of a window of X times K, number by number (d2l, "Convolutions for
    Images"). Raises ScratchError for other dimensions, or a kernel larger than X.
    """
    X, K = _numbers("X", X, 2), _numbers("K", K, 2)
    (k_h, k_w), shape = K.shape, _output_shape(X, K.shape)
    Y = _zeros(shape, X, K)
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + k_h, j : j + k_w] * K).sum()
    return _conv_steps(Y, X, K) if explain else Y


def corr2d_multi_in(X: Array, K: Array, *, explain: bool = False) -> Any:
    """The sum (h - kh + 1, w - kw + 1) of each channel of X (c, h, w) with its own K (c, kh, kw).

    Raises ScratchError as ``corr2d``, and where the channels differ in number.
    """
    X, K = _numbers("X", X, 3), _numbers("K", K, 3)
    _check_channels(X, K)
    Y = sum(corr2d(x, k) for x, k in zip(X, K, strict=True))
    return _conv_steps(Y, X, K) if explain else Y


def corr2d_multi_in_out(X: Array, K: Array, *, explain: bool = False) -> Any:
    """One output channel for each kernel of K (o, c, kh, kw): (o, h - kh + 1, w - kw + 1).

    Raises ScratchError as ``corr2d_multi_in``.
    """
    X, K = _numbers("X", X, 3), _numbers("K", K, 4)
    _check_channels(X, K)
    Y = _zeros((len(K), *_output_shape(X, K.shape)), X, K)
    for o in range(len(K)):
        Y[o] = corr2d_multi_in(X, K[o])
    return _conv_steps(Y, X, K) if explain else Y


def conv2d(
    X: Array,
    K: Array,
    bias: Array | None = None,
    *,
    padding: int | tuple[int, int] = 0,
    stride: int | tuple[int, int] = 1,
    explain: bool = False,
) -> Any:
    """What ``nn.Conv2d`` computes from X (c, h, w) or (n, c, h, w): (o, …) or (n, o, …).

    K is (o, c, kh, kw) and bias (o,). Each side of X gets ``padding`` rows or columns of zeros; the
    window moves by ``stride``: height (h + 2·padding - kh) / stride + 1, rounded down. Both may be
    pairs of rows and columns. Raises ScratchError where the shapes do not fit.
    """
    X, K = _numbers("X", X, 3, 4), _numbers("K", K, 4)
    _check_channels(X, K)
    (p_h, p_w), (s_h, s_w) = _pair("padding", padding, 0), _pair("stride", stride, 1)
    (k_h, k_w), shape = K.shape[2:], _output_shape(X, K.shape, (p_h, p_w), (s_h, s_w))
    b = _zeros((len(K),), K) if bias is None else _numbers("bias", bias, 1)
    if len(b) != len(K):
        raise ScratchError(f"bias has {len(b)} numbers and K {len(K)} kernels; one is for each")
    samples = pad(X, padding) if X.ndim == 4 else pad(X, padding)[None]
    Y = _zeros((len(samples), len(K), *shape), X, K, b)
    for n in range(Y.shape[0]):
        for o in range(Y.shape[1]):
            for i in range(Y.shape[2]):
                for j in range(Y.shape[3]):
                    top, left = i * s_h, j * s_w
                    window = samples[n, :, top : top + k_h, left : left + k_w]  # (c, kh, kw)
                    Y[n, o, i, j] = (window * K[o]).sum() + b[o]
    Y = Y if X.ndim == 4 else Y[0]
    if explain:
        return _conv_steps(Y, X, K, bias if bias is None else b, (p_h, p_w), (s_h, s_w))
    return Y


def pad(X: Array, padding: int | tuple[int, int]) -> Any:
    """X (…, h, w) with ``padding`` rows and columns of zeros around it: (…, h + 2p, w + 2p)."""
    X = _numbers("X", X, 2, 3, 4)
    p_h, p_w = _pair("padding", padding, 0)
    h, w = X.shape[-2:]
    padded = _zeros((*X.shape[:-2], h + 2 * p_h, w + 2 * p_w), X)
    padded[..., p_h : p_h + h, p_w : p_w + w] = X
    return padded


# --- pooling -----------------------------------------------------------------------------------


def pool2d(
    X: Array,
    pool_size: int | tuple[int, int],
    mode: str = "max",
    *,
    padding: int | tuple[int, int] = 0,
    stride: int | tuple[int, int] = 1,
    count_include_pad: bool = True,
    explain: bool = False,
) -> Any:
    """The largest number (``"max"``) or the mean (``"avg"``) of each window of X.

    X is (h, w), (c, h, w) or (n, c, h, w); each channel of each sample is pooled by itself. The
    window moves by one, as in tutorial 004; in PyTorch's layers, by its own size unless told.

    Max pooling pads with -∞: a cell outside of X is never the largest. Mean pooling pads with
    zeros, and divides by the size of the window; with ``count_include_pad=False``, by the number
    of its cells that lie in X. Whole numbers stay whole under the maximum. Raises ScratchError for
    another mode, a window larger than X, and padding of more than half the window, where a
    window could lie outside of X altogether.
    """
    X = _numbers("X", X, 2, 3, 4)
    (p_h, p_w), (s_h, s_w) = _pair("padding", padding, 0), _pair("stride", stride, 1)
    k_h, k_w = _pair("pool_size", pool_size, 1)
    if mode not in ("max", "avg"):
        raise ScratchError(f"mode is {mode!r}; it can be 'max' or 'avg'")
    if 2 * p_h > k_h or 2 * p_w > k_w:
        raise ScratchError(
            f"padding {p_h}, {p_w} is more than half of the window {k_h}×{k_w}: "
            "some windows would hold nothing but padding"
        )
    h, w = X.shape[-2:]
    shape = _output_shape(X, (k_h, k_w), (p_h, p_w), (s_h, s_w))
    Y = _zeros((*X.shape[:-2], *shape), X)
    if mode == "avg":
        Y = Y / 1  # means of whole numbers are fractions
    for i in range(shape[0]):
        for j in range(shape[1]):
            top, left = i * s_h - p_h, j * s_w - p_w
            rows = range(max(top, 0), min(top + k_h, h))  # those that lie in X
            columns = range(max(left, 0), min(left + k_w, w))
            cells = len(rows) * len(columns)
            for channel in np.ndindex(*X.shape[:-2]):  # (), (c,) or (n, c)
                window = X[channel][rows.start : rows.stop, columns.start : columns.stop]
                if mode == "max":
                    Y[(*channel, i, j)] = window.max()
                else:
                    count = k_h * k_w if count_include_pad else cells
                    Y[(*channel, i, j)] = window.sum() / count
    if explain:
        return _pool_steps(Y, X, (k_h, k_w), mode, (p_h, p_w), (s_h, s_w), count_include_pad)
    return Y


# --- arrays of either kind ---------------------------------------------------------------------


def _numbers(name: str, X: Array, *dimensions: int) -> Any:
    """X as a tensor or an array; whole numbers as int64, where their products have room."""
    if not hasattr(X, "new_zeros"):
        X = np.asarray(X)
        if X.dtype.kind not in "biuf":
            raise ScratchError(f"{name} must hold numbers; it holds {X.dtype}")
        X = X if X.dtype.kind == "f" else X.astype(np.int64)
    elif not X.is_floating_point():
        X = X.long()
    if X.ndim not in dimensions:
        wanted = " or ".join(map(str, dimensions))
        raise ScratchError(f"{name} has the shape {tuple(X.shape)}; it needs {wanted} dimensions")
    return X


def _zeros(shape: tuple[int, ...], X: Any, *others: Any) -> Any:
    """Zeros as ``X.new_zeros`` makes them, of a type that holds sums and products of all."""
    zeros = X.new_zeros(shape) if hasattr(X, "new_zeros") else np.zeros(shape, X.dtype)
    for other in others:
        if hasattr(other, "new_zeros") != hasattr(X, "new_zeros"):
            raise ScratchError("a tensor and an array do not mix: make both the one or the other")
        zeros = zeros + _zeros((1,), other)
    return zeros


def _pair(name: str, value: int | tuple[int, int], least: int) -> tuple[int, int]:
    """Rows and columns, from one number for both or from two."""
    rows, columns = value if isinstance(value, Sequence) else (value, value)
    if min(rows, columns) < least:
        raise ScratchError(f"{name} is {value}; it must be at least {least}")
    return rows, columns


def _output_shape(
    X: Any,
    kernel_shape: Sequence[int],
    padding: tuple[int, int] = (0, 0),
    stride: tuple[int, int] = (1, 1),
) -> tuple[int, int]:
    """Rows and columns of the result: how often the window fits."""
    room = [size + 2 * p for size, p in zip(X.shape[-2:], padding, strict=True)]
    window = tuple(kernel_shape[-2:])
    if window[0] > room[0] or window[1] > room[1] or min(window) < 1:
        raise ScratchError(
            f"a window of {window[0]}×{window[1]} does not fit into {room[0]}×{room[1]} numbers"
        )
    rows, columns = ((r - k) // s + 1 for r, k, s in zip(room, window, stride, strict=True))
    return rows, columns


def _check_channels(X: Any, K: Any) -> None:
    if X.shape[-3] != K.shape[-3]:
        raise ScratchError(
            f"X has {X.shape[-3]} channels and K {K.shape[-3]} (X is {tuple(X.shape)}, K "
            f"{tuple(K.shape)}): each channel of X needs its own kernel"
        )


# --- the steps ---------------------------------------------------------------------------------


def _conv_steps(
    Y: Any,
    X: Any,
    K: Any,
    bias: Any = None,
    padding: tuple[int, int] = (0, 0),
    stride: tuple[int, int] = (1, 1),
) -> Iterator[Step]:
    samples, kernels, results = _nested(X), _nested(K), _nested(Y)
    biases = None if bias is None else bias.tolist()
    for n, o, i, j in np.ndindex(_four(Y).shape):
        top, left = i * stride[0] - padding[0], j * stride[1] - padding[1]
        kernel = tuple(tuple(map(tuple, channel)) for channel in kernels[o])
        window = tuple(_window(channel, top, left, *K.shape[-2:]) for channel in samples[n])
        b = None if biases is None else biases[o]
        result = results[n][o][i][j]
        yield Step(
            position=(n, o, i, j)[4 - Y.ndim :],
            place=(n, 0, top, left)[4 - X.ndim :],
            window=window,
            kernel=kernel,
            bias=b,
            arithmetic=_sums_of_products(window, kernel, b, result),
            result=result,
        )


def _pool_steps(
    Y: Any,
    X: Any,
    size: tuple[int, int],
    mode: str,
    padding: tuple[int, int],
    stride: tuple[int, int],
    count_include_pad: bool,
) -> Iterator[Step]:
    samples, results = _nested(X), _nested(Y)
    for n, c, i, j in np.ndindex(_four(Y).shape):
        top, left = i * stride[0] - padding[0], j * stride[1] - padding[1]
        window = _window(samples[n][c], top, left, *size)
        result = results[n][c][i][j]
        line = _maximum(window, result)
        if mode == "avg":
            line = _mean(window, result, count_include_pad)
        yield Step(
            position=(n, c, i, j)[4 - Y.ndim :],
            place=(n, c, top, left)[4 - X.ndim :],
            window=(window,),
            kernel=None,
            bias=None,
            arithmetic=(line,),
            result=result,
        )


def _four(X: Any) -> Any:
    return X.reshape((1,) * (4 - X.ndim) + tuple(X.shape))


def _nested(X: Any) -> list[list[list[list[Number]]]]:
    """Plain numbers by sample, channel, row and column."""
    nested: list[list[list[list[Number]]]] = _four(X).tolist()
    return nested


def _window(rows: list[list[Number]], top: int, left: int, height: int, width: int) -> Grid:
    """The window's cells; None for those that lie in the padding."""
    return tuple(
        tuple(
            rows[y][x] if 0 <= y < len(rows) and 0 <= x < len(rows[0]) else None
            for x in range(left, left + width)
        )
        for y in range(top, top + height)
    )


def _sums_of_products(
    window: tuple[Grid, ...], kernel: tuple[Grid, ...], bias: Number | None, result: Number
) -> tuple[str, ...]:
    """A line for each channel, and one that adds up their sums and the bias."""
    sums, lines = [], []
    for cells, weights in zip(window, kernel, strict=True):
        pairs = [
            (x or 0, k or 0)
            for row in zip(cells, weights, strict=True)
            for x, k in zip(*row, strict=True)
        ]
        sums.append(sum(x * k for x, k in pairs))
        products = " + ".join(f"{_in_sum(x)}·{_in_sum(k)}" for x, k in pairs)
        lines.append(products + _equals(sums[-1], *(value for pair in pairs for value in pair)))
    parts = sums if bias is None else [*sums, bias]
    if len(parts) > 1:
        lines.append(" + ".join(map(_in_sum, parts)) + _equals(result, *parts))
    return tuple(lines)


def _maximum(window: Grid, result: Number) -> str:
    cells = [-math.inf if x is None else x for row in window for x in row]
    return f"max({', '.join(map(show, cells))})" + _equals(result, *cells)


def _mean(window: Grid, result: Number, count_include_pad: bool) -> str:
    cells = [x for row in window for x in row]
    counted = [x or 0 for x in cells if count_include_pad or x is not None]
    return f"({' + '.join(map(_in_sum, counted))}) / {len(counted)}" + _equals(result, *counted)


def show(value: Number) -> str:
    """A number as it is written in the arithmetic: whole, or with four digits that count.

    >>> show(-2.0), show(1 / 3), show(float("-inf"))
    ('-2', '0.3333', '-∞')
    """
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    whole = value == round(value, 0) and abs(value) < 1e6
    return f"{value + 0:.0f}" if whole else f"{value:.4g}"  # + 0: -0.0 is written 0


def _in_sum(value: Number) -> str:
    return f"({show(value)})" if value < 0 else show(value)


def _equals(result: Number, *values: Number) -> str:
    """The result behind an equals sign; behind ≈ where a number is shown rounded."""
    exact = all(_is_exact(value) for value in (result, *values))
    return f" {'=' if exact else '≈'} {show(result)}"


def _is_exact(value: Number) -> bool:
    # within float32, whose 0.1 is not quite 0.1
    return math.isinf(value) or math.isclose(float(show(value)), value, rel_tol=1e-6)
