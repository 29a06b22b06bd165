"""What tests use that Windows or macOS lacks, and which of them say so: by a mark such as
``@pytest.mark.needs("links")``, on which conftest.py skips them there, or by a skipif."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

WINDOWS, MACOS = "win32", "darwin"

# what a test needs: the systems without it, and why
LACKING: dict[str, tuple[tuple[str, ...], str]] = {
    "signals": ((WINDOWS,), "a signal to another process ends it at once on Windows"),
    "links": ((WINDOWS,), "links need a privilege on Windows"),
    "modes": ((WINDOWS,), "Windows has no modes of files"),
    "open files moved": ((WINDOWS,), "Windows neither removes nor renames what is open"),
    "open folders": ((WINDOWS,), "a folder cannot be opened and synced on Windows"),
    "pipes": ((WINDOWS,), "Windows has no pipes and devices in folders"),
    "fork": ((WINDOWS,), "Windows has no fork"),
    "scripts": ((WINDOWS,), "Windows runs no shell scripts"),
    "terminal": ((WINDOWS,), "Windows has no pseudo-terminals of this kind"),
    "proc": ((WINDOWS, MACOS), "only Linux has /proc"),
}
_NAMES = {
    **dict.fromkeys(("SIGKILL", "SIGSTOP", "SIGUSR1", "SIGALRM", "SIGHUP", "killpg"), "signals"),
    **dict.fromkeys(("send_signal", "raise_signal"), "signals"),
    **dict.fromkeys(("symlink_to", "symlink"), "links"),
    **dict.fromkeys(("chmod", "geteuid", "getuid", "umask"), "modes"),
    **dict.fromkeys(("mkfifo", "mknod"), "pipes"),
    **dict.fromkeys(("fork", "forkpty"), "fork"),
    **dict.fromkeys(("pty", "fcntl", "termios", "resource"), "terminal"),
}
_TEXTS = (("/proc/", "proc"), ("/dev/", "pipes"), ("#!/bin/", "scripts"))
_GUARDS = ("needs", "skipif", "hasattr", "platform", "importorskip")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def reason_to_skip(wanted: tuple[str, ...], platform: str = sys.platform) -> str:
    """Why a test that needs these cannot run here; empty where it can."""
    found = [why for systems, why in map(LACKING.__getitem__, wanted) if platform in systems]
    return "; ".join(found)


def unguarded(path: Path) -> Iterator[tuple[str, str]]:
    """Each test of a file that uses what some system lacks and does not say so, and what it uses.

    A test uses what the functions and names of its file use that it names: helpers, fixtures.
    """
    text = path.read_text(encoding="utf-8")
    if not any(word in text for word in (*_NAMES, *(start for start, _ in _TEXTS))):
        return  # without a look at every word of it
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.Assign) and "pytestmark" in ast.dump(node.targets[0]):
            return
    parts = {name: node for node in tree.body for name in _names_of(node)}
    own = {name: {*_used(node)} for name, node in parts.items()}
    named = {name: {*_mentioned(node)} & parts.keys() for name, node in parts.items()}
    for name, node in parts.items():
        if not (name.startswith("test") and isinstance(node, Function)) or _guarded(node):
            continue
        reached, todo = {name}, [name]
        while todo:
            for other in named[todo.pop()] - reached:
                if not (isinstance(parts[other], Function) and _guarded(parts[other])):
                    reached.add(other)
                    todo.append(other)
        if found := sorted({each for each in reached for each in own[each]}):
            yield name, ", ".join(found)


def _names_of(node: ast.stmt) -> list[str]:
    if isinstance(node, Function | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def _used(node: ast.AST) -> Iterator[str]:
    tried = [each for each in ast.walk(node) if isinstance(each, ast.With)]
    tried = [each for each in tried if "suppress(OSError)" in ast.unparse(each.items[0])]
    passed_over = {inner for each in tried for inner in ast.walk(each)}
    for each in ast.walk(node):
        if each in passed_over:
            continue
        if isinstance(each, ast.Attribute) and each.attr in _NAMES:
            yield _NAMES[each.attr]
        elif isinstance(each, ast.alias) and each.name in _NAMES:
            yield _NAMES[each.name]
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield from (kind for start, kind in _TEXTS if each.value.startswith(start))


def _mentioned(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.arg):
            yield each.arg


def _guarded(node: ast.AST) -> bool:
    """Whether a decorator skips it, or a condition inside asks for what there is."""
    words = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
    words |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return bool(words & {*_GUARDS})
