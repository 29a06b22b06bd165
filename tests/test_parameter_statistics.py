"""The parameters in figures: right, in 80 columns, and whatever the numbers are."""

from typing import Any

import numpy as np
import pytest

from lenet.drawing.text_width import cells
from lenet.looking import parameter_statistics
from lenet.looking.parameter_statistics import statistics, to_text
from lenet.network import zoo
from lenet.network.architecture import Network
from lenet.network.layers import Flatten, Linear
from lenet.network.parameters import Parameters, initialize

LENET = zoo.build("lenet")


def dense(*weights: float) -> tuple[Network, Parameters]:
    """A network of one dense layer with these weights."""
    layers = (Flatten(), Linear(len(weights) // 2, 2))
    network = Network("dense", (1, 1, len(weights) // 2), layers, ("a", "b"))
    weight = np.array(weights, np.float32).reshape(2, -1)
    return network, {"1.weight": weight, "1.bias": np.zeros(2, np.float32)}


def test_names_shapes_and_first_values_as_tutorial_004_prints_them() -> None:
    parameters = initialize(LENET, "xavier", 0)
    values = [-0.6876, 0.1083, 0.6188, 0.4408, -0.5378, -0.7944, 0.2383, 1.3344, 1.0854, -0.0504]
    parameters["0.weight"].reshape(-1)[:10] = values
    parameters["0.bias"][:] = [-0.4167, 0.7430, 0.8318, -0.9601, -0.1775, 0.0031]
    assert to_text(statistics(LENET, parameters)).startswith(
        "0.weight: shape=(6, 1, 5, 5)\n"
        "tensor([-0.6876,  0.1083,  0.6188,  0.4408, -0.5378, -0.7944,  0.2383,  1.3344,\n"
        "         1.0854, -0.0504])\n"
        "0.bias: shape=(6,)\n"
        "tensor([-0.4167,  0.7430,  0.8318, -0.9601, -0.1775,  0.0031])\n"
        "3.weight: shape=(16, 6, 5, 5)\n"
    )


def test_the_figures_are_numpys() -> None:
    parameters = initialize(LENET, "torch", 3)
    for row in statistics(LENET, parameters).parameters:
        values = parameters[row.name].astype(np.float64)
        assert row.count == values.size == row.counts.sum()
        assert (row.minimum, row.maximum) == (values.min(), values.max())
        assert row.mean == pytest.approx(values.mean(), abs=1e-15)
        assert row.deviation == pytest.approx(values.std())
        assert row.near_zero == np.mean(np.abs(values) <= 0.01 * np.abs(values).max())
        assert row.edges[-1] == -row.edges[0] == np.abs(values).max()


@pytest.mark.parametrize(("width", "histogram"), [(68, False), (80, True), (120, True)])
def test_the_table_fits_and_uses_what_room_there_is(width: int, histogram: bool) -> None:
    text = to_text(statistics(LENET, initialize(LENET, "torch", 0)), width)
    table = text[text.index("parameter  ") :]
    assert max(map(cells, table.splitlines())) <= width
    assert ("█" in table) == histogram


def test_the_histogram_of_a_line_of_numbers() -> None:
    network, parameters = dense(*([-1.0] * 8 + [0.2] * 4 + [1.0] * 1 + [0.9] * 3))
    (row, _) = statistics(network, parameters).parameters
    line = next(
        line
        for line in to_text(statistics(network, parameters), 100).splitlines()
        if line.startswith("1.weight ") and "shape" not in line
    )
    assert line.endswith("  █             ▄       ▃▁")
    assert row.counts[[0, 14, 22, 23]].tolist() == [8, 4, 3, 1]
    ascii_line = to_text(statistics(network, parameters), 100, ascii_only=True)
    assert ascii_line.isascii()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1e-30, 3e38])
def test_whatever_the_numbers_are(value: float) -> None:
    network, parameters = dense(value, value, 1.0, value)
    text = to_text(statistics(network, parameters))
    broken = not np.isfinite(value)
    assert ("1.weight: 3 values are not finite" in text) == broken
    network, parameters = dense(value, value)
    shown: Any = statistics(network, parameters)
    assert len(to_text(shown).splitlines()) >= 9
    assert shown._repr_png_().startswith(b"\x89PNG")


def test_json_has_every_figure() -> None:
    found = statistics(LENET, initialize(LENET, "torch", 0))
    first, *_ = parameter_statistics.to_json(found)
    assert first["name"] == "0.weight"
    assert first["shape"] == [6, 1, 5, 5]
    assert sum(first["counts"]) == first["count"] == 150
    assert len(first["edges"]) == 25
