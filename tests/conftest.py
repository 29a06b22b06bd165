"""What every test may use, and the rule that in CI nothing is skipped that should have run."""

import atexit
import gc
import getpass
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from lenet import data
from portable import reason_to_skip

# Several test processes share the cores: threads of PyTorch that spin while they wait take the time
# of those that work. Read when PyTorch is loaded; programs that tests start inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# torch.compile starts a process for each core, which loads PyTorch anew: longer than the compiling.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

# A run writes a checkpoint to the disk before it goes on: where there is plenty of memory, the
# temporary files of the tests, and of the programs that they start, lie there. Linux has it here.
MEMORY, PLENTY_BYTES = Path("/dev/shm"), 8_000_000_000
if (
    sys.platform == "linux"
    and "TMPDIR" not in os.environ
    and MEMORY.is_dir()
    and shutil.disk_usage(MEMORY).free > PLENTY_BYTES
    and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC  # compiled programs are run there, too
):
    # torch.compile's cache stays on the disk: it outlives the tests. Its compiled headers do not
    # ask for that folder.
    cache = f"torchinductor_{getpass.getuser()}"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", f"{tempfile.gettempdir()}/{cache}")
    atexit.register(shutil.rmtree, MEMORY / cache, ignore_errors=True)
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # it is asked for anew

# What no CI machine has; every other skip is a missing installation.
ALLOWED_IN_CI = ("no CUDA device", "root reads anything", "no small disk can be mounted here")


# What is loaded stays: to look through it for garbage again and again is a tenth of the time.
gc.set_threshold(20_000, 20, 20)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Tests with a browser are all slow: where only fast ones are asked for, none is read."""
    fast = config.getoption("markexpr") == "not slow"
    return True if fast and collection_path == Path(__file__).with_name("web") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first: then all processes have something to do until the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this system cannot do."""
    for mark in item.iter_markers("needs"):
        if why := reason_to_skip(mark.args):
            pytest.skip(why)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in unexpected_skips(terminalreporter):
        terminalreporter.write_line(f"not allowed in CI: skipped {report.nodeid}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and unexpected_skips(reporter) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def unexpected_skips(reporter: pytest.TerminalReporter) -> list[pytest.TestReport]:
    if not os.environ.get("LENET_CI"):
        return []
    return [
        report
        for report in reporter.stats.get("skipped", [])
        if not any(reason in str(report.longrepr) for reason in ALLOWED_IN_CI)
    ]


@pytest.fixture(scope="session")
def small() -> data.Dataset:
    """The pictures that come with the package."""
    return data.bundled()


@pytest.fixture(scope="session")
def few(small: data.Dataset) -> data.Dataset:
    """800 pictures to train on, 200 to test."""
    train, test = data.subset(small.train, 800, 0), data.subset(small.test, 200, 0)
    return replace(small, train=train, test=test)


@pytest.fixture(scope="session")
def calibrated_run(few: data.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs that held out 200 of 800 pictures; not to be changed."""
    from lenet.runs import experiments
    from lenet.training import recipes

    out = tmp_path_factory.mktemp("runs") / "calibrated"
    recipe = recipes.load("quickstart", {"epochs": 3, "val": 0.25})
    with pytest.MonkeyPatch.context() as patch:  # curves take longer than all the rest
        patch.setattr(experiments, "draw_curves", lambda record: [])
        experiments.begin(recipe, data=few, out=out, threads=1).train()
    return out


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without pictures of their curves: drawing them takes longer than a short training."""
    from lenet.runs import experiments

    monkeypatch.setattr(experiments, "draw_curves", lambda run: None)


@pytest.fixture(scope="session")
def full_data() -> None:
    """Skip where the full data sets are not here."""
    for name in ("fashion-mnist", "mnist"):
        if not data.available(name):
            pytest.skip(f"{name} is not here: set LENET_DATA")
