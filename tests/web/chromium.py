"""Which Chromium is started, and how."""

from __future__ import annotations

import os
import shutil
from typing import Any

# The first has no windows, menus or start page, which take a third of the processor's time.
CHROMIUMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def launch_options() -> dict[str, Any] | None:
    """What Playwright's ``launch`` takes to start the Chromium here; None where there is none."""
    executable = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if executable is None:
        return None
    # root has no sandbox; a container's /dev/shm may be too small; drawing on a GPU that the
    # processor imitates takes a seventh more of its time than drawing without one
    options = ["--disable-dev-shm-usage", "--disable-gpu", *["--no-sandbox"] * (os.geteuid() == 0)]
    return {"executable_path": executable, "args": options}
