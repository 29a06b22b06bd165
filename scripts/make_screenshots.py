"""The pictures of the lab in docs/pictures, in either language, taken in the browser of the tests.

    LENET_DATA=folder-of-data-sets python scripts/make_screenshots.py [--runs FOLDER] [--out FOLDER]

Trains what is shown, unless FOLDER holds it already, opens the lab on it, and takes each view. Look
at them before committing.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "web"))

from chromium import launch_options  # noqa: E402
from lab_process import PATIENCE_MS, open_view, running_lab  # noqa: E402

RUNS = {"lenet-sgd": ["d2l"], "lenet-adam": ["d2l-adam"]}
LARGE = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "color_scheme": "dark"}
LANGUAGES = {"English": "", "中文": "zh"}  # the page's name of each, and its folder


@dataclass(frozen=True)
class Shot:
    """A view to be taken: where it is, when it is there, and which part of it."""

    name: str
    view: str
    query: str
    ready: str
    part: str = ""
    context: dict[str, Any] = field(default_factory=lambda: LARGE)
    press: str = ""  # what is clicked on before
    trains: bool = False  # for some epochs, in the page


PICTURE = "?model=run:lenet-adam&picture=6"
LESSON = "?model=run:lenet-adam&lesson=convolution.3"
UNIT = f"{PICTURE}&unit=3:555"
SHOTS = (
    Shot("lab-explore", "explore", PICTURE, "[data-recomputed]"),
    Shot(
        "lab-numbers",
        "explore",
        UNIT,
        "[data-recomputed]",
        ".part-maps",
        press="[data-layer='3'] button.maps-stage",
    ),
    Shot("lab-arithmetic", "explore", UNIT, "[data-recomputed]", ".part-lens"),
    Shot("lab-backward", "explore", f"{UNIT}&lens=backward&weight=2.7", "[data-weight-gradient]"),
    Shot("lab-why", "explore", f"{PICTURE}&lens=why", "[data-way=occlusion] [data-most]"),
    Shot("lab-nudge", "explore", f"{PICTURE}&lens=nudge&nudge=2.8.1", ".nudge-told", ".part-lens"),
    Shot("lab-map", "explore", f"{PICTURE}&lens=map", ".plane-near button", ".part-lens"),
    Shot("lab-lesson", "explore", LESSON, ".lesson-answer input"),
    Shot("lab-train", "explore", f"{UNIT}&lens=train", ".bars-row", trains=True),
    Shot("lab-learn", "learn", "?run=lenet-sgd", "canvas"),
    Shot("lab-compare", "compare", "?runs=lenet-sgd,lenet-adam", "canvas"),
    Shot("lab-phone", "explore", UNIT, ".bars-row", context=PHONE),
)


def train(folder: Path) -> None:
    """What is shown: the tutorials' LeNet by SGD, and the tutorials' other one by Adam."""
    for name, options in RUNS.items():
        if not (folder / name).exists():
            command = ["train", *options, "--snapshots", "--out", str(folder / name)]
            subprocess.run([sys.executable, "-m", "lenet", *command], check=True)


def take(browser: Any, address: str, shot: Shot, language: str) -> bytes:
    """The picture of a view, as PNG."""
    context = browser.new_context(**shot.context)
    page = open_view(context.new_page(), address, shot.view, shot.query, language)
    page.locator(shot.ready).first.wait_for(timeout=PATIENCE_MS)
    page.wait_for_timeout(2_500)  # until what is computed one after the other stands
    if shot.press:
        page.locator(shot.press).first.click()
        page.wait_for_timeout(500)
    if shot.trains:
        page.locator(".train-go").click()
        learned = re.compile(
            r"epoch ([6-9]|\d\d)|第 ([6-9]|\d\d)[.\d]* 轮"
        )  # a busy machine takes its time
        page.locator(".train-readout", has_text=learned).wait_for(timeout=5 * PATIENCE_MS)
    seen = page.locator(shot.part) if shot.part else page
    png: bytes = seen.screenshot()
    context.close()
    return png


def smaller(png: bytes) -> bytes:
    """The picture with 256 colours, of which a grey has hardly any tint."""
    with Image.open(io.BytesIO(png)) as picture:
        few = picture.convert("RGB").quantize(
            256, method=Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE
        )
    stream = io.BytesIO()
    few.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(description="Take the pictures of the lab.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="all unless given")
    parser.add_argument("--runs", type=Path, help="where the runs are, or are to be")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        runs = asked.runs or Path(scratch) / "runs"
        train(runs)
        options = launch_options()
        if options is None:
            parser.exit(1, "Chromium is not installed\n")
        browser = playwright.chromium.launch(**options)
        with running_lab(runs) as address:
            for shot in SHOTS:
                if asked.names and shot.name not in asked.names:
                    continue
                for language, folder in LANGUAGES.items():
                    path = asked.out / folder / f"{shot.name}.png"
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(smaller(take(browser, address, shot, language)))
                    print(f"{path.stat().st_size:>9,}  {path}", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
