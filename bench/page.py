"""What the lab's page costs: its first view, and the long tasks while somebody draws.

    python bench/page.py FOLDER [--rounds 7] [--many 300] [--json FILE]

FOLDER is a folder of runs; the lab opens the newest. In each round a new browser profile opens
Explore, and then draws on the pad: three strokes of two seconds, up to 60 moves of the mouse a
second. What is measured: the time until the verdict stands there, requests and bytes on their way,
and the tasks of the page's main thread in Chromium's trace: those of more than 50 ms keep a page
from answering. By the clock a task includes the wait for the processor, which others may have; by
the processor it is the page's own work. With ``--many`` Learn and Compare are opened on that many
runs as well.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from browser import find_chromium
from lenet.benchmark import Spread
from lenet.machine import processor

SIZE = {"width": 1440, "height": 900}
PATIENCE_MS = 60_000
STROKES, STROKE_S, MOVE_S = 3, 2.0, 1 / 60
TRACED = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"]
LONG_MS = 50


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--many", type=int, default=0, help="runs that Learn and Compare show")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    executable = find_chromium()
    load_average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    figures: dict[str, list[float]] = {}
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"] * (os.geteuid() == 0)
        )
        with lab_of(arguments.folder) as address:
            for _ in range(arguments.rounds):
                for name, value in first_view(browser, address).items():
                    figures.setdefault(name, []).append(value)
        if arguments.many:
            with lab_of(copies(arguments.folder, Path(scratch), arguments.many)) as address:
                for _ in range(arguments.rounds):
                    for view in ("learn", "compare"):
                        for name, value in opened(browser, address, view).items():
                            figures.setdefault(name, []).append(value)
        chromium = browser.version
        browser.close()
    spreads = {name: Spread.of(values) for name, values in figures.items()}
    print(f"median of {arguments.rounds}, with the lowest and the highest; Chromium {chromium}")
    for name, spread in spreads.items():
        print(f"  {name:48} {spread.median:8.1f}  ({spread.min:.1f} to {spread.max:.1f})")
    print(f"load average before the start: {load_average}")
    if arguments.json:
        facts = {
            "n": arguments.rounds,
            "figures": {name: asdict(spread) for name, spread in spreads.items()},
            "rounds": figures,
            "machine": {"system": platform.platform(), "processor": processor()},
            "load_average": load_average,  # others' work distorts the figures
            "chromium": chromium,
            "command": shlex.join(["python", *sys.argv]),
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def first_view(browser: Any, address: str) -> dict[str, float]:
    """The figures of one visit: how it opens, and three strokes."""
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    requests: list[Any] = []
    page.on("requestfinished", lambda one: requests.append(one))
    browser.start_tracing(page=page, categories=TRACED)
    started = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator(".verdict strong").first.wait_for(timeout=PATIENCE_MS)
    verdict_s = time.perf_counter() - started
    page.wait_for_timeout(2_000)
    opening = tasks(browser.stop_tracing())
    seen = [one for one in requests if not one.url.endswith("/api/events")]
    size = sum(one.sizes()["responseBodySize"] for one in seen)
    page.locator(".part-input [role=tab]").first.click()
    page.wait_for_timeout(500)
    browser.start_tracing(page=page, categories=TRACED)
    draw(page)
    drawing = tasks(browser.stop_tracing())
    context.close()
    return {
        "verdict after, ms": 1000 * verdict_s,
        "requests": len(seen),
        "bytes on their way, kB": size / 1000,
        **told("opening", opening),
        **told("drawing", drawing),
    }


def tasks(trace: bytes) -> list[tuple[float, float]]:
    """(milliseconds by the clock, by the processor) of each task of the pages' main threads."""
    events = json.loads(trace)["traceEvents"]
    main = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    return [
        (event["dur"] / 1000, event.get("tdur", event["dur"]) / 1000)
        for event in events
        if event["name"] == "RunTask" and (event["pid"], event["tid"]) in main and "dur" in event
    ]


def told(when: str, found: list[tuple[float, float]]) -> dict[str, float]:
    """How many tasks were long, and the longest; by the clock and by the processor."""
    figures: dict[str, float] = {}
    for kind, durations in zip(("clock", "processor"), zip(*found, strict=True), strict=True):
        long = sum(duration > LONG_MS for duration in durations)
        figures[f"{when}: tasks over {LONG_MS} ms, by the {kind}"] = long
        figures[f"{when}: longest task, ms, by the {kind}"] = max(durations)
    return figures


def draw(page: Any) -> None:
    """Strokes on the pad, at the pace of a hand, or as fast as the machine takes them."""
    box = page.locator("canvas.pad").bounding_box()
    for stroke in range(STROKES):
        height = 0.3 + 0.2 * stroke
        page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + height * box["height"])
        page.mouse.down()
        began = now = time.perf_counter()
        while now - began < STROKE_S:
            done = (now - began) / STROKE_S
            x, y = 0.2 + 0.6 * done, height + 0.05 * math.sin(20 * done)
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            time.sleep(max(0.0, MOVE_S - (time.perf_counter() - now)))
            now = time.perf_counter()
        page.mouse.up()
    page.wait_for_timeout(500)


def opened(browser: Any, address: str, view: str) -> dict[str, float]:
    """The tasks of a view that opens."""
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    browser.start_tracing(page=page, categories=TRACED)
    page.goto(f"{address.partition('#')[0]}#/{view}", wait_until="commit")
    page.locator(f".view-{view}").wait_for(timeout=PATIENCE_MS)
    page.wait_for_timeout(4_000)
    found = tasks(browser.stop_tracing())
    context.close()
    return told(view, found)


def copies(folder: Path, scratch: Path, count: int) -> Path:
    """A folder with as many copies of a run, without its snapshots."""
    run = next(folder.glob("*/model.safetensors")).parent
    for number in range(count):
        (scratch / f"run-{number:03}").mkdir()
        for name in ("run.json", "history.csv", "model.safetensors"):
            shutil.copy(run / name, scratch / f"run-{number:03}" / name)
    return scratch


@contextmanager
def lab_of(folder: Path) -> Iterator[str]:
    """The address of a lab that serves the folder while the block runs."""
    command = [sys.executable, "-m", "lenet", "lab", "--no-browser", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--runs", str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "#token=" in line:
                yield next(word for word in line.split() if "#token=" in word)
                break
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    main()
