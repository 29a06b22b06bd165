"""The lab's trainings: processes of their own that wait, run, pause, go on, and survive the lab."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

pytest.importorskip("fastapi")

from lenet import cli, runs, system, training
from lenet.lab import queue
from lenet.lab.errors import LabError
from lenet.lab.lab import Lab
from lenet.lab.queue import KEPT_DAYS
from lenet.network.weights import load_network
from lenet.runs import experiments, snapshots
from lenet.training import recipes

LONG = {"network": "mlp", "epochs": 5_000, "schedule.learning_rate": 0.05}
SHORT = {**LONG, "epochs": 1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has finished, so that a lab has something and begins nothing by itself."""
    folder = tmp_path_factory.mktemp("runs") / "earlier"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "draw_curves", lambda run: None)
        changes = {"layers": "AvgPool2d(7)\nFlatten()\nLinear(16, 10)", "network": "tiny"}
        recipe = recipes.load("quickstart", {**changes, "epochs": 1})
        experiments.begin(recipe, out=folder, threads=1).train()
    return folder


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "runs" / "earlier")
    return tmp_path / "runs"


@pytest.fixture
def labs(root: Path) -> Iterator[Callable[[], Lab]]:
    """Opens a lab of the folder; what still trains at the end is ended."""
    opened: list[Lab] = []

    def open_lab() -> Lab:
        opened.append(Lab(root))
        return opened[-1]

    yield open_lab
    for lab in opened:
        worker = lab.queue.worker
        lab.queue.close()
        if worker is not None and worker.process is not None:
            worker.process.kill()
            worker.process.wait()


@pytest.fixture
def lab(labs: Callable[[], Lab]) -> Lab:
    return labs()


def begin(lab: Lab, settings: dict[str, Any]) -> str:
    return lab.train("quickstart", dict(settings), None, None, None)


def until(lab: Lab, happened: Callable[[], Any], patience_s: float = 60) -> list[Any]:
    """The events that were told until it happened."""
    events: list[Any] = []
    deadline = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < deadline, [lab.summary(name) for name in lab.names()]
        events += lab.tick()
        time.sleep(0.02)
    return events + lab.tick()


def status(lab: Lab, name: str) -> str:
    return str(lab.summary(name)["status"])


def is_(lab: Lab, name: str, wanted: str) -> Callable[[], bool]:
    return lambda: name in lab.names() and status(lab, name) == wanted


def has_readings(lab: Lab, name: str, count: int = 1) -> Callable[[], bool]:
    return lambda: name in lab.runs and len(lab.runs[name].readings) >= count


# --- one after the other -----------------------------------------------------------------------


@pytest.mark.slow
def test_trainings_are_queued_and_run_one_at_a_time(lab: Lab, root: Path) -> None:
    one, two = begin(lab, SHORT), begin(lab, SHORT)
    assert one != two
    assert (status(lab, one), status(lab, two)) == ("queued", "queued")
    assert lab.summary(two)["message"] == "1 before it"
    assert lab.summary(one)["parameters"] == 235_146
    assert not (root / one).exists()
    events = until(lab, is_(lab, one, "running"))
    assert status(lab, two) == "queued"
    events += until(lab, is_(lab, two, "finished"))
    assert status(lab, one) == "finished"
    record = runs.read(root / two)
    assert record.recipe.name == "quickstart"
    assert record.recipe.settings.epochs == 1
    assert snapshots.steps(root / two) == [0, *(row.step for row in record.history)]
    mine = [values for name, values in events if name == "run" and values["summary"]["name"] == one]
    told = [row for values in mine for row in values["readings"]]
    assert [row["step"] for row in told] == [row.step for row in runs.read(root / one).history]
    kept = [each["step"] for values in mine for each in values["snapshots"]]
    assert kept == [0, *(row["step"] for row in told)]
    said = [
        [v["summary"]["status"] for k, v in events if k == "run" and v["summary"]["name"] == each]
        for each in (one, two)
    ]
    assert list(dict.fromkeys(said[0])) == ["running", "finished"]
    assert list(dict.fromkeys(said[1])) == ["queued", "running", "finished"]


def test_the_first_lab_of_a_folder_trains_by_itself_once(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "runs")
    try:
        (name,) = lab.names()
        assert lab.summary(name)["recipe"]["name"] == "quickstart"
        assert lab.queue.waiting == [name]
        lab.delete(name)
    finally:
        lab.queue.close()
    again = Lab(tmp_path / "runs")
    again.queue.close()
    assert again.names() == []


