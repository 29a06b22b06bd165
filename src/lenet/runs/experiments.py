"""From a recipe to a trained network in its folder: data, engine, run and fit() put together.

Everything that starts a training goes through here, so that all of them check the same things
and leave the same folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lenet import engines
from lenet.data import (
    IN_MEMORY,
    DataError,
    Dataset,
    arrays,
    check_classes,
    is_path,
    mapped,
    preparation,
)
from lenet.data import load as load_data
from lenet.data.preparation import Preparation, usual
from lenet.drawing import CURVES, VIEW, load_ahead
from lenet.engines import Choice, Engine
from lenet.engines.protocol import check_batch
from lenet.files import as_path
from lenet.network import zoo
from lenet.network.architecture import Network, trouble_with_name
from lenet.network.layers import Layer
from lenet.optimization import Optimizer, Settings
from lenet.runs.preparing import (
    build_network,
    check,
    describe_data,
    divide,
    engine_for,
    fitted,
    hold_out_of_own,
    network_keys,
    settled,
    with_network,
)
from lenet.runs.range_test import RangeTest, range_test
from lenet.runs.record import RunError, RunRecord
from lenet.runs.record import read as read_run
from lenet.runs.run import Run, first_checkpoint
from lenet.runs.run import create as create_run
from lenet.runs.run import resume as resume_run
from lenet.runs.snapshots import folder_of, keep_snapshots
from lenet.training import (
    Callbacks,
    Outcome,
    Parts,
    calibration,
    call,
    defaults,
    fit,
    recipes,
    steps_per_epoch,
)
from lenet.training.recipes import Recipe
from lenet.untrusted import shown

NEEDED_NEXT = ("numpy.random", "filelock", *VIEW)  # once the pictures are there
NEEDED_LATER = ("lenet.training.verdict",)  # once an epoch is over


@dataclass(frozen=True)
class Experiment:
    """A training that is ready to go: everything was checked, and its folder is held."""

    recipe: Recipe
    parts: Parts
    engine: Engine
    choice: Choice
    run: Run
    snapshots: bool = False  # kept at every reading
    remarks: tuple[str, ...] = ()  # what was fitted to the pictures, a line each
    preparation: Preparation | None = None  # of the photographs that the pictures were made of
    curves: bool = True  # drawn at the end
    fit: Callable[..., Outcome] = fit  # or one that trains with other processes

    @property
    def settings(self) -> Settings:
        """The recipe's settings, with numbers for the class weights of these pictures."""
        return settled(self.recipe.settings, self.parts)

    def train(
        self, callbacks: Sequence[Callbacks] = (), stop: Callable[[], bool] = lambda: False
    ) -> Outcome:
        """Train to the end or until ``stop()``, then write the result and the curves.

        The folder is let go in any case, and run.json says how it ended. A network that has not
        learnt when it ends gets a last remark. Raises TrainingError where a loss is not finite,
        OSError where a file cannot be written, RunError where it has been trained before.
        """
        if not self.run.held:
            raise RunError(
                f"{self.run.folder} has been let go: an experiment trains once. Go on with "
                f"lenet.go_on({str(self.run.folder)!r})"
            )
        with closing(self.run):
            try:
                last_words: list[str] = []  # what was said since the last reading
                told = [self.run.callbacks(), *callbacks]
                told.append(
                    Callbacks(on_reading=lambda _: last_words.clear(), on_remark=last_words.append)
                )
                if self.snapshots:
                    keeping, keep_last = keep_snapshots(self.run, self.engine.state)
                    told.append(keeping)
                for remark in self.remarks:
                    call(told, "on_remark", remark)
                load_ahead((*NEEDED_LATER, *(CURVES if self.curves else ())))
                outcome = self.fit(
                    self.engine, self.parts, self.settings, self.run.start, told, stop
                )
                if self.snapshots:
                    keep_last(outcome)
                if outcome.finished and not last_words and (last := self._verdict(outcome)):
                    # one that was at its end already has it among its remarks
                    call(told if outcome.history else told[1:], "on_remark", last)
                said, notes = " ".join(last_words), self._notes(outcome)
                self.run.finish(outcome, said if outcome.finished else "", notes)
            except BaseException as error:
                self.run.fail(error)
                raise
            record = read_run(self.run.folder)
            if self.curves and record.history:  # none where it was stopped at once
                draw_curves(record)
        return outcome

    def _notes(self, outcome: Outcome) -> dict[str, Any]:
        """What goes with the final weights: how photographs are prepared for them, and, where
        pictures were held out, what their logits mean."""
        if not outcome.finished:
            return {}
        network = self.engine.network
        own = self.preparation or usual(
            network.input_shape, network.classes, str(self.run.info["data"]["name"])
        )
        notes = {"preparation": preparation.to_dict(own)}
        if self.parts.val is not None:
            with self._result_loaded(outcome):
                logits = np.concatenate(
                    [self.engine.logits(piece.images) for piece in mapped.pieces(self.parts.val)]
                )
            # what cannot be calibrated, such as outputs of -inf, is a result all the same
            with suppress(calibration.CalibrationError):
                fitted = calibration.fit_calibration(logits, self.parts.val.labels)
                notes["calibration"] = calibration.to_dict(fitted)
        return notes

    @contextmanager
    def _result_loaded(self, outcome: Outcome) -> Iterator[None]:
        """The engine with the weights that are the result: early stopping may have kept others
        than the last."""
        state, best = outcome.checkpoint.state, outcome.checkpoint.best
        if best is None:
            yield
            return
        average = None if state.average is None else best
        self.engine.load(replace(state, parameters=best, average=average))
        yield
        self.engine.load(state)

    def _verdict(self, outcome: Outcome) -> str | None:
        """Why the network has not learnt, judged by the whole run, or None where it has."""
        from lenet.training import verdict  # was loaded while the engine trained

        settings, train = self.settings, self.parts.train
        with self._result_loaded(outcome):
            return verdict.conclude(
                self.engine,
                train,
                settings,
                settings.schedule.learning_rates(steps_per_epoch(settings, train), settings.epochs),
                [*self.run.earlier, *outcome.history],
                first_checkpoint(self.recipe, self.engine.network).state,
            )


