"""spare_pydantic(): each option has the value that typer gives it, mostly without pydantic."""

from __future__ import annotations

from typing import Any

import pytest
import typer.core
from typer.main import get_command

from lenet import cli
from lenet.cli.converting import spare_pydantic
from lenet.cli.training import commands as training_commands


def outcome(parameter: Any, context: Any, value: Any) -> Any:
    try:
        found = parameter.process_value(context, value)
        return type(found), found
    except Exception as error:  # typer's own, or one of ours
        return type(error), str(error)


def parameters(command: Any) -> dict[Any, Any]:
    """One of each kind, by what decides how it is converted."""
    found: dict[Any, Any] = {}
    for inner in getattr(command, "commands", {}).values():
        found |= parameters(inner)
    for parameter in command.params:
        if parameter.name == "version":
            continue  # ends the program
        asked, info = parameter.type_descriptor.annotation, parameter.type_descriptor.parameter_info
        kind = (str(asked), info.parser, parameter.multiple, parameter.nargs, parameter.required)
        found[kind] = parameter
    return found


def test_every_kind_of_option_has_the_value_and_the_error_that_typer_gives() -> None:
    spared = get_command(cli.app)
    spare_pydantic(spared)
    ours, theirs = parameters(spared), parameters(get_command(cli.app))
    assert len(ours) > 10
    assert ours.keys() == theirs.keys()
    with spared.make_context("lenet", ["train"]) as context:
        for kind, parameter in ours.items():
            several = parameter.multiple or parameter.nargs == -1
            for value in (None, *("", "3", "a b", "x=1", "0.5", "/no/such")):
                given = (value,) if several and value is not None else value
                expected = outcome(theirs[kind], context, given)
                assert outcome(parameter, context, given) == expected, (kind, given)


def test_a_training_needs_no_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(descriptor: Any) -> None:
        raise AssertionError(f"pydantic is loaded for {descriptor}")

    program = typer.Typer()
    program.callback()(cli.options_of_the_program)
    program.add_typer(training_commands)
    command: Any = get_command(program)
    spare_pydantic(command)
    monkeypatch.setattr(typer.core, "build_runtime_param", build)
    arguments = ["d2l", "--epochs", "3", "--lr", "0.5", "--out", "somewhere", "--snapshots"]
    with command.commands["train"].make_context("train", arguments) as context:
        assert context.params["epochs"] == 3
        assert context.params["settings"] == ()