@pytest.mark.slow
def test_a_network_of_one_s_own(lab: Lab, root: Path) -> None:
    text = "nn.AvgPool2d(4),\nFlatten()  # 49\nLinear(49, 10)"
    name = lab.train("quickstart", {"epochs": 1}, None, text, None)
    until(lab, is_(lab, name, "finished"))
    network, parameters = load_network(root / name / "model.safetensors")
    assert network.name == "own"
    assert sum(values.size for values in parameters.values()) == 500
    assert lab.summary(name)["parameters"] == 500
    named = lab.train("quickstart", {"epochs": 1}, "mine", text, None)
    assert lab.summary(named)["network"] == "mine"


def test_settings_are_checked_together(lab: Lab) -> None:
    changes = {"optimizer.nesterov": True, "optimizer.momentum": 0.9}
    name = lab.train("d2l", changes | {"data": "fashion-mnist-small"}, None, None, None)
    assert lab.summary(name)["recipe"]["optimizer"]["nesterov"] is True


# --- pausing and going on ----------------------------------------------------------------------


@pytest.mark.slow
def test_paused_and_resumed_it_is_as_if_nothing_had_been(lab: Lab, root: Path) -> None:
    """One with the same seed that was never paused has the same weights at the same steps."""
    name = begin(lab, LONG)
    until(lab, has_readings(lab, name, 3))
    lab.pause(name)
    assert lab.summary(name)["message"] == "writing its checkpoint"
    until(lab, is_(lab, name, "paused"))
    before = len(lab.runs[name].readings)
    assert before >= 3
    assert runs.read(root / name).status == "interrupted"
    lab.resume(name)
    until(lab, has_readings(lab, name, before + 3))
    lab.pause(name, stopped=True)
    until(lab, is_(lab, name, "stopped"))
    steps = [row.step for row in lab.runs[name].readings]
    assert steps == sorted(set(steps))

    whole = begin(lab, LONG)
    until(lab, has_readings(lab, whole, before + 2))
    lab.pause(whole)
    until(lab, is_(lab, whole, "paused"))
    for step in steps[: before + 2]:
        files = [snapshots.path_of(root / each, step) for each in (name, whole)]
        if all(file.exists() for file in files):
            assert files[0].read_bytes() == files[1].read_bytes()
    losses = [
        {row.step: row.train_loss for row in lab.runs[each].readings} for each in (name, whole)
    ]
    common = losses[0].keys() & losses[1].keys()
    assert len(common) >= before + 2
    assert all(losses[0][step] == losses[1][step] for step in common)


@pytest.mark.slow
def test_resumed_while_its_checkpoint_is_written_it_goes_on(lab: Lab) -> None:
    name = begin(lab, LONG)
    until(lab, has_readings(lab, name))
    lab.pause(name)
    lab.resume(name)
    assert lab.queue.waiting == [name]
    first = lab.queue.worker
    until(lab, lambda: lab.queue.worker not in (None, first))
    assert status(lab, name) == "running"
    with pytest.raises(LabError, match="is training already"):
        lab.resume(name)
    with pytest.raises(LabError, match="stop it first"):
        lab.delete(name)


@pytest.mark.slow
def test_what_waits_can_be_paused_stopped_deleted_and_restored(lab: Lab, root: Path) -> None:
    busy = begin(lab, LONG)
    waiting = begin(lab, SHORT)
    until(lab, is_(lab, busy, "running"))
    lab.pause(waiting)
    assert status(lab, waiting) == "paused"
    lab.resume(waiting)
    assert status(lab, waiting) == "queued"
    lab.pause(waiting, stopped=True)
    assert status(lab, waiting) == "stopped"
    lab.delete(waiting)
    assert waiting not in lab.names()
    lab.restore(waiting)
    assert status(lab, waiting) == "stopped"
    lab.resume(waiting)
    lab.pause(busy)
    until(lab, is_(lab, waiting, "finished"))


@pytest.mark.slow
def test_a_training_that_cannot_begin_says_why(lab: Lab, root: Path) -> None:
    name = begin(lab, SHORT)
    lab.queue.recipe_path(name).write_text("epochs = 'many'")
    until(lab, is_(lab, name, "failed"))
    assert lab.summary(name)["message"] == "epochs is 'many', must be a whole number"
    assert not (root / name).exists()
    lab.queue.recipe_path(name).write_text(
        'network = "mlp"\ndata = "fashion-mnist-small"\nepochs = 1'
    )
    lab.resume(name)
    until(lab, is_(lab, name, "finished"))


