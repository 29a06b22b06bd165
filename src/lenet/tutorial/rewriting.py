"""A cell's syntax tree with its place in the file, its last value, and fewer epochs."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

# What people call their number of epochs: num_epochs, EPOCHS, n_epoch, max_epochs, epoches. `epoch`
# alone counts them, but for the EPOCH of constants.
EPOCHS = re.compile(
    r"EPOCH|(?i:((num(ber)?|n|nb|no|max|all|total)_?(of_?)?)(epoch(e?s)?)|epoche?s)"
)
COUNTERS = ("epoch", "ep", "current_epoch", "cur_epoch")


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
    shortened = epochs is not None and _shorten(tree, epochs)
    shown = None
    if show and tree.body and not source.rstrip().endswith(";"):
        last = tree.body[-1]
        if isinstance(last, ast.Expr):
            shown = ast.Expression(last.value)
            tree.body.pop()
    return Program(tree, shown, shortened)


def _shorten(tree: ast.Module, epochs: int) -> bool:
    """Whether a number was replaced: one that EPOCHS get outside of functions, by an assignment,
    in a call, a dictionary or the range of a loop; or argparse's default, wherever it is."""
    found = False
    for node in _outside_functions(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                found |= _replace_in(node, target, epochs)
        elif isinstance(node, ast.AnnAssign):
            found |= _replace_in(node, node.target, epochs)
        elif isinstance(node, ast.keyword):
            found |= EPOCHS.fullmatch(node.arg or "") is not None and _replace(node, epochs)
        elif isinstance(node, ast.Dict):
            for place, key in enumerate(node.keys):
                if _gives_epochs(key) and _is_number(node.values[place]):
                    node.values[place] = _number(epochs, node.values[place])
                    found = True
        elif isinstance(node, ast.For):
            found |= _shorten_range(node, epochs)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _adds_epochs_to_the_command_line(node):
            for keyword in node.keywords:
                found |= keyword.arg == "default" and _replace(keyword, epochs)
    return found


def _outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from _outside_functions(node)


def _replace_in(statement: ast.Assign | ast.AnnAssign, target: ast.expr, epochs: int) -> bool:
    if _gives_epochs(target):
        return _replace(statement, epochs)
    value = statement.value
    if not isinstance(target, ast.Tuple | ast.List) or not isinstance(value, ast.Tuple | ast.List):
        return False
    found = False
    if len(target.elts) == len(value.elts):
        for place, (name, number) in enumerate(zip(target.elts, value.elts, strict=True)):
            if _gives_epochs(name) and _is_number(number):
                value.elts[place] = _number(epochs, number)
                found = True
    return found


def _replace(giver: ast.Assign | ast.AnnAssign | ast.keyword, epochs: int) -> bool:
    """Whether the giver's value is a number, which is replaced."""
    if giver.value is None or not _is_number(giver.value):
        return False
    giver.value = _number(epochs, giver.value)
    return True


def _shorten_range(loop: ast.For, epochs: int) -> bool:
    """Whether it is `for epoch in range(10)` or `range(1, 11)`, which is replaced."""
    call = loop.iter
    if not (isinstance(loop.target, ast.Name) and loop.target.id.lower() in COUNTERS):
        return False
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        return False
    numbers = call.args
    if call.func.id != "range" or len(numbers) not in (1, 2) or not _is_number(numbers[-1]):
        return False
    first = numbers[0] if len(numbers) == 2 else ast.Constant(0)
    if not isinstance(first, ast.Constant) or not isinstance(first.value, int):
        return False
    numbers[-1] = _number(first.value + epochs, numbers[-1])
    return True


def _adds_epochs_to_the_command_line(call: ast.Call) -> bool:
    """Whether it is `parser.add_argument("--epochs", …)`."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"):
        return False
    options = [option.value for option in call.args if isinstance(option, ast.Constant)]
    names = [str(option).lstrip("-").replace("-", "_") for option in options]
    return any(EPOCHS.fullmatch(name) or name == "epoch" for name in names)


def _gives_epochs(target: ast.expr | None) -> bool:
    """Whether it is a name, an attribute, a key or an item that says how many epochs there are."""
    if isinstance(target, ast.Subscript):
        target = target.slice
    name = getattr(target, "attr", getattr(target, "id", getattr(target, "value", None)))
    return isinstance(name, str) and EPOCHS.fullmatch(name) is not None


def _number(epochs: int, instead: ast.expr) -> ast.Constant:
    return ast.copy_location(ast.Constant(epochs), instead)


def _is_number(value: ast.expr) -> bool:
    """Whether it is written as a number, such as 10 or 2 * 5; `list(range(1, 11))` is none, and
    0 begins a count."""
    kinds = ast.Constant | ast.BinOp | ast.operator
    nodes = list(ast.walk(value))
    numbers = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return (
        all(isinstance(node, kinds) for node in nodes)
        and all(type(number) in (int, float) for number in numbers)
        and numbers != [0]
    )
