"""Maps of kernels, features and histograms: readable whatever the network, and true."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import lenet
from lenet.drawing import figures, maps
from lenet.looking.convolution_kernels import kernels
from lenet.looking.feature_maps import Features, Picture, features
from lenet.looking.parameter_statistics import statistics
from lenet.network import zoo
from lenet.network.architecture import Network
from lenet.network.layers import Conv2d, Flatten, Linear, ReLU
from lenet.network.parameters import initialize


def check_texts(figure: Figure) -> None:
    """No text overlaps another, and none leaves the figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    canvas = FigureCanvasAgg(figure)
    with figures.style([]):
        canvas.draw()
    renderer = canvas.get_renderer()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    # a pixel less on each side: neighbours may touch
    boxes = [(text.get_text(), text.get_window_extent(renderer).padded(-1)) for text in texts]
    level = [box for text, box in zip(texts, boxes, strict=True) if not text.get_rotation()]
    for (one, box), (other, other_box) in combinations(level, 2):
        assert not box.overlaps(other_box), (one, other)
    width, height = canvas.get_width_height()
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text


def wide() -> Network:
    """More channels than a picture shows, a vector of many units, more classes than bars."""
    layers = (
        *(Conv2d(3, 200, 1), ReLU(), Conv2d(200, 7, 9), ReLU(), Flatten()),
        *(Linear(7 * 4 * 22, 1000), ReLU(), Linear(1000, 30)),
    )
    return Network("wide", (3, 12, 30), layers, tuple(f"number {i}" for i in range(30)))


def seen(network: Network) -> Features:
    pixels = np.random.default_rng(0).integers(0, 256, network.input_shape, np.uint8)
    return features(network, initialize(network, "torch", 0), Picture(pixels, "0", "noise", None))


@pytest.mark.parametrize("name", ["lenet", "lenet5"])
def test_kernels_of_the_zoo(name: str) -> None:
    network = zoo.build(name)
    check_texts(kernels(network, initialize(network, "torch", 0)).figure())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet", "mlp"])
def test_histograms_of_the_zoo(name: str) -> None:
    network = zoo.build(name)
    check_texts(statistics(network, initialize(network, "torch", 0)).figure())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet-max", "mlp"])
def test_features_of_the_zoo(name: str) -> None:
    found = seen(zoo.build(name))
    check_texts(found.figure())
    if found.shortcut is not None:
        check_texts(found.shortcut_figure())


@pytest.mark.slow
def test_a_wide_network() -> None:
    network = wide()
    parameters = initialize(network, "torch", 0)
    picture = kernels(network, parameters).figure()
    check_texts(picture)
    titles = " ".join(text.get_text() for text in picture.texts)
    assert "output: the first 128 of 200" in titles
    assert "output; of each the first 64 of 200 inputs" in titles
    assert picture.get_size_inches()[1] < 12
    check_texts(statistics(network, parameters).figure())
    check_texts(seen(network).figure())


def test_a_kernels_colours_are_its_weights() -> None:
    weights = np.zeros((2, 1, 3, 3), np.float32)
    weights[0, 0, 0, 0], weights[1, 0, 2, 2] = 2.0, -2.0
    weights[1, 0, 0, 1] = np.nan
    figure = maps.kernel_grids([maps.Grid("C1", weights)], "title")
    shown = next(axes.images[0] for axes in figure.axes if axes.images[0].get_array().shape[0] == 3)
    values = np.ma.filled(shown.get_array(), -9)
    assert values.shape == (3, 7)
    assert values[:, :3].tolist() == weights[0, 0].tolist()
    assert (values[:, 3] == -9).all()  # the gap
    assert values[2, 6] == -2
    assert values[0, 5] == -9  # not a number: nothing is drawn
    assert shown.get_clim() == (-2, 2)


def test_the_whole_scale_is_symmetric_about_white() -> None:
    from matplotlib import colormaps

    scale = colormaps[maps.SCALE]
    assert min(scale(0.5)[:3]) > 0.94
    assert scale(0.0)[2] > 2 * scale(0.0)[0]  # blue below
    assert scale(1.0)[0] > 2 * scale(1.0)[2]  # red above


def test_maps_without_negative_numbers_have_a_scale_that_begins_at_0() -> None:
    half = np.linspace(0, 0.5, 16).reshape(1, 4, 4)
    rows = [maps.Row("sigmoid", "", half), maps.Row("sum", "", half - 0.25)]
    figure = maps.layer_rows(np.zeros((1, 4, 4), np.uint8), rows, [], "title")
    texts = {text.get_text() for text in figure.texts}
    assert {"0 to 0.5", "±0.25"} <= texts
    ends = [axes.images[0].get_clim() for axes in figure.axes if axes.images]
    assert ends[-2:] == [(0, 0.5), (-0.25, 0.25)]
    page = (Path(lenet.__file__).parent / "lab/page/colors.js").read_text("utf-8")
    light = page.partition("const SEQUENCES")[2].partition("dark:")[0]
    colors = [f"#{int(r):02X}{int(g):02X}{int(b):02X}" for r, g, b in RGB.findall(light)]
    assert tuple(colors) == maps.SEQUENCE  # the page's


RGB = re.compile(r"\[(\d+), (\d+), (\d+)\]")


@pytest.mark.slow
def test_numbers_that_are_none_leave_gaps() -> None:
    network = zoo.build("lenet")
    parameters = initialize(network, "torch", 0)
    parameters["0.weight"][2] = np.nan
    picture = Picture(np.full((1, 28, 28), 9, np.uint8), "0", "grey", None)
    check_texts(kernels(network, parameters).figure())
    check_texts(features(network, parameters, picture).figure())


@pytest.mark.slow
def test_the_same_maps_are_the_same_file() -> None:
    network = zoo.build("lenet")
    one, other = (kernels(network, initialize(network, "torch", 0)).figure() for _ in range(2))
    assert figures.encoded(one, "png") == figures.encoded(other, "png")
