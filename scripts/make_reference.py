"""The reference pages of the documents' site: what the program itself says of itself.

    python scripts/make_reference.py FOLDER

Command line, recipe keys and addresses of service and lab are read from the program, so that these
pages cannot lag behind it; the Python names are left to Sphinx's autodoc. ``make docs`` calls
``pages()``.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

import lenet
from lenet import cli
from lenet.lab.api import make_router
from lenet.serve import openapi
from lenet.training import recipes

NOTE = "Made from the program by `scripts/make_reference.py`.\n"
MARKUP = re.compile(r"\[/?(?:bold|dim|italic|cyan|green|yellow|red|blue|magenta)[^\]]*\]")


def pages() -> dict[str, str]:
    """Each page's file name, and its Markdown."""
    return {
        "command-line.md": command_line(),
        "python.md": python(),
        "recipe-keys.md": recipe_keys(),
        "http.md": http(),
        "lab-http.md": lab_http(),
    }


def commands(command: Any, name: str = "lenet") -> Iterator[tuple[str, Any]]:
    """Every command with its whole name, "lenet data list"; groups too."""
    yield name, command
    for part, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from commands(inner, f"{name} {part}")


def command_line() -> str:
    """Every command with its arguments and options."""
    parts = ["# Every command\n", NOTE]
    for name, command in commands(get_command(cli.app)):
        usage = " ".join([name, *command.collect_usage_pieces(typer.Context(command))])
        parts.append(f"## {name}\n\n```text\n{usage}\n```\n")
        parts.append(f"{_plain(command.help)}\n")
        context = typer.Context(command)
        rows = [f"| `{names}` | {text} |" for names, text in options(command, context)]
        if rows:
            parts.append("| | |\n|---|---|\n" + "\n".join(rows) + "\n")
        if command.epilog:
            parts.append(f"```text\n{_plain(command.epilog)}\n```\n")
    return "\n".join(parts)


def options(command: Any, context: typer.Context) -> Iterator[tuple[str, str]]:
    """A command's arguments and options, each with its help."""
    for parameter in command.params:
        if record := parameter.get_help_record(context):
            yield record[0].replace("|", "\\|"), _cell(_plain(record[1]))


def _plain(text: str | None) -> str:
    """A help text without rich's markup, as Markdown that means nothing else by its signs."""
    return MARKUP.sub("", inspect.cleandoc(text or ""))


def _cell(text: str) -> str:
    safe = " ".join(text.split())
    for sign in "\\|*_<>[]`":
        safe = safe.replace(sign, f"\\{sign}")
    return safe


def python() -> str:
    """Every public name; Sphinx reads the docstrings."""
    parts = ["# Every Python name\n", "`import lenet` gives these. [Examples](../python.md).\n"]
    kinds = {"function": ("Functions", "autofunction"), "class": ("Classes", "autoclass")}
    for kind, (title, directive) in kinds.items():
        parts.append(f"## {title}\n")
        for name in sorted(lenet.__all__, key=str.lower):
            if inspect.isclass(getattr(lenet, name)) == (kind == "class"):
                parts.append(f"```{{eval-rst}}\n.. {directive}:: lenet.{name}\n```\n")
    return "\n".join(parts)


def recipe_keys() -> str:
    """Every key of a recipe with its default."""
    default = dataclasses.asdict(recipes.Recipe(""))
    flat = {**default, **default.pop("settings")}
    parts = ["# Every key of a recipe\n", NOTE]
    parts.append("[What each of them means](../recipes.md#keys).\n\n| key | default |\n|---|---|")
    keys = recipes.keys()
    for key in keys:
        value: Any = flat
        for part in key.split("."):
            value = value[part]
        parts.append(f"| `{key}` | {'' if value in ('', None, (), []) else f'`{value}`'} |")
    return "\n".join(parts) + "\n"


def http() -> str:
    """Every address of the service."""
    parts = ["# Every address of the service\n", NOTE]
    parts.append("[How to use them](../serve.md).\n\n| | address | |\n|---|---|---|")
    parts += [f"| {x.method} | `{x.path}` | {x.summary} |" for x in openapi.ROUTES]
    return "\n".join(parts) + "\n"


def lab_routes() -> list[Any]:
    """The lab's routes, as FastAPI has them. None is called, so no lab has to run."""
    nothing: Any = None
    return list(make_router(nothing, nothing).routes)


def lab_http() -> str:
    """Every address of the lab's page, with what can be asked there."""
    parts = ["# Every address of the lab\n", NOTE]
    parts.append(
        "The page of `lenet lab` asks these, with the header `X-LeNet-Token` for whatever changes "
        "something ([lab.md](../lab.md)). They may change from one version to the next. A "
        "`{reference}` is `run:NAME`, `run:NAME@STEP`, or what `POST /api/models` answered.\n"
    )
    parts.append("| | address | query | |\n|---|---|---|---|")
    for route in lab_routes():
        asked = ", ".join(f"`{field.alias}`" for field in route.dependant.query_params)
        for method in sorted(route.methods):
            parts.append(f"| {method} | `{route.path}` | {asked} | {route.summary} |")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in pages().items():
        (folder / file).write_text(content, encoding="utf-8", newline="\n")
        print(folder / file)
