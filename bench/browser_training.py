"""How fast the page trains, in examples a second, beside the native engine on one thread.

    python bench/browser_training.py [--network lenet] [--rounds 7] [--pictures 4096] [--json FILE]

In each round, in turn: engine.wasm in a real browser (vectors of 128 bits), the native engine with
vectors of the same width, and with the widest of this processor. What counts is processor time, so
that others' work on the machine distorts less. The weights and pictures are random: time does not
depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from browser import ADDRESS, WEB, answer, as_base64, find_chromium
from lenet.benchmark import Spread
from lenet.data import Split
from lenet.engines import Batches, Position
from lenet.engines.native import NativeEngine, choose_instruction_set
from lenet.machine import processor
from lenet.network import zoo
from lenet.network.architecture import Network, to_dict
from lenet.network.parameters import State, initialize
from lenet.optimization import Objective, Optimizer

PAGE = """<!doctype html>
<title>Bench</title>
<script type="module">
  import { makeEngine } from "/web/network/engine.js";
  import { firstWeights } from "/web/network/random.js";
  Object.assign(globalThis, { makeEngine, firstWeights, ready: true });
</script>
"""
LOAD = """async ([network, wasm, pictures, labels]) => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const module = await WebAssembly.compile(bytes(wasm));
  globalThis.engine = await makeEngine(module, network, { method: "adam" });
  engine.setWeights(firstWeights(network, 0));
  engine.setPictures(bytes(pictures), bytes(labels));
}"""
TRAIN = """([count, batchSize]) => {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  const position = { seed: 0, epoch: 0, firstSample: 0 };
  engine.train(order, { batchSize, learningRate: 0.001, position });
}"""
BATCHES = (32, 256)
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--network", default="lenet", choices=[*zoo.NETWORKS])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pictures", type=int, default=4096, help="in each figure of a round")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    executable = find_chromium()
    load_average = os.getloadavg()[0]
    network, count = zoo.build(arguments.network), arguments.pictures
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, *network.input_shape), np.uint8)
    labels = random.integers(0, len(network.classes), count)
    split = Split(images, labels, network.classes, "random")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"] * (os.geteuid() == 0)
        )
        page = browser.new_page()
        page.route("**", answer)
        page.route(ADDRESS, lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.goto(ADDRESS)
        page.wait_for_function("globalThis.ready")
        wasm = (WEB / "network/engine.wasm").read_bytes()
        sent = [as_base64(content) for content in (wasm, images.tobytes(), labels.astype("u1"))]
        page.evaluate(LOAD, [to_dict(network), *sent])
        pages = renderers()  # the others stand still

        def in_page(batch: int) -> float:
            before = sum(map(spent, pages))
            page.evaluate(TRAIN, [count, batch])
            return sum(map(spent, pages)) - before

        trainers: dict[str, Callable[[int], float]] = {"the page, 128 bits": in_page}
        for label, instructions in (
            ("native engine, 128 bits", "x86-64-v2"),
            (f"native engine, {choose_instruction_set()}", choose_instruction_set()),
        ):
            trainers[label] = native(network, split, instructions)
        found: dict[str, dict[int, list[float]]] = {
            name: {batch: [] for batch in BATCHES} for name in trainers
        }
        for round_number in range(arguments.rounds + 1):
            for batch in BATCHES:
                for name, train in trainers.items():
                    seconds = train(batch)
                    if round_number > 0:  # the first warms up
                        found[name][batch].append(count / seconds)
        chromium = browser.version
        browser.close()

    print(
        f"{network.name}, examples a second of one processor: median of {arguments.rounds} rounds"
    )
    print(f"of {count:,} pictures, with the lowest and the highest; Chromium {chromium}")
    first = next(iter(found.values()))
    for batch in BATCHES:
        print(f"batches of {batch}")
        for name, speeds in found.items():
            spread = Spread.of(speeds[batch])
            ratios = np.divide(speeds[batch], first[batch])
            print(
                f"  {name:28} {spread.median:8,.0f}  ({spread.min:,.0f} to {spread.max:,.0f}), "
                f"{np.median(ratios):.2f} times the page"
            )
    if arguments.json:
        facts: dict[str, Any] = {
            "network": network.name,
            "n": arguments.rounds,
            "pictures": count,
            "examples_per_s": {
                name: {str(batch): asdict(Spread.of(values)) for batch, values in speeds.items()}
                for name, speeds in found.items()
            },
            "rounds": found,
            "machine": {"system": platform.platform(), "processor": processor()},
            "load_average": load_average,
            "versions": {"python": platform.python_version(), "chromium": chromium},
            "command": shlex.join(["python", *sys.argv]),
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def native(network: Network, split: Split, instructions: str) -> Callable[[int], float]:
    """A function that trains on all pictures once, and returns the seconds of this thread."""
    engine = NativeEngine(network, Optimizer("adam"), Objective(), 1, instructions)
    engine.load(State(initialize(network, "xavier", 0)))
    order = np.arange(len(split))

    def train(batch: int) -> float:
        rates = np.full(-(-len(order) // batch), 0.001)
        before = time.process_time()
        engine.train(split, Batches(order, batch, rates, None, Position(0, 0, 0)))
        return time.process_time() - before

    return train


def renderers() -> list[int]:
    """The processes that run pages, among those that this one has started."""
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(fields(folder)[1])
            lines[int(folder.name)] = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended

    def ours(process: int) -> bool:
        return process == os.getpid() or (process in parents and ours(parents[process]))

    return [one for one, line in lines.items() if b"--type=renderer" in line and ours(one)]


def fields(folder: Path) -> list[str]:
    """What /proc/…/stat says behind the name: state, parent, …"""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def spent(process: int) -> float:
    """The processor time of a process so far, in seconds."""
    user, system = fields(Path("/proc") / str(process))[11:13]
    return (int(user) + int(system)) / TICKS


if __name__ == "__main__":
    main()
