"""What was found in a tutorial and what came of it, as a table and as JSON."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from lenet.tutorial.cells import Block, Tutorial
from lenet.tutorial.process import Result

if TYPE_CHECKING:
    from rich.console import RenderableType

LAYOUTS = {
    "script": "a script, run whole",
    "cells": "a script with cells",
    "notebook": "a notebook",
    "fenced": "a text with fenced code",
    "indented": "a text with indented code",
    "copied": "a text copied without marks: code is what Python takes for code",
}


def render(tutorial: Tutorial) -> RenderableType:
    """Every block: its lines, whether it is run, how it begins, or why it is passed over."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("lines" if tutorial.lines else "", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("what it is")
    taken = 0
    for block in tutorial.blocks:
        taken += block.taken
        label = f"cell {taken}" if block.taken else "passed over"
        what = Text(_beginning(block) if block.taken else block.reason)
        table.add_row(block.place, label, what, style="" if block.taken else "dim")
        for remark in block.remarks:
            table.add_row("", "", Text(remark), style="dim")
    head = Text(f"{tutorial.path}: {LAYOUTS[tutorial.layout]}; {taken} cells")
    return Group(head, "", table) if tutorial.blocks else head


def to_json(tutorial: Tutorial, result: Result | None = None) -> dict[str, Any]:
    """The blocks, and with a result what each cell put out, ready for JSON."""
    blocks: list[dict[str, Any]] = []
    taken = 0
    for block in tutorial.blocks:
        blocks.append(
            {
                "first": block.first,
                "last": block.last,
                **({"number": block.number} if block.number else {}),
                "taken": block.taken,
                **({} if block.taken else {"reason": block.reason}),
                "remarks": list(block.remarks),
                "source": block.text,
            }
        )
        if block.taken and result is not None:
            blocks[-1]["outputs"] = [
                {"kind": output.kind, "text": output.text}
                for output in result.outputs
                if output.cell == taken
            ]
        taken += block.taken
    about: dict[str, Any] = {"file": str(tutorial.path), "layout": tutorial.layout}
    if result is not None:
        pictures = [str(path) for path in result.pictures]
        about |= {"code": result.code, "died": result.died, "pictures": pictures}
    return {**about, "blocks": blocks}


def _beginning(block: Block) -> str:
    """The first line that does something."""
    lines = block.text.split("\n")
    statements = (line for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return next(chain(statements, (line for line in lines if line.strip())), "").strip()
