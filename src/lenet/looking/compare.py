"""Runs and networks side by side: what they cost, how they are set, what they reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenet import runs
from lenet.drawing import terminal_plot
from lenet.network import inspection, zoo
from lenet.runs import RunRecord
from lenet.training import recipes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType

_NO_SETTING = ("name", "title", "published")  # of a recipe


@dataclass(frozen=True)
class Entry:
    """A network, and the run that trained it, if any."""

    name: str  # the run's folder, or the network's name
    network: str
    parameters: int
    macs: int  # multiply-accumulates of one picture
    run: RunRecord | None

    @property
    def last_test_acc(self) -> float | None:
        """Of the last reading that has one."""
        tested = [] if self.run is None else self.run.history
        values = [row.test_acc for row in tested if row.test_acc is not None]
        return values[-1] if values else None

    @property
    def examples_per_s(self) -> float | None:
        """The run's speed of training; None where it did not come to an end."""
        return None if self.run is None else self.run.info["outcome"].get("examples_per_s")


def entry(name: str) -> Entry:
    """The entry of a run's folder, or of a network of the zoo.

    Raises RunError where it is neither, or the run cannot be read.
    """
    path = Path(name)
    if name in zoo.NETWORKS:
        return _entry(name, inspection.table(zoo.build(name)), None)
    if not path.exists():
        raise runs.RunError(
            f"{name} is neither a run's folder nor a network; networks are "
            f"{', '.join(zoo.NETWORKS)}, and 'lenet runs' lists your runs"
        )
    record = runs.read(path)
    return _entry(path.resolve().name, inspection.table(record.network), record)


def _entry(name: str, table: inspection.LayerTable, run: RunRecord | None) -> Entry:
    return Entry(name, table.network.name, table.parameters, table.macs, run)


def differences(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """The recipes' values that are not the same in all runs, by their dotted keys."""
    settings = [_flat(recipes.to_dict(each.run.recipe)) for each in entries if each.run]
    keys = dict.fromkeys(key for values in settings for key in values)
    columns = {key: [values.get(key) for values in settings] for key in keys}
    return {
        key: column
        for key, column in columns.items()
        if key not in _NO_SETTING and any(value != column[0] for value in column)
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def sentences(entries: Sequence[Entry]) -> list[str]:
    """The first network's costs beside each other one's, in words.

    Tutorial 004 compares LeNet with a perceptron so: "≈75% fewer".
    """
    first, *others = entries
    lines = {}
    for other in others:
        if other.network == first.network and other.parameters == first.parameters:
            continue
        parameters = inspection.proportion(first.parameters, other.parameters)
        macs = inspection.proportion(first.macs, other.macs)
        lines[other.network] = (
            f"{first.network} has {_than(parameters, 'parameters', other.network)} "
            f"({first.parameters:,} against {other.parameters:,}) and "
            f"{_than(macs, 'multiply-accumulates', other.network)} "
            f"({first.macs:,} against {other.macs:,})"
        )
    return list(lines.values())


def _than(proportion: str, what: str, other: str) -> str:
    """
    >>> _than("74% fewer", "parameters", "mlp"), _than("as many", "parameters", "mlp")
    ('74% fewer parameters than mlp', 'as many parameters as mlp')
    """
    return f"{proportion} {what} {'than' if proportion.endswith('fewer') else 'as'} {other}"


def curves(entries: Sequence[Entry]) -> Figure | None:
    """The runs' curves over each other; None where there is no run with readings."""
    from lenet.drawing import figures

    histories = {each.name: each.run.history for each in entries if each.run and each.run.history}
    return figures.overlaid(histories) if histories else None


def to_json(entries: Sequence[Entry]) -> dict[str, Any]:
    """The comparison as plain values.

    - ``entries``: ``name``, ``network``, ``parameters``, ``macs``, and for a run ``epochs``,
      ``train_loss``, ``train_acc``, ``test_acc``, ``examples_per_s`` (else null)
    - ``differences``: dotted keys of the recipes with a value for each run
    - ``sentences``: the first network beside each other one
    """
    rows = []
    for each in entries:
        last = each.run.history[-1] if each.run and each.run.history else None
        rows.append(
            {
                "name": each.name,
                "network": each.network,
                "parameters": each.parameters,
                "macs": each.macs,
                "epochs": last.epoch if last else None,
                "train_loss": last.train_loss if last else None,
                "train_acc": last.train_acc if last else None,
                "test_acc": each.last_test_acc,
                "examples_per_s": each.examples_per_s,
            }
        )
    return {
        "entries": rows,
        "differences": differences(entries),
        "sentences": sentences(entries),
    }


def render(entries: Sequence[Entry], *, ascii_only: bool = False) -> RenderableType:
    """The comparison for a terminal: costs, results, what differs in the settings."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    trained = any(each.run for each in entries)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("", overflow="fold")
    for heading in ("network", "params", "MACs"):
        grid.add_column(heading, justify="left" if heading == "network" else "right")
    if trained:
        for heading in ("epochs", "train loss", "test acc", "by epoch"):
            grid.add_column(heading, justify="left" if heading == "by epoch" else "right")
    for each in entries:
        costs = [each.name, each.network, f"{each.parameters:,}", f"{each.macs:,}"]
        history = each.run.history if each.run else []
        tested = [row.test_acc for row in history if row.test_acc is not None]
        results = [
            f"{history[-1].epoch:g}" if history else "–",
            f"{history[-1].train_loss:.3f}" if history else "–",
            f"{tested[-1]:.4f}" if tested else "–",
            terminal_plot.sparkline(tested, 10, ascii_only=ascii_only),
        ]
        grid.add_row(*map(Text, [*costs, *(results if trained else [])]))
    parts: list[RenderableType] = [grid]
    if different := differences(entries):
        parts += [Text(), _settings([each.name for each in entries if each.run], different)]
    if said := sentences(entries):
        parts += [Text(), *map(Text, said)]
    return Group(*parts)


def _settings(names: Sequence[str], different: Mapping[str, Sequence[Any]]) -> RenderableType:
    """What differs in the runs' recipes: a row a key, a column a run."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("differs")
    for name in names:
        grid.add_column(name, overflow="fold")
    for key, values in different.items():
        grid.add_row(Text(key), *(Text("–" if value is None else str(value)) for value in values))
    return grid
