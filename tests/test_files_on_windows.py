"""What becomes of files where the disk behaves as Windows' does: nothing is lost, nothing ends."""

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.windows_disk import WindowsDisk

from lenet import files, runs
from lenet.data import DataError, importing
from lenet.files import (
    FileError,
    discard,
    read_bounded,
    remove_unfinished,
    rename_folder,
    sync_folder,
    trouble_with_name,
    write_atomically,
)
from lenet.network.parameters import State
from lenet.runs import checkpoints, experiments, snapshots
from lenet.training import Checkpoint, Progress, Reading, recipes

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="the disk of these tests asks /proc what is open"
)
OLD, NEW = b"the old one", b"the new one, longer"
TINY = {"layers": "AvgPool2d(7)\nFlatten()\nLinear(16, 10)", "network": "tiny"}


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WindowsDisk:
    made = WindowsDisk(tmp_path)
    made.install(monkeypatch)
    return made


@pytest.fixture
def place(disk: WindowsDisk, tmp_path: Path) -> Path:
    path = tmp_path / "run.json"
    path.write_bytes(OLD)
    return path


@contextmanager
def held_for(path: Path, seconds: float) -> Iterator[None]:
    """Somebody reads the file meanwhile, and lets go of it after so many seconds."""
    file = path.open("rb")
    timer = threading.Timer(seconds, file.close)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- that the disk is one ----------------------------------------------------------------------


def test_an_open_file_is_neither_replaced_nor_removed_nor_renamed(place: Path) -> None:
    other = place.with_name("other")
    other.write_bytes(NEW)
    with place.open("rb"):
        for act, number in (
            (lambda: os.replace(other, place), 5),
            (lambda: os.replace(place, other), 32),
            (lambda: os.rename(place, place.with_name("third")), 32),
            (lambda: place.unlink(), 32),
            (lambda: os.remove(place), 32),
        ):
            with pytest.raises(PermissionError) as caught:
                act()
            assert getattr(caught.value, "winerror", 0) == number
    os.replace(other, place)
    assert place.read_bytes() == NEW


def test_a_mapped_file_counts_as_open(place: Path) -> None:
    mapped = np.memmap(place, np.uint8, "r")
    with pytest.raises(PermissionError):
        place.unlink()
    assert bytes(mapped) == OLD
    del mapped  # closes it
    place.unlink()


def test_folders(place: Path, tmp_path: Path) -> None:
    with pytest.raises(PermissionError):
        os.open(tmp_path, os.O_RDONLY)
    full, empty = tmp_path / "full", tmp_path / "empty"
    full.mkdir()
    empty.mkdir()
    (full / "x").write_bytes(NEW)
    with pytest.raises(FileExistsError):
        full.rename(empty)
    with pytest.raises(PermissionError):
        full.replace(empty)
    with (full / "x").open("rb"), pytest.raises(PermissionError) as caught:
        full.rename(tmp_path / "other")
    assert getattr(caught.value, "winerror", 0) == 5
    full.rename(tmp_path / "other")


def test_names(disk: WindowsDisk, place: Path, tmp_path: Path) -> None:
    assert tmp_path.joinpath("RUN.JSON").read_bytes() == OLD
    tmp_path.joinpath("Run.Json").write_bytes(NEW)
    tmp_path.joinpath("dots...").write_bytes(b"")
    assert names(tmp_path) == ["dots", "run.json"]
    assert place.read_bytes() == NEW
    for name in ("con", "NUL.txt", "a:b", "what?"):
        with pytest.raises(OSError, match=r"syntax is incorrect"):
            tmp_path.joinpath(name).write_bytes(b"")
    deep = tmp_path / ("x" * 220) / ("y" * 100)
    with pytest.raises(FileNotFoundError):
        deep.parent.mkdir()
    with disk.lock(place), pytest.raises(PermissionError):
        place.open("rb")


def test_what_posix_has(disk: WindowsDisk) -> None:
    assert not any(hasattr(os, name) for name in ("fork", "sched_getaffinity", "killpg"))
    assert not hasattr(signal, "SIGKILL")


# --- files -------------------------------------------------------------------------------------


