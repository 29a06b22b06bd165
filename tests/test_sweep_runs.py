"""Sweeps that really run: killed, interrupted; the same results each time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lenet import cli, data, runs
from lenet.sweeps import folder
from lenet.sweeps.local import LocalPool
from lenet.sweeps.plan import SweepError
from lenet.sweeps.trial import Job, run_trial
from lenet.training import recipes

TRIALS = 40
LINE = [
    *("sweep", "quickstart", "--network", "linear", "--epochs", "2", "--set", "batch_size=32"),
    *("--vary", "schedule.learning_rate=1e-3..1e-1:log", "--sampler", "random"),
    *("--set", "optimizer.method=sgd"),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 pictures of three classes, which a dense layer tells apart."""
    random = np.random.default_rng(0)
    labels = np.arange(240) % 3
    images = random.integers(0, 60, (240, 1, 28, 28)) + 60 * labels[:, None, None, None]
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, images=images.astype(np.uint8), labels=labels)
    return path


def started(words: list[str], cwd: Path) -> subprocess.Popen[bytes]:
    code = "import sys; from lenet.__main__ import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def lines(out: Path) -> list[dict[str, object]]:
    path = out / folder.RESULTS
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def wait_for(count: int, out: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while len(lines(out)) < count:
        assert time.monotonic() < until
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


def hashes(out: Path) -> dict[str, str]:
    found = runs.list_runs(out)
    return {run.folder.name: run.info["outcome"].get("model_sha256", "") for run in found}


@pytest.mark.slow
@pytest.mark.needs("signals")
def test_a_sweep_killed_three_times_ends_with_all_results_and_none_run_twice(
    tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "sweep"
    words = [*LINE, "--data", str(tiny), "--trials", str(TRIALS), "--out", str(out)]
    before: dict[str, str] = {}
    for count in (6, 16, 28):
        process = started(words, tmp_path)
        wait_for(count, out, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        done = {f"{line['setting']:04}-seed{line['seed']}" for line in lines(out)}
        for run in runs.list_runs(out):
            if run.folder.name in done:
                begun = (run.folder / "run.json").read_text()
                assert before.setdefault(run.folder.name, begun) == begun
    process = started(words, tmp_path)
    said = process.communicate(timeout=200)[1].decode()
    assert process.returncode == 0, said
    found = lines(out)
    assert len(found) == TRIALS  # a line each: no run was made twice
    assert {(line["setting"], line["seed"]) for line in found} == {(n, 0) for n in range(TRIALS)}
    assert {line["state"] for line in found} == {"finished"}
    for name, begun in before.items():  # what had ended before a kill was not touched after it
        assert (out / name / "run.json").read_text() == begun
    assert len(before) >= 28
    assert folder.read(out).tested is not None
    assert "<svg" in (out / "report.html").read_text()
    assert not list(out.glob(".new-run-*"))


@pytest.mark.slow
@pytest.mark.needs("signals")
def test_ctrl_c_leaves_a_sweep_that_goes_on_to_the_same_weights(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*LINE, "--data", str(tiny), "--trials", "6", "--seeds", "2", "--prune", "halving"]
    out = tmp_path / "stopped"
    process = started([*words, "--out", str(out)], tmp_path)
    wait_for(3, out, process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130, said
    assert f"go on with: lenet sweep --resume {out}" in said
    assert cli.run(["sweep", "--resume", str(out), "--jobs", "1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert cli.run([*words, "--out", str(tmp_path / "whole"), "--threads", "1", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert hashes(out) == hashes(tmp_path / "whole")
    keys = ("rows", "levels", "best", "tested")
    assert [shown[key] for key in keys] == [whole[key] for key in keys]
    states = [row["state"] for row in whole["rows"]]
    assert states == ["finished", "finished", *["given up"] * 4]
    for name, sha in hashes(out).items():  # one that was given up kept its checkpoint alone
        checkpoints = list((out / name / "checkpoints").iterdir())
        assert len(checkpoints) == 1
        assert bool(sha) == (out / name / "model.safetensors").exists()
    assert all("test" not in run.info["data"]["examples"] for run in runs.list_runs(out))
    # the same line again is at its end at once; another one is refused
    assert cli.run([*words, "--out", str(out), "--json"]) == 0
    assert cli.run([*words, "--out", str(out), "--factor", "2"]) == 2
    assert "holds another sweep: factor is 3 there, not 2" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.needs("signals")
def test_a_process_that_ends_under_a_run_is_replaced_and_one_that_always_ends_given_up(
    tiny: Path, tmp_path: Path
) -> None:
    recipe = recipes.load("quickstart", {"epochs": 40, "val": 0.25, "network": "linear"})
    values = recipes.to_dict(recipes.change(recipe, "data", str(tiny)))
    pool = LocalPool(tmp_path, 1)
    killed: list[str] = []

    def tell(name: str, epoch: float, val_acc: float | None) -> None:
        if name not in killed or name.endswith("seed1"):
            killed.append(name)
            pool._workers[0].process.kill()

    jobs = [Job(0, 0, values, 40, {}), Job(0, 1, recipe_with_seed(values, 1), 40, {})]
    first, second = pool.results(jobs, tell, lambda: False)
    pool.close()
    assert (first.state, first.epochs) == ("finished", 40)
    assert runs.read(tmp_path / "0000-seed0").info["resumed"]
    assert second.state == "failed"
    assert second.message == "its process ended with exit code -9, 2 times"


def recipe_with_seed(values: dict[str, object], seed: int) -> dict[str, object]:
    return {**values, "seed": seed}


@pytest.mark.slow
def test_a_run_that_fails_is_a_result_and_the_others_go_on(
    tiny: Path, in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sweep", "quickstart", "--data", str(tiny), "--epochs", "1", "--jobs", "1"]
    vary = ["--vary", "schedule.learning_rate=0.01,1e30", "--set", "optimizer.method=sgd"]
    assert cli.run([*words, *vary, "--out", "s"]) == 0
    shown = capsys.readouterr()
    assert "1 setting failed" in shown.out
    assert "failed: the loss of step" in shown.err
    failed = next(line for line in lines(Path("s")) if line["state"] == "failed")
    assert "Try a smaller learning rate" in str(failed["message"])
    assert "Try a smaller learning rate" in Path("s/report.md").read_text()
    before = sorted(Path().iterdir())
    assert cli.run([*words, *vary, "--threads", "1000"]) == 2  # and leaves no folder behind
    assert cli.run([*words, *vary, "--ray", "127.0.0.1:1"]) == 2
    assert "no Ray cluster at '127.0.0.1:1'" in capsys.readouterr().err
    assert sorted(Path().iterdir()) == before
    assert cli.run(["sweep", "--resume", "s", "--epochs", "2"]) == 2
    assert "--resume goes on with the plan as it was" in capsys.readouterr().err


def test_what_a_task_sends_lands_in_its_runs_folder_alone(tmp_path: Path) -> None:
    from lenet.sweeps import cluster

    good = {"run.json": b"{}", "checkpoints/step-0000001.0123456789abcdef.safetensors": b"x"}
    cluster.write_files(tmp_path / "run", good)
    assert cluster.read_files(tmp_path / "run") == good
    cluster.write_files(tmp_path / "run", {"run.json": b"[]"})
    assert cluster.read_files(tmp_path / "run") == {"run.json": b"[]"}
    for name in ("../run.json", "/etc/passwd", "checkpoints/../x", "checkpoints", ".lock"):
        with pytest.raises(SweepError, match="no file of a run"):
            cluster.write_files(tmp_path / "run", {name: b"x"})
    cluster.write_files(tmp_path / "none", {})
    assert not (tmp_path / "none").exists()


@pytest.mark.needs("links")
def test_a_job_finds_what_is_there(tiny: Path, tmp_path: Path) -> None:
    loaded = data.load(str(tiny))
    recipe = recipes.load("quickstart", {"epochs": 3, "val": 0.25, "network": "linear"})
    values = recipes.to_dict(recipes.change(recipe, "data", str(tiny)))
    reached = [
        run_trial(Job(0, 0, values, epochs, {}, threads=1), tmp_path, lambda _: loaded)
        for epochs in (1, 1, 3, 3)
    ]
    assert [(one.state, one.epochs) for one in reached] == [
        *[("reached", 1)] * 2,
        *[("finished", 3)] * 2,
    ]
    assert reached[0] == reached[1]
    assert reached[2] == reached[3]
    assert reached[2].curve[0] == reached[0].val_acc
    stopped = run_trial(Job(0, 1, values, 3, {}), tmp_path, lambda _: loaded, stop=lambda: True)
    assert stopped.state == "stopped"
    below = run_trial(Job(0, 1, values, 3, {2: 1.1}), tmp_path, lambda _: loaded)
    assert (below.state, below.epochs) == ("pruned", 2)
    other = {**values, "batch_size": 7}
    refused = run_trial(Job(0, 1, other, 3, {}), tmp_path, lambda _: loaded)
    assert refused.state == "failed"
    assert "is a run with batch_size" in refused.message
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "0004-seed0").symlink_to(tmp_path / "elsewhere")
    linked = run_trial(Job(4, 0, values, 1, {}), tmp_path, lambda _: loaded)
    assert (linked.state, list((tmp_path / "elsewhere").iterdir())) == ("failed", [])
    blocked = Job(5, 0, values, 1, {})
    (tmp_path / blocked.name).write_text("a file where the run would lie")
    assert run_trial(blocked, tmp_path, lambda _: loaded).state in ("failed", "broken")
