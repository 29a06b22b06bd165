"""Checkpoints: every bit comes back, every damage is found, the one before it is used."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from lenet import data
from lenet.engines.numpy import NumpyEngine
from lenet.network.architecture import Network
from lenet.network.layers import Flatten, Linear
from lenet.network.parameters import Parameters, State, initialize
from lenet.network.weights import WeightsError, pack
from lenet.network.zoo import class_names
from lenet.optimization import EarlyStopping, Optimizer, Schedule, Settings
from lenet.runs.checkpoints import (
    KEPT,
    checkpoint_files,
    last_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from lenet.training import Callbacks, Checkpoint, Parts, Progress, fit

OPTIMIZERS = {
    "sgd": Optimizer(),
    "momentum": Optimizer(momentum=0.9),
    "nesterov, average": Optimizer(momentum=0.9, nesterov=True, average=0.9),
    "adam": Optimizer("adam"),
    "adamw, average": Optimizer("adamw", weight_decay=0.01, average=0.99),
}
PERCEPTRON = Network("perceptron", (1, 28, 28), (Flatten(), Linear(784, 10)), class_names(10))


@pytest.fixture(scope="module")
def parts(small: data.Dataset) -> Parts:
    train, val = data.hold_out(data.subset(small.train, 200, 0), 0.2, 0)
    return Parts(train, val, None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder, as far as checkpoints are concerned."""
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    return tmp_path / "run"


def trained(parts: Parts, optimizer: Optimizer, patience: int = 0) -> list[Checkpoint]:
    """The checkpoints of three epochs on real pictures."""
    settings = Settings(
        epochs=3,
        batch_size=50,
        optimizer=optimizer,
        schedule=Schedule(learning_rate=0.01),
        early_stopping=EarlyStopping(patience),
    )
    engine = NumpyEngine(PERCEPTRON, optimizer, settings.objective)
    found: list[Checkpoint] = []
    start = Checkpoint(State(initialize(PERCEPTRON, "xavier", 0)))
    fit(engine, parts, settings, start, [Callbacks(on_checkpoint=found.append)])
    return found


def small_checkpoint(step: int) -> Checkpoint:
    """A few hundred bytes: for damages by the thousand."""
    random = np.random.default_rng(step)
    numbers = {"1.weight": random.normal(size=(3, 4)).astype(np.float32)}
    return Checkpoint(State(numbers, {"momentum_buffer": numbers}, None, step))


def same(one: Parameters | None, other: Parameters | None) -> bool:
    if one is None or other is None:
        return one is other
    return {name: value.tobytes() for name, value in one.items()} == {
        name: value.tobytes() for name, value in other.items()
    }


def assert_same(one: Checkpoint, other: Checkpoint) -> None:
    assert same(one.state.parameters, other.state.parameters)
    assert one.state.moments.keys() == other.state.moments.keys()
    for name in one.state.moments:
        assert same(one.state.moments[name], other.state.moments[name])
    assert same(one.state.average, other.state.average)
    assert one.state.step == other.state.step
    assert one.progress == other.progress
    assert same(one.best, other.best)


# --- round trip --------------------------------------------------------------------------------


@pytest.mark.parametrize("patience", [0, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_bit_comes_back(name: str, patience: int, parts: Parts, folder: Path) -> None:
    for checkpoint in trained(parts, OPTIMIZERS[name], patience):
        again = load_checkpoint(save_checkpoint(folder, checkpoint))
        assert_same(again, checkpoint)
        assert set(again.state.moments) == set(OPTIMIZERS[name].moments)
        assert (again.state.average is not None) == bool(OPTIMIZERS[name].average)
        assert (again.best is not None) == bool(patience)
        assert math.isinf(again.progress.lowest_val_loss) == (not patience)
    assert again.progress.epoch == 3
    engine = NumpyEngine(PERCEPTRON, OPTIMIZERS[name], Settings().objective)
    engine.load(again.state)
    assert_same(Checkpoint(engine.state(), again.progress, again.best), checkpoint)


def test_strange_numbers_come_back(folder: Path) -> None:
    """Sums in the middle of an epoch, all digits of them, and weights that are no numbers."""
    strange = np.array([np.nan, np.inf, -0.0, 1e-45, 3.4e38], np.float32)
    progress = Progress(7, 12345, 0.1 + 0.2, 3, 10**12, 1e-300, math.pi, 1 / 3, 2)
    checkpoint = Checkpoint(
        State({"0.weight": strange}, step=10**12), progress, {"0.bias": strange}
    )
    assert_same(load_checkpoint(save_checkpoint(folder, checkpoint)), checkpoint)


# --- damage ------------------------------------------------------------------------------------


@pytest.fixture
def two(folder: Path) -> tuple[Path, Checkpoint, Path, bytes]:
    """A folder, its older checkpoint, and the newer one's path and bytes."""
    older = small_checkpoint(1)
    save_checkpoint(folder, older)
    path = save_checkpoint(folder, small_checkpoint(2))
    return folder, older, path, path.read_bytes()


def assert_passed_over(folder: Path, older: Checkpoint, path: Path) -> None:
    found, remarks = last_checkpoint(folder)
    assert found is not None
    assert_same(found, older)
    (remark,) = remarks
    assert remark.startswith(f"{path}: damaged")
    assert "passed over" in remark


def test_cut_at_200_places(two: tuple[Path, Checkpoint, Path, bytes]) -> None:
    folder, older, path, content = two
    for length in np.linspace(0, len(content) - 1, 200, dtype=int):
        path.write_bytes(content[:length])
        assert_passed_over(folder, older, path)
    path.write_bytes(content + b"\0")
    assert_passed_over(folder, older, path)
    path.write_bytes(bytes(len(content)))  # what some file systems leave after a power failure
    assert_passed_over(folder, older, path)
    path.write_bytes(content)
    assert last_checkpoint(folder)[1] == []


def test_a_thousand_flipped_bits(two: tuple[Path, Checkpoint, Path, bytes]) -> None:
    folder, older, path, content = two
    random = np.random.default_rng(0)
    for place in random.choice(len(content) * 8, 1000, replace=False):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        with path.open("r+b") as file:  # in place: a thousand new files keep a disk busy
            file.write(damaged)
        assert_passed_over(folder, older, path)


def test_a_checkpoint_of_a_real_network_damaged(parts: Parts, folder: Path) -> None:
    *_, older, newer = trained(parts, OPTIMIZERS["adamw, average"], patience=3)
    save_checkpoint(folder, older)
    path = save_checkpoint(folder, newer)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1  # the last bit of a number
    path.write_bytes(content)
    assert_passed_over(folder, older, path)


def test_all_damaged_or_none_there(folder: Path) -> None:
    assert last_checkpoint(folder) == (None, [])
    for step in range(3):
        save_checkpoint(folder, small_checkpoint(step)).write_bytes(b"")
    found, remarks = last_checkpoint(folder)
    assert found is None
    assert len(remarks) == 3
    assert last_checkpoint(folder / "no such folder") == (None, [])


def test_the_right_checksum_of_the_wrong_thing(folder: Path) -> None:
    """A file that was whole when it was written but is no checkpoint of this program."""
    import hashlib

    numbers = {"parameters/0.weight": np.ones(2, np.float32)}
    whole = dataclasses.asdict(Progress()) | {"lowest_val_loss": None}
    for metadata, tensors in (
        ({}, numbers),
        ({"step": 1}, numbers),
        ({"step": 1, "progress": None}, numbers),
        ({"step": 1, "progress": {}}, numbers),
        ({"step": 1, "progress": {**whole, "humour": 1}}, numbers),
        ({"progress": whole}, numbers),
        ({"step": 1, "progress": whole}, {"best/0.weight": numbers["parameters/0.weight"]}),
    ):
        content = pack(tensors, metadata)
        checksum = hashlib.sha256(content).hexdigest()[:16]
        path = folder / "checkpoints" / f"step-0000001.{checksum}.safetensors"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="not a checkpoint of this version"):
            load_checkpoint(path)
    path.write_bytes(pack(numbers, {"step": 1, "progress": whole}))
    with pytest.raises(WeightsError, match="do not match the checksum"):
        load_checkpoint(path)


# --- which are kept ----------------------------------------------------------------------------


def steps(folder: Path) -> list[int]:
    return [int(path.name.split(".")[0].removeprefix("step-")) for path in checkpoint_files(folder)]


def test_only_the_last_three_are_kept(folder: Path) -> None:
    for step in range(1, 6):
        save_checkpoint(folder, small_checkpoint(step))
        assert steps(folder) == list(range(max(1, step - 2), step + 1))
    assert KEPT == 3
    assert len(list((folder / "checkpoints").iterdir())) == 3


def test_steps_are_counted_not_spelled(folder: Path) -> None:
    """Seven digits are not enough for a long run in batches of one."""
    for step in (9_999_998, 9_999_999, 10_000_000, 123_456_789_012):
        save_checkpoint(folder, small_checkpoint(step))
    assert steps(folder) == [9_999_999, 10_000_000, 123_456_789_012]
    found, _ = last_checkpoint(folder)
    assert found is not None
    assert found.state.step == 123_456_789_012


def test_going_on_before_damaged_ones_keeps_the_new_ones(folder: Path) -> None:
    """The run had to begin again: what it saves now is not the oldest of four."""
    for step in (30, 40, 50):
        save_checkpoint(folder, small_checkpoint(step)).write_bytes(b"")
    for step in (5, 10, 15, 20):
        save_checkpoint(folder, small_checkpoint(step))
        found, remarks = last_checkpoint(folder)
        assert found is not None
        assert found.state.step == step
        assert remarks == []
    assert steps(folder) == [10, 15, 20]


def test_the_same_step_again_after_damage(folder: Path) -> None:
    """The checksums differ, since the wall clock does; only the whole one is left."""
    for step in (1, 2):
        path = save_checkpoint(folder, small_checkpoint(step))
    path.write_bytes(b"")
    again = small_checkpoint(2)
    for wall_s in range(20):  # on either side of the damaged one by name
        again = dataclasses.replace(again, progress=Progress(wall_s=wall_s))
        save_checkpoint(folder, again)
        found, _ = last_checkpoint(folder)
        assert found is not None
        assert found.progress.wall_s == wall_s


def test_foreign_files_are_passed_over_and_left_alone(folder: Path) -> None:
    place = folder / "checkpoints"
    foreign = (
        *("notes.txt", ".hidden", "step-", "step-9.safetensors", "step-zzzzzzz.safetensors"),
        *(
            "step-9999999.0123456789abcdeg.safetensors",
            "step-9999999.0123456789abcdef.safetensors~",
        ),
        *("model.safetensors", "step-9999999.tmp", "step-99.0123456789abcdef.0.safetensors"),
    )
    for name in foreign:
        (place / name).write_bytes(b"foreign")
    folders = ("step-0000009", "step-9999999.0123456789abcdef.safetensors", "backup")
    for name in folders:
        (place / name).mkdir()
        (place / name / "kept").write_bytes(b"kept")
    for step in range(1, 6):
        save_checkpoint(folder, small_checkpoint(step))
    assert steps(folder) == [3, 4, 5]
    found, remarks = last_checkpoint(folder)
    assert found is not None
    assert found.state.step == 5
    assert remarks == []
    assert {path.name for path in place.iterdir()} >= {*foreign, *folders}


@pytest.mark.needs("links")
def test_a_checkpoint_that_is_no_file(folder: Path) -> None:
    save_checkpoint(folder, small_checkpoint(1))
    missing = folder / "checkpoints" / "step-0000002.0123456789abcdef.safetensors"
    missing.symlink_to("nowhere")
    found, remarks = last_checkpoint(folder)
    assert found is not None
    assert found.state.step == 1
    assert remarks == []
    with pytest.raises(WeightsError, match="a link, not a file"):
        load_checkpoint(missing)
