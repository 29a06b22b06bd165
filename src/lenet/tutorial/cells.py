"""The cells of a tutorial: which lines of a file are code, and why the others are not.

    .py            the whole file, or its cells where it has `# %%` lines
    .ipynb         the code cells
    others         fenced code; where there is none, indented blocks; where there is neither,
                   runs of lines that are code, as a page copied from a browser has them

What a text says is Python is taken as it is. Any other block has to be code by the rules of
`statements.py`: printed output, pseudo-code and shell commands are passed over, with the reason.
Blanks that Python does not know are read as blanks (`blanks.py`), what IPython understands is made
Python (`magics.py`), cells of other frameworks are passed over (`tabs.py`), and methods in a cell
of their own find their class (`joining.py`).
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from lenet.tutorial import blanks, magics, tabs
from lenet.tutorial import statements as code

PYTHON = frozenset(
    {"python", "python3", "py", "py3", "ipython", "ipython3", "pycon", "python-repl"}
)
_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")
_CELL_MARK = re.compile(r"#\s*(%%|In\s?\[[\s\d]*\]:)")
_PROMPT = re.compile(r"(>>>|\.\.\.)( |$)")
# A line of which nobody would write the like in prose; the second only with a line inside it.
_CODE = re.compile(
    r"\s*(class \w+\s*(\([^()]*\))?\s*:\s*(#.*)?$|(async\s+)?def \w+\s*\([^…]*$|"
    r"from [\w.]+ import [\w*, ]+$|import [\w.]+( as \w+)?(, *[\w.]+( as \w+)?)*$)"
)
_OPENS = re.compile(r"\s*(for .+ in .+|while .+|if .+|with .+|try|else)\s*:\s*(#.*)?$")
_METHOD = re.compile(r"\s+((async\s+)?def \w+\s*\(\s*self\b|@(static|class)method|@property)")


_GAP = "prose or printed output"


class TutorialError(ValueError):
    """A file that is no tutorial that can be read or run."""


@dataclass(frozen=True)
class Block:
    """Lines of the file, `first` to `last` counted from 1, that are a cell or are passed over."""

    first: int
    last: int
    source: str  # without the block's indentation
    indent: int  # columns that were taken away
    reason: str  # why it is passed over; "" for a cell
    text: str  # the source as the file has it, with prompts and magics
    remarks: tuple[str, ...] = ()  # lines of a cell that are not run, such as magics
    number: int = 0  # of the notebook's cell, else 0
    tabs: tuple[str, ...] = ()  # the frameworks that a notebook's metadata names
    framework: str = ""  # another framework, for which it is passed over
    methods_of: str = ""  # the class, told before, that it goes on with

    @property
    def taken(self) -> bool:
        return not self.reason

    @property
    def place(self) -> str:
        """Where it is, in words."""
        if self.number:
            return f"cell {self.number}"
        return f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True)
class Tutorial:
    """A file with its blocks, in order."""

    path: Path
    layout: str  # script, cells, notebook, fenced, indented or copied
    lines: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def cells(self) -> tuple[Block, ...]:
        return tuple(block for block in self.blocks if block.taken)


def read(path: Path) -> Tutorial:
    """The tutorial in a file. Raises OSError, and TutorialError where the file is no text."""
    from lenet.tutorial import joining

    text = _decode(path)
    lines = [] if path.suffix == ".ipynb" else text.split("\n")
    if path.suffix == ".ipynb":
        layout, blocks = "notebook", _notebook(path, text)
    elif path.suffix in (".py", ".pyw"):
        layout, blocks = _script(lines)
    else:
        layout, blocks = _text(lines)
    if layout != "script":
        blocks = joining.joined(tabs.chosen(blocks))
    return Tutorial(path, layout, tuple(lines), tuple(blocks))


def frame_name(path: Path, cell: Block) -> str:
    """What tracebacks call the cell's file."""
    return f"{path}, cell {cell.number}" if cell.number else str(path)


def lost(tutorial: Tutorial) -> list[str]:
    """A remark for each block that reads like code and is none, so that it was passed over."""
    return [remark for block in tutorial.blocks if (remark := _lost_in(block))]


