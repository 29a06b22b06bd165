"""A run's folder: how it appears, who may use it, how it is read, what is left when things fail."""

import dataclasses
import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from lenet import data, runs, training
from lenet.engines import EngineError
from lenet.network.parameters import parameter_shapes
from lenet.network.weights import WeightsError, load_network
from lenet.optimization import SettingError
from lenet.runs import RunError, experiments, load_model, preparing, run_info, table
from lenet.runs.checkpoints import checkpoint_files, last_checkpoint
from lenet.runs.experiments import Experiment
from lenet.training import Callbacks, Reading, TrainingError, recipes
from lenet.training.recipes import Recipe

NUMPY: dict[str, Any] = {"engine": "numpy", "threads": 1}


@pytest.fixture(scope="module")
def pictures(small: data.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in a folder: 160 + 40 of the pictures that come with the package."""
    folder = tmp_path_factory.mktemp("data") / "my pictures ∂"
    folder.mkdir()
    splits = (data.subset(small.train, 160, 0), data.subset(small.test, 40, 0))
    arrays = [array for split in splits for array in (split.images[:, 0], split.labels)]
    for name, array in zip(data.FILES, arrays, strict=True):
        data.write_idx(folder / name, array.astype(np.uint8))  # type: ignore[attr-defined]
    return folder


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose curves would have been drawn: that takes longer than all the rest."""
    folders: list[Path] = []
    monkeypatch.setattr(experiments, "draw_curves", lambda run: folders.append(run.folder))
    return folders


@pytest.fixture(scope="module")
def recipe(pictures: Path) -> Recipe:
    """Two epochs of five steps and five readings each: a tenth of a second."""
    changes = {"data": str(pictures), "epochs": 2, "batch_size": 32, "schedule.learning_rate": 0.5}
    return recipes.load("d2l", changes)


@pytest.fixture
def begun(recipe: Recipe, tmp_path: Path) -> Experiment:
    return experiments.begin(recipe, out=tmp_path / "run", **NUMPY)


@pytest.fixture(scope="module")
def trained(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished and an interrupted run, trained once; each test has copies to spoil."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "draw_curves", lambda run: None)
        patch.setattr(training, "STRETCH_S", 0.0)
        assert experiments.begin(recipe, out=folder / "finished", **NUMPY).train().finished
        stopped = experiments.begin(recipe, out=folder / "interrupted", **NUMPY)
        stopped.train(stop=after(7, stopped))
    return folder


@pytest.fixture
def finished(trained: Path, tmp_path: Path) -> Path:
    """The folder of a run that has finished."""
    return Path(shutil.copytree(trained / "finished", tmp_path / "finished"))


@pytest.fixture
def interrupted(trained: Path, tmp_path: Path) -> Path:
    """The folder of a run that was stopped in its second epoch, after seven steps of ten."""
    return Path(shutil.copytree(trained / "interrupted", tmp_path / "interrupted"))


@pytest.fixture(autouse=True)
def _a_stretch_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "STRETCH_S", 0.0)


def after(steps: int, experiment: Experiment) -> Callable[[], bool]:
    """A ``stop`` that says yes when so many steps are done."""
    return lambda: experiment.engine.state().step >= steps


def result(folder: Path) -> tuple[bytes, list[Any]]:
    """What two equal runs have in common: the model's bytes, and history but for wall clocks."""
    rows = [
        [cell for name, cell in dataclasses.asdict(row).items() if name not in CLOCKS]
        for row in runs.read_history(folder / "history.csv")
    ]
    return (folder / "model.safetensors").read_bytes(), rows


CLOCKS = runs.WALL_CLOCK_COLUMNS


def info_of(folder: Path) -> Any:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def change_info(folder: Path, change: Callable[[Any], None]) -> None:
    info = info_of(folder)
    change(info)
    (folder / "run.json").write_text(json.dumps(info), encoding="utf-8")


def unfinished_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix == ".tmp"]


# --- how a folder appears ----------------------------------------------------------------------


def test_a_run_leaves_what_its_description_says(begun: Experiment, drawn: list[Path]) -> None:
    assert begun.train().finished
    finished = begun.run.folder
    assert names_in(finished) - {".lock"} == {
        *("run.json", "history.csv", "model.safetensors", "checkpoints"),
        "remarks.jsonl",  # so few steps teach nothing, which is said
    }
    assert drawn == [finished]
    assert len(checkpoint_files(finished)) == 2
    record = runs.read(finished)
    info = record.info
    assert record.status == "finished"
    assert info["engine"]["name"] == "numpy"
    assert info["engine"]["threads"] == 1
    assert set(info["versions"]) == {"python", "lenet", "numpy"}
    assert info["data"]["examples"] == {"train": 160, "test": 40}
    assert info["resumed"] == []
    assert info["outcome"]["epochs"] == 2
    assert info["outcome"]["examples_seen"] == 320
    assert info["outcome"]["last"] == dataclasses.asdict(record.history[-1])
    assert len(record.history) == 10
    import hashlib

    content = (finished / "model.safetensors").read_bytes()
    assert info["outcome"]["model_sha256"] == hashlib.sha256(content).hexdigest()
    network, parameters = load_model(finished)
    assert network == record.network
    assert load_network(finished / "model.safetensors")[1].keys() == parameters.keys()


