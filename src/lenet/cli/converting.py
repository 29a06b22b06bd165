"""The values of a command line without pydantic.

Since 0.27 typer asks pydantic to convert every option, given or not: a tenth of a second of each
command goes into loading it. What our options mostly are needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any


def spare_pydantic(command: Any) -> None:
    """Let a command, or all of a group's, convert plain values itself: the same values as typer's.

    Plain is what was not given, a text, a path, and what a parser of ours takes. Everything else,
    and everything of a typer that does not say what it converts to, stays typer's.
    """
    for inner in getattr(command, "commands", {}).values():
        spare_pydantic(inner)
    for parameter in command.params:
        _spare(parameter)
    help_option = command.get_help_option  # is made when it is asked for

    def spared(context: Any) -> Any:
        option = help_option(context)
        if option is not None:
            _spare(option)
        return option

    command.get_help_option = spared


def _spare(parameter: Any) -> None:
    given = parameter.process_value
    if hasattr(parameter, "type_descriptor") and not isinstance(given, partial):
        parameter.process_value = partial(_value, parameter, given)


def _value(parameter: Any, convert: Callable[[Any, Any], Any], context: Any, value: Any) -> Any:
    asked, info = parameter.type_descriptor.annotation, parameter.type_descriptor.parameter_info
    if value is None and not parameter.required:
        value = () if parameter.multiple or parameter.nargs == -1 else None
        return (
            value if parameter.callback is None else parameter.callback(context, parameter, value)
        )
    if isinstance(value, str) and not parameter.multiple and parameter.nargs == 1:
        if parameter.callback is not None:
            pass
        elif info.parser is not None:
            with suppress(ValueError):  # typer makes its own error of it
                return info.parser(value)
        elif asked is str:
            return value
        elif asked is Path and not (info.exists or info.resolve_path or info.allow_dash):
            return Path(value)
    return convert(context, value)
