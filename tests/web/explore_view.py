"""Explore for tests: the view as it is, real weights, and a backend in the page."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lenet
from lenet import data
from lenet.lab.lessons.reading import built_in
from lenet.looking import evaluation, explanations
from lenet.network import weights, zoo
from lenet.network.architecture import Network, to_dict
from lenet.network.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Tanh
from lenet.network.parameters import Parameters, initialize

WEB = Path(lenet.__file__).parent / "lab" / "page"
# The very text that conftest's security policy allows.
IMPORT_MAP = '{"imports": {"lenet/": "/web/"}}'
PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Explore</title>
<link rel="stylesheet" href="/web/style.css">
<link rel="stylesheet" href="/web/explore.css">
<link rel="stylesheet" href="/web/backward.css">
<link rel="stylesheet" href="/web/sides.css">
<link rel="stylesheet" href="/web/input.css">
<link rel="stylesheet" href="/web/lessons.css">
<script type="importmap">{IMPORT_MAP}</script>
<script type="module" src="/explore-input.js"></script>
<body><main class="view-explore"></main></body>
</html>
"""
PAGE_JS = """
import { fromBase64 } from "lenet/backend.js";
import explore from "lenet/explore.js";
import * as edits from "lenet/explore/edits/edits.js";
import { encodePixels } from "lenet/explore/picture/address.js";
import * as prepare from "lenet/explore/picture/prepare.js";
import { sniff } from "lenet/explore/picture/picture-file.js";
import { contrastGradients } from "lenet/explore/why/contrast.js";
import { createHistory } from "lenet/explore/picture/history.js";
import { translator } from "lenet/i18n.js";
import backwardWords from "lenet/i18n/backward.js";
import exploreWords from "lenet/i18n/explore.js";
import inputWords from "lenet/i18n/input.js";
import lessonWords from "lenet/i18n/lessons.js";
import shellWords from "lenet/i18n/shell.js";
import sideWords from "lenet/i18n/sides.js";
import { readSafetensors } from "lenet/network/file.js";
import { forward, normalize } from "lenet/network/forward.js";
import { softmax } from "lenet/network/softmax.js";
import * as nudge from "lenet/network/nudge.js";
import { trace } from "lenet/network/trace.js";

const bytes = async (path) => (await fetch(path)).arrayBuffer();
const json = async (path) => (await fetch(path)).json();
const content = await json("/material/content.json");
const pictures = new Uint8Array(await bytes("/material/pictures.bin"));
const labels = new Uint8Array(await bytes("/material/labels.bin"));
const models = new Map();
const runs = structuredClone(content.state.runs);
const opened = [];
const asked = []; // numbers of pictures that were asked for, together
const [, height, width] = content.set.shape;

const backend = {
  kind: "server",
  state: async () => content.state,
  run: async (name) => ({ ...content.state.runs[0], name, snapshots: content.snapshots }),
  async model(ref) {
    if (!models.has(ref)) {
      const file = { "run:digits": "digits", "run:own": "own" }[ref] ?? "fashion";
      const read = readSafetensors(await bytes(`/material/${file}.safetensors`));
      const data = file === "fashion" ? "fashion-mnist-small" : null;
      models.set(ref, { ref, title: ref.replace(/^run:/, ""), ...read, data });
    }
    return models.get(ref);
  },
  explanation: async (ref, language) => {
    const of = ref === "run:digits" ? "digits" : ref === "run:own" ? "own" : "fashion";
    return content.explanations[of][language];
  },
  async predictions() {
    const of = content.predictions;
    return {
      labels,
      predicted: fromBase64(of.predicted, Uint8Array),
      probability: fromBase64(of.probability, Float32Array),
      labelProbability: fromBase64(of.label_probability, Float32Array),
    };
  },
  dataset: async () => ({
    ...content.set,
    labels,
    async pixels(indices) {
      asked.push(indices);
      return indices.map((i) => pictures.slice(i * height * width, (i + 1) * height * width));
    },
  }),
  lessons: async () => content.lessons,
  async post(path, body) {
    const said = Object.fromEntries(new URLSearchParams(path.split("?")[1]));
    opened.push({ ...said, size: body.size });
    if (said.text?.includes("Conv3d")) {
      throw Object.assign(new Error("line 2: there is no layer Conv3d"), { line: 2 });
    }
    return { ref: "run:digits", title: said.name, data: null, remark: "names as in the network" };
  },
  startWorker: () => new Worker("/web/network/worker.js", { type: "module" }),
};

const WORDS = [exploreWords, backwardWords, inputWords, shellWords, lessonWords, sideWords];
const memory = {};
const announced = [];
const moves = [];
let view = null;

/** Shows Explore as after a change of language or theme. */
function mount(params = location.hash.slice(2), language = "en", theme = "light") {
  view?.destroy();
  const root = document.querySelector("main");
  root.replaceChildren();
  document.documentElement.lang = language;
  document.documentElement.dataset.theme = theme;
  const now = new URLSearchParams(params);
  view = explore(root, {
    backend, memory, language,
    t: translator(language, WORDS),
    params: new URLSearchParams(now),
    navigate: (...move) => moves.push(move),
    setParams(patch) {
      for (const [key, value] of Object.entries(patch)) {
        if (value == null) now.delete(key);
        else now.set(key, value);
      }
      history.replaceState(null, "", `#?${now}`);
    },
    announce: (text) => announced.push(text),
  });
}

/** Shows Explore as after a reload. */
function begin(params, { language, theme, kind = "server" }) {
  for (const list of [announced, moves, opened, asked]) list.length = 0;
  for (const name of Object.keys(memory)) delete memory[name];
  models.clear();
  backend.kind = kind;
  content.state.runs = structuredClone(runs);
  localStorage.clear();
  mount(params, language, theme);
  scrollTo(0, 0);
}

/** When the outputs are those of the picture, the weights and the gates as they are. */
async function settled() {
  let still = 0;
  for (let last = null; still < 5; ) {
    await new Promise((resolve) => setTimeout(resolve, 16));
    const { outputs, before, pixels, model } = store.get();
    const now = [outputs, before, pixels, model, document.querySelectorAll(".pick-tile").length];
    still = outputs && last?.every((one, i) => one === now[i]) ? still + 1 : 0;
    last = now;
  }
}

const digest = (array) => {
  let hash = 0;
  for (const byte of new Uint8Array(array.buffer, array.byteOffset, array.byteLength)) {
    hash = (Math.imul(hash, 31) + byte) | 0;
  }
  return hash;
};

Object.assign(globalThis, {
  announced, asked, begin, content, createHistory, digest, edits, memory, mount, moves,
  network: { forward, normalize, softmax, trace }, nudge, opened, prepare, settled, sniff,
  encodePixels,
  async backendPredictions() {
    const { labels: truth, predicted } = await backend.predictions();
    return [[...truth], [...predicted]];
  },
  /** d (z(a) − z(b)) / d output of a layer. */
  contrastOf(a, b, layer) {
    const state = store.get();
    const slopes = contrastGradients({ ...state, network: state.model.network }, a, b);
    return [...slopes[layer + 1]];
  },
  pixels: () => [...store.get().pixels],
  /** How far the network sees a pixel from what the picture has there, at most. */
  furthest() {
    const { seen, pixels } = store.get();
    return seen?.reduce((most, one, i) => Math.max(most, Math.abs(one - pixels[i])), 0);
  },
  logits: () => digest(store.get().outputs.at(-1)),
  weightsNow: () => [...store.get().weights].map(([name, { data }]) => [name, digest(data)]),
  trainedWeights: () =>
    [...store.get().model.weights].map(([name, { data }]) => [name, digest(data)]),
  ready: true,
});
"""


