"""What a stranger wrote, a run's folder above all: within bounds, or refused by a sentence."""

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lenet import cli, data, runs
from lenet.files import FileError, read_bounded
from lenet.looking import compare
from lenet.network.weights import WeightsError
from lenet.optimization import SettingError
from lenet.runs import RunError, experiments, preparing
from lenet.runs.checkpoints import checkpoint_files, last_checkpoint, load_checkpoint
from lenet.training import recipes
from lenet.training.recipes import RecipeError
from lenet.untrusted import UntrustedError, from_json, from_toml

PYTHONS_OWN = ("Exceeds the limit", "maximum recursion", "Traceback", "Expecting", "codec can't")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a": ' + b"9" * 5_000 + b"}", "5,000 digits"),
        (b'{"a": ' + str(2**63).encode() + b"}", "more than 64 bits"),
        (b"[" * 3_000 + b"]" * 3_000, "nested too deeply"),
        (b"[" * 60 + b"]" * 60, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": 1, "a": 2}', "'a' is there twice"),
        (b'{"a": 1', "not JSON from line 1, column 8 on"),
        (b"", "not JSON"),
        (b'"\xff"', "byte 1 is no UTF-8"),
        (b'"a\x00b"', "not JSON"),
    ],
)
def test_json_within_bounds(text: bytes, said: str) -> None:
    with pytest.raises(UntrustedError, match=said):
        from_json(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a = " + b"9" * 5_000, "too many digits"),
        (b"a = 0x" + b"f" * 5_000, "more than 64 bits"),
        (b"a = " + b"[" * 3_000 + b"]" * 3_000, "nested too deeply"),
        (b"a = " + b"{b=" * 3_000 + b"1" + b"}" * 3_000, "nested too deeply"),
        (b"a" + b".a" * 60_000 + b" = 1", "more than 30 dots"),
        (b"a = 1\na = 2", "not TOML"),
        (b'a = "\xff"', "no UTF-8"),
        (b"[a", "not TOML"),
    ],
)
def test_toml_within_bounds(text: bytes, said: str) -> None:
    with pytest.raises(UntrustedError, match=said):
        from_toml(text)


def test_what_editors_write_is_read() -> None:
    assert from_toml("\ufeffa = -9223372036854775808\r\n".encode()) == {"a": -(2**63)}


@pytest.mark.parametrize(
    "text",
    [
        "epochs = " + "9" * 5_000,
        "epochs = 0x" + "f" * 5_000,
        "val = 1" + "0" * 400,
        "val = 1e999",
        "epochs = " + "[" * 3_000,
        "epochs = 1.5",
        'title = "a\\u001b[2J"',
        'title = "' + "x" * 301 + '"',
        'network = "' + "x" * 101 + '"',
        "layers = '''" + "ReLU()\n" * 10_000 + "'''",
        "x = " + "1" * 300_000,
        "schedule = 3",
        "published = [1]",
    ],
)
def test_a_recipe_within_bounds(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((RecipeError, SettingError)) as caught:
        preparing.check(recipes.load(str(path)))
    message = str(caught.value)
    assert len(message) < 1_500
    assert not any(words in message for words in PYTHONS_OWN)


@pytest.mark.needs("pipes")
def test_a_recipe_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(RecipeError, match="a folder, not a file"):
        recipes.load(str(tmp_path / "folder.toml"))
    if os.name != "nt":
        os.mkfifo(tmp_path / "pipe.toml")
        with pytest.raises(RecipeError, match="a pipe, not a file"):
            recipes.load(str(tmp_path / "pipe.toml"))


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100))
    assert read_bounded(tmp_path / "file", 100) == bytes(100)
    with pytest.raises(FileError, match="has 100 bytes; at most 99"):
        read_bounded(tmp_path / "file", 99)
    with pytest.raises(FileError, match="zero byte"):
        read_bounded(Path("a\0b"), 9)