def test_a_file_is_replaced_as_soon_as_nobody_reads_it(disk: WindowsDisk, place: Path) -> None:
    with held_for(place, 0.15):
        write_atomically(place, NEW)
    assert place.read_bytes() == NEW
    assert names(place.parent) == [place.name]
    assert disk.refused > 2  # it was tried more than once


def test_after_two_seconds_the_old_one_stays_and_the_error_says_what_to_do(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr("lenet.files.time.sleep", sleep)
    monkeypatch.setattr("lenet.files.time.monotonic", lambda: clock[0])
    with place.open("rb"), pytest.raises(PermissionError) as caught:
        write_atomically(place, NEW)
    assert 1.9 < clock[0] < 2.1
    assert caught.value.filename == str(place)
    assert "another program may have it open: close it there" in str(caught.value)
    assert place.read_bytes() == OLD
    assert names(place.parent) == [place.name]


def test_a_folder_in_the_way_is_said(place: Path) -> None:
    refused = PermissionError(13, "Access is denied")
    refused.winerror = 5  # type: ignore[attr-defined]
    said = "Access is denied; a folder has this name: "
    with pytest.raises(PermissionError, match=said), files.about(place.parent):
        raise refused


def test_what_is_forbidden_for_another_reason_is_no_cause_to_wait(place: Path) -> None:
    def forbidden() -> None:
        raise PermissionError(1, "Operation not permitted")  # as POSIX says it

    began = time.monotonic()
    with pytest.raises(PermissionError):
        files.patiently(forbidden)
    assert time.monotonic() - began < 0.5


def test_a_file_that_is_held_stays_for_the_next_round(place: Path) -> None:
    left = place.with_name(".weights.0123.tmp")
    left.write_bytes(OLD)
    with left.open("rb"):
        remove_unfinished(place.parent)
        assert not discard(left)
    assert left.exists()
    remove_unfinished(place.parent)
    assert names(place.parent) == [place.name]
    assert discard(left)  # nothing there is as good as removed


def test_readers_try_again_too(
    disk: WindowsDisk, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disk.lock(place):
        timer = threading.Timer(0.05, disk.locked.clear)
        timer.start()
        assert read_bounded(place, 100) == OLD
        timer.join()
    with disk.lock(place), pytest.raises(PermissionError):
        read_bounded(place, 100)
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):  # the disk leaves them to filelock
        monkeypatch.delattr(os, name)
    assert read_bounded(place, 100) == OLD
    with pytest.raises(FileError, match="a folder, not a file"):  # at once
        read_bounded(place.parent, 100)


def test_a_folder_takes_the_place_of_an_empty_one_alone(place: Path, tmp_path: Path) -> None:
    new, there = tmp_path / "new", tmp_path / "there"
    new.mkdir()
    there.mkdir()
    with held_for(place, 0.01):
        rename_folder(new, there)
    new.mkdir()
    (there / "x").write_bytes(OLD)
    with pytest.raises(OSError, match=r"not empty"):
        rename_folder(new, there)
    assert names(there) == ["x"]


def test_folders_are_not_synced_where_they_cannot_be_opened(place: Path) -> None:
    sync_folder(place.parent)


def test_a_path_that_is_too_long_says_so(disk: WindowsDisk, tmp_path: Path) -> None:
    path = tmp_path / ("x" * (270 - len(str(tmp_path))))
    with pytest.raises(FileNotFoundError, match=r"has 271 characters, and Windows takes 259"):
        write_atomically(path, NEW)


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        *(("con", "device"), ("NUL.txt", "device"), ("Com7", "device"), ("lpt1 .x", "device")),
        *(("a.", "ends"), ("a ", "ends"), ("a:b", "holds"), ("a/b", "holds"), ("a\\b", "holds")),
        *(("what?", "holds"), ("a\0", "holds"), ("", "no file"), ("..", "no file")),
        *(("console", ""), ("com", ""), ("com10", ""), (".lock", ""), ("2026-11-21-con-1", "")),
        *(("图片", ""), ("a b", "")),
    ],
)
def test_names_that_a_file_can_have_on_every_system(name: str, trouble: str) -> None:
    assert (trouble in trouble_with_name(name)) if trouble else not trouble_with_name(name)


# --- a run's folder ----------------------------------------------------------------------------


