"""What machine this is: its processors, how many of them this process may use, its memory.

Nothing here knows of networks.
"""

from __future__ import annotations

import math
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np


def processor() -> str:
    """The processor's name, such as "Intel(R) Xeon(R) Processor @ 2.80GHz" or "Apple M2"."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    try:
        named = _processor_of_the_system()
    except (OSError, subprocess.SubprocessError):
        named = ""
    return named or platform.processor() or platform.machine()


def _processor_of_the_system() -> str:
    """Its name where Windows or macOS knows it; the processor alone tells its family there."""
    if sys.platform == "win32":
        import winreg

        place = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    if sys.platform == "darwin":
        words = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        asked = subprocess.run(words, capture_output=True, text=True, timeout=5, check=True)
        return asked.stdout.strip()
    return ""


def gpu_driver() -> bool:
    """Whether it is worth the seconds that importing PyTorch takes to look for a GPU."""
    if sys.platform == "darwin" or Path("/dev/nvidiactl").exists():
        return True
    return shutil.which("nvidia-smi") is not None


def keep_freed_memory() -> None:
    """Make glibc keep the memory that one step frees for the next one.

    It returns freed memory to the system above a limit which the largest block ever freed has
    raised, up to 32 MiB, so one such block is freed here. Else the activations of every step are
    mapped, zeroed and faulted in anew: measured, a third of the time. No harm elsewhere.
    """
    np.empty(31 << 20, np.uint8)


def available_cpus() -> int:
    """The CPUs that this process may use: its affinity, and the quota of its control groups."""
    return math.ceil(min(allowed_cpus(), cpu_quota()))


def allowed_cpus() -> int:
    """The CPUs that the process may run on, where the system tells; else all."""
    if hasattr(os, "sched_getaffinity"):  # on Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(
    proc: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")
) -> float:
    """How many CPUs' time the process's Linux control groups allow it; infinite without a limit.

    Both versions of control groups; a group's quota holds for all groups below it.
    """
    least = math.inf
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return least
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = groups / controllers if controllers else groups
        folder = root / own.lstrip("/")
        for group in (folder, *folder.parents):
            least = min(least, _quota_of(group))
            if group == root:
                break
    return least


def _quota_of(group: Path) -> float:
    """One control group's quota, in CPUs; infinite where it has none."""
    for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            text = " ".join((group / file).read_text() for file in files)
            quota, period = (int(number) for number in text.split())
        except (OSError, ValueError):  # not there, or "max": no limit
            continue
        if quota > 0 and period > 0:
            return quota / period
    return math.inf
