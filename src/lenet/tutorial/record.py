"""What a tutorial's cells put out, written down while they run, for the page and for `--json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from io import TextIOBase
from pathlib import Path
from typing import Any, TextIO


@dataclass(frozen=True)
class Output:
    """One piece: `kind` is stdout, stderr, value, html, picture or error; `cell` counts from 0."""

    cell: int
    kind: str
    text: str  # of a picture its path


class Record:
    """A file to which outputs are added as they come, so that nothing is lost with the process."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.cell = 0

    def add(self, kind: str, text: str) -> None:
        """Write one output of the present cell down, where there is a file for it."""
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                print(json.dumps(asdict(Output(self.cell, kind, text))), file=file)


def read(path: Path) -> list[Output]:
    """The outputs in a record, pieces of the same stream joined; a line cut short is left out."""
    outputs: list[Output] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            output = Output(**json.loads(line))
        except ValueError:
            continue
        last = outputs[-1] if outputs else None
        same = last is not None and (last.cell, last.kind) == (output.cell, output.kind)
        if last is not None and same and output.kind in ("stdout", "stderr"):
            outputs[-1] = Output(last.cell, last.kind, last.text + output.text)
        elif output.kind != "picture" or output.text not in _pictures(outputs):
            outputs.append(output)
    return outputs


def _pictures(outputs: list[Output]) -> set[str]:
    return {output.text for output in outputs if output.kind == "picture"}


class Tee(TextIOBase):
    """A stream that is written down, and passed on where `stream` is given."""

    def __init__(self, stream: TextIO, add: Callable[[str], None], *, pass_on: bool) -> None:
        self.stream = stream
        self.add = add
        self.pass_on = pass_on

    def write(self, text: str) -> int:
        self.add(text)
        if self.pass_on:
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return False  # a page is no terminal: bars and curves drawn in characters do not belong

    def fileno(self) -> int:
        return self.stream.fileno()

    @property
    def encoding(self) -> Any:  # type: ignore[override]
        return self.stream.encoding