@pytest.mark.slow
def test_a_training_that_goes_wrong_says_why(lab: Lab) -> None:
    name = begin(lab, {**LONG, "schedule.learning_rate": 1e30})
    until(lab, is_(lab, name, "failed"))
    assert "the loss of step" in lab.summary(name)["message"]
    assert lab.summary(name)["diverged"] is True
    slower = lab.train_slower(name)  # going on would come to the same end
    recipe = lab.summary(slower)["recipe"]
    assert (slower, recipe["schedule"]["learning_rate"]) == (f"{name}-rate-1e29-1", 1e29)
    assert {**recipe, "schedule": 0} == {**lab.summary(name)["recipe"], "schedule": 0}
    until(lab, is_(lab, slower, "failed"))
    assert lab.train_slower(slower) == f"{name}-rate-1e28-1"
    with pytest.raises(LabError, match="have not grown"):
        lab.train_slower("earlier")


@pytest.mark.slow
def test_a_training_can_be_named(lab: Lab, root: Path) -> None:
    settings = {**SHORT, "epochs": 1}
    assert lab.train("quickstart", settings, None, None, None, "  first  try ") == "first try"
    until(lab, is_(lab, "first try", "finished"))
    assert (root / "first try" / "model.safetensors").is_file()
    lab.delete("first try")
    for name, words in {
        "earlier": "there is a run called earlier already",
        "first try": "already, here or in the trash",
        "../x": "cannot be a folder's",
        "a@5": "cannot be a folder's",
        ".lab": "cannot be a folder's",
        "a" * 61: "60 at most",
        "": "cannot be a folder's",
    }.items():
        with pytest.raises(LabError, match=words):
            lab.train("quickstart", settings, None, None, None, name)
    assert lab.queue.waiting == []


@pytest.mark.slow
def test_a_training_that_is_killed_says_so_and_goes_on(lab: Lab) -> None:
    name = begin(lab, LONG)
    until(lab, has_readings(lab, name, 6))
    assert lab.queue.worker is not None
    assert lab.queue.worker.process is not None
    lab.queue.worker.process.kill()
    until(lab, is_(lab, name, "failed"))
    assert lab.summary(name)["message"] == "its process was ended by signal 9"
    before = [row.step for row in lab.runs[name].readings]
    lab.resume(name)
    events = until(lab, has_readings(lab, name, len(before) + 1))
    after = [row.step for row in lab.runs[name].readings]
    assert after == sorted(set(after))
    told, again = before, False
    for values in (values for kind, values in events if kind == "run"):
        again = again or values["reset"]
        steps = [row["step"] for row in values["readings"]]
        # After a reset the page gets all of them again; none where it was killed in epoch 1.
        told = steps if values["reset"] else told + steps
    assert told == after
    assert again or after[: len(before)] == before


# --- the lab ends, and comes back --------------------------------------------------------------


@pytest.mark.slow
def test_when_the_lab_ends_what_trains_is_paused_and_the_queue_stays(
    labs: Callable[[], Lab], root: Path
) -> None:
    lab = labs()
    busy, waiting, stopped = begin(lab, LONG), begin(lab, SHORT), begin(lab, SHORT)
    lab.pause(stopped, stopped=True)
    lab.star("earlier", True)
    until(lab, has_readings(lab, busy))
    lab.shut_down(20)
    assert runs.read(root / busy).status == "interrupted"
    again = labs()
    assert {name: status(again, name) for name in again.names()} == {
        "earlier": "finished",
        busy: "paused",
        waiting: "queued",
        stopped: "stopped",
    }
    assert again.summary("earlier")["starred"] is True
    until(again, is_(again, waiting, "finished"))
    again.resume(busy)
    until(again, has_readings(again, busy, 2))


def test_two_labs_of_one_folder_do_not_go(lab: Lab, root: Path) -> None:
    with pytest.raises(LabError, match="another lenet lab serves"):
        Lab(root)


@pytest.mark.slow
def test_a_training_outlives_a_lab_that_was_killed_and_is_taken_over(
    labs: Callable[[], Lab], root: Path
) -> None:
    lab = labs()
    name = begin(lab, LONG)
    until(lab, has_readings(lab, name))
    worker = lab.queue.worker
    assert worker is not None
    lab.queue.close()  # as the kernel does for a killed one
    again = labs()
    assert again.queue.worker is not None
    assert again.queue.worker.process is None
    assert (status(again, name), again.summary(name)["message"]) == ("running", "")
    until(again, has_readings(again, name, len(lab.runs[name].readings) + 2))
    again.pause(name)
    assert again.summary(name)["message"] == "writing its checkpoint"
    assert worker.process is not None
    assert worker.process.wait(30) == 143
    until(again, is_(again, name, "paused"))
    assert runs.read(root / name).status == "interrupted"
    assert not (root / ".lab" / "stop" / name).exists()
    again.resume(name)
    until(again, has_readings(again, name, len(again.runs[name].readings) + 1))
    again.shut_down(20)


