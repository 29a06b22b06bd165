"""lenet bench --whole: where the time of a training goes, and that none of it is lost."""

import gc
import sys
import threading
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lenet import cli
from lenet.benchmark import BenchmarkError, stages, whole
from lenet.benchmark.stages import CURVES, DATA, EVALUATING, EXIT, GARBAGE, PYTHON, START, TRAINING

ROUNDS = (
    whole.Round({START: 0.1, DATA: 0.3, TRAINING: 8.0, EXIT: 0.1}, {DATA: 0.3, TRAINING: 16.0}),
    whole.Round({START: 0.1, DATA: 0.4, EVALUATING: 0.5, TRAINING: 7.0}, {TRAINING: 14.0}),
    whole.Round({START: 0.1, CURVES: 0.6, TRAINING: 9.0}, {CURVES: 0.6}),
)
MEASURED = whole.Whole(("train", "d2l"), ROUNDS, ("loss 0.465, train acc 0.826",))


class Clock:
    """A clock that goes by when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("lenet.benchmark.stages.time.perf_counter", lambda: self.now)
        monkeypatch.setattr("lenet.benchmark.stages.time.process_time", lambda: 2 * self.now)


def test_a_moment_counts_for_the_innermost_stage_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    stopwatch = stages.Stopwatch()

    def write() -> None:
        clock.now += 1

    def draw() -> None:
        clock.now += 10
        stopwatch.timed("files", write)()
        clock.now += 20
        raise OSError("no space")

    clock.now += 100
    with pytest.raises(OSError, match="no space"):
        stopwatch.timed(CURVES, draw)()
    clock.now += 200
    stopwatch.enter(EXIT)
    assert stopwatch.wall_s == {PYTHON: 300, CURVES: 30, "files": 1}
    assert stopwatch.cpu_s == {PYTHON: 600, CURVES: 60, "files": 2}


def test_a_function_wrapped_by_another_thread_is_timed_in_the_main_one() -> None:
    stopwatch, wrapped = stages.Stopwatch(), []
    thread = threading.Thread(
        target=lambda: wrapped.append(stopwatch.timed(TRAINING, time.perf_counter))
    )
    thread.start()
    thread.join()
    wrapped[0]()
    assert TRAINING in stopwatch.wall_s


def test_garbage_is_a_stage() -> None:
    before, stopwatch = [*gc.callbacks], stages.Stopwatch()
    try:
        stages.watch_garbage(stopwatch)
        gc.collect()
    finally:
        gc.callbacks[:] = before
    assert stopwatch.wall_s[GARBAGE] > 0
    assert set(stopwatch.wall_s) == {PYTHON, GARBAGE}


@pytest.mark.parametrize("module", stages.TIMED)
def test_what_is_timed_is_there(module: str) -> None:
    """A function that was renamed would be timed no more, and nobody would see it."""
    if module == "lenet.engines.torch" and find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    for path in stages.TIMED[module]:
        found: Any = import_module(module)
        for step in path.split("."):
            found = getattr(found, step)
        assert callable(found)
    assert set(stages.TIMED[module].values()) <= set(whole.MEANING)


def test_what_is_outside_the_engine() -> None:
    assert [round(one.outside_s, 6) for one in ROUNDS] == [0.5, 0.5, 0.7]
    values = whole.to_json(MEASURED)
    assert values["outside_s"] == pytest.approx({"median": 0.5, "min": 0.5, "max": 0.7})
    assert values["whole_s"] == pytest.approx({"median": 8.5, "min": 8.0, "max": 9.7})
    assert values["stages"][TRAINING]["cpu_s"] == {"median": 14.0, "min": 0.0, "max": 16.0}
    assert list(values["stages"]) == list(whole.MEANING)


def test_the_table_fits_80_columns() -> None:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(whole.render(MEASURED))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert "lenet train d2l, medians of 3" in lines[0]
    assert lines[-1].strip() == "outside the engine: 0.50 s (0.50–0.70) of 8.50 s (8.00–9.70)"
    assert sum("engine: training" in line for line in lines) == 1


def test_what_cannot_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BenchmarkError, match="rounds is 0"):
        whole.measure(rounds=0)
    assert cli.run(["bench", "--whole", "--task", "train"]) == 2
    assert "leave --only" in capsys.readouterr().err
    assert cli.run(["bench", "--recipe", "d2l"]) == 2
    assert "is for --whole" in capsys.readouterr().err


@pytest.mark.slow
def test_a_whole_training_is_measured_and_no_second_of_it_is_lost(
    in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--data", "fashion-mnist-small", "--epochs", "1")
    measured = whole.measure("d2l", 1, options)
    (one,) = measured.rounds
    for stage in whole.MEANING:
        assert one.wall_s.get(stage, 0.0) > 0 or stage == GARBAGE, stage
    assert set(one.wall_s) <= set(whole.MEANING)
    assert 0 < one.outside_s < one.whole_s
    assert measured.said[0].startswith("loss ")
    assert not any(in_tmp.iterdir())

    with pytest.raises(BenchmarkError, match="failed and said: lenet: unknown recipe 'd3l'"):
        whole.measure("d3l", 1)


@pytest.mark.slow
def test_a_process_under_the_stopwatch_loads_what_the_command_loads(in_tmp: Path) -> None:
    """What the stopwatch loads itself would be missing in the time for loading."""
    import subprocess

    code = f"import sys; sys.path[0:0] = [{str(Path(stages.__file__).parent)!r}]; import stages"
    count = "; print(len(sys.modules))"
    loaded = [
        int(subprocess.run([sys.executable, "-P", "-c", c + count], capture_output=True).stdout)
        for c in ("import sys", code)
    ]
    assert loaded[1] - loaded[0] < 12