def test_the_curves_are_drawn(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    experiments.begin(recipe, out=tmp_path / "run", **NUMPY).train()
    assert (tmp_path / "run" / "curves.svg").stat().st_size > 1000
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000


def test_it_appears_whole(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment of the rename everything is there; before it, nothing is to be seen."""
    seen: list[set[str]] = []
    rename = os.rename

    def watched(path: Path, target: Path) -> None:
        assert not target.exists()
        assert path.name.startswith(".")
        seen.append(names_in(path))
        run_info.check(info_of(path))
        rename(path, target)

    monkeypatch.setattr(os, "rename", watched)
    experiments.begin(recipe, out=tmp_path / "run", **NUMPY).run.close()
    assert seen == [{"run.json", "history.csv", "checkpoints"}]
    assert names_in(tmp_path) == {"run"}


@pytest.mark.needs("signals")
def test_killed_while_it_is_made_it_is_no_run(recipe: Recipe, tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from lenet.runs import experiments
from lenet.training import recipes
os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
experiments.begin(recipes.load("d2l", {{"data": {recipe.data!r}}}), engine="numpy")
"""
    killed = subprocess.run([sys.executable, "-c", script], cwd=tmp_path)
    assert killed.returncode == -signal.SIGKILL
    assert len(names_in(tmp_path / "runs")) == 1
    assert runs.list_runs(tmp_path / "runs", tell=pytest.fail) == []


@pytest.mark.needs("links")
def test_folders_are_numbered(recipe: Recipe, in_tmp: Path) -> None:
    today = date.today().isoformat()
    for number in (1, 2, 3):
        experiment = experiments.begin(recipe, **NUMPY)
        experiment.run.close()
        assert experiment.run.folder == Path("runs") / f"{today}-d2l-{number}"
    shutil.rmtree(Path("runs") / f"{today}-d2l-2")
    (Path("runs") / f"{today}-d2l-2").symlink_to("nowhere")
    experiment = experiments.begin(recipe, **NUMPY)
    experiment.run.close()
    assert experiment.run.folder.name == f"{today}-d2l-4"


def test_many_at_once_get_a_folder_each(recipe: Recipe, in_tmp: Path) -> None:
    found: list[Path] = []

    def begin() -> None:
        experiment = experiments.begin(recipe, **NUMPY)
        found.append(experiment.run.folder)
        experiment.run.close()

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8
    assert names_in(Path("runs")) == {folder.name for folder in found}


@pytest.mark.parametrize("name", ["../../out", "a/b", "two words", "x" * 300, "", "模型"])
def test_a_recipe_may_be_called_anything(name: str, recipe: Recipe, in_tmp: Path) -> None:
    experiment = experiments.begin(dataclasses.replace(recipe, name=name), **NUMPY)
    experiment.run.close()
    assert names_in(in_tmp) == {"runs"}
    (record,) = runs.list_runs(Path("runs"))
    assert record.folder == experiment.run.folder
    assert record.recipe.name == name


@pytest.mark.parametrize("name", ["\n\0", "\x1b[2J", "x" * 301, "a\u202eb"])
def test_a_name_that_would_act_on_a_terminal_is_not_written(
    name: str, recipe: Recipe, in_tmp: Path
) -> None:
    with pytest.raises(SettingError, match=r"name is '.*: it (must|has)"):
        experiments.begin(dataclasses.replace(recipe, name=name), **NUMPY)
    assert names_in(in_tmp) == set()


@pytest.mark.needs("links")
def test_out_that_is_taken_is_refused(recipe: Recipe, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".hidden").write_bytes(b"")
    before = {*names_in(tmp_path), *names_in(finished)}, (finished / "run.json").read_bytes()
    for name in ("finished", "file", "link", "folder"):
        with pytest.raises(RunError, match=f"{name} exists already: .* another --out"):
            experiments.begin(recipe, out=tmp_path / name, **NUMPY)
    assert ({*names_in(tmp_path), *names_in(finished)}, (finished / "run.json").read_bytes()) == (
        before
    )


def test_out_may_be_an_empty_folder_or_one_to_be_made(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "a b" / "ü" / "模型"):
        experiments.begin(recipe, out=out, **NUMPY).train()
        assert runs.read(out).status == "finished"
        assert names_in(out.parent) <= {"empty", "a b", out.name}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
def test_names_that_are_no_text(recipe: Recipe, pictures: Path, tmp_path: Path) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    shutil.copytree(pictures, place / "data")
    own = dataclasses.replace(recipe, data=str(place / "data"))
    experiment = experiments.begin(own, out=place / "run", **NUMPY)
    experiment.train(stop=after(7, experiment))
    experiment = experiments.go_on(place / "run")
    assert experiment.train().finished
    assert runs.read(place / "run").recipe.data == str(place / "data")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@pytest.mark.parametrize("mask", [0o077, 0o022, 0o002])
def test_modes_are_what_the_umask_leaves(mask: int, recipe: Recipe, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        experiments.begin(recipe, out=tmp_path / "run", **NUMPY).run.close()
    finally:
        os.umask(before)
    for path in (tmp_path / "run", tmp_path / "run" / "checkpoints"):
        assert path.stat().st_mode & 0o777 == 0o777 & ~mask
    for name in ("run.json", "history.csv"):
        assert (tmp_path / "run" / name).stat().st_mode & 0o777 == 0o666 & ~mask


def test_where_no_folder_can_be_made(
    recipe: Recipe, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("runs").write_bytes(b"a file")
    with pytest.raises(FileExistsError) as caught:
        experiments.begin(recipe, **NUMPY)
    assert caught.value.filename == "runs"
    with pytest.raises((NotADirectoryError, FileExistsError)):  # the latter on Windows
        experiments.begin(recipe, out=Path("runs") / "deeper" / "run", **NUMPY)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "there")

    for owner, act in ((Path, "mkdir"), (os, "rename")):  # of a folder that does not exist
        with monkeypatch.context() as patched:
            patched.setattr(owner, act, refuse)
            with pytest.raises(PermissionError):
                experiments.begin(recipe, out=Path("run"), **NUMPY)
    Path("run").mkdir()
    with monkeypatch.context() as patched:  # a folder that something is mounted on, such as
        patched.setattr(os, "rename", refuse)
        with pytest.raises(PermissionError):
            experiments.begin(recipe, out=Path("run"), **NUMPY)
    assert names_in(in_tmp) == {"runs", "run"}


def test_what_cannot_be_trained_leaves_no_folder(recipe: Recipe, in_tmp: Path) -> None:
    for wrong in (
        dataclasses.replace(recipe, initialization="zeros"),
        dataclasses.replace(recipe, network="lenett"),
        dataclasses.replace(recipe, data="./nowhere"),
        dataclasses.replace(recipe, data="~nobody-of-this-name/pictures"),
        dataclasses.replace(recipe, val=1.0),
    ):
        with pytest.raises(ValueError, match=r"zeros|lenett|does not exist|not a folder|val is"):
            experiments.begin(wrong, **NUMPY)
    with pytest.raises(EngineError):
        experiments.begin(recipe, engine="numpy", threads=0)
    assert names_in(in_tmp) == set()


# --- one process at a time ---------------------------------------------------------------------


HOLD = """
import sys
from pathlib import Path
from lenet.runs import experiments
experiment = experiments.go_on(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_two_processes_in_one_folder_and_kill_9(interrupted: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(interrupted)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        before = (interrupted / "run.json").read_bytes()
        started = time.perf_counter()
        with pytest.raises(RunError, match="is in use: another process trains into it"):
            experiments.go_on(interrupted)
        assert time.perf_counter() - started < 2
        assert (interrupted / "run.json").read_bytes() == before
        assert runs.read(interrupted).status == "running"  # looking is allowed
        load_model(interrupted)
        holder.send_signal(signal.SIGKILL)
    assert experiments.go_on(interrupted).train().finished


def test_the_same_process_is_no_exception(finished: Path) -> None:
    experiment = experiments.go_on(finished)
    with pytest.raises(RunError, match="in use"):
        experiments.go_on(finished)
    experiment.train()
    experiments.go_on(finished).run.close()


def test_a_run_begun_in_one_thread_may_end_in_another(begun: Experiment) -> None:
    thread = threading.Thread(target=begun.train)
    thread.start()
    thread.join()
    experiments.go_on(begun.run.folder).run.close()  # the lock was let go


def test_where_there_can_be_no_lock(interrupted: Path) -> None:
    (interrupted / ".lock").unlink(missing_ok=True)  # on Windows it went with the run's end
    (interrupted / ".lock").mkdir()
    before = (interrupted / "run.json").read_bytes()
    with pytest.raises(OSError, match=r"\.lock"):
        experiments.go_on(interrupted)
    assert (interrupted / "run.json").read_bytes() == before
    load_model(interrupted)


# --- reading a folder --------------------------------------------------------------------------


def test_what_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name, what in (
        ("absent", "does not exist"),
        ("file", "is a file"),
        ("folder", "holds no run.json"),
        ("file/deeper", "does not exist"),
    ):
        said = re.escape(f"{Path(name)} is not a run: it {what}")
        with pytest.raises(RunError, match=said) as caught:
            runs.read(tmp_path / name)
        assert "'lenet runs' lists" in str(caught.value)
    with pytest.raises(RunError):
        runs.read(tmp_path / "nul\0byte")


BROKEN: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "cut": lambda text: text[: len(text) // 2],
    "not JSON": lambda text: "<html>",
    "a list": lambda text: "[]",
    "null": lambda text: "null",
    "a number": lambda text: "1",
    "brackets": lambda text: "[" * 100_000,
    "an unknown key": lambda text: text.replace('"batch_size"', '"batch_sise"'),
    "a value of another type": lambda text: text.replace('"batch_size": 32', '"batch_size": "a"'),
    "a value out of range": lambda text: text.replace('"epochs": 2', '"epochs": -2'),
    "an unknown layer": lambda text: text.replace('"Sigmoid"', '"Sigmoit"'),
    "a network that does not fit": lambda text: text.replace(
        '"in_features": 400', '"in_features": 401'
    ),
    "no UTF-8": lambda text: text.replace("d2l", "\udcff"),
    **{
        f"without {key}": lambda text, key=key: json.dumps(
            {name: value for name, value in json.loads(text).items() if name != key}
        )
        for key in ("recipe", "network", "data", "engine", "versions", "resumed", "outcome")
    },
    "outcome a text": lambda text: json.dumps(json.loads(text) | {"outcome": "finished"}),
    "engine without threads": lambda text: json.dumps(
        json.loads(text) | {"engine": {"name": "numpy", "device": "cpu"}}
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_run_json_is_one_line(name: str, finished: Path) -> None:
    path = finished / "run.json"
    text = BROKEN[name](path.read_text(encoding="utf-8"))
    path.write_bytes(text.encode(errors="surrogateescape"))
    for use in (runs.read, load_model, experiments.go_on):
        with pytest.raises(RunError) as caught:
            use(finished)
        message = str(caught.value)
        assert message.startswith(f"{path} cannot be read: ")
        assert "\n" not in message


@pytest.mark.slow
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_any_run_json_is_read_or_refused(interrupted: Path, data: st.DataObject) -> None:
    """Any value in it may be any other; it is refused in a line, or all is understood."""
    info = info_of(interrupted)
    keep = (interrupted / "run.json").read_bytes()
    part: Any = info
    while True:
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(part[key], dict | list) or not part[key] or data.draw(st.booleans()):
            break
        part = part[key]
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    part[key] = data.draw(scalars | st.just({}) | st.just([]) | st.lists(scalars, max_size=2))
    (interrupted / "run.json").write_text(json.dumps(info), encoding="utf-8")
    try:
        record = runs.read(interrupted)
        assert isinstance(record.status, str)
        assert record.recipe is not None
        runs.list_runs(interrupted.parent)
        load_model(interrupted)
        experiments.go_on(interrupted).run.close()
    except ValueError as error:  # RunError, or what is wrong with its engine, data or settings
        assert "\n" not in str(error)  # noqa: PT017 - there may be no error
    finally:
        (interrupted / "run.json").write_bytes(keep)


def test_list_runs(recipe: Recipe, finished: Path, tmp_path: Path) -> None:
    for name in ("b", "a"):
        shutil.copytree(finished, tmp_path / name)
    change_info(tmp_path / "a", lambda info: info.update(started="2001-01-01"))
    shutil.copytree(finished, tmp_path / "broken")
    (tmp_path / "broken" / "run.json").write_text("{")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"")
    told: list[str] = []
    found = runs.list_runs(tmp_path, told.append)
    assert [record.folder.name for record in found] == ["a", "b", "finished"]
    assert [record.folder.name for record in runs.list_runs(tmp_path)] == ["a", "b", "finished"]
    (line,) = told
    assert line.startswith(f"{tmp_path / 'broken' / 'run.json'} cannot be read: ")
    assert runs.list_runs(tmp_path / "nowhere") == []
    assert runs.list_runs(tmp_path / "file") == []


def test_the_table_of_runs(finished: Path) -> None:
    record = runs.read(finished)
    accuracy = f"{record.history[-1].test_acc:.3f}"

    def shown(width: int, **how: bool) -> str:
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(table.render([record], ["mine \x1b[31m"], width, **how))
        return console.export_text()

    wide = shown(200)
    for word in ("finished", "my pictures ∂", "train loss", "test acc by epoch", accuracy):
        assert word in wide
    assert "\x1b" not in wide  # a stranger's name moves no cursor
    assert shown(200, ascii_only=True) != wide
    narrow = shown(40)
    assert accuracy in narrow
    assert "train loss" not in narrow


# --- history -----------------------------------------------------------------------------------


LOSSES = st.floats(allow_nan=False)
SHARES = st.floats(0, 1)
READINGS = st.builds(
    Reading,
    step=st.integers(0, 10**12),
    examples_seen=st.integers(0, 10**15),
    train_loss=LOSSES,
    train_acc=SHARES,
    **dict.fromkeys(("epoch", "wall_s", "examples_per_s"), st.floats(0, allow_infinity=False)),
    **dict.fromkeys(("val_loss", "test_loss"), st.none() | LOSSES),
    **dict.fromkeys(("val_acc", "test_acc"), st.none() | SHARES),
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(readings=st.lists(READINGS, max_size=5))
def test_history_reads_back_as_it_was(readings: list[Reading], tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(runs.history_text(readings), encoding="utf-8")
    assert runs.read_history(path) == readings
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))  # what an editor made of it
    assert runs.read_history(path) == readings


def test_a_torn_history_gives_its_whole_rows(finished: Path) -> None:
    """Cut anywhere: what is read is the first rows, and never a number that was cut short."""
    path = finished / "history.csv"
    whole, content = runs.read_history(path), path.read_bytes()
    for length in reversed(range(len(content))):
        os.truncate(path, length)
        assert runs.read_history(path) == whole[: max(0, content[:length].count(b"\n") - 1)]
    for garbage in (bytes(300_000), b'"' * 9, b"\xff\n", b"1,2\n", b"\n", b",,,,,,,,,,\n"):
        path.write_bytes(content + garbage)
        assert runs.read_history(path) == whole
    path.write_bytes(b"epoch;step\n1;2\n")
    assert runs.read_history(path) == []
    path.unlink()
    assert runs.read_history(path) == []


# --- going on ----------------------------------------------------------------------------------


def test_history_is_cut_back_to_the_checkpoint(finished: Path, recipe: Recipe) -> None:
    """As if it had been killed after readings that no checkpoint knows of."""
    expected = result(finished)
    checkpoint_files(finished)[-1].unlink()
    (finished / "model.safetensors").unlink()
    with (finished / "history.csv").open("a") as file:
        file.write("3.0,15,480,0.1,0.")
    experiment = experiments.go_on(finished)
    assert len(runs.read_history(finished / "history.csv")) == 5
    assert experiment.run.earlier == runs.read_history(finished / "history.csv")
    assert experiment.run.start.progress.examples_seen == 160
    outcome = experiment.train()
    assert len(outcome.history) == 5
    assert result(finished) == expected


def test_going_on_with_a_finished_run_changes_nothing(finished: Path) -> None:
    expected, history = result(finished), (finished / "history.csv").read_bytes()
    for time_ in (1, 2):
        experiment = experiments.go_on(finished)
        assert experiment.run.remarks == []
        outcome = experiment.train()
        assert outcome.finished
        assert outcome.history == []
        assert result(finished) == expected
        assert (finished / "history.csv").read_bytes() == history
        info = info_of(finished)
        assert info["outcome"]["status"] == "finished"
        assert info["outcome"]["epochs"] == 2
        assert len(info["resumed"]) == time_
        assert info["resumed"][-1]["examples_seen"] == 320
        assert info["resumed"][-1]["changed"] == []


@pytest.mark.slow
def test_more_epochs(finished: Path, recipe: Recipe, tmp_path: Path) -> None:
    longer = recipes.change(recipe, "epochs", 4)
    experiments.begin(longer, out=tmp_path / "whole", **NUMPY).train()
    experiments.go_on(finished, epochs=3).train()
    experiments.go_on(finished, epochs=4).train()
    assert result(finished) == result(tmp_path / "whole")
    assert runs.read(finished).recipe == runs.read(tmp_path / "whole").recipe


def test_weights_of_a_run_that_trains_on_are_the_newer_ones(finished: Path) -> None:
    experiment = experiments.go_on(finished, epochs=4)
    experiment.train(stop=after(15, experiment))
    assert runs.read(finished).status == "interrupted"
    newest, _ = last_checkpoint(finished)
    assert newest is not None
    assert newest.state.step == 15
    _, parameters = load_model(finished)
    assert (parameters["0.weight"] == newest.state.parameters["0.weight"]).all()
    _, old = load_network(finished / "model.safetensors")
    assert (parameters["0.weight"] != old["0.weight"]).any()


def test_fewer_epochs_than_were_trained_are_refused(finished: Path) -> None:
    before = (finished / "run.json").read_bytes()
    with pytest.raises(RunError, match="is in epoch 2 already: it cannot end after 1"):
        experiments.go_on(finished, epochs=1)
    assert (finished / "run.json").read_bytes() == before
    experiments.go_on(finished, epochs=2).run.close()  # and the lock was let go


def test_other_pictures_are_refused(recipe: Recipe, pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures, tmp_path / "data")
    own = dataclasses.replace(recipe, data=str(tmp_path / "data"))
    experiment = experiments.begin(own, out=tmp_path / "run", **NUMPY)
    experiment.train(stop=after(7, experiment))
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.*")}
    images = bytearray((tmp_path / "data" / data.FILES[0]).read_bytes())
    images[-1] ^= 1
    (tmp_path / "data" / data.FILES[0]).write_bytes(images)
    with pytest.raises(RunError, match=r"was trained on other pictures .* sha256 differs"):
        experiments.go_on(tmp_path / "run")
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(data.DataError):
        experiments.go_on(tmp_path / "run")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.*")} == before


def test_another_machine_is_remarked_and_recorded(interrupted: Path) -> None:
    def elsewhere(info: Any) -> None:
        info["engine"] |= {"threads": 8, "instruction_set": "NEON"}
        info["versions"]["numpy"] = "1.0"

    change_info(interrupted, elsewhere)
    experiment = experiments.go_on(interrupted, threads=1)
    (remark,) = experiment.run.remarks
    assert "threads" not in remark  # NumPy's sums do not depend on them
    for words in ("instruction_set NEON → ", "numpy 1.0 → ", "last bits"):
        assert words in remark
    experiment.train(stop=lambda: True)
    (entry,) = info_of(interrupted)["resumed"]
    assert entry["engine"]["threads"] == 1
    assert len(entry["changed"]) == 2
    again = experiments.go_on(interrupted, threads=1)
    assert again.run.remarks == []  # nothing changed since the last time
    assert again.train().finished
    assert [len(entry["changed"]) for entry in info_of(interrupted)["resumed"]] == [2, 0]


def test_another_engine_takes_its_own_device(interrupted: Path) -> None:
    change_info(interrupted, lambda info: info["engine"].update(name="torch", device="cuda"))
    experiment = experiments.go_on(interrupted, engine="numpy")
    assert "engine torch → numpy, device cuda → cpu" in experiment.run.remarks[0]
    experiment.run.close()
    with pytest.raises(EngineError, match="threads is 0"):
        experiments.go_on(interrupted, engine="numpy", threads=0)


@pytest.mark.slow
def test_it_goes_on_before_a_damaged_checkpoint_and_says_so(finished: Path) -> None:
    expected = result(finished)
    damaged = checkpoint_files(finished)[-1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    experiment = experiments.go_on(finished)
    (remark,) = experiment.run.remarks
    assert remark.startswith(f"{damaged}: damaged")
    assert experiment.run.start.progress.epoch == 1
    experiment.train()
    assert result(finished) == expected
    for path in checkpoint_files(finished):
        path.write_bytes(b"")
    experiment = experiments.go_on(finished)
    assert "starting at the beginning" in experiment.run.remarks[-1]
    experiment.train()
    assert result(finished) == expected
    shutil.rmtree(finished / "checkpoints")
    experiments.go_on(finished).train()
    assert result(finished) == expected


def test_what_killed_processes_left_is_removed(interrupted: Path) -> None:
    for folder in (interrupted, interrupted / "checkpoints"):
        (folder / ".run.json.0123456789abcdef.tmp").write_bytes(b"half")
    experiments.go_on(interrupted).run.close()
    assert unfinished_in(interrupted) == []


# --- weights of a run --------------------------------------------------------------------------


def test_weights_of_an_unfinished_run_are_its_last_checkpoint(interrupted: Path) -> None:
    assert not (interrupted / "model.safetensors").exists()
    newest, _ = last_checkpoint(interrupted)
    assert newest is not None
    network, parameters = load_model(interrupted)
    assert network.name == "lenet"
    assert list(parameters) == list(parameter_shapes(network))
    for name, value in parameters.items():
        assert (value == newest.state.parameters[name]).all()
    for path in checkpoint_files(interrupted):
        path.unlink()
    with pytest.raises(RunError, match="has no weights yet: go on with 'lenet train --resume"):
        load_model(interrupted)


def test_weights_that_are_not_the_networks(interrupted: Path) -> None:
    mlp = recipes.change(runs.read(interrupted).recipe, "network", "mlp")
    other = experiments.begin(mlp, out=interrupted.parent / "other", **NUMPY)
    other.train(stop=after(7, other))
    for path in checkpoint_files(interrupted):
        path.unlink()
    for path in checkpoint_files(other.run.folder):
        shutil.copy(path, interrupted / "checkpoints")
    for use in (load_model, experiments.go_on):
        with pytest.raises(RunError, match="checkpoints: weights: not the parameters of network"):
            use(interrupted)


def test_a_damaged_model(finished: Path) -> None:
    (finished / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_model(finished)
    (finished / "model.safetensors").unlink()
    load_model(finished)  # its last checkpoint is still there


def test_early_stopping_keeps_the_best(recipe: Recipe, tmp_path: Path) -> None:
    changes = {"val": 0.25, "early_stopping.patience": 2, "epochs": 4}
    for key, value in changes.items():
        recipe = recipes.change(recipe, key, value)
    experiment = experiments.begin(recipe, out=tmp_path / "run", **NUMPY)
    outcome = experiment.train()
    assert outcome.checkpoint.best is not None
    _, parameters = load_model(tmp_path / "run")
    assert (parameters["0.weight"] == outcome.checkpoint.best["0.weight"]).all()
    (tmp_path / "run" / "model.safetensors").unlink()
    _, parameters = load_model(tmp_path / "run")
    assert (parameters["0.weight"] == outcome.checkpoint.best["0.weight"]).all()


def test_a_recipe_may_train_on_a_part(recipe: Recipe, small: data.Dataset) -> None:
    recipe = recipes.change(recipes.change(recipe, "val", 0.25), "pictures", 1000)
    parts = preparing.divide(recipe, small)
    assert parts.val is not None
    assert (len(parts.train), len(parts.val)) == (1000, 2500)
    assert np.bincount(parts.train.labels).tolist() == [100] * 10
    held = {picture.tobytes() for picture in parts.val.images}
    learnt = {picture.tobytes() for picture in parts.train.images}
    assert not held & learnt
    with pytest.raises(recipes.RecipeError, match="7,501, but there are 7,500"):
        preparing.divide(recipes.change(recipe, "pictures", 7501), small)
    with pytest.raises(recipes.RecipeError, match="pictures is -1"):
        preparing.check(recipes.change(recipe, "pictures", -1))


# --- how a run ends ----------------------------------------------------------------------------


def test_interrupted(begun: Experiment, drawn: list[Path]) -> None:
    begun.train(stop=after(7, begun))
    interrupted = begun.run.folder
    record = runs.read(interrupted)
    assert record.status == "interrupted"
    outcome = record.info["outcome"]
    assert outcome["epochs"] == 1
    assert outcome["examples_seen"] > 160
    assert "model_sha256" not in outcome
    assert drawn == [interrupted]


def test_stopped_at_once(begun: Experiment, drawn: list[Path]) -> None:
    outcome = begun.train(stop=lambda: True)
    assert not outcome.finished
    assert runs.read(begun.run.folder).status == "interrupted"
    assert "last" not in runs.read(begun.run.folder).info["outcome"]
    assert drawn == []
    assert experiments.go_on(begun.run.folder).train().finished


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of the overflow we are after
def test_a_loss_that_is_no_number(recipe: Recipe, tmp_path: Path) -> None:
    wild = recipes.change(recipe, "schedule.learning_rate", 1e30)
    wild = recipes.change(wild, "schedule.warmup_epochs", 1.2)  # calm enough for one epoch
    wild = recipes.change(recipes.change(wild, "network", "lenet-relu"), "epochs", 3)
    tame = recipes.change(wild, "schedule.learning_rate", 1e-3)
    folder = tmp_path / "run"
    begun = experiments.begin(tame, out=folder, **NUMPY)
    begun.train(stop=after(5, begun))
    change_info(folder, lambda info: info["recipe"]["schedule"].update(learning_rate=1e30))
    good, _ = last_checkpoint(folder)
    with pytest.raises(TrainingError, match=r"the loss of step \d+ is (nan|inf): .* smaller") as e:
        experiments.go_on(folder).train()
    record = runs.read(folder)
    assert record.status == "failed"
    assert record.info["outcome"]["message"] == str(e.value)
    kept, remarks = last_checkpoint(folder)
    assert remarks == []
    assert kept is not None
    assert good is not None
    assert kept.progress == good.progress
    assert all(np.isfinite(value).all() for value in load_model(folder)[1].values())
    change_info(folder, lambda info: info["recipe"]["schedule"].update(learning_rate=1e-3))
    assert experiments.go_on(folder).train().finished


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (RuntimeError("CUDA out of memory"), "failed", "CUDA out of memory"),
        (BrokenPipeError(32, "Broken pipe"), "interrupted", "[Errno 32] Broken pipe"),
    ],
)
def test_any_error_is_recorded_and_the_folder_let_go(
    error: BaseException, status: str, message: str, finished: Path
) -> None:
    expected = result(finished)

    def fail(_: object) -> None:
        raise error

    shutil.rmtree(finished / "checkpoints")
    with pytest.raises(type(error)):
        experiments.go_on(finished).train([Callbacks(on_stretch=fail)])
    outcome = info_of(finished)["outcome"]
    assert (outcome["status"], outcome["message"]) == (status, message)
    assert experiments.go_on(finished).train().finished
    assert result(finished) == expected


def test_curves_that_cannot_be_drawn_do_not_undo_the_result(
    begun: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "curves.svg")

    monkeypatch.setattr(experiments, "draw_curves", full)
    with pytest.raises(OSError, match=r"curves\.svg"):
        begun.train()
    assert runs.read(begun.run.folder).status == "finished"
    load_network(begun.run.folder / "model.safetensors")
    experiments.go_on(begun.run.folder).run.close()


@pytest.mark.needs("open files moved")
@pytest.mark.parametrize("how", ["removed", "moved"])
def test_the_folder_vanishes_while_it_trains(how: str, begun: Experiment) -> None:
    folder = begun.run.folder

    def vanish(_: object) -> None:
        if how == "removed":
            shutil.rmtree(folder, ignore_errors=True)
        elif folder.exists():
            folder.rename(folder.with_name("elsewhere"))

    with pytest.raises(FileNotFoundError, match=r"No such file or directory: .*run/") as caught:
        begun.train([Callbacks(on_reading=vanish)])
    assert caught.value.filename.startswith(str(folder))
    assert not folder.exists()
    if how == "moved":
        assert experiments.go_on(folder.with_name("elsewhere")).train().finished


def test_a_clock_that_is_set_back(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a century, while it is interrupted: names and times are strange, nothing else."""
    expected = result(finished)
    shutil.rmtree(finished / "checkpoints")
    monkeypatch.setattr(runs.run, "_now", lambda: "1926-11-21T00:00:00+00:00")
    monkeypatch.setattr(time, "time", lambda: -1.4e9)
    experiments.go_on(finished).train()
    assert result(finished) == expected
    assert all(row.wall_s >= 0 for row in runs.read(finished).history)


# --- no space left -----------------------------------------------------------------------------


@pytest.mark.slow
def test_no_space_left_at_every_save(
    recipe: Recipe, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sync of a file or folder fails in its turn; then there is space, and it goes on."""
    expected = result(finished)
    sync, count = os.fsync, 0

    def counted(handle: int) -> None:
        nonlocal count
        count += 1
        if count == fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    fails_at = 0
    while True:
        fails_at += 1
        folder = tmp_path / f"run {fails_at}"
        begun = experiments.begin(recipe, out=folder, **NUMPY)
        count = 0
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", counted)
            try:
                begun.train()
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - the last time there is none
                assert str(folder) in str(error.filename)  # noqa: PT017
        assert unfinished_in(folder) == []
        found, remarks = last_checkpoint(folder)
        assert remarks == []
        assert (found is None) == (fails_at <= 2)
        assert runs.read(folder).status == "failed"
        assert experiments.go_on(folder).train().finished
        assert result(folder) == expected
    assert fails_at == 2 * 3 + 2 + 2 + 1  # two checkpoints, the model, run.json; then none


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_no_space_left_for_a_reading(begun: Experiment, recipe: Recipe, tmp_path: Path) -> None:
    history = begun.run.folder / "history.csv"
    kept = history.read_bytes()
    history.unlink()
    history.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        begun.train()
    assert caught.value.filename == str(history)
    history.unlink()
    history.write_bytes(kept)
    assert runs.read(begun.run.folder).status == "failed"
    assert experiments.go_on(begun.run.folder).train().finished  # the lock was let go
    experiments.begin(recipe, out=tmp_path / "whole", **NUMPY).train()
    assert result(begun.run.folder) == result(tmp_path / "whole")


DISK = """
import os, shutil, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from lenet.runs import experiments
from lenet.training import recipes
from lenet import runs, training
from lenet.runs.checkpoints import last_checkpoint
from lenet.training import Callbacks
from test_runs import NUMPY, result, unfinished_in

disk, pictures = map(Path, sys.argv[1:])
experiments.draw_curves = experiments.load_ahead = lambda *run: None
training.STRETCH_S = 0.0
recipe = recipes.load(
    "d2l", {{"data": str(pictures), "epochs": 2, "batch_size": 32, "schedule.learning_rate": 0.5}}
)
experiments.begin(recipe, out=disk.parent / "whole", **NUMPY).train()
expected = result(disk.parent / "whole")
ballast = disk / "ballast"

def fill():
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == 28

def told(attempt):
    try:
        attempt()
    except OSError as error:
        assert error.errno == 28 and str(disk) in str(error), error
        return True
    return False

for stretch in (1, 3, 5, 6, 8, 10):
    folder = disk / f"run {{stretch}}"
    begun = experiments.begin(recipe, out=folder, **NUMPY)
    seen = []
    def on_stretch(progress):
        seen.append(progress)
        if len(seen) == stretch:
            fill()
    assert told(lambda: begun.train([Callbacks(on_stretch=on_stretch)])), stretch
    found, remarks = last_checkpoint(folder)
    assert remarks == [] and (found is not None) == (stretch > 5), (stretch, found, remarks)
    assert unfinished_in(folder) == []
    kept = (folder / "run.json").read_bytes()
    assert told(lambda: experiments.go_on(folder))  # still no space, and nothing is lost by trying
    assert unfinished_in(folder) == [] and (folder / "run.json").read_bytes() == kept
    assert told(lambda: experiments.begin(recipe, out=disk / "more", **NUMPY))
    assert not (disk / "more").exists() and not list(disk.glob(".new-run-*"))
    ballast.unlink()
    assert experiments.go_on(folder).train().finished
    assert result(folder) == expected, stretch
    shutil.rmtree(folder)

experiments.begin(recipe, out=disk / "run", **NUMPY).train()
assert os.system(f"mount -o remount,ro '{{disk}}'") == 0
(record,) = runs.list_runs(disk)
runs.load_model(disk / "run")
for attempt in (lambda: experiments.go_on(disk / "run"),
                lambda: experiments.begin(recipe, out=disk / "more", **NUMPY)):
    try:
        attempt()
    except OSError as error:
        assert error.errno == 30 and str(disk) in str(error), error
    else:
        raise AssertionError("a disk that can only be read was written to")
print("held")
"""


@pytest.mark.slow
def test_a_real_disk_that_is_full_or_can_only_be_read(pictures: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = 'mount -t tmpfs -o size=3m tmpfs "$1" || exit 77; exec "$2" -c "$3" "$1" "$4"'
    script = DISK.format(tests=str(Path(__file__).parent))
    try:
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", mount, "sh", disk, sys.executable, script, pictures],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("no small disk can be mounted here: there is no unshare")
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    assert done.stdout == "held\n", done.stderr


@pytest.mark.needs("links")
def test_a_lock_that_is_a_link_is_left_alone(in_tmp: Path) -> None:
    """Taking a lock empties its file: a stranger's folder could name one of yours."""
    experiment = experiments.begin(recipes.load("quickstart", {"network": "mlp"}), out=Path("a"))
    experiment.run.close()
    precious = in_tmp / "precious.txt"
    precious.write_text("mine", encoding="utf-8")
    (Path("a") / ".lock").unlink(missing_ok=True)
    (Path("a") / ".lock").symlink_to(precious)
    assert runs.read("a").state == "killed"  # run.json says running, and nobody holds it
    assert precious.read_text(encoding="utf-8") == "mine"