@pytest.mark.slow
def test_a_training_that_ended_while_no_lab_was_there_is_not_taken_over(
    labs: Callable[[], Lab], root: Path
) -> None:
    lab = labs()
    name = begin(lab, LONG)
    until(lab, has_readings(lab, name, 6))
    worker = lab.queue.worker
    assert worker is not None
    assert worker.process is not None
    lab.queue.close()
    worker.process.kill()
    worker.process.wait()
    again = labs()
    assert again.queue.worker is None
    assert "was killed" in again.summary(name)["message"]


@pytest.mark.slow
def test_where_signals_kill_a_training_is_paused_by_its_file_alone(
    labs: Callable[[], Lab], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows: also one that is told before it trains at all, and when the lab ends."""
    monkeypatch.setattr(system, "signals_kill", lambda: True)
    lab = labs()
    name = begin(lab, LONG)
    until(lab, is_(lab, name, "running"))
    assert lab.queue.worker is not None
    process = lab.queue.worker.process
    lab.pause(name)
    until(lab, is_(lab, name, "paused"))
    assert process is not None
    assert process.wait(30) == 143
    assert runs.read(root / name).status == "interrupted"
    lab.resume(name)
    until(lab, has_readings(lab, name, 2))
    lab.shut_down(20)
    assert runs.read(root / name).status == "interrupted"
    assert (root / name / "checkpoints").is_dir()
    again = labs()
    assert status(again, name) == "paused"


def test_what_starts_is_believed_to_run_for_a_while(root: Path, tmp_path: Path) -> None:
    """A lab that was killed in a training's first second left nothing but its state."""
    (root / ".lab").mkdir()
    for began, running in ((time.time(), True), (time.time() - 60, False), ("x", False)):
        state = {"format": 1, "running": {"name": "earlier", "began": began}}
        (root / ".lab" / "state.json").write_text(json.dumps(state))
        lab = Lab(root)
        lab.queue.close()
        assert (lab.queue.worker is not None) == running


def test_names_that_lead_elsewhere_on_windows() -> None:
    for name in ("C:x", "con", "nul.txt", "a ", "a:stream"):
        assert not queue._is_plain(name, windows=True)
    assert queue._is_plain("2026-11-21-d2l-1", windows=True)
    assert queue._is_plain("a:b", windows=False)


@pytest.mark.parametrize(
    "state",
    [
        *("", "{", "[]", "null", '{"format": 99}', '{"format": 1, "queue": 3, "jobs": [1]}'),
        '{"format": 1, "queue": ["x", 3, "earlier"], "running": {"name": "x", "began": "y"}}',
        '{"format": 1, "jobs": {"x": {"recipe": {"epochs": "x"}, "created": ""}, "y": 3}}',
        '{"format": 1, "running": {"name": "earlier", "began": 1}, "starred": {}}',
    ],
)
def test_a_damaged_state_is_not_the_end(root: Path, state: str) -> None:
    (root / ".lab").mkdir()
    (root / ".lab" / "state.json").write_text(state)
    lab = Lab(root)
    lab.queue.close()
    assert lab.names() == ["earlier"]
    assert lab.queue.worker is None
    assert set(lab.queue.waiting) <= {"earlier"}


# --- the trash ---------------------------------------------------------------------------------


def test_what_was_thrown_away_long_ago_is_removed(labs: Callable[[], Lab], root: Path) -> None:
    lab = labs()
    lab.delete("earlier")
    (thrown,) = (root / ".lab" / "trash").iterdir()
    old = int((time.time() - (KEPT_DAYS + 1) * 86_400) * 1e6)
    shutil.copytree(thrown, thrown.parent / f"{old}.older")
    lab.queue.close()
    again = labs()
    assert [path.name for path in (root / ".lab" / "trash").iterdir()] == [thrown.name]
    again.restore("earlier")
    until(again, lambda: "earlier" in again.runs)
    assert load_network(root / "earlier" / "model.safetensors")


def test_the_last_one_of_a_name_is_restored(lab: Lab, root: Path) -> None:
    (root / "earlier" / "note.txt").write_text("first")
    shutil.copytree(root / "earlier", root.parent / "copy")
    lab.delete("earlier")
    until(lab, lambda: "earlier" not in lab.runs)
    (root.parent / "copy" / "note.txt").write_text("second")
    shutil.copytree(root.parent / "copy", root / "earlier")
    until(lab, lambda: "earlier" in lab.runs)
    with pytest.raises(LabError, match="is there already"):
        lab.restore("earlier")
    lab.delete("earlier")
    until(lab, lambda: "earlier" not in lab.runs)
    lab.restore("earlier")
    assert (root / "earlier" / "note.txt").read_text() == "second"


def test_a_run_is_renamed_with_what_is_remembered_of_it(lab: Lab, root: Path) -> None:
    lab.star("earlier", True)
    weights = (root / "earlier" / "model.safetensors").read_bytes()
    assert lab.rename("earlier", "  my first  run ") == "my first run"
    assert (root / "my first run" / "model.safetensors").read_bytes() == weights
    events = lab.tick()
    assert ("removed", {"name": "earlier", "restorable": False}) in events
    told = {event["summary"]["name"]: event["summary"] for kind, event in events if kind == "run"}
    assert told["my first run"]["starred"]
    assert lab.details("my first run")["history"]["step"]
    for wanted, fault in (("../out", "cannot be a folder's"), ("my first run", "already")):
        with pytest.raises(LabError, match=fault):
            lab.rename("my first run", wanted)
    waiting = begin(lab, SHORT)
    lab.pause(waiting)
    assert lab.rename(waiting, "later") == "later"
    lab.resume("later")
    assert lab.queue.recipe_path("later").exists()
    with pytest.raises(LabError, match="there is no run"):
        lab.rename(waiting, "another")
    lab.pause("later")
    lab.queue.recipe_path("later").unlink()
    assert lab.rename("later", "without its recipe") == "without its recipe"


# --- other programs' trainings -----------------------------------------------------------------


@pytest.fixture
def _each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments, "draw_curves", lambda run: None)
    monkeypatch.setattr(training, "STRETCH_S", 0.0)


