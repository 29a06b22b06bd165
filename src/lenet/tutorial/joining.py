"""Classes that a text tells in pieces: a cell that holds only methods belongs to the class above.

As it stands such a cell would define functions that nobody calls, and the class would lack them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import CellType, FunctionType

from lenet.tutorial import statements as code
from lenet.tutorial.cells import Block, cell_of

_METHODS = ("staticmethod", "classmethod", "property", "torch", "override")


@dataclass(frozen=True)
class _Class:
    name: str
    methods: frozenset[str]
    place: str


def joined(blocks: Sequence[Block]) -> list[Block]:
    """The blocks; those with methods of the class before them say so, alone in their block."""
    found: list[Block] = []
    above: _Class | None = None
    used: set[str] | None = None  # names that code reads anywhere: such functions are functions
    for block in blocks:
        if not block.taken:
            found.append(block)
            continue
        pieces = [block]
        if above is not None and (end := _methods_end(block)):
            if used is None:
                used = _names_read(blocks)
            names = _names(block.source, end)
            if not names & (above.methods | used):
                pieces = _split(block, end, above)
                above = replace(above, methods=above.methods | names)
        found += pieces
        if not pieces[-1].methods_of:
            above = _class_at_end(pieces[-1]) or (above if not pieces[-1].source.strip() else None)
    return found


def add_methods(whole: type, more: type) -> None:
    """Give the class `whole` what the body of `more` defined, `super()` and all."""
    new = {name: value for name, value in vars(more).items() if name not in _OF_EVERY_CLASS}
    for name, value in new.items():
        for function in _functions(value):
            for variable, cell in zip(
                function.__code__.co_freevars, function.__closure__ or (), strict=True
            ):
                if variable == "__class__":
                    _fill(cell, whole)
        setattr(whole, name, value)


_OF_EVERY_CLASS = frozenset(
    {"__module__", "__dict__", "__weakref__", "__doc__", "__qualname__", "__firstlineno__"}
    | {"__static_attributes__", "__annotations__"}
)


def _functions(value: object) -> Iterable[FunctionType]:
    inner = [getattr(value, name, None) for name in ("__func__", "__wrapped__", "fget", "fset")]
    for candidate in (value, *inner):
        if isinstance(candidate, FunctionType):
            yield candidate


def _fill(cell: CellType, whole: type) -> None:
    cell.cell_contents = whole


def _methods_end(block: Block) -> int:
    """How many of the block's lines are methods and nothing else; 0 where it begins otherwise."""
    rows = block.source.split("\n")
    first = next((row for row in rows if row.strip() and not row.lstrip().startswith("#")), "")
    if first[:1].isspace():  # what goes on at the margin below ends the class
        margin = (n for n, row in enumerate(rows) if row.strip() and not row[:1].isspace())
        end = next((n for n in margin if not rows[n].startswith("#")), len(rows))
        body = _parsed(cell_of(rows, 0, end).source)
        return end if body and all(map(_is_method, body)) and _takes_self(body[0]) else 0
    body = _parsed(block.source)
    if not body or not _is_method(body[0]) or not _takes_self(body[0]):
        return 0
    other = next((statement for statement in body if not _is_method(statement)), None)
    return _first_line(other) - 1 if other is not None else len(rows)


def _split(block: Block, end: int, above: _Class) -> list[Block]:
    rows = block.text.split("\n")
    own = replace(
        cell_of(rows, 0, end),
        number=block.number,
        methods_of=above.name,
        indent=block.indent + cell_of(rows, 0, end).indent,
    )
    own = replace(own, first=block.first + own.first - 1, last=block.first + own.last - 1)
    whose = "" if block.number else f"lines {own.place}: "
    remark = f"{whose}methods of the class {above.name} ({above.place})"
    own = replace(own, remarks=(*own.remarks, remark))
    if not any(row.strip() for row in rows[end:]):
        return [own]
    rest = cell_of(rows, end, len(rows))
    at = block.first - 1
    if block.number:  # a notebook's cell: lines are counted in it
        rest = cell_of([*[""] * end, *rows[end:]], 0, len(rows))
    else:
        rest = replace(rest, first=at + rest.first, last=at + rest.last, indent=block.indent)
    return [own, replace(rest, number=block.number)]


def _class_at_end(block: Block) -> _Class | None:
    body = _parsed(block.source)
    if not body or not isinstance(body[-1], ast.ClassDef):
        return None
    defined = frozenset(
        statement.name
        for statement in body[-1].body
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    place = block.place if block.number else f"lines {block.place}"
    return _Class(body[-1].name, defined, place)


def _is_method(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    roots = {_root(decorator) for decorator in statement.decorator_list}
    own = {f"{statement.name}.setter", f"{statement.name}.getter"}
    known = all(
        root in _METHODS or ast.unparse(decorator) in own
        for root, decorator in zip(
            map(_root, statement.decorator_list), statement.decorator_list, strict=True
        )
    )
    return known and (_takes_self(statement) or bool(roots & {"staticmethod", "classmethod"}))


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _takes_self(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    arguments = [*statement.args.posonlyargs, *statement.args.args]
    return bool(arguments) and arguments[0].arg == "self"


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _names(source: str, end: int) -> set[str]:
    rows = source.split("\n")[:end]
    body = _parsed(cell_of(rows, 0, len(rows)).source)
    return {name for statement in body for name in code.bound(statement)}


def _names_read(blocks: Sequence[Block]) -> set[str]:
    bodies = (_parsed(block.source) for block in blocks if block.taken)
    return {name for body in bodies for part in body for name in code.uses_anywhere(part)}


def _parsed(source: str) -> list[ast.stmt]:
    try:
        return code.parse(source)
    except (SyntaxError, ValueError):
        return []
