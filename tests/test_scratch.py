"""The plain loops: the printed examples, PyTorch, the engines, and the arithmetic itself."""

from __future__ import annotations

import importlib.util
import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lenet import engines, scratch
from lenet.network import zoo
from lenet.network.parameters import State, initialize
from lenet.optimization import Objective, Optimizer
from lenet.scratch import (
    ScratchError,
    conv2d,
    corr2d,
    corr2d_multi_in,
    corr2d_multi_in_out,
    pad,
    pool2d,
)

HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
kinds = pytest.mark.parametrize(
    "kind", ["lists", "numpy", pytest.param("torch", marks=needs_torch)]
)

NINE = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]
SIXTEEN = np.arange(16.0).reshape(1, 1, 4, 4)


def made(kind: str, values: Any, dtype: str = "float32") -> Any:
    if kind == "torch":
        import torch

        return torch.tensor(np.asarray(values), dtype=getattr(torch, dtype))
    return np.asarray(values, dtype) if kind == "numpy" else np.asarray(values).tolist()


# --- what is printed in tutorial 004 and in the book -------------------------------------------


@kinds
def test_pooling_as_printed_in_tutorial_004(kind: str) -> None:
    X = made(kind, NINE)
    assert pool2d(X, (2, 2)).tolist() == [[4, 5], [7, 8]]
    assert pool2d(X, (2, 2), mode="avg").tolist() == [[2, 3], [5, 6]]
    X = made(kind, SIXTEEN)
    assert pool2d(X, 3, padding=1, stride=2).tolist() == [[[[5, 7], [13, 15]]]]
    two_channels = made(kind, np.concatenate((SIXTEEN, SIXTEEN + 1), 1))
    assert pool2d(two_channels, 3, padding=1, stride=2).tolist() == [
        [[[5, 7], [13, 15]], [[6, 8], [14, 16]]]
    ]


@kinds
def test_padding_is_no_number_of_the_input_under_the_maximum(kind: str) -> None:
    X = made(kind, -1 - SIXTEEN)
    assert pool2d(X, 3, padding=1, stride=2).tolist() == [[[[-1, -2], [-5, -6]]]]


@kinds
def test_averages_count_the_padding_or_not(kind: str) -> None:
    X = made(kind, SIXTEEN[0, 0])
    counted = pool2d(X, 2, "avg", padding=1, stride=2)
    assert counted.tolist() == [[0, 0.75, 0.75], [3, 7.5, 4.5], [3, 6.75, 3.75]]
    alone = pool2d(X, 2, "avg", padding=1, stride=2, count_include_pad=False)
    assert alone.tolist() == [[0, 1.5, 3], [6, 7.5, 9], [12, 13.5, 15]]


@kinds
def test_convolution_as_in_the_book(kind: str) -> None:
    X, K = made(kind, NINE), made(kind, [[0.0, 1.0], [2.0, 3.0]])
    assert corr2d(X, K).tolist() == [[19, 25], [37, 43]]
    two = made(kind, np.stack((NINE, np.add(NINE, 1))))
    kernels = np.array([[[0.0, 1.0], [2.0, 3.0]], [[1.0, 2.0], [3.0, 4.0]]])
    assert corr2d_multi_in(two, made(kind, kernels)).tolist() == [[56, 72], [104, 120]]
    three = made(kind, [kernels, kernels + 1, kernels + 2])
    summed = corr2d_multi_in_out(two, three)
    assert summed.tolist() == [
        [[56, 72], [104, 120]],
        [[76, 100], [148, 172]],
        [[96, 128], [192, 224]],
    ]
    assert conv2d(two, three).tolist() == summed.tolist()
    shifted = conv2d(two, three, made(kind, [0.5, 0.0, -100.0]))
    assert shifted[:, 0, 0].tolist() == [56.5, 76, -4]


def test_an_edge_is_found_where_the_numbers_change() -> None:
    X = np.ones((6, 8))
    X[:, 2:6] = 0
    edges = corr2d(X, [[1.0, -1.0]])
    assert edges.tolist() == [[0, 1, 0, 0, 0, -1, 0]] * 6
    assert not corr2d(X.T, [[1.0, -1.0]]).any()


# --- types -------------------------------------------------------------------------------------


