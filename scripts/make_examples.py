"""The notebooks of examples/, made and executed from their sources.

    LENET_DATA=folder-of-data-sets python scripts/make_examples.py [SUBJECT ...] [options]

A source is Markdown with two texts and one code: `<!-- en -->` and `<!-- zh -->` begin a piece of
text in that language, a ```python fence is a cell of both notebooks, and where its words are drawn
or printed, ```python en and ```python zh are the same cell of each. Executed, each notebook is in
examples/LANGUAGE; the Chinese one runs in a Chinese locale. All five take some five minutes, and
need PyTorch and, for Chinese in pictures, a font.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"
LANGUAGES = {"en": "en_GB.UTF-8", "zh": "zh_CN.UTF-8"}
MARK = re.compile(r"<!-- (en|zh) -->|```python( en| zh)?|```")

# What depends on the machine and the hour: the speeds that training prints and draws.
SPEEDS = re.compile(r"^[\d.]+ examples/sec on .*\n?|  ·  [\d,]+ examples/s  ·  in [\d:]+", re.M)
DATES = re.compile(r"\s*<dc:date>.*?</dc:date>")
LONG = 500  # letters of a representation that nobody reads beside a picture


class SourceError(ValueError):
    """A source that is no sequence of texts in both languages and code."""


@dataclass(frozen=True)
class Text:
    """A piece of text in each language."""

    en: str
    zh: str


@dataclass(frozen=True)
class Code:
    """A cell of code in each notebook: the same, but where a figure or a table has words."""

    en: str
    zh: str


def subjects() -> list[str]:
    """The names of all sources: "1-by-hand" …"""
    return sorted(path.stem for path in (EXAMPLES / "source").glob("*.md"))


def parse(source: str) -> list[Text | Code]:
    """The cells of a source, in order. Raises SourceError, with the line."""
    cells: list[Text | Code] = []
    texts: dict[str, list[str]] = {}
    kind, lines = "", list[str]()
    spoken: dict[str, str] = {}  # code in one language, until it is there in the other
    for number, line in enumerate(source.splitlines(), 1):
        mark = MARK.fullmatch(line.rstrip())
        if kind.startswith("python") and (mark is None or mark[0] != "```"):
            lines.append(line)
        elif mark is None:
            if kind:
                lines.append(line)
            elif line.strip():
                raise SourceError(f"line {number}: {line!r} belongs to no language")
        elif mark[0] == "```":
            if not kind.startswith("python"):
                raise SourceError(f"line {number}: a fence ends that did not begin")
            code = "\n".join(lines).strip("\n")
            spoken |= {kind[-2:]: code} if " " in kind else {"en": code, "zh": code}
            if set(spoken) == set(LANGUAGES):
                cells.append(Code(spoken.pop("en"), spoken.pop("zh")))
            kind = ""
        elif mark[1]:
            if spoken:
                raise SourceError(f"line {number}: the code above it is in one language only")
            if mark[1] in texts and set(texts) == set(LANGUAGES):
                cells.append(_text(texts, number))
                texts = {}
            if mark[1] in texts:
                raise SourceError(f"line {number}: a second text in {mark[1]}, without the other")
            kind, lines = mark[1], texts.setdefault(mark[1], [])
        else:
            if texts:
                cells.append(_text(texts, number))
                texts = {}
            if spoken and (mark[2] or "")[1:] in {"", *spoken}:
                raise SourceError(f"line {number}: the code above it is in one language only")
            kind, lines = f"python{mark[2] or ''}", []
    if kind.startswith("python") or spoken:
        raise SourceError("the last fence does not end, or its code is in one language only")
    if texts:
        cells.append(_text(texts, len(source.splitlines())))
    return cells


def _text(texts: dict[str, list[str]], number: int) -> Text:
    pieces = {language: "\n".join(lines).strip() for language, lines in texts.items()}
    missing = [language for language in LANGUAGES if not pieces.get(language)]
    if missing:
        raise SourceError(f"line {number}: the text above it is not there in {missing[0]}")
    return Text(pieces["en"], pieces["zh"])


def notebook(cells: Sequence[Text | Code], language: str) -> NotebookNode:
    """The notebook in a language, not executed."""
    made = []
    for number, cell in enumerate(cells):
        new_cell = new_code_cell if isinstance(cell, Code) else new_markdown_cell
        made.append(new_cell(getattr(cell, language), id=f"cell-{number}"))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    node: NotebookNode = new_notebook(cells=made, metadata=metadata)
    return node


def with_epochs(cells: Sequence[Text | Code], epochs: int) -> list[Text | Code]:
    """The cells with another number given to ``num_epochs`` or ``epochs``."""
    given = re.compile(r"\b((?:num_)?epochs ?= ?)\d+\b")
    return [
        Code(*(given.sub(rf"\g<1>{epochs}", code) for code in (cell.en, cell.zh)))
        if isinstance(cell, Code)
        else cell
        for cell in cells
    ]


def execute(node: NotebookNode, language: str, limit_s: int = 600) -> None:
    """Run the notebook in an empty folder; its outputs are in its cells.

    Raises nbclient's CellExecutionError where a cell fails, and its CellTimeoutError where one
    takes longer than ``limit_s`` seconds.
    """
    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "LANG": LANGUAGES[language],
            "LC_ALL": LANGUAGES[language],
            "PYTHONUTF8": "1",
            "COLUMNS": "88",
            "IPYTHONDIR": folder,
        }
        client: Any = NotebookClient(
            node,
            timeout=limit_s,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=environment)
    for cell in node.cells:
        if cell.cell_type == "code":
            cell.metadata = {}
            cell.outputs = [kept for output in cell.outputs if (kept := _kept(output))]


def _kept(output: NotebookNode) -> NotebookNode | None:
    """The output without what another run could not repeat; None where nothing is left."""
    if output.output_type == "stream":
        output.text = SPEEDS.sub("", output.text)
        return output if output.text.strip() else None
    output.pop("transient", None)
    data = output.get("data", {})
    for form, content in data.items():
        if form == "image/png":
            data[form] = _smaller(content)
        elif isinstance(content, str):
            data[form] = DATES.sub("", SPEEDS.sub("", content))
    if len(data) > 1 and len(data.get("text/plain", "")) > LONG:
        del data["text/plain"]
    return output


def _smaller(png: str) -> str:
    """The picture, base64 as it came, with 256 colours: less than half the size, and as good."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
        few = picture.convert("RGB").quantize(
            256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
    stream = io.BytesIO()
    few.save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def make(
    subject: str,
    languages: Sequence[str],
    out: Path = EXAMPLES,
    epochs: int | None = None,
    limit_s: int = 600,
) -> list[Path]:
    """The subject's notebooks, executed and written."""
    cells = parse((EXAMPLES / "source" / f"{subject}.md").read_text(encoding="utf-8"))
    if epochs is not None:
        cells = with_epochs(cells, epochs)
    paths = []
    for language in languages:
        node = notebook(cells, language)
        execute(node, language, limit_s)
        nbformat.validate(node)
        path = out / language / f"{subject}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(nbformat.writes(node) + "\n", encoding="utf-8", newline="\n")
        paths.append(path)
    return paths


def main() -> None:
    """Make the notebooks that the command line names."""
    parser = argparse.ArgumentParser(description="Make and execute the notebooks of examples/.")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help="all unless given")
    parser.add_argument("--language", action="append", choices=list(LANGUAGES), help="both")
    parser.add_argument("--epochs", type=int, help="instead of each source's own: to try it")
    parser.add_argument("--out", type=Path, default=EXAMPLES, help="else examples/")
    parser.add_argument(
        "--limit", type=int, default=600, metavar="SECONDS", help="for a cell; 600 unless given"
    )
    asked = parser.parse_args()
    for subject in asked.subjects or subjects():
        languages = asked.language or list(LANGUAGES)
        for path in make(subject, languages, asked.out, asked.epochs, asked.limit):
            print(f"{path.stat().st_size:>9,}  {path}", flush=True)


if __name__ == "__main__":
    main()
