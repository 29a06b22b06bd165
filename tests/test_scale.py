"""lenet bench --scale: what is measured, that it goes on where it stopped, how it is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lenet import benchmark, cli
from lenet.benchmark import BenchmarkError, scale
from lenet.benchmark.trainers import Job, Speed, TrainerError
from lenet.drawing import figures
from lenet.engines import native
from lenet.network.architecture import trace


class Pretended:
    """A trainer's process that takes no time; ``jobs`` is what was asked of all of them."""

    jobs: list[Job]
    stop_after = 1000  # jobs: then Ctrl-C comes

    def __init__(self, job: Job) -> None:
        if len(self.jobs) >= self.stop_after:
            raise KeyboardInterrupt
        self.jobs.append(job)
        self.job = job

    def __enter__(self) -> Pretended:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ready(self) -> tuple[str, str]:
        if self.job.batch_size == 4096 and self.job.trainer != "native":
            raise TrainerError("MemoryError: too large")
        return "AVX9", "pictures"

    def measure(self, seconds: float) -> Speed:
        return Speed(40_000.0 if self.job.trainer == "native" else 8_000.0)


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> type[Pretended]:
    Pretended.jobs, Pretended.stop_after = [], 1000
    monkeypatch.setattr(benchmark.measuring, "Process", Pretended)
    monkeypatch.setattr(benchmark.measuring, "find_spec", lambda name: name)
    monkeypatch.setattr(native, "why_missing", lambda: "")
    monkeypatch.setattr(benchmark.measuring, "limit_of", lambda plan: (lambda: 150.0, "avx9"))
    for module in (scale, benchmark.measuring):
        monkeypatch.setattr(module, "available_cpus", lambda: 6)
    return Pretended


def row_of(results: dict[str, Any], axis: str, value: int) -> dict[str, Any]:
    (row,) = [r for r in results["points"] if (r["axis"], r["value"]) == (axis, value)]
    return dict(row)


def test_a_wider_lenet_has_its_layers_and_its_ends() -> None:
    assert scale.widened(1) == benchmark.build("lenet")
    wide = scale.widened(4)
    assert [row.output_shape for row in trace(wide)][-1] == (10,)
    assert benchmark.forward_macs(wide) == (
        4 * 117_600 + 16 * (240_000 + 48_000 + 10_080) + 4 * 840
    )


def test_every_axis_ends_where_the_machine_or_the_pictures_do() -> None:
    by_axis: dict[str, list[int]] = {}
    for point in scale.points():
        by_axis.setdefault(point.axis, []).append(point.value)
    assert by_axis["threads"] == [1, 2, 4, 6]
    assert (by_axis["batch"][0], by_axis["batch"][-1]) == (1, 60_000)
    assert set(by_axis) == set(scale.TITLES)


def test_each_work_is_measured_once_and_goes_on_where_it_stopped(
    pretended: type[Pretended], tmp_path: Path
) -> None:
    path = tmp_path / "scale.json"
    whole = scale.measure(tmp_path / "whole.json", quick=True, seconds=0.1, rounds=2)
    works = {(job.network, job.batch_size, job.threads) for job in pretended.jobs}
    assert len(pretended.jobs) == 2 * len(works)  # the middle of all axes is one work
    assert json.loads((tmp_path / "whole.json").read_text()) == whole

    pretended.jobs, pretended.stop_after = [], 5
    with pytest.raises(KeyboardInterrupt):
        scale.measure(path, quick=True, seconds=0.1, rounds=2)
    assert len(json.loads(path.read_text())["points"]) == 2
    pretended.stop_after = 1000
    assert scale.measure(path, quick=True, seconds=0.1, rounds=2) == whole
    assert len(pretended.jobs) == 2 * len(works) + 1  # the one that was stopped, again

    for other in ({"rounds": 3}, {"quick": False}):
        with pytest.raises(BenchmarkError, match="remove it, or give another --out"):
            scale.measure(path, **{"quick": True, "seconds": 0.1, "rounds": 2, **other})  # type: ignore[arg-type]
    for content in ("{", "[]", '{"points": [{}]}', '{"points": 3}'):
        path.write_text(content)
        with pytest.raises(BenchmarkError, match="holds no results"):
            scale.measure(path)


def test_what_a_point_says(tmp_path: Path) -> None:
    results = scale.measure(tmp_path / "scale.json", quick=True, rounds=2)
    row = row_of(results, "batch", 256)
    assert row["examples_per_s"]["native"]["median"] == 40_000
    assert row["times_torch_eager"]["median"] == 5
    assert row["limit_examples_per_s"] == pytest.approx(150e9 / 2_263_920)
    large = row_of(results, "batch", 4096)
    assert large["left_out"] == {"torch-eager": "MemoryError: too large"}
    assert large["times_torch_eager"] is None
    console = Console(width=80)
    with console.capture() as captured:
        console.print(scale.render(results))
    text = captured.get()
    assert max(map(len, text.splitlines())) <= 80
    for words in (
        "256 40,000 8,000 5.00 5.00–5.00 60%",
        "4,096 40,000 – 60%",
        "left out somewhere",
    ):
        assert words in " ".join(text.split()), words


def test_the_figure_has_a_panel_an_axis_with_the_limit_beside(tmp_path: Path) -> None:
    drawn = scale.figure(scale.measure(tmp_path / "scale.json", rounds=1))
    assert [axes.get_xlabel() for axes in drawn.axes] == [*scale.TITLES.values()]
    for axes in drawn.axes:
        labels = [line.get_label() for line in axes.lines]
        assert labels == ["native engine", "PyTorch eager", "limit of the cores"]
    size = drawn.axes[2].lines[2].get_ydata()
    assert list(size) == sorted(size, reverse=True)  # type: ignore[arg-type]
    figures.save(drawn, tmp_path / "scale.svg")


def test_the_command(
    pretended: type[Pretended], in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["bench", "--scale", "--quick", "--out", "scale"]) == 0
    assert {path.name for path in Path("scale").iterdir()} == {"scale.json", "scale.svg"}
    assert "pictures in a batch" in capsys.readouterr().out
    assert cli.run(["bench", "--scale", "--quick", "--out", "scale", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rounds"] == 1
    pretended.jobs, pretended.stop_after = [], 1
    assert cli.run(["bench", "--scale", "--quick"]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    for wrong in (["--quick"], ["--scale", "--task", "train"], ["--scale", "--whole"]):
        assert cli.run(["bench", *wrong]) == 2
