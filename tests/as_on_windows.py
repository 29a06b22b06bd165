"""A program: imports every module of lenet and every test file where nothing of POSIX is there.

Libraries are loaded before, since theirs for Windows are not here. Prints what could not be
imported, and ends with 1 where anything could not.
"""

import importlib
import importlib.util
import os
import pkgutil
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path

MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")
OF_OS = (
    *("fork", "forkpty", "getegid", "geteuid", "getgid", "getloadavg", "getpgrp", "getuid"),
    *("killpg", "mkfifo", "mknod", "nice", "posix_fallocate", "pread", "register_at_fork"),
    *("sched_getaffinity", "setsid", "statvfs", "sysconf", "tcgetpgrp", "uname", "wait4"),
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "WNOHANG"),
)
OF_SIGNAL = (
    *("SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP"),
    *("SIGUSR1", "SIGUSR2", "alarm", "pthread_kill", "setitimer"),
)
LIBRARIES = (
    *("asyncio", "concurrent.futures.process", "ctypes", "filelock", "http.server", "hypothesis"),
    *("hypothesis.extra.numpy", "matplotlib.pyplot", "multiprocessing.pool", "numpy", "onnx"),
    *("onnxruntime", "packaging.requirements", "platform", "pooch", "PIL.Image", "pytest"),
    *("rich.console", "rich.live", "safetensors.numpy", "sklearn.base", "subprocess", "tempfile"),
    *("torch", "torch.utils.data", "typer.testing", "typer._click.termui", "typer._click.utils"),
    *("fastapi", "httptools", "prometheus_client", "uuid", "uvicorn.config", "webbrowser"),
)


def main(tests: Path) -> int:
    for name in LIBRARIES:
        with suppress(ImportError):  # an extra that is not installed
            importlib.import_module(name)
    import pytest

    import lenet

    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # so that an import fails
    for module, names in ((os, OF_OS), (signal, OF_SIGNAL)):
        for name in names:
            with suppress(AttributeError):
                delattr(module, name)
    sys.platform = "win32"
    sys.path[:0] = [str(tests.parent), str(tests)]
    failed = 0
    ours = [each.name for each in pkgutil.walk_packages(lenet.__path__, "lenet.")]
    for name in [*ours, *sorted(tests.glob("test_*.py"))]:
        if isinstance(name, str) and (
            ".children" in name or name.endswith((".__main__", ".start"))
        ):
            continue  # programs
        try:
            if isinstance(name, str):
                importlib.import_module(name)
            else:
                spec = importlib.util.spec_from_file_location(f"there.{name.stem}", name)
                assert spec is not None
                assert spec.loader is not None
                module = importlib.util.module_from_spec(spec)
                sys.modules[module.__name__] = module  # dataclasses look for it
                spec.loader.exec_module(module)
        except pytest.skip.Exception:
            continue
        except Exception:
            failed += 1
            print(name, traceback.format_exc(), sep="\n")
    print(f"{len(ours)} modules of lenet; {failed} files could not be imported")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
