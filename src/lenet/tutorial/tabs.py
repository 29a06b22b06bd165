"""Cells of several frameworks in one file, as the sources of Dive into Deep Learning have them.

A cell says whose it is in its first line (`#@tab pytorch, mxnet` or `%%tab all`), a notebook's
cell also in its metadata. As the book's own builder reads them: `all` is everybody's, and a cell
that says nothing is that of the book's first framework, which is not PyTorch where PyTorch's cells
are marked. So PyTorch's and everybody's are run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lenet.tutorial.cells import Block, Tutorial

OURS = "pytorch"
MARK = re.compile(r"\s*(?:#\s*@tab|%%tab)\s+(?P<tabs>[\w\s,-]+?)\s*$")
_FRAMEWORKS = (
    ("pytorch", re.compile(r"\b(import torch|from torch|from d2l import torch)\b")),
    ("mxnet", re.compile(r"\b(import mxnet|from mxnet|from d2l import mxnet)\b")),
    ("tensorflow", re.compile(r"\b(import tensorflow|from d2l import tensorflow)\b")),
    ("jax", re.compile(r"\b(import jax|from jax|from d2l import jax|from flax)\b")),
    ("paddle", re.compile(r"\b(import paddle|from d2l import paddle)\b")),
)
_PROSE = re.compile(r"\s*:(?P<edge>begin|end)_tab:(?:`(?P<tabs>[^`]*)`)?")


class Tab:
    """What the book's `%load_ext d2lbook.tab` brings: `tab.selected(…)` in everybody's cells."""

    def selected(self, *names: str) -> bool:
        """Whether PyTorch is among the names."""
        return OURS in names or "all" in names

    def interact_select(self, *names: object) -> None:
        """Nothing: the buttons of the book's page."""


def of(text: str) -> tuple[str, ...]:
    """The frameworks that a cell's first line names; () where it names none."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    found = MARK.match(first)
    return _names(found["tabs"]) if found else ()


def without_mark(source: str) -> str:
    """The source with `%%tab` in its first line blanked, so that it is Python."""
    rows = source.split("\n")
    first = next((number for number, row in enumerate(rows) if row.strip()), 0)
    if MARK.match(rows[first]):
        rows[first] = ""
    return "\n".join(rows)


def chosen(blocks: Sequence[Block]) -> list[Block]:
    """The blocks; those of other frameworks are passed over."""
    marked = [block.tabs or of(block.text) for block in blocks]
    if not any(tabs for block, tabs in zip(blocks, marked, strict=True) if block.taken):
        return list(blocks)
    unmarked = [
        block.source for block, tabs in zip(blocks, marked, strict=True) if block.taken and not tabs
    ]
    first = _first_framework(unmarked, marked)
    return [
        _judged(block, tabs, first) if block.taken else block
        for block, tabs in zip(blocks, marked, strict=True)
    ]


def _judged(block: Block, tabs: tuple[str, ...], first: str) -> Block:
    if (not tabs and first == OURS) or {OURS, "all"} & {*tabs}:
        return block
    if not tabs and "d2lbook.tab" in block.text:  # the buttons of the page, no framework's
        return replace(block, reason="the book's buttons for its frameworks", framework="")
    whose = ", ".join(tabs) or f"{first}, the book's first framework (no tab is given)"
    return replace(block, reason=f"for {whose}", framework=tabs[0] if tabs else first)


def _first_framework(unmarked: Sequence[str], marked: Sequence[tuple[str, ...]]) -> str:
    """The framework of cells without a tab: what they import, else mxnet."""
    text = "\n".join(unmarked)
    seen = Counter({name: len(pattern.findall(text)) for name, pattern in _FRAMEWORKS})
    name, count = seen.most_common(1)[0]
    if count:
        return name
    return "mxnet" if any(OURS in tabs for tabs in marked) else OURS


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


def prose(lines: Sequence[str]) -> list[str]:
    """The lines of a text without what stands between `:begin_tab:` of others and `:end_tab:`."""
    kept, ours = [], True
    for line in lines:
        mark = _PROSE.match(line)
        if mark is None:
            kept.append(line if ours else "")
            continue
        ours = mark["edge"] == "end" or bool({OURS, "all"} & {*_names(mark["tabs"] or OURS)})
        kept.append("")
    return kept


def summary(tutorial: Tutorial) -> str:
    """How many cells were passed over for each other framework, and where; "" for none."""
    others = [block for block in tutorial.blocks if block.framework]
    if not others:
        return ""
    counted = Counter(block.framework for block in others)
    each = ", ".join(f"{name} {number}" for name, number in counted.items())
    places = ", ".join(block.place.removeprefix("cell ") for block in others)
    what = "cells" if others[0].number else "lines"
    return f"passed over as other frameworks' cells: {each} ({what} {places})"
