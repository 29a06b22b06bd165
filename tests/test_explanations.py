"""The explanations: that they are true of each network, in both languages, and fit 80 columns."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenet.drawing.text_width import cells
from lenet.language.asked import LANGUAGES, language_of
from lenet.looking import explanations
from lenet.looking.explanations import explain, to_text
from lenet.network import zoo
from lenet.network.architecture import Network, trace
from lenet.network.layers import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sigmoid
from lenet.network.parameters import initialize
from test_architecture import networks

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("language", LANGUAGES)
def test_lenet_in_words(language: str) -> None:
    text = to_text(explain(zoo.build("lenet"), language), 80)
    assert text == (GOLDEN / f"explain-lenet-{language}.txt").read_text(encoding="utf-8")


def test_what_tutorial_004_tells_of_each_layer() -> None:
    told = [f"{s.does} {s.why}" for s in explain(zoo.build("lenet"), "en").sections]
    expected = {
        0: ("edge", "stroke", "random", "backpropagation", "divide the work"),
        1: ("nonlinear", "0 to 1", "vanishing gradients", "ReLU"),
        2: ("blurs and compresses", "small shifts", "a quarter"),
        3: ("combines", "channels grow from 6 to 16"),
        6: ("bridge", "400"),
        7: ("weighed together",),
        11: ("logits", "unnormalised"),
    }
    for layer, words in expected.items():
        for word in words:
            assert word in told[layer], (layer, word)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_it_fits_the_terminal(name: str, width: int, language: str) -> None:
    network = zoo.build(name)
    text = to_text(explain(network, language), width)
    assert max(map(cells, text.splitlines())) <= width
    assert f"{sum(row.parameters for row in trace(network)):,}" in text


def test_a_convolution_beside_the_dense_layer_it_saves() -> None:
    first, *_ = explain(zoo.build("lenet"), "en").sections
    assert f"{784 * 4704 + 4704:,}" in first.why
    assert first.numbers == (
        "size: (28 + 2·2 - 5) / 1 + 1 = 28",
        "padding: 2 rows and columns of zeros on each side, so that the map keeps its size",
        "parameters: 6×1×5×5 + 6 = 156, 0.3% of the network's",
        "receptive field: 5×5 pixels of the picture",
    )


def figures(text: str) -> list[str]:
    """The numbers in a text; "a quarter" and "half" count as words."""
    return re.findall(r"\d+(?:[.,]\d+)*", text)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(networks(of_1998=True), st.booleans())
def test_both_languages_say_the_same_numbers(network: Network, trained: bool) -> None:
    parameters = initialize(network, "torch", 0) if trained else None
    english, chinese = (explain(network, language, parameters) for language in LANGUAGES)
    assert len(english.sections) == len(chinese.sections) == len(network.layers)
    for one, other in zip(english.sections, chinese.sections, strict=True):
        assert (one.heading, one.shapes) == (other.heading, other.shapes)
        assert one.does
        assert bool(one.why) == bool(other.why)
        for key in ("does", "numbers", "run"):
            numbers = [figures("".join(getattr(s, key))) for s in (one, other)]
            assert set(numbers[0]) == set(numbers[1]), (one.heading, key)
        assert set(figures(one.why)) == set(figures(other.why)), one.heading


def test_sentences_follow_the_network_and_are_not_about_lenet_alone() -> None:
    layers = (
        *(Conv2d(3, 4, 3, stride=2), ReLU(), MaxPool2d(3, 1, 1), Conv2d(4, 4, 1)),
        *(Flatten(), Dropout(0.5), Linear(100, 2)),
    )
    network = Network("other", (3, 11, 11), layers, ("a", "b"))
    conv, relu, pool, mixing, _, dropout, dense = explain(network, "en").sections
    assert "stride: the kernel moves 2 pixels at a time" in conv.numbers
    assert "does not itself shrink gradients" in relu.why
    assert "less to compute" not in pool.why  # its maps are as large as before
    assert "minus infinity" in pool.numbers[1]
    assert "mixes the 4 channels" in mixing.why
    assert "overfits less" in dropout.why
    assert "logits" in dense.why


def test_kernels_as_large_as_their_maps_are_dense_by_another_name() -> None:
    c5 = explain(zoo.build("lenet5"), "en").sections[8]
    assert "dense layer by another name" in c5.why
    c3 = explain(zoo.build("lenet5"), "en").sections[4]
    assert "Only 60 of the 96 pairs" in c3.why


def test_the_mlp_sees_pixels_and_has_no_comparison_with_itself() -> None:
    explained = explain(zoo.build("mlp"), "en")
    assert "Every pixel has its own weight" in explained.sections[1].why
    assert explained.closing == "100% of the 235,146 parameters are in dense layers."


@pytest.mark.parametrize(
    ("language", "saturated", "dead"),
    [
        ("en", "on 4 test pictures 75% of the outputs are saturated (slope", "1 of the 2 units"),
        ("zh", "在 4 张测试图片上，75% 的输出处于饱和区（斜率", "2 个单元中有 1 个"),
    ],
)
def test_what_a_run_says_of_its_layers(language: str, saturated: str, dead: str) -> None:
    layers = (Flatten(), Linear(2, 2), Sigmoid(), Linear(2, 2), ReLU(), Linear(2, 2))
    network = Network("n", (1, 1, 2), layers, ("a", "b"))
    parameters = initialize(network, "torch", 0)
    parameters["1.weight"] = np.array([[-2.5, 0], [0, 1.25]], np.float32)
    outputs = [np.zeros((4, 2), np.float32) for _ in layers]
    # a sigmoid's slope is 4% of 1/4 at ±4.585
    outputs[1] = np.array([[-4.6, 4.6], [-5, 5], [-9, 0], [4.5, 90]], np.float32)
    outputs[2] = 1 / (1 + np.exp(-outputs[1]))
    outputs[3] = np.array([[-1, 1], [-2, 0], [0, 2], [-1, 0]], np.float32)
    outputs[4] = np.maximum(outputs[3], 0)
    sections = explain(network, language, parameters, outputs).sections
    assert "−2.50" in sections[1].run
    assert "1.25" in sections[1].run
    assert saturated in sections[2].run
    assert dead in sections[4].run
    assert "75%" in sections[4].run
    assert sections[0].run == ""


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LC_ALL": "", "LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en"}, "en"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, "zh"),
        ({"LC_ALL": "C.UTF-8", "LANGUAGE": "zh_CN"}, "en"),
    ],
)
def test_the_language_is_the_environments(environment: Mapping[str, str], language: str) -> None:
    assert language_of(environment) == language


def test_without_a_language_it_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert explain(zoo.build("lenet")).language == "zh"


def test_another_language_is_refused() -> None:
    with pytest.raises(ValueError, match="language 'fr': explanations are in en and zh"):
        explain(zoo.build("lenet"), "fr")


def test_a_notebook_shows_it_as_a_page() -> None:
    network = Network("<i>", (1, 1, 2), (Flatten(), Linear(2, 2)), ("a", "b"))
    page = explain(network, "en")._repr_html_()
    root = ET.fromstring(page)
    assert root.get("lang") == "en"
    assert [element.text for element in root.iter("h4")] == ["0  Flatten", "1  F1  Linear(2→2)"]
    assert "<i>" in "".join(root.itertext())


def test_json_has_every_sentence() -> None:
    explained = explain(zoo.build("lenet"), "zh")
    values = explanations.to_json(explained)
    assert [layer["why"] for layer in values["layers"]] == [s.why for s in explained.sections]
    assert values["language"] == "zh"


if __name__ == "__main__":
    for spoken in LANGUAGES:
        path = GOLDEN / f"explain-lenet-{spoken}.txt"
        path.write_text(to_text(explain(zoo.build("lenet"), spoken), 80), encoding="utf-8")
