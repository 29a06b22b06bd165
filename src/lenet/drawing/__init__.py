"""Curves, maps and sheets of pictures, in files and in a terminal; widths of text."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from threading import Thread

LOADED_AHEAD = (
    "lenet.drawing.live",  # is needed first
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
    "matplotlib.backends.backend_agg",
)


def load_ahead() -> None:
    """Begin to load what draws a training's curves, in a thread of its own.

    It takes about as long as unpacking the pictures, which leaves a processor idle. What draws
    imports it again: that waits until it is loaded, and raises where it cannot be. A program that
    ends earlier waits, too: a thread that Python leaves behind in C code may crash.
    """
    if "matplotlib.figure" not in sys.modules:
        Thread(target=_load, name="lenet-load-ahead").start()


def _load() -> None:
    with suppress(Exception):
        for name in LOADED_AHEAD:
            import_module(name)