def _lost_in(block: Block) -> str:
    if block.taken or block.framework or not block.reason.startswith(("no Python", _GAP)):
        return ""
    rows = blanks.plain(block.text).split("\n")
    for at, row in enumerate(rows):
        inside = rows[at + 1] if at + 1 < len(rows) else ""
        deeper = _depth(inside) > _depth(row) and re.search("[=(]", inside)
        opens = deeper and _OPENS.match(row) and "…" not in row  # with dots it is pseudo-code
        if not (_CODE.match(row) or opens):
            continue
        end = at + 1
        while end < len(rows) and (not rows[end].strip() or _depth(rows[end]) > _depth(row)):
            end += 1
        try:
            code.parse(_dedent(rows[at:end])[0])
        except (SyntaxError, ValueError) as error:
            line = block.first + at + (getattr(error, "lineno", None) or 1) - 1
            why = getattr(error, "msg", error)
            return f"line {block.first + at} reads like code, but is not run: {why} (line {line})"
    return ""


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _decode(path: Path) -> str:
    """The file's text with plain line ends: UTF-8, with or without a mark, UTF-16, GB 18030."""
    content = path.read_bytes()
    marked = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            if path.suffix != ".ipynb" and _separators_end_lines(text):
                text = re.sub(f"[{blanks.SEPARATORS}]", "\n", text)
            return text
    raise TutorialError(f"{path} is no text: lenet run reads .py, .ipynb, .md and .txt files")


def _separators_end_lines(text: str) -> bool:
    """Whether U+2028 and the like are the text's line ends, not blanks that indent its lines."""
    many = sum(map(text.count, blanks.SEPARATORS)) > text.count("\n")
    return many and not re.search(f"\n[{blanks.SEPARATORS}]", text)


def _script(lines: Sequence[str]) -> tuple[str, list[Block]]:
    marks = [number for number, line in enumerate(lines) if _CELL_MARK.match(line)]
    if not marks:
        return "script", [cell_of(lines, 0, len(lines))]
    edges = [0, *(mark for mark in marks if mark), len(lines)]
    parts = pairwise(edges)
    return "cells", [cell_of(lines, *part) for part in parts if _has_code(lines[slice(*part)])]


def _has_code(lines: Sequence[str]) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


def _notebook(path: Path, text: str) -> list[Block]:
    try:
        notebook: dict[str, Any] = json.loads(text)
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python")
        sources = [
            (
                cell["cell_type"],
                "".join(cell["source"] if "source" in cell else cell["input"]),
                _tabs(cell.get("metadata", {}).get("tab", ())),
            )
            for cell in cells
        ]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise TutorialError(f"{path} is no notebook: its JSON has no cells") from None
    if language.lower() not in PYTHON:
        raise TutorialError(f"{path} is a notebook in {language}; lenet run knows Python")
    blocks = []
    for number, (kind, source, tab) in enumerate(sources, start=1):
        lines = source.split("\n")
        if kind == "code" and _has_code(lines):
            block = cell_of(lines, 0, len(lines))
        else:
            reason = "no code" if kind == "code" else f"a {kind} cell"
            block = Block(1, len(lines), source, 0, reason, source)
        blocks.append(replace(block, number=number, tabs=tab))
    return blocks


def _tabs(said: Any) -> tuple[str, ...]:
    """The frameworks in a cell's metadata: a name, or a list of them."""
    listed = [said] if isinstance(said, str) else said if isinstance(said, list | tuple) else []
    return tuple(str(name).lower() for name in listed)


# --- texts -------------------------------------------------------------------------------------


def _text(lines: list[str]) -> tuple[str, list[Block]]:
    """The layout and the blocks. What is code is seen with plain blanks before each line; the
    cells are then cut out of the lines as they are, whose strings may hold such blanks."""
    layout, blocks = _laid_out([blanks.with_plain_indentation(line) for line in lines])
    return layout, [
        replace(cell_of(lines, block.first - 1, block.last), last=block.last)
        if block.taken
        else block
        for block in blocks
    ]


def _laid_out(lines: list[str]) -> tuple[str, list[Block]]:
    fenced, free = _fenced(lines)
    if any(block.taken for block in fenced):
        passed = _indented_spans(free)
        others = [
            _passed(lines, first, end, "an indented block: printed output, where code is fenced")
            for first, end in passed
        ]
        return "fenced", _in_order(fenced + others)
    copied = _copied(free)
    indented = _indented(free, copied)
    if any(block.taken for block in indented):
        return "indented", _in_order(fenced + indented)
    return "copied", _in_order(fenced + _with_gaps(lines, free, copied))


def _in_order(blocks: list[Block]) -> list[Block]:
    return sorted(blocks, key=lambda block: block.first)


