"""Why this class, rather than that one: what adds to it, and three ways to look for the place."""

from __future__ import annotations

import re
from typing import Any

import explore_view
import numpy as np
import pytest
from accessibility import serious_faults
from explore_view import state, until
from numpy.typing import NDArray

from lenet import data
from lenet.engines.numpy import NumpyEngine
from lenet.network.layers import Conv2d
from lenet.network.parameters import State
from lenet.optimization import Objective, Optimizer

PICTURE = 5
A, B = 5, 7


def activations(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    network, parameters = explore_view.trained()
    engine = NumpyEngine(network, Optimizer(), Objective())
    engine.load(State(parameters))
    return engine.activations(images)


def contrast(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    logits = activations(images)[-1].astype(np.float64)
    return logits[:, A] - logits[:, B]


def strongest(page: Any, way: str) -> tuple[int, int, float]:
    """The row and column that a picture's label names, and the number there."""
    canvas = page.locator(f"[data-way={way}] canvas")
    row, column = map(
        int, re.findall(r"row (\d+), column (\d+)", canvas.get_attribute("aria-label"))[0]
    )
    return row, column, float(canvas.get_attribute("data-most"))


def over_the_input(page: Any, row: int, column: int) -> list[int]:
    """The colour of a pixel of the stage's picture."""
    found: list[int] = page.evaluate(
        """([row, column]) => {
          const canvas = document.querySelector(".maps-slot canvas");
          const [x, y] = [column, row].map((at) => Math.floor(((at + 0.5) / 28) * canvas.width));
          const copy = new OffscreenCanvas(1, 1).getContext("2d");
          copy.drawImage(canvas, x, y, 1, 1, 0, 0, 1, 1);
          return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
        }""",
        [row, column],
    )
    return found


def test_a_click_asks_why_and_a_second_one_rather_than_what(explore: Any) -> None:
    page = explore(f"picture={PICTURE}")
    bars = page.locator(".bars-row")
    bars.nth(A).click()
    assert page.locator("#lens-why").get_attribute("aria-selected") == "true"
    assert state(page, "why") == {"a": A, "b": None}
    bars.nth(B).click()
    assert state(page, "why") == {"a": A, "b": B}
    address = page.url.partition("#?")[2]
    assert f"why={A}.{B}" in address
    page.get_by_role("button", name="The other way round").click()
    assert state(page, "why") == {"a": B, "b": A}
    bars.nth(2).click()
    assert state(page, "why") == {"a": 2, "b": None}, "a third one begins anew"
    # who looks at gradients stays there
    page.locator("#lens-backward").click()
    bars.nth(B).click()
    assert page.locator("#lens-backward").get_attribute("aria-selected") == "true"
    assert state(page, "why") == {"a": 2, "b": None}
    assert page.locator(".why-over").count() == 0, "the legend goes with the side"
    page.evaluate("address => begin(address, {})", address)
    until(page, "document.querySelector('[data-contrast]')")
    assert state(page, "why") == {"a": A, "b": B}
    # the headline: the verdict rather than the truth
    labels, found = page.evaluate("backendPredictions()")
    wrong = next(i for i in range(len(labels)) if labels[i] != found[i])
    page.evaluate("params => begin(params, {})", f"picture={wrong}")
    page.evaluate("settled()")
    page.get_by_role("button", name="Why?").click()
    until(page, "document.querySelector('[data-contrast]')")
    chosen = [pick.input_value() for pick in page.locator(".why-question select").all()]
    assert chosen == [str(found[wrong]), str(labels[wrong])]


def test_what_is_said_is_what_the_network_does(explore: Any) -> None:
    """Terms, saliency, occlusion and Grad-CAM against the reference engine."""
    page = explore(f"picture={PICTURE}&lens=why&why={A}.{B}")
    network, parameters = explore_view.trained()
    image = data.bundled().test.images[PICTURE : PICTURE + 1]
    seen = activations(image)
    until(page, "document.querySelector('[data-way=occlusion] canvas').dataset.most")
    # the terms add up to the difference
    weight, bias = parameters["11.weight"], parameters["11.bias"]
    products = (weight[A] - weight[B]).astype(np.float64) * seen[-2][0]
    rows = page.locator(".part-why [data-product]").all()
    shown = [float(row.get_attribute("data-product")) for row in rows]
    order = np.argsort(-np.abs(products))
    assert shown == pytest.approx(list(products[order[: len(shown)]]), abs=1e-5)
    total = float(page.locator(".part-why [data-total]").get_attribute("data-total"))
    assert total == pytest.approx(products.sum() + bias[A] - bias[B], abs=1e-5)
    assert total == pytest.approx(contrast(image)[0], abs=1e-4)
    # saliency: a little more ink, and the difference moves by so much
    row, column, slope = strongest(page, "saliency")
    more = np.repeat(image, 2, axis=0)
    value = int(image[0, 0, row, column])
    low, high = max(value - 2, 0), min(value + 2, 255)
    more[0, 0, row, column], more[1, 0, row, column] = low, high
    less, most = contrast(more)
    assert (most - less) * 255 / (high - low) == pytest.approx(slope, rel=0.1)
    # the same lies over the picture that the network sees, until it is switched off
    red, _, blue = over_the_input(page, row, column)
    assert np.sign(red - blue) == np.sign(slope)
    assert abs(red - blue) > 60
    legend = page.locator(".why-legend").text_content()
    assert legend.startswith(f"for {network.classes[A]}for {network.classes[B]}±")
    page.get_by_label("Saliency over the picture").uncheck()
    red, _, blue = over_the_input(page, row, column)
    assert red == blue
    # occlusion: what a square of ground takes away there
    row, column, taken = strongest(page, "occlusion")
    hidden = image.copy()
    top, left = row - 3, column - 3
    hidden[0, :, max(top, 0) : top + 7, max(left, 0) : left + 7] = 0
    assert contrast(image)[0] - contrast(hidden)[0] == pytest.approx(taken, abs=1e-4)
    # Grad-CAM: the maps of the last convolution, each times the mean of its gradient
    last = max(i for i, layer in enumerate(network.layers) if isinstance(layer, Conv2d))
    row, column, value_ = strongest(page, "gradcam")
    slopes = np.array(
        page.evaluate(
            "([a, b, layer]) => contrastOf(a, b, layer)",
            [A, B, last + 1],
        )
    ).reshape(seen[last + 1].shape[1:])
    cam = np.maximum(0, (slopes.mean((1, 2))[:, None, None] * seen[last + 1][0]).sum(0))
    assert (row, column) == np.unravel_index(cam.argmax(), cam.shape)
    assert value_ == pytest.approx(cam.max(), rel=1e-4)


def test_other_networks_dark_chinese_and_a_phone(explore: Any) -> None:
    page = explore("model=run:own&lens=why&why=0", language="zh", theme="dark")
    page.set_viewport_size({"width": 360, "height": 740})
    page.locator("#lens-why").click()
    until(page, "document.querySelector('[data-way=occlusion] canvas').dataset.most")
    assert "z(a) = " in page.locator(".part-why .sum-line").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert serious_faults(page, within="main") == []
    # where the stages stand side by side below the picture, no line leads to it
    page.set_viewport_size({"width": 900, "height": 900})
    until(page, "document.querySelectorAll('.maps-wide .maps-layer:not([hidden])').length > 2")
    until(page, "document.querySelectorAll('.maps-streams path').length > 0")
    assert page.evaluate(
        """() => {
          const { top } = document.querySelector(".part-maps").getBoundingClientRect();
          const lines = [...document.querySelectorAll(".maps-streams path, .maps-lines")];
          const drawn = lines.filter((line) => line.getAttribute("d"));
          return drawn.every((line) => line.getBoundingClientRect().top >= top);
        }"""
    )
    # what an address says of classes that there are not is left out
    page = explore("model=run:own&lens=why&why=7.8")
    assert state(page, "why") is None
    page = explore("model=run:own&lens=why&why=1.1")
    assert state(page, "why") == {"a": 1, "b": None}
