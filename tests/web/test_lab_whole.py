"""The lab as a whole, from the real server, and the exported file: drawn, pointed at, read aloud.

axe-core looks for what keeps people out: nothing serious may be found in any view, at both sizes,
in both themes. (Learn and Compare on a large screen: test_learn_view.py, test_compare_view.py.)
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from accessibility import serious_faults
from lab_process import PATIENCE_MS, open_view, running_lab
from playwright.sync_api import expect

from lenet import cli, data, engines
from lenet.network.parameters import State
from lenet.optimization import Objective, Optimizer
from lenet.runs import load_model

Page = Any
LARGE = {"viewport": {"width": 1440, "height": 900}}
SMALL = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def folder(trained_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(trained_runs, tmp_path_factory.mktemp("whole") / "runs"))


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with running_lab(folder) as at:
        yield at


@pytest.fixture(scope="module")
def exported(folder: Path) -> Path:
    path = folder.parent / "relu.html"
    run = folder / "relu-adam"
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


def test_a_drawing_changes_the_classes(new_page: Callable[..., Page], address: str) -> None:
    page = open_view(new_page(**LARGE), address, "explore")
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
    new_page: Callable[..., Page], address: str, folder: Path, exported: Path, where: str
) -> None:
    """A number of every layer, from the page's address alone; the file works with no network."""
    page = new_page(**LARGE)
    page.set_default_timeout(PATIENCE_MS)
    run = folder / "relu-adam"
    if where == "file":
        page.context.set_offline(True)
    else:
        open_view(page, address, "explore")
    for layer, unit in [(0, 6 * 28 * 14 // 2), (1, 400), (2, 100), (3, 777), (5, 33), (11, 4)]:
        picture = 0  # the file's first is the test set's first: samples keep their order
        query = f"?model=run:relu-adam&picture={picture}&unit={layer}:{unit}"
        if where == "server":
            page.goto(f"{address.partition('#')[0]}#/explore{query}")
        else:
            query = query.replace("run:relu-adam", f"run:{run.name}")
            page.goto(f"{exported.as_uri()}#/explore{query}")
        page.reload()
        shown = page.locator("[data-recomputed]")
        expected = output_of(run, picture, layer, unit)
        shown.wait_for(timeout=PATIENCE_MS)
        assert float(shown.get_attribute("data-recomputed")) == pytest.approx(expected, abs=1e-4)


def test_the_file_says_what_the_server_said(
    new_page: Callable[..., Page], folder: Path, exported: Path
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


def test_language_and_colours_last(new_page: Callable[..., Page], address: str) -> None:
    page = open_view(new_page(**LARGE), address, "compare")
    english = page.locator("nav.views").inner_text()
    page.locator("#language").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    assert page.locator("nav.views").inner_text() != english
    page.locator("#theme").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


# --- for everybody -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "size"),
    [("explore", LARGE), ("explore", SMALL), ("learn", SMALL), ("compare", SMALL)],
    ids=["explore-1440", "explore-360", "learn-360", "compare-360"],
)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    new_page: Callable[..., Page], address: str, view: str, size: dict[str, Any], theme: str
) -> None:
    query = "?model=run:relu-adam&picture=3&unit=3:777" if view == "explore" else ""
    if view == "learn":
        query = "?run=relu-adam"
    page = open_view(new_page(**size, color_scheme=theme), address, view, query)
    ready = {"explore": "[data-recomputed]", "learn": "canvas", "compare": "table, ul"}[view]
    page.locator(ready).first.wait_for(timeout=PATIENCE_MS, state="attached")
    if view == "explore" and size is SMALL:
        page.locator(".lens-handle").click()  # the sheet of a small screen comes up
        expect(page.locator(ready).first).to_be_visible()
    page.wait_for_timeout(500)
    assert serious_faults(page, colors_only=theme == "dark") == []


@pytest.mark.parametrize("view", ["explore", "learn", "compare"])
@pytest.mark.parametrize("width", [360, 768, 2560])
def test_nothing_sticks_out_sideways(
    new_page: Callable[..., Page], address: str, view: str, width: int
) -> None:
    page = open_view(new_page(viewport={"width": width, "height": 800}), address, view)
    page.wait_for_timeout(1500)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
