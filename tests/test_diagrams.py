"""The drawn network: what is in it, that nothing overlaps, that the same one is the same file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenet.looking.diagrams import diagram
from lenet.network import zoo
from lenet.network.architecture import Network, trace
from lenet.network.layers import AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU
from test_architecture import networks as small_networks

GOLDEN = Path(__file__).parent / "golden" / "diagram-lenet.svg"
SVG = "{http://www.w3.org/2000/svg}"

Box = tuple[float, float, float, float]  # left, top, right, bottom


def parsed(network: Network) -> ET.Element:
    return ET.fromstring(diagram(network).svg)


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


@cache
def letters_width(words: str, size: float, weight: str) -> float:
    """The width of a text in DejaVu Sans: the widest of the fonts that are named."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family="DejaVu Sans", weight=weight)))
    font.set_size(size, 72)
    # Chinese signs, which the font has not, are as wide as they are high
    font.set_text("".join("M" if ord(sign) > 0x2E7F else sign for sign in words))
    return font.get_width_height()[0] / 64


def text_boxes(root: ET.Element) -> list[tuple[str, Box]]:
    """Each text with its place."""
    boxes = []
    for element in root.iter(f"{SVG}text"):
        words, size = element.text or "", float(element.get("font-size", 0))
        width = letters_width(words, size, element.get("font-weight", "normal"))
        anchored = {"start": 0.0, "middle": 0.5}[element.get("text-anchor", "start")]
        x, y = float(element.get("x", 0)) - anchored * width, float(element.get("y", 0))
        boxes.append((words, (x, y - 0.8 * size, x + width, y + 0.2 * size)))
    return boxes


def shapes(root: ET.Element) -> list[Box]:
    """The planes, strips, windows and units; not the white ground."""
    rects = list(root.iter(f"{SVG}rect"))[1:]
    found = []
    for rect in rects:
        x, y, width, height = (float(rect.get(key, 0)) for key in ("x", "y", "width", "height"))
        found.append((x, y, x + width, y + height))
    return found


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def check_layout(network: Network) -> None:
    root = parsed(network)
    words, drawn = text_boxes(root), shapes(root)
    for (one, box), (other, other_box) in combinations(words, 2):
        assert not overlap(box, other_box), (one, other)
    for text, box in words:
        assert not any(overlap(box, shape) for shape in drawn), text
    _, _, width, height = map(float, root.get("viewBox", "").split())
    for box in [*drawn, *(box for _, box in words)]:
        assert box[0] >= 0
        assert box[1] >= 0
        assert box[2] <= width
        assert box[3] <= height


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_nothing_overlaps_in_the_zoo(name: str) -> None:
    check_layout(zoo.build(name))


@pytest.mark.parametrize("classes", [2, 10, 20, 21, 1000])
def test_nothing_overlaps_with_few_or_many_classes(classes: int) -> None:
    network = zoo.build("lenet", (3, 40, 64), classes)
    check_layout(network)
    named = texts(parsed(network)).count("1")  # the class of that name
    assert named == (1 if classes <= 20 else 0)


@pytest.mark.slow
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(small_networks(of_1998=True))
def test_nothing_overlaps_in_networks_of_any_layers(network: Network) -> None:
    check_layout(network)


@st.composite
def deep_networks(draw: st.DrawFn) -> Network:
    """One to ten convolutions of up to 512 channels, dense layers of up to 4,096."""
    channels, size = draw(st.sampled_from([1, 3])), draw(st.integers(8, 128))
    shape = (channels, size, draw(st.integers(8, 128)))
    layers: list[object] = []
    rows, columns = shape[1:]
    for _ in range(draw(st.integers(1, 10))):
        outputs = draw(st.sampled_from([1, 2, 6, 16, 64, 120, 512]))
        layers += [Conv2d(channels, outputs, 3, padding=1), ReLU()]
        channels = outputs
        if min(rows, columns) >= 2 and draw(st.booleans()):
            layers.append(draw(st.sampled_from([MaxPool2d(2), AvgPool2d(2)])))
            rows, columns = rows // 2, columns // 2
    layers.append(Flatten())
    features = channels * rows * columns
    for width in draw(st.lists(st.integers(1, 4096), max_size=3)):
        layers += [Linear(features, width), ReLU()]
        features = width
    layers.append(Linear(features, 2))
    names = draw(
        st.sampled_from([("cat", "dog"), ("a very long name of a class", "x"), ("猫", "狗")])
    )
    return Network("deep", shape, tuple(layers), names)  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(deep_networks())
def test_nothing_overlaps_in_deep_networks(network: Network) -> None:
    check_layout(network)


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_every_shape_and_parameter_count_is_there(name: str) -> None:
    network = zoo.build(name)
    words = texts(parsed(network))
    for row in trace(network):
        if row.stage:
            assert f"{row.stage}: {'×'.join(map(str, row.output_shape))}" in words
        if row.parameters:
            assert f"{row.parameters:,} parameters" in words


def test_the_words_of_the_lenet5_figure() -> None:
    words = texts(parsed(zoo.build("lenet5")))
    for expected in ("C5: 120×1×1", "60 of 96 kernels", "2×2 subsampling", "output: 10"):
        assert expected in words


def test_the_window_lies_where_its_unit_looks() -> None:
    """C1 of lenet: a window of 5 of 28 pixels, around the place of the unit that it makes."""
    found = list(parsed(zoo.build("lenet")).iter(f"{SVG}rect"))
    picture = found[1]
    side = float(picture.get("width", 0))
    front = max((r for r in found if r.get("width") == picture.get("width")), key=_left)
    window = next(r for r in found if r.get("fill") == "#D55E00" and _left(r) < _left(front))
    unit = next(r for r in found if r.get("fill") == "#D55E00" and _left(r) > _left(front))
    assert float(window.get("width", 0)) == pytest.approx(5 / 28 * side, abs=0.02)
    assert float(unit.get("width", 0)) == pytest.approx(1 / 28 * side, abs=0.02)
    middles = [_left(rect) + float(rect.get("width", 0)) / 2 for rect in (window, unit)]
    seen, made = middles[0] - _left(picture), middles[1] - _left(front)
    assert made == pytest.approx(seen, abs=0.05)


def _left(rect: ET.Element) -> float:
    return float(rect.get("x", 0))


def test_the_same_network_is_the_same_file() -> None:
    drawing = diagram(zoo.build("lenet"))
    assert drawing == diagram(zoo.build("lenet"))
    assert drawing.svg == drawing._repr_svg_() == GOLDEN.read_text(encoding="utf-8")


def test_names_are_text_and_no_markup() -> None:
    classes = ("<b>&", "猫\ufffe")
    network = Network("<&>", (1, 1, 2), (Flatten(), Linear(2, 2)), classes)
    root = parsed(network)
    assert {"<&>", "<b>&", "猫"} <= set(texts(root))


def test_a_network_that_ends_in_flattening_has_its_strip() -> None:
    network = Network("c", (1, 3, 3), (Conv2d(1, 2, 3), ReLU(), Flatten()), ("a", "b"))
    assert {"flat: 2", "flatten", "ReLU"} <= set(texts(parsed(network)))
    check_layout(network)


if __name__ == "__main__":
    GOLDEN.write_text(diagram(zoo.build("lenet")).svg, encoding="utf-8")