@pytest.mark.slow
@pytest.mark.usefixtures("_each_step")
def test_a_training_of_another_program_is_watched_and_left_alone(lab: Lab, root: Path) -> None:
    recipe = recipes.load("quickstart", {"network": "mlp", "epochs": 1})
    experiment = experiments.begin(recipe, out=root / "other", threads=1, snapshots=True)
    until(lab, is_(lab, "other", "running"))
    summary = lab.summary("other")
    assert summary["ours"] is False
    assert "another program trains it" in summary["message"]
    for asked in (lab.pause, lab.resume, lab.delete):
        with pytest.raises(LabError, match="end it where it was started"):
            asked("other")
    seen: list[int] = []
    watch = training.Callbacks(
        on_reading=lambda reading: seen.extend(
            row["step"]
            for kind, values in lab.tick()
            if kind == "run" and values["summary"]["name"] == "other"
            for row in values["readings"]
        )
    )
    experiment.train([watch])
    until(lab, is_(lab, "other", "finished"))
    assert seen == [31, 62, 93, 124, 155, 157]  # batches of 64 pictures, 10,000 in all
    assert lab.summary("other")["ours"] is True


@pytest.mark.slow
@pytest.mark.usefixtures("_each_step")
def test_a_killed_run_says_running_for_ever_and_its_lock_tells(lab: Lab, root: Path) -> None:
    recipe = recipes.load("quickstart", {"network": "mlp", "epochs": 1})
    experiment = experiments.begin(recipe, out=root / "killed", threads=1)
    until(lab, is_(lab, "killed", "running"))
    experiment.run.close()
    assert runs.read(root / "killed").status == "running"
    until(lab, is_(lab, "killed", "paused"))
    assert "was killed" in lab.summary("killed")["message"]
    lab.resume("killed")
    until(lab, is_(lab, "killed", "finished"))


def test_looking_at_a_run_does_not_hinder_whoever_trains_it(lab: Lab, root: Path) -> None:
    with FileLock(root / "earlier" / ".lock"):
        lab.runs["earlier"].ask_lock()
        assert status(lab, "earlier") == "finished"


@pytest.mark.slow
@pytest.mark.needs("links")
def test_what_is_no_run_or_half_of_one_is_passed_over(
    lab: Lab, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "empty").mkdir()
    (root / "a file").write_text("x")
    (root / "broken").mkdir()
    (root / "broken" / "run.json").write_text("[]")
    (root / "link").symlink_to(root / "earlier")
    (root / ".new-run-x").mkdir()
    for _ in range(60):
        lab.tick()
        time.sleep(0.02)
    assert lab.names() == ["earlier"]
    assert capsys.readouterr().err.count("broken") == 1
    shutil.copy(root / "earlier" / "run.json", root / "broken" / "mended")
    (root / "broken" / "mended").rename(root / "broken" / "run.json")
    until(lab, lambda: "broken" in lab.runs)
    shutil.rmtree(root / "broken")
    assert ("removed", {"name": "broken", "restorable": False}) in until(
        lab, lambda: "broken" not in lab.runs
    )


