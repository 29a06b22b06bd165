"""What differs between systems: signals, processes that outlive others, commands as typed."""

import contextlib
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lenet import cli, data, machine, runs, system

TINY = ["network=tiny", "layers=AvgPool2d(7)\nFlatten()\nLinear(16, 10)"]
WORDS = [
    "a b",
    'a"b',
    "ends\\",
    "C:\\x y\\",
    "",
    'x\\"y',
    "torch>=2.10",
    "a&b",
    "100%",
    "图 片",
    "^|<",
]


def parsed(line: str) -> list[str]:
    """What a program of Microsoft's C runtime makes of its command line."""
    words, word, i, inside, begun = [], "", 0, False, False
    while i < len(line):
        count = len(line[i:]) - len(line[i:].lstrip("\\"))
        i += count
        quoted = line[i : i + 1] == '"'
        word += "\\" * (count // 2 if quoted else count)
        begun = begun or count > 0
        if quoted and count % 2:
            word, i = word + '"', i + 1
        elif quoted:
            inside, i, begun = not inside, i + 1, True
        elif line[i : i + 1] == " " and not inside:
            words, word, i, begun = [*words, word] if begun else words, "", i + 1, False
        elif i < len(line):
            word, i, begun = word + line[i], i + 1, True
    return [*words, word] if begun else words


def test_a_command_of_windows_is_read_as_it_was_meant() -> None:
    line = system.command_line(["lenet", *WORDS], "win32")
    assert parsed(line) == ["lenet", *WORDS]
    assert parsed(subprocess.list2cmdline(WORDS)) == WORDS  # that the reader is right
    # what cmd and PowerShell act on stands between quotes
    quoted = [word for word in ["lenet", *WORDS] if '"' not in word]
    outside = "".join(system.command_line(quoted, "win32").replace("\\\\", "").split('"')[::2])
    assert not {*outside} & set("&|<>^%;,(){}$`@'")


def test_a_program_below_is_named_shortly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "my files"
    home.mkdir()
    monkeypatch.chdir(home)
    inside = str(home / ".venv" / "python.exe")
    assert system.program(inside, "win32") == os.path.join(".venv", "python.exe")
    assert system.program(inside, "linux") == f"'{inside}'"
    assert system.program(str(tmp_path / "a b.exe"), "win32") == f'"{tmp_path / "a b.exe"}"'


@pytest.mark.skipif(sys.platform == "win32", reason="a new session is POSIX's")
def test_what_is_started_detached_has_its_own_session() -> None:
    code = "import os; print(os.getsid(0) == os.getpid())"
    process = system.start_detached([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.communicate()[0] == b"True\n"


def test_on_windows_it_gets_an_unseen_console_and_leaves_the_job_where_it_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[dict[str, Any]] = []

    def popen(words: list[str], **how: Any) -> str:
        tried.append(how)
        if how["creationflags"] & 0x0100_0000 and not free:
            raise PermissionError(13, "Access is denied")
        return "process"

    monkeypatch.setattr(subprocess, "Popen", popen)
    for free, attempts in ((True, 1), (False, 2)):  # noqa: B007 - popen() asks
        tried.clear()
        assert system.start_detached(["x"], platform="win32", stdin=3) == "process"
        assert len(tried) == attempts
        assert tried[-1]["creationflags"] & 0x0800_0200 == 0x0800_0200
        assert tried[-1]["stdin"] == 3
        assert "start_new_session" not in tried[-1]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="SIGUSR1 stands for SIGBREAK here")
def test_ctrl_break_is_like_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    assert int(signal.SIGUSR1) not in system.stop_signals()
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    assert int(signal.SIGUSR1) in system.stop_signals()
    assert [system.exit_code(n) for n in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM)] == [
        130,
        130,
        143,
    ]


def test_the_processor_s_name_is_asked_of_each_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "no such line")  # of /proc/cpuinfo
    monkeypatch.setattr(machine, "sys", SimpleNamespace(platform="darwin"))
    answer = SimpleNamespace(stdout="Apple M2\n")
    monkeypatch.setattr(subprocess, "run", lambda words, **_: answer)
    assert machine.processor() == "Apple M2"

    def absent(words: list[str], **_: Any) -> None:
        raise FileNotFoundError(2, "No such file", words[0])

    monkeypatch.setattr(subprocess, "run", absent)
    assert machine.processor() == (platform.processor() or platform.machine())
    values = contextlib.nullcontext({"ProcessorNameString": ("Intel(R) Core(TM) i5  ", 1)})
    registry = ModuleType("winreg")
    vars(registry).update(
        HKEY_LOCAL_MACHINE=0,
        OpenKey=lambda root, place: values,
        QueryValueEx=lambda key, name: key[name],
    )
    monkeypatch.setitem(sys.modules, "winreg", registry)
    monkeypatch.setattr(machine, "sys", SimpleNamespace(platform="win32"))
    assert machine.processor() == "Intel(R) Core(TM) i5"


