"""Tasks of a learner in the lab, each done by mouse and keys, with the steps that it takes.

    LENET_DATA=folder-of-data-sets python scripts/try_tasks.py FOLDER

A step is a click, a choice, a stroke or a drag. Each task begins where the lab opens, at 1440×900,
and ends where what was asked for is on the screen without scrolling: that is looked at. Trains what
is needed unless FOLDER/runs holds it already, and prints the table of docs/lab.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "web"))

from chromium import launch_options  # noqa: E402
from lab_process import PATIENCE_MS, RUNS, running_lab, train_runs  # noqa: E402

SIZE = {"width": 1440, "height": 900}
DIGITS = "digits"  # a run on MNIST, the newest: the lab opens with it


@dataclass
class Hand:
    """A page in somebody's hand, and what the hand has done."""

    page: Any
    folder: Path
    done: list[str] = field(default_factory=list)

    def click(self, what: str, target: Any) -> None:
        """A click on what is seen."""
        self.see(target)
        target.click()
        self.done.append(what)

    def stroke(self, what: str, points: list[tuple[float, float]]) -> None:
        """A stroke on the pad, by the mouse."""
        pad = self.page.locator("canvas.pad")
        self.see(pad)
        box = pad.bounding_box()
        at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*at[0])
        self.page.mouse.down()
        for point in at[1:]:
            self.page.mouse.move(*point, steps=5)
        self.page.mouse.up()
        self.done.append(what)

    def map_of(self, stage: str, x: float, y: float) -> None:
        """A click on a number of a stage's maps."""
        canvas = self.page.locator(".maps-layer:visible", has_text=stage).locator("canvas").first
        self.see(canvas)
        box = canvas.bounding_box()
        canvas.click(position={"x": x * box["width"], "y": y * box["height"]})
        self.done.append(f"click on a number of {stage}")

    def see(self, target: Any) -> None:
        """It is on the screen, whole or nearly so, without scrolling."""
        expect(target.first).to_be_visible(timeout=PATIENCE_MS)
        box = target.first.bounding_box()
        ends = box["x"] + min(box["width"], 100), box["y"] + min(box["height"], 100)
        assert min(box["x"], box["y"]) >= -1, box
        assert ends[0] <= SIZE["width"] + 1, box
        assert ends[1] <= SIZE["height"] + 1, box

    def button(self, name: str) -> Any:
        """A button by its name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def tab(self, name: str) -> Any:
        """A side of the lens, or a way of giving a picture."""
        return self.page.get_by_role("tab", name=name, exact=True)


def why_a_seven_is_a_one(hand: Hand) -> None:
    """Figure, verdict and the contributions that lead to it, on one screen."""
    hand.click("Draw your own", hand.button("Draw your own"))
    hand.stroke("draw a 7", [(0.3, 0.2), (0.6, 0.2), (0.5, 0.85)])
    hand.page.wait_for_timeout(500)
    hand.click("Why?", hand.button("Why?"))
    says = hand.page.locator(".verdict strong").inner_text().partition(",")[0]
    other = "1" if says == "7" else "7"
    row = hand.page.locator(".bars-row", has=hand.page.locator(f".bars-name:text-is('{other}')"))
    hand.click(f"click on class {other}", row)
    hand.see(hand.page.locator("[data-way=saliency], .why table").first)
    hand.see(hand.page.locator(".verdict"))


def from_c3_to_the_pixels(hand: Hand) -> None:
    """The cone down to the pixels and the sum, beside each other."""
    hand.map_of("C3", 0.1, 0.1)
    hand.see(hand.page.locator("[data-recomputed]"))
    hand.see(hand.page.locator(".maps-cone, .maps-field"))


def what_pooling_does(hand: Hand) -> None:
    """The window and the number that comes of it."""
    hand.map_of("S2", 0.2, 0.1)
    hand.see(hand.page.locator(".pooling table, .pooling .grid"))


def the_surest_mistake(hand: Hand) -> None:
    """The lab begins with it."""
    hand.see(hand.page.locator(".verdict .bad"))


def relu_beside_sigmoid(hand: Hand) -> None:
    """Curves over each other, and what differs."""
    hand.click("Compare", hand.page.get_by_role("link", name="Compare"))
    boxes = hand.page.get_by_role("checkbox")
    expect(boxes.first).to_be_visible()
    for name in (DIGITS, "max-adam"):
        box = hand.page.get_by_role("checkbox", name=f"Compare {name}", exact=True)
        if box.is_checked():
            hand.click(f"untick {name}", box)
    for name in ("relu-adam", "sigmoid"):
        box = hand.page.get_by_role("checkbox", name=f"Compare {name}", exact=True)
        if not box.is_checked():
            hand.click(f"tick {name}", box)
    expect(hand.page.locator(".curve-legend li")).to_have_count(2)
    hand.see(hand.page.locator(".chosen-curves canvas"))


def pause_and_continue(hand: Hand) -> None:
    """A training of the queue, stopped and taken up again."""
    hand.click("Learn", hand.page.get_by_role("link", name="Learn", exact=True))
    hand.click("Start training", hand.button("Start training"))
    hand.click("Pause", hand.button("Pause"))
    hand.click("Continue", hand.button("Continue"))
    hand.see(hand.button("Pause"))
    hand.page.get_by_role("button", name="Stop").click()


def when_kernels_became_edges(hand: Hand) -> None:
    """The kernel in the lens while the training is played."""
    hand.see(hand.page.locator(".channel-grids .grid").first)
    hand.click("Play", hand.page.locator(".headline-network .timeline button").first)
    hand.see(hand.page.locator(".channel-grids .grid").first)
    expect(hand.page.locator(".timeline output")).to_contain_text("step", timeout=PATIENCE_MS)


def another_weight(hand: Hand) -> None:
    """The maps react while the weight is moved."""
    hand.click("What if", hand.tab("What if"))
    slider = hand.page.locator(".weights input[type=range]").first
    hand.see(slider)
    slider.click(position={"x": 0.9 * slider.bounding_box()["width"], "y": 8})
    hand.done.append("move the weight's slider")
    hand.see(hand.button("Edited"))
    hand.see(hand.page.locator(".maps-figure"))


def a_photograph(hand: Hand) -> None:
    """Prepared step by step, and read."""
    path = hand.folder / "shoe.png"
    picture = Image.new("L", (400, 300), 245)
    ImageDraw.Draw(picture).polygon(
        [(40, 220), (60, 120), (140, 110), (340, 180), (370, 230)], fill=40
    )
    picture.save(path)
    hand.click("Upload", hand.tab("Upload"))
    with hand.page.expect_file_chooser() as chooser:
        hand.click("Choose a picture", hand.page.get_by_text("Choose a picture", exact=True))
    chooser.value.set_files(path)
    hand.done.append("choose the file")
    hand.see(hand.page.locator(".upload-steps canvas"))
    hand.see(hand.page.locator(".verdict"))


def exported_and_trained(hand: Hand) -> None:
    """The file without a server, training."""
    hand.click("open the menu", hand.page.locator(".menu > summary"))
    with hand.page.expect_download() as download:
        hand.click("As one HTML file", hand.page.get_by_role("link", name="As one HTML file"))
    path = hand.folder / "exported.html"
    download.value.save_as(path)
    hand.page.context.set_offline(True)
    hand.page.goto(path.as_uri())
    hand.done.append("open the file")
    hand.click("Train here", hand.button("Train here"))
    hand.click("Start", hand.button("Start"))
    expect(hand.page.locator(".train-readout")).to_contain_text("examples/s", timeout=PATIENCE_MS)
    hand.page.context.set_offline(False)


def a_gradient(hand: Hand) -> None:
    """The sum that gives a number's gradient, beside the figure of gradients."""
    hand.click("Backward", hand.tab("Backward"))
    hand.see(hand.page.locator(".part-backward :is(table, .sum-line):visible").first)


