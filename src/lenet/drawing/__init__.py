"""Curves, maps and sheets of pictures, in files and in a terminal; widths of text."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from threading import Thread

VIEW = ("lenet.drawing.live",)
CURVES = (
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
    "matplotlib.backends.backend_agg",
)


def load_ahead(modules: tuple[str, ...]) -> None:
    """Begin to load modules that will be needed, in a thread of its own.

    ``VIEW`` while pictures are unpacked, and ``CURVES``, which takes half a second, while the
    engine trains: neither holds the interpreter. Who needs them imports them again: that waits
    until they are loaded, and raises where they cannot be. A program that ends earlier waits,
    too: a thread that Python leaves behind in C code may crash.
    """
    if any(name not in sys.modules for name in modules):
        Thread(target=_load, args=(modules,), name="lenet-load-ahead").start()


def _load(modules: tuple[str, ...]) -> None:
    with suppress(Exception):
        for name in modules:
            import_module(name)
