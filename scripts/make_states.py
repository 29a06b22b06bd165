"""Every state of every view of the lab as a picture: also those that a user seldom meets.

    LENET_DATA=folder-of-data-sets python scripts/make_states.py FOLDER [NAME …] [--look LOOK]

Trains what is shown, unless FOLDER/runs holds it already, and writes FOLDER/LOOK/NAME.png for each
state and each look (size, colours, language), and a sheet of all looks of a state,
FOLDER/sheets/NAME.png. Look at them after a change of the page; none is committed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Error, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "web"))

from chromium import launch_options  # noqa: E402
from lab_process import PATIENCE_MS, SMALL, open_view, running_lab, train_runs  # noqa: E402

Page = Any
WIDE = {"width": 1440, "height": 900}
LOOKS: dict[str, tuple[dict[str, Any], str]] = {
    "1440": ({"viewport": WIDE}, "English"),
    "1920": ({"viewport": {"width": 1920, "height": 1080}}, "English"),
    "1024": ({"viewport": {"width": 1024, "height": 768}}, "English"),
    "800": ({"viewport": {"width": 800, "height": 900}}, "English"),
    "360": ({"viewport": {"width": 360, "height": 740}, "has_touch": True}, "English"),
    "dark": ({"viewport": WIDE, "color_scheme": "dark"}, "English"),
    "chinese": ({"viewport": WIDE}, "中文"),
    "chinese-360": ({"viewport": {"width": 360, "height": 740}, "has_touch": True}, "中文"),
}
MANY = 300
SETTLE_MS = 1_000  # until what is computed one after the other stands


@dataclass(frozen=True)
class State:
    """Where a state is, and what makes it."""

    name: str
    view: str
    query: str = ""
    folder: str = "usual"  # which lab serves it
    token: bool = True
    before: Callable[[Page], None] = lambda page: None  # before the view is opened
    then: Callable[[Page], None] = lambda page: None
    context: dict[str, Any] = field(default_factory=dict)


def never(*patterns: str) -> Callable[[Page], None]:
    """What is asked of these addresses gets no answer."""

    def hold(page: Page) -> None:
        for pattern in patterns:
            page.route(pattern, lambda route: None)

    return hold


def refused(*patterns: str) -> Callable[[Page], None]:
    """What is asked of these addresses finds no server."""

    def abort(page: Page) -> None:
        for pattern in patterns:
            page.route(pattern, lambda route: route.abort("connectionrefused"))

    return abort


def gone(page: Page) -> None:
    """The server ends while the page is open."""
    page.locator(".connection").wait_for(timeout=20_000)


def press(selector: str) -> Callable[[Page], None]:
    """A click, after which the page has a moment."""

    def click(page: Page) -> None:
        page.locator(selector).first.click()
        page.wait_for_timeout(600)

    return click


def draw(page: Page) -> None:
    """A seven on the pad."""
    page.locator("#tab-draw, [role=tab]").first.click()
    box = page.locator("canvas.pad").bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.mouse.move(*at(0.25, 0.25))
    page.mouse.down()
    page.mouse.move(*at(0.75, 0.25), steps=6)
    page.mouse.move(*at(0.45, 0.85), steps=6)
    page.mouse.up()


def upload(name: str, content: bytes) -> Callable[[Page], None]:
    """A file of one's own."""

    def choose(page: Page) -> None:
        page.locator(".part-input [role=tab]").nth(2).click()
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        page.locator(".part-input input[type=file]").first.set_input_files(file)
        page.wait_for_timeout(800)

    return choose


def wrong_file(page: Page) -> None:
    """A file that is no network."""
    page.locator(".menu > summary").click()
    page.locator("[aria-controls=open-file]").click()
    file = {"name": "notes.pth", "mimeType": "text/plain", "buffer": b"not a network"}
    page.locator("#open-file-input").set_input_files(file)
    page.locator("#open-file [type=submit]").click()
    page.locator("#open-problem:not(:empty)").wait_for()


def raise_sheet(page: Page) -> None:
    """The lens, where it is a sheet from below."""
    handle = page.locator(".lens-handle")
    if handle.is_visible() and page.locator(".lens-up").count() == 0:
        handle.click()


def train_here(page: Page) -> None:
    """The playground, after some seconds of training."""
    raise_sheet(page)
    page.locator(".train-go").first.click()
    page.wait_for_timeout(4_000)


