"""A lab as a process of its own, and trained runs for it to show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

# What the tests look at: names of runs, and what `lenet train` is told for each.
SMALL = ["d2l", "--data", "fashion-mnist-small"]  # 40 steps an epoch
RUNS = {
    "relu-adam": ["--network", "lenet-relu", "--optimizer", "adam", "--epochs", "3"],
    "sigmoid": ["--epochs", "1"],
    "max-adam": ["--network", "lenet-max", "--optimizer", "adam", "--epochs", "2", "--val", "0.1"],
}
PATIENCE_MS = 60_000  # a busy machine


def train_runs(folder: Path) -> Path:
    """The folder with the runs of ``RUNS`` in it, each of some seconds."""
    for name, options in RUNS.items():
        command = ["train", *SMALL, *options, "--snapshots", "--out", str(folder / name)]
        subprocess.run([sys.executable, "-m", "lenet", *command], check=True, capture_output=True)
    return folder


@contextmanager
def running_lab(folder: Path, port: int = 0) -> Iterator[str]:
    """The address, token included, of a lab that serves the folder while the block runs."""
    command = [sys.executable, "-m", "lenet", "lab", "--no-browser"]
    process = subprocess.Popen(
        [*command, "--runs", str(folder), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
    )
    assert process.stdout is not None
    try:
        said = []
        while True:
            line = process.stdout.readline()
            said.append(line)
            assert line, f"the lab ended: {''.join(said)}"
            if address := re.search(r"http://\S+#token=\S+", line):
                break
        yield address[0]
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def open_view(
    page: Any, address: str, view: str, query: str = "", language: str = "English"
) -> Any:
    """The page showing a view of the lab.

    The tab has the token already, as after the first page: that one would show another view first.
    """
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    lab, _, token = address.partition("#token=")
    if token:
        set_token = f"sessionStorage.setItem('lenet-token', {token!r})"
        page.add_init_script(f"if (location.protocol === 'http:') {set_token}")
    page.goto(f"{lab}#/{view}{query}")
    page.locator(f".view-{view}").wait_for()
    if page.locator("html").get_attribute("lang") != {"English": "en", "中文": "zh-CN"}[language]:
        page.locator("#language").click()
    return page
