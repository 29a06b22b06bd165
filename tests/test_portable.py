"""The tests on other systems: which are skipped there and why, and that all can be collected."""

import subprocess
import sys
from pathlib import Path

import pytest

from portable import LACKING, MACOS, WINDOWS, reason_to_skip, unguarded

TESTS = Path(__file__).parent


@pytest.mark.slow
def test_what_some_system_lacks_is_said_at_the_test() -> None:
    found = {path.name: dict(unguarded(path)) for path in sorted(TESTS.rglob("test_*.py"))}
    unsaid = {name: uses for name, uses in found.items() if uses}
    assert unsaid == {}, "mark them by @pytest.mark.needs(…)"


def test_such_a_use_is_found(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(
        """
import os, signal, pytest
def helper(process): process.send_signal(signal.SIGINT)
@pytest.fixture
def linked(tmp_path): (tmp_path / "a").symlink_to("b")
def test_one(): helper(None)
def test_two(linked): open("/dev/full")
@pytest.mark.needs("fork")
def test_three(): os.fork()
def test_four():
    if hasattr(os, "fork"): os.fork()
def test_five(): print("fork")
"""
    )
    assert dict(unguarded(path)) == {"test_one": "signals", "test_two": "links, pipes"}


def test_reasons() -> None:
    for need, (systems, why) in LACKING.items():
        assert reason_to_skip((need,), "linux") == ""
        assert reason_to_skip((need,), WINDOWS) == why
        assert reason_to_skip((need,), MACOS) == (why if MACOS in systems else "")
    with pytest.raises(KeyError):
        reason_to_skip(("wings",), "linux")


@pytest.mark.slow
def test_every_module_and_every_test_file_is_imported_without_what_posix_has() -> None:
    done = subprocess.run(
        [sys.executable, str(TESTS / "as_on_windows.py"), str(TESTS)],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "; 0 files could not be imported" in done.stdout