@kinds
def test_whole_numbers_stay_whole_and_do_not_overflow(kind: str) -> None:
    X, K = made(kind, np.full((3, 3), 200), "uint8"), made(kind, [[200, 100]], "uint8")
    assert corr2d(X, K).tolist() == [[60_000] * 2] * 3
    assert pool2d(X, 2, padding=1).tolist() == [[200] * 4] * 4
    assert pool2d(X, 2, "avg").tolist() == [[200.0] * 2] * 2
    assert "int64" in str(pool2d(X, 2).dtype)
    assert "float" in str(pool2d(X, 2, "avg").dtype)
    assert "float" in str(corr2d(X, made(kind, [[0.5, 0.25]])).dtype)
    assert corr2d(X, made(kind, [[0.5, 0.25]])).tolist() == [[150.0] * 2] * 3


@needs_torch
def test_tensors_keep_their_type_and_their_gradients_flow() -> None:
    import torch

    X = torch.arange(9, dtype=torch.float64).reshape(3, 3)
    K = torch.ones(2, 2, dtype=torch.float64, requires_grad=True)
    Y = corr2d(X, K)
    assert isinstance(Y, torch.Tensor)
    assert Y.dtype == torch.float64
    Y.sum().backward()
    # each weight has met the four numbers that its window's corner passes over
    assert K.grad is not None
    assert K.grad.tolist() == [[8, 12], [20, 24]]


def test_nothing_given_is_changed() -> None:
    X, K = np.array(NINE), np.ones((1, 1, 2, 2))
    conv2d(X[None], K, padding=1)
    pool2d(X, 2, "avg", padding=1)
    assert X.tolist() == NINE
    assert (K == 1).all()


def test_padding_alone() -> None:
    assert pad([[1, 2]], (1, 2)).tolist() == [[0] * 6, [0, 0, 1, 2, 0, 0], [0] * 6]


# --- against PyTorch and the engines -----------------------------------------------------------

numbers = st.integers(0, 2**32 - 1).map(np.random.default_rng)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.tuples(st.integers(0, 2), st.integers(0, 2))


