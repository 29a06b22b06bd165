"""Stopped or killed anywhere and gone on: the same bytes as if nothing had happened."""

import csv
import dataclasses
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenet import data, runs, training
from lenet.engines.numpy import NumpyEngine
from lenet.network.architecture import Network
from lenet.network.layers import AvgPool2d, Conv2d, Dropout, Flatten, Linear, ReLU
from lenet.network.parameters import State, initialize
from lenet.network.weights import save_network
from lenet.network.zoo import class_names
from lenet.optimization import Augmentation, EarlyStopping, Objective, Optimizer, Schedule, Settings
from lenet.runs import experiments
from lenet.runs.checkpoints import last_checkpoint, load_checkpoint, save_checkpoint
from lenet.training import Callbacks, Checkpoint, Parts, fit, recipes
from lenet.training.recipes import Recipe

CLOCKS = runs.WALL_CLOCK_COLUMNS
TRAIN, TEST = 110, 30  # in batches of 7: 16 steps an epoch, a reading every third, the last of 5


@pytest.fixture(scope="module")
def pictures(small: data.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in a folder: some of the pictures that come with the package."""
    folder = tmp_path_factory.mktemp("data") / "pictures"
    folder.mkdir()
    splits = (data.subset(small.train, TRAIN, 0), data.subset(small.test, TEST, 0))
    arrays = [array for split in splits for array in (split.images[:, 0], split.labels)]
    for name, array in zip(data.FILES, arrays, strict=True):
        data.write_idx(folder / name, array.astype(np.uint8))  # type: ignore[attr-defined]
    return folder


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all the rest."""
    monkeypatch.setattr(experiments, "draw_curves", lambda run: None)


# --- fit(), with checkpoints on the disk -------------------------------------------------------


DROPPING = Network(
    "dropping",
    (1, 28, 28),
    (
        *(Conv2d(1, 4, 5, stride=2), ReLU(), AvgPool2d(2), Dropout(0.25)),
        *(Flatten(), Linear(144, 30), ReLU(), Dropout(0.5), Linear(30, 10)),
    ),
    class_names(10),
)

PLAIN = Settings(epochs=2, batch_size=7, schedule=Schedule(learning_rate=0.2))

SETTINGS = {
    "sgd, momentum": dataclasses.replace(PLAIN, optimizer=Optimizer(momentum=0.9)),
    "adamw, average, augmentation": dataclasses.replace(
        PLAIN,
        optimizer=Optimizer("adamw", weight_decay=0.01, average=0.95),
        schedule=Schedule("cosine", 0.003, warmup_epochs=0.6),
        augmentation=Augmentation(2, True, rotate=8, scale=0.1, shear=5, elastic=0.5, erase=0.5),
        objective=Objective(label_smoothing=0.1),
    ),
    "early stopping": dataclasses.replace(
        PLAIN,
        epochs=4,
        schedule=Schedule("one-cycle", 2.0),
        early_stopping=EarlyStopping(patience=1, min_delta=1.0),
    ),
}


def state_of(checkpoint: Checkpoint | None) -> Any:
    """All of a checkpoint that equal trainings have in common, bit for bit."""
    assert checkpoint is not None
    state = checkpoint.state
    groups = (state.parameters, *state.moments.values(), state.average, checkpoint.best)
    numbers = [value.tobytes() for group in groups if group for value in group.values()]
    return numbers, state.step, dataclasses.replace(checkpoint.progress, wall_s=0.0, train_s=0.0)


class Trained:
    """fit() in pieces, each with another engine, going on from what the disk holds."""

    def __init__(self, settings: Settings, parts: Parts, folder: Path) -> None:
        self.settings, self.parts, self.folder = settings, parts, folder
        (folder / "checkpoints").mkdir(parents=True)
        self.checkpoint = Checkpoint(State(initialize(DROPPING, "he", settings.seed)))
        self.rows: list[dict[str, Any]] = []

    def go_on(self, to_step: float = math.inf) -> bool:
        """Train to this step or to the end; whether it was the end."""
        settings = self.settings
        engine = NumpyEngine(DROPPING, settings.optimizer, settings.objective, threads=1)

        def save(checkpoint: Checkpoint) -> None:
            self.checkpoint = load_checkpoint(save_checkpoint(self.folder, checkpoint))

        outcome = fit(
            engine,
            self.parts,
            settings,
            self.checkpoint,
            [Callbacks(on_checkpoint=save)],
            stop=lambda: engine.state().step >= to_step,
        )
        assert outcome.finished or self.checkpoint.state.step == to_step
        for reading in outcome.history:
            row = dataclasses.asdict(reading)
            self.rows.append({name: row[name] for name in row if name not in CLOCKS})
        return outcome.finished

    def result(self) -> tuple[bytes, Any, list[dict[str, Any]]]:
        """What equal trainings have in common: the model's bytes, all state, the history."""
        last = self.checkpoint
        model = save_network(self.folder / "model", DROPPING, last.best or last.state.weights)
        return model, state_of(last), self.rows


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_fit_stopped_at_every_boundary(
    name: str, small: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one of them, and at all of them; the whole is trained in longer stretches."""
    train, val = data.hold_out(data.subset(small.train, TRAIN + 12, 0), 0.1, 0)
    parts = Parts(train, val, data.subset(small.test, TEST, 0))
    whole = Trained(SETTINGS[name], parts, tmp_path / "whole")
    assert whole.go_on()
    expected, steps = whole.result(), whole.checkpoint.state.step
    assert steps == 32  # early stopping too: its second epoch was no better
    assert (whole.checkpoint.best is not None) == (name == "early stopping")

    monkeypatch.setattr(training, "STRETCH_S", 0.0)  # a boundary after every step
    for step in range(1, steps):
        broken = Trained(SETTINGS[name], parts, tmp_path / str(step))
        assert not broken.go_on(step)
        assert broken.go_on()
        assert broken.result() == expected, f"stopped after step {step}"
    pieces = Trained(SETTINGS[name], parts, tmp_path / "pieces")
    for step in range(1, steps):
        assert not pieces.go_on(step)
    assert pieces.go_on()
    assert pieces.result() == expected


# --- runs --------------------------------------------------------------------------------------


BASE = {"epochs": 2, "batch_size": 7, "schedule.learning_rate": 0.2}
ADAMW = {"optimizer.method": "adamw", "schedule.learning_rate": 0.003}

RECIPES: dict[str, dict[str, Any]] = {
    "sgd": BASE,
    "momentum, cosine": {**BASE, "optimizer.momentum": 0.9, "schedule.kind": "cosine"},
    "adamw, average, augmentation": {
        **BASE,
        **ADAMW,
        "optimizer.average": 0.95,
        "augmentation.shift": 2,
        "augmentation.flip": True,
        "augmentation.rotate": 8,
        "augmentation.elastic": 0.5,
        "augmentation.erase": 0.5,
    },
    "early stopping": {
        **BASE,
        **ADAMW,
        "epochs": 9,
        "val": 0.2,
        "early_stopping.patience": 2,
        "early_stopping.min_delta": 1.0,  # never met: it stops after three epochs
    },
}


def recipe_of(pictures: Path, changes: dict[str, Any]) -> Recipe:
    return recipes.load("d2l", {"data": str(pictures), **changes})


HAS_NATIVE = importlib.util.find_spec("lenet._native") is not None
needs_native = pytest.mark.skipif(not HAS_NATIVE, reason="the native engine was not built")
every_engine = pytest.mark.parametrize(
    "kind",
    [pytest.param("numpy", marks=pytest.mark.slow), pytest.param("native", marks=needs_native)],
)


def result(folder: Path) -> tuple[bytes, list[list[str]]]:
    """The model's bytes, and the text of history.csv but for the columns of the wall clock."""
    header, *rows = csv.reader((folder / "history.csv").read_text(encoding="utf-8").splitlines())
    kept = [index for index, name in enumerate(header) if name not in CLOCKS]
    assert len(kept) == len(header) - len(CLOCKS)
    history = [[row[index] for index in kept] for row in (header, *rows)]
    return (folder / "model.safetensors").read_bytes(), history


@pytest.mark.slow
@every_engine
@pytest.mark.parametrize("name", RECIPES)
def test_a_run_stopped_at_every_boundary(
    name: str, kind: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(pictures, RECIPES[name])
    experiments.begin(recipe, engine=kind, threads=2, out=tmp_path / "whole").train()
    expected = result(tmp_path / "whole")
    last, _ = last_checkpoint(tmp_path / "whole")
    assert last is not None

    monkeypatch.setattr(training, "STRETCH_S", 0.0)
    experiment = experiments.begin(recipe, engine=kind, threads=1, out=tmp_path / "pieces")
    steps_of_epoch = training.steps_per_epoch(recipe.settings, experiment.parts.train)
    assert last.state.step == steps_of_epoch * (3 if name == "early stopping" else 2)
    for step in range(1, last.state.step):
        engine = experiment.engine
        outcome = experiment.train(stop=lambda e=engine, s=step: e.state().step >= s)
        assert not outcome.finished
        saved, _ = last_checkpoint(tmp_path / "pieces")
        assert saved is not None
        assert saved.state.step == step
        assert saved.progress.epoch == step // steps_of_epoch
        experiment = experiments.go_on(tmp_path / "pieces")
        assert experiment.run.remarks == []
    assert experiment.train().finished
    assert result(tmp_path / "pieces") == expected
    assert len(runs.read(tmp_path / "pieces").info["resumed"]) == last.state.step - 1


# --- kill -9 -----------------------------------------------------------------------------------


KILLED = {
    **RECIPES["adamw, average, augmentation"],
    "batch_size": 16,
    "epochs": 5,
    "val": 0.1,
    "early_stopping.patience": 5,
}

# Forks, so that an attempt costs what it trains and not what it imports. What each attempt does
# is all that a process would: begin or go on, train, be killed or finish.
FORKS = """
import json, os, random, signal, sys, time
from pathlib import Path
import lenet.runs.checkpoints, lenet.engines.native, lenet.engines.numpy, safetensors.numpy
from lenet.runs import experiments
from lenet.training import recipes
from lenet import runs, training

where, recipe = Path(sys.argv[1]), recipes.from_dict(json.loads(sys.argv[2]))
kind = sys.argv[3]
experiments.draw_curves = lambda run: None
experiments.load_ahead = lambda modules: None  # each fork would load matplotlib anew

def attempt(folder, stop_at=None, before=lambda: None):
    # the process id of an attempt to begin this run or to go on with it
    child = os.fork()
    if child:
        return child
    try:
        training.STRETCH_S = 0.0
        before()
        if (folder / "run.json").exists():
            experiment = experiments.go_on(folder)
        else:
            experiment = experiments.begin(recipe, engine=kind, threads=2, out=folder)
        engine = experiment.engine
        experiment.train(stop=lambda: stop_at is not None and engine.state().step >= stop_at)
        os._exit(0)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)

def killed(child, after_s=None):
    # whether the attempt was killed, by us after so many seconds or by itself
    if after_s is not None:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), f"an attempt failed: {status}"
    return status == signal.SIGKILL

def is_finished(folder):
    return (folder / "run.json").exists() and runs.read(folder).status == "finished"
"""

AT_RANDOM = """
chance = random.Random(int(sys.argv[5]))
killed(attempt(where / "warm"))
started = time.perf_counter()
killed(attempt(where / "timed"))
life_s = time.perf_counter() - started
kills = chain = 0
while kills < int(sys.argv[4]):
    chain += 1
    folder = where / f"chain-{chain}"
    while not is_finished(folder):
        stop_at = chance.choice([None, None, None, chance.randrange(1, 35)])
        kills += killed(attempt(folder, stop_at), chance.uniform(0, life_s))
print(json.dumps({"kills": kills, "life_s": life_s}))
"""

AT_EVERY_SAVE = """
def killing(number):
    # make the so-and-so-many-th sync or rename of this process its last
    left = [number]
    def wrap(function):
        def called(*arguments):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)
        return called
    os.fsync, os.replace, os.rename = map(wrap, (os.fsync, os.replace, os.rename))

number = kills = 0
while True:
    number += 1
    folder = where / f"save-{number}"
    if not killed(attempt(folder, before=lambda: killing(number))):
        break
    kills += 1
    if number % 3 == 0:
        kills += killed(attempt(folder, before=lambda: killing(1 + number * 7 % 11)))
    assert not killed(attempt(folder)) and is_finished(folder)
print(json.dumps({"kills": kills}))
"""


def run_forks(script: str, folder: Path, recipe: Recipe, kind: str, *arguments: int) -> Any:
    command = [sys.executable, "-c", FORKS + script, folder, json.dumps(recipes.to_dict(recipe))]
    done = subprocess.run([*command, kind, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_all_equal(folder: Path, recipe: Recipe, kind: str) -> int:
    """Every run in the folder is what an uninterrupted one is; returns how many there are."""
    experiments.begin(recipe, engine=kind, threads=1, out=folder / "whole").train()
    expected = result(folder / "whole")
    last, _ = last_checkpoint(folder / "whole")
    found = [record.folder for record in runs.list_runs(folder, tell=pytest.fail)]
    for run in found:
        assert result(run) == expected, run.name
        assert [path for path in run.rglob("*") if path.suffix == ".tmp"] == []
        checkpoint, remarks = last_checkpoint(run)
        assert remarks == []
        assert state_of(checkpoint) == state_of(last)
    return len(found)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.mark.slow
@needs_fork
@every_engine
def test_kill_9_at_random_instants(kind: str, pictures: Path, tmp_path: Path) -> None:
    """Spread over the life of a run, several in the same one, some after an orderly stop."""
    kills = 40
    recipe = recipe_of(pictures, KILLED)
    told = run_forks(AT_RANDOM, tmp_path, recipe, kind, kills, kills)
    assert told["kills"] >= kills
    assert assert_all_equal(tmp_path, recipe, kind) >= 4


@pytest.mark.slow
@needs_fork
def test_kill_9_inside_every_save(pictures: Path, tmp_path: Path) -> None:
    """Before each sync and each rename in a run's life, and some once more while they go on."""
    recipe = recipe_of(pictures, {**KILLED, "epochs": 2, "batch_size": 32})
    told = run_forks(AT_EVERY_SAVE, tmp_path, recipe, "numpy")
    saves = 2 * 3 + 2 + 2 * 4 + 3 + 3  # two files and the folder; two epochs; model and run.json
    assert told["kills"] >= saves
    assert assert_all_equal(tmp_path, recipe, "numpy") >= saves


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_kill_9_of_whole_processes(pictures: Path, tmp_path: Path) -> None:
    """As a user has them: with all their imports, in stretches of their usual length, drawing."""
    script = """
import json, sys
from pathlib import Path
from lenet.runs import experiments
from lenet.training import recipes
folder, recipe = Path(sys.argv[1]), recipes.from_dict(json.loads(sys.argv[2]))
print("started", flush=True)
if (folder / "run.json").exists():
    experiments.go_on(folder).train()
else:
    experiments.begin(recipe, engine="numpy", threads=1, out=folder).train()
"""
    folder, recipe = tmp_path / "run", recipe_of(pictures, KILLED)
    command = [sys.executable, "-c", script, folder, json.dumps(recipes.to_dict(recipe))]
    random = np.random.default_rng(0)
    for _ in range(5):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            time.sleep(random.uniform(0, 0.7))
            process.send_signal(signal.SIGKILL)
    subprocess.run(command, check=True, capture_output=True)
    assert runs.read(folder).status == "finished"
    assert {"curves.svg", "curves.png"} <= {path.name for path in folder.iterdir()}
    assert assert_all_equal(tmp_path, recipe, "numpy") == 2
