"""calculator.js: networks in a worker, beside the page; and what a whole data set says of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lenet
from lenet import data
from lenet.engines.native import NativeEngine, why_missing
from lenet.lab.export.bundle import bundle, modules
from lenet.looking import evaluation
from lenet.network import weights, zoo
from lenet.network.architecture import Network, to_dict
from lenet.network.parameters import Parameters, State, initialize
from lenet.optimization import Objective, Optimizer

CLOSE = 1e-4  # what two float32 computations of one network may differ by

# A calculator with LeNet, and 40 pictures: what most tests begin with.
BEGIN = """async () => {
  const {network, weights} = readSafetensors(await fetched("/model"));
  const pixels = new Uint8Array(await fetched("/pictures"));
  const pictures = Array.from({length: 40}, (_, n) => pixels.subarray(784 * n, 784 * (n + 1)));
  const calculator = createCalculator(startWorker);
  calculator.load("a", network, weights);
  const direct = (picture, its = weights, options = {}) =>
    forward(network, its, normalize(network, picture), options);
  const same = (ones, others) => ones.length === others.length &&
    ones.every((one, i) =>
      one.length === others[i].length && one.every((x, j) => x === others[i][j]));
  Object.assign(globalThis, {network, weights, pictures, pixels, calculator, direct, same});
}"""


@pytest.fixture
def begun(lab_page: Any, site: Any, small: data.Dataset) -> Any:
    serve(site, zoo.build("lenet"), initialize(zoo.build("lenet"), "xavier", 0))
    site.files["/pictures"] = small.test.images[:40].tobytes()
    lab_page.evaluate(BEGIN)
    return lab_page


def serve(site: Any, network: Network, parameters: Parameters) -> None:
    site.files["/model"] = weights.pack(parameters, {"network": to_dict(network)})


def test_a_worker_computes_what_the_page_would(begun: Any) -> None:
    found = begun.evaluate("""async () => {
      const outputs = await calculator.run("a", pictures[3]);
      const asInput = await calculator.run("a", normalize(network, pictures[3]));
      return {
        inWorker: await calculator.inWorker,
        layers: outputs.length,
        pixels: same(outputs, direct(pictures[3])),
        input: same(asInput, outputs),
        still: pictures[3].length,
      };
    }""")
    assert found == {"inWorker": True, "layers": 12, "pixels": True, "input": True, "still": 784}


def test_the_newest_stroke_wins_and_one_lane_leaves_the_other_alone(begun: Any) -> None:
    found = begun.evaluate("""async () => {
      calculator.load("b", network, weights);
      const strokes = pictures.map((picture) => calculator.run("a", picture));
      const other = calculator.run("b", pictures[1]);
      const apart = calculator.run("a", pictures[2], {lane: "thumbnail"});
      const arrived = await Promise.all(strokes);
      const there = arrived.flatMap((outputs, n) => (outputs === null ? [] : [n]));
      const later = await calculator.run("a", pictures[5]);
      return {
        there,
        right: there.every((n) => same(arrived[n], direct(pictures[n]))),
        other: same(await other, direct(pictures[1])),
        apart: same(await apart, direct(pictures[2])),
        later: same(later, direct(pictures[5])),
      };
    }""")
    assert found.pop("there") == [0, 39]  # the first was under way, the last is the newest
    assert found == {"right": True, "other": True, "apart": True, "later": True}


def test_a_stroke_that_lasts_shows_something_all_along(begun: Any) -> None:
    shown = begun.evaluate("""async () => {
      let shown = 0;
      for (let n = 0; n < 60; n += 1) {
        calculator.run("a", pictures[n % 40]).then((outputs) => { shown += outputs !== null; });
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return shown;
    }""")
    assert shown > 5


def test_changed_weights_and_switched_off_channels(begun: Any) -> None:
    found = begun.evaluate("""async () => {
      const changed = new Map(weights);
      const kernels = weights.get("0.weight");
      changed.set("0.weight", {...kernels, data: kernels.data.map((w) => -w)});
      const gates = new Map([[2, Uint8Array.of(1, 0, 1, 1, 1, 1)]]);
      const before = await calculator.run("a", pictures[0]);
      const off = await calculator.run("a", pictures[0], {gates});
      calculator.load("a", network, changed);
      const after = await calculator.run("a", pictures[0]);
      calculator.load("a", network, weights);
      const again = await calculator.run("a", pictures[0]);
      return {
        differs: !same(before, after), after: same(after, direct(pictures[0], changed)),
        off: same(off, direct(pictures[0], weights, {gates})), offDiffers: !same(off, before),
        again: same(again, before),
      };
    }""")
    assert all(found.values()), found


def test_many_pictures_with_progress_while_a_stroke_goes_between(begun: Any) -> None:
    found = begun.evaluate("""async () => {
      const seen = [];
      let finished = false;
      const whole = calculator.many("a", pixels, {progress: (done, of) => seen.push([done, of])});
      whole.then(() => { finished = true; });
      const stroke = await calculator.run("a", pictures[7]);
      const between = !finished;
      const logits = await whole;
      const listed = await calculator.many("a", pictures);
      const wanted = pictures.flatMap((picture) => [...direct(picture).at(-1)]);
      return {
        seen, between, stroke: same(stroke, direct(pictures[7])),
        logits: same([logits], [wanted]), listed: same([listed], [wanted]),
      };
    }""")
    assert found.pop("seen") == [[16, 40], [32, 40], [40, 40]]
    assert all(found.values()), found


def test_what_is_stopped_or_closed_comes_to_null(begun: Any) -> None:
    found = begun.evaluate("""async () => {
      const abort = new AbortController();
      const aborted = calculator.many("a", pixels, {
        signal: abort.signal, progress: () => abort.abort(),
      });
      const replaced = calculator.many("a", pixels);
      calculator.load("a", network, new Map(weights));
      const first = await Promise.all([aborted, replaced]);
      calculator.load("gone", network, weights);
      const waiting = [1, 2].map(() => calculator.run("gone", pictures[0]));
      const gone = calculator.many("gone", pixels);
      calculator.unload("gone");
      const second = [(await Promise.all(waiting))[1], await gone];
      const pending = [1, 2, 3].map((n) => calculator.run("a", pictures[n]));
      const portions = calculator.many("a", pixels);
      calculator.close();
      const third = await Promise.all([...pending, portions, calculator.run("a", pictures[0])]);
      return [...first, ...second, ...third];
    }""")
    assert found == [None] * 9


def test_what_cannot_be_computed_is_said(begun: Any) -> None:
    found = begun.evaluate("""async () => {
      const said = (error) => error.message;
      const wrong = {...network, layers: network.layers.slice(1)};
      let misfit = "";
      try { calculator.load("c", wrong, weights); } catch (error) { misfit = error.message; }
      return [
        misfit,
        await calculator.run("nowhere", pictures[0]).catch(said),
        await calculator.many("nowhere", pictures).catch(said),
        await calculator.run("a", new Uint8Array(5)).catch(said),
        await calculator.run("a", new Float32Array(5)).catch(said),
        await calculator.many("a", new Uint8Array(785)).catch(said),
        await calculator.many("a", [new Uint8Array(3)]).catch(said),
        (await calculator.run("a", pictures[0])).length,
      ];
    }""")
    assert "layer 2 (Conv2d) expects 6×height×width" in found[0]
    assert found[1:] == [
        'no network is loaded as "nowhere"',
        'no network is loaded as "nowhere"',
        "the picture has 5 numbers, the network needs 1×28×28",
        "the picture has 5 numbers, the network needs 1×28×28",
        "785 numbers are no pictures of 1×28×28",
        "a picture has 3 numbers, the network needs 784",
        12,
    ]


def test_where_workers_are_refused_the_page_computes(
    page: Any, site: Any, small: data.Dataset, problems: list[str]
) -> None:
    serve(site, zoo.build("lenet"), initialize(zoo.build("lenet"), "xavier", 0))
    site.files["/pictures"] = small.test.images[:40].tobytes()
    page.goto(f"{site.address}/without-workers")
    page.wait_for_function("globalThis.ready")
    page.evaluate(BEGIN)
    found = page.evaluate("""async () => {
      const strokes = await Promise.all(pictures.map((one) => calculator.run("a", one)));
      const copy = pictures[0].slice();
      const kept = calculator.run("a", copy);
      copy.fill(255);
      return {
        inPage: !(await calculator.inWorker),
        newest: same(strokes[39], direct(pictures[39])),
        dropped: strokes.filter((outputs) => outputs === null).length,
        many: (await calculator.many("a", pixels)).length,
        kept: same(await kept, direct(pictures[0])),
      };
    }""")
    assert found == {"inPage": True, "newest": True, "dropped": 38, "many": 400, "kept": True}
    assert problems
    assert all("Content Security Policy" in problem for problem in problems)
    problems.clear()


def test_a_broken_worker_is_replaced_by_the_page(begun: Any) -> None:
    found = begun.evaluate("""async () => {
      const script = new Blob(["throw new Error('refused');"], {type: "text/javascript"});
      const broken = createCalculator(() => new Worker(URL.createObjectURL(script)));
      broken.load("a", network, weights);
      const outputs = await broken.run("a", pictures[4]);
      return [await broken.inWorker, same(outputs, direct(pictures[4]))];
    }""")
    assert found == [False, True]


def test_one_file_computes_in_a_worker_offline(
    new_page: Callable[..., Any], tmp_path: Path
) -> None:
    names = ("calculator", "standalone-worker", "network/file", "network/forward")
    page_modules = {k: v for name in names for k, v in modules(f"lenet/{name}.js").items()}
    worker = "lenet/network/worker.js"
    imports = {
        name: f"data:text/javascript;base64,{as_base64(text.encode())}"
        for name, text in page_modules.items()
    }
    described, random = zoo.build("lenet"), np.random.default_rng(0)
    model = weights.pack(initialize(described, "xavier", 0), {"network": to_dict(described)})
    values = {
        "script": bundle(modules(worker), worker)[0],
        "model": as_base64(model),
        "pixels": random.integers(0, 256, 784).tolist(),
    }
    file = tmp_path / "one file.html"
    file.write_text(
        f"""<!doctype html><meta charset="utf-8">
        <script type="importmap">{json.dumps({"imports": imports})}</script>
        <script type="module">
          import {{ createCalculator }} from "lenet/calculator.js";
          import {{ readSafetensors }} from "lenet/network/file.js";
          import {{ forward, normalize }} from "lenet/network/forward.js";
          import {{ starter }} from "lenet/standalone-worker.js";
          const values = {json.dumps(values)};
          const bytes = Uint8Array.from(atob(values.model), (letter) => letter.charCodeAt(0));
          const {{ network, weights }} = readSafetensors(bytes.buffer);
          const pixels = Uint8Array.from(values.pixels);
          const calculator = createCalculator(starter(values.script));
          calculator.load("one", network, weights);
          const outputs = await calculator.run("one", pixels);
          const direct = forward(network, weights, normalize(network, pixels));
          const same = outputs.every((one, i) => one.every((x, j) => x === direct[i][j]));
          globalThis.found = [await calculator.inWorker, outputs.length, same];
        </script>""",
        encoding="utf-8",
    )
    page = new_page(offline=True)
    page.goto(file.as_uri())
    page.wait_for_function("globalThis.found")
    assert page.evaluate("found") == [True, 12, True]


def as_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


# --- a whole data set --------------------------------------------------------------------------


@pytest.mark.skipif(why_missing() != "", reason="the native engine was not built")
@pytest.mark.parametrize(
    ("name", "count"), [("lenet", 2000), ("lenet-max", 1000), ("lenet-relu", 1000), ("mlp", 1000)]
)
def test_thousands_of_pictures_are_recognised_as_by_the_native_engine(
    name: str, count: int, lab_page: Any, site: Any, full_data: None, tmp_path: Path
) -> None:
    record = lenet.train("d2l-adam", out=tmp_path / "run", network=name, epochs=1, lr=0.004)
    network, parameters = lenet.load_model(record.folder)
    test = data.load("fashion-mnist", download=False).test
    assert evaluation.evaluate(network, parameters, test).accuracy > 0.5  # really trained
    engine = NativeEngine(network, Optimizer(), Objective())
    engine.load(State(parameters))
    theirs = engine.logits(test.images[:count])

    site.files["/model"] = (record.folder / "model.safetensors").read_bytes()
    site.files["/pictures"] = test.images[:count].tobytes()
    lab_page.evaluate("""async () => {
      const {network, weights} = readSafetensors(await fetched("/model"));
      globalThis.pixels = new Uint8Array(await fetched("/pictures"));
      globalThis.calculator = createCalculator(startWorker);
      calculator.load("trained", network, weights);
      await calculator.many("trained", pixels.subarray(0, 784 * 320));  // warm
    }""")
    text = lab_page.evaluate("async () => base64(await calculator.many('trained', pixels))")
    assert lab_page.evaluate("calculator.inWorker")
    ours = np.frombuffer(base64.b64decode(text), np.float32).reshape(count, 10)

    difference = float(abs(ours - theirs).max())
    highest = np.sort(theirs, axis=1)
    clear = highest[:, -1] - highest[:, -2] > 2e-4
    print(f"\n{name}: largest difference {difference:.2e}")
    print(f"{(~clear).sum()} of them with their two highest logits within 2e-4")
    assert difference <= CLOSE
    assert (ours.argmax(1) == theirs.argmax(1))[clear].all()
    assert clear.sum() > 0.99 * count
