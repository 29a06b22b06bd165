"""The lenet command: the program itself, and what becomes of a command's errors.

The commands lie in the files beside this one, by subject; each imports what it needs when it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from io import TextIOWrapper
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.main import get_command, get_command_name

from lenet.cli import (
    doubting,
    experiments,
    explaining,
    exporting,
    lab,
    looking,
    own_data,
    predicting,
    run_file,
    serving,
    sweeping,
    this_machine,
    training,
)
from lenet.cli.converting import spare_pydantic
from lenet.cli.printing import WRONG_PATH, complain, exit_code, reason
from lenet.processes import place


def _print_version(asked: bool) -> None:
    if asked:
        from lenet import __version__

        print(f"lenet {__version__}")
        raise typer.Exit


def options_of_the_program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Train LeNet on real pictures in seconds, look inside it, and keep what was trained."""


def _empty() -> typer.Typer:
    """The program without its commands."""
    program = typer.Typer(
        name="lenet",
        help="Train LeNet on real pictures in seconds, look inside it, and keep what was trained.",
        epilog="Start with:  lenet train   ·   lenet inspect lenet   ·   lenet data show mnist",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    program.callback()(options_of_the_program)
    return program


Program = Callable[..., Any]  # takes the arguments and runs a command
SUBJECTS = (
    training,
    looking,
    predicting,
    experiments,
    sweeping,
    exporting,
    lab,
    serving,
    run_file,
    this_machine,
)
app = _empty()
for _subject in SUBJECTS:
    app.add_typer(_subject.commands)  # without a name: its commands are the program's own
own_data.commands.add_typer(doubting.commands)
app.add_typer(own_data.commands, name="data")  # those of data.py, with its own
app.add_typer(explaining.commands, name="explain")


def prepare_streams() -> None:
    """Let nothing that is printed end the program: × on an old console, a closed output."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def run(arguments: list[str]) -> int:
    """The exit code of one command; an error is one line on stderr."""
    try:
        code = _program_for(arguments)(arguments, prog_name="lenet", standalone_mode=False)
    except typer.Abort:
        return 130
    except typer.TyperException as error:
        if _another_says_it():
            return 2
        tell = getattr(error, "format_message", error.__str__)
        return complain(f"{tell()} ('lenet {_command(arguments)}--help' explains)", 2)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return complain(reason(error), 2 if isinstance(error, WRONG_PATH) else 1)
    except ValueError as error:
        return complain(str(error), exit_code(error))
    except RuntimeError as error:
        from lenet.training import TrainingError

        if not isinstance(error, TrainingError):
            raise
        return complain(str(error), 1)
    return code if isinstance(code, int) else 0


def _another_says_it() -> bool:
    """Whether torchrun started several processes with this line, and this is not the first."""
    try:
        here = place()
    except ValueError:
        return False  # the line has an error besides
    return here is not None and here.rank > 0


def _program_for(arguments: list[str]) -> Program:
    """The program, with no more commands than the subject that is asked for has.

    To make them all takes longer than some of them run.
    """
    for subject in SUBJECTS if arguments else ():
        known = subject.commands.registered_commands
        names = [c.name or get_command_name(c.callback.__name__) for c in known if c.callback]
        if arguments[0] in names:
            return _made(subject)
    return _made(None)


@cache
def _made(subject: ModuleType | None) -> Program:
    """The program with the commands of a subject alone, or with all of them; made once."""
    program = app
    if subject is not None:
        program = _empty()
        program.add_typer(subject.commands)
    command = get_command(program)
    spare_pydantic(command)
    return command


def _command(arguments: list[str]) -> str:
    """The command's own name for a hint, such as "train "."""
    known = getattr(_made(None), "commands", {})
    return f"{arguments[0]} " if arguments and arguments[0] in known else ""