@pytest.mark.parametrize(
    ("name", "variables", "place"),
    [
        ("win32", {"LOCALAPPDATA": "/x/Local"}, "/x/Local/lenet/Cache"),
        ("win32", {}, "~/AppData/Local/lenet/Cache"),
        ("darwin", {}, "~/Library/Caches/lenet"),
        ("linux", {}, "~/.cache/lenet"),
        ("darwin", {"XDG_CACHE_HOME": "/x/cache"}, "/x/cache/lenet"),
        ("win32", {"XDG_CACHE_HOME": "cache", "LOCALAPPDATA": "/x"}, "/x/lenet/Cache"),
    ],
)
def test_data_are_kept_where_the_system_has_such_things(
    name: str, variables: dict[str, str], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("LOCALAPPDATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, os.path.abspath(value) if value[0] == "/" else value)
    monkeypatch.setattr(data, "sys", SimpleNamespace(platform=name))
    expected = Path(place).expanduser()
    assert data.cache_dir() == Path(os.path.abspath(expected))


# --- a training that is told to stop -----------------------------------------------------------


def train(out: Path, *more: str, before: str = "") -> subprocess.Popen[bytes]:
    settings = [word for setting in TINY for word in ("--set", setting)]
    words = ["train", "quickstart", *settings, "--data", "fashion-mnist-small"]
    words += ["--epochs", "100000", "--out", str(out), *more]
    code = (
        f"{before}\nimport sys\nfrom lenet.__main__ import main\nsys.argv[1:] = {words!r}\nmain()"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)


def until_it_trains(out: Path) -> None:
    deadline = time.monotonic() + 60
    while not (out / "history.csv").exists() or (out / "history.csv").read_bytes().count(b"\n") < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_stop_file_stops_a_training_with_a_checkpoint(tmp_path: Path) -> None:
    out, stop = tmp_path / "run", tmp_path / "stop"
    process = train(out, "--stop-file", str(stop))
    until_it_trains(out)
    again = ["train", "quickstart", "--out", str(tmp_path / "other"), "--stop-file", str(stop)]
    assert cli.run(again) == 2  # one file, one training
    assert not (tmp_path / "other").exists()
    stop.touch()
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 143
    assert b"stopped; go on with: lenet train --resume" in said
    assert not stop.exists()
    record = runs.read(out)
    assert record.status == "interrupted"
    assert [path.suffix for path in (out / "checkpoints").iterdir()][:1] == [".safetensors"]


def test_a_stop_file_where_none_can_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--out", str(tmp_path / "run"), "--stop-file"]
    if sys.platform != "win32":
        (tmp_path / "file").touch()
        assert cli.run([*words, str(tmp_path / "file" / "stop")]) == 2
        assert "cannot be watched" in capsys.readouterr().err
    notes = tmp_path / "notes.txt"
    notes.write_text("mine", encoding="utf-8")
    for something in (notes, tmp_path):
        assert cli.run([*words, str(something)]) == 2
        assert "is there already and is no empty file" in " ".join(capsys.readouterr().err.split())
    assert notes.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="SIGUSR1 stands for SIGBREAK here")
def test_ctrl_break_at_a_training_saves_a_checkpoint(tmp_path: Path) -> None:
    stand_in = "import _signal, signal\n_signal.SIGBREAK = signal.SIGBREAK = signal.SIGUSR1"
    process = train(tmp_path / "run", before=stand_in)
    until_it_trains(tmp_path / "run")
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert runs.read(tmp_path / "run").status == "interrupted"
