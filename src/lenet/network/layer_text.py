"""Layers as lines of text, written as one writes them for torch.nn, and back.

    Conv2d(1, 6, kernel_size=5, padding=2)
    Sigmoid()
    AvgPool2d(kernel_size=2)    # a comment

One layer a line. What is pasted from a program or from what PyTorch prints is taken as well:
``nn.`` before the names, commas after them, ``(0): `` before them, and ``nn.Sequential(`` and
``)`` around. Arguments are numbers, or products of them; nothing that is written is ever run.
"""

from __future__ import annotations

import ast
import dataclasses
import math
import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

from lenet.names import did_you_mean
from lenet.network.architecture import Network, trace
from lenet.network.layers import AS_IN_TORCH, IN_PLACE, LARGEST, LAYER_TYPES, Layer
from lenet.untrusted import shown

LONGEST: Final = 50_000  # characters; lenet5 with its table has 500
LONGEST_LINE: Final = 16_000  # characters; a table of 1,000 rows has that many
MOST_LAYERS: Final = 500
MOST_BRACKETS: Final = 2_000  # opening ones in a line, as many as rows of a table

BY_NAME_ALONE: Final = ("connections",)  # torch.nn has other arguments at its place
LEADING: Final = ("in_channels", "out_channels", "in_features", "out_features", "channels")

_OPENING = re.compile(r"(\w+\s*=\s*)?(torch\.)?(nn\.)?Sequential\(")
_NUMBERED = re.compile(r"\(\w+\):\s*")  # as PyTorch prints the parts of a Sequential


