"""What a training takes where nothing was said, and settings for few pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lenet
from lenet import cli, data, runs
from lenet.data import idx
from lenet.runs import experiments
from lenet.training import recipes
from lenet.training.defaults import choose_data, fit_to_few


def write_folder(folder: Path, train: data.Split, test: data.Split) -> Path:
    folder.mkdir(parents=True)
    for part, split in (("train", train), ("t10k", test)):
        idx.write_idx(folder / f"{part}-images-idx3-ubyte", split.images[:, 0])
        idx.write_idx(folder / f"{part}-labels-idx1-ubyte", split.labels.astype(np.uint8))
    return folder


@pytest.fixture
def nothing_here(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No data but what comes with the program, and no network."""
    monkeypatch.delenv("LENET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(in_tmp / "cache"))
    monkeypatch.setattr(data, "DISTRIBUTIONS", in_tmp / "none")
    known = {
        name: replace(one, mirrors=("http://127.0.0.1:9",)) if one.mirrors else one
        for name, one in data.KNOWN.items()
    }
    monkeypatch.setattr(data, "KNOWN", known)
    return in_tmp


# --- which pictures ----------------------------------------------------------------------------


def test_without_a_network_it_says_why_it_takes_what_comes_with_the_program(
    nothing_here: Path,
) -> None:
    name, why = choose_data()
    assert name == "fashion-mnist-small"
    assert "fashion-mnist is not here and could not be downloaded (no connection)" in why


def test_a_mirror_that_refuses_is_named_as_the_reason(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Path:
        raise data.DataNotFoundError("long", "answers 404 Not Found")

    monkeypatch.setattr(data, "fetch", refuse)
    assert "could not be downloaded (answers 404 Not Found)" in choose_data()[1]


def test_a_wrong_setting_is_said_before_anything_is_downloaded(
    nothing_here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["train", "--epochs", "-3"]) == 2
    said = capsys.readouterr()
    assert "epochs is -3" in said.err
    assert "downloaded" not in said.out + said.err


def test_where_fashion_mnist_is_here_it_is_taken_and_its_folder_said(
    nothing_here: Path, small: data.Dataset
) -> None:
    folder = write_folder(nothing_here / "sets/fashion-mnist", small.train, small.test)
    name, why = choose_data(nothing_here / "sets")
    assert name == "fashion-mnist"
    assert why.endswith(f"on fashion-mnist from {folder}")


def test_a_damaged_one_is_an_error_and_no_reason_for_others(nothing_here: Path) -> None:
    folder = nothing_here / "sets/fashion-mnist"
    folder.mkdir(parents=True)
    for file in data.FILES:
        (folder / file).write_bytes(b"nothing")
    assert cli.run(["train", "--data-dir", str(nothing_here / "sets"), "--epochs", "1"]) != 0
    assert not (nothing_here / "runs").exists()


@pytest.mark.slow
def test_python_without_a_recipe_takes_the_same(
    nothing_here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = lenet.train(epochs=1, network="mlp")
    assert record.recipe.name == "quickstart"
    assert record.recipe.data == "fashion-mnist-small"
    assert capsys.readouterr().out.startswith("fashion-mnist is not here and could not be")


def test_the_default_on_a_fresh_machine_learns_in_its_first_epoch(nothing_here: Path) -> None:
    assert cli.run(["train", "--epochs", "1", "--out", "run"]) == 0
    (last,) = [row for row in runs.read(Path("run")).history if row.test_acc is not None]
    assert last.test_acc is not None
    assert last.test_acc > 0.65
    assert runs.read(Path("run")).remark == ""


# --- few pictures ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("examples", "batch_size", "epochs"),
    [(60_000, 64, 10), (5_000, 64, 10), (640, 64, 60), (639, 32, 30), (200, 16, 47), (9, 1, 67)],
)
def test_batches_and_epochs_fit_the_pictures(examples: int, batch_size: int, epochs: int) -> None:
    fitted, remarks = fit_to_few(recipes.load("quickstart"), (), examples)
    assert (fitted.settings.batch_size, fitted.settings.epochs) == (batch_size, epochs)
    assert len(remarks) == (batch_size != 64) + (epochs != 10)
    for remark in remarks:
        assert f"{examples:,} training pictures" in remark
        assert "yours to set" in remark
    assert replace(fitted, settings=recipes.load("quickstart").settings) == recipes.load(
        "quickstart"
    )


def test_what_was_chosen_stays_and_a_large_batch_gets_a_line() -> None:
    recipe = recipes.load("d2l", {"epochs": 3})
    fitted, remarks = fit_to_few(recipe, {"epochs", "batch_size"}, 500)
    assert fitted == recipe
    assert remarks == [
        "batches of 256 make 2 steps an epoch of 500 training pictures: 32 would be usual"
    ]
    fitted, remarks = fit_to_few(recipes.load("d2l"), {"batch_size"}, 100)
    assert "make 1 step an epoch" in remarks[0]
    assert fitted.settings.epochs == 47  # as for batches of 8: not 600 of the whole folder


def test_keys_of_a_file_are_chosen_and_those_of_the_package_are_not(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('network = "mlp"\nbatch_size = 300\n[schedule]\nkind = "cosine"\n')
    assert recipes.chosen_keys(str(path), {"epochs"}) == {
        *("network", "batch_size", "schedule", "schedule.kind", "epochs"),
    }
    assert recipes.chosen_keys("d2l", {"epochs": 3}) == {"epochs"}


@pytest.mark.slow
def test_the_folder_says_what_was_really_used(
    in_tmp: Path, small: data.Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(Path("mine"), data.subset(small.train, 300, 0), small.test)
    command = ["train", "d2l", "--data", "./mine", "--network", "mlp", "--lr", "0.1", "--val", "0"]
    assert cli.run([*command, "--out", "run"]) == 0
    printed = capsys.readouterr().out
    assert "batches of 16 in place of 256: there are only 300 training pictures" in printed
    assert "32 epochs in place of 10" in printed
    record = runs.read(Path("run"))
    assert (record.recipe.settings.batch_size, record.recipe.settings.epochs) == (16, 32)
    assert [remark.text for remark in runs.read_remarks(Path("run/remarks.jsonl"))][:2] == [
        line for line in printed.splitlines() if " in place of " in line
    ]
    assert record.history[-1].epoch == 32
    # to go on takes what the run had, and says nothing of it again
    assert cli.run(["train", "--resume", "run", "--epochs", "33"]) == 0
    assert "in place of" not in capsys.readouterr().out
    assert runs.read(Path("run")).recipe.settings.batch_size == 16
    assert cli.run([*command, "--batch-size", "256", "--epochs", "1", "--out", "own"]) == 0
    assert "batches of 256 make 2 steps an epoch" in capsys.readouterr().out
    assert runs.read(Path("own")).recipe.settings.batch_size == 256


def test_a_recipe_given_whole_is_taken_as_it_is(in_tmp: Path, small: data.Dataset) -> None:
    folder = write_folder(Path("mine"), data.subset(small.train, 300, 0), small.test)
    recipe = recipes.load("d2l", {"data": f"./{folder}", "network": "mlp"})
    experiment = experiments.begin(recipe)
    experiment.run.close()
    assert experiment.recipe.settings == recipe.settings
    assert experiment.remarks == ()


@pytest.mark.slow
@pytest.mark.parametrize("examples", [200, 500, 1000, 2000])
def test_few_pictures_are_learnt(examples: int, in_tmp: Path, small: data.Dataset) -> None:
    write_folder(Path("mine"), data.subset(small.train, examples, 0), small.test)
    assert cli.run(["train", "--data", "./mine", "--out", "run"]) == 0
    record = runs.read(Path("run"))
    last = record.history[-1].test_acc
    assert last is not None
    assert last > {200: 0.6, 500: 0.68, 1000: 0.72, 2000: 0.76}[examples]
    assert record.remark == ""
