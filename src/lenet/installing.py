"""How what is absent gets installed: commands that work where they are read.

lenet is on no package index. A command names the packages, which are on one, or lenet's source.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from lenet import system

SOURCE = Path(__file__).parents[2]  # of a checkout; else just a folder of Python's


def pip_install() -> str:
    """The beginning of a command that installs into the Python that runs this."""
    from importlib.util import find_spec

    if find_spec("pip") is None:  # an environment that uv made
        return f"uv pip install --python {system.quote(sys.executable)}"
    own = shutil.which("pip")
    if own is not None and os.path.dirname(own) == os.path.dirname(sys.executable):
        return "pip install"
    return f"{system.program(sys.executable)} -m pip install"


def requirements(machine: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """What each extra of lenet needs, such as "torch>=2.10"; under "" what lenet itself does.

    What has no package for this machine is left out, or for another one, of which ``machine`` gives
    what differs: ``{"sys_platform": "darwin", "platform_machine": "x86_64"}``.
    """
    import re
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    parts: dict[str, list[str]] = {"": []}
    for text in requires("lenet") or ():
        extra = re.search(r"""extra == ['"]([\w-]+)""", text)
        of_extra = parts.setdefault(extra[1] if extra else "", [])
        marker = Requirement(text).marker
        if marker is None or marker.evaluate(
            {**(machine or {}), "extra": extra[1] if extra else ""}
        ):
            of_extra.append(text.partition(";")[0].strip())
    return parts


def how_to_install(extra: str) -> str:
    """The command that installs what an extra needs, or that it is not made for this machine.

    >>> how_to_install("torch").strip("\'\\"").endswith("torch>=2.10")
    True
    """
    import platform

    needed = requirements()[extra]
    if not needed:
        return (
            f"pip has no package for the extra '{extra}' on this kind of machine, "
            f"{platform.machine()} with {platform.system()} (docs/install.md)"
        )
    return f"{pip_install()} {system.command_line(needed)}"


def how_to_build() -> str:
    """The command that builds lenet anew with its native engine, or says why it cannot be built."""
    # not the wheel without the engine that pip may have kept
    options = "--force-reinstall --no-cache-dir --no-deps"
    source = _source()
    command = f"{pip_install()} {options} {source or '.'}"
    command = system.with_variable("LENET_REQUIRE_NATIVE", "1", command)
    return command if source else f"in the folder of lenet's source code: {command}"


def _source() -> str | None:
    """What pip takes to install lenet from where it came from; None where that is gone."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        origin = json.loads(distribution("lenet").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        origin = {}
    if (SOURCE / "native").is_dir():
        editable = origin.get("dir_info", {}).get("editable", False)
        return f"{'--editable ' if editable else ''}{system.quote(str(SOURCE))}"
    url = origin.get("url", "")
    if "vcs_info" in origin:
        return system.quote(f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}")
    if not url.startswith("file:"):
        return system.quote(url) if url.endswith((".tar.gz", ".zip")) else None
    path = url2pathname(urlsplit(url).path)
    return system.quote(path) if os.path.exists(path) and not path.endswith(".whl") else None
