"""Arrays are printed as PyTorch prints tensors: against it, and against tutorial 004."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from lenet.drawing.tensor_text import tensor_text

SHAPES = [(), (1,), (10,), (84,), (3, 4), (6, 1, 5, 5), (16, 6, 5, 5), (2, 3, 40), (0,), (3, 0)]


@pytest.fixture(scope="module")
def torch() -> Iterator[Any]:
    """PyTorch, set to leave no numbers out."""
    module = pytest.importorskip("torch", reason="PyTorch is not installed")
    module.set_printoptions(profile="full")
    yield module
    module.set_printoptions(profile="default")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "kind", ["usual", "whole", "tiny", "wide range", "zeros", "huge", "not finite"]
)
def test_it_is_what_pytorch_prints(torch: Any, shape: tuple[int, ...], kind: str) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    values = {
        "usual": values,
        "whole": np.round(values * 9),
        "tiny": values * 1e-5,
        "wide range": values**9,
        "zeros": values * 0,
        "huge": np.round(values * 1e9),
        "not finite": np.where(values > 0.5, np.nan, np.where(values < -0.5, -np.inf, values)),
    }[kind]
    array = np.asarray(values, np.float32)
    assert tensor_text(array) == str(torch.from_numpy(array))


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=1, max_dims=4, max_side=9),
        elements=st.floats(-1e6, 1e6, width=32) | st.sampled_from([0, -0.0, np.inf, np.nan]),
    )
)
def test_it_is_what_pytorch_prints_of_any_array(torch: Any, array: NDArray[np.float32]) -> None:
    assert tensor_text(array) == str(torch.from_numpy(array))


def test_as_printed_in_tutorial_004() -> None:
    weight = [-0.6876, 0.1083, 0.6188, 0.4408, -0.5378, -0.7944, 0.2383, 1.3344, 1.0854, -0.0504]
    assert tensor_text(np.array(weight, np.float32)) == (
        "tensor([-0.6876,  0.1083,  0.6188,  0.4408, -0.5378, -0.7944,  0.2383,  1.3344,\n"
        "         1.0854, -0.0504])"
    )
    grid = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    assert tensor_text(grid) == (
        "tensor([[[[ 0.,  1.,  2.,  3.],\n"
        "          [ 4.,  5.,  6.,  7.],\n"
        "          [ 8.,  9., 10., 11.],\n"
        "          [12., 13., 14., 15.]]]])"
    )


def test_no_number_is_left_out() -> None:
    assert tensor_text(np.ones((40, 50), np.float32)).count("1.") == 2000
