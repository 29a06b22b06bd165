"""A run as one HTML file: Explore, with the weights and sample pictures inside.

It opens by a double click, without a server and without a connection: its Content-Security-Policy
allows none. The scripts are those of the lab, as they are: each becomes a blob when the page opens,
and an import map leads from their names (``lenet/dom.js``) to the blobs. It trains, too: the native
engine as WebAssembly and some training pictures are in it, unless it is to be lean.
"""

from __future__ import annotations

import base64
import html
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet import data, looking, runs
from lenet.data import Split
from lenet.lab.datasets import training_part
from lenet.lab.export.bundle import WEB, bundle, modules
from lenet.lab.lessons.reading import built_in
from lenet.language.asked import LANGUAGES, Language
from lenet.looking import evaluation, explanations
from lenet.network.weights import pack_network
from lenet.runs import RunError
from lenet.training import calibration

if TYPE_CHECKING:
    from lenet.looking.evaluation import Predictions
    from lenet.network.architecture import Network
    from lenet.network.parameters import Parameters

SAMPLES: Final = 100  # pictures
MISREAD: Final = 3  # of each class
# Training pictures, fewer where they are large: so that the file stays below 2 MB.
TRAINING: Final = 1_500
TRAINING_BYTES: Final = 1_200_000
FEWEST: Final = 100  # with less, nothing is learned: the file is lean
STYLES: Final = (
    "style.css",
    "explore.css",
    "backward.css",
    "sides.css",
    "input.css",
    "lessons.css",
)
TRAINING_STYLES: Final = ("playground.css", "vendor/uplot.css")
LEAN_ENTRY: Final = "lenet/standalone-lean.js"
ENTRY: Final = "lenet/standalone-full.js"
WORKER: Final = "lenet/network/worker.js"
TRAINING_WORKER: Final = "lenet/network/training-worker.js"
POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; "
    "style-src 'unsafe-inline'; "
    "img-src data: blob:; worker-src blob:"
)
# The modules unpacked, and an import map that is made of blobs, before the first is asked for.
LOADER: Final = """\
(async () => {
  const place = document.getElementById("lenet-modules");
  const packed = Uint8Array.from(atob(place.textContent), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  place.textContent = await new Response(unpacked).text();
  const imports = {};
  for (const [name, text] of Object.entries(JSON.parse(place.textContent).modules)) {
    imports[name] = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  }
  for (const [type, text] of [
    ["importmap", JSON.stringify({ imports })],
    ["module", 'import "ENTRY";'],
  ]) {
    const script = document.createElement("script");
    script.type = type;
    script.textContent = text;
    document.head.append(script);
  }
})();
"""
PAGE: Final = """\
<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · LeNet</title>
<style>
{style}</style>
</head>
<body>
<noscript>This page computes in the browser: it needs JavaScript.</noscript>
<script type="application/json" id="lenet-content">{content}</script>
<script type="application/json" id="lenet-modules">{modules}</script>
<script>
{loader}</script>
</body>
</html>
"""


def of_run(
    path: Path,
    data_dir: str | os.PathLike[str] | None = None,
    language: Language = "en",
    lessons: Sequence[Mapping[str, Any]] = (),
    *,
    lean: bool = False,
) -> str:
    """The page for a run's folder, or a model.safetensors in one, with ``lessons`` besides ours.

    A lean page cannot train. Raises RunError or WeightsError where that is none, DataError where
    its test pictures are not to be had.
    """
    if not path.exists():
        raise RunError(f"{path} does not exist; 'lenet runs' lists your runs")
    path = path.absolute()  # a folder called lenet is no network's name
    subject = looking.open_subject(path)
    assert subject.folder is not None  # what is at a path has one
    record = runs.read(subject.folder)
    loaded = data.load(record.recipe.data, data_dir)
    explained = {spoken: looking.explain(path, spoken, data_dir=data_dir) for spoken in LANGUAGES}
    return to_html(
        record.folder.name,
        subject.network,
        subject.parameters,
        record.recipe.data,
        loaded.test,
        explained,
        language,
        subject.notes,
        lessons=[*built_in(), *lessons],
        train=None if lean else loaded.train,
    )