TASKS: tuple[tuple[str, str, Callable[[Hand], None]], ...] = (
    (
        "Draw a 7 and learn why it is called a 1",
        "contributions were not shown",
        why_a_seven_is_a_one,
    ),
    (
        "Follow a number of C3 to the pixels",
        "figure and sum never on one screen",
        from_c3_to_the_pixels,
    ),
    ("See what pooling does", "figure and window never on one screen", what_pooling_does),
    ("Find the most confident mistake", "the verdict stood at the lower left", the_surest_mistake),
    (
        "Compare ReLU with Sigmoid",
        "networks of other data were offered as comparable",
        relu_beside_sigmoid,
    ),
    ("Pause a training and continue", "the same", pause_and_continue),
    (
        "Find the moment when C1's kernels became edges",
        "in Learn alone",
        when_kernels_became_edges,
    ),
    (
        "Change a weight and see the maps react",
        "maps and kernel never on one screen",
        another_weight,
    ),
    ("Open a photograph of a shoe", "the same", a_photograph),
    ("Export, open offline, train there", "a file could not train", exported_and_trained),
    ("Find the arithmetic of one gradient", "no gradient was shown", a_gradient),
)


def main() -> None:
    """Try every task, and print the table."""
    parser = argparse.ArgumentParser(description="Try the tasks of a learner in the lab.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first task to try")
    asked = parser.parse_args()
    folder = asked.folder
    runs = folder / "runs"
    if not all((runs / name).exists() for name in RUNS):
        train_runs(runs)
    if not (runs / DIGITS).exists():
        digits = ["d2l", "--data", "mnist", "--network", "lenet-max", "--optimizer", "adam"]
        command = ["train", *digits, "--epochs", "1", "--snapshots", "--out", str(runs / DIGITS)]
        subprocess.run([sys.executable, "-m", "lenet", *command], check=True)
    options = launch_options()
    if options is None:
        parser.exit(1, "Chromium is not installed\n")
    print("| task | before | steps now |\n|---|---|---|")
    with sync_playwright() as playwright, running_lab(runs) as address:
        browser: Any = playwright.chromium.launch(**options)
        for task, before, attempt in TASKS[asked.first - 1 :]:
            context = browser.new_context(viewport=SIZE)
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            expect.set_options(timeout=PATIENCE_MS)
            page.goto(address)
            page.locator(".bars-row").first.wait_for()
            page.locator("[data-recomputed]").first.wait_for()
            page.wait_for_timeout(1_000)
            hand = Hand(page, folder)
            attempt(hand)
            said = ": " + ", ".join(hand.done) if hand.done else ": it is there at once"
            print(f"| {task} | {before} | {len(hand.done)}{said} |", flush=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
