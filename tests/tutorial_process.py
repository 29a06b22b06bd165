"""Tutorials run by lenet run in a process of their own, for tests."""

import os
import subprocess
import sys
from pathlib import Path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


COMMAND = "import sys; del sys.path[0]; from lenet.__main__ import main; main()"


def lenet_run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As the `lenet` command does it: the working folder is not on its sys.path."""
    return subprocess.run(
        [sys.executable, "-c", COMMAND, "run", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **environment},
        timeout=120,
    )


def out(*arguments: str, **environment: str) -> str:
    done = lenet_run(*arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout
