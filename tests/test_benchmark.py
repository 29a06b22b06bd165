"""lenet bench: what is planned, how turns are taken, what is timed, and what is said of it.

No test asserts a speed.
"""

import io
import itertools
import json
import math
import os
import signal
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from rich.console import Console

from lenet import benchmark, cli, data
from lenet.benchmark import report, trainers
from lenet.benchmark.trainers import Job, Speed, TrainerError, Work
from lenet.engines import native
from lenet.machine import available_cpus
from lenet.network import zoo

PLAIN = ("torch-eager", "torch-channels-last", "torch-compile")


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where all trainers are installed."""
    monkeypatch.setattr(benchmark.measuring, "find_spec", lambda name: name)
    monkeypatch.setattr(native, "why_missing", lambda: "")


@pytest.fixture
def no_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "why_missing", lambda: "No module named 'lenet._native'")


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.delenv("LENET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(data, "DISTRIBUTIONS", tmp_path)


# --- what a picture costs ----------------------------------------------------------------------


def test_costs_of_lenet_are_those_of_the_design() -> None:
    lenet = benchmark.build("lenet")
    assert benchmark.forward_macs(lenet) == 416_520
    assert benchmark.backward_macs(lenet) == 715_440
    assert benchmark.flops_per_example(lenet, "train") == 2 * (416_520 + 715_440)
    for task in ("evaluate", "one-picture"):
        assert benchmark.flops_per_example(lenet, task) == 2 * 416_520


def test_the_wide_network() -> None:
    wide = benchmark.build("wide")
    kernels = 32 * 3 * 25 * 32 * 32 + 64 * 32 * 25 * 12 * 12
    assert benchmark.forward_macs(wide) == kernels + 2304 * 120 + 120 * 84 + 84 * 10
    assert wide.input_shape == (3, 32, 32)
    assert len(wide.classes) == 10


# --- what is planned ---------------------------------------------------------------------------


@pytest.mark.usefixtures("everything")
def test_the_whole_table() -> None:
    plan = benchmark.plan()
    assert len(plan.cells) == 3 * (4 + 4 + 1)  # networks; batch sizes of two tasks, one picture
    cells = {(c.network.name, c.task, c.batch_size): c.trainers for c in plan.cells}
    for (network, task, size), names in cells.items():
        assert {"native", "numpy", "torch-eager", "torch-channels-last"} <= {*names}
        assert ("torch-compile" in names) == (size == 256 or task == "one-picture")
        assert ("d2l" in names) == (network == "lenet" and size == 256)
    assert plan.measurements == plan.rounds * sum(len(names) for names in cells.values())
    assert plan.threads == available_cpus()
    assert plan.left_out == ()


@pytest.mark.usefixtures("everything")
def test_what_is_named_is_measured() -> None:
    plan = benchmark.plan(
        ["d2l", "native"], ["mlp"], ["evaluate", "train"], [8, 8], threads=1, seconds=1, rounds=1
    )
    assert [(c.network.name, c.task, c.batch_size) for c in plan.cells] == [
        ("mlp", "evaluate", 8),
        ("mlp", "train", 8),
    ]
    assert all(cell.trainers == ("d2l", "native") for cell in plan.cells)
    # a single picture is of batch size 1, and comes with others only when it is asked for
    sizes = {cell.task: cell.batch_size for cell in benchmark.plan(batch_sizes=[256]).cells}
    assert sizes == {"train": 256, "evaluate": 256}
    (cell, *_) = benchmark.plan(tasks=["one-picture"], batch_sizes=[256]).cells
    assert cell.batch_size == 1


def test_what_is_absent_is_said_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark.measuring, "find_spec", lambda name: None)
    monkeypatch.setattr(native, "why_missing", lambda: "No module named 'lenet._native'")
    plan = benchmark.plan()
    assert {cell.trainers for cell in plan.cells} == {("numpy",)}
    torch, built = sorted(benchmark.sentences(plan.left_out), key=len, reverse=True)
    assert torch.startswith("torch-eager, torch-channels-last, torch-compile, d2l: PyTorch is not")
    assert "install 'torch>=2.10'" in torch
    assert built == "native: not built here; 'lenet doctor' says why, and how to get it"
    with pytest.raises(benchmark.BenchmarkError, match="nothing to measure: torch-eager: PyTorch"):
        benchmark.plan(["torch-eager"])


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"only": ["nunpy"]}, "unknown trainer 'nunpy'; did you mean numpy"),
        ({"tasks": ["training"]}, "unknown task 'training'; did you mean train"),
        ({"networks": ["Wide_"]}, "unknown network 'Wide_'; did you mean wide"),
        ({"batch_sizes": [0]}, "batch size is 0, must be from 1 to 60,000"),
        ({"batch_sizes": [60_001]}, "batch size is 60001"),
        (
            {"batch_sizes": [10_001], "networks": ["wide"]},
            "batch size is 10,001, but wide is measured on 10,000 pictures",
        ),
        ({"threads": 0}, "threads is 0, must be from 1 to"),
        ({"threads": 10**6}, "threads is 1000000, must be from 1 to"),
        ({"rounds": 0}, "rounds is 0"),
        ({"seconds": 0.0}, "seconds is 0, must be above 0"),
        ({"seconds": math.inf}, "seconds is inf"),
        ({"seconds": math.nan}, "seconds is nan"),
        ({"only": ["d2l"], "tasks": ["one-picture"]}, "d2l looks at no single pictures"),
    ],
)
def test_what_cannot_be_measured(asked: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        benchmark.plan(**asked)


# --- taking turns ------------------------------------------------------------------------------


class Pretended:
    """A trainer's process that takes no time; ``log`` is what was asked of all of them."""

    log: list[tuple[str, str]]

    def __init__(self, job: Job) -> None:
        self.name, self.speed = job.trainer, 100.0 * len(job.trainer)

    def __enter__(self) -> "Pretended":
        return self

    def __exit__(self, *_: object) -> None:
        self.log.append((self.name, "ended"))

    def ready(self) -> tuple[str, str]:
        if self.name == "torch-compile":
            raise TrainerError("InvalidCxxCompiler: no compiler")
        return "AVX9", "two pictures"

    def measure(self, seconds: float) -> Speed:
        self.log.append((self.name, "measured"))
        if self.name == "d2l" and len(self.log) > 4:
            raise TrainerError("its workers died")
        self.speed += 100
        return Speed(self.speed)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> type[Pretended]:
    Pretended.log = []
    monkeypatch.setattr(benchmark.measuring, "Process", Pretended)
    monkeypatch.setattr(benchmark.measuring, "find_spec", lambda name: name)
    return Pretended


