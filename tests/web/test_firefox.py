"""The main path through the page in Firefox: the lab, and the exported file without a server.

What is tried here is what browsers differ in: the layout, the pointer, workers, WebAssembly, files.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("websockets", reason="websockets is not installed")
pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from firefox import Tab, executable, firefox
from lab_process import running_lab

from lenet import cli

TEXT = "document.querySelector('{}')?.textContent"
VERDICT = TEXT.format(".verdict")
OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
CLIPPED = """[...document.querySelectorAll('.part-headline button, .lens-head button, .grid td')]
    .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1)
    .map((one) => one.textContent)"""


def train(tab: Tab, steps: int) -> float:
    """Lets the page train until so many steps are taken; examples a second at the end."""
    tab.click(".train-go")
    step = "Number(document.querySelector('.train-readout').textContent"
    tab.wait(f"{step}.match(/step ([\\d,]+)/)?.[1].replace(',', '')) >= {steps}")
    said = tab.wait(f"{TEXT.format('.train-readout')}.match(/([\\d,]+) examples\\/s/)?.[1]")
    tab.click(".train-go")
    return float(said.replace(",", ""))


@pytest.mark.timeout(600)  # a busy machine starts a browser in a minute
@pytest.mark.skipif(executable() is None, reason="Firefox is not installed")
def test_the_main_path_in_firefox(trained_runs: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(trained_runs / "relu-adam", runs / "relu-adam")
    with running_lab(runs) as address, firefox(tmp_path / "firefox") as page:
        # it opens with a verdict, and nothing scrolls at 1440×900
        page.go(address)
        page.wait("document.querySelectorAll('.bars-row').length === 10")
        assert page.run(OVERFLOW) <= 0
        assert page.run("document.documentElement.scrollHeight - innerHeight") <= 0

        # a number is pinned, and its arithmetic comes to the network's own number
        left, top, width, height = page.box(".maps-wide .maps-layer:nth-of-type(3) .maps-canvas")
        page.mouse([(left + width / 6, top + height / 12)])
        page.wait("/unit=\\d+%3A\\d+/.test(location.hash)")
        recomputed = page.wait("document.querySelector('[data-recomputed]')?.dataset.recomputed")
        shown = re.search(r"= (−?[\d.]+)", page.run(TEXT.format(".lens-number")))
        assert shown is not None
        number = float(shown[1].replace("−", "-"))
        assert number == pytest.approx(float(recomputed), rel=1e-3, abs=1e-3)
        assert page.run(CLIPPED) == []

        # a drawing is another picture
        before = page.run(VERDICT)
        page.click(".part-input [role=tab]")
        left, top, width, height = page.box("canvas.pad")
        stroke = [(0.25, 0.2), (0.5, 0.22), (0.75, 0.25), (0.6, 0.5), (0.45, 0.85)]
        page.mouse([(left + x * width, top + y * height) for x, y in stroke])
        page.wait(f"{VERDICT} !== {before!r} && {VERDICT}")

        # it trains in its worker
        page.run("location.hash = '#/explore?model=run:relu-adam&lens=train'")
        train(page, 40)

        # the exported file, on a telephone's screen
        path = tmp_path / "relu.html"
        assert cli.run(["export", str(runs / "relu-adam"), "--to", "html", "--out", str(path)]) == 0
        page.resize(360, 740)
        page.go(f"{path.as_uri()}#/explore?lens=train")
        page.wait("document.querySelectorAll('.bars-row').length === 10")
        assert page.run(OVERFLOW) <= 0
        if not page.run("Boolean(document.querySelector('.lens-up'))"):
            page.click(".lens-handle")  # the sheet from below
        train(page, 20)
        assert page.problems == []
