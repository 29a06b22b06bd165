"""The page's scripts: which ones a script needs, and all of them as one.

The scripts stay as they are written: ``bundle`` is made when a page is asked for, and anew when one
of them has changed. Its source map leads a browser's tools back to the files.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

WEB: Final = Path(__file__).parents[1] / "page"
# One import a statement, by a name such as "lenet/dom.js", or by one such as "./layers.js" from the
# same folder: tests hold the scripts to it.
IMPORT: Final = re.compile(r'^\s*(?:import .*|\}) from "((?:lenet/|\./)[\w./-]+)";$', re.M)
_STATEMENT: Final = re.compile(
    r'^import (?:(?P<default>[\w$]+)(?:, )?)?(?:\{(?P<named>[^}]*)\})? from "(?P<path>[^"]+)";$',
    re.M,
)
_EXPORT: Final = re.compile(
    r"^export (?P<default>default )?(?P<declared>(?:async )?function|const|class) (?P<name>[\w$]+)",
    re.M,
)
_DEFAULT: Final = re.compile(r"^export default ", re.M)
_BASE64: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def modules(entry: str, web: Path = WEB) -> dict[str, str]:
    """The text of a script and of all that it imports, by their names. Raises OSError.

    In the texts every import is by name, ``lenet/…``.
    """
    texts: dict[str, str] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in texts:
            text = (web / name.removeprefix("lenet/")).read_text(encoding="utf-8")
            folder = name.rpartition("/")[0]
            for path in IMPORT.findall(text):
                if path.startswith("./"):
                    text = text.replace(f'from "{path}";', f'from "{folder}{path[1:]}";')
            texts[name] = text
            waiting += IMPORT.findall(text)
    return dict(sorted(texts.items()))


def bundle(texts: dict[str, str], entry: str) -> tuple[str, str]:
    """One script that does what ``entry`` does, and its source map: each module is a block in it.

    ``texts`` are those of ``modules``. Raises ValueError where modules import each other in a
    circle: none of them could come first.
    """
    names = in_order(texts, entry)
    numbers = {name: number for number, name in enumerate(names)}
    lines: list[str] = []
    mapped: list[tuple[int, int] | None] = []  # source and line of each line; None: of no source
    for name, number in numbers.items():
        block = _block(texts[name], numbers).splitlines()
        lines += [f"const $module{number} = {{}};", "{", *block, "}"]
        exported = ", ".join(f"{key}: {value}" for key, value in _exports(texts[name]).items())
        lines[-1:] = [f"Object.assign($module{number}, {{ {exported} }});", "}"]
        mapped += [None, None, *((number, line) for line in range(len(block))), None, None]
    return "\n".join([*lines, ""]), _source_map(names, mapped)


def in_order(texts: dict[str, str], entry: str) -> list[str]:
    """The names of the modules, each behind those it imports. Raises ValueError in a circle."""
    done: dict[str, None] = {}
    open_ones: list[str] = []

    def visit(name: str) -> None:
        if name in open_ones:
            raise ValueError(f"modules import each other: {' → '.join([*open_ones, name])}")
        if name not in done:
            open_ones.append(name)
            for imported in IMPORT.findall(texts[name]):
                visit(imported)
            open_ones.pop()
            done[name] = None

    visit(entry)
    return list(done)


def _block(text: str, numbers: dict[str, int]) -> str:
    """A module's text as a block's: what it imports taken from their objects, line by line."""

    def taken(statement: re.Match[str]) -> str:
        named = (statement["named"] or "").replace(" as ", ": ")
        if statement["default"]:
            named = f" default: {statement['default']},{named or ' '}"
        return f"const {{{named}}} = $module{numbers[statement['path']]};"

    text = _STATEMENT.sub(taken, text)
    text = _EXPORT.sub(lambda found: f"{found['declared']} {found['name']}", text)
    return _DEFAULT.sub("const $default = ", text)


def _exports(text: str) -> dict[str, str]:
    """What a module gives others, and what it is called inside."""
    found: dict[str, str] = {}
    for declared in _EXPORT.finditer(text):
        found["default" if declared["default"] else declared["name"]] = declared["name"]
    if _DEFAULT.search(_EXPORT.sub("", text)):
        found["default"] = "$default"
    return found


def _source_map(names: list[str], mapped: list[tuple[int, int] | None]) -> str:
    """A source map (version 3) of whole lines."""
    segments, before = [], (0, 0)
    for place in mapped:
        if place is None:
            segments.append("")
            continue
        segments.append(f"A{_vlq(place[0] - before[0])}{_vlq(place[1] - before[1])}A")
        before = place
    sources = [f"/web/{name.removeprefix('lenet/')}" for name in names]
    return json.dumps(
        {"version": 3, "sources": sources, "names": [], "mappings": ";".join(segments)}
    )


def _vlq(number: int) -> str:
    """A number in the source map's digits of five bits, the sign in the lowest."""
    rest = (abs(number) << 1) | (number < 0)
    digits = ""
    while True:
        digit, rest = rest & 31, rest >> 5
        digits += _BASE64[digit | (32 if rest else 0)]
        if not rest:
            return digits