def begin(
    recipe: str | os.PathLike[str] | Recipe,
    *,
    data: Any = None,
    network: str | Network | Sequence[Layer] | None = None,
    chosen: Collection[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    compile: bool = False,
    out: str | os.PathLike[str] | None = None,
    progress: bool = False,
    snapshots: bool = False,
    find_rate: bool = False,
    tested: bool = True,
    curves: bool = True,
    processes: int = 1,
) -> Experiment:
    """A new experiment in a new folder; with ``snapshots`` of the weights at every reading or not.

    ``data`` are pictures in place of the recipe's: a name, a folder, or what ``arrays.dataset``
    takes. ``network`` takes the place of the recipe's: a name, a list of layers, or a Network, with
    its layers, name and normalization and the classes of the pictures. ``chosen`` are the keys of
    the recipe that somebody chose: the others are fitted to pictures that are few
    (``defaults.fit_to_few``). Without it the recipe is taken as it is.
    ``find_rate``: the learning rate is what a range test finds (``range_test``). ``processes`` will
    train it together (``together.lead``). Unless ``tested``, the test part is not looked at, and
    unless ``curves``, none are drawn: for one run of many, which are compared by what is held out.

    Raises the ValueErrors of what it puts together (DataError, ArchitectureError, EngineError,
    SettingError, RunError), before anything is written, and OSError when nothing can be.
    """
    ready = _prepare(
        *(recipe, data, network, chosen, data_dir, engine, device, threads, compile, progress)
    )
    recipe, made = ready.recipe, ready.engine
    parts = ready.parts if tested else replace(ready.parts, test=None)
    check_batch(recipe.settings.batch_size, processes)
    remarks = list(ready.remarks)
    if find_rate:
        recipe, line = _with_found_rate(ready)
        remarks.append(line)
    folder = None if out is None else as_path(out, "out")
    described = describe_data(ready.loaded, parts)
    run = create_run(recipe, made.network, described, made, folder, processes)
    run.remarks += ready.said
    return Experiment(
        recipe,
        parts,
        made,
        ready.choice,
        run,
        snapshots,
        tuple(remarks),
        ready.loaded.preparation,
        curves,
    )


@dataclass(frozen=True)
class _Ready:
    """What a training needs but for its folder."""

    recipe: Recipe
    loaded: Dataset
    parts: Parts
    engine: Engine
    choice: Choice
    remarks: tuple[str, ...]  # what was fitted to the pictures
    said: tuple[str, ...]  # of the pictures


def _prepare(
    recipe: str | os.PathLike[str] | Recipe,
    data: Any,
    network: str | Network | Sequence[Layer] | None,
    chosen: Collection[str] | None,
    data_dir: str | os.PathLike[str] | None,
    engine: str,
    device: str,
    threads: int | None,
    compile: bool,
    progress: bool,
) -> _Ready:
    """Everything that ``begin`` checks and makes before it writes anything."""
    if not isinstance(recipe, Recipe):
        recipe = recipes.load(recipe)
    if isinstance(data, str | os.PathLike):
        recipe, data = recipes.change(recipe, "data", os.fspath(data)), None
    if network is not None and not isinstance(network, Network):
        for key, value in network_keys(network).items():
            recipe = recipes.change(recipe, key, value)
        network = None
    if network is not None:
        recipe = with_network(recipe, network)
    given = None if data is None else arrays.dataset(data)
    if given:
        recipe = replace(recipe, data=given.name)
    if given is None and is_path(recipe.data, data_dir):
        own = Path(os.path.expanduser(recipe.data))
        if own.exists():
            recipe = replace(recipe, data=str(own.resolve()))  # to be found on resuming
    if not recipe.layers:
        recipe = replace(recipe, network=zoo.name_of(recipe.network))
    check(recipe)
    load_ahead(NEEDED_NEXT)
    loaded = given or load_data(recipe.data, data_dir, progress=progress)
    check_classes(loaded)
    recipe, said_of_own = hold_out_of_own(recipe, loaded, chosen)
    for name in loaded.train.classes:
        if trouble := trouble_with_name(name):
            raise DataError(f"{loaded.source}: the class name {shown(name)} {trouble}")
    parts = divide(recipe, loaded)
    remarks: list[str] = []
    if chosen is not None:
        recipe, remarks = defaults.fit_to_few(recipe, chosen, len(parts.train))
    channels, height, width = loaded.train.images.shape[1:]
    shape = (channels, height, width)
    if network is None:
        network = build_network(recipe, shape, loaded.train.classes)
    else:
        network = fitted(network, shape, loaded.train.classes)
    choice = engines.choose(engine, network, device)
    made = engine_for(recipe, parts, choice, network, threads, compile)
    said = (*loaded.remarks, *said_of_own)
    return _Ready(recipe, loaded, parts, made, choice, tuple(remarks), said)


def _with_found_rate(ready: _Ready) -> tuple[Recipe, str]:
    """The recipe with the learning rate that a range test finds, and the line that says why."""
    found = _find_rate(ready)
    recipe = recipes.change(ready.recipe, "schedule.learning_rate", found.learning_rate)
    return recipe, f"learning rate {found.learning_rate:g}: {found.why}"


def _find_rate(ready: _Ready) -> RangeTest:
    settings = settled(ready.recipe.settings, ready.parts)
    return range_test(
        ready.engine,
        ready.engine.network,
        ready.parts.train,
        settings,
        ready.recipe.initialization,
    )


def find_learning_rate(
    recipe: str | os.PathLike[str] | Recipe | None = None,
    *,
    data: Any = None,
    network: str | Network | Sequence[Layer] | None = None,
    chosen: Collection[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    progress: bool = False,
) -> RangeTest:
    """The learning rate that a range test on the training pictures finds, its curves, and why.

    Takes what ``begin`` takes, and writes nothing. Without a recipe it is quickstart's. The
    held-out and the test part are not looked at. Raises as ``begin`` does.
    """
    return _find_rate(
        _prepare(
            defaults.RECIPE if recipe is None else recipe,
            *(data, network, chosen, data_dir, engine, device, threads, False, progress),
        )
    )


def go_on(
    folder: str | os.PathLike[str] | RunRecord,
    *,
    data: Any = None,
    data_dir: str | os.PathLike[str] | None = None,
    engine: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    compile: bool = False,
    epochs: int | None = None,
    progress: bool = False,
    snapshots: bool = False,
    curves: bool = True,
    processes: int = 1,
) -> Experiment:
    """An experiment that goes on where a run's last checkpoint stands: its folder, or its record.

    Engine, device and threads are the run's own where not given, but for the threads of another
    number of ``processes``; ``epochs`` trains it further than its recipe says; a run that has
    snapshots goes on keeping them. ``data`` are the pictures of a run that was trained on arrays,
    as ``train`` takes them. Raises RunError when it is no run, in use, or its pictures are others.
    """
    if isinstance(folder, RunRecord):
        folder = folder.folder
    folder = as_path(folder, "folder")
    record = read_run(folder)
    recipe = record.recipe
    check_batch(recipe.settings.batch_size, processes)
    if isinstance(data, str | os.PathLike):
        raise RunError(
            f"data is {os.fspath(data)!r}: {folder} goes on with the pictures it was trained on, "
            f"{recipe.data}. Leave data out; data_dir is the folder where a data set lies now"
        )
    if epochs is not None:
        recipe = recipes.change(recipe, "epochs", epochs)
    load_ahead(NEEDED_NEXT)
    if data is None:
        loaded = load_data(recipe.data, data_dir, progress=progress)
    else:
        loaded = arrays.dataset(data, record.network.classes)
    parts = divide(recipe, loaded)
    if "test" not in record.info["data"]["examples"]:
        parts = replace(parts, test=None)  # a run of a sweep was begun without it
    described = describe_data(loaded, parts)
    for key in ("sha256", "examples"):
        if described[key] != record.info["data"][key]:
            where = "Give the folder that run.json names by --data-dir"
            if data is not None or recipe.data == IN_MEMORY:
                where = "Give the arrays that it was trained on by data="
            raise RunError(
                f"{folder} was trained on other pictures than {loaded.source} holds: {key} differs "
                f"({described[key]} now). {where}"
            )
    before = record.info["engine"]
    if device is None:  # that of another engine may be none of the one asked for
        device = before["device"] if engine in (None, before["name"]) else "auto"
    choice = engines.choose(engine or before["name"], record.network, device)
    if threads is None and before.get("processes", 1) == processes:
        threads = before["threads"]
    made = engine_for(recipe, parts, choice, record.network, threads, compile)
    run = resume_run(folder, recipe, made, processes)
    wanted = snapshots or folder_of(folder).is_dir()
    return Experiment(
        recipe, parts, made, choice, run, wanted, preparation=loaded.preparation, curves=curves
    )


def train(
    recipe: str | os.PathLike[str] | Recipe | None = None,
    *,
    data: Any = None,
    network: str | Network | Sequence[Layer] | None = None,
    optimizer: str | Optimizer | None = None,
    lr: float | str | None = None,
    out: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    snapshots: bool = False,
    **changes: Any,
) -> RunRecord:
    """The record of a new run of a recipe, shown live where this runs: for notebooks and scripts.

    Without a recipe it is quickstart, on Fashion-MNIST where that is here or can be downloaded,
    else on the pictures that come with the program.

    ``data`` is a data set's name or folder, or the pictures themselves: ``(images, labels)``, or
    what else ``arrays.dataset`` takes. ``network`` is a name of the zoo, a Network, or a list of
    layers. ``optimizer`` is "sgd", "adam" or "adamw", which then has its usual values, or an
    Optimizer; ``lr`` is the highest learning rate, or "auto" for one that is found.
    ``changes`` are the recipe's other keys, with ``__`` for the dot: ``epochs=3``,
    ``schedule__kind="cosine"``.

    Interrupting it (Ctrl-C, the notebook's stop button) leaves a run that ``go_on`` goes on with.
    Raises as ``begin`` and ``Experiment.train`` do.
    """
    from lenet.drawing import live

    asked = {key.replace("__", "."): value for key, value in changes.items()}
    if isinstance(data, str | os.PathLike):
        asked["data"], data = os.fspath(data), None
    if network is not None and not isinstance(network, Network):
        asked |= network_keys(network)
        network = None
    find_rate = isinstance(lr, str) and lr.lower() == "auto"
    if lr is not None and not find_rate:
        asked["schedule.learning_rate"] = lr
    if isinstance(optimizer, Optimizer):
        asked["optimizer"], optimizer = optimizer, None
    chosen = None  # all of a Recipe is
    if recipe is None:
        recipe = defaults.RECIPE
        if data is None and "data" not in asked:
            asked["data"], why = defaults.choose_data(data_dir)
            print(why)
    if not isinstance(recipe, Recipe):
        chosen = recipes.chosen_keys(recipe, asked)
        recipe = recipes.load(recipe)
    # the network first: an optimiser's usual learning rate depends on it
    for part in ("layers", "network"):
        if part in asked:
            recipe = recipes.change(recipe, part, asked.pop(part))
    if network is not None:
        recipe = with_network(recipe, network)
    if optimizer is not None:
        recipe = recipes.with_method(recipe, optimizer, "schedule.learning_rate" in asked)
    for key, value in asked.items():
        recipe = recipes.change(recipe, key, value)
    experiment = begin(
        recipe,
        data=data,
        network=network,
        chosen=chosen,
        data_dir=data_dir,
        engine=engine,
        device=device,
        threads=threads,
        out=out,
        snapshots=snapshots,
        find_rate=find_rate,
    )
    with live.choose_view(experiment.recipe.settings, len(experiment.parts.train)) as view:
        experiment.train([view])
    return read_run(experiment.run.folder)


def draw_curves(record: RunRecord, out: Path | None = None) -> list[Path]:
    """Write a run's curves to ``out``, or as curves.svg and curves.png into its folder.

    Returns the paths. Raises ValueError for a suffix other than .svg, .png and .pdf.
    """
    from lenet.drawing import figures

    figure = figures.curves(
        record.history,
        title=record.recipe.title or record.recipe.name,
        published=record.info["recipe"].get("published", ()),
    )
    paths = [out] if out else [record.folder / name for name in ("curves.svg", "curves.png")]
    for path in paths:
        figures.save(figure, path)
    return paths
