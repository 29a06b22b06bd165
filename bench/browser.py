"""What one picture costs in the page, in milliseconds, beside the engines.

    python bench/browser.py [--network lenet] [--rounds 7] [--pictures 200] [--json FILE]

In each round, in turn: ``network/`` in a worker of a real browser, in the page itself, a whole
stroke (picture to the worker, every layer's output back in the page), and the native and the NumPy
engine on one thread, a picture at a time. The weights are random: time does not depend on them.
The browser's clock is coarse, so that each figure is that of many pictures, divided.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

import lenet
from lenet.benchmark import Spread
from lenet.engines import Engine
from lenet.engines.native import NativeEngine, why_missing
from lenet.engines.numpy import NumpyEngine
from lenet.machine import processor
from lenet.network import weights, zoo
from lenet.network.architecture import Network, to_dict
from lenet.network.parameters import State, initialize
from lenet.optimization import Objective, Optimizer

WEB = Path(lenet.__file__).parent / "lab" / "page"
ADDRESS = "http://127.0.0.1/"  # of no server: every request is answered from here
PAGE = """<!doctype html>
<title>Bench</title>
<script type="importmap">{"imports": {"lenet/": "/web/"}}</script>
<script type="module">
  import * as calculator from "lenet/calculator.js";
  import * as file from "lenet/network/file.js";
  import * as forward from "lenet/network/forward.js";
  import * as trace from "lenet/network/trace.js";
  Object.assign(globalThis, file, forward, trace, calculator, { ready: true });
</script>
"""
LOAD = """async ([model, pixels]) => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const {network, weights} = readSafetensors(bytes(model).buffer);
  const size = network.input_shape.reduce((a, b) => a * b, 1);
  const all = bytes(pixels);
  const pictures = Array.from({length: all.length / size}, (_, n) =>
    all.slice(n * size, (n + 1) * size));
  const startWorker = () => new Worker("/web/network/worker.js", {type: "module"});
  const calculator = createCalculator(startWorker);
  calculator.load("a", network, weights);
  Object.assign(globalThis, {network, weights, traced: trace(network), pictures, calculator});
  return calculator.inWorker;
}"""
# Each gives the milliseconds of all pictures together.
IN_WORKER = """async () => {
  const start = performance.now();
  await calculator.many("a", pictures);
  return performance.now() - start;
}"""
IN_PAGE = """() => {
  const start = performance.now();
  for (const picture of pictures) {
    forward(network, weights, normalize(network, picture), {traced});
  }
  return performance.now() - start;
}"""
STROKES = """async () => {
  const start = performance.now();
  for (const picture of pictures) await calculator.run("a", picture);
  return performance.now() - start;
}"""


def find_chromium() -> str:
    """The path of Chromium's program. Ends the benchmark where there is none on the PATH."""
    for name in ("chromium", "google-chrome", "chromium-headless-shell"):
        if executable := shutil.which(name):
            return executable
    raise SystemExit("no Chromium is on the PATH: on Debian and Ubuntu, apt install chromium")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--network", default="lenet", choices=[*zoo.NETWORKS])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pictures", type=int, default=200, help="in each figure of a round")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    executable = find_chromium()
    load_average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    network = zoo.build(arguments.network)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (arguments.pictures, *network.input_shape), np.uint8)
    parameters = initialize(network, "xavier", 0)
    model = weights.pack(parameters, {"network": to_dict(network)})

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"] * (os.geteuid() == 0)
        )
        page = browser.new_page()
        page.route("**", answer)
        page.goto(ADDRESS)
        page.wait_for_function("globalThis.ready")
        if not page.evaluate(LOAD, [as_base64(model), as_base64(images.tobytes())]):
            parser.exit(1, "the browser refused the worker\n")
        timers: dict[str, Callable[[], float]] = {
            "JavaScript in a worker": lambda: page.evaluate(IN_WORKER),
            "JavaScript in the page": lambda: page.evaluate(IN_PAGE),
            "JavaScript, one stroke": lambda: page.evaluate(STROKES),
        }
        for name, engine in engines_here(network).items():
            engine.load(State(parameters))
            timers[name] = lambda engine=engine: one_at_a_time(engine, images)  # type: ignore[misc]
        for timer in timers.values():
            timer()  # compiled, warm
        found: dict[str, list[float]] = {name: [] for name in timers}
        for _ in range(arguments.rounds):
            for name, timer in timers.items():
                found[name].append(timer() / arguments.pictures)
        chromium = browser.version
        browser.close()

    spreads = {name: Spread.of(times) for name, times in found.items()}
    print(f"{network.name}, milliseconds a picture: median of {arguments.rounds} rounds of")
    print(f"{arguments.pictures} pictures, with the lowest and the highest; Chromium {chromium}")
    for name, spread in spreads.items():
        print(f"  {name:24} {spread.median:.3f}  ({spread.min:.3f} to {spread.max:.3f})")
    if arguments.json:
        facts = {
            "network": network.name,
            "n": arguments.rounds,
            "pictures": arguments.pictures,
            "ms_a_picture": {name: asdict(spread) for name, spread in spreads.items()},
            "rounds_ms": found,
            "machine": {"system": platform.platform(), "processor": processor()},
            "load_average": load_average,  # before the start: others' work distorts the figures
            "versions": {
                "python": platform.python_version(),
                "chromium": chromium,
                **{name: version(name) for name in ("lenet", "numpy", "playwright")},
            },
            "command": shlex.join(["python", *sys.argv]),
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def answer(route: Any) -> None:
    """The page, and the files of the folder ``web``."""
    path = route.request.url.removeprefix(ADDRESS)
    if path == "":
        route.fulfill(body=PAGE, content_type="text/html")
    elif path.startswith("web/"):
        body = (WEB / path.removeprefix("web/")).read_text(encoding="utf-8")
        route.fulfill(body=body, content_type="text/javascript; charset=utf-8")
    else:
        route.fulfill(status=404)


def engines_here(network: Network) -> dict[str, Engine]:
    """The engines by the name that is printed, on one thread."""
    made: dict[str, Engine] = {}
    if not why_missing():
        made["native engine"] = NativeEngine(network, Optimizer(), Objective(), threads=1)
    made["NumPy engine"] = NumpyEngine(network, Optimizer(), Objective(), threads=1)
    return made


def one_at_a_time(engine: Engine, images: np.ndarray[Any, Any]) -> float:
    """The milliseconds of all pictures, each by itself."""
    started = time.perf_counter()
    for n in range(len(images)):
        engine.logits(images[n : n + 1])
    return 1000 * (time.perf_counter() - started)


def as_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


if __name__ == "__main__":
    main()