# --- a run's folder ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(small: data.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a tiny network on few pictures."""
    folder = tmp_path_factory.mktemp("untrusted")
    own = folder / "pictures"
    own.mkdir()
    splits = (data.subset(small.train, 160, 0), data.subset(small.test, 40, 0))
    arrays = [array for split in splits for array in (split.images[:, 0], split.labels)]
    for name, array in zip(data.FILES, arrays, strict=True):
        data.write_idx(own / name, array.astype("uint8"))  # type: ignore[attr-defined]
    layers = "AvgPool2d(7)\nFlatten()\nLinear(16, 10)"
    changes = {"data": str(own), "epochs": 3, "batch_size": 32, "layers": layers, "network": "tiny"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "draw_curves", lambda run: None)
        recipe = recipes.load("d2l", changes)
        experiments.begin(recipe, out=folder / "run", engine="numpy", threads=1).train()
    (folder / "run" / "remarks.jsonl").write_text('{"examples_seen": 5, "text": "slow"}\n')
    return folder / "run"


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    """A folder of runs with a good one, ``good``, and one to be spoilt, ``bad``."""
    for name in ("good", "bad"):
        shutil.copytree(finished, tmp_path / "runs" / name)
    return tmp_path / "runs"


def change(path: Path, key: str, value: Any) -> None:
    """Change the value at a dotted key of a run.json."""
    info = json.loads(path.read_text(encoding="utf-8"))
    part = info
    *before, last = key.split(".")
    for name in before:
        part = part[name]
    part[last] = value
    path.write_text(json.dumps(info), encoding="utf-8")


SPOILT: dict[str, Callable[[Path], object]] = {
    "a date that is a number": lambda run: change(run / "run.json", "started", 1.5),
    "a recipe with 10^400": lambda run: change(run / "run.json", "recipe.val", 10**400),
    "a speed that is a text": lambda run: change(run / "run.json", "outcome.examples_per_s", "x"),
    "a wall clock that is a list": lambda run: change(run / "run.json", "outcome.wall_s", []),
    "a message that is an object": lambda run: change(run / "run.json", "outcome.message", {}),
    "counts that are fractions": lambda run: change(run / "run.json", "data.examples.test", 1.5),
    "a negative count": lambda run: change(run / "run.json", "data.examples.test", -1),
    "a status that acts on a terminal": lambda run: change(
        run / "run.json", "outcome.status", "\x1b"
    ),
    "a title of a million letters": lambda run: change(
        run / "run.json", "recipe.title", "x" * 10**6
    ),
    "a class that acts on a terminal": lambda run: change(
        run / "run.json", "network.classes", [*"abcdefghi", "\x1b[2J"]
    ),
    "a class of 101 letters": lambda run: change(
        run / "run.json", "network.classes", [*"abcdefghi", "x" * 101]
    ),
    "an entry of resumed that is none": lambda run: change(run / "run.json", "resumed", [3]),
    "brackets": lambda run: (run / "run.json").write_text("[" * 3_000),
    "5,000 digits": lambda run: (run / "run.json").write_text('{"recipe": ' + "9" * 5_000 + "}"),
    "two keys": lambda run: (run / "run.json").write_text('{"recipe": {}, "recipe": {}}'),
    "no UTF-8": lambda run: (run / "run.json").write_bytes(b'{"\xff": 1}'),
    "too large": lambda run: (run / "run.json").write_text(" " * 4_000_001),
    "a device": lambda run: (
        (run / "run.json").unlink(),
        (run / "run.json").symlink_to("/dev/zero"),
    ),
    "a link": lambda run: (
        (run / "run.json").rename(run / "other"),
        (run / "run.json").symlink_to("other"),
    ),
    "a pipe": lambda run: ((run / "run.json").unlink(), os.mkfifo(run / "run.json")),
    "a folder": lambda run: ((run / "run.json").unlink(), (run / "run.json").mkdir()),
    "a history that is a pipe": lambda run: (
        (run / "history.csv").unlink(),
        os.mkfifo(run / "history.csv"),
    ),
}


