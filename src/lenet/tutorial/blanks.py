"""Blanks of web pages and word processors that Python does not know, made blanks that it does.

A page that is copied has no-break spaces where its author typed spaces, and marks of no width that
allow or forbid a line break. In strings and comments they stay: there they may mean something.
"""

from __future__ import annotations

import re
import warnings

from lenet.tutorial import lexing

SEPARATORS = "\u2028\u2029\x85"  # of lines, where a text has them in place of line ends
_WIDE = "\xa0\u115f\u1680\u202f\u205f\u2800\u3000\u3164\uffa0" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_NARROW = "\xad\u061c\u180e\ufeff" + "".join(
    map(chr, [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)])
)
_ODD = re.compile(f"[{_WIDE}{_NARROW}{SEPARATORS}]")
_INDENTATION = re.compile(f"[ \t{_WIDE}{_NARROW}{SEPARATORS}]*")
_FIELD = re.compile(r"(?<!\{)\{(?!\{)[^{}:]*")  # of an f-string, up to its format
_SPACES = str.maketrans({**dict.fromkeys(_WIDE + SEPARATORS, " "), **dict.fromkeys(_NARROW, "")})
# Other readings, tried in this order where the first is no Python: the separators end lines; a
# full-width blank takes the two columns that it is wide; the marks of no width were blanks.
_READINGS = (
    _SPACES,
    _SPACES | dict.fromkeys(map(ord, SEPARATORS), "\n"),
    _SPACES | {0x3000: "  "},
    _SPACES | dict.fromkeys(map(ord, _NARROW), " "),
)


def plain(source: str) -> str:
    """The source with Python's own blanks outside of strings and comments.

    Its lines stay, unless it is Python only where U+2028 and the like end lines.

    >>> plain("if x:\\n\\xa0\\xa0y\\u3000= '\\xa0'")
    "if x:\\n  y = '\\xa0'"
    """
    if not _ODD.search(source):
        return source
    readings = [_read(source, reading) for reading in _READINGS]
    return next(filter(_is_python, readings), readings[0])


def with_plain_indentation(line: str) -> str:
    """The line with spaces and tabs alone before its first sign."""
    if not _ODD.search(line):
        return line
    found = _INDENTATION.match(line)
    end = found.end() if found else 0
    return line[:end].translate(_SPACES) + line[end:]


def cut(line: str, columns: int) -> str:
    """The line without so much of its indentation."""
    at = 0
    while at < len(line) and columns and (line[at] in " \t" or _ODD.match(line[at])):
        columns -= len(line[at].translate(_SPACES))
        at += 1
    return line[at:]


def _read(source: str, reading: dict[int, str]) -> str:
    state, rows = lexing.State(), []
    for line in source.split("\n"):
        found, state = lexing.parts(line, state)
        row = "".join(_translate(part, reading) for part in found)
        rows.append(row.rstrip() if not row.strip() else row)
    return "\n".join(rows)


def _translate(part: lexing.Part, reading: dict[int, str]) -> str:
    if part.kind == "code":
        return part.text.translate(reading)
    if part.kind == "formatted":
        return _FIELD.sub(lambda field: field[0].translate(reading), part.text)
    return part.text


def _is_python(source: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(source, "<tutorial>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return False
    return True