# --- the network, its pictures, the page -------------------------------------------------------


@cache
def trained() -> tuple[Network, Parameters]:
    """A network that has learned the bundled pictures a little, so that it misreads some."""
    with tempfile.TemporaryDirectory() as folder:
        record = lenet.train(
            "quickstart",
            epochs=2,
            batch_size=256,
            initialization="xavier",
            optimizer__method="adamw",
            schedule__kind="constant",
            schedule__learning_rate=0.002,
            out=Path(folder) / "run",
        )
        return lenet.load_model(record.folder)


def digits() -> tuple[Network, Parameters]:
    """A network for digits; untrained, which does not matter to what it is given."""
    network = zoo.build("lenet-max")
    return network, initialize(network, "xavier", 1)


def add_material(site: Any) -> None:
    """Puts everything that the page and its backend ask for into the site."""
    small = data.bundled()
    network, parameters = trained()
    seen = evaluation.predictions(network, parameters, small.test)
    found = {
        "predicted": as_base64(seen.predicted.astype(np.uint8)),
        "probability": as_base64(seen.probability.astype(np.float32)),
        "label_probability": as_base64(seen.label_probability.astype(np.float32)),
    }
    packed = {
        "fashion": trained(),
        "digits": digits(),
        "own": own_network(),
    }
    for name, (described, values) in packed.items():
        content = weights.pack(values, {"network": to_dict(described)})
        site.files[f"/material/{name}.safetensors"] = content
    site.files["/material/pictures.bin"] = small.test.images.tobytes()
    site.files["/material/labels.bin"] = small.test.labels.astype(np.uint8).tobytes()
    summary: dict[str, Any] = {
        "name": "fashion",
        "network": network.name,
        "data": small.name,
        "status": "finished",
    }
    facts: dict[str, Any] = {
        "name": small.name,
        "title": "Fashion-MNIST, small",
        "classes": list(small.test.classes),
        "shape": [1, 28, 28],
    }
    lines = "Conv2d(1, 6, kernel_size=5)\nSigmoid()\nFlatten()\nLinear(3456, 10)"
    answers = {
        "state": {
            "runs": [
                {**summary, "name": "older", "last": {"test_acc": 0.5}},
                {**summary, "last": {"test_acc": 0.75}},
            ],
            "networks": [{"name": "lenet", "text": lines, "network": to_dict(network)}],
            "data": [{**facts, "test": len(small.test), "here": True}],
        },
        "snapshots": [{"step": 10, "epoch": 0.25}, {"step": 40, "epoch": 1.0}],
        "set": {**facts, "count": len(small.test)},
        "predictions": found,
        "lessons": built_in(),
        "explanations": {
            name: {language: explained(*pair, language) for language in ("en", "zh")}
            for name, pair in packed.items()
        },
    }
    site.files["/material/content.json"] = json.dumps(answers).encode()
    site.files["/input.html"] = PAGE.encode()
    site.files["/explore-input.js"] = PAGE_JS.encode()


