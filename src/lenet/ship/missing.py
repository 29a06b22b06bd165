"""What an export needs beside LeNet itself."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from lenet.installing import how_to_install


def import_extra(module: str, extra: str) -> Any:
    """A module of an extra; ValueError, with the command that installs it, where it is absent."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ValueError(
            f"{module.partition('.')[0]} is not installed ({error}): {how_to_install(extra)}"
        ) from None
