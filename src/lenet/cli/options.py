"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lenet.cli import completion
from lenet.cli.naming import run_folder


def number(text: str) -> float:
    """The number that an option was given."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"must be a number, got {text!r}") from None


def whole(text: str, option: str | None = None) -> int:
    """The whole number that an option was given; a parser's own option is known to typer."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(
            f"must be a whole number, got {text!r}", param_hint=option
        ) from None


def run_argument(help: str) -> Any:
    """An argument that names a run."""
    return typer.Argument(
        parser=run_folder, metavar="RUN", help=help, autocompletion=completion.runs
    )


def engine_option() -> Any:
    """The option --engine."""
    return typer.Option(help="auto, native, numpy or torch.", autocompletion=completion.engines)


def device_option() -> Any:
    """The option --device."""
    return typer.Option(help="auto, cpu, cuda or mps.", autocompletion=completion.devices)


def settings_option(help: str) -> Any:
    """The option --set, which may be given several times."""
    return typer.Option("--set", metavar="KEY=VALUE", help=help, autocompletion=completion.settings)


RunOrModel = Annotated[Path, run_argument("A run's name or folder, or a model.safetensors.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Look for data sets here before $LENET_DATA."),
]
Lessons = Annotated[
    list[Path] | None,
    typer.Option(
        "--lesson", metavar="FILE", help="Offer this lesson (docs/lessons.md); several times."
    ),
]
Threads = Annotated[
    int | None, typer.Option(parser=whole, metavar="N", help="CPU threads; all by default.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Ray = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Run on a Ray cluster: auto, or its address."),
]
Settings = Annotated[list[str] | None, settings_option("Change any value of the recipe.")]
NetworkName = Annotated[
    str | None,
    typer.Option(
        help="lenet, lenet-max, lenet-relu, modern, small, mlp, linear.",
        autocompletion=completion.networks,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(parser=whole, metavar="N", help="Passes over the training pictures."),
]
BatchSize = Annotated[
    int | None, typer.Option(parser=whole, metavar="N", help="Pictures in one step.")
]
OptimizerName = Annotated[
    str | None, typer.Option(help="sgd, adam, adamw or sdlm.", autocompletion=completion.optimizers)
]
Seed = Annotated[
    int | None,
    typer.Option(parser=whole, metavar="N", help="A number that decides everything random."),
]
