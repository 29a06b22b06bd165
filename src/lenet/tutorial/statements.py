"""Python's statements told from prose and printed output, by Python's own compiler.

A line begins code when a whole statement begins there that a tutorial would write: an import, a
definition, an assignment, a call, a loop. It is no code when it would end in a NameError: what
`tensor([[0., 1.]])` or `W = (W - F) / S` uses must be built in, imported or defined before it.
"""

from __future__ import annotations

import ast
import builtins
import codeop
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lenet.tutorial import blanks

_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = (ast.For, ast.While, ast.If, ast.With, ast.Try, ast.Match, ast.AsyncFor, ast.AsyncWith)
_ASSIGNMENTS = (ast.Assign, ast.AugAssign, ast.AnnAssign)
_INSIDE = (ast.Pass, ast.Raise)  # words of prose, too, where no code stands directly above
_CLAUSE = re.compile(r"(else|elif|except|finally)\b")
_DUNDERS = ("__name__", "__file__", "__doc__", "__builtins__")
ALWAYS_KNOWN = frozenset([*dir(builtins), *_DUNDERS, "display", "get_ipython"])


@dataclass
class Known:
    """The names that code has at hand; `everything` after a star import."""

    names: set[str] = field(default_factory=lambda: set(ALWAYS_KNOWN))
    everything: bool = False

    def learn(self, statements: Iterable[ast.stmt]) -> None:
        """Add what these statements define."""
        for statement in statements:
            self.names |= bound(statement)
            self.everything |= any(
                isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
                for node in ast.walk(statement)
            )

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of the names that nothing before defines, sorted."""
        return [] if self.everything else sorted(set(names) - self.names)


@dataclass(frozen=True)
class Run:
    """Statements that follow each other: lines `first` to `end` (counted from 0, without `end`)."""

    first: int
    end: int
    statements: tuple[ast.stmt, ...]


def parse(source: str) -> list[ast.stmt]:
    """The statements of a source; SyntaxError also for what only the compiler finds, such as a
    `return` outside a function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a tutorial's "\d" is not our concern
        source = blanks.plain(source)
        tree = ast.parse(source)
        compile(source, "<tutorial>", "exec", dont_inherit=True)
    return tree.body


def run_at(
    lines: Sequence[str], start: int, known: Known, *, marked: bool = False
) -> Run | str | None:
    """The code that begins at line `start`, which is neither blank nor a comment.

    Else why a statement there is none of a tutorial's code, or None where it is no Python. What
    the code defines is added to `known`. `marked` code is set off as such by its page: it may
    begin with an expression that is shown, such as `model`.
    """
    end = start
    statements: list[ast.stmt] = []
    at, previous_end = start, start
    while at < len(lines):
        line = lines[at]
        if not line.strip() or line.startswith("#"):
            at += 1
            continue
        ends = _statement_end(lines, at)
        if ends is None:
            break
        found = parse("\n".join(lines[at:ends]))
        attached = bool(statements) and not any(not row.strip() for row in lines[previous_end:at])
        objection = ""
        for statement in found:
            objection = _objection(statement, known, statements, attached, marked)
            if objection:
                break
            known.learn([statement])
        if objection:
            if not statements:
                return objection
            break
        statements += found
        at = end = previous_end = ends
    if not statements:
        return None
    while end < len(lines) and lines[end].startswith("#"):
        end += 1
    return Run(start, end, tuple(statements))


def _statement_end(lines: Sequence[str], start: int) -> int | None:
    """The line after the statement that begins at `start`; None where none does."""
    if lines[start][:1].isspace():
        return None
    end = _complete(lines, start, start + 1)
    if end is None:
        return None
    body = parse("\n".join(lines[start:end]))
    if not isinstance(body[-1], _BLOCKS + _DEFINITIONS[2:]):
        return end
    while (more := _next_of_block(lines, end)) is not None:
        longer = _complete(lines, start, more + 1)
        if longer is None:
            break
        end = longer
    return end


def _complete(lines: Sequence[str], start: int, end: int) -> int | None:
    """Where the statement is first complete, at `end` or later; None where it cannot be."""
    while end <= len(lines):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                source = blanks.plain("\n".join(lines[start:end]))
                code = codeop.compile_command(source, symbol="exec")
        except (SyntaxError, ValueError, OverflowError):
            return None
        if code is not None:
            return end
        end += 1
    return None


def _next_of_block(lines: Sequence[str], end: int) -> int | None:
    """The next line that can belong to the block above: indented, or one of its clauses."""
    for number in range(end, len(lines)):
        line = lines[number]
        if not line.strip() or line.startswith("#"):
            continue
        return number if line[:1].isspace() or _CLAUSE.match(line) else None
    return None


