"""From a recipe to a trained network in its folder: data, engine, run and fit() put together.

Everything that starts a training goes through here, so that all of them check the same things
and leave the same folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lenet import data, engines, layer_text, recipes, runs, zoo
from lenet.architecture import Network
from lenet.engines import Choice, Engine
from lenet.recipes import Recipe
from lenet.runs import RunRecord
from lenet.snapshots import folder_of, keep_snapshots
from lenet.training import Callbacks, Outcome, Parts, fit


@dataclass(frozen=True)
class Experiment:
    """A training that is ready to go: everything was checked, and its folder is held."""

    recipe: Recipe
    parts: Parts
    engine: Engine
    choice: Choice
    run: runs.Run
    snapshots: bool = False  # kept at every reading

    def train(
        self, callbacks: Sequence[Callbacks] = (), stop: Callable[[], bool] = lambda: False
    ) -> Outcome:
        """Train to the end or until ``stop()``, then write the result and the curves.

        The folder is let go in any case, and run.json says how it ended. Raises TrainingError
        where a loss is not finite, OSError where a file cannot be written.
        """
        with closing(self.run):
            try:
                own = [self.run.callbacks()]
                if self.snapshots:
                    keeping, keep_last = keep_snapshots(self.run, self.engine.state)
                    own.append(keeping)
                outcome = fit(
                    self.engine,
                    self.parts,
                    self.recipe.settings,
                    self.run.start,
                    [*own, *callbacks],
                    stop,
                )
                if self.snapshots:
                    keep_last(outcome)
                self.run.finish(outcome)
            except BaseException as error:
                self.run.fail(error)
                raise
            record = runs.read(self.run.folder)
            if record.history:  # none where it was stopped at once
                draw_curves(record)
        return outcome


def begin(
    recipe: Recipe,
    *,
    data_dir: Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    compile: bool = False,
    out: Path | None = None,
    progress: bool = False,
    snapshots: bool = False,
) -> Experiment:
    """A new experiment in a new folder; with ``snapshots`` of the weights at every reading or not.

    Raises the ValueErrors of what it puts together (DataError, ArchitectureError, EngineError,
    SettingError, RunError), before anything is written, and OSError when nothing can be.
    """
    own = Path(os.path.expanduser(recipe.data))
    if recipe.data not in data.KNOWN and own.is_dir():
        recipe = replace(recipe, data=str(own.resolve()))  # to be found on resuming
    check(recipe)
    loaded = data.load(recipe.data, data_dir, progress=progress)
    parts = divide(recipe, loaded)
    channels, height, width = loaded.train.images.shape[1:]
    network = build_network(recipe, (channels, height, width), loaded.train.classes)
    choice = engines.choose(engine, network, device)
    settings = recipe.settings
    made = engines.make(choice, network, settings.optimizer, settings.objective, threads, compile)
    run = runs.create(recipe, network, describe_data(loaded, parts), made, out)
    return Experiment(recipe, parts, made, choice, run, snapshots)


def go_on(
    folder: Path,
    *,
    data_dir: Path | None = None,
    engine: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    compile: bool = False,
    epochs: int | None = None,
    progress: bool = False,
    snapshots: bool = False,
) -> Experiment:
    """An experiment that goes on where its folder's last checkpoint stands.

    Engine, device and threads are the run's own where not given; ``epochs`` trains it further
    than its recipe says; a run that has snapshots goes on keeping them. Raises RunError when it is
    no run, in use, or its pictures are others.
    """
    record = runs.read(folder)
    recipe = record.recipe
    if epochs is not None:
        recipe = recipes.change(recipe, "epochs", epochs)
    loaded = data.load(recipe.data, data_dir, progress=progress)
    parts = divide(recipe, loaded)
    described = describe_data(loaded, parts)
    for key in ("sha256", "examples"):
        if described[key] != record.info["data"][key]:
            raise runs.RunError(
                f"{folder} was trained on other pictures than {loaded.source} holds: {key} differs "
                f"({described[key]} now). Give the folder that run.json names by --data-dir"
            )
    before = record.info["engine"]
    if device is None:  # that of another engine may be none of the one asked for
        device = before["device"] if engine in (None, before["name"]) else "auto"
    choice = engines.choose(engine or before["name"], record.network, device)
    made = engines.make(
        choice,
        record.network,
        recipe.settings.optimizer,
        recipe.settings.objective,
        before["threads"] if threads is None else threads,
        compile,
    )
    run = runs.resume(folder, recipe, made)
    wanted = snapshots or folder_of(folder).is_dir()
    return Experiment(recipe, parts, made, choice, run, wanted)


def train(recipe: str | Recipe = "d2l", *, out: Path | None = None, **changes: Any) -> RunRecord:
    """The record of a new run of a recipe, shown live where this runs: for notebooks and scripts.

    ``changes`` are the recipe's keys, with ``__`` for the dot: ``epochs=3``,
    ``schedule__kind="cosine"``. Interrupting it (Ctrl-C, the notebook's stop button) leaves a run
    that ``go_on`` goes on with. Raises as ``begin`` and ``Experiment.train`` do.
    """
    from lenet import live

    named = recipes.load(recipe) if isinstance(recipe, str) else recipe
    for key, value in changes.items():
        named = recipes.change(named, key.replace("__", "."), value)
    experiment = begin(named, out=out)
    with live.choose_view(named.settings, len(experiment.parts.train)) as view:
        experiment.train([view])
    return runs.read(experiment.run.folder)


def check(recipe: Recipe) -> None:
    """Raise what is wrong with a recipe before minutes are spent on downloading its data."""
    if recipe.layers:
        layer_text.parse(recipe.layers)
        if recipe.network in zoo.NETWORKS:
            raise recipes.RecipeError(
                f'layers describe a network of their own, and network is "{recipe.network}": give '
                'it a name of its own, such as network = "mine"'
            )
    else:
        zoo.check_name(recipe.network)
    if not 0 <= recipe.val < 1:
        raise recipes.RecipeError(
            f"val is {recipe.val}, must be the share to hold out: at least 0 and below 1"
        )
    if recipe.settings.early_stopping.patience and not recipe.val:
        raise recipes.RecipeError("early_stopping needs a held-out part to watch: add --val 0.1")


def build_network(
    recipe: Recipe, input_shape: tuple[int, int, int], classes: tuple[str, ...]
) -> Network:
    """The recipe's network for these pictures: its own layers where it has some, else the zoo's.

    Raises ArchitectureError where they do not fit the pictures or each other, ValueError for an
    unknown name, LayerTextError for a line that is no layer.
    """
    if recipe.layers:
        return layer_text.network(recipe.network, recipe.layers, input_shape, classes)
    return zoo.build(recipe.network, input_shape, classes)


def divide(recipe: Recipe, loaded: data.Dataset) -> Parts:
    """The pictures to learn from, those held out as the recipe says, and the test set."""
    if not recipe.val:
        return Parts(loaded.train, None, loaded.test)
    train, val = data.hold_out(loaded.train, recipe.val, recipe.settings.seed)
    return Parts(train, val, loaded.test)


def describe_data(loaded: data.Dataset, parts: Parts) -> dict[str, Any]:
    """Which pictures these are, for run.json."""
    examples = {
        name: len(split)
        for name in ("train", "val", "test")
        if (split := getattr(parts, name)) is not None
    }
    return {
        "name": loaded.name,
        "source": str(loaded.source),
        "bundled": loaded.bundled,
        "licence": loaded.licence,
        "sha256": dict(loaded.sha256),
        "examples": examples,
    }


def draw_curves(record: RunRecord, out: Path | None = None) -> list[Path]:
    """Write a run's curves to ``out``, or as curves.svg and curves.png into its folder.

    Returns the paths. Raises ValueError for a suffix other than .svg, .png and .pdf.
    """
    from lenet import figures  # matplotlib takes its time: not before there is something to draw

    figure = figures.curves(
        record.history,
        title=record.recipe.title or record.recipe.name,
        published=record.info["recipe"].get("published", ()),
    )
    paths = [out] if out else [record.folder / name for name in ("curves.svg", "curves.png")]
    for path in paths:
        figures.save(figure, path)
    return paths
