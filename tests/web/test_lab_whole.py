"""The lab as a whole, from the real server, and the exported file: drawn, pointed at, read aloud.

axe-core looks for what keeps people out: nothing serious may be found in any view, at both sizes,
in both themes. (Learn and Compare on a large screen: test_learn_view.py, test_compare_view.py.)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from accessibility import serious_faults_in_both_themes
from lab_process import PATIENCE_MS, open_view
from playwright.sync_api import expect

from lenet import cli, data, engines
from lenet.network.parameters import State
from lenet.optimization import Objective, Optimizer
from lenet.runs import load_model

Page = Any
LARGE = {"viewport": {"width": 1440, "height": 900}}
SMALL = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def exported(served_runs: Path) -> Path:
    path = served_runs.parent / "relu.html"
    run = served_runs / "relu-adam"
    assert cli.run(["export", str(run), "--to", "html", "--out", str(path)]) == 0
    return path


def probabilities(page: Page) -> dict[str, str]:
    """What the class bars say: the share of each class, by its name."""
    rows = page.locator(".bars-row")
    names = rows.locator(".bars-name").all_inner_texts()
    return dict(zip(names, rows.locator(".bars-share").all_inner_texts(), strict=True))


def draw(page: Page) -> None:
    """A stroke from the upper left to the lower right of the pad, by the mouse."""
    page.get_by_role("tab", name="Draw").click()
    box = page.locator("canvas.pad").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    for share in (0.35, 0.5, 0.6, 0.7):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + share * box["height"])
    page.mouse.up()


def output_of(run: Path, picture: int, layer: int, unit: int) -> float:
    """One number of the network, as the engine computes it."""
    network, parameters = load_model(run)
    engine = engines.make(engines.choose("auto", network), network, Optimizer(), Objective())
    engine.load(State(parameters))
    outputs = engine.activations(data.bundled().test.images[picture : picture + 1])
    return float(outputs[layer].ravel()[unit])


# --- the whole way -----------------------------------------------------------------------------


def test_a_drawing_changes_the_classes(new_page: Callable[..., Page], lab: str) -> None:
    page = open_view(new_page(**LARGE), lab, "explore")
    expect(page.locator(".bars-row").first).to_be_visible()
    before = probabilities(page)
    draw(page)
    page.wait_for_function(
        "before => [...document.querySelectorAll('.bars-row')].some((row) =>"
        " before[row.querySelector('.bars-name').textContent] !=="
        " row.querySelector('.bars-share').textContent)",
        arg=before,
        timeout=PATIENCE_MS,
    )
    assert probabilities(page).keys() == before.keys()


@pytest.mark.parametrize("where", ["server", "file"])
def test_the_arithmetic_is_the_engines(
    new_page: Callable[..., Page], lab: str, served_runs: Path, exported: Path, where: str
) -> None:
    """A number of every layer, from the page's address alone; the file works with no network."""
    page = new_page(**LARGE)
    page.set_default_timeout(PATIENCE_MS)
    run = served_runs / "relu-adam"
    if where == "file":
        page.context.set_offline(True)
    for layer, unit in [(0, 6 * 28 * 14 // 2), (1, 400), (2, 100), (3, 777), (5, 33), (11, 4)]:
        picture = 0  # the file's first is the test set's first: samples keep their order
        query = f"?model=run:relu-adam&picture={picture}&unit={layer}:{unit}"
        if where == "server":
            open_view(page, lab, "explore", query)
        else:
            query = query.replace("run:relu-adam", f"run:{run.name}")
            page.goto(f"{exported.as_uri()}#/explore{query}")
        if layer in (0, 11):
            page.reload()
        expected = pytest.approx(output_of(run, picture, layer, unit), abs=1e-4)
        shown = page.locator("[data-recomputed]")
        for _ in range(100):  # the number of the address before may stand there for a moment
            if float(shown.get_attribute("data-recomputed")) == expected:
                break
            page.wait_for_timeout(50)
        assert float(shown.get_attribute("data-recomputed")) == expected


def test_the_file_says_what_the_server_said(
    new_page: Callable[..., Page], served_runs: Path, exported: Path
) -> None:
    page = new_page(**LARGE)
    page.context.set_offline(True)
    page.goto(exported.as_uri())
    expect(page.locator(".bars-row")).to_have_count(10, timeout=PATIENCE_MS)
    assert page.locator(".part-model").text_content().count("61,706") == 1
    expect(page.locator(".explanations details")).to_have_count(12)
    page.locator("#language").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator(".bars-row")).to_have_count(10, timeout=PATIENCE_MS)
    draw_tab = page.get_by_role("tab").first
    draw_tab.click()
    assert np.isfinite([float(share.rstrip("%")) for share in probabilities(page).values()]).all()


def test_language_and_colours_last(new_page: Callable[..., Page], lab: str) -> None:
    page = open_view(new_page(**LARGE), lab, "compare")
    english = page.locator("nav.views").inner_text()
    page.locator("#language").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    assert page.locator("nav.views").inner_text() != english
    page.locator("#theme").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


# --- for everybody -----------------------------------------------------------------------------

SHOWN = {"explore": "[data-recomputed]", "learn": "canvas", "compare": ".pair-layers canvas"}


@pytest.mark.parametrize(
    ("view", "size"),
    [("explore", LARGE), ("explore", SMALL), ("learn", SMALL), ("compare", SMALL)],
    ids=["explore-1440", "explore-360", "learn-360", "compare-360"],
)
def test_axe_finds_nothing_serious(
    new_page: Callable[..., Page], lab: str, view: str, size: dict[str, Any]
) -> None:
    query = "?model=run:relu-adam&picture=3&unit=3:777" if view == "explore" else ""
    if view == "learn":
        query = "?run=relu-adam"
    page = open_view(new_page(**size, color_scheme="light"), lab, view, query)
    shown = page.locator(SHOWN[view]).first

    def ready() -> None:
        shown.wait_for(timeout=PATIENCE_MS, state="attached")
        if view == "explore" and size is SMALL and not shown.is_visible():
            page.locator(".lens-handle").click()  # the sheet of a small screen comes up
        expect(shown).to_be_visible()

    assert serious_faults_in_both_themes(page, ready) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["viewport"]["width"]


@pytest.mark.parametrize("view", ["explore", "learn", "compare"])
def test_nothing_sticks_out_sideways(new_page: Callable[..., Page], lab: str, view: str) -> None:
    page = open_view(new_page(viewport={"width": 2560, "height": 800}), lab, view)
    page.locator(SHOWN[view]).first.wait_for(timeout=PATIENCE_MS, state="attached")
    for width in (2560, 768, 360):
        page.set_viewport_size({"width": width, "height": 800})
        for _ in range(100):  # a figure is laid out anew with the next frames
            if page.evaluate("document.documentElement.scrollWidth") <= width:
                break
            page.wait_for_timeout(50)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
