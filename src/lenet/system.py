"""What differs between Linux, macOS and Windows: how a program is told to end, how one outlives
another, and how a command is written so that a shell there takes it.

Functions take a system's name, as in ``sys.platform``, so that all of it can be tried on any;
without one it is the system that this runs on.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

WINDOWS: Final = "win32"
MACOS: Final = "darwin"

# Windows' numbers for how a process is made; subprocess has their names there alone
_NEW_GROUP: Final = 0x0000_0200  # Ctrl-C is not for it
_NO_WINDOW: Final = 0x0800_0000  # a console of its own, unseen: closing ours does not end it
_OUT_OF_JOB: Final = 0x0100_0000  # nor does the end of what Windows counts as one job with us
_PLAIN_WORD: Final = re.compile(r"[\w.:/\\=+-]+")


def is_windows(platform: str | None = None) -> bool:
    """Whether the system is Windows."""
    return (platform or sys.platform) == WINDOWS


def stop_signals() -> tuple[int, ...]:
    """The signals that ask a program to end: Ctrl-C, SIGTERM and, on Windows, Ctrl-Break.

    When the console's window is closed, Windows leaves no time for any of them.
    """
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    return tuple(int(getattr(signal, name)) for name in names if hasattr(signal, name))


def exit_code(number: int) -> int:
    """What a program ends with that a signal has ended: 130 or 143. Ctrl-Break is like Ctrl-C."""
    return 128 + int(signal.SIGINT if number == getattr(signal, "SIGBREAK", None) else number)


def signals_kill(platform: str | None = None) -> bool:
    """Whether a signal to another process always ends it at once, so that it cannot be asked."""
    return is_windows(platform)


def start_detached(
    words: Sequence[str], *, platform: str | None = None, **streams: Any
) -> subprocess.Popen[bytes]:
    """A process that goes on when this one, its terminal or its window ends.

    ``streams`` are ``stdin``, ``stdout`` and ``stderr``, as for Popen. Raises OSError.
    """
    if not is_windows(platform):
        return subprocess.Popen(words, start_new_session=True, **streams)
    # Not DETACHED_PROCESS: the python.exe of a virtual environment starts the real one, which
    # would open a window where it finds no console.
    flags = _NEW_GROUP | _NO_WINDOW
    try:
        return subprocess.Popen(words, creationflags=flags | _OUT_OF_JOB, **streams)
    except PermissionError:  # a job that lets nobody out
        return subprocess.Popen(words, creationflags=flags, **streams)


# --- commands ----------------------------------------------------------------------------------


def quote(word: str, platform: str | None = None) -> str:
    """A word of a command as it is typed: for a POSIX shell, or for cmd and PowerShell alike.

    >>> quote("torch>=2.10", "linux"), quote("torch>=2.10", "win32"), quote("a.b", "win32")
    ("'torch>=2.10'", '"torch>=2.10"', 'a.b')
    """
    if not is_windows(platform):
        return shlex.quote(word)
    if _PLAIN_WORD.fullmatch(word):
        return word
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', word)
    doubled = re.sub(r"(\\+)$", r"\1\1", escaped)  # before the closing quote
    return f'"{doubled}"'


def command_line(words: Sequence[str], platform: str | None = None) -> str:
    """The words as one line that can be typed.

    >>> command_line(["lenet", "train", "my recipe.toml"], "win32")
    'lenet train "my recipe.toml"'
    """
    return " ".join(quote(word, platform) for word in words)


def words(line: str, platform: str | None = None) -> list[str]:
    r"""The words of a command that was typed; on Windows backslashes are those of paths.

    >>> words(r'"C:\my llvm\clang-cl.exe" /O2', "win32")
    ['C:\\my llvm\\clang-cl.exe', '/O2']
    """
    if not is_windows(platform):
        return shlex.split(line)
    return [word.replace('"', "") for word in shlex.split(line, posix=False)]


def program(path: str, platform: str | None = None) -> str:
    r"""A program's path as the first word of a command, short where it lies below the folder that
    one is in. PowerShell takes a quoted one for a text, unless ``&`` is before it.

    >>> program("/opt/my python/bin/python", "linux")
    "'/opt/my python/bin/python'"
    """
    if is_windows(platform):
        try:
            near = os.path.relpath(path)
        except ValueError:  # on another drive
            near = path
        if not near.startswith("..") and len(near) < len(path):
            path = near
    return quote(path, platform)


def with_variable(name: str, value: str, command: str, platform: str | None = None) -> str:
    """How to run a command with a variable of the environment set.

    >>> with_variable("CXX", "clang++", "pip install .", "linux")
    'CXX=clang++ pip install .'
    """
    if not is_windows(platform):
        return f"{name}={quote(value, platform)} {command}"
    return f"{command}  (before it, set {name}={value}; in PowerShell $env:{name} = '{value}')"


# --- what the system's own ways install --------------------------------------------------------

Wanted = Literal["compiler", "headers", "font"]
# the beginning of each package manager's command, and the packages' names there
_PACKAGES: Final[dict[str, tuple[str, dict[Wanted, str]]]] = {
    "apt": (
        "apt install",
        {"compiler": "g++", "headers": "python3-dev", "font": "fonts-noto-cjk"},
    ),
    "dnf": (
        "dnf install",
        {"compiler": "gcc-c++", "headers": "python3-devel", "font": "google-noto-sans-cjk-fonts"},
    ),
    "pacman": (
        "pacman -S",
        {"compiler": "gcc", "headers": "python", "font": "noto-fonts-cjk"},
    ),
    "zypper": (
        "zypper install",
        {"compiler": "gcc-c++", "headers": "python3-devel", "font": "google-noto-sans-cjk-fonts"},
    ),
    "apk": (
        "apk add",
        {"compiler": "g++", "headers": "python3-dev", "font": "font-noto-cjk"},
    ),
}
_ELSEWHERE: Final[dict[str, dict[Wanted, str]]] = {
    MACOS: {
        "compiler": "by xcode-select --install",
        "headers": "with another Python, such as by brew install python",
        "font": "in Font Book: macOS brings Hiragino Sans GB",
    },
    WINDOWS: {
        "compiler": "with Visual Studio's Build Tools: choose 'Desktop development with C++' and "
        "in it 'C++ Clang tools for Windows'",
        "headers": "with another Python, such as the installer of python.org",
        "font": "in Settings, Fonts: Windows brings Microsoft YaHei",
    },
}


def how_to_get(
    what: Wanted,
    platform: str | None = None,
    which: Callable[[str], str | None] | None = None,
) -> str:
    """How something gets onto this system that pip does not install, to be read after "get it".

    >>> how_to_get("compiler", "darwin")
    'by xcode-select --install'
    """
    elsewhere = _ELSEWHERE.get(platform or sys.platform)
    if elsewhere is not None:
        return elsewhere[what]
    manager = next(filter(which or shutil.which, _PACKAGES), None)
    command, names = _PACKAGES[manager or "apt"]
    return f"{'by' if manager else 'such as by'} {command} {names[what]}"


def pip_brings_compiler(platform: str | None = None, machine: str | None = None) -> bool:
    """Whether pip brings a C++ compiler where it finds none: scripts/build_backend.py.

    >>> pip_brings_compiler("win32", "AMD64"), pip_brings_compiler("darwin", "arm64")
    (True, False)
    """
    from platform import libc_ver
    from platform import machine as this_machine

    if (machine or this_machine()) not in ("x86_64", "AMD64"):
        return False
    platform = platform or sys.platform
    return is_windows(platform) or (platform == "linux" and libc_ver()[0] == "glibc")