@pytest.mark.usefixtures("no_native")
def test_trainers_take_turns(pretended: type[Pretended]) -> None:
    plan = benchmark.plan(
        ["numpy", "torch-eager", "d2l", "torch-compile"], ["lenet"], ["train"], [256], rounds=3
    )
    told: list[tuple[int, str]] = []
    results = benchmark.run(plan, lambda done, what: told.append((done, what)))
    measured = [name for name, what in pretended.log if what == "measured"]
    assert measured == ["numpy", "torch-eager", "d2l"] * 2 + ["numpy", "torch-eager"]
    assert sorted(name for name, what in pretended.log if what == "ended") == sorted(
        ["numpy", "torch-eager", "d2l", "torch-compile"]
    )
    numpy, eager, d2l = results.rows
    assert numpy.ratio_to_compiled is None  # its compiler does not work here
    assert numpy.examples_per_s == benchmark.Spread(700, 600, 800)
    assert numpy.ratio == benchmark.Spread(7 / 13, 6 / 12, 8 / 14)
    assert eager.ratio == benchmark.Spread(1, 1, 1)
    assert len(d2l.speeds) == 1  # as far as it came
    assert benchmark.sentences(results.left_out) == [
        "torch-compile: InvalidCxxCompiler: no compiler",
        "d2l: its workers died",
    ]
    assert numpy.limit_gflops is None
    assert numpy.share_of_limit is None
    assert not results.interrupted
    assert told[0] == (0, "lenet, train, batch 256: numpy begins")
    assert told[-1] == (6, "lenet, train, batch 256: round 3, torch-eager")


@pytest.mark.usefixtures("no_native")
def test_ctrl_c_leaves_what_was_measured(
    pretended: type[Pretended],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def measure(self: Pretended, seconds: float) -> Speed:
        if len(self.log) == 3:
            raise KeyboardInterrupt
        self.log.append((self.name, "measured"))
        return Speed(10.0)

    monkeypatch.setattr(pretended, "measure", measure)
    arguments = ["bench", "--only", "numpy,torch-eager", "--network", "lenet", "--task", "train"]
    assert cli.run([*arguments, "--batch-size", "32,256"]) == 130
    printed = capsys.readouterr()
    assert "interrupted after 3 of 20 measurements" in printed.out
    assert printed.err == ""
    assert [name for name, what in pretended.log if what == "ended"] == ["torch-eager", "numpy"]
    pretended.log = []
    assert cli.run([*arguments, "--batch-size", "32,256", "--json"]) == 130
    values = json.loads(capsys.readouterr().out)
    assert values["interrupted"] is True
    assert [len(row["rounds"]) for row in values["rows"]] == [2, 1]


@pytest.mark.usefixtures("pretended")
def test_shares_of_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = iter([300.0, 200.0, 100.0, 400.0])
    monkeypatch.setattr(
        benchmark.measuring, "limit_of", lambda plan: (lambda: next(limits), "avx9")
    )
    plan = benchmark.plan(["numpy"], ["lenet"], ["train", "evaluate"], [256], rounds=2)
    results = benchmark.run(plan)
    assert results.limit_gflops == 250
    train, evaluate = results.rows
    assert (train.limit_gflops, evaluate.limit_gflops) == (250, 250)
    assert train.share_of_limit == pytest.approx(650 * 2 * 1_131_960 / 250e9)
    assert evaluate.share_of_limit == pytest.approx(650 * 2 * 416_520 / 250e9)
    values = report.to_json(results)
    assert values["limit_gflops"] == 250
    assert values["instruction_set"] == "avx9"
    assert values["rows"][0]["share_of_limit"] == train.share_of_limit


# --- showing it --------------------------------------------------------------------------------


def results_of_everything() -> benchmark.Results:
    """Made-up results with the largest figures that a table must hold."""
    lenet = benchmark.build("lenet")
    rows = []
    for task, size in (("train", 256), ("evaluate", 1024), ("one-picture", 1)):
        cell = benchmark.Cell(lenet, task, size, trainers.TRAINERS)
        for name in trainers.TRAINERS:
            latency = 210.4 if task == "one-picture" else None
            speeds = (Speed(654_321.0, latency), Speed(567_890.0, latency))
            limits = (300.0, 310.0)
            row = benchmark.Row(cell, name, 2, "AVX9", speeds, (65_432.1, 9_876.0), limits)
            rows.append(replace(row, compiled=(65_432.1, 9_876.0)))
    plan = benchmark.Plan((), 2, 0.3, 2)
    absent = (benchmark.LeftOut("d2l", "PyTorch is not installed"),)
    pictures = {"lenet": "fashion-mnist/train"}
    return benchmark.Results(plan, tuple(rows), limits, "avx9", pictures, absent, 7.5, True)


def printed(results: benchmark.Results, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(report.render(results))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_fits_80_columns() -> None:
    text = printed(results_of_everything())
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for words in (
        *("train, batch 256", "evaluate, batch 1024", "one-picture", "torch-channels-last"),
        *("567,890–654,321", "10.0–57.5", "210", "305 GFLOP/s with avx9"),
        *("× comp", "33.8", "times as fast as torch-compile in the same round"),
        *("left out: d2l: PyTorch is not installed", "load average 7.5", "interrupted after 36"),
        *("fashion-mnist/train", "2.26 MFLOP"),
    ):
        assert words in " ".join(text.split()), words


def test_pytorch_is_held_to_the_instructions_of_our_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
    for name in names:
        monkeypatch.setenv(name, "")  # what the test changes is undone
        monkeypatch.delenv(name)
    monkeypatch.delenv("LENET_ISA", raising=False)
    trainers.limit_torch()
    assert not {*names} & {*os.environ}
    monkeypatch.setenv("LENET_ISA", "x86-64-v3")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    trainers.limit_torch()
    assert [os.environ[name] for name in names] == ["avx2", "AVX2", "SSE41"]
    assert "PyTorch, too, was held to the instructions of LENET_ISA=x86-64-v3" in " ".join(
        printed(results_of_everything()).split()
    )


def test_columns_that_nothing_fills_are_left_out() -> None:
    whole = results_of_everything()
    rows = [replace(row, reference=(), compiled=(), limits_gflops=()) for row in whole.rows[:2]]
    text = printed(replace(whole, rows=tuple(rows), limits_gflops=(), instruction_set=None))
    assert "eager" not in text.replace("torch-eager", "")
    assert "µs" not in text
    assert "comp" not in text
    assert "no share of the processor's limit" in text


def test_the_json_is_what_its_readers_were_promised() -> None:
    values = json.loads(json.dumps(report.to_json(results_of_everything())))
    assert values["limit_gflops"] == 305
    row = values["rows"][0]
    assert row == {
        "task": "train",
        "trainer": "native",
        "network": "lenet",
        "batch_size": 256,
        "threads": 2,
        "examples_per_s": {"median": 611_105.5, "min": 567_890.0, "max": 654_321.0},
        "share_of_limit": pytest.approx(611_105.5 * 2_263_920 / 305e9),
        "flops_per_example": 2_263_920,
        "limit_gflops": 305.0,
        "times_torch_eager": {
            "median": pytest.approx((10 + 567_890 / 9_876) / 2),
            "min": pytest.approx(10),
            "max": pytest.approx(567_890 / 9_876),
        },
        "times_torch_compile": row["times_torch_eager"],
        "median_latency_us": None,
        "instruction_set": "AVX9",
        "rounds": [654_321.0, 567_890.0],
    }
    assert values["rows"][-1]["median_latency_us"] == 210.4
    for key in ("machine", "cpu", "versions", "instruction_set", "command", "pictures", "seconds"):
        assert values[key]
    documented = report.to_json.__doc__ or ""
    for key in (*values, *row):
        assert f"``{key}``" in documented, key


# --- what is timed -----------------------------------------------------------------------------


def test_a_measurement_counts_whole_calls() -> None:
    calls: list[int] = []
    work = Work(lambda count: calls.append(count) or 1.0, 32, "")
    speed = trainers.measure(work, 4, seconds=1e-6)
    assert calls[0] == 4  # to warm up, not timed
    assert speed.examples_per_s > 0
    assert speed.median_latency_us is None
    calls.clear()
    assert trainers.batches_a_call(work) == trainers.MOST_BATCHES  # so quick a call is repeated
    assert calls[:4] == [1, 1, 2, 4]


def test_an_epoch_is_measured_whole_and_cold() -> None:
    calls: list[int] = []
    work = Work(lambda count: calls.append(count) or 1.0, 60_000, "", whole=True)
    assert trainers.batches_a_call(work) == 1
    assert calls == []
    trainers.measure(work, 1, seconds=1e-9)
    assert calls == [1]


def test_a_single_picture_has_a_latency() -> None:
    speed = trainers.measure(Work(lambda count: np.zeros(10), 1, "", single=True), 1, 1e-4)
    assert speed.median_latency_us is not None
    assert speed.median_latency_us > 0


def test_numbers_that_are_none_are_no_measurement() -> None:
    with pytest.raises(ArithmeticError, match="no longer finite"):
        trainers.measure(Work(lambda count: math.nan, 1, ""), 1, 1e-9)


@pytest.fixture(scope="module")
def few() -> data.Split:
    """Few pictures, of which batches of 3 leave some over."""
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (1000, 1, 28, 28), np.uint8)
    return data.Split(images, random.integers(0, 10, 1000), zoo.class_names(10), "few (random)")


@pytest.mark.slow
@pytest.mark.parametrize("task", trainers.TASKS)
@pytest.mark.parametrize("name", ["native", "numpy", "torch-eager", "torch-channels-last"])
def test_every_trainer_does_every_task(name: str, task: str, few: data.Split) -> None:
    if name.startswith("torch"):
        pytest.importorskip("torch")
    elif name == "native" and native.why_missing():
        pytest.skip("the native engine is not built")
    work = trainers.prepare(Job(name, task, zoo.lenet_relu(), 3, 1), few)
    assert work.examples == (1 if task == "one-picture" else 3)
    assert work.single == (task == "one-picture")
    assert work.instruction_set
    assert np.isfinite(np.asarray(work.do(400))).all()  # once round the 333 batches
    if task == "one-picture":
        assert np.asarray(work.do(1)).shape == (1, 10)


def test_plain_pytorch_takes_the_steps_of_our_engines(few: data.Split) -> None:
    pytest.importorskip("torch")
    jobs = [Job(name, "train", zoo.lenet(), 8, 1) for name in ("numpy", *PLAIN[:2])]
    works = [trainers.prepare(job, few) for job in jobs]
    for _ in range(5):
        losses = [work.do(1) for work in works]
        assert losses[1:] == pytest.approx(losses[:1] * 2, rel=1e-5)


@pytest.mark.slow
def test_the_tutorials_loop(few: data.Split) -> None:
    torch = pytest.importorskip("torch")
    from lenet.benchmark import pytorch_loops as loops
    from lenet.torch import to_torch

    iterator = loops.loader(few, 300, shuffle=False, workers=0)
    X, y = zip(*iterator, strict=True)
    assert [len(part) for part in y] == [300, 300, 300, 100]
    # what torchvision's ToTensor makes of the pictures, bit for bit
    assert torch.equal(torch.cat(X), torch.from_numpy(few.images).to(torch.float32).div(255))
    assert torch.equal(torch.cat(y), torch.from_numpy(few.labels))
    colours = replace(few, images=np.repeat(few.images[:, :, :8, :8], 3, axis=1))
    assert next(iter(loops.loader(colours, 2, False, workers=0)))[0].shape == (2, 3, 8, 8)

    torch.manual_seed(0)
    net = to_torch(zoo.lenet())
    figures = loops.train_ch6(net, iterator, iterator, num_epochs=2, lr=0.1)
    assert all(map(math.isfinite, figures))
    with torch.no_grad():
        right = sum(int((net(a).argmax(1) == b).sum()) for a, b in zip(X, y, strict=True))
    assert figures[2] == right / 1000
    metric = loops.Accumulator(2)
    metric.add(torch.tensor(1.5), 2)
    metric.add(1, 3)
    assert metric.sums == [2.5, 5.0]


@pytest.mark.usefixtures("no_data")
def test_pictures_are_random_where_there_are_no_others() -> None:
    grey, wide = (trainers.pictures(benchmark.build(name)) for name in ("lenet", "wide"))
    assert (grey.images.shape, grey.identity) == ((60_000, 1, 28, 28), "60,000 random pictures")
    assert (wide.images.shape, wide.identity) == ((10_000, 3, 32, 32), "10,000 random pictures")


@pytest.mark.usefixtures("full_data")
def test_pictures_are_fashion_mnists_where_they_are_here() -> None:
    assert trainers.pictures(zoo.mlp()).identity.startswith("fashion-mnist/train")


# --- processes ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.needs("signals")
@pytest.mark.usefixtures("no_data")
def test_a_process_answers_until_it_dies() -> None:
    job = Job("numpy", "train", zoo.mlp(), 32, 1)
    assert trainers.from_json(trainers.to_json(job)) == job
    with trainers.Process(job) as process:
        instruction_set, pictures = process.ready()
        assert instruction_set
        assert pictures == "60,000 random pictures"
        for _ in range(2):
            assert process.measure(0.001).examples_per_s > 0
        os.kill(process._process.pid, signal.SIGKILL)
        with pytest.raises(TrainerError, match=r"ended with exit code -9; it said last: nothing"):
            process.measure(0.001)


def test_a_process_says_what_is_wrong() -> None:
    network = replace(zoo.mlp(), input_shape=(1, 2, 2))  # which does not fit its layers
    job = Job("numpy", "train", network, 32, 1)
    told = pytest.raises(TrainerError, match=r"^ArchitectureError: layer 1 \(Linear\)")
    with trainers.Process(job) as process, told:
        process.ready()


@pytest.mark.slow
@pytest.mark.long
def test_all_installed_trainers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Not 28×28: there are 10,000 pictures then, all of which d2l's loop trains on; else 60,000.
    monkeypatch.setattr(benchmark.measuring, "build", lambda name: zoo.lenet((1, 20, 20)))
    arguments = ["--network", "lenet", "--batch-size", "256", "--seconds", "0.05", "--rounds", "1"]
    assert cli.run(["bench", *arguments, "--task", "train", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    absent = {lack["trainer"] for lack in values["left_out"]}
    assert absent == {
        *(() if find_spec("torch") else trainers.TORCH),
        *(("native",) if native.why_missing() else ()),
    }
    expected = [name for name in trainers.TRAINERS if name not in absent]
    rows = [(row["task"], row["trainer"]) for row in values["rows"]]
    assert rows == list(itertools.product(("train",), expected))
    for row in values["rows"]:
        assert row["examples_per_s"]["median"] > 0
        assert row["examples_per_s"]["min"] == row["examples_per_s"]["max"]
    assert values["pictures"] == {"lenet": "10,000 random pictures"}