@needs_torch
@settings(deadline=None, max_examples=60)
@given(numbers, st.integers(1, 7), st.integers(1, 7), st.integers(1, 2), pairs, paddings, pairs)
def test_conv2d_is_pytorchs(
    random: np.random.Generator,
    height: int,
    width: int,
    channels: int,
    kernel: tuple[int, int],
    padding: tuple[int, int],
    stride: tuple[int, int],
) -> None:
    import torch
    import torch.nn.functional as F

    assume(kernel[0] <= height + 2 * padding[0] and kernel[1] <= width + 2 * padding[1])
    X, K, b = (
        torch.from_numpy(random.normal(size=size))
        for size in ((2, channels, height, width), (3, channels, *kernel), (3,))
    )
    expected = F.conv2d(X, K, b, stride, padding)
    torch.testing.assert_close(conv2d(X, K, b, padding=padding, stride=stride), expected)
    one = conv2d(X[0].numpy(), K.numpy(), b.numpy(), padding=padding, stride=stride)
    np.testing.assert_allclose(one, expected[0].numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@needs_torch
@settings(deadline=None, max_examples=60)
@given(numbers, st.integers(1, 7), st.integers(1, 7), pairs, paddings, pairs, st.booleans())
def test_pool2d_is_pytorchs(
    random: np.random.Generator,
    height: int,
    width: int,
    window: tuple[int, int],
    padding: tuple[int, int],
    stride: tuple[int, int],
    counted: bool,
) -> None:
    import torch
    import torch.nn.functional as F

    assume(all(2 * p <= k for p, k in zip(padding, window, strict=True)))
    assume(window[0] <= height + 2 * padding[0] and window[1] <= width + 2 * padding[1])
    X = torch.from_numpy(random.normal(size=(2, 2, height, width)) - 1)  # most are negative
    largest = pool2d(X, window, padding=padding, stride=stride)
    assert torch.equal(largest, F.max_pool2d(X, window, stride, padding))
    means = pool2d(X, window, "avg", padding=padding, stride=stride, count_include_pad=counted)
    expected = F.avg_pool2d(X, window, stride, padding, count_include_pad=counted)
    torch.testing.assert_close(means, expected)


@pytest.mark.parametrize("kind", ["numpy", "native"])
@pytest.mark.parametrize("name", ["lenet", "lenet-max"])
def test_the_engines_convolve_and_pool_as_the_loops_do(kind: str, name: str) -> None:
    if kind == "native" and importlib.util.find_spec("lenet._native") is None:
        pytest.skip("the native engine was not built")
    network = zoo.build(name)
    optimizer = Optimizer()
    engine = engines.make(engines.choose(kind, network, "cpu"), network, optimizer, Objective())
    parameters = initialize(network, "torch", 0)
    engine.load(State(parameters))
    images = np.random.default_rng(0).integers(0, 256, (1, *network.input_shape), np.uint8)
    outputs = engine.activations(images)
    checked = 0
    for index, layer in enumerate(network.layers):
        before: NDArray[Any] = outputs[index - 1] if index else images / 255
        if hasattr(layer, "out_channels"):
            K, b = parameters[f"{index}.weight"], parameters[f"{index}.bias"]
            expected = conv2d(before, K, b, padding=layer.padding)
        elif hasattr(layer, "kernel_size"):
            mode = "max" if "Max" in type(layer).__name__ else "avg"
            expected = pool2d(before, layer.kernel_size, mode, stride=layer.kernel_size)
        else:
            continue
        np.testing.assert_allclose(outputs[index], expected, rtol=2e-5, atol=2e-5)
        checked += 1
    assert checked == 4


# --- the steps ---------------------------------------------------------------------------------


def value_of(side: str) -> Fraction | float:
    """What the written sum or maximum comes to, computed from the text alone."""
    if side.startswith("max("):
        return max(float(part.replace("∞", "inf")) for part in side[4:-1].split(", "))
    text = re.sub(r"\d+(\.\d+)?", lambda number: f"Fraction('{number[0]}')", side)
    return eval(text.replace("·", "*"), {"Fraction": Fraction})


def check(lines: tuple[str, ...], result: float) -> None:
    for line in lines:
        side, _, shown = line.partition(" = ")
        assert shown, f"not exact: {line}"
        assert value_of(side) == float(shown)
    assert float(lines[-1].split(" = ")[1]) == result


def test_the_arithmetic_of_pooling() -> None:
    steps = list(pool2d(NINE, (2, 2), explain=True))
    assert [step.position for step in steps] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert steps[0].arithmetic == ("max(0, 1, 3, 4) = 4",)
    assert steps[0].window == (((0, 1), (3, 4)),)
    first = next(pool2d(NINE, (2, 2), "avg", explain=True))
    assert first.arithmetic == ("(0 + 1 + 3 + 4) / 4 = 2",)
    assert first.result == 2
    assert first.kernel is None


def test_the_arithmetic_of_padding() -> None:
    X = [[-1, -2], [-3, -4]]
    step = next(pool2d(X, 2, padding=1, explain=True))
    assert step.arithmetic == ("max(-∞, -∞, -∞, -1) = -1",)
    assert step.place == (-1, -1)
    assert step.window == (((None, None), (None, -1)),)
    counted = next(pool2d(X, 2, "avg", padding=1, explain=True))
    assert counted.arithmetic == ("(0 + 0 + 0 + (-1)) / 4 = -0.25",)
    alone = next(pool2d(X, 2, "avg", padding=1, count_include_pad=False, explain=True))
    assert alone.arithmetic == ("((-1)) / 1 = -1",)


def test_the_arithmetic_of_convolution() -> None:
    first = next(corr2d(NINE, [[0, 1], [2, 3]], explain=True))
    assert first.arithmetic == ("0·0 + 1·1 + 3·2 + 4·3 = 19",)
    two, kernels = [[[0, 1], [2, 3]], [[-1, 0], [0, 2]]], [[[[1, 1], [1, 1]], [[2, 0], [0, 2]]]]
    step = next(conv2d(two, kernels, [10], explain=True))
    assert step.arithmetic == (
        "0·1 + 1·1 + 2·1 + 3·1 = 6",
        "(-1)·2 + 0·0 + 0·0 + 2·2 = 2",
        "6 + 2 + 10 = 18",
    )
    assert step.bias == 10
    assert step.position == (0, 0, 0)
    assert step.place == (0, 0, 0)
    assert next(corr2d_multi_in(two, kernels[0], explain=True)).arithmetic[-1] == "6 + 2 = 8"
    assert next(corr2d_multi_in_out(two, kernels, explain=True)).position == (0, 0, 0)


def test_rounded_numbers_are_said_to_be_rounded() -> None:
    assert next(corr2d([[1 / 3]], [[3.0]], explain=True)).arithmetic == ("0.3333·3 ≈ 1",)
    third = next(pool2d([[1, 0, 0]], (1, 3), "avg", explain=True))
    assert third.arithmetic == ("(1 + 0 + 0) / 3 ≈ 0.3333",)
    tenth = np.array([[0.1]], np.float32)
    assert next(corr2d(tenth, tenth, explain=True)).arithmetic == ("0.1·0.1 = 0.01",)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(numbers, st.integers(1, 2), pairs, paddings, pairs, st.sampled_from(["max", "avg", "conv"]))
def test_every_line_adds_up_to_what_is_returned(
    random: np.random.Generator,
    samples: int,
    window: tuple[int, int],
    padding: tuple[int, int],
    stride: tuple[int, int],
    kind: str,
) -> None:
    X = random.integers(-9, 10, (samples, 2, 4, 5))
    if kind == "conv":
        K, b = random.integers(-9, 10, (2, 2, *window)), random.integers(-9, 10, 2)
        Y = conv2d(X, K, b, padding=padding, stride=stride)
        steps = list(conv2d(X, K, b, padding=padding, stride=stride, explain=True))
    else:
        assume(all(2 * p <= k for p, k in zip(padding, window, strict=True)))
        # divided by 1, 2, 4 or 8 a whole number can be written down
        assume(kind == "max" or math.prod(window) in (1, 2, 4))
        Y = pool2d(X, window, kind, padding=padding, stride=stride)
        steps = list(pool2d(X, window, kind, padding=padding, stride=stride, explain=True))
    assert [step.position for step in steps] == list(np.ndindex(Y.shape))
    for step in steps:
        check(step.arithmetic, float(Y[step.position]))
        n, first, top, left = step.place
        for channel, rows in enumerate(step.window, first):
            for y, row in enumerate(rows, top):
                for x, cell in enumerate(row, left):
                    inside = 0 <= y < 4 and 0 <= x < 5
                    assert cell == (X[n, channel, y, x] if inside else None)


# --- what does not fit -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: corr2d([1, 2], [[1]]), r"X has the shape \(2,\); it needs 2 dimensions"),
        (lambda: corr2d([[1, 2]], [[1], [1]]), "2×1 does not fit into 1×2"),
        (lambda: corr2d([["a"]], [[1]]), "X must hold numbers"),
        (lambda: corr2d_multi_in([[[1]]], [[[1]], [[1]]]), "X has 1 channels and K 2"),
        (lambda: corr2d_multi_in_out([[[1]]], [[[[1]], [[1]]]]), "X has 1 channels and K 2"),
        (lambda: conv2d([[[1]]], [[[[1]]]], [1, 2]), "bias has 2 numbers and K 1 kernels"),
        (lambda: conv2d([[[1]]], [[[[1]]]], stride=0), "stride is 0"),
        (lambda: conv2d([[[1]]], [[[[1]]]], padding=(0, -1)), r"padding is \(0, -1\)"),
        (lambda: pool2d([[1]], 2), "2×2 does not fit into 1×1"),
        (lambda: pool2d([[1]], 0), "pool_size is 0"),
        (lambda: pool2d([[1]], 1, "median"), "mode is 'median'"),
        (lambda: pool2d([[1]], 1, padding=1), "more than half of the window 1×1"),
    ],
)
def test_what_does_not_fit_is_told(call: Any, message: str) -> None:
    with pytest.raises(ScratchError, match=message):
        call()


@needs_torch
def test_a_tensor_and_an_array_do_not_mix() -> None:
    with pytest.raises(ScratchError, match="a tensor and an array do not mix"):
        corr2d(made("torch", NINE), np.ones((2, 2)))


def test_numbers_as_they_are_written() -> None:
    written = [scratch.show(value) for value in (0, -0.0, 12345, 1234567.0, -1.5, 1e-9, math.nan)]
    assert written == ["0", "0", "12345", "1.235e+06", "-1.5", "1e-09", "nan"]