MODEL = "?model=run:relu-adam&picture=6"
UNIT = f"{MODEL}&unit=3:555"
STATES = (
    State("explore", "explore", MODEL),
    State("explore-sum", "explore", UNIT),
    State("explore-dense", "explore", f"{MODEL}&unit=11:4"),
    State("explore-slide", "explore", f"{UNIT}&lens=slide"),
    State("explore-backward", "explore", f"{UNIT}&lens=backward"),
    State("explore-why", "explore", f"{MODEL}&lens=why"),
    State("explore-what-if", "explore", f"{UNIT}&lens=what-if"),
    State("explore-words", "explore", f"{UNIT}&lens=words"),
    State("explore-menu", "explore", MODEL, then=press(".menu > summary")),
    State("explore-draw", "explore", MODEL, then=draw),
    State("explore-refused", "explore", MODEL, then=upload("notes.svg", b"<svg></svg>")),
    State("explore-wrong-model", "explore", MODEL, then=wrong_file),
    State("explore-loading", "explore", MODEL, before=never("**/api/models/**")),
    State("explore-no-pictures", "explore", MODEL, before=never("**/api/data/**")),
    State("explore-offline", "explore", UNIT, folder="ending", then=gone),
    State("explore-read-only", "explore", MODEL, token=False, then=press(".looking summary")),
    State("explore-missing", "explore", "?model=run:never"),
    State("explore-broken", "explore", "?model=run:spoilt"),
    State("explore-mlp", "explore", "?model=run:mlp&picture=6"),
    State("explore-forced", "explore", UNIT, context={"forced_colors": "active"}),
    State("explore-still", "explore", UNIT, context={"reduced_motion": "reduce"}),
    State("playground", "explore", f"{MODEL}&lens=train"),
    State("playground-trains", "explore", f"{MODEL}&lens=train", then=train_here),
    State("lesson", "explore", f"{MODEL}&lesson=convolution.3"),
    State("lessons", "explore", MODEL, then=press(".lesson-menu > summary")),
    State("challenge", "explore", f"{MODEL}&lesson=five-pixels.0"),
    State("learn", "learn", "?run=relu-adam"),
    State("learn-empty", "learn", folder="empty"),
    State("learn-loading", "learn", "?run=relu-adam", before=never("**/api/runs/**")),
    State("learn-offline", "learn", "?run=relu-adam", folder="ending", then=gone),
    State("learn-read-only", "learn", token=False, then=press(".looking summary")),
    State("learn-missing", "learn", "?run=never"),
    State("learn-broken", "learn", "?run=spoilt"),
    State("learn-diverged", "learn", "?run=wild"),
    State("learn-many", "learn", folder="many"),
    State("learn-forced", "learn", "?run=relu-adam", context={"forced_colors": "active"}),
    State("compare", "compare", "?runs=relu-adam,sigmoid"),
    State("compare-empty", "compare", folder="empty"),
    State("compare-loading", "compare", before=never("**/api/runs/**", "**/api/models/**")),
    State("compare-offline", "compare", folder="ending", then=gone),
    State("compare-read-only", "compare", token=False),
    State("compare-missing", "compare", "?runs=relu-adam,never,spoilt"),
    State("compare-many", "compare", folder="many"),
    State("compare-forced", "compare", "?runs=relu-adam", context={"forced_colors": "active"}),
    State("explore-empty", "explore", folder="empty"),
    State("start", "learn", before=never("**/api/state")),
    State("start-offline", "learn", before=refused("**/api/state")),
    State("file", "file", "?picture=6"),
    State("file-sum", "file", "?picture=6&unit=3:555"),
    State("file-trains", "file", "?picture=6&lens=train", then=train_here),
)


def prepare(folder: Path) -> None:
    """Trains and spoils what is shown."""
    usual = folder / "runs"
    if (usual / "spoilt").exists():
        return
    if not usual.exists():
        train_runs(usual)
    for name, options, code in (
        ("mlp", ["--network", "mlp", "--epochs", "1"], 0),
        ("wild", ["--network", "lenet-relu", "--lr", "1e30"], 1),
    ):
        if (usual / name).exists():
            continue
        command = ["train", *SMALL, *options, "--snapshots", "--out", str(usual / name)]
        done = subprocess.run([sys.executable, "-m", "lenet", *command], check=False)
        assert done.returncode == code, done
    many = folder / "many"
    for number in range(MANY):
        run = many / f"run-{number:03}"
        run.mkdir(parents=True)
        for name in ("run.json", "history.csv", "model.safetensors"):
            os.link(usual / "sigmoid" / name, run / name)
    command = ["export", str(usual / "relu-adam"), "--to", "html", "--out", str(folder / "it.html")]
    subprocess.run([sys.executable, "-m", "lenet", *command], check=True)
    (usual / "spoilt").mkdir()
    (usual / "spoilt" / "run.json").write_text("{")