def to_html(
    title: str,
    network: Network,
    parameters: Parameters,
    data_name: str,
    test: Split,
    explained: Mapping[Language, explanations.Explanation],
    language: Language = "en",
    notes: Mapping[str, Any] = MappingProxyType({}),
    lessons: Sequence[Mapping[str, Any]] = (),
    train: Split | None = None,
) -> str:
    """The page for a trained network, with ``SAMPLES`` of these test pictures, each class alike.

    ``notes`` are those of the model's file; ``explained`` is the network in words, in every
    language. With ``train``, the page can train on some of these pictures. Raises
    ArchitectureError when the pictures are not the network's.
    """
    temperature = calibration.of_notes(notes).temperature
    seen = evaluation.predictions(network, parameters, test, temperature=temperature)
    chosen = sample(test, seen, SAMPLES)
    part = None if train is None else training_part(train, TRAINING, TRAINING_BYTES)
    trains = part is not None and len(part) >= FEWEST
    content: dict[str, Any] = {
        "title": title,
        "language": language,
        "summary": {
            "network": network.name,
            "parameters": sum(values.size for values in parameters.values()),
            "data": data_name,
            "starred": False,
            "last": None,
        },
        "data": {
            "name": data_name,
            "title": data_name,
            "classes": list(test.classes),
            "shape": list(test.images.shape[1:]),
        },
        "indices": chosen.tolist(),
        "weights": _base64(pack_network(network, parameters, notes)),
        "pixels": _base64(test.images[chosen].tobytes()),
        "labels": _base64(test.labels[chosen].astype(np.uint8).tobytes()),
        "predicted": _base64(seen.predicted[chosen].astype(np.uint8).tobytes()),
        "probability": _base64(seen.probability[chosen].astype("<f4").tobytes()),
        "label_probability": _base64(seen.label_probability[chosen].astype("<f4").tobytes()),
        "lessons": [*lessons],
        "explanations": {spoken: asdict(words) for spoken, words in explained.items()},
    }
    scripts = {"worker": bundle(modules(WORKER), WORKER)[0]}
    styles: tuple[str, ...] = STYLES
    if part is not None and trains:
        scripts["trainer"] = bundle(modules(TRAINING_WORKER), TRAINING_WORKER)[0]
        styles += TRAINING_STYLES
        labels = part.labels.astype(np.uint8)
        content["training"] = _packed(part.images.tobytes() + labels.tobytes())
        content["engine"] = _packed((WEB / "network/engine.wasm").read_bytes())
    packed = {"modules": modules(ENTRY if trains else LEAN_ENTRY), "scripts": scripts}
    return PAGE.format(
        language="zh-CN" if language == "zh" else "en",
        policy=html.escape(POLICY),
        title=html.escape(title),
        style="".join((WEB / name).read_text(encoding="utf-8") for name in styles),
        content=_json(content),
        modules=_packed(json.dumps(packed).encode()),
        loader=LOADER.replace("ENTRY", ENTRY if trains else LEAN_ENTRY),
    )


def sample(split: Split, seen: Predictions, count: int) -> NDArray[np.int64]:
    """The positions of ``count`` pictures, each class alike, in order.

    Of each class the three that were misread most surely, then its first ones: a network that errs
    seldom shows how it errs all the same.
    """
    rank = np.zeros(len(split), np.int64)  # which of its class a picture is
    for label in range(len(split.classes)):
        own = np.flatnonzero(split.labels == label)
        wrong = own[seen.predicted[own] != label]
        surest = wrong[np.argsort(-seen.probability[wrong], kind="stable")][:MISREAD]
        order = np.concatenate([surest, np.setdiff1d(own, surest)])
        rank[order] = np.arange(len(order))
    return np.sort(np.argsort(rank, kind="stable")[:count])


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _packed(content: bytes) -> str:
    """Deflated, as base64."""
    return _base64(zlib.compress(content, 9))


def _json(value: Any) -> str:
    """JSON that may stand in a page: nothing in it ends the script or begins a comment."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
