"""The command line as a stranger meets it: what it prints, leaves behind, and refuses."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lenet
from lenet import cli, data, runs
from lenet.data import idx
from lenet.engines import Engine
from lenet.network.weights import load_network
from lenet.runs import experiments
from lenet.training import recipes

draw_curves = experiments.draw_curves  # most tests do without
QUICK = (
    *("d2l", "--data", "fashion-mnist-small", "--network", "mlp"),
    *("--epochs", "2", "--lr", "0.1"),
)


@pytest.fixture(autouse=True)
def _nothing_from_outside(in_tmp: Path, no_curves: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data but the bundled ones, an empty cache, no network, a plain wide terminal."""
    monkeypatch.delenv("LENET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(in_tmp / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(data, "DISTRIBUTIONS", in_tmp / "none")
    monkeypatch.setattr(
        data, "KNOWN", {name: _without_mirrors(known) for name, known in data.KNOWN.items()}
    )


def _without_mirrors(known: data.Known) -> data.Known:
    from dataclasses import replace

    nowhere = ("http://127.0.0.1:9",) if known.mirrors else ()  # port 9: refused at once
    return replace(known, mirrors=nowhere)


def ok(*arguments: str) -> None:
    assert cli.run(list(arguments)) == 0


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code and the one line that a wrong call prints."""
    capsys.readouterr()
    code = cli.run(list(arguments))
    printed = capsys.readouterr()
    lines = printed.err.strip().splitlines()
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("lenet: ")
    assert "Traceback" not in printed.err
    return code, lines[0]


# --- train -------------------------------------------------------------------------------------


def test_train_says_what_it_does_and_leaves_a_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "draw_curves", draw_curves)
    ok("train", *QUICK, "--out", "run")
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert lines[0].startswith("fashion-mnist-small: the 10,000 + 2,000 pictures that come with")
    assert "mlp (235,146 parameters)" in lines[1]
    assert re.match(r"engine (native|numpy) on cpu, \d+ threads", lines[2])
    assert re.fullmatch(r"loss \d\.\d{3}, train acc \d\.\d{3}, test acc \d\.\d{3}", lines[-3])
    assert re.fullmatch(r"\d+\.\d examples/sec on cpu", lines[-2])
    assert lines[-1] == "saved in run"
    assert "\x1b" not in printed  # no control codes where there is no terminal
    left = {path.name for path in Path("run").iterdir() if not path.name.startswith(".")}
    assert left == {
        *("run.json", "history.csv", "model.safetensors", "checkpoints"),
        *("curves.svg", "curves.png"),
    }
    record = runs.read(Path("run"))
    assert record.status == "finished"
    assert record.info["data"]["bundled"] is True
    assert record.history[-1].test_acc is not None
    assert record.history[-1].test_acc > 0.5


def test_train_alone_falls_back_to_the_bundled_pictures_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ok("train", "--epochs", "1", "--network", "mlp")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "fashion-mnist is not here and could not be downloaded (no connection): quickstart takes "
        "the pictures that come with the program"
    )
    assert lines[2].startswith("quickstart: mlp")
    (folder,) = Path("runs").iterdir()
    assert runs.read(folder).info["data"]["name"] == "fashion-mnist-small"


def test_a_data_set_asked_for_by_name_is_never_replaced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, line = refused(capsys, "train", "d2l")
    assert code == 1
    assert "fashion-mnist" in line
    assert "LENET_DATA" in line
    assert not Path("runs").exists()


def test_every_flag_reaches_the_run() -> None:
    ok(
        *("train", "quickstart", "--network", "mlp", "--epochs", "1", "--batch-size", "128"),
        *("--lr", "0.05", "--optimizer", "sgd", "--seed", "7", "--val", "0.1"),
        *("--engine", "numpy", "--device", "cpu", "--threads", "1", "--out", "run"),
        *("--set", "optimizer.momentum=0.9", "--set", "schedule.kind=cosine"),
    )
    record = runs.read(Path("run"))
    settings = record.recipe.settings
    assert (settings.epochs, settings.batch_size, settings.seed) == (1, 128, 7)
    assert (settings.schedule.kind, settings.schedule.learning_rate) == ("cosine", 0.05)
    assert settings.optimizer.momentum == 0.9
    assert record.recipe.val == 0.1
    assert record.info["engine"]["threads"] == 1
    assert record.info["data"]["examples"] == {"train": 9000, "val": 1000, "test": 2000}
    assert record.history[-1].val_acc is not None


@pytest.mark.slow
def test_the_same_seed_gives_the_same_file() -> None:
    for out in ("one", "two"):
        ok("train", *QUICK, "--epochs", "1", "--out", out)
    assert Path("one/model.safetensors").read_bytes() == Path("two/model.safetensors").read_bytes()


@pytest.mark.slow
def test_going_on_with_a_finished_run(capsys: pytest.CaptureFixture[str]) -> None:
    ok("train", *QUICK, "--epochs", "1", "--out", "short")
    ok("train", *QUICK, "--epochs", "2", "--out", "long")
    ok("train", "--resume", "short", "--epochs", "2")
    assert (
        Path("short/model.safetensors").read_bytes() == Path("long/model.safetensors").read_bytes()
    )
    capsys.readouterr()
    ok("train", "--resume", "short")
    assert "--epochs N trains it further" in capsys.readouterr().out
    code, line = refused(capsys, "train", "--resume", "short", "--lr", "0.5")
    assert code == 2
    assert "--resume continues with the recipe as it was" in line


@pytest.mark.slow
@pytest.mark.needs("signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed(number: signal.Signals) -> None:
    arguments = ["train", *QUICK, "--epochs", "12"]
    environment = {**os.environ, "LENET_MIRROR": ""}
    process = subprocess.Popen(
        [sys.executable, "-m", "lenet", *arguments, "--out", "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    history = Path("run/history.csv")
    deadline = time.monotonic() + 60
    while not (history.exists() and len(history.read_text().splitlines()) > 3):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    sent = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=240)
    assert time.monotonic() - sent < 30  # 5 s on a machine that has nothing else to do
    assert process.returncode == 128 + number, err
    assert err == ""
    assert "go on with: lenet train --resume run" in out
    assert runs.read(Path("run")).status == "interrupted"
    assert not list(Path("run").glob("**/*.tmp"))

    ok("train", "--resume", "run")
    ok("train", *QUICK, "--epochs", "12", "--out", "whole")
    assert (
        Path("run/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    )


def test_a_custom_folder_of_pictures(small: data.Dataset) -> None:
    Path("mine").mkdir()
    for part, split in (("train", data.subset(small.train, 500, 0)), ("t10k", small.test)):
        idx.write_idx(Path(f"mine/{part}-images-idx3-ubyte"), split.images[:, 0])
        idx.write_idx(Path(f"mine/{part}-labels-idx1-ubyte.gz"), split.labels.astype("uint8"))
    ok("train", "--data", "./mine", "--network", "mlp", "--epochs", "1", "--out", "run")
    assert runs.read(Path("run")).recipe.data == str(Path("mine").resolve())
    ok("train", "--resume", "run", "--epochs", "2")


# --- looking -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_evaluate_agrees_with_the_history(capsys: pytest.CaptureFixture[str]) -> None:
    ok("train", *QUICK, "--out", "run")
    last = runs.read(Path("run")).history[-1]
    capsys.readouterr()
    ok("evaluate", "run", "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["accuracy"] == last.test_acc
    assert report["loss"] == pytest.approx(last.test_loss, rel=1e-12)
    assert sum(map(sum, report["confusion"])) == report["examples"] == 2000
    assert [row["examples"] for row in report["classes"]] == [200] * 10
    ok("evaluate", "run")
    printed = capsys.readouterr().out
    assert f"accuracy {last.test_acc:.4f} on 2,000 pictures" in printed
    assert "ankle boot" in printed
    ok("evaluate", "run/model.safetensors", "--data", "fashion-mnist-small", "--json")
    assert json.loads(capsys.readouterr().out)["accuracy"] == last.test_acc


def test_inspect(capsys: pytest.CaptureFixture[str]) -> None:
    ok("inspect", "lenet")
    printed = capsys.readouterr().out
    assert "61,706" in printed
    assert "416,520" in printed
    ok("inspect", "lenet", "--json")
    totals = json.loads(capsys.readouterr().out)["totals"]
    assert (totals["parameters"], totals["macs"]) == (61706, 416520)
    ok("inspect", "lenet-max", "--input", "3x32x32", "--classes", "100")
    assert "3×32×32" in capsys.readouterr().out
    ok("train", *QUICK, "--epochs", "1", "--out", "run")
    capsys.readouterr()
    ok("inspect", "run")
    assert "235,146" in capsys.readouterr().out


def test_recipes_and_runs_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    ok("recipes")
    printed = capsys.readouterr().out
    for name in ("d2l", "d2l-adam", "d2l-max", "mnist-adamw", "quickstart", "0.816", "0.9879"):
        assert name in printed
    ok("recipes", "d2l")
    assert "learning_rate = 0.9" in capsys.readouterr().out
    ok("runs")
    assert "no runs in runs" in capsys.readouterr().out
    ok("train", *QUICK, "--epochs", "1")
    capsys.readouterr()
    ok("runs")
    assert "-d2l-1" in capsys.readouterr().out
    ok("runs", "--json")
    assert json.loads(capsys.readouterr().out)[0]["outcome"]["status"] == "finished"


@pytest.mark.slow
def test_plot_draws_anew(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "draw_curves", draw_curves)
    ok("train", *QUICK, "--epochs", "1", "--out", "run")
    Path("run/curves.svg").unlink()
    ok("plot", "run")
    assert Path("run/curves.svg").read_text().startswith("<?xml")
    ok("plot", "run", "--out", "elsewhere.png")
    assert Path("elsewhere.png").read_bytes().startswith(b"\x89PNG")
    code, line = refused(capsys, "plot", "run", "--out", "curves.xyz")
    assert code == 2
    assert ".xyz" in line


@pytest.mark.slow
def test_bench_prints_a_table_or_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    quick = ("--only", "numpy", "--network", "mlp", "--task", "one-picture", "--threads", "1")
    ok("bench", *quick, "--seconds", "0.001", "--rounds", "2")
    printed = capsys.readouterr().out
    assert "mlp: 1×28×28, 60,000 random pictures" in printed
    assert "one-picture" in printed
    ok("bench", *quick, "--seconds", "0.001", "--rounds", "2", "--json")
    both = capsys.readouterr()
    assert both.err == ""
    (row,) = json.loads(both.out)["rows"]
    assert (row["trainer"], row["network"], row["batch_size"]) == ("numpy", "mlp", 1)
    assert len(row["rounds"]) == 2
    assert row["median_latency_us"] > 0


@pytest.mark.slow
def test_data_commands(capsys: pytest.CaptureFixture[str]) -> None:
    ok("data", "list")
    printed = capsys.readouterr().out
    assert "lenet data get mnist" in printed
    assert "fashion-mnist-small" in printed
    ok("data", "get", "fashion-mnist-small")
    ok("data", "show", "fashion-mnist-small", "--out", "sheet.png")
    assert Path("sheet.png").read_bytes().startswith(b"\x89PNG")
    code, line = refused(capsys, "data", "get", "mnist")
    assert code == 1
    assert "mnist" in line


def test_help_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        (),
        *[(c,) for c in ("train", "evaluate", "inspect", "recipes", "bench", "doctor")],
    ):
        ok(*command, "--help")
        assert "Usage: lenet" in capsys.readouterr().out
    for command in ("list", "get", "show"):
        ok("data", command, "--help")
        assert "lenet data" in capsys.readouterr().out


def test_a_command_is_made_with_those_of_its_subject_alone() -> None:
    everything = cli._program_for([])
    names = everything.commands  # type: ignore[attr-defined]
    for name in names:
        made = cli._program_for([name])
        assert name in made.commands  # type: ignore[attr-defined]
        assert (made is everything) == (name in ("data", "explain"))
    for arguments in (["--help"], ["data", "list"], ["trian"]):
        assert cli._program_for(arguments) is everything


@pytest.mark.slow
def test_python_m_lenet_and_completion() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "lenet", "inspect", "lenet", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(shown.stdout)["totals"]["parameters"] == 61706
    completion = subprocess.run(
        [sys.executable, "-m", "lenet"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "_LENET_COMPLETE": "complete_bash",
            "COMP_WORDS": "lenet in",
            "COMP_CWORD": "1",
        },
        check=False,
    )
    assert "inspect" in completion.stdout


SIGNALLED = """
import os, sys, threading
from lenet import __main__ as program
delay_s, number, *sys.argv[1:] = float(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
listen, timer = program._on_signals, threading.Timer(delay_s, os.kill, (os.getpid(), number))
timer.daemon = True

def listen_and_start(handler):
    listen(handler)
    program._on_signals = listen
    timer.start()

program._on_signals = listen_and_start
program.main()
"""


def signalled(delay_s: float, number: int, *arguments: str) -> tuple[int, str]:
    """The exit code and what stands on stderr where a signal comes so long after the start."""
    command = [sys.executable, "-c", SIGNALLED, str(delay_s), str(int(number)), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return result.returncode, result.stderr


def test_a_signal_while_modules_are_imported(in_tmp: Path) -> None:
    for delay_s in (0.005, 0.03):
        assert signalled(delay_s, signal.SIGINT, "train", "quickstart") == (130, "")
    assert signalled(0.03, signal.SIGTERM, "train", "quickstart") == (143, "")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "quickstart", "--epochs", "100"),
        ("inspect", "lenet", "--kernels"),
        ("explain", "pool", "--out", "pool.gif"),
        ("doctor",),
        ("--help",),
    ],
)
def test_a_signal_at_any_moment(number: int, arguments: tuple[str, ...], in_tmp: Path) -> None:
    for delay_s in (0.002, 0.02, 0.1, 0.2, 0.4, 0.8):
        code, errors = signalled(delay_s, number, *arguments)
        assert errors == ""
        # it may be over before, or in Python's own last moments, where a signal ends it as such
        over = {0, -number} if arguments[0] != "train" else set()
        assert code in {128 + number, *over}, delay_s


@pytest.mark.slow
def test_a_run_whose_reader_has_gone_is_interrupted() -> None:
    for line in (1, 2):
        train = f"train quickstart --epochs 3 --threads 1 --network mlp --out run-{line}"
        command = f"{sys.executable} -m lenet {train} | head -n {line}"
        result = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
        assert result.stderr == ""
        assert runs.read(Path(f"run-{line}")).status == "interrupted"
    ok("train", "--resume", "run-1", "--epochs", "3")


@pytest.mark.slow
def test_a_killed_run_is_shown_as_killed(capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "lenet", "train", *QUICK, "--epochs", "500", "--out", "runs/x"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not Path("runs/x/run.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.2)  # its lock is taken
        assert runs.read(Path("runs/x")).state == "running"
        ok("runs")
        assert "running" in capsys.readouterr().out
    finally:
        process.kill()
        process.wait()
    ok("runs")
    assert "killed" in capsys.readouterr().out
    ok("runs", "--json")
    (run,) = json.loads(capsys.readouterr().out)
    assert (run["status"], run["outcome"]["status"]) == ("killed", "running")


@pytest.mark.slow
def test_an_output_that_is_closed() -> None:
    command = [sys.executable, "-m", "lenet", "recipes", "d2l"]
    result = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], capture_output=True, text=True, check=True
    )
    assert result.stderr == ""


@pytest.mark.slow
def test_a_reader_that_has_seen_enough() -> None:
    command = f"{sys.executable} -m lenet recipes d2l | head -n 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 1


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("train", "dl2"), 2, ["unknown recipe 'dl2'", "did you mean d2l?"]),
        (("train", "quickstart", "--network", "lente"), 2, ["'lente'", "did you mean lenet?"]),
        (("train", "--data", "fashion-mnits"), 2, ["'fashion-mnits'", "fashion-mnist"]),
        (("train", "quickstart", "--lr", "-1"), 2, ["learning rate is -1"]),
        (("train", "quickstart", "--lr", "abc"), 2, ["'abc'", "--lr"]),
        (("train", "quickstart", "--lr", "nan"), 2, ["learning rate is nan"]),
        (("train", "quickstart", "--batch-size", "0"), 2, ["batch size is 0", "at least 1"]),
        (("train", "quickstart", "--epochs", "0"), 2, ["epochs is 0"]),
        (("train", "quickstart", "--val", "1.5"), 2, ["val is 1.5"]),
        (("train", "quickstart", "--threads", "0"), 2, ["threads is 0"]),
        (("train", "quickstart", "--seed", "-1"), 2, ["seed is -1"]),
        (("train", "quickstart", "--optimizer", "sdg"), 2, ["'sdg'", "sgd"]),
        (("train", "quickstart", "--engine", "cuda"), 2, ["unknown engine 'cuda'"]),
        (("train", "quickstart", "--network", "lenet5"), 2, ["1×32×32", "does not fit 1×28×28"]),
        (("train", "quickstart", "--compile"), 2, ["nothing to compile", "--engine torch"]),
        (("train", "quickstart", "--set", "epoch=3"), 2, ["did you mean epochs?"]),
        (("train", "--no-such-flag"), 2, ["--no-such-flag", "--help"]),
        (("tarin",), 2, ["tarin"]),
        (("train", "--resume", "nowhere"), 2, ["nowhere is not a run", "'lenet runs'"]),
        (("evaluate", "nowhere"), 2, ["nowhere is not a run"]),
        (("inspect", "lente"), 2, ["did you mean lenet?"]),
        (("inspect", "lenet", "--input", "1x4x4"), 2, ["layer 3 (Conv2d)", "6×2×2"]),
        (("inspect", "lenet", "--input", "28"), 2, ["channels x height x width"]),
        (("plot", "nowhere"), 2, ["nowhere is not a run"]),
        (("data", "show", "mnits"), 2, ["'mnits'", "mnist"]),
        (("bench", "--only", "numpy,nunpy"), 2, ["unknown trainer 'nunpy'", "did you mean numpy?"]),
        (("bench", "--batch-size", "32,x"), 2, ["'x'", "--batch-size", "bench --help"]),
        (("bench", "--batch-size", "0"), 2, ["batch size is 0", "from 1 to 60,000"]),
        (("bench", "--network", "lente"), 2, ["did you mean lenet?"]),
        (("bench", "--seconds", "0"), 2, ["seconds is 0"]),
    ],
)
def test_wrong_input_is_one_clear_line(
    arguments: tuple[str, ...], code: int, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    got, line = refused(capsys, *arguments)
    assert got == code, line
    for word in words:
        assert word in line
    assert not Path("runs").exists()  # nothing was begun


NEEDS_A_RUN = ("evaluate", "plot", "inspect", "compare", "train --resume", "export --to html")


@pytest.mark.parametrize("command", NEEDS_A_RUN)
def test_a_run_that_is_not_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nowhere", "runs/nowhere", "./nowhere", "/nowhere", "nowhere/model.safetensors"):
        code, line = refused(capsys, *command.split(), name)
        assert code == 2, line
        assert name in line
        assert "'lenet runs' lists your runs" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *(
            (f"{command} --network resnet18", "unknown network 'resnet18'; choose from")
            for command in ("train", "bench")
        ),
        ("train --network LENETT", "did you mean lenet?"),
        ("inspect resnet18", "the networks are lenet,"),
        ("train --data nothing", "no data set is called 'nothing'"),
        ("data show nothing", "no data set is called 'nothing'"),
        ("data get nothing", "no data set is called 'nothing'"),
        ("train --data ./nothing", "does not exist"),
        ("train --data .", "it is empty"),
        ("data show .", "it is empty"),
        ("data show ./nothing", "does not exist"),
        ("train d2l --data-dir ./nothing", "the data folder nothing does not exist"),
        ("data show mnist --data-dir ./nothing", "the data folder nothing does not exist"),
        ("train nothing", "unknown recipe 'nothing'"),
        ("recipes nothing", "unknown recipe 'nothing'"),
        ("reproduce nothing", "unknown recipe 'nothing'"),
        ("train nothing.toml", "nothing.toml: no such file"),
        ("recipes nothing.toml", "nothing.toml: no such file"),
        ("reproduce nothing.toml", "nothing.toml: no such file"),
        ("train d2l.toml", "the recipe d2l comes with lenet"),
        ("train quickstart --engine nothing", "unknown engine 'nothing'"),
        ("reproduce quickstart --engine nothing", "unknown engine 'nothing'"),
        ("train quickstart --device nothing", "unknown device 'nothing'"),
        ("reproduce quickstart --device nothing", "unknown device 'nothing'"),
        ("train quickstart --optimizer nothing", "must be one of sgd, adam, adamw"),
        ("train quickstart --set nothing=1", "unknown key 'nothing'"),
        ("reproduce quickstart --set nothing=1", "unknown key 'nothing'"),
        ("train quickstart --set lr=1", "did you mean schedule.learning_rate?"),
        ("train quickstart --set optimizer=adam", "did you mean optimizer.method?"),
        ("train quickstart --epochs x", "must be a whole number, got 'x'"),
        ("bench --rounds x", "must be a whole number, got 'x'"),
        ("bench --batch-size 1,x", "must be a whole number, got 'x'"),
        ("explain pool --stride x", "must be a whole number, got 'x'"),
        ("train quickstart --lr x", "must be a number, got 'x'"),
        ("runs --root nowhere", "nowhere does not exist"),
        ("run nothing.py", "nothing.py: No such file"),
        ("explain pool --lang fr", "--lang must be en or zh, got 'fr'"),
        (
            "export . --to pdf",
            "--to must be one of html, onnx, c, torch, ",
        ),
    ],
)
def test_one_mistake_has_one_exit_code_in_every_command(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = refused(capsys, *arguments.split())
    assert code == 2, line
    assert words in line
    assert not Path("runs").exists()


def test_what_is_damaged_or_not_to_be_had_is_another_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("damaged").mkdir()
    Path("damaged/run.json").write_text("{")
    Path("damaged.safetensors").write_bytes(b"nothing")
    for command in NEEDS_A_RUN:
        code, line = refused(capsys, *command.split(), "damaged")
        assert code == 1, line
    for command in ("evaluate", "inspect", "export --to html"):
        code, line = refused(capsys, *command.split(), "damaged.safetensors")
        assert code == 1, line
    for command in ("train d2l", "data get mnist", "data show mnist"):
        code, line = refused(capsys, *command.split())
        assert code == 1, line


def test_data_of_one_class_is_not_the_networks_fault(
    capsys: pytest.CaptureFixture[str], small: data.Dataset
) -> None:
    Path("mine").mkdir()
    for part in ("train", "t10k"):
        idx.write_idx(Path(f"mine/{part}-images-idx3-ubyte"), small.test.images[:20, 0])
        idx.write_idx(
            Path(f"mine/{part}-labels-idx1-ubyte"), small.test.labels[:20].astype("u1") * 0
        )
    code, line = refused(capsys, "train", "--data", "./mine")
    assert code == 1
    assert "the data has one class: every training label is 0" in line


@pytest.mark.slow
def test_channels_last_are_trained_on_and_said(
    capsys: pytest.CaptureFixture[str], small: data.Dataset
) -> None:
    Path("mine").mkdir()
    for part in ("train", "t10k"):
        idx.write_idx(
            Path(f"mine/{part}-images-idx4-ubyte"), small.test.images.transpose(0, 2, 3, 1)
        )
        idx.write_idx(Path(f"mine/{part}-labels-idx1-ubyte"), small.test.labels.astype("u1"))
    ok("train", "--data", "./mine", "--network", "MLP", "--optimizer", "Adam", "--epochs", "1")
    printed = capsys.readouterr().out
    assert "note: train-images-idx4-ubyte: shape (2000, 28, 28, 1) is taken as channels" in printed


@pytest.mark.slow
def test_the_names_that_runs_prints_work_in_every_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "draw_curves", draw_curves)
    names = ["plain", "my run", "运行 一", "lenet", "[red]x"]
    ok("train", *QUICK, "--epochs", "1", "--out", "runs/plain")
    for name in names[1:]:
        shutil.copytree("runs/plain", Path("runs") / name)
    shutil.copytree("runs/plain", "elsewhere/deep/run")
    Path("my run").mkdir()  # of the same name, but no run
    for root, count in (((), 5), (("--root", "elsewhere/deep"), 1), (("--root", "runs"), 5)):
        capsys.readouterr()
        monkeypatch.setenv("COLUMNS", "80")
        ok("runs", *root)
        lines = capsys.readouterr().out.splitlines()
        heading = next(number for number, line in enumerate(lines) if line.startswith("run "))
        printed = [line.split("  ")[0] for line in lines[heading + 1 :]]
        assert len(printed) == count
        if root == ("--root", "runs"):
            continue  # the names are those of the first
        for name in printed:
            for command in NEEDS_A_RUN:
                ok(*command.split(), name)
    assert Path("runs/lenet/lenet.html").exists()  # the run, not the network, was exported


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    ok(option)
    assert capsys.readouterr().out == f"lenet {lenet.__version__}\n"


@pytest.mark.parametrize("width", [60, 80])
def test_lists_cut_no_word(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for command in ("recipes", "data list"):
        ok(*command.split())
        printed = capsys.readouterr().out
        assert "…" not in printed
        lines = [line for line in printed.splitlines() if "/" not in line]  # but for paths
        assert max(map(len, lines)) <= width
    ok("recipes")
    words = set(capsys.readouterr().out.split())
    for recipe in map(recipes.load, recipes.names()):
        assert {recipe.name, *recipe.title.split()} <= words


@pytest.mark.parametrize(
    ("begun", "offered"),
    [
        ("train d2l-", {"d2l-adam", "d2l-max"}),
        ("train mi", {"mine.toml"}),
        ("train --network lenet-", {"lenet-max", "lenet-relu"}),
        ("train --data fash", {"fashion-mnist", "fashion-mnist-small"}),
        ("train --data ./mi", {"./mine/"}),
        ("train --optimizer ad", {"adam", "adamw"}),
        ("train --engine na", {"native"}),
        ("train --device cu", {"cuda"}),
        ("train --set optimizer.m", {"optimizer.method=", "optimizer.momentum="}),
        ("train --resume 2026", {"2026-11-21-d2l-1"}),
        ("evaluate 2026", {"2026-11-21-d2l-1"}),
        ("inspect 2026", {"2026-11-21-d2l-1"}),
        ("inspect ml", {"mlp"}),
        ("plot runs/", {"runs/2026-11-21-d2l-1/"}),
        ("data get mn", {"mnist"}),
        ("reproduce quick", {"quickstart"}),
        ("export --to t", {"torch", "tensorboard"}),
    ],
)
def test_completion(
    begun: str,
    offered: set[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("runs/2026-11-21-d2l-1").mkdir(parents=True)
    Path("runs/2026-11-21-d2l-1/run.json").touch()
    Path("mine").mkdir()
    Path("mine.toml").touch()
    monkeypatch.setenv("_LENET_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"lenet {begun}")
    monkeypatch.setenv("COMP_CWORD", str(len(begun.split())))
    with pytest.raises(SystemExit):
        cli.app([], prog_name="lenet")
    assert set(capsys.readouterr().out.split()) == offered


def test_a_folder_that_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    for command in ("evaluate", "plot", "inspect"):
        code, line = refused(capsys, command, "empty")
        assert code == 2
        assert "is not a run" in line


def test_a_truncated_data_file(capsys: pytest.CaptureFixture[str], small: data.Dataset) -> None:
    Path("mine").mkdir()
    for part, split in (("train", small.test), ("t10k", small.test)):
        idx.write_idx(Path(f"mine/{part}-images-idx3-ubyte"), split.images[:, 0])
        idx.write_idx(Path(f"mine/{part}-labels-idx1-ubyte"), split.labels.astype("uint8"))
    cut = Path("mine/train-images-idx3-ubyte")
    cut.write_bytes(cut.read_bytes()[:100_000])
    code, line = refused(capsys, "train", "--data", "./mine")
    assert code == 1
    assert "train-images-idx3-ubyte" in line


@pytest.mark.parametrize(
    "command",
    [
        ("train", *QUICK),
        ("sweep", "d2l"),
        ("ablate", "d2l"),
        ("reproduce", "d2l"),
        ("data", "doubt", "mnist"),
    ],
)
def test_an_empty_folder_name_is_no_folder(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = refused(capsys, *command, "--out", "")
    assert code == 2
    assert "'--out': is empty; give a folder" in line


@pytest.mark.slow
def test_a_folder_in_use_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    ok("train", *QUICK, "--epochs", "1", "--out", "run")
    lock = runs.resume(
        Path("run"),
        runs.read(Path("run")).recipe,
        _engine(load_network(Path("run/model.safetensors"))[0]),
    )
    code, line = refused(capsys, "train", "--resume", "run", "--epochs", "2")
    lock.close()
    assert code == 2
    assert "in use" in line
    code, line = refused(capsys, "train", *QUICK, "--out", "run")
    assert code == 2
    assert "exists already" in line


def _engine(network: lenet.Network) -> Engine:
    from lenet import engines
    from lenet.optimization import Objective, Optimizer

    return engines.make(
        engines.choose("numpy", network), network, Optimizer(), Objective(), threads=1
    )


def test_no_space_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "run/checkpoints")

    monkeypatch.setattr(runs.run, "save_checkpoint", full)
    code, line = refused(capsys, "train", *QUICK, "--out", "run")
    assert code == 1
    assert "run/checkpoints: No space left on device; free some space. Mend that, then " in line
    assert line.endswith("go on with: lenet train --resume run")
    assert runs.read(Path("run")).status == "failed"


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(in_tmp: Path) -> None:
    """A small disk that is full: nothing is monkeypatched, and the run goes on afterwards."""
    resource = pytest.importorskip("resource")
    command = [sys.executable, "-m", "lenet", "train", *QUICK, "--out", "my run"]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000)),
    )
    (line,) = result.stderr.splitlines()
    assert result.returncode == 1
    assert "File too large; free some space. Mend that, then go on with:" in line
    assert line.endswith("lenet train --resume 'my run'")
    assert runs.read(Path("my run")).status == "failed"
    ok("train", "--resume", "my run")
