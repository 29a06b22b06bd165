"""A cell's syntax tree with its place in the file, its last value, and fewer epochs."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass

EPOCHS = ("num_epochs", "epochs")


@dataclass(frozen=True)
class Program:
    """What a cell does, and the expression whose value it shows, if it ends with one."""

    body: ast.Module
    shown: ast.Expression | None
    shortened: bool  # whether a number of epochs was changed


def prepare(
    source: str,
    filename: str,
    first: int,
    indent: int,
    epochs: int | None,
    *,
    show: bool,
    methods_of: str = "",
) -> Program:
    """The cell's program. Its lines begin at line `first` of the file, `indent` columns in, so
    that tracebacks point there. Methods become the body of a class of the name `methods_of`.
    Raises SyntaxError, with the file's line."""
    try:
        tree = ast.parse("\n" * (first - 1) + source, filename)
    except SyntaxError as error:
        error.msg = error.msg.partition(" (detected at line")[0]
        raise
    for node in ast.walk(tree):
        if hasattr(node, "col_offset"):
            node.col_offset += indent
            node.end_col_offset += indent  # type: ignore[attr-defined]
    if methods_of:
        body = tree.body
        tree.body = [ast.ClassDef(methods_of, [], [], body, [])]
        for attribute in ("lineno", "col_offset"):
            setattr(tree.body[0], attribute, getattr(body[0], attribute))
            setattr(tree.body[0], f"end_{attribute}", getattr(body[-1], f"end_{attribute}"))
        if sys.version_info >= (3, 12):
            tree.body[0].type_params = []
        ast.fix_missing_locations(tree)
    shortened = epochs is not None and _shorten(tree.body, epochs)
    shown = None
    if show and tree.body and not source.rstrip().endswith(";"):
        last = tree.body[-1]
        if isinstance(last, ast.Expr):
            shown = ast.Expression(last.value)
            tree.body.pop()
    return Program(tree, shown, shortened)


def _shorten(body: list[ast.stmt], epochs: int) -> bool:
    """Whether a literal number was replaced where EPOCHS are assigned outside of functions."""
    found = False
    for statement in body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                found |= _replace_in(statement, target, epochs)
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            found |= _replace_in(statement, statement.target, epochs)
        elif isinstance(statement, ast.If | ast.With | ast.Try | ast.For | ast.While):
            for part in ("body", "orelse", "finalbody"):
                found |= _shorten(getattr(statement, part, []), epochs)
    return found


def _replace_in(statement: ast.Assign | ast.AnnAssign, target: ast.expr, epochs: int) -> bool:
    value = statement.value
    if isinstance(target, ast.Name) and target.id in EPOCHS and _is_number(value):
        assert value is not None
        statement.value = ast.copy_location(ast.Constant(epochs), value)
        return True
    if not isinstance(target, ast.Tuple | ast.List) or not isinstance(value, ast.Tuple | ast.List):
        return False
    found = False
    if len(target.elts) == len(value.elts):
        for place, (name, number) in enumerate(zip(target.elts, value.elts, strict=True)):
            if isinstance(name, ast.Name) and name.id in EPOCHS and _is_number(number):
                value.elts[place] = ast.copy_location(ast.Constant(epochs), number)
                found = True
    return found


def _is_number(value: ast.expr | None) -> bool:
    """Whether it is written as a number, such as 10 or 2 * 5; `list(range(1, 11))` is none."""
    kinds = ast.Constant | ast.BinOp | ast.operator
    return value is not None and all(isinstance(node, kinds) for node in ast.walk(value))
