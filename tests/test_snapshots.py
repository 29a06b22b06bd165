"""Snapshots: which are kept, that they change nothing, and that resuming leaves the same ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenet import cli, data, runs, training
from lenet.network.weights import load_network
from lenet.runs import experiments, preparing, snapshots
from lenet.runs.experiments import Experiment
from lenet.runs.snapshots import kept
from lenet.training import recipes
from lenet.training.recipes import Recipe

NUMPY: dict[str, Any] = {"engine": "numpy", "threads": 1}


@pytest.fixture(scope="module")
def pictures(small: data.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in a folder: 160 + 40 of the pictures that come with the package."""
    folder = tmp_path_factory.mktemp("data") / "pictures"
    folder.mkdir()
    splits = (data.subset(small.train, 160, 0), data.subset(small.test, 40, 0))
    arrays = [array for split in splits for array in (split.images[:, 0], split.labels)]
    for name, array in zip(data.FILES, arrays, strict=True):
        data.write_idx(folder / name, array.astype(np.uint8))  # type: ignore[attr-defined]
    return folder


@pytest.fixture
def recipe(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Four epochs of five readings each, of a small network."""
    monkeypatch.setattr(experiments, "draw_curves", lambda run: None)
    monkeypatch.setattr(training, "STRETCH_S", 0.0)
    changes = {
        "data": str(pictures),
        "epochs": 4,
        "batch_size": 32,
        "schedule.learning_rate": 0.5,
        "network": "own",
        "layers": "AvgPool2d(4)\nFlatten()\nLinear(49, 10)",
    }
    return recipes.load("d2l", changes)


def trained(recipe: Recipe, folder: Path, *, snapshots: bool = True) -> Path:
    experiment = experiments.begin(recipe, out=folder, snapshots=snapshots, **NUMPY)
    assert experiment.train().finished
    return folder


def contents(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / "snapshots").iterdir())}


def assert_same_weights(one: Path, other: Path) -> None:
    """Bit for bit; a run's model has its calibration beside them, which no snapshot has."""
    (network, weights), (its_network, its_weights) = map(load_network, (one, other))
    assert network == its_network
    assert weights.keys() == its_weights.keys()
    assert all(np.array_equal(weights[name], its_weights[name]) for name in weights)


# --- which are kept ----------------------------------------------------------------------------


@given(st.integers(0, 5_000), st.integers(2, 130))
@settings(deadline=None)
def test_never_more_than_the_limit_evenly_spaced_with_both_ends(readings: int, limit: int) -> None:
    chosen = kept(readings, limit)
    assert len(chosen) <= limit
    assert (chosen[0], chosen[-1]) == (0, readings)
    gaps = np.diff(chosen)
    if len(gaps) > 1:
        assert len(set(gaps[:-1])) == 1
        assert gaps[-1] <= gaps[0]
    assert len(chosen) >= min(readings, limit // 2)


@given(st.integers(0, 3_000), st.integers(0, 130))
@settings(deadline=None)
def test_what_is_kept_was_kept_before(readings: int, limit: int) -> None:
    assert set(kept(readings + 1, limit)) <= {*kept(readings, limit), readings + 1}


def test_a_network_too_large_for_two_leaves_the_last_or_none() -> None:
    assert kept(7, 1) == [7]
    assert kept(7, 0) == []


# --- in a run ----------------------------------------------------------------------------------


def test_one_at_the_start_and_one_at_each_reading_the_last_being_the_result(
    recipe: Recipe, tmp_path: Path
) -> None:
    run = trained(recipe, tmp_path / "run")
    record = runs.read(run)
    assert snapshots.steps(run) == [0, *(reading.step for reading in record.history)]
    assert len(snapshots.steps(run)) == 21
    for step in (0, 7, 20):
        network, parameters = load_network(snapshots.path_of(run, step))
        assert network == record.network
        assert all(values.dtype == np.float32 for values in parameters.values())
    first = load_network(snapshots.path_of(run, 0))[1]
    begun = experiments.begin(recipe, out=tmp_path / "other", **NUMPY).run.start.state.parameters
    assert all(np.array_equal(first[name], begun[name]) for name in first)
    assert_same_weights(run / "model.safetensors", snapshots.path_of(run, 20))


def test_they_change_nothing_of_the_result(recipe: Recipe, tmp_path: Path) -> None:
    one = trained(recipe, tmp_path / "with")
    two = trained(recipe, tmp_path / "without", snapshots=False)
    assert not (two / "snapshots").exists()
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    losses = [[row.train_loss for row in runs.read(run).history] for run in (one, two)]
    assert losses[0] == losses[1]


def test_they_are_thinned_and_never_more(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "MOST_FILES", 6)
    most = []
    experiment = experiments.begin(recipe, out=tmp_path / "run", snapshots=True, **NUMPY)
    count = training.Callbacks(
        on_stretch=lambda progress: most.append(len(snapshots.steps(experiment.run.folder)))
    )
    experiment.train([count])
    assert max(most) == 6
    assert snapshots.steps(tmp_path / "run") == [0, 4, 8, 12, 16, 20]


def test_bytes_are_bounded_too(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len((trained(recipe, tmp_path / "one") / "model.safetensors").read_bytes())
    monkeypatch.setattr(snapshots, "MOST_BYTES", 4 * size + 3)
    run = trained(recipe, tmp_path / "two")
    assert len(snapshots.steps(run)) == 4
    assert sum(map(len, contents(run).values())) <= 4 * size + 3


@pytest.mark.parametrize("step", [3, 5, 7, 13, 15])
@pytest.mark.parametrize("limit", [120, 5])
def test_resumed_it_has_the_snapshots_of_an_uninterrupted_run(
    recipe: Recipe, tmp_path: Path, step: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "MOST_FILES", limit)
    whole = contents(trained(recipe, tmp_path / "whole"))
    experiment = experiments.begin(recipe, out=tmp_path / "cut", snapshots=True, **NUMPY)
    experiment.train(stop=lambda: experiment.engine.state().step >= step)
    going_on = experiments.go_on(tmp_path / "cut")
    assert going_on.snapshots  # since there are some
    assert going_on.train().finished
    assert contents(tmp_path / "cut") == whole


def test_those_of_later_than_the_checkpoint_go(recipe: Recipe, tmp_path: Path) -> None:
    experiment = experiments.begin(recipe, out=tmp_path / "run", snapshots=True, **NUMPY)
    with pytest.raises(KeyboardInterrupt):  # as a kill: no checkpoint after the one of step 10
        experiment.train(stop=lambda: interrupt_at(experiment, 14))
    assert snapshots.steps(tmp_path / "run")[-1] == 13
    left = snapshots.folder_of(tmp_path / "run") / ".half.tmp"
    left.write_bytes(b"half")
    going_on = experiments.go_on(tmp_path / "run")
    assert not going_on.train(stop=lambda: True).finished
    assert snapshots.steps(tmp_path / "run") == list(range(11))
    assert not left.exists()


def interrupt_at(experiment: Experiment, step: int) -> bool:
    if experiment.engine.state().step >= step:
        raise KeyboardInterrupt
    return False


def test_early_stopping_s_best_weights_are_the_last_snapshot(
    recipe: Recipe, tmp_path: Path
) -> None:
    for key, value in (
        ("val", 0.3),
        ("early_stopping.patience", 1),
        ("epochs", 30),
        ("schedule.learning_rate", 5.0),
    ):
        recipe = recipes.change(recipe, key, value)
    run = trained(recipe, tmp_path / "run")
    record = runs.read(run)
    assert record.history[-1].epoch < 30
    last = snapshots.path_of(run, snapshots.steps(run)[-1])
    assert_same_weights(run / "model.safetensors", last)
    assert snapshots.steps(run)[-1] == record.history[-1].step


def test_what_was_said_is_kept_and_cut_as_the_history(recipe: Recipe, tmp_path: Path) -> None:
    for key, value in (("val", 0.3), ("early_stopping.patience", 1), ("epochs", 30)):
        recipe = recipes.change(recipe, key, value)
    recipe = recipes.change(recipe, "schedule.learning_rate", 5.0)
    run = trained(recipe, tmp_path / "run")
    remarks = runs.read_remarks(run / "remarks.jsonl")
    remark = remarks[0]  # the second says that such steps taught it nothing
    assert remark.text.startswith("stopped early")
    assert remark.examples_seen == runs.read(run).history[-1].examples_seen
    newest = sorted((run / "checkpoints").iterdir())[-1]
    newest.unlink()  # as if it had been killed before its last checkpoint
    again = experiments.go_on(run)
    assert runs.read_remarks(run / "remarks.jsonl") == []
    again.train()
    assert runs.read_remarks(run / "remarks.jsonl") == remarks
    with (run / "remarks.jsonl").open("a") as file:
        file.write('{"examples_seen": 3')
    assert runs.read_remarks(run / "remarks.jsonl") == remarks


def test_the_command_line_keeps_them_when_asked(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(recipes.to_toml(recipe), encoding="utf-8")
    assert cli.run(["train", str(path), "--epochs", "1", "--out", str(tmp_path / "plain")]) == 0
    assert not (tmp_path / "plain" / "snapshots").exists()
    assert cli.run(["train", "--resume", str(tmp_path / "plain"), "--snapshots"]) == 0
    out = ["--epochs", "1", "--snapshots", "--out", str(tmp_path / "kept")]
    assert cli.run(["train", str(path), *out]) == 0
    assert snapshots.steps(tmp_path / "kept") == [0, 1, 2, 3, 4, 5]


# --- networks that a recipe describes ----------------------------------------------------------


def test_a_described_network_is_trained_under_its_own_name(recipe: Recipe, tmp_path: Path) -> None:
    record = runs.read(trained(recipe, tmp_path / "run", snapshots=False))
    assert record.recipe == recipe
    assert record.network.name == "own"
    parameters = load_network(tmp_path / "run" / "model.safetensors")[1]
    assert sum(value.size for value in parameters.values()) == 500


def test_a_described_network_may_not_take_a_name_of_the_zoo(recipe: Recipe) -> None:
    with pytest.raises(recipes.RecipeError, match='network = "mine"'):
        preparing.check(recipes.change(recipe, "network", "lenet"))
    with pytest.raises(ValueError, match=r"line 1: Linaer\(3\) is not a layer"):
        preparing.check(recipes.change(recipe, "layers", "Linaer(3)"))
    with pytest.raises(ValueError, match="unknown network 'own'"):
        preparing.check(recipes.change(recipe, "layers", ""))
