"""Data sets that are made of a known one: the same pictures at another size."""

import numpy as np
import pytest

from lenet import data
from lenet.data.derived import DERIVED, area_weights, derive, framed, shrunk


def test_a_frame_keeps_the_picture_in_the_middle() -> None:
    picture = np.random.default_rng(0).integers(1, 256, (3, 2, 28, 28), np.uint8)
    wide = framed(picture, 32)
    assert wide.shape == (3, 2, 32, 32)
    assert np.array_equal(wide[:, :, 2:30, 2:30], picture)
    assert wide.sum(dtype=int) == picture.sum(dtype=int)  # nothing but ground around it


def test_a_smaller_picture_has_the_mean_of_the_area() -> None:
    blocks = np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2).repeat(14, 2).repeat(14, 3) * 60
    assert np.array_equal(shrunk(blocks, 2)[0, 0], [[0, 60], [120, 180]])
    picture = np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28), np.uint8)
    assert abs(shrunk(picture, 16).mean() - picture.mean()) < 0.5
    np.testing.assert_allclose(area_weights(28, 16).sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(area_weights(28, 16).sum(0), 16 / 28, rtol=1e-6)


@pytest.mark.parametrize("name", DERIVED)
def test_a_derived_data_set_says_what_it_is(name: str) -> None:
    made = DERIVED[name]
    base = data.bundled()
    found = derive(made, base)
    assert found.name == name
    assert found.train.images.shape == (len(base.train), 1, made.side, made.side)
    assert np.array_equal(found.test.labels, base.test.labels)
    assert not data.is_path(name)


def test_a_slip_in_its_name_has_a_neighbour() -> None:
    with pytest.raises(data.UnknownDataError, match="did you mean mnist-32"):
        data.load("mnist_32x")