def _objection(
    statement: ast.stmt,
    known: Known,
    before: Sequence[ast.stmt],
    attached: bool,
    marked: bool,
) -> str:
    """Why the statement is no code of a tutorial, given what stands before it; "" if it is.

    `attached`: code stands on the line above, so that a word alone may be what a cell shows.
    """
    if isinstance(statement, _DEFINITIONS):
        return ""
    if isinstance(statement, ast.AnnAssign) and statement.value is None:
        return "a label with a value, as it is printed"
    if isinstance(statement, ast.Expr):
        return _objection_to_expression(statement.value, known, before, attached, marked)
    if isinstance(statement, (*_ASSIGNMENTS, *_BLOCKS, ast.Assert, ast.Delete)):
        return "" if attached else _undefined(known.missing(used(statement)))
    if isinstance(statement, _INSIDE) and attached:
        return ""
    return "no statement that code begins with"


def _objection_to_expression(
    value: ast.expr, known: Known, before: Sequence[ast.stmt], attached: bool, marked: bool
) -> str:
    if isinstance(value, ast.Await):
        value = value.value
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        comment = value.end_lineno != value.lineno and (attached or marked)
        return "" if comment else "a text, as it is printed"
    names = used(value)
    if not names:
        return "a value, as it is printed"
    if isinstance(value, ast.Call):
        if not attached and (reason := _undefined(known.missing(names))):
            return reason
        called = {
            name
            for node in ast.walk(value)
            if isinstance(node, ast.Call) and (name := _root(node.func))
        }
        if reason := _undefined(known.missing(called & names)):
            return reason
        return "an object, as it is printed" if _is_repr(value) else ""
    if reason := _undefined(known.missing(names)):
        return reason
    if _shows(before[-1] if before else None):
        return "comes after what the cell shows"
    return "" if attached or marked else "an expression alone"


def _is_repr(call: ast.Call) -> bool:
    """Whether it reads like `torch.Size([1, 6])`: a class of plain values, made for nobody."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else _root(call.func)
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    return name[:1].isupper() and not any(used(argument) for argument in arguments)


def _shows(statement: ast.stmt | None) -> bool:
    return isinstance(statement, ast.Expr) and not isinstance(
        statement.value, ast.Call | ast.Constant
    )


def _undefined(names: Sequence[str]) -> str:
    return f"nothing before it defines {', '.join(names)}" if names else ""


def _root(node: ast.expr) -> str:
    """The name that `torch.nn.Linear` or `net[0].weight.sum` begins with, or ""."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def bound(statement: ast.AST) -> set[str]:
    """The names that the statement defines where it stands, not inside its functions."""
    names: set[str] = set()
    for node in _walk_now(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, _FUNCTIONS | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
    return names


def used(node: ast.AST) -> set[str]:
    """The names that must be there when the statement runs; what it binds itself is not."""
    if isinstance(node, ast.Assign):
        return set().union(*(used(part) for part in [node.value, *node.targets]))
    if isinstance(node, ast.AugAssign):
        return used(node.value) | used(node.target) | _stored(node.target)
    if isinstance(node, ast.AnnAssign):
        return (used(node.value) if node.value else set()) | used(node.target)
    loaded = {
        part.id
        for part in _walk_now(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)
    }
    return loaded - bound(node)


def uses_anywhere(statement: ast.AST) -> set[str]:
    """The names that the statement reads, inside its functions too."""
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def calls_anywhere(statement: ast.AST) -> set[str]:
    """The names that the statement calls as they are, such as `loss` in `loss(y_hat, y)`."""
    return {
        node.func.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def only_assigns(statements: Sequence[ast.stmt]) -> bool:
    """Whether they do nothing but give values to names, as `loss = 0.47` does in print, too."""
    return all(
        isinstance(statement, ast.Assign | ast.AnnAssign)
        and not any(
            isinstance(node, ast.Call | ast.Attribute | ast.Subscript | ast.Lambda)
            for node in ast.walk(statement)
        )
        for statement in statements
    )


def _stored(target: ast.expr) -> set[str]:
    return {target.id} if isinstance(target, ast.Name) else set()


def _walk_now(node: ast.AST) -> Iterator[ast.AST]:
    """What runs, or is bound, when the statement runs: all but the bodies of functions."""
    yield node
    if isinstance(node, _FUNCTIONS):
        inside: list[ast.AST] = [*node.decorator_list, *node.args.defaults]
        inside += [default for default in node.args.kw_defaults if default]
    elif isinstance(node, ast.Lambda):
        inside = [*node.args.defaults]
    else:
        inside = [*ast.iter_child_nodes(node)]
    for child in inside:
        yield from _walk_now(child)
