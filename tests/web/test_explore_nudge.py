"""Nudge: a picture changed a little towards another class, against the reference engine."""

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

PICTURE = 5
SHOWN = "document.querySelector('[data-part=before] .number').textContent"
AT_RANDOM = "document.querySelector('.nudge-told > .small').textContent"


def logits(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    network, parameters = explore_view.trained()
    engine = NumpyEngine(network, Optimizer(), Objective())
    engine.load(State(parameters))
    return engine.activations(images.reshape(-1, 1, 28, 28))[-1].astype(np.float64)


def margin(image: NDArray[np.uint8], to: int) -> float:
    """How far a class is ahead of the strongest other one."""
    found = logits(image)[0]
    return float(found[to] - np.delete(found, to).max())


def seen(page: Any) -> NDArray[np.uint8]:
    return np.array(page.evaluate("[...store.get().seen]"), np.uint8)


def choose(page: Any, size: int) -> None:
    """Moves the slider, and waits until the network has seen a picture that is moved by so much."""
    page.locator(".nudge-told input").fill(str(size))
    until(page, f"furthest() === {size}")
    page.evaluate("settled()")


def test_a_nudge_is_small_and_moves_the_verdict_further_than_chance(explore: Any) -> None:
    page = explore(f"picture={PICTURE}&lens=nudge")
    plain = pixels_of(page)
    before = logits(plain)[0]
    second, first = np.argsort(before)[-2:]
    assert page.locator(".nudge-told select").first.input_value() == str(second)
    choose(page, 6)
    nudged = seen(page)
    far = np.abs(nudged.astype(int) - plain)
    assert far.max() == 6
    # a pixel moved less only where nothing lies beyond, or where the gradient is nothing
    slopes = np.array(page.evaluate("([a, b]) => contrastOf(a, b, -1)", [int(second), int(first)]))
    assert set(np.unique(far)) <= {0, 1, 2, 3, 4, 5, 6}
    assert ((nudged == 0) | (nudged == 255) | (slopes == 0))[far < 6].all()
    assert margin(nudged, second) > margin(plain, second) + 0.1
    np.testing.assert_array_equal(pixels_of(page), plain)  # the picture itself stays
    # what stands there is what the network says
    until(page, f"{SHOWN} && {AT_RANDOM}")
    names = data.bundled().test.classes
    assert page.evaluate(SHOWN).startswith(names[first])
    assert names[logits(nudged)[0].argmax()] in page.locator("[data-part=after]").inner_text()
    moved = np.array(page.evaluate("[...nudge.jostled(store.get().pixels, 6)]"), np.uint8)
    assert np.abs(moved.astype(int) - plain).max() == 6
    assert abs(margin(moved, second) - margin(plain, second)) < (
        margin(nudged, second) - margin(plain, second)
    )
    assert names[logits(moved)[0].argmax()] in page.evaluate(AT_RANDOM)
    # in the other views of the same picture it is the nudged one that counts
    assert page.locator(".edited").is_visible()
    page.get_by_role("button", name="Take it away").click()
    page.evaluate("settled()")
    np.testing.assert_array_equal(seen(page), plain)
    assert "nudge=" not in page.url
    assert serious_faults(page, within="main") == []


def test_the_smallest_nudge_and_a_link_to_it(explore: Any) -> None:
    page = explore(f"picture={PICTURE}&lens=nudge")
    to = int(np.argsort(logits(pixels_of(page))[0])[-2])
    page.locator(".nudge-told select").nth(1).select_option("10")
    page.get_by_role("button", name="Smallest that does it").click()
    until(page, "store.get().nudge && furthest() === store.get().nudge.size")
    size = state(page, "nudge")["size"]
    assert f"It takes {size} of 255" in page.locator(".nudge-found").inner_text()
    assert margin(seen(page), to) > 0
    assert size > 1
    choose(page, size - 1)
    assert margin(seen(page), to) <= 0
    address = page.url.partition("#?")[2]
    kept = seen(page)
    page = explore(address)  # as after a reload
    until(page, f"furthest() === {size - 1}")
    np.testing.assert_array_equal(seen(page), kept)
    assert page.locator(".nudge-told select").nth(1).input_value() == "10"
    # what a link says beyond its bounds is left out
    for wrong in ("3.65.1", "3.8.7", "x", "3.0.1", "99.8.1"):
        page = explore(f"picture={PICTURE}&nudge={wrong}")
        assert state(page, "nudge") is None
