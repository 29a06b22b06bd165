"""What a name on the command line means: a run's folder, a network, sizes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from lenet.network.architecture import Network


RUNS = Path("runs")  # where a run goes unless told otherwise


def run_folder(text: str) -> Path:
    """Where the run or model of that name lies: there, or in the runs of this folder.

    What is not there, and what holds no run, is refused here, for every command in the same words.
    """
    path = _existing_run(text)
    if path is None:
        from lenet import names

        hint = names.did_you_mean(text, _run_names()).capitalize()
        raise typer.BadParameter(
            f"{text} is not a run: it does not exist. {hint}'lenet runs' lists your runs"
        )
    return path


def new_folder(text: str) -> Path:
    """The folder of that name, to be made; an empty name, as of an unset variable, is refused."""
    if not text:
        raise typer.BadParameter("is empty; give a folder, such as runs/first, or leave it out")
    return Path(text)


def _existing_run(text: str) -> Path | None:
    """The run or model of that name, here or in the folder runs; else what is at that path."""
    path = Path(os.path.expanduser(text))
    for place in (path, RUNS / path):  # an absolute path is itself, twice
        if place.is_file() or (place / "run.json").is_file():
            return place
    return path if os.path.lexists(path) else None  # who reads it says what is wrong with it


def _run_names() -> list[str]:
    return sorted(folder.name for folder in RUNS.iterdir()) if RUNS.is_dir() else []


def typed_as(folder: Path) -> str:
    """A run's folder as any command takes it from here: its name alone where it is in runs."""
    from lenet.network import zoo

    name = folder.name
    if folder.parent == RUNS and run_folder(name) == folder and name not in zoo.NETWORKS:
        return name
    return str(folder) if folder.parent.parts else os.path.join(os.curdir, folder)


def network_or_run(name: str) -> str:
    """A network's name as it is spelled, or a run's path; what is neither is refused."""
    from lenet import names
    from lenet.network import zoo

    if _is_network(name):
        return zoo.name_of(name)
    path = _existing_run(name)
    if path is None:
        hint = names.did_you_mean(name, [*zoo.NETWORKS, *_run_names()])
        raise typer.BadParameter(
            f"{name} is neither a network nor a run; {hint}the networks are "
            f"{', '.join(zoo.NETWORKS)}, and 'lenet runs' lists your runs"
        )
    return str(path) if path.parent.parts else os.path.join(os.curdir, path)


def _is_network(name: str) -> bool:
    """Whether a network of the zoo is meant; a folder is, where it is spelled exactly so."""
    from lenet import names
    from lenet.network import zoo

    if name in zoo.NETWORKS:
        return True
    return not Path(name).exists() and names.known_as(name, zoo.NETWORKS) is not None


def network_of(name: str, shape: str | None, classes: int | None) -> Network:
    """The zoo's network of that name, or that of a run's folder or model file."""
    from lenet.network import zoo

    if not _is_network(name):
        from lenet import runs as folders

        path = network_or_run(name)
        if shape is not None or classes is not None:
            raise typer.BadParameter(
                "--input and --classes go with a network's name; a run has its own"
            )
        return folders.load_model(Path(path))[0]
    return zoo.build(name, None if shape is None else _shape(shape), classes)


def _shape(text: str) -> tuple[int, int, int]:
    found = sizes(text)
    if len(found) != 3:
        raise typer.BadParameter(
            f"--input {text!r}: write channels x height x width, such as 3x32x32"
        )
    channels, height, width = found
    return channels, height, width


def sizes(text: str) -> list[int]:
    """The whole numbers of a text such as "3x32x32"; none where it is something else."""
    try:
        return [int(size) for size in text.lower().replace("×", "x").split("x")]
    except ValueError:
        return []
