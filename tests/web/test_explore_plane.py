"""The map of pictures against NumPy's singular values, and the pen on a picture."""

from __future__ import annotations

from typing import Any

import explore_view
import numpy as np
from accessibility import serious_faults
from explore_view import pixels_of, state, until
from numpy.typing import NDArray

from lenet import data
from lenet.engines.numpy import NumpyEngine
from lenet.network.parameters import State
from lenet.optimization import Objective, Optimizer

COUNT = 1_000


def hidden(images: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the last layer reads and gives for each picture."""
    network, parameters = explore_view.trained()
    engine = NumpyEngine(network, Optimizer(), Objective())
    engine.load(State(parameters))
    *_, read, given = engine.activations(images.reshape(-1, 1, 28, 28))
    return read.astype(np.float64), given.astype(np.float64)


def test_the_map_is_the_principal_plane_and_leads_to_pictures(explore: Any) -> None:
    page = explore("picture=5&lens=map")
    until(page, "memory.plane && document.querySelectorAll('.plane-near button').length === 6")
    test = data.bundled().test
    points, logits = hidden(test.images[:COUNT])
    centred = points - points.mean(0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    shares = sizes[:2] ** 2 / (sizes**2).sum()
    np.testing.assert_allclose(page.evaluate("memory.plane.plane.shares"), shares, rtol=1e-4)
    places = np.array(page.evaluate("[...memory.plane.places]")).reshape(-1, 2)
    expected = centred @ axes[:2].T
    for axis in range(2):  # either end of an axis may come first
        np.testing.assert_allclose(
            abs(places[:, axis]), abs(expected[:, axis]), atol=2e-3 * sizes[axis] / COUNT**0.5
        )
    assert page.evaluate("memory.plane.verdicts") == logits.argmax(1).tolist()
    # the nearest are those in all numbers, and lead on
    near = np.argsort(((points - points[5]) ** 2).sum(1))[1:7]
    buttons = page.locator(".plane-near button")
    assert [int(one.get_attribute("data-point")) for one in buttons.all()] == near.tolist()
    buttons.first.click()
    until(page, f"store.get().picture.index === {near[0]}")
    # a class stands out; a point that is pointed at says what it is, and a click shows it
    page.locator(".plane-legend button").nth(3).click()
    assert page.locator(".plane-legend button").nth(3).get_attribute("aria-pressed") == "true"
    canvas = page.locator(".plane-canvas")
    canvas.focus()
    for _ in range(40):
        canvas.press("ArrowLeft")
        if page.locator(".plane-card canvas").is_visible():
            break
        canvas.press("ArrowRight")
    page.locator(".plane-card canvas").wait_for()
    number = int(page.locator(".plane-card").inner_text().split(":")[0].split()[1])
    assert test.labels[number] == 3
    canvas.press("Enter")
    until(page, f"store.get().picture.index === {number}")
    # what is done to the picture moves it in the plane: the neighbours are others
    before = page.locator(".plane-near").get_attribute("data-shown")
    page.evaluate("store.set({ cover: { top: 0, left: 0, size: 20, value: 0 } })")
    until(page, f"document.querySelector('.plane-near').dataset.shown !== '{before}'")
    assert serious_faults(page, within="main") == []


def test_a_pen_draws_on_the_picture_itself(explore: Any) -> None:
    page = explore("picture=17")
    plain = pixels_of(page)
    page.get_by_role("button", name="Pen").click()
    box = page.locator(".maps-slot canvas").bounding_box()
    cell = box["width"] / 28
    page.mouse.move(box["x"] + 2.5 * cell, box["y"] + 4.5 * cell)
    page.mouse.down()
    page.mouse.move(box["x"] + 9.5 * cell, box["y"] + 4.5 * cell, steps=12)
    page.mouse.up()
    page.evaluate("settled()")
    drawn = pixels_of(page).reshape(28, 28).astype(int)
    changed = drawn != plain.reshape(28, 28)
    assert changed[4, 3:9].all()
    assert drawn[4, 3:9].min() > 200
    assert not changed[8:].any()
    assert not changed[:, 14:].any()
    assert not state(page, "pinned")
    assert state(page, "picture") == {
        **state(page, "picture"),
        "index": 17,
        "touched": True,
    }
    # of many changes in a row the address holds the last a little later
    packed = page.evaluate("encodePixels(store.get().pixels)")
    until(page, f"new URLSearchParams(location.hash.slice(2)).get('pixels') === '{packed}'")
    page = explore(page.url.partition("#?")[2])  # a link keeps what was drawn
    until(page, "store.get().picture.touched")
    np.testing.assert_array_equal(pixels_of(page).reshape(28, 28), drawn)

    page = explore("picture=17")
    page.get_by_role("button", name="Pen").click()
    picture = page.locator(".maps-slot .maps-layer")
    page.evaluate("store.set({ unit: { layer: -1, index: 3 * 28 + 5 } })")
    picture.press("Space")
    assert pixels_of(page)[3 * 28 + 5] > 200
    page.get_by_role("button", name="Undo").click()
    np.testing.assert_array_equal(pixels_of(page), plain)
    assert state(page, "picture").get("touched") is not True