def _fenced(lines: list[str]) -> tuple[list[Block], list[str]]:
    """The fenced blocks, and the lines with those blanked."""
    found: list[tuple[int, int, str, int]] = []  # first and end of the inside, language, indent
    free = list(lines)
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        number += 1
        if opening is None:
            continue
        first = number
        while number < len(lines) and not _closes(lines[number], opening["fence"]):
            number += 1
        found.append((first, number, _language(opening["info"]), len(opening["indent"])))
        number += 1
        free[first - 1 : number] = [""] * len(lines[first - 1 : number])
    named = any(language in PYTHON for _, _, language, _ in found)
    known, blocks = code.Known(), []
    said: set[int] = set()
    for first, end, language, _ in found:
        if not _has_code(lines[first:end]):
            blocks.append(_passed(lines, first, end, "no code"))
        elif language in PYTHON:
            block = cell_of(lines, first, end)
            said.add(block.first)
            known.learn(_statements(block))
            blocks.append(block)
        elif language:
            blocks.append(_passed(lines, first, end, f"{language}, not Python"))
        elif named and _follows_acell_of(lines, first - 1, blocks):
            blocks.append(_passed(lines, first, end, "printed output of the cell above"))
        else:
            blocks += _judged(lines, first, end, known)
    return _without_idle(blocks, said), free


def _closes(line: str, fence: str) -> bool:
    line = line.strip()
    return len(line) >= len(fence) and not line.strip(fence[0])


def _language(info: str) -> str:
    """The language of ```` ```python title="x" ````, ```` ```{.python .input} ````, or ""."""
    words: list[str] = re.findall(r"[\w+#-]+", info.lower())
    return next((word for word in words[:2] if word in PYTHON), words[0] if words else "")


def _follows_acell_of(lines: Sequence[str], first: int, blocks: Sequence[Block]) -> bool:
    """Whether only the fences and blank lines stand between the last cell and line `first`."""
    if not blocks or not blocks[-1].taken:
        return False
    return not any(line.strip() for line in lines[blocks[-1].last + 1 : first])


def _indented_spans(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Markdown's indented blocks: four columns or a tab, after a blank line; first and end."""
    spans: list[tuple[int, int]] = []
    number, after_blank = 0, True
    while number < len(lines):
        line = lines[number]
        if not line.strip() or not (after_blank and _is_indented(line)):
            after_blank = not line.strip()
            number += 1
            continue
        first = end = number
        while number < len(lines) and (_is_indented(lines[number]) or not lines[number].strip()):
            number += 1
            if lines[number - 1].strip():
                end = number
        spans.append((first, end))
        after_blank = end < number
    return spans


def _is_indented(line: str) -> bool:
    return bool(line.strip()) and re.match(r"    | {0,3}\t", line) is not None


def _indented(lines: Sequence[str], copied: Sequence[Block]) -> list[Block]:
    """The indented blocks, but for those inside the functions and loops of code at the margin."""
    inside = {number for block in copied for number in range(block.first - 1, block.last)}
    known, blocks = code.Known(), []
    for first, end in _indented_spans(lines):
        if first not in inside:
            blocks += _judged(lines, first, end, known)
    return _without_idle(blocks)


def _copied(lines: Sequence[str]) -> list[Block]:
    """The runs of code at the margin of a text without marks, and the lines that might be."""
    known = code.Known()
    blocks: list[Block] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if line[:1].isspace() and blocks and blocks[-1].taken and _METHOD.match(line):
            if end := _methods_end(lines, number - 1, blocks[-1]):
                blocks.append(cell_of(lines, number - 1, end))
                number = end
            continue
        if not line.strip() or line[:1].isspace() or line.startswith("#"):
            continue
        found = code.run_at(lines, number - 1, known)
        if isinstance(found, code.Run):
            first = found.first
            while first and lines[first - 1].startswith("#"):
                first -= 1
            blocks.append(cell_of(lines, first, found.end))
            number = found.end
        elif found and not line.strip().isidentifier():  # a word alone is nobody's doubt
            blocks.append(_passed(lines, number - 1, number, found))
    return _without_idle(blocks)


def _methods_end(lines: Sequence[str], first: int, above: Block) -> int:
    """Where the methods that begin at line `first` end, if the cell above ends with a class."""
    body = _statements(above)
    known = above.methods_of or (body and isinstance(body[-1], ast.ClassDef))
    end = next(
        (n for n in range(first, len(lines)) if lines[n].strip() and not lines[n][:1].isspace()),
        len(lines),
    )
    while not lines[end - 1].strip():
        end -= 1
    return end if known and _statements(cell_of(lines, first, end)) else 0


def _with_gaps(lines: Sequence[str], free: Sequence[str], copied: Sequence[Block]) -> list[Block]:
    """The cells of a copied page with one block for each stretch of lines between them."""
    cells = [block for block in copied if block.taken]
    edges = [0, *(edge for block in cells for edge in (block.first - 1, block.last)), len(lines)]
    gaps = []
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        filled = [number for number in range(first, end) if free[number].strip()]
        if filled:
            inside = [b for b in copied if not b.taken and first < b.first <= end]
            hint = f"; line {inside[0].first}: {inside[0].reason}" if inside else ""
            reason = f"{_GAP}{hint}"
            gaps.append(_passed(lines, filled[0], filled[-1] + 1, reason))
    return cells + gaps


def _judged(lines: Sequence[str], first: int, end: int, known: code.Known) -> list[Block]:
    """A block that does not say what it is: a cell, or a cell with its output below, or none."""
    cell = cell_of(lines, first, end)
    rows = cell.source.split("\n")
    start = next((n for n, row in enumerate(rows) if row.strip() and not row.startswith("#")), None)
    if start is None:
        return [replace(cell, reason="no code", remarks=())]
    found = code.run_at(rows, start, known, marked=True)
    try:
        error = ""
        parsed = code.parse(cell.source)
        if all(isinstance(statement, ast.Pass) for statement in parsed):
            code.parse(cell.text)  # `pip install numpy` alone is a command, not a cell
    except (SyntaxError, ValueError) as problem:
        line = first + (getattr(problem, "lineno", None) or 1)
        error = f"no Python (line {line}: {getattr(problem, 'msg', problem)})"
    if not isinstance(found, code.Run):
        return [replace(cell, reason=error or found or "no Python", remarks=())]
    rest = next((n for n in range(found.end, len(rows)) if rows[n].strip()), None)
    if rest is None:
        return [cell]
    if not rows[rest - 1].strip():  # what a notebook printed lies below its code
        output = _passed(lines, first + rest, end, "printed output of the cell above")
        return [cell_of(lines, first, first + found.end), output]
    if error:
        return [replace(cell, reason=error, remarks=())]
    known.learn(parsed)
    return [cell]


def _without_idle(blocks: list[Block], said: Container[int] = ()) -> list[Block]:
    """The blocks; passed over are those which give values to names that no other code reads.

    `loss = 0.47` is printed output as often as code. Passing over what nothing uses does no harm.
    `said` has the first lines of those that the text says are Python.
    """
    parsed = [_statements(block) if block.taken else [] for block in blocks]

    def names(of: Callable[[Any], set[str]], but: int) -> set[str]:
        others = (body for number, body in enumerate(parsed) if number != but)
        return set().union(*(of(statement) for body in others for statement in body))

    kept = []
    for number, (block, body) in enumerate(zip(blocks, parsed, strict=True)):
        if body and block.first not in said and code.only_assigns(body):
            given = set().union(*(code.bound(statement) for statement in body))
            if not given & names(code.uses_anywhere, number):
                block = replace(block, reason=f"no other code uses {', '.join(sorted(given))}")
            elif not set().union(*map(code.uses_anywhere, body)) and (
                called := sorted(given & names(code.calls_anywhere, number))
            ):
                block = replace(block, reason=f"{called[0]} is a function: printed output")
        kept.append(block)
    return kept


# --- one block ---------------------------------------------------------------------------------


def cell_of(lines: Sequence[str], first: int, end: int) -> Block:
    """Lines `first` to `end` (from 0) as a cell: prompts and magics taken out, its lines kept."""
    while end > first + 1 and not lines[end - 1].strip():
        end -= 1
    text, indent = _dedent(lines[first:end])
    source = _without_prompts(tabs.without_mark(blanks.plain(text)))
    source, remarks = magics.translate(source, text, first)
    return Block(first + 1, end, source, indent, "", text, remarks)


def _passed(lines: Sequence[str], first: int, end: int, reason: str) -> Block:
    text, indent = _dedent(lines[first:end])
    return Block(first + 1, max(end, first + 1), text, indent, reason, text)


def _dedent(lines: Sequence[str]) -> tuple[str, int]:
    """The lines without what all of them are indented by, and how much that is."""
    rows = [blanks.with_plain_indentation(row) for row in lines]
    plain = textwrap.dedent("\n".join(rows)).split("\n")
    if plain and plain[0][:1].isspace():  # tabs beside spaces
        rows = [_expanded(row) for row in rows]
        plain = textwrap.dedent("\n".join(rows)).split("\n")
    else:
        indent = max(map(len, rows), default=0) - max(map(len, plain), default=0)
        plain = [blanks.cut(row, indent) if row.strip() else "" for row in lines]
    longest = max(rows, key=len, default="")
    return "\n".join(plain), max(len(longest) - max(map(len, plain), default=0), 0)


def _expanded(line: str) -> str:
    body = line.lstrip(" \t")
    return line[: len(line) - len(body)].expandtabs(4) + body


def _without_prompts(source: str) -> str:
    """The statements of a session with `>>>`; what it printed becomes blank lines."""
    rows = source.split("\n")
    first = next((row for row in rows if row.strip()), "")
    if not first.startswith(">>>"):
        return source
    return "\n".join(row[4:] if _PROMPT.match(row) else "" for row in rows)


def _statements(block: Block) -> list[Any]:
    try:
        return [*code.parse(block.source)]
    except (SyntaxError, ValueError):
        return []