@contextmanager
def without_runs(folder: Path) -> Iterator[str]:
    """A lab whose only run has been thrown away: none is begun by itself."""
    empty = folder / "empty"
    shutil.rmtree(empty, ignore_errors=True)
    shutil.copytree(folder / "runs" / "sigmoid", empty / "sigmoid")
    with running_lab(empty) as address:
        shutil.rmtree(empty / "sigmoid")
        yield address


def take(browser: Any, address: str, state: State, look: str, end: Callable[[], Any]) -> bytes:
    """The picture of a state, as PNG; ``end`` ends the lab of the states that outlive it."""
    options, language = LOOKS[look]
    context = browser.new_context(**options, **state.context)
    page = context.new_page()
    page.on("pageerror", lambda error: print(f"  {state.name} {look}: {error}", flush=True))
    state.before(page)
    if not state.token:
        address = address.partition("#")[0]
    if state.name.startswith("start"):
        words = {"English": "en", "中文": "zh"}[language]
        page.add_init_script(f"localStorage['lenet-settings'] = '{{\"language\": \"{words}\"}}'")
        page.goto(address)
    elif state.view == "file":
        page.goto(f"{address}#/explore{state.query}")
        if language != "English":
            page.locator("#language").click()
    else:
        open_view(page, address, state.view, state.query, language)
    page.set_default_timeout(10_000)
    page.wait_for_timeout(SETTLE_MS)
    if state.folder == "ending":
        end()
    try:
        if "lens=" in state.query:
            raise_sheet(page)
        state.then(page)
    except Error as wrong:
        print(f"  {state.name} {look}: {str(wrong)[:300]}", flush=True)
    page.wait_for_timeout(SETTLE_MS)
    whole = state.view in ("learn", "compare") and state.folder != "many"
    png: bytes = page.screenshot(full_page=whole, timeout=PATIENCE_MS)  # it may be training
    context.close()
    return png


def sheet(folder: Path, name: str, looks: list[str]) -> None:
    """All looks of a state on one picture, a head of each."""
    pictures = [Image.open(folder / look / f"{name}.png") for look in looks]
    scaled = [
        picture.crop((0, 0, picture.width, min(picture.height, 2 * picture.width))).resize(
            (width := 700, round(min(picture.height, 2 * picture.width) * width / picture.width))
        )
        for picture in pictures
    ]
    columns = min(3, len(scaled))
    rows = [scaled[at : at + columns] for at in range(0, len(scaled), columns)]
    heights = [max(picture.height for picture in row) for row in rows]
    all_of_them = Image.new("RGB", (710 * columns, sum(heights) + 10 * len(rows)), "#888")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            all_of_them.paste(picture, (column * 710, top))
        top += height + 10
    (folder / "sheets").mkdir(exist_ok=True)
    all_of_them.save(folder / "sheets" / f"{name}.png")


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(description="Take every state of the lab's views.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all unless given")
    parser.add_argument("--look", action="append", choices=LOOKS, help="all unless given")
    asked = parser.parse_args()
    options = launch_options()
    if options is None:
        parser.exit(1, "Chromium is not installed\n")
    prepare(asked.folder)
    wanted = [state for state in STATES if not asked.names or state.name in asked.names]
    looks = asked.look or list(LOOKS)
    with sync_playwright() as playwright, ExitStack() as labs:
        browser = playwright.chromium.launch(**options)
        addresses = {"file": (asked.folder / "it.html").resolve().as_uri()}
        for folder, lab in (
            ("usual", lambda: running_lab(asked.folder / "runs")),
            ("many", lambda: running_lab(asked.folder / "many")),
            ("empty", lambda: without_runs(asked.folder)),
        ):
            if any(state.folder == folder for state in wanted):
                addresses[folder] = labs.enter_context(lab())
        for state in wanted:
            for look in looks:
                with ExitStack() as ending:
                    if state.folder == "ending":
                        copy = asked.folder / "ending"
                        shutil.rmtree(copy, ignore_errors=True)
                        shutil.copytree(asked.folder / "runs", copy)
                        addresses["ending"] = ending.enter_context(running_lab(copy))
                    where = addresses["file" if state.view == "file" else state.folder]
                    path = asked.folder / look / f"{state.name}.png"
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(take(browser, where, state, look, ending.close))
            sheet(asked.folder, state.name, looks)
            print(asked.folder / "sheets" / f"{state.name}.png", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