class LayerTextError(ValueError):
    """A line that is no layer; the message begins with its number, from 1, which is ``line``."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


def to_text(layers: tuple[Layer, ...]) -> str:
    """The layers, one a line; ``parse`` reads them back.

    >>> from lenet.network.layers import Conv2d, MaxPool2d
    >>> print(to_text((Conv2d(1, 6, 5, padding=2), MaxPool2d(2))))
    Conv2d(1, 6, kernel_size=5, padding=2)
    MaxPool2d(kernel_size=2)
    """
    return "\n".join(_line(layer) for layer in layers)


def parse(text: str) -> tuple[Layer, ...]:
    """The layers of a text. Raises LayerTextError, naming the line and what is possible.

    >>> parse("nn.Linear(84, out_features=10),")
    (Linear(in_features=84, out_features=10),)
    """
    return tuple(layer for _, layer in parse_lines(text))


def parse_lines(text: str) -> tuple[tuple[int, Layer], ...]:
    """The layers of a text, each with the number of its line, from 1."""
    if len(text) > LONGEST:
        raise LayerTextError(0, f"the text has {len(text):,} characters; at most {LONGEST:,} fit")
    found: list[tuple[int, Layer]] = []
    wrapped = False
    for number, line in enumerate(text.splitlines(), 1):
        code = _NUMBERED.sub("", line.partition("#")[0].strip(), count=1)
        if opening := _OPENING.match(code):
            wrapped, code = True, code[opening.end() :].strip()
            code = _NUMBERED.sub("", code, count=1)
        code = code.rstrip(", \t")
        if wrapped and code.endswith(")") and code.count(")") == code.count("(") + 1:
            wrapped, code = False, code[:-1].rstrip(", \t")
        if code:
            _check_length(number, code)
            found += [(number, layer) for layer in _layers(number, code)]
        if len(found) > MOST_LAYERS:
            raise LayerTextError(number, f"more than {MOST_LAYERS} layers")
    if not found:
        raise LayerTextError(
            0, "there are no layers; write one on each line, such as Linear(784, 10)"
        )
    return tuple(found)


def network(
    name: str, text: str, input_shape: tuple[int, int, int], classes: tuple[str, ...]
) -> Network:
    """The network of these layers, known to fit together.

    Raises LayerTextError, and ArchitectureError where a layer does not fit what comes before it.
    """
    described = Network(name, input_shape, parse(text), classes)
    trace(described)
    return described


# --- writing -----------------------------------------------------------------------------------


def _line(layer: Layer) -> str:
    arguments = []
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if field.name in LEADING:
            arguments.append(repr(value))
        elif value != field.default or field.name == "p":
            arguments.append(f"{field.name}={value!r}")
    return f"{type(layer).__name__}({', '.join(arguments)})"


# --- reading -----------------------------------------------------------------------------------


def _check_length(number: int, code: str) -> None:
    """Refuse what would take long to read, before it is read."""
    if len(code) > LONGEST_LINE:
        raise LayerTextError(
            number, f"it has {len(code):,} characters; at most {LONGEST_LINE:,} fit in a line"
        )
    if code.count("[") + code.count("(") > MOST_BRACKETS:
        raise LayerTextError(
            number, f"it cannot be read: it has more than {MOST_BRACKETS:,} brackets"
        )


def _layers(number: int, code: str) -> list[Layer]:
    """The layers of one line: one, or several with commas between them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd spellings, told to whoever runs a program
            tree = ast.parse(f"({code},)", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise LayerTextError(
            number, f"{_cut(code)} cannot be read; write a layer, such as Linear(784, 10)"
        ) from None
    calls = tree.elts if isinstance(tree, ast.Tuple) else [tree]
    return [_layer(number, call) for call in calls]


def _layer(number: int, call: ast.expr) -> Layer:
    name = _name(call.func if isinstance(call, ast.Call) else call)
    if name not in LAYER_TYPES:
        hint = did_you_mean(name, LAYER_TYPES) if name else ""
        raise LayerTextError(
            number, f"{_written(call)} is not a layer; {hint}choose from {_listed(LAYER_TYPES)}"
        )
    if not isinstance(call, ast.Call):
        raise LayerTextError(number, f"{name} lacks its parentheses: write {_usage(name)}")
    layer_type = LAYER_TYPES[name]
    fields = {field.name: field for field in dataclasses.fields(layer_type)}
    positional = [field for field in fields if field not in BY_NAME_ALONE]
    if len(call.args) > len(positional):
        raise LayerTextError(
            number, f"{name} takes at most {len(positional)} numbers without a name: {_usage(name)}"
        )
    given = dict(zip(positional, call.args, strict=False))
    ignored = AS_IN_TORCH.get(layer_type, {})
    for keyword in call.keywords:
        key = keyword.arg or "**"
        if key in given:
            raise LayerTextError(number, f"{name}: {key} is given twice")
        if key in fields:
            given[key] = keyword.value
        elif key in ignored or (key == "inplace" and issubclass(layer_type, IN_PLACE)):
            _check_ignored(number, name, key, keyword.value, ignored)
        else:
            hint = did_you_mean(key, fields)
            raise LayerTextError(number, f"{name} has no {_cut(key)}; {hint}write {_usage(name)}")
    lacking = [
        key
        for key, field in fields.items()
        if field.default is dataclasses.MISSING and key not in given
    ]
    if lacking:
        raise LayerTextError(number, f"{name} lacks {lacking[0]}: write {_usage(name)}")
    values: dict[str, Any] = {
        key: _value(number, f"{name}: {key}", str(fields[key].type), node)
        for key, node in given.items()
    }
    return layer_type(**values)


def _name(node: ast.expr) -> str:
    """The name of a layer, ``nn.`` and ``torch.nn.`` taken away; empty for anything else."""
    written = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
    return written.removeprefix("torch.").removeprefix("nn.")


def _check_ignored(
    number: int, name: str, key: str, node: ast.expr, ignored: Mapping[str, Any]
) -> None:
    value = _literal(number, f"{name}: {key}", node)
    if key == "inplace" or value == ignored[key] or _square(value) == ignored[key]:
        return
    raise LayerTextError(
        number, f"{name}: {key} is {shown(value)}; here it is always {ignored[key]!r}"
    )


def _value(number: int, what: str, kind: str, node: ast.expr) -> Any:
    value = _literal(number, what, node)
    if kind.startswith("tuple"):
        return _table(number, what, value)
    if value is None and kind.endswith("None"):
        return None
    if kind == "float":
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if not plain or (isinstance(value, int) and abs(value) > LARGEST):
            raise LayerTextError(number, f"{what} is {shown(value)}, must be a number")
        if not math.isfinite(value):
            raise LayerTextError(number, f"{what} is {value}, must be finite")
        return float(value)
    value = _square(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
        square = "; windows are square here: write one number" if type(value) is tuple else ""
        raise LayerTextError(
            number,
            f"{what} is {shown(value)}, must be a whole number of at most {LARGEST}{square}",
        )
    return value


def _square(value: Any) -> Any:
    """One number for a pair of equal ones: PyTorch prints ``kernel_size=(5, 5)``."""
    if isinstance(value, tuple) and len(value) == 2 and value[0] == value[1]:
        return value[0]
    return value


def _table(number: int, what: str, value: Any) -> Any:
    rows = value if isinstance(value, tuple | list) else [value]
    if value is None:
        return None
    for row in rows:
        whole = isinstance(row, tuple | list) and all(type(source) is int for source in row)
        if not whole:
            raise LayerTextError(
                number, f"{what}: write the input channels of each output, such as [[0, 1], [1, 2]]"
            )
    return tuple(tuple(row) for row in rows)


def _literal(number: int, what: str, node: ast.expr) -> Any:
    """What a literal stands for, or a product of literals: the tutorials write 16 * 5 * 5."""
    try:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            factors = _literal(number, what, node.left), _literal(number, what, node.right)
            if all(type(factor) is int and abs(factor) <= LARGEST for factor in factors):
                return factors[0] * factors[1]
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise LayerTextError(number, f"{what} is {_written(node)}, must be a number") from None


def _usage(name: str) -> str:
    """How a layer is written, such as "Subsample(channels, kernel_size=2)"."""
    arguments = [
        field.name if field.default is dataclasses.MISSING else f"{field.name}={field.default!r}"
        for field in dataclasses.fields(LAYER_TYPES[name])
    ]
    return f"{name}({', '.join(arguments)})"


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names)


def _written(node: ast.expr) -> str:
    try:
        return _cut(ast.unparse(node))
    except (RecursionError, ValueError):
        return "what is there"


def _cut(text: str) -> str:
    """What was written, on one line, cut to what a message can hold."""
    plain = "".join(sign if sign.isprintable() else "?" for sign in text)
    return plain if len(plain) <= 80 else f"{plain[:77]}…"
