"""Training in the page: its bits beside the native engine's; by hand in the lab and in a file."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from accessibility import serious_faults
from lab_process import PATIENCE_MS, open_view
from playwright.sync_api import expect

from lenet import cli, data
from lenet.engines import Batches, Position
from lenet.engines.native import NativeEngine
from lenet.network import zoo
from lenet.network.architecture import to_dict
from lenet.network.parameters import Layout, State, initialize
from lenet.optimization import Objective, Optimizer

Page = Any
SMALL = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}

# The page's worker, asked one thing after the other; what it tells is kept.
BEGIN = """async ([network, images, labels, seed]) => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  globalThis.told = [];
  globalThis.trainer = new Worker("/web/network/training-worker.js", { type: "module" });
  trainer.onmessage = ({ data }) => told.push(data);
  const engine = await fetched("/web/network/engine.wasm");
  const pictures = { engine, images: bytes(images), labels: bytes(labels), held: 20 };
  trainer.postMessage({ kind: "pictures", ...pictures });
  globalThis.settings = (learningRate) => ({
    optimizer: { method: "adam" }, learningRate, batchSize: 32 });
  trainer.postMessage({ kind: "begin", network, settings: settings(0.01), seed });
}"""
# As many steps, and then all weights, one after the other.
STEPS = """async (count) => {
  for (let i = 0; i < count; i++) trainer.postMessage({ kind: "step" });
  return await weightsAt(count);
}"""
READ = """() => {
  globalThis.weightsAt = async (step) => {
    const reached = () => told.findLast(({ kind }) => kind === "reading")?.reading.step;
    while (reached() !== step || told.at(-1).kind !== "weights") {
      const failed = told.find(({ kind }) => kind === "failed");
      if (failed) throw new Error(failed.message);
      await new Promise((done) => setTimeout(done, 20));
    }
    const arrays = [...told.at(-1).weights.values()].map(({ data }) => data);
    const all = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const array of arrays) {
      all.set(array, at);
      at += array.length;
    }
    return base64(all);
  };
}"""


def floats(text: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(base64.b64decode(text), np.float32)


def test_its_bits_are_those_of_the_native_engine_with_the_same_seed(lab_page: Page) -> None:
    """First weights, order of pictures, and every step of two epochs and a half."""
    from lenet._native import instruction_sets

    if "x86-64-v2" not in instruction_sets():
        pytest.skip("only x86-64-v2 has 4 lanes and no fused multiply-add, as WebAssembly")
    network, seed, held = zoo.build("lenet"), 4_294_967_295, 20
    part = data.subset(data.bundled().train, 170, 0)
    count = len(part) - held
    packed = [base64.b64encode(x).decode() for x in (part.images, part.labels.astype(np.uint8))]
    lab_page.evaluate(READ)
    lab_page.evaluate(BEGIN, [to_dict(network), *packed, seed])
    flatten = Layout.of(network).flatten
    parameters = initialize(network, "xavier", seed)
    first = floats(lab_page.evaluate("weightsAt(0)"))
    np.testing.assert_array_equal(first, flatten(parameters, np.float32))

    engine = NativeEngine(network, Optimizer("adam"), Objective(), 1, "x86-64-v2")
    engine.load(State(parameters))
    train = data.Split(part.images[:count], part.labels[:count], part.classes, "part")
    steps = 0
    for epoch in range(3):
        order = np.random.default_rng((seed, epoch + 1)).permutation(count)
        order = order if epoch < 2 else order[:64]
        rates = np.full(-(-len(order) // 32), 0.01)
        engine.train(train, Batches(order, 32, rates, None, Position(seed, epoch, 0)))
        steps += len(rates)
    reached = floats(lab_page.evaluate(STEPS, steps))
    np.testing.assert_array_equal(reached, flatten(engine.state().parameters, np.float32))
    assert not np.array_equal(reached, first)

    # other poolings and activations keep every weight; a number that is set stays until a step
    other = {**to_dict(network), "layers": to_dict(zoo.build("lenet-relu"))["layers"]}
    lab_page.evaluate(
        """([network, at]) => {
          told.length = 0;
          trainer.postMessage({ kind: "network", network });
          const changed = [{ name: "0.weight", at, value: 0.5 }];
          trainer.postMessage({ kind: "edit", number: 1, changed });
          trainer.postMessage({ kind: "look" });
        }""",
        [other, 7],
    )
    now = floats(lab_page.evaluate(f"weightsAt({steps})"))
    expected = reached.copy()
    expected[7] = 0.5
    np.testing.assert_array_equal(now, expected)
    assert lab_page.evaluate("told.at(-1).edits") == 1
    # too large a step, and then another: it says so, and stands still
    lost = """async () => {
      trainer.postMessage({ kind: "settings", settings: settings(1e30) });
      trainer.postMessage({ kind: "run" });
      while (!told.some(({ lost }) => lost)) await new Promise((done) => setTimeout(done, 20));
      return told.find(({ lost }) => lost).running;
    }"""
    assert lab_page.evaluate(lost) is False


# --- by hand -----------------------------------------------------------------------------------


def steps_taken(page: Page) -> int:
    said = re.search(r"step ([\d,]+)", page.locator(".train-readout").inner_text())
    return int(said[1].replace(",", "")) if said else -1


def train_until(page: Page, steps: int) -> None:
    """Lets it train until so many steps are taken, and pauses."""
    page.locator(".train-go").click()
    for _ in range(600):
        if steps_taken(page) >= steps:
            break
        page.wait_for_timeout(100)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".train-go")).to_have_text("Continue")
    assert steps_taken(page) >= steps


def test_a_training_in_the_lab(new_page: Callable[..., Page], lab: str) -> None:
    page = new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    open_view(page, lab, "explore", "?model=run:sigmoid&picture=3&unit=3:777")
    value = page.locator(".unit-value, .maps-readout").first
    expect(value).not_to_be_empty()
    trained = value.inner_text()
    page.get_by_role("button", name="Train here").click()
    side = page.locator("#lens-panel-train")
    expect(side.get_by_label("Activation")).to_have_value("Sigmoid")

    # the first weights can be seen before a step is taken
    page.get_by_role("button", name="First weights").click()
    expect(page.locator(".train-readout")).to_contain_text("step 0")
    expect(page.locator(".menu-name")).to_have_text("trained here")
    expect(value).not_to_have_text(trained)
    first = value.inner_text()
    page.get_by_role("button", name="One batch").click()
    expect(page.locator(".train-readout")).to_contain_text("step 1 ")
    expect(value).not_to_have_text(first)
    page.get_by_role("button", name="First weights").click()
    expect(page.locator(".train-readout")).to_contain_text("step 0")
    expect(value).to_have_text(first)

    # it goes on with another network, optimiser and rate, and learns
    page.locator(".train-go").click()
    side.get_by_label("Activation").select_option("ReLU")
    side.get_by_label("Pooling").select_option("MaxPool2d")
    side.get_by_label("Optimiser").select_option("momentum")
    expect(side.get_by_label("Learning rate")).to_have_value("0.01")
    side.get_by_label("Optimiser").select_option("adam")
    expect(page.locator(".maps-fold").first).to_contain_text("ReLU")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".train-go")).to_have_text("Continue")
    page.get_by_role("button", name="First weights").click()
    expect(page.locator(".train-readout")).to_contain_text("step 0")
    train_until(page, 150)
    held = re.search(r"held out ([\d.]+)%", page.locator(".train-readout").inner_text())
    assert held is not None
    assert float(held[1]) > 60
    assert page.locator(".train-chart canvas").count() == 2
    expect(page.locator(".train-chart .chart").first).to_have_attribute(
        "aria-label", re.compile("^Loss by epoch, until epoch .*held out 0")
    )
    expect(page.locator(".edited")).to_be_hidden()
    assert serious_faults(page) == []

    # what is edited goes into the training, and is trained on
    page.get_by_role("tab", name="What if").click()
    page.get_by_role("button", name="Zero", exact=False).first.click()
    expect(page.locator(".edited")).to_be_visible()
    page.get_by_role("tab", name="Train").click()
    train_until(page, steps_taken(page) + 20)
    expect(page.locator(".edited")).to_be_hidden()
    page.get_by_role("tab", name="What if").click()
    cell = page.locator(".kernel-grid .cell").first
    assert not cell.get_attribute("aria-label").endswith(": 0.0000")  # type: ignore[union-attr]

    # another language, and the training is still there; then back to the run
    page.locator("#language").click()
    page.locator("#lens-train").click()
    expect(page.locator(".train-go")).to_have_text("继续")
    page.get_by_role("button", name="离开").click()
    expect(page.locator(".menu-name")).to_have_text("sigmoid")
    number = re.search(r"−?\d+\.\d+", trained)
    assert number is not None
    expect(value).to_contain_text(number[0])
    expect(page.locator(".train-go")).to_have_text("开始")


@pytest.mark.parametrize("lean", [False, True], ids=["full", "lean"])
def test_a_training_in_a_file_without_a_server(
    new_page: Callable[..., Page], served_runs: Path, tmp_path: Path, lean: bool
) -> None:
    path = tmp_path / "relu.html"
    command = ["export", str(served_runs / "relu-adam"), "--to", "html", "--out", str(path)]
    assert cli.run([*command, *(["--lean"] if lean else [])]) == 0
    page = new_page(**SMALL)
    page.context.set_offline(True)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(path.as_uri())
    page.locator(".bars-row").first.wait_for()
    start = page.get_by_role("button", name="Train here")
    if lean:
        assert start.count() == 0
        return
    start.click()
    train_until(page, 200)
    expect(page.locator(".train-about")).to_contain_text("1,200 pictures; 300 others")
    held = re.search(r"held out ([\d.]+)%", page.locator(".train-readout").inner_text())
    assert held is not None
    assert float(held[1]) > 60
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    box = page.locator(".train").bounding_box()
    assert box["width"] <= 360
    assert page.locator(".train").evaluate("(box) => box.scrollWidth <= box.clientWidth")
