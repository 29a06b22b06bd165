"""One training over many processes: threads stand in for them, and torchrun starts real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from engine_cases import Pictures, assert_close, network_of, random_pictures
from lenet import engines, runs
from lenet.cli.several import Stop
from lenet.engines import Batches, Choice, EngineError, Metrics, Position
from lenet.engines.distributed import DistributedEngine
from lenet.engines.group import Group, LostContactError, largest, meet
from lenet.network.layers import Conv2d, Dropout, MaxPool2d, ReLU
from lenet.network.parameters import State, initialize
from lenet.network.weights import load_network
from lenet.optimization import Objective, Optimizer
from lenet.processes import Place, place
from lenet.runs import experiments, together
from lenet.training import TrainingError, recipes

T = TypeVar("T")
NETWORK = network_of((2, 8, 8), Conv2d(2, 4, 3), ReLU(), MaxPool2d(2), Dropout(0.3))
needs_native = pytest.mark.skipif(
    find_spec("lenet._native") is None, reason="the native engine was not built"
)
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
ENGINES = [
    pytest.param("native", marks=needs_native),
    "numpy",
    pytest.param("torch", marks=needs_torch),
]


class Meeting:
    """What the threads of a group share: a place for each, and a barrier."""

    def __init__(self, size: int) -> None:
        self.said: list[object] = [None] * size
        self.barrier = threading.Barrier(size, timeout=20)


@dataclass(frozen=True)
class ThreadGroup:
    """See ``Group``: threads of one process in place of processes."""

    rank: int
    size: int
    meeting: Meeting

    def _exchange(self, mine: object) -> list[object]:
        try:
            self.meeting.said[self.rank] = mine
            self.meeting.barrier.wait()
            heard = list(self.meeting.said)
            self.meeting.barrier.wait()
        except threading.BrokenBarrierError:
            raise LostContactError(f"thread {self.rank} is alone") from None
        return heard

    def total(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.sum(self._exchange(vector.copy()), axis=0, dtype=np.float32)

    def gather(self, numbers: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        heard = [np.array(part) for part in self._exchange(numbers.copy())]
        assert len({part.shape for part in heard}) == 1
        return heard

    def broadcast(self, content: bytes) -> bytes:
        first = self._exchange(content)[0]
        assert isinstance(first, bytes)
        return first


def in_group(size: int, work: Callable[[Group], T]) -> list[T]:
    """What ``work`` gives in each process of a group of threads; the first error of one."""
    meeting = Meeting(size)

    def guarded(rank: int) -> T:
        try:
            return work(ThreadGroup(rank, size, meeting))
        except BaseException:
            meeting.barrier.abort()  # as a process that ends
            raise

    with ThreadPoolExecutor(size) as pool:
        pending = [pool.submit(guarded, rank) for rank in range(size)]
        errors = [error for each in pending if (error := each.exception()) is not None]
    for error in sorted(errors, key=lambda one: isinstance(one, LostContactError)):
        raise error
    return [each.result() for each in pending]


# --- the engine --------------------------------------------------------------------------------


def stretch(count: int, batch_size: int, weighted: bool) -> Batches:
    """So many pictures, shifted and mirrored; the last batch is short."""
    random = np.random.default_rng(count)
    table = random.integers(-1, 2, (count, 3), np.int8)
    table[:, 2] = random.integers(0, 2, count)
    steps = -(-count // batch_size)
    weights = random.integers(0, 3, count).astype(np.float32) if weighted else None
    return Batches(
        *(random.permutation(count), batch_size, np.linspace(0.1, 0.05, steps), table),
        *(Position(7, 3, 10), weights),
    )


def trained(
    engine: str,
    pictures: Pictures,
    batches: Batches,
    objective: Objective,
    group: Group | None = None,
) -> tuple[Metrics, Metrics, State]:
    """What training and evaluation say, and the state, in one process or in one of a group."""
    optimizer = Optimizer("adamw", weight_decay=0.01, average=0.9)
    alone = engines.make(Choice(engine, "cpu", ""), NETWORK, optimizer, objective, threads=1)
    one = alone if group is None else DistributedEngine(alone, group, objective)
    one.load(State(initialize(NETWORK, "he", 0)))
    said = one.train(pictures, batches)
    return said, one.evaluate(pictures), one.state()


@pytest.mark.parametrize(("size", "weighted"), [(2, False), (3, True)])
@pytest.mark.parametrize("engine", ENGINES)
def test_processes_come_to_the_weights_of_one(engine: str, size: int, weighted: bool) -> None:
    # 11 full batches of 20, and one of 2: of three processes, one has no picture of it
    pictures, batches = random_pictures(NETWORK, 2500), stretch(222, 20, weighted)
    objective = Objective(0.1, class_weights=(1.0, 2.0, 0.5, 1.5) if weighted else ())
    said, seen, state = trained(engine, pictures, batches, objective)
    found = in_group(size, lambda group: trained(engine, pictures, batches, objective, group))
    for theirs_said, theirs_seen, theirs in found:
        for name, weights in state.weights.items():
            assert_close(theirs.weights[name], weights, 2e-4, name)
            np.testing.assert_array_equal(theirs.parameters[name], found[0][2].parameters[name])
        assert theirs.step == state.step == 12
        np.testing.assert_allclose(theirs_said.losses, said.losses, rtol=1e-4)
        assert theirs_said.examples == 222
        assert abs(theirs_said.correct - said.correct) <= 1
        np.testing.assert_allclose(theirs_seen.losses, seen.losses, rtol=1e-4)
        assert theirs_seen.losses.shape == seen.losses.shape
        assert theirs_seen.confusion is not None
        assert theirs_seen.confusion.sum() == 2500
        np.testing.assert_array_equal(theirs_said.losses, found[0][0].losses)


def test_evaluation_adds_in_the_order_of_one_process() -> None:
    pictures = random_pictures(NETWORK, 2500)

    def evaluated(group: Group | None) -> Metrics:
        alone = engines.make(Choice("numpy", "cpu", ""), NETWORK, Optimizer(), Objective(), 1)
        alone.load(State(initialize(NETWORK, "he", 0)))
        one = alone if group is None else DistributedEngine(alone, group, Objective())
        return one.evaluate(pictures)

    expected = evaluated(None)
    for metrics in in_group(4, evaluated):  # one of them has no pictures
        np.testing.assert_array_equal(metrics.losses, expected.losses)
        np.testing.assert_array_equal(metrics.confusion, expected.confusion)


def test_processes_that_come_to_other_weights_are_told() -> None:
    pictures, batches = random_pictures(NETWORK, 40), stretch(40, 20, weighted=False)

    def apart(group: Group) -> Metrics:
        alone = engines.make(Choice("numpy", "cpu", ""), NETWORK, Optimizer(), Objective(), 1)
        alone.load(State(initialize(NETWORK, "he", seed=group.rank)))
        return DistributedEngine(alone, group, Objective()).train(pictures, batches)

    with pytest.raises(EngineError, match=r"process 1 has come to other weights.*LENET_ISA"):
        in_group(2, apart)


# --- a run -------------------------------------------------------------------------------------

CHANGES = {
    "data": "fashion-mnist-small",
    "network": "mlp",
    "epochs": 2,
    "batch_size": 500,
    "augmentation.shift": 1,
    "optimizer.method": "sgd",  # Adam divides by what may be nearly 0: rounding grows faster
    "schedule.learning_rate": 0.05,
    "val": 0.1,
    "early_stopping.patience": 5,
}


def train_together(
    out: Path,
    stop_after: int | None = None,
    size: int = 2,
    resume: bool = False,
    **changes: object,
) -> list[bool]:
    """Whether each process of a group has trained to the end; after so many stretches one stops."""

    def work(group: Group) -> bool:
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            wish = group.rank == size - 1 and stop_after is not None and asked > stop_after
            return bool(largest(group, wish))

        if group.rank:
            outcome = together.follow(group, threads=1, stop=stop)
            return outcome is not None and outcome.finished
        try:
            if resume:
                experiment = experiments.go_on(out, threads=1, processes=size)
            else:
                recipe = recipes.load("quickstart", {**CHANGES, **changes})
                experiment = experiments.begin(
                    recipe, engine="numpy", threads=1, out=out, processes=size
                )
        except ValueError:
            together.give_up(group)
            raise
        return together.lead(experiment, group).train(stop=stop).finished

    return in_group(size, work)


def assert_same_result(one: Path, other: Path) -> None:
    """The weights and readings of two runs agree, but for rounding."""
    weights, others = (load_network(out / "model.safetensors")[1] for out in (one, other))
    for name, values in weights.items():
        assert_close(others[name], values, 1e-4, name)
    histories = [runs.read(out).history for out in (one, other)]
    assert [row.step for row in histories[0]] == [row.step for row in histories[1]]
    for row, theirs in zip(*histories, strict=True):
        assert theirs.train_loss == pytest.approx(row.train_loss, rel=1e-4)
        assert theirs.val_loss == (row.val_loss and pytest.approx(row.val_loss, rel=1e-4))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of the same recipe."""
    out = tmp_path_factory.mktemp("alone") / "run"
    recipe = recipes.load("quickstart", CHANGES)
    experiments.begin(recipe, engine="numpy", threads=1, out=out).train()
    return out


@pytest.mark.slow
@pytest.mark.usefixtures("no_curves")
def test_a_run_of_two_is_that_of_one_also_stopped_and_gone_on_with(
    alone: Path, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert train_together(whole) == [True, True]
    assert_same_result(alone, whole)
    assert runs.read(whole).info["engine"]["processes"] == 2
    assert "processes" not in runs.read(alone).info["engine"]

    # the last of three asks to stop; two go on with the run, then one
    assert train_together(cut, stop_after=3, size=3) == [False] * 3
    record = runs.read(cut)
    assert record.status == "interrupted"
    assert 0 < record.info["outcome"]["examples_seen"] < 18_000
    assert train_together(cut, stop_after=2, resume=True) == [False, False]
    experiment = experiments.go_on(cut)
    assert any("processes 2 → 1" in remark for remark in experiment.run.remarks)
    assert experiment.train().finished
    assert_same_result(alone, cut)
    assert [entry["engine"].get("processes", 1) for entry in runs.read(cut).info["resumed"]] == [
        *(2, 1)
    ]


def test_what_ends_a_training_ends_it_in_all_processes(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="Try a smaller learning rate"):
        train_together(tmp_path / "run", **{"schedule.learning_rate": 1e30})
    with pytest.raises(EngineError, match="2 processes cannot share a batch of 1"):
        train_together(tmp_path / "other", batch_size=1)
    assert not (tmp_path / "other").exists()


def test_other_pictures_are_refused(tmp_path: Path) -> None:
    def work(group: Group) -> object:
        if group.rank:
            return together.follow(group, threads=1)
        recipe = recipes.load("quickstart", CHANGES)
        experiment = experiments.begin(recipe, engine="numpy", threads=1, out=tmp_path / "run")
        experiment.run.info["data"] = {"sha256": {"train": "0"}, "examples": {}}
        return together.lead(experiment, group).train()

    with pytest.raises(runs.RunError, match=r"process 1 finds other pictures in .*--data-dir"):
        in_group(2, work)


# --- what torchrun says ------------------------------------------------------------------------


def test_the_place_that_torchrun_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert place() is None
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert place() is None
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ValueError, match="RANK is not set; it must be a whole number, from 0 to 3"):
        place()
    monkeypatch.setenv("RANK", "4")
    with pytest.raises(ValueError, match="RANK is '4'"):
        place()
    monkeypatch.setenv("RANK", "3")
    assert place() == Place(3, 4, 0, 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert place() == Place(3, 4, 1, 2)
    monkeypatch.setattr("lenet.machine.available_cpus", lambda: 5)
    assert Place(3, 4, 1, 2).threads == 2  # whatever OMP_NUM_THREADS says
    assert Place(3, 64, 1, 64).threads == 1


def test_without_pytorch_the_command_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lenet import cli
    from lenet.engines import group

    monkeypatch.setattr(group, "find_spec", lambda name: None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert cli.run(["train"]) == 2
    said = capsys.readouterr().err
    assert "WORLD_SIZE is 2" in said
    assert "PyTorch, which is not installed" in said


class OldStore:
    """A store that has outlived processes, with what they left in it."""

    def __init__(self) -> None:
        self.values = {"lenet/asks/1": "dead", "lenet/answer/dead": "old", "lenet/old/1": ""}

    def set(self, key: str, value: str) -> None:
        self.values[key] = value

    def get(self, key: str) -> bytes:
        return self.values[key].encode()

    def check(self, keys: list[str]) -> bool:
        return all(key in self.values for key in keys)


def test_processes_meet_anew_after_a_restart() -> None:
    store = OldStore()
    words = in_group(3, lambda group: meet(store, Place(group.rank, 3, 0, 1), 10))
    assert len(set(words)) == 1
    assert words[0] not in ("old", "dead")
    with pytest.raises(RuntimeError, match="process 1 has not come in time"):
        meet(OldStore(), Place(0, 2, 0, 1), 0.05)


@pytest.mark.slow
def test_a_restarted_process_finds_its_run(
    tmp_path: Path, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (tmp_path / f"job/attempt_{n}/0/error.json" for n in (0, 1))
    first.parent.mkdir(parents=True)
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(first))
    assert together.begun_before(None) is None
    together.remember(tmp_path / "run")
    second.parent.mkdir(parents=True)
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(second))
    assert together.begun_before(None) == tmp_path / "run"
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "new/attempt_0/0/error.json"))
    assert together.begun_before(alone) is None  # another torchrun: it may not go on there
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert together.begun_before(alone) is None  # finished


def test_what_stops_one_process_is_the_exit_code_of_all(tmp_path: Path) -> None:
    file = tmp_path / "stop"

    def codes(group: Group, received: int) -> tuple[bool, int]:
        stop = Stop(group, lambda: received if group.rank == 0 else 0, file)
        return stop(), stop.exit_code()

    assert in_group(2, lambda group: codes(group, 0)) == [(False, 0)] * 2
    assert in_group(2, lambda group: codes(group, 130)) == [(True, 130)] * 2
    file.touch()  # 0: torchrun would restart what ends with another code
    assert in_group(2, lambda group: codes(group, 143)) == [(True, 0)] * 2
    assert Stop(None, lambda: 143, file).exit_code() == 143  # alone: as ever


# --- what it costs -----------------------------------------------------------------------------


def test_the_model_of_the_cost_is_found_again_in_times_that_it_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "bench")
    bench = import_module("scale_out")
    true = bench.Model(1e-3, 2e-5, 1e-4, 1e9, 246_824)
    measured = {
        str(p): [
            {
                "training": {
                    str(batch): {"computing_s": [true.computing_s(batch / p)] * 3}
                    for batch in bench.BATCHES
                },
                "exchange": {
                    str(size): [bench.ring_s(p, size, 1e-4, 1e9)]
                    for size in (4, 200_000, 2_000_000)
                    if p > 1
                },
            }
        ]
        for p in (1, 2)
    }
    assert asdict(bench.fit(measured, 246_824)) == pytest.approx(asdict(true), rel=1e-6)
    assert true.ring_s(1) == 0
    assert true.step_s(4, 256, cpus=2) == pytest.approx(2 * (1e-3 + 64 * 2e-5) + true.ring_s(4))
    steady = bench.simulate(true, 8, 256, np.ones(1), true.ring_s)
    assert steady == pytest.approx(np.full(400, true.step_s(8, 256)))
    uneven = bench.simulate(true, 100, 256, np.array([1.0, 3.0]), true.ring_s)  # one is always slow
    assert uneven.min() == pytest.approx(3 * true.computing_s(2.56) + true.ring_s(100))


def test_wrong_usage_is_told_by_the_first_process_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lenet import cli

    monkeypatch.setenv("WORLD_SIZE", "2")
    said = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        assert cli.run(["train", "--epochs", "many"]) == 2
        said.append(capsys.readouterr().err)
    assert "must be a whole number, got 'many'" in said[0]
    assert said[1] == ""


# --- torchrun itself ---------------------------------------------------------------------------


def torchrun(out: Path, *options: str) -> subprocess.Popen[str]:
    settings = [f"{key}={value}" for key, value in CHANGES.items()]
    arguments = [word for setting in settings for word in ("--set", setting)]
    words = ["--nproc-per-node", "2", *options, "-m", "lenet", "train", "quickstart", *arguments]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *words, "--engine", "numpy", "--out", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_checkpoint(out: Path) -> None:
    deadline = time.monotonic() + 120
    while not list(out.glob("checkpoints/step-*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pid_of_rank(rank: int, out: Path) -> int:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(out) in words and f"RANK={rank}".encode() in variables:
            return int(folder.name)
    raise AssertionError(f"no process has rank {rank}")


@needs_torch
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_torchrun_restarts_after_a_killed_process(alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = torchrun(out, "--max-restarts", "1")
    wait_for_checkpoint(out)
    os.kill(pid_of_rank(1, out), signal.SIGKILL)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "process 0 of 2 has lost contact with the others" in said
    assert f"torchrun has restarted the processes: going on with {out}" in said
    assert said.count("2/2") == 1  # process 0 alone prints
    record = runs.read(out)
    assert record.status == "finished"
    assert len(record.info["resumed"]) == 1
    assert_same_result(alone, out)


@needs_torch
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torchrun handles signals otherwise there")
@pytest.mark.usefixtures("no_curves")
def test_ctrl_c_leaves_a_checkpoint_that_one_process_goes_on_with(
    alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = torchrun(out)
    wait_for_checkpoint(out)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    record = runs.read(out)
    assert record.status == "interrupted", said
    assert f"stopped; go on with: lenet train --resume {out}" in said
    assert experiments.go_on(out).train().finished
    assert_same_result(alone, out)