def train(folder: Path, epochs: int = 1) -> str:
    """The checksum of the weights of a training in this folder."""
    recipe = recipes.load("quickstart", {**TINY, "epochs": epochs})
    experiment = experiments.begin(recipe, out=folder, threads=1, snapshots=True)
    experiment.train()
    experiment.run.close()
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_a_training_of_which_a_scanner_opens_every_file(
    disk: WindowsDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "draw_curves", lambda run: None)
    alone = train(tmp_path / "alone")
    assert not disk.refused
    disk.scan_s = 0.004
    watched = train(tmp_path / "watched")
    assert watched == alone
    assert disk.refused > 0  # how often, depends on what else the machine does
    scanned = {Path(path).name for path in disk.scanned}
    assert any(name.startswith(".new-run-") for name in scanned)  # the folder itself
    record = runs.read(tmp_path / "watched")
    assert record.status == "finished"
    assert len(record.history) == len(runs.read(tmp_path / "alone").history)
    assert len(checkpoints.checkpoint_files(tmp_path / "watched")) <= checkpoints.KEPT + 1


def test_a_checkpoint_that_is_read_goes_in_the_next_round(
    disk: WindowsDisk, tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").mkdir()

    def save(step: int) -> Path:
        state = State({"0.weight": np.full(3, step, np.float32)}, {}, None, step)
        return checkpoints.save_checkpoint(tmp_path, Checkpoint(state, Progress()))

    first = save(1)
    with first.open("rb"):
        for step in (2, 3, 4):
            save(step)
        assert len(checkpoints.checkpoint_files(tmp_path)) == 4
    save(5)
    steps = [checkpoints.step_of(path) for path in checkpoints.checkpoint_files(tmp_path)]
    assert steps == [3, 4, 5]


def test_a_run_takes_an_empty_folder_and_waits_for_a_scanner(
    disk: WindowsDisk, tmp_path: Path
) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    recipe = recipes.load("quickstart", {**TINY, "epochs": 1})
    disk.scan_s = 0.01
    experiment = experiments.begin(recipe, out=out, threads=1)
    assert disk.refused
    assert (out / "run.json").is_file()
    experiment.run.close()
    assert [name for name in names(tmp_path) if name.startswith(".new-run")] == []


def test_a_snapshot_that_is_read_goes_in_the_next_round(
    disk: WindowsDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "MOST_FILES", 3)
    recipe = recipes.load("quickstart", {**TINY, "epochs": 1})
    experiment = experiments.begin(recipe, out=tmp_path / "run", threads=1)
    run = experiment.run
    callbacks, _ = snapshots.keep_snapshots(run, lambda: run.start.state)
    assert callbacks.on_reading is not None

    def read(step: int) -> list[int]:
        nothing = (None,) * 4
        callbacks.on_reading(Reading(step / 10, step, step * 256, 1.0, 0.5, *nothing, 1.0, 1.0))
        return snapshots.steps(run.folder)

    assert (read(1), read(2)) == ([0, 1], [0, 1, 2])
    with snapshots.path_of(run.folder, 1).open("rb"):
        assert read(3) == [0, 1, 2, 3]  # 1 should have gone
    assert read(4) == [0, 2, 4]
    run.close()


def test_a_data_set_that_is_read_is_not_replaced_by_half(disk: WindowsDisk, tmp_path: Path) -> None:
    there, beside = tmp_path / "garden", tmp_path / ".garden.0123.tmp"
    for folder, content in ((there, OLD), (beside, NEW)):
        folder.mkdir()
        for name in ("train-images-idx3-ubyte", "dataset.json"):
            (folder / name).write_bytes(content)
    clock = pytest.MonkeyPatch()
    clock.setattr(importing, "rename_folder", lambda *paths: os.rename(*paths))  # without waiting
    mapped = np.memmap(there / "train-images-idx3-ubyte", np.uint8, "r")
    with pytest.raises(DataError, match="another program reads these pictures"):
        importing._put_in_place(beside, there)
    clock.undo()
    assert {path.read_bytes() for path in there.iterdir()} == {OLD}
    del mapped  # closes it
    importing._put_in_place(beside, there)
    assert {path.read_bytes() for path in there.iterdir()} == {NEW}
    assert names(tmp_path) == ["garden"]
