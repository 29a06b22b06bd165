"""A link to a place: a picture that is in no data set travels in the address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from explore_view import pixels_of, state, until


@pytest.fixture(autouse=True)
def _clipboard(opened: tuple[Any, list[str]]) -> Iterator[None]:
    context = opened[0].context
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield
    context.clear_permissions()


def copied(page: Any) -> str:
    """What "Copy link" puts on the clipboard, without the page's own address."""
    page.evaluate("navigator.clipboard.writeText('')")  # "Copied" may still stand there from before
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("Copied").wait_for()
    text: str = ""
    for _ in range(400):
        if text := page.evaluate("navigator.clipboard.readText()"):
            break
        page.wait_for_timeout(25)
    assert text.startswith(page.url.partition("#")[0])
    return text.partition("?")[2]


def test_a_link_brings_back_a_drawing_and_all_that_was_changed(explore: Any) -> None:
    page = explore("unit=0:300&lens=slide&edits=g1:2~c:3.4.7.128")
    page.get_by_role("button", name="Draw your own").click()
    pad = page.locator(".pad").bounding_box()
    page.mouse.move(pad["x"] + pad["width"] / 3, pad["y"] + pad["height"] / 4)
    page.mouse.down()
    page.mouse.move(pad["x"] + pad["width"] / 2, pad["y"] + pad["height"] * 0.8, steps=5)
    page.mouse.up()
    page.evaluate("settled()")
    drawn, said = pixels_of(page), page.evaluate("logits()")
    assert drawn.any()
    link = copied(page)
    assert len(link) < 900
    assert parse_qs(link)["picture"] == ["draw"]

    page = explore(link)  # as after a reload: nothing is remembered
    np.testing.assert_array_equal(pixels_of(page), drawn)
    assert page.evaluate("logits()") == said
    assert state(page, "unit") == {"layer": 0, "index": 300}
    assert state(page, "cover") == {"top": 3, "left": 4, "size": 7, "value": 128}
    assert page.locator("#lens-slide").get_attribute("aria-selected") == "true"
    page.evaluate("mount(location.hash.slice(2), 'zh')")  # another language: still the drawing
    page.evaluate("settled()")
    np.testing.assert_array_equal(pixels_of(page), drawn)


def test_a_picture_of_the_data_set_travels_by_its_number(explore: Any) -> None:
    page = explore("picture=17")
    link = parse_qs(copied(page))
    assert (link["picture"], "pixels" in link) == (["17"], False)
    # one of its pixels changed by hand: its label is still known, and its pixels are the changed
    page.evaluate(
        """() => {
          const { picture, pixels } = store.get();
          const changed = pixels.slice();
          changed[0] = 255;
          store.set({ picture: { ...picture, touched: true }, pixels: changed });
        }"""
    )
    link = copied(page)
    changed, label = pixels_of(page), state(page, "picture")["label"]
    page = explore(link)
    until(page, "store.get().picture.touched")
    np.testing.assert_array_equal(pixels_of(page), changed)
    assert changed[0] == 255
    assert state(page, "picture")["label"] == label


@pytest.mark.parametrize(
    "pixels", ["", "AAAA", "no base64!", "eNpjYAAAAAE", "7cEBDQAAAMKg909tDjegAAAAAAAAAAAA"]
)
def test_a_link_with_a_wrong_picture_says_so(explore: Any, pixels: str) -> None:
    page = explore(f"picture=draw&pixels={pixels}")
    assert "cannot be read" in page.get_by_role("alert").inner_text()
    assert state(page, "picture")["source"] == "data"  # and the first picture is shown
    assert not re.search("pixels=.", page.url)
