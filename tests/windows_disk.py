"""A file system that behaves as Windows' does, below one folder, for tests on other systems.

    disk = WindowsDisk(tmp_path); disk.install(monkeypatch)

What Windows refuses is refused with the errors that Python raises there, as Microsoft documents
CreateFileW, MoveFileExW, DeleteFileW and "Naming Files, Paths, and Namespaces":

- a file that this process has open, or has mapped, cannot be renamed, removed or replaced;
- nor can a folder with such a file anywhere in it be renamed;
- a folder cannot be opened, so it cannot be synced; no folder takes the place of another;
- a name is the same whatever its case; CON, NUL and others are no names; a dot or blank at the end
  of a name is dropped; a path has at most 259 characters;
- there are no os.fork, os.killpg, SIGKILL, os.sched_getaffinity …

Which files are open is read from /proc, so that nothing has to be told to it. Errors that come from
Win32 have ``winerror``; those of ``open()`` come from the C library, and there it is None.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lenet.files import trouble_with_name

ABSENT = (  # from os and signal; what shutil and tempfile took before stays theirs
    *("fork", "killpg", "getuid", "geteuid", "sched_getaffinity", "getpgrp", "tcgetpgrp", "setsid"),
    *("register_at_fork", "getloadavg", "mkfifo"),
)
SIGNALS_ABSENT = ("SIGKILL", "SIGHUP", "SIGUSR1")  # pytest needs SIGALRM
SHARING, DENIED, EXISTS, INVALID, NOT_FOUND = 32, 5, 183, 123, 3
NUMBERS = {
    SHARING: (errno.EACCES, "The process cannot access the file: another process is using it"),
    DENIED: (errno.EACCES, "Access is denied"),
    EXISTS: (errno.EEXIST, "Cannot create a file when that file already exists"),
    INVALID: (errno.EINVAL, "The filename, directory name, or volume label syntax is incorrect"),
    NOT_FOUND: (errno.ENOENT, "The system cannot find the path specified"),
}
LONGEST_FILE, LONGEST_FOLDER = 259, 247


def win32_error(number: int, path: object) -> OSError:
    """What Python raises there for a number of Win32."""
    code, text = NUMBERS[number]
    error = OSError(code, text, str(path))
    error.winerror = number  # type: ignore[attr-defined]
    return error


def c_error(code: int, path: object) -> OSError:
    """What open() raises there: the C library's number, none of Win32's."""
    error = OSError(code, os.strerror(code), str(path))
    error.winerror = None  # type: ignore[attr-defined]
    return error


class WindowsDisk:
    """Files below ``root`` obey Windows' rules; all other files stay as they are."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.locked: set[str] = set()  # paths that another program has open for itself alone
        self.scan_s = 0.0  # if a scanner looks at each file that is to be renamed or removed
        self.scanned: set[str] = set()
        self.refused = 0  # how often something was refused since a file was open

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put the rules in force until the patch is undone."""
        for name in ABSENT:
            patch.delattr(os, name, raising=False)
        for name in SIGNALS_ABSENT:
            patch.delattr(signal, name, raising=False)
        patch.setattr(shutil, "_use_fd_functions", False)  # by paths, as there
        one = {"stat": os.stat, "lstat": os.lstat, "listdir": os.listdir, "scandir": os.scandir}
        for name, real in one.items():
            patch.setattr(os, name, self._named(real))
        patch.setattr(os, "mkdir", self._named(os.mkdir, LONGEST_FOLDER))
        patch.setattr(os, "rmdir", self._named(os.rmdir))
        patch.setattr(os, "open", self._open(os.open))
        opened = self._open(io.open)
        patch.setattr(io, "open", opened)
        patch.setattr(builtins, "open", opened)
        for name in ("unlink", "remove"):
            patch.setattr(os, name, self._unlink(os.unlink))
        patch.setattr(os, "rename", self._move(os.rename, over=False))
        patch.setattr(os, "replace", self._move(os.replace, over=True))

    @contextmanager
    def lock(self, path: Path) -> Iterator[None]:
        """Another program has the file for itself alone, as some spreadsheets do."""
        self.locked.add(str(path))
        try:
            yield
        finally:
            self.locked.discard(str(path))

    def scan(self, path: str) -> None:
        """A virus scanner: opens a file, or one in a folder, and holds it for a moment."""
        self.scanned.add(path)
        inside = sorted(each for each in Path(path).rglob("*") if each.is_file())
        for file in [Path(path)] if os.path.isfile(path) else inside[:1]:
            held = _open(file, "rb")
            threading.Timer(self.scan_s, held.close).start()

    # --- the rules ---

    def _inside(self, path: Any) -> bool:
        if not isinstance(path, str | os.PathLike):
            return False
        text = os.path.abspath(os.fspath(path))
        return isinstance(text, str) and f"{text}{os.sep}".startswith(f"{self.root}{os.sep}")

    def _actual(self, path: Any, longest: int = LONGEST_FILE) -> str:
        """The path as it is on the disk. Raises OSError for one that there cannot be."""
        text = os.path.abspath(os.fspath(path))
        if len(text) > longest:
            raise win32_error(NOT_FOUND, path)
        place = str(self.root)
        if text == place:
            return place
        for name in os.path.relpath(text, place).split(os.sep):
            plain = name.rstrip(". ") or name
            if trouble_with_name(plain):
                raise win32_error(INVALID, path)
            if not _exists(f"{place}/{plain}"):
                folded = plain.casefold()
                with suppress(OSError):
                    there = [each for each in _listdir(place) if each.casefold() == folded]
                    plain = there[0] if there else plain
            place = f"{place}/{plain}"
        return place

    def _held(self, path: str) -> bool:
        """Whether a file is open, or one in a folder."""
        if self.scan_s and path not in self.scanned:
            self.scan(path)
        held = {*_open_files(), *self.locked}
        found = path in held or any(each.startswith(f"{path}/") for each in held)
        self.refused += found
        return found

    def _named(self, real: Callable[..., Any], longest: int = LONGEST_FILE) -> Callable[..., Any]:
        def act(path: Any = ".", *rest: Any, **more: Any) -> Any:
            inside = self._inside(path) and not more.get("dir_fd")
            return real(self._actual(path, longest) if inside else path, *rest, **more)

        return act

    def _open(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def act(path: Any, *rest: Any, **more: Any) -> Any:
            if not self._inside(path):
                return real(path, *rest, **more)
            actual = self._actual(path)
            if os.path.isdir(actual) or actual in self.locked:
                self.refused += actual in self.locked
                raise c_error(errno.EACCES, path)
            return real(actual, *rest, **more)

        return act

    def _unlink(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def act(path: Any, **more: Any) -> None:
            if not self._inside(path):
                return real(path, **more)
            actual = self._actual(path)
            if os.path.isdir(actual):
                raise win32_error(DENIED, path)
            if self._held(actual):
                raise win32_error(SHARING, path)
            return real(actual)

        return act

    def _move(self, real: Callable[..., Any], *, over: bool) -> Callable[..., Any]:
        def act(source: Any, target: Any, **more: Any) -> None:
            if not (self._inside(source) and self._inside(target)):
                return real(source, target, **more)
            is_folder = os.path.isdir(self._actual(source))
            begin = self._actual(source)
            end = self._actual(target, LONGEST_FOLDER if is_folder else LONGEST_FILE)
            if _exists(end) and begin.casefold() != end.casefold():
                if not over:
                    raise win32_error(EXISTS, target)
                if os.path.isdir(end) or self._held(end):
                    raise win32_error(DENIED, target)
            if self._held(begin):
                raise win32_error(DENIED if is_folder else SHARING, source)
            return real(begin, end)

        return act


_listdir, _lstat, _open = os.listdir, os.lstat, open  # as they are before install()


def _exists(path: str) -> bool:
    try:
        _lstat(path)
    except OSError:
        return False
    return True


def _open_files() -> set[str]:
    """What this process has open or has mapped."""
    found: set[str] = set()
    for number in _listdir("/proc/self/fd"):
        with suppress(OSError):  # closed since
            found.add(os.readlink(f"/proc/self/fd/{number}"))
    with _open("/proc/self/maps", encoding="utf-8") as maps:
        found |= {line.split(maxsplit=5)[-1].rstrip("\n") for line in maps if "/" in line}
    return found