@pytest.mark.slow
def test_a_quiet_lab_says_nothing(lab: Lab) -> None:
    lab.tick()
    lab.star("earlier", True)
    assert [name for name, _ in lab.tick()] == ["run"]
    for _ in range(30):
        assert lab.tick() == []
        time.sleep(0.05)


@pytest.mark.slow
def test_a_history_that_was_cut_is_told_whole(lab: Lab, root: Path) -> None:
    history = root / "earlier" / "history.csv"
    lab.tick()
    rows = runs.read_history(history)
    (root / "earlier" / "shorter").write_text(runs.history_text(rows[:2]))
    (root / "earlier" / "shorter").rename(history)
    (event,) = [v for k, v in until(lab, has_not_more(lab, 2)) if k == "run"]
    assert event["reset"] is True
    assert [row["step"] for row in event["readings"]] == [row.step for row in rows[:2]]
    with history.open("a") as file:
        file.write(runs.history_text(rows[2:3]).split("\n")[1][:20])
    lab.runs["earlier"].look()
    assert len(lab.runs["earlier"].readings) == 2  # half a row is none
    with history.open("a") as file:
        file.write(runs.history_text(rows[2:3]).split("\n")[1][20:] + "\n")
    assert lab.runs["earlier"].look().readings == rows[2:3]


def has_not_more(lab: Lab, count: int) -> Callable[[], bool]:
    return lambda: len(lab.runs["earlier"].readings) <= count


# --- folders that strangers filled -------------------------------------------------------------


def spoil_remarks(run: Path) -> None:
    (run / "remarks.jsonl").write_text('{"examples_seen": Infinity, "text": "x"}\n')


def spoil_date(run: Path) -> None:
    info = json.loads((run / "run.json").read_text())
    (run / "beside").write_text(json.dumps({**info, "started": 1.5}))
    (run / "beside").rename(run / "run.json")


def spoil_number(run: Path) -> None:
    info = json.loads((run / "run.json").read_text())
    info["recipe"]["val"] = 10**400
    (run / "beside").write_text(json.dumps(info))
    (run / "beside").rename(run / "run.json")


def put_a_pipe(run: Path) -> None:
    (run / "run.json").unlink()
    os.mkfifo(run / "run.json")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no pipes there")
@pytest.mark.parametrize("spoil", [spoil_date, spoil_number, put_a_pipe])
def test_a_spoilt_folder_is_told_of_and_the_others_are_watched_on(
    spoil: Callable[[Path], None], lab: Lab, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that appears, and one that was good until now."""
    shutil.copytree(root / "earlier", root / "other")
    until(lab, lambda: "other" in lab.runs, 5)
    shutil.copytree(root / "earlier", root / ".bad")
    spoil(root / ".bad")
    (root / ".bad").rename(root / "bad")
    spoil(root / "other")
    events = until(lab, lambda: len(lab.warnings()["damaged"]) == 2, 5)
    told = [values for name, values in events if name == "warnings"][-1]
    assert [each["name"] for each in told["damaged"]] == ["bad", "other"]
    assert all("run.json cannot be read: " in each["reason"] for each in told["damaged"])
    state = lab.state()
    assert state["damaged"] == told["damaged"]
    assert [run["name"] for run in state["runs"]] == ["earlier", "other"]  # as it was last
    assert "cannot be read" in lab.summary("other")["message"]
    (root / "earlier" / "remarks.jsonl").write_text('{"examples_seen": 1, "text": "seen"}\n')
    until(lab, lambda: [remark.text for remark in lab.runs["earlier"].remarks] == ["seen"], 5)
    shutil.rmtree(root / "bad")
    shutil.rmtree(root / "other")
    until(lab, lambda: lab.warnings()["damaged"] == [], 5)
    assert capsys.readouterr().err.count("bad") == 1


@pytest.mark.slow
def test_what_no_reader_foresaw_is_not_the_end_of_watching(
    lab: Lab, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake of this program in one run: it is shown no more, and the others are."""
    from lenet.lab.watching import Watched

    shutil.copytree(root / "earlier", root / "other")
    until(lab, lambda: "other" in lab.runs, 5)
    look = Watched.look

    def fails(watched: Watched, *most: int) -> Any:
        if watched.name == "other":
            raise KeyError("x")
        return look(watched, *most)

    monkeypatch.setattr(Watched, "look", fails)
    (root / "other" / "remarks.jsonl").write_text("")
    events = until(lab, lambda: "other" not in lab.runs, 5)
    assert ("removed", {"name": "other", "restorable": False}) in events
    (damaged,) = lab.warnings()["damaged"]
    assert damaged["name"] == "other"
    assert damaged["reason"] == "other cannot be shown: KeyError, a mistake of this program"
    assert "KeyError" in damaged["reason_chinese"]
    assert [run["name"] for run in lab.state()["runs"]] == ["earlier"]
    assert "KeyError" in capsys.readouterr().err


def test_trouble_of_the_lab_itself_is_told_and_it_tries_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lenet.lab.app import _tick

    def no_space() -> None:
        raise OSError(28, "No space left on device", "state.json")

    tick = lab.queue.tick
    for wrong, said in (
        (no_space, "state.json: No space left on device"),
        (lambda: 1 / 0, "ZeroDivisionError, a mistake of this program"),
    ):
        monkeypatch.setattr(lab.queue, "tick", wrong)
        ((kind, values),) = _tick(lab)
        assert (kind, values["damaged"], values["trouble"]) == ("warnings", [], said)
        assert _tick(lab) == []
        assert capsys.readouterr().err.count(said) == 1
    monkeypatch.setattr(lab.queue, "tick", tick)
    told = [values for kind, values in _tick(lab) + _tick(lab) if kind == "warnings"]
    assert [values["trouble"] for values in told] == [""]


def test_a_long_history_is_read_in_pieces(lab: Lab, root: Path) -> None:
    rows = runs.read_history(root / "earlier" / "history.csv")
    many = rows * (3 * (1 << 18) // len(runs.history_text(rows)))
    (root / "earlier" / "longer").write_text(runs.history_text(many))
    (root / "earlier" / "longer").rename(root / "earlier" / "history.csv")
    until(lab, lambda: len(lab.runs["earlier"].readings) > len(rows), 5)
    assert len(lab.runs["earlier"].readings) < len(many)
    until(lab, lambda: lab.runs["earlier"].readings == many, 5)


@pytest.mark.parametrize("name", ["../x", "a/b", ".lab", "", "a\0b", "x" * 300])
def test_a_name_in_the_state_leads_nowhere_else(
    name: str, labs: Callable[[], Lab], root: Path
) -> None:
    (root / ".lab").mkdir(exist_ok=True)
    job = {"recipe": recipes.to_dict(recipes.load("quickstart")), "created": "2026-01-01"}
    state = {"format": 1, "queue": [name], "jobs": {name: job}, "first_run": True}
    (root / ".lab" / "state.json").write_text(json.dumps(state))
    shutil.copytree(root / "earlier", root.parent / "x")
    assert labs().queue.waiting == []


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no pipes there")
def test_beside_a_spoilt_run_trainings_go_on_and_end_in_good_order(root: Path) -> None:
    """What is queued is trained, the page hears why, and SIGTERM pauses what trains."""
    shutil.copytree(root / "earlier", root / "bad")
    with command(root) as (process, url, token):
        spoil_remarks(root / "bad")
        spoil_date(root / "bad")
        wanted = [{"recipe": "quickstart", "settings": values} for values in (SHORT, LONG)]
        names = [ask(url, "/api/train", token, each)["name"] for each in wanted]
        deadline = time.monotonic() + 90
        while not ask(url, f"/api/runs/{names[1]}")["history"]["step"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        (damaged,) = ask(url, "/api/state")["damaged"]
        assert damaged["name"] == "bad"
        assert "started is 1.5" in damaged["reason"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    deadline = time.monotonic() + 20
    while runs.read(root / names[1]).status == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert runs.read(root / names[1]).status == "interrupted"


@pytest.mark.slow
def test_300_streams_at_once_are_served_soon(root: Path) -> None:
    """All have heard the state in no more than three times what 300 small answers take here."""
    import http.client

    with command(root) as (_, url, _token):
        host = url.removeprefix("http://")
        began = time.monotonic()
        for _ in range(300):
            connection = http.client.HTTPConnection(host, timeout=240)
            connection.request("GET", "/favicon.ico")
            assert connection.getresponse().status == 204
            connection.close()
        patience = 3 * (time.monotonic() - began)
        streams = [socket.create_connection(host.split(":"), 30) for _ in range(300)]  # type: ignore[arg-type]
        try:
            began = time.monotonic()
            for stream in streams:
                stream.sendall(f"GET /api/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            for stream in streams:
                heard = b""
                while b"event: state" not in heard:
                    piece = stream.recv(65_536)
                    assert piece
                    heard += piece
            assert time.monotonic() - began < patience
        finally:
            for stream in streams:
                stream.close()


# --- the command -------------------------------------------------------------------------------


@contextlib.contextmanager
def command(root: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process of ``lenet lab``, its address and its token."""
    arguments = ["lab", "--runs", str(root), "--no-browser", *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "lenet", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"(http://\S+)/#token=([\w-]{30,})$", line.strip())
        assert match, (line, process.stderr.read() if process.poll() is not None else "")
        yield process, match[1], match[2]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ask(url: str, path: str, token: str = "", values: Any = None) -> Any:
    request = urllib.request.Request(f"{url}{path}")
    if values is not None:
        request.method = "POST"
        request.data = json.dumps(values).encode()
        request.add_header("content-type", "application/json")
        request.add_header("x-lenet-token", token)
    with urllib.request.urlopen(request, timeout=240) as answer:
        return json.load(answer)


@pytest.mark.slow
@pytest.mark.needs("signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_and_ends_in_good_order(root: Path, number: signal.Signals) -> None:
    with command(root) as (process, url, token):
        name = ask(url, "/api/train", token, {"recipe": "quickstart", "settings": LONG})["name"]
        heard: list[bytes] = []

        def listen() -> None:
            stream = urllib.request.urlopen(f"{url}/api/events", timeout=240)
            with contextlib.suppress(OSError), stream:
                heard.extend(iter(stream.readline, b""))

        pages = [threading.Thread(target=listen) for _ in range(3)]
        for page in pages:
            page.start()
        deadline = time.monotonic() + 60
        while not ask(url, f"/api/runs/{name}")["history"]["step"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(20) == 0
        for page in pages:
            page.join(5)
            assert not page.is_alive()
        assert heard.count(b"event: state\n") == 3
        assert heard.count(b"event: run\n") >= 3
        _, err = process.communicate()
        assert token not in err
        assert "Traceback" not in err
        for path in (root / ".lab").rglob("*"):
            assert not path.is_file() or token.encode() not in path.read_bytes()
    deadline = time.monotonic() + 20
    while runs.read(root / name).status == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert runs.read(root / name).status == "interrupted"
    with command(root) as (_, url, _token):
        found = {run["name"]: run["status"] for run in ask(url, "/api/state")["runs"]}
        assert found == {"earlier": "finished", name: "paused"}


def test_a_taken_port_is_an_error_of_one_line(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.run(["lab", "--runs", str(root), "--port", str(port), "--no-browser"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"port {port}" in line
    assert "give another --port" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "port 70000"),
        (["--port", "x"], "must be a whole number, got 'x'"),
        (["--host", "no such host"], "cannot listen on no such host"),
        (["--host", "x" * 300], "cannot listen on"),
    ],
)
def test_what_cannot_be_served_is_an_error_of_one_line(
    root: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["lab", "--runs", str(root), "--no-browser", *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line


def test_a_second_lab_of_the_folder_is_refused_in_one_line(
    lab: Lab, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["lab", "--runs", str(root), "--no-browser"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "another lenet lab serves" in line


@pytest.mark.slow
@pytest.mark.needs("signals")
def test_beyond_this_machine_it_warns(root: Path) -> None:
    with command(root, "--host", "0.0.0.0") as (process, url, _token):
        assert url.startswith("http://127.0.0.1:")
        assert ask(url, "/api/state")["runs"]
        process.send_signal(signal.SIGINT)
        process.wait(20)
        assert process.stderr is not None
        assert "others on the network can reach this page" in process.stderr.read()


def test_the_runs_of_a_sweep_are_one_line(root: Path, labs: Callable[[], Lab]) -> None:
    (run,) = [path.parent for path in root.glob("*/run.json")][:1]
    for name in ("0000-seed0", "0001-seed0"):
        (root / "a sweep" / name).mkdir(parents=True)
        (root / "a sweep" / name / "run.json").write_bytes((run / "run.json").read_bytes())
    state = labs().state()
    assert [(group["name"], group["runs"]) for group in state["groups"]] == [("a sweep", 2)]
    assert state["groups"][0]["folder"].endswith("a sweep'")  # quoted, to be typed
    assert "a sweep" not in [summary["name"] for summary in state["runs"]]
    assert state["damaged"] == []