@pytest.mark.skipif(os.name == "nt", reason="no pipes there, and links need a privilege")
@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_run_is_told_of_and_hides_no_other(
    name: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    SPOILT[name](root / "bad")
    told: list[str] = []
    assert [run.folder.name for run in runs.list_runs(root, told.append)] == ["good"]
    (message,) = told
    assert "bad" in message
    assert "cannot be read: " in message
    assert message.isprintable()
    assert len(message) < 1_000
    assert not any(words in message for words in PYTHONS_OWN)
    with pytest.raises(RunError):
        compare.entry(str(root / "bad"))
    assert cli.run(["runs", "--root", str(root)]) == 0
    shown = capsys.readouterr()
    assert "good" in shown.out
    assert "bad" in shown.err


REMARKS = [
    b'{"examples_seen": Infinity, "text": "x"}',
    b'{"examples_seen": NaN, "text": "x"}',
    b'{"examples_seen": 1e400, "text": "x"}',
    b'{"examples_seen": 1' + b"0" * 400 + b', "text": "x"}',
    b'{"examples_seen": ' + b"9" * 5_000 + b', "text": "x"}',
    b'{"examples_seen": -1, "text": "x"}',
    b'{"examples_seen": true, "text": "x"}',
    b'{"examples_seen": 1, "text": 3}',
    b'{"examples_seen": 1, "text": "x", "text": "y"}',
    b"[" * 3_000,
    b"null",
    b"\xff\xfe",
]


def test_a_bad_remark_hides_no_other(root: Path) -> None:
    good = b'{"examples_seen": 7, "text": "good\\u001b[2J"}'
    path = root / "bad" / "remarks.jsonl"
    path.write_bytes(b"\n".join([*REMARKS, good]) + b"\n")
    assert runs.read_remarks(path) == [runs.Remark(7, "good?[2J")]
    path.write_bytes((good + b"\n") * 5_000)
    assert len(runs.read_remarks(path)) == runs.MOST_REMARKS
    path.unlink()
    path.mkdir()
    assert runs.read_remarks(path) == []


@pytest.mark.parametrize(
    "cell",
    ["1" + "0" * 400, "9" * 5_000, "-1", "NaN", "Infinity", "1e999", "x", "0x10", "\x1b", "１e9"],
)
@pytest.mark.parametrize("column", ["step", "examples_seen", "epoch", "test_acc", "wall_s"])
def test_a_bad_row_ends_the_history(cell: str, column: str, root: Path) -> None:
    path = root / "bad" / "history.csv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    cells = rows[-1].split(",")
    cells[header.split(",").index(column)] = cell
    path.write_text("\n".join([header, *rows[:-1], ",".join(cells)]) + "\n", encoding="utf-8")
    readings = runs.read_history(path)
    if cell == "１e9" and column not in ("step", "examples_seen", "test_acc"):
        return  # a full-width digit is a digit to Python, and harmless
    assert len(readings) == len(rows) - 1


# --- checkpoints -------------------------------------------------------------------------------


def test_a_checkpoint_under_another_step_s_name_is_passed_over(root: Path) -> None:
    run = root / "bad"
    *_, before, newest = checkpoint_files(run)
    content = newest.name.split(".", 1)
    renamed = newest.with_name(f"step-0000999.{content[1]}")
    newest.rename(renamed)
    with pytest.raises(WeightsError, match=r"its step is \d+, by its name 999"):
        load_checkpoint(renamed)
    found, told = last_checkpoint(run)
    assert found is not None
    assert found.state.step == load_checkpoint(before).state.step
    assert len(told) == 1


def test_a_fourth_checkpoint_is_removed_when_the_run_goes_on(root: Path) -> None:
    run = root / "bad"
    from lenet.runs import checkpoints
    from lenet.training import Checkpoint

    (first, *rest) = [load_checkpoint(path) for path in checkpoint_files(run)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "KEPT", 9)  # as if killed between the new one and the old
        state = first.state
        older = type(state)(state.parameters, state.moments, state.average, state.step - 1)
        checkpoints.save_checkpoint(run, Checkpoint(older, first.progress, first.best))
        for each in rest:
            checkpoints.save_checkpoint(run, each)
        checkpoints.save_checkpoint(run, first)
        for each in rest:
            checkpoints.save_checkpoint(run, each)
    assert len(checkpoint_files(run)) == 4
    experiments.go_on(run, epochs=4).run.close()
    assert len(checkpoint_files(run)) == 3


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_in_a_run_s_folder_lead_nowhere(root: Path) -> None:
    run = root / "bad"
    (run / "model.safetensors").rename(root / "elsewhere")
    (run / "model.safetensors").symlink_to(root / "elsewhere")
    with pytest.raises(WeightsError, match="a link, not a file"):
        runs.load_model(run)
    precious = root / "precious"
    precious.write_text("mine")
    (run / ".lock").unlink(missing_ok=True)
    (run / ".lock").symlink_to(precious)
    with pytest.raises(RunError, match="is not a plain file: remove it"):
        experiments.go_on(run, epochs=4)
    assert precious.read_text() == "mine"
    (run / "checkpoints").rename(root / "others")
    (run / "checkpoints").symlink_to(root / "others")
    assert checkpoint_files(run) == []


# --- any file of it ----------------------------------------------------------------------------

PIECES = [
    *(b"NaN", b"Infinity", b"-1", b"1e400", b"1" + b"0" * 400, b"9" * 5_000, b"true", b"null"),
    *(b"[" * 3_000, b"{}", b"[]", b'"\\u001b[2J"', b"\xff\xfe", b"\0", b'"' + b"x" * 20_000 + b'"'),
    *(b"\n", b",", b'"', b"1.5", b"0x10", b"{" * 3_000),
]
FILES = ("run.json", "history.csv", "remarks.jsonl", "model.safetensors")


def spoilt(content: bytes, draw: random.Random) -> bytes:
    """Some bytes with values exchanged, pieces put in, cut out, or cut off."""
    for _ in range(draw.randint(1, 3)):
        start = draw.randrange(len(content) + 1)
        match draw.randrange(4):
            case 0:
                content = content[:start] + draw.choice(PIECES) + content[start:]
            case 1:
                content = content[:start] + content[start + draw.randint(1, 40) :]
            case 2:
                content = content[:start]
            case _:  # a whole value in another's place
                at = content.find(b": ", start)
                end = content.find(b",", at)
                if 0 <= at < end:
                    content = content[: at + 2] + draw.choice(PIECES) + content[end:]
    return content


def read_all_of_it(root: Path) -> None:
    """What ``lenet runs`` and looking at a run do; nothing but the errors that are told."""
    names = [run.folder.name for run in runs.list_runs(root)]
    assert "good" in names
    for use in (runs.read, runs.load_model, lambda run: compare.entry(str(run))):
        began = time.process_time()
        try:
            use(root / "bad")
        except (RunError, WeightsError) as error:
            message = str(error)
            assert message.isprintable()
            assert not any(words in message for words in PYTHONS_OWN)
        assert time.process_time() - began < 1
    runs.read_remarks(root / "bad" / "remarks.jsonl")


def fuzz(root: Path, count: int, seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(count):
        path = root / "bad" / draw.choice(FILES)
        content = path.read_bytes()
        path.write_bytes(spoilt(content, draw))
        try:
            read_all_of_it(root)
        finally:
            path.write_bytes(content)


def test_any_file_of_a_run_may_hold_anything(root: Path) -> None:
    fuzz(root, 8, seed=0)


@pytest.mark.slow
def test_any_file_of_a_run_may_hold_anything_many_times(root: Path) -> None:
    fuzz(root, 150, seed=1)