def as_base64(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode()


def explained(network: Network, parameters: Parameters, language: str) -> dict[str, Any]:
    values = explanations.to_json(explanations.explain(network, language, parameters))
    return {**values, "sections": values["layers"]}


def own_network() -> tuple[Network, Parameters]:
    """Colours, a size that no data set has, and dense layers one after the other."""
    layers = (
        *(Conv2d(3, 4, kernel_size=3), ReLU(), MaxPool2d(2), Flatten()),
        *(Linear(80, 40), Tanh(), Linear(40, 5)),
    )
    network = Network("own", (3, 12, 10), layers, ("a", "b", "c", "d", "e"))
    return network, initialize(network, "xavier", 2)


@contextmanager
def one_page(browser: Any, site: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page for all tests, since loading takes longer than most of them; its errors.

    ``begin`` shows Explore in it as after a reload; what Explore keeps is in ``store``.
    """
    add_material(site)

    def spy(route: Any) -> None:
        text = (WEB / "store.js").read_text()
        start = "export function createStore(initial) {"
        assert start in text
        kept = f"{start} return (globalThis.store = make(initial)); }}\nfunction make(initial) {{"
        route.fulfill(body=text.replace(start, kept), content_type="text/javascript")

    problems: list[str] = []
    context = browser.new_context()
    context.route("**/web/store.js", spy)
    context.on(
        "console",
        lambda said: problems.append(said.text) if said.type in ("error", "warning") else None,
    )
    context.on("weberror", lambda error: problems.append(str(error.error)))
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.goto(f"{site.address}/input.html")
    try:
        until(page, "globalThis.ready")
    except AssertionError:
        raise AssertionError(f"the page did not load: {problems}") from None
    yield page, problems
    context.close()


@contextmanager
def watched(opened: tuple[Any, list[str]]) -> Iterator[Callable[..., Any]]:
    """A function that shows Explore and waits until it has computed; errors fail at the end."""
    page, problems = opened
    problems.clear()

    def open_view(params: str = "", **options: str) -> Any:
        page.set_viewport_size({"width": 1280, "height": 800})
        page.evaluate("([params, options]) => begin(params, options)", [params, options])
        page.evaluate("settled()")
        return page

    yield open_view
    assert problems == []


def until(page: Any, condition: str) -> None:
    """Waits for a condition. Playwright's own waiting evaluates texts, which the policy forbids."""
    for _ in range(400):
        if page.evaluate(f"() => Boolean({condition})"):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never: {condition}")


def pixels_of(page: Any) -> NDArray[np.uint8]:
    return np.array(page.evaluate("pixels()"), np.uint8)


def state(page: Any, name: str) -> Any:
    return page.evaluate("name => store.get()[name]", name)
