"""What the shell offers for a word that is begun: one function for each kind of name.

Each returns the names that begin as the word does, whatever the case. Nothing is loaded before
one of them is called: the shell waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def recipes(incomplete: str) -> list[str]:
    """The recipes that come with lenet, and the .toml files here."""
    from lenet.training import recipes as named

    return _beginning(incomplete, [*named.names(), *sorted(map(str, Path().glob("*.toml")))])


def networks(incomplete: str) -> list[str]:
    """The networks of the zoo."""
    from lenet.network import zoo

    return _beginning(incomplete, zoo.NETWORKS)


def data_sets(incomplete: str) -> list[str]:
    """The data sets with a name, and the folders below the one that is begun."""
    from lenet import data

    return _beginning(incomplete, [*data.KNOWN, *data.imported()]) + _folders(incomplete)


def runs(incomplete: str) -> list[str]:
    """The runs in the folder runs, the newest first; and the folders below one that is begun."""
    found = sorted(Path("runs").glob("*/run.json"), key=_changed, reverse=True)
    names = [path.parent.name for path in found if not path.parent.name.startswith(".")]
    return _beginning(incomplete, names) + _folders(incomplete)


def networks_and_runs(incomplete: str) -> list[str]:
    """What ``inspect`` and ``compare`` take."""
    return list(dict.fromkeys(networks(incomplete) + runs(incomplete)))


def optimizers(incomplete: str) -> list[str]:
    """The optimisers."""
    from lenet.optimization import METHODS

    return _beginning(incomplete, METHODS)


def engines(incomplete: str) -> list[str]:
    """The engines, and auto."""
    from lenet.engines import ENGINES

    return _beginning(incomplete, ("auto", *ENGINES))


def devices(incomplete: str) -> list[str]:
    """The devices, and auto."""
    from lenet.engines import DEVICES

    return _beginning(incomplete, DEVICES)


def export_formats(incomplete: str) -> list[str]:
    """What ``export`` makes."""
    from lenet.cli.exporting import KINDS

    return _beginning(incomplete, KINDS)


def settings(incomplete: str) -> list[str]:
    """The keys that --set changes, each with its equals sign."""
    from lenet.training import recipes as named

    keys = named.keys()
    return _beginning(incomplete, [f"{key}=" for key in keys])


def _folders(incomplete: str) -> list[str]:
    """The folders that a path can go on with, where a path is begun."""
    if "/" not in incomplete and not incomplete.startswith("."):
        return []
    path = Path(incomplete).expanduser()
    parent, begun = (path, "") if incomplete.endswith("/") else (path.parent, path.name)
    head = incomplete[: len(incomplete) - len(begun)]
    try:
        names = sorted(found.name for found in parent.iterdir() if found.is_dir())
    except OSError:
        return []
    return [f"{head}{name}/" for name in names if name.startswith(begun)]


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.casefold().startswith(incomplete.casefold())]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
