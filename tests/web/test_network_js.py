"""The page's network/ against the engines, plain loops and PyTorch's rules, in a real browser."""

from __future__ import annotations

import base64
import itertools
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from activations import COMPUTED
from lenet import data, scratch
from lenet.data.derived import framed, shrunk
from lenet.engines import normalization_table
from lenet.engines.numpy import NumpyEngine, activate
from lenet.network import weights, zoo
from lenet.network.architecture import (
    Network,
    Normalization,
    TracedLayer,
    from_dict,
    to_dict,
    trace,
    trace_layers,
)
from lenet.network.codes import codes
from lenet.network.layers import (
    RBF,
    SATURATED_SHARE,
    Activation,
    ArchitectureError,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    ScaledTanh,
    Subsample,
    curve,
    padding_of,
    role_of,
    stride_of,
)
from lenet.network.parameters import Parameters, State, initialize
from lenet.optimization import Objective, Optimizer
from lenet.training import calibration

CLOSE = 1e-4  # what two float32 computations of one network may differ by
ACTIVATIONS = tuple(COMPUTED.values())
ACTIVATIONS += (LeakyReLU(0.3),)
OLD = (ScaledTanh(), ScaledTanh(1.5, -0.8))
TRAINED_TODAY = ("lenet", "lenet-max", "lenet-relu", "mlp", "linear")


# --- networks, and what they should compute ----------------------------------------------------


def draw(seed: int, old: bool = False) -> Network:
    """A network drawn at random; with the layers of 1998 among the others where ``old``."""
    random = np.random.default_rng(seed)
    height, width = (int(size) for size in random.integers(7, 15, 2))
    shape = channels, _, _ = (int(random.integers(1, 4)), height, width)
    layers: list[Layer] = []

    def pick(least: int, most: int) -> int:
        return int(random.integers(least, most + 1))

    for _ in range(pick(1, 5)):
        channels, height, width = (
            trace_layers(shape, tuple(layers))[-1].output_shape if layers else shape
        )
        room = min(height, width)
        kind = pick(0, 6 if old else 4)
        if kind in (0, 1):
            padding, out = pick(0, 3), pick(1, 5)
            kernel = pick(1, min(7, room + 2 * padding))
            table = None
            if kind == 0 and old:
                rows = (random.permutation(channels)[: pick(1, channels)] for _ in range(out))
                table = tuple(tuple(int(source) for source in row) for row in rows)
            layers.append(Conv2d(channels, out, kernel, pick(1, 3), padding, table))
        elif kind in (2, 3):
            kernel = pick(1, min(4, room))
            stride = None if pick(0, 1) else pick(1, 3)
            layers.append((AvgPool2d, MaxPool2d)[kind - 2](kernel, stride, pick(0, kernel // 2)))
        elif kind == 4:
            layers.append((*ACTIVATIONS, Dropout(0.3))[pick(0, len(ACTIVATIONS))])
        elif kind == 5:
            layers.append(Subsample(channels, pick(1, min(3, room))))
        else:
            layers.append(OLD[pick(0, 1)])
    layers.append(Flatten())
    (features,) = trace_layers(shape, tuple(layers))[-1].output_shape
    hidden, classes = pick(1, 30), pick(2, 12)
    layers += [
        Linear(features, hidden),
        (*ACTIVATIONS, *OLD)[pick(0, len(ACTIVATIONS) + (1 if old else -1))],
        Dropout(),
    ]
    layers.append(RBF(hidden, classes) if old else Linear(hidden, classes))
    means = tuple(float(mean) for mean in random.uniform(0, 0.5, shape[0] if pick(0, 1) else 1))
    deviation = float(random.uniform(0.2, 1.0))
    normalization = Normalization(means, (deviation,))
    return Network(f"drawn-{seed}", shape, tuple(layers), zoo.class_names(classes), normalization)


def numbers(network: Network, seed: int = 0) -> Parameters:
    """Random parameters."""
    parameters = initialize(network, "he", seed)
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Conv2d) and layer.connections is not None:
            # the weights between channels that are not connected mean nothing
            for output, sources in enumerate(layer.connections):
                others = [i for i in range(layer.in_channels) if i not in sources]
                parameters[f"{index}.weight"][output, others] = 1e6
    return parameters


def pictures(network: Network, n: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, *network.input_shape), np.uint8)


def normalized(network: Network, image: NDArray[np.uint8]) -> NDArray[np.float64]:
    table = normalization_table(network)
    return np.stack([values[plane] for values, plane in zip(table, image, strict=True)])


def reference(network: Network, parameters: Parameters, x: NDArray[Any]) -> list[NDArray[Any]]:
    """Every layer's output for one normalised picture, in float64, by plain loops."""
    outputs = []
    x = np.asarray(x, np.float64)
    for index, layer in enumerate(network.layers):
        own = {
            name: parameters[f"{index}.{name}"].astype(np.float64)
            for name in ("weight", "bias")
            if f"{index}.{name}" in parameters
        }
        match layer:
            case Conv2d():
                weight = own["weight"]
                if layer.connections is not None:
                    table = np.zeros(weight.shape[:2])
                    for output, sources in enumerate(layer.connections):
                        table[output, list(sources)] = 1
                    weight = weight * table[:, :, None, None]
                none = np.zeros(len(weight))
                x = scratch.conv2d(x, weight, none, padding=layer.padding, stride=layer.stride)
                x = x + own["bias"].reshape(-1, layer.bias_size, layer.bias_size)
            case AvgPool2d() | MaxPool2d():
                mode = "avg" if isinstance(layer, AvgPool2d) else "max"
                stride, padding = stride_of(layer), layer.padding
                x = scratch.pool2d(x, layer.kernel_size, mode, padding=padding, stride=stride)
            case Subsample():
                k = layer.kernel_size
                sums = scratch.pool2d(x, k, "avg", stride=k) * k**2
                x = sums * own["weight"][:, None, None] + own["bias"][:, None, None]
            case _ if isinstance(layer, Activation):
                x = activate(layer, x)
            case Flatten():
                x = x.reshape(-1)
            case Linear():
                x = own["weight"] @ x + own["bias"]
            case RBF():
                x = -((x - codes(layer)) ** 2).sum(1)
            case Dropout():
                pass
        outputs.append(x)
    return outputs


def engine_outputs(
    network: Network, parameters: Parameters, images: NDArray[np.uint8]
) -> list[NDArray[np.float32]]:
    engine = NumpyEngine(network, Optimizer(), Objective())
    engine.load(State(parameters))
    return engine.activations(images)


# --- the way into the page and out of it -------------------------------------------------------


def serve(site: Any, network: Network, parameters: Parameters, path: str = "/model") -> str:
    site.files[path] = weights.pack(parameters, {"network": to_dict(network)})
    return path


def floats(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), np.float32)


def split(flat: NDArray[Any], traced: tuple[TracedLayer, ...], n: int) -> list[NDArray[Any]]:
    """Outputs that lie one picture after the other as one array (n, …) for each layer."""
    flat = flat.reshape(n, -1)
    ends = np.cumsum([math.prod(row.output_shape) for row in traced])
    parts = np.split(flat, ends[:-1], axis=1)
    return [part.reshape(n, *row.output_shape) for part, row in zip(parts, traced, strict=True)]


FORWARD = """async ([model, pictures]) => {
  const {network, weights} = readSafetensors(await fetched(model));
  const pixels = new Uint8Array(await fetched(pictures));
  const size = network.input_shape.reduce((a, b) => a * b, 1);
  const all = [];
  for (let start = 0; start < pixels.length; start += size) {
    const input = normalize(network, pixels.subarray(start, start + size));
    all.push(...forward(network, weights, input));
  }
  const flat = new Float32Array(all.reduce((sum, output) => sum + output.length, 0));
  let place = 0;
  for (const output of all) {
    flat.set(output, place);
    place += output.length;
  }
  return base64(flat);
}"""


def js_outputs(
    page: Any, site: Any, network: Network, parameters: Parameters, images: NDArray[np.uint8]
) -> list[NDArray[np.float32]]:
    serve(site, network, parameters)
    site.files["/pictures"] = images.tobytes()
    flat = floats(page.evaluate(FORWARD, ["/model", "/pictures"]))
    return split(flat, trace(network), len(images))


def assert_close(ours: Any, theirs: Any, where: str) -> None:
    # sums of large numbers: float32 has 24 bits, whatever their size
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=CLOSE, err_msg=where)


# --- forward -----------------------------------------------------------------------------------


def test_every_layer_of_drawn_networks_is_that_of_the_engine(shared_page: Any, site: Any) -> None:
    met: set[str] = set()
    for seed in range(40):
        network = draw(seed)
        parameters, images = numbers(network, seed), pictures(network, 3, seed)
        ours = js_outputs(shared_page, site, network, parameters, images)
        theirs = engine_outputs(network, parameters, images)
        for row, one, other in zip(trace(network), ours, theirs, strict=True):
            met.add(row.kind)
            assert_close(one, other, f"{network}, layer {row.index}")
    assert met == {
        *("Conv2d", "AvgPool2d", "MaxPool2d", "Dropout", "Flatten", "Linear"),
        *COMPUTED,
    }


def test_layers_of_1998_are_those_of_plain_loops(shared_page: Any, site: Any) -> None:
    met: set[str] = set()
    for network in [zoo.lenet5(), zoo.lenet1989(), *(draw(seed, old=True) for seed in range(20))]:
        parameters, images = numbers(network), pictures(network, 1)
        ours = js_outputs(shared_page, site, network, parameters, images)
        theirs = reference(network, parameters, normalized(network, images[0]))
        for row, one, other in zip(trace(network), ours, theirs, strict=True):
            met.add(row.kind)
            met |= {"connections"} if getattr(row.layer, "connections", None) else set()
            assert_close(one[0], other, f"{network}, layer {row.index}")
    assert met >= {"ScaledTanh", "Subsample", "RBF", "connections"}


@pytest.mark.parametrize("name", TRAINED_TODAY)
def test_networks_of_the_zoo_on_real_pictures(
    name: str, shared_page: Any, site: Any, small: data.Dataset
) -> None:
    network = zoo.build(name)
    parameters, images = initialize(network, "xavier", 1), small.test.images[:20]
    ours = js_outputs(shared_page, site, network, parameters, images)
    theirs = engine_outputs(network, parameters, images)
    for row, one, other in zip(trace(network), ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=CLOSE, err_msg=str(row))


def test_not_a_number_is_passed_on_as_in_the_engine(shared_page: Any, site: Any) -> None:
    layers = (Conv2d(1, 2, 3, padding=1), ReLU(), MaxPool2d(2), AvgPool2d(2), Flatten())
    network = Network("nan", (1, 8, 8), (*layers, Linear(8, 3)), zoo.class_names(3))
    parameters, images = numbers(network), pictures(network, 2)
    parameters["0.weight"][1, 0, 1, 1] = np.nan
    parameters["5.weight"][0, 0] = np.inf
    ours = js_outputs(shared_page, site, network, parameters, images)
    theirs = engine_outputs(network, parameters, images)
    for one, other in zip(ours, theirs, strict=True):
        assert_close(one, other, "with NaN")
    assert np.isnan(ours[0][:, 1]).all()
    assert not np.isnan(ours[2][:, 0]).any()


def test_what_is_switched_off_counts_as_zero(shared_page: Any, site: Any) -> None:
    network = zoo.build("lenet-relu")
    parameters, image = initialize(network, "he", 3), pictures(network, 1)
    silent = {name: values.copy() for name, values in parameters.items()}
    for channel in (1, 4):  # through ReLU and pooling zero stays zero
        silent["0.weight"][channel] = silent["0.bias"][channel] = 0
    silent["7.weight"][11] = silent["7.bias"][11] = 0
    theirs = engine_outputs(network, silent, image)
    serve(site, network, parameters)
    site.files["/pictures"] = image.tobytes()
    script = """async () => {
      const {network, weights} = readSafetensors(await fetched("/model"));
      const pixels = new Uint8Array(await fetched("/pictures"));
      const off = (n, ...places) => Uint8Array.from({length: n}, (_, i) => !places.includes(i));
      const gates = new Map([[2, off(6, 1, 4)], [7, off(120, 11)]]);
      const outputs = forward(network, weights, normalize(network, pixels), {gates});
      return outputs.map(base64);
    }"""
    ours = [floats(text) for text in shared_page.evaluate(script)]
    assert_close(ours[-1], theirs[-1][0], "logits")
    assert_close(ours[2], theirs[2].reshape(-1), "S2")
    assert np.count_nonzero(ours[2].reshape(6, -1).any(1)) == 4
    assert ours[7][11] == 0


def test_softmax_adds_up_even_where_exponentials_overflow(shared_page: Any) -> None:
    logits = [1000.0, 999.0, -1000.0]
    found = shared_page.evaluate(
        "(logits) => { const s = softmaxArithmetic(logits); return {sum: s.sum, "
        "largest: s.largest, shifted: [...s.shifted], exponentials: [...s.exponentials], "
        "probabilities: [...s.probabilities], same: [...softmax(logits)]}; }",
        logits,
    )
    assert found["largest"] == 1000
    assert found["shifted"] == [0, -1, -2000]
    assert found["exponentials"] == [1, math.exp(-1), 0]
    assert found["sum"] == 1 + math.exp(-1)
    assert found["probabilities"] == [1 / found["sum"], math.exp(-1) / found["sum"], 0]
    assert found["same"] == found["probabilities"]


def test_channels_are_normalised_each_by_its_own(shared_page: Any) -> None:
    normalization = Normalization((0.1, 0.2, 0.3), (0.5,))
    network = replace(zoo.build("mlp", (3, 4, 5)), normalization=normalization)
    image = pictures(network, 1)[0]
    script = "([network, pixels]) => [...normalize(network, pixels)]"
    found = shared_page.evaluate(script, [to_dict(network), image.reshape(-1).tolist()])
    theirs = normalized(network, image).astype(np.float32)
    assert np.array_equal(np.array(found, np.float32), theirs.reshape(-1))


# --- trace -------------------------------------------------------------------------------------


def as_js(row: TracedLayer) -> dict[str, Any]:
    return {
        "index": row.index,
        "type": row.kind,
        "stage": row.stage,
        "inputShape": list(row.input_shape),
        "outputShape": list(row.output_shape),
        "parameters": row.parameters,
        "parameterFormula": row.parameter_formula,
        "macs": row.macs,
        "connections": row.connections,
        "sizeFormula": row.size_formula,
        "receptiveField": list(row.receptive_field),
        "inputStride": row.input_stride,
        "inputOffset": row.input_offset,
    }


def test_trace_is_that_of_python(shared_page: Any) -> None:
    networks = [
        *(zoo.build(name) for name in zoo.NETWORKS),
        zoo.build("lenet", (3, 40, 32), 5),
        *(draw(seed, old) for seed in range(60) for old in (False, True)),
    ]
    script = "(networks) => networks.map((n) => trace(n).map(({layer, ...row}) => row))"
    found = shared_page.evaluate(script, [to_dict(network) for network in networks])
    for network, rows in zip(networks, found, strict=True):
        assert rows == [as_js(row) for row in trace(network)], network


FACTS = """() => [...LAYERS].map(([type, facts]) => ({
  type, ...facts,
  arguments: Object.entries(facts.arguments).map(([name, {otherwise}]) =>
    otherwise === undefined ? [name] : [name, otherwise]),
}))"""
CURVES = """([type, layer, inputs]) => {
  const {value, derivative, steepest, formula, bounds} = LAYERS.get(type);
  const dx = 1e-5;
  return {
    values: inputs.map((x) => value(x, layer)),
    slopes: inputs.map((x) => derivative(x, layer)),
    measured: inputs.map((x) => (value(x + dx, layer) - value(x - dx, layer)) / (2 * dx)),
    steepest: steepest(layer),
    formula: formula(layer),
    bounds: bounds(layer).map((bound) => (Number.isFinite(bound) ? bound : null)),
  };
}"""


def test_the_page_knows_the_kinds_of_layers_that_python_knows(shared_page: Any) -> None:
    found = {facts["type"]: facts for facts in shared_page.evaluate(FACTS)}
    assert found.keys() == {cls.__name__ for cls in get_args(Layer)}
    for cls in get_args(Layer):
        assert found[cls.__name__]["role"] == role_of(cls)
        known = [
            [field.name] if field.default is MISSING else [field.name, field.default]
            for field in fields(cls)
        ]
        assert found[cls.__name__]["arguments"] == known
    assert shared_page.evaluate("SATURATED_SHARE") == SATURATED_SHARE


@pytest.mark.parametrize("layer", [*ACTIVATIONS, *OLD], ids=repr)
def test_an_activations_facts_are_those_of_its_function(shared_page: Any, layer: Layer) -> None:
    described = to_dict(Network("one", (1, 1, 1), (layer, Flatten(), Linear(1, 2)), ("a", "b")))
    asked = [
        type(layer).__name__,
        described["layers"][0],
        [0.013 * n + 0.001 for n in range(-800, 801)],
    ]
    found = shared_page.evaluate(CURVES, asked)
    known = curve(layer)
    assert (found["formula"], found["steepest"]) == (known.formula, pytest.approx(known.steepest))
    finite = [bound if math.isfinite(bound) else None for bound in known.bounds]
    assert found["bounds"] == finite
    np.testing.assert_allclose(found["slopes"], found["measured"], atol=1e-4)
    assert np.abs(found["slopes"]).max() == pytest.approx(found["steepest"], rel=1e-3)
    low, high = known.bounds
    assert low <= min(found["values"])
    assert max(found["values"]) <= high


def test_every_kind_and_argument_has_its_words(shared_page: Any) -> None:
    script = """async () => {
      const words = (await import("lenet/i18n/compare.js")).default;
      const needed = [...LAYERS].flatMap(([type, {role, arguments: known}]) => [
        ...(role === "pooling" ? [`compare.type.${type}`] : []),
        ...Object.entries(known).filter(([, {follows, isTable}]) => !follows && !isTable)
          .map(([name]) => `compare.argument.${name}`),
      ]);
      return needed.filter((key) => !words.en[key] || !words.zh[key]);
    }"""
    assert shared_page.evaluate(script) == []


def test_left_out_arguments_are_those_of_torch(shared_page: Any) -> None:
    script = "(network) => trace(network).map((row) => row.layer)"
    layers = shared_page.evaluate(script, to_dict(zoo.build("lenet-max")))
    assert layers[2] == {"type": "MaxPool2d", "kernel_size": 2, "stride": 2, "padding": 0}
    network = to_dict(zoo.build("lenet"))
    del network["layers"][2]["stride"], network["layers"][3]["stride"], network["normalization"]
    layers = shared_page.evaluate(script, network)
    assert layers[2] == {"type": "AvgPool2d", "kernel_size": 2, "stride": 2, "padding": 0}
    assert (layers[3]["stride"], layers[3]["padding"]) == (1, 0)


MISFITS: list[tuple[Layer, ...]] = [
    (Conv2d(2, 4, 3), Flatten(), Linear(4, 2)),
    (Conv2d(1, 4, 9), Flatten(), Linear(4, 2)),
    (Conv2d(1, 4, 3), MaxPool2d(7), Flatten(), Linear(4, 2)),
    (Conv2d(1, 4, 3, stride=0), Flatten(), Linear(4, 2)),
    (Conv2d(1, 4, 3, padding=-1), Flatten(), Linear(4, 2)),
    (AvgPool2d(3, padding=2), Flatten(), Linear(4, 2)),
    (Flatten(), Flatten(), Linear(64, 2)),
    (Flatten(), Conv2d(1, 1, 1), Linear(64, 2)),
    (Linear(64, 2),),
    (Flatten(), Linear(63, 2)),
    (Flatten(), Dropout(1.5), Linear(64, 2)),
    (Subsample(2), Flatten(), Linear(16, 2)),
    (Conv2d(1, 2, 3, connections=((0,),)), Flatten(), Linear(72, 2)),
]


def test_what_does_not_fit_is_refused_in_the_same_words(shared_page: Any) -> None:
    for layers in MISFITS:
        network = Network("misfit", (1, 8, 8), layers, ("a", "b"))
        with pytest.raises(ArchitectureError) as refused:
            trace(network)
        assert refusal(shared_page, to_dict(network)) == str(refused.value)


NO_NETWORKS: list[tuple[dict[str, Any], str]] = [
    ({"layers": []}, "no layers"),
    ({"layers": None}, "no layers"),
    ({"layers": ["Flatten"]}, "layer 0: unknown type"),
    ({"layers": [{"type": "constructor"}]}, 'layer 0: unknown type "constructor"'),
    (
        {"layers": [{"type": "Flatten", "groups": 2}]},
        'layer 0 (Flatten) has an unknown key "gr',
    ),
    ({"layers": [{"type": "Flatten"}, {"type": "Linear"}]}, "layer 1 (Linear): in_features is"),
    ({"layers": [{"type": "ScaledTanh", "slope": 0}]}, "(ScaledTanh): slope is 0, must"),
    ({"classes": ["a"]}, "at least 2 classes"),
    ({"classes": ["a", "b", "c"]}, "ends with shape 2, but has 3 classes"),
    ({"input_shape": [1, 8]}, "input shape [1,8] must be [channels, height, width]"),
    ({"input_shape": [1, 8, 0.5]}, "input shape"),
    ({"normalization": {"mean": [0], "deviation": [0]}}, "deviation [0] must be positive"),
    ({"normalization": {"mean": [0, 0], "deviation": [1]}}, "one mean and deviation"),
]


def test_what_is_no_network_is_refused(shared_page: Any) -> None:
    network = to_dict(Network("n", (1, 8, 8), (Flatten(), Linear(64, 2)), ("a", "b")))
    for change, words in NO_NETWORKS:
        assert words in refusal(shared_page, {**network, **change})
        with pytest.raises(ArchitectureError):
            from_dict({**network, **change})


def refusal(page: Any, network: dict[str, Any]) -> str:
    script = "(network) => { try { trace(network); return ''; } catch (e) { return e.message; } }"
    return page.evaluate(script, network)


# --- receptive fields and sources --------------------------------------------------------------

# Which pixels change which units: every weight is positive, and ReLU lets all of it through, so
# that nothing cancels; a pixel made much lighter wins every maximum.
FIELDS = """async ([model, seed]) => {
  const {network, weights} = readSafetensors(await fetched(model));
  const traced = trace(network);
  for (const {data} of weights.values()) data.forEach((w, i) => (data[i] = Math.abs(w) + 0.01));
  const size = network.input_shape.reduce((a, b) => a * b, 1);
  const input = new Float32Array(size).fill(0.5);
  const before = forward(network, weights, input, {traced});
  const units = traced.flatMap(({index}) =>
    Array.from(before[index].keys(), (unit) => ({layer: index, unit})),
  ).filter((_, i) => i % 7 === seed % 7);
  const touched = units.map(() => []);
  for (let pixel = 0; pixel < size; pixel += 1) {
    const changed = input.slice();
    changed[pixel] = 1000;
    const after = forward(network, weights, changed, {traced});
    units.forEach(({layer, unit}, i) => {
      if (after[layer][unit] !== before[layer][unit]) touched[i].push(pixel);
    });
  }
  return units.map(({layer, unit}, i) => ({
    layer, unit, touched: touched[i], field: receptiveField(traced, layer, unit),
  }));
}"""


def fields_network(seed: int) -> Network:
    """Windows that overlap or touch (where they leave gaps, a field has holes), then dense."""
    random = np.random.default_rng(seed)
    shape = (1, int(random.integers(8, 13)), int(random.integers(8, 13)))
    layers: list[Layer] = []
    for _ in range(int(random.integers(1, 4))):
        channels, *sizes = trace_layers(shape, tuple(layers))[-1].output_shape if layers else shape
        kernel = int(random.integers(1, min(4, *sizes) + 1))
        stride = int(random.integers(1, kernel + 1))
        padding = int(random.integers(0, kernel // 2 + 1))
        match int(random.integers(0, 3)):
            case 0:
                layers += [Conv2d(channels, 2, kernel, stride, padding), ReLU()]
            case 1:
                layers.append(AvgPool2d(kernel, stride, padding))
            case _:
                layers.append(MaxPool2d(kernel, stride, padding))
    layers += [Flatten(), ReLU()]
    (features,) = trace_layers(shape, tuple(layers))[-1].output_shape
    layers += [Linear(features, 3), ReLU(), Linear(3, 2)]
    return Network(f"fields-{seed}", shape, tuple(layers), ("a", "b"))


def test_receptive_fields_are_the_pixels_that_matter(shared_page: Any, site: Any) -> None:
    for seed in range(12):
        network = fields_network(seed)
        serve(site, network, initialize(network, "torch", seed))
        units = shared_page.evaluate(FIELDS, ["/model", seed])
        assert len(units) > 5
        for unit in units:
            check_field(network, unit["field"], set(unit["touched"]))


def check_field(network: Network, field: dict[str, Any], touched: set[int]) -> None:
    _, height, width = network.input_shape
    clip = field["clip"]
    for low, high, size in (("top", "bottom", height), ("left", "right", width)):
        assert clip[low] == min(max(field[low], 0), size)
        assert clip[high] == min(max(field[high], 0), size)
    assert touched == {
        row * width + column
        for row in range(clip["top"], clip["bottom"])
        for column in range(clip["left"], clip["right"])
    }, network


def test_places_on_the_picture_and_below(shared_page: Any) -> None:
    network = to_dict(zoo.build("lenet"))
    found = shared_page.evaluate(
        """(network) => {
          const traced = trace(network);
          const [c1, s2, flat, f5] = [0, 2, 6, 7].map((i) => traced[i].outputShape);
          const at = (shape, channel, row, column) => unitAt(shape, {channel, row, column});
          return {
            corner: receptiveField(traced, 0, at(c1, 3, 0, 27)),
            s2: receptiveField(traced, 2, at(s2, 0, 1, 2)),
            pixel: receptiveField(traced, -1, 28 * 4 + 5),
            flat: receptiveField(traced, 6, 399),
            dense: receptiveField(traced, 7, 100),
            c1Below: sources(traced, 0, at(c1, 3, 0, 27)),
            c3Below: sources(traced, 3, at(traced[3].outputShape, 15, 9, 9)),
            s2Below: sources(traced, 2, at(s2, 5, 1, 2)),
            flatBelow: sources(traced, 6, 399),
            denseBelow: sources(traced, 7, 100),
            sigmoidBelow: sources(traced, 8, 100),
            places: [place(c1, 784 + 28 * 2 + 3), place(flat, 17)],
          };
        }""",
        network,
    )

    def box(region: dict[str, Any], clip: bool = False) -> tuple[int, ...]:
        region = region["clip"] if clip else region
        return tuple(region[side] for side in ("top", "left", "bottom", "right"))

    assert box(found["corner"]) == (-2, 25, 3, 30)
    assert box(found["corner"], clip=True) == (0, 25, 3, 28)
    assert box(found["s2"]) == (0, 2, 6, 8)
    assert box(found["pixel"]) == (4, 5, 5, 6)
    assert box(found["flat"]) == (14, 14, 30, 30)
    assert box(found["dense"]) == (0, 0, 28, 28)
    assert found["c1Below"]["layer"] == -1
    assert found["c1Below"]["channels"] == [0]
    assert box(found["c1Below"]) == (-2, 25, 3, 30)
    assert found["c3Below"]["channels"] == [0, 1, 2, 3, 4, 5]
    assert box(found["c3Below"]) == (9, 9, 14, 14)
    assert (found["s2Below"]["channels"], box(found["s2Below"])) == ([5], (2, 4, 4, 6))
    assert (found["flatBelow"]["channels"], box(found["flatBelow"])) == ([15], (4, 4, 5, 5))
    assert found["denseBelow"]["channels"] == list(range(400))
    assert box(found["denseBelow"]) == (0, 0, 1, 1)
    assert found["sigmoidBelow"]["channels"] == [100]
    assert found["places"][0] == {"channel": 1, "row": 2, "column": 3}
    assert found["places"][1] == {"channel": 17, "row": 0, "column": 0}


# --- the arithmetic of one number --------------------------------------------------------------

ARITHMETIC = """async ([model, pictures, chosen]) => {
  const {network, weights} = readSafetensors(await fetched(model));
  const traced = trace(network);
  const input = normalize(network, new Uint8Array(await fetched(pictures)));
  const outputs = forward(network, weights, input, {traced});
  const plain = (value) => {
    if (ArrayBuffer.isView(value)) return Array.from(value);
    if (Array.isArray(value)) return value.map(plain);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, its]) => [name, plain(its)]));
  };
  const said = chosen.map(([layer, unit]) => ({
    ...plain(arithmetic(network, weights, input, outputs, layer, unit, traced)),
    contributions: contributions(network, weights, input, outputs, layer, unit, traced),
    sources: sources(traced, layer, unit),
  }));
  // as text: Playwright takes long for many numbers. JSON has no infinity, Python reads it
  return JSON.stringify(said, (_, value) => (value === -Infinity ? "-∞" : value));
}"""


def explained(
    page: Any, site: Any, network: Network, parameters: Parameters, image: NDArray[np.uint8]
) -> Iterator[tuple[TracedLayer, dict[str, Any], NDArray[Any], NDArray[Any]]]:
    """Sampled units of every layer: the row, what JavaScript says, the layer's input and output."""
    traced = trace(network)
    random = np.random.default_rng(0)
    chosen = [
        [row.index, int(unit)]
        for row in traced
        for unit in {0, math.prod(row.output_shape) - 1}
        | set(random.integers(0, math.prod(row.output_shape), 3).tolist())
    ]
    outputs = [one[0] for one in js_outputs(page, site, network, parameters, image[None])]
    below = [normalized(network, image).astype(np.float32), *outputs]
    text = page.evaluate(ARITHMETIC, ["/model", "/pictures", chosen])
    everything = json.loads(text.replace('"-∞"', "-Infinity"))
    for (layer, _), said in zip(chosen, everything, strict=True):
        yield traced[layer], said, below[layer], outputs[layer]


def check_explanation(
    row: TracedLayer, said: dict[str, Any], x: NDArray[Any], y: NDArray[Any], own: Parameters
) -> None:
    """Every number against those of Python, and the total against the output."""
    unit, position = said["unit"], said["position"]
    shape = y.shape if y.ndim == 3 else (len(y), 1, 1)
    place = (position["channel"], position["row"], position["column"])
    assert place == tuple(int(i) for i in np.unravel_index(unit, shape))
    assert said["kind"] == row.kind
    assert said["value"] == y.reshape(-1)[unit]
    total = said["total"]
    assert math.isclose(total, said["value"], rel_tol=1e-6, abs_tol=1e-6)
    pieces, layer = said["contributions"], row.layer
    sizes = [abs(piece["product"]) for piece in pieces]
    assert sizes == sorted(sizes, reverse=True)
    flat, from_below = x.reshape(-1), said["sources"]
    for piece in pieces:
        assert piece["value"] == flat[piece["unit"]]
        assert piece["channel"] in from_below["channels"]
        assert from_below["clip"]["top"] <= piece["row"] < from_below["clip"]["bottom"]
        assert from_below["clip"]["left"] <= piece["column"] < from_below["clip"]["right"]

    def in_window(patch: dict[str, Any], outside: float) -> NDArray[Any]:
        """The patch, checked against the padded input."""
        assert isinstance(layer, Conv2d | AvgPool2d | MaxPool2d | Subsample)
        padding, stride, k = padding_of(layer), stride_of(layer), layer.kernel_size
        sides = ((0, 0), (padding, padding), (padding, padding))
        padded = np.pad(x, sides, constant_values=outside)
        there = np.pad(np.ones_like(x), sides)
        top, left = place[1] * stride, place[2] * stride
        assert (patch["top"], patch["left"]) == (top - padding, left - padding)
        window = (patch["channel"], slice(top, top + k), slice(left, left + k))
        values = np.array(patch["values"]).reshape(patch["rows"], patch["columns"])
        assert np.array_equal(values, padded[window])
        assert patch["inside"] == there[window].reshape(-1).tolist()
        return values

    match layer:
        case Conv2d():
            sums = []
            table = layer.connections or [tuple(range(layer.in_channels))] * layer.out_channels
            assert [part["channel"] for part in said["channels"]] == list(table[place[0]])
            for part in said["channels"]:
                patch = in_window(part["patch"], 0)
                kernel = np.array(part["kernel"]["values"]).reshape(patch.shape)
                assert np.array_equal(kernel, own["weight"][place[0], part["channel"]])
                products = np.array(part["products"]).reshape(patch.shape)
                assert np.array_equal(products, kernel.astype(np.float64) * patch)
                sums.append(part["sum"])
                assert math.isclose(part["sum"], products.sum(), abs_tol=1e-9, rel_tol=1e-12)
            assert said["bias"] == own["bias"][place if own["bias"].ndim == 3 else place[0]]
            assert math.isclose(total, said["bias"] + sum(sums), abs_tol=1e-9)
            covered = sum(sum(part["patch"]["inside"]) for part in said["channels"])
            assert len(pieces) == covered
            whole = said["bias"] + sum(piece["product"] for piece in pieces)
            assert math.isclose(whole, total, abs_tol=1e-9)
        case AvgPool2d():
            window = in_window(said["window"], 0)
            assert said["window"]["channel"] == place[0]
            assert said["divisor"] == layer.kernel_size**2
            assert math.isclose(said["sum"], window.sum(dtype=np.float64), abs_tol=1e-9)
            assert total == said["sum"] / said["divisor"]
            assert math.isclose(sum(piece["product"] for piece in pieces), total, abs_tol=1e-9)
        case Subsample():
            window = in_window(said["window"], 0)
            assert math.isclose(said["sum"], window.sum(dtype=np.float64), abs_tol=1e-9)
            assert said["weight"] == own["weight"][place[0]]
            assert said["bias"] == own["bias"][place[0]]
            assert total == said["sum"] * said["weight"] + said["bias"]
            assert len(pieces) == layer.kernel_size**2
        case MaxPool2d():
            window = in_window(said["window"], -math.inf).reshape(-1)
            assert said["winners"] == np.flatnonzero(window == window.max()).tolist()
            assert said["winner"] == said["winners"][0] == int(window.argmax())
            assert total == window.max()
            assert [piece["product"] for piece in pieces] == [total]
        case Linear():
            assert np.array_equal(said["inputs"], x)
            assert np.array_equal(said["weights"], own["weight"][unit])
            products = x.astype(np.float64) * own["weight"][unit]
            assert np.array_equal(said["products"], products)
            assert said["bias"] == own["bias"][unit]
            assert math.isclose(total, said["bias"] + products.sum(), abs_tol=1e-9)
            largest = np.argsort(-abs(products), kind="stable")
            assert [piece["unit"] for piece in pieces] == largest.tolist()
        case RBF():
            assert np.array_equal(said["codes"], codes(layer)[unit])
            assert math.isclose(total, -sum((x - codes(layer)[unit]) ** 2.0), rel_tol=1e-5)
            assert len(pieces) == len(x)
        case Flatten():
            source = said["source"]
            assert x[source["channel"], source["row"], source["column"]] == total
            assert len(pieces) == 1
        case Dropout():
            assert said["p"] == layer.p
            assert said["input"] == total
        case _:
            assert said["input"] == flat[unit]
            step = 1e-6
            here = reference_activation(layer, said["input"])
            slope = reference_activation(layer, said["input"] + step) - here
            assert math.isclose(total, here, rel_tol=1e-12, abs_tol=1e-15)
            assert math.isclose(said["derivative"], slope / step, abs_tol=1e-4)
            assert "x" in said["formula"]
            assert [piece["unit"] for piece in pieces] == [unit]


def reference_activation(layer: Layer, x: float) -> float:
    alone = Network("one", (1, 1, 1), (layer,), ("a", "b"))
    return reference(alone, {}, np.array([x]))[0].item()


def own_parameters(parameters: Parameters, index: int) -> Parameters:
    names = ("weight", "bias")
    return {n: parameters[f"{index}.{n}"] for n in names if f"{index}.{n}" in parameters}


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_every_number_of_the_zoo_is_accounted_for(
    name: str, shared_page: Any, site: Any, small: data.Dataset
) -> None:
    network = zoo.build(name)
    parameters, image = numbers(network, 2), small.test.images[3]
    size = network.input_shape[1]
    image = framed(image[None], size)[0] if size >= 28 else shrunk(image[None], size)[0]
    for row, said, x, y in explained(shared_page, site, network, parameters, image):
        check_explanation(row, said, x, y, own_parameters(parameters, row.index))


@pytest.mark.parametrize("old", [False, True], ids=["today", "1998"])
def test_every_number_of_drawn_networks_is_accounted_for(
    old: bool, shared_page: Any, site: Any
) -> None:
    for seed in range(100, 115):
        network = draw(seed, old)
        parameters, image = numbers(network, seed), pictures(network, 1, seed)[0]
        for row, said, x, y in explained(shared_page, site, network, parameters, image):
            check_explanation(row, said, x, y, own_parameters(parameters, row.index))


def test_several_winners_are_all_named_and_the_first_passes_its_gradient(shared_page: Any) -> None:
    found = shared_page.evaluate("""() => {
      const layers = [{type: "MaxPool2d", kernel_size: 2}, {type: "Flatten"}];
      const network = {name: "ties", input_shape: [1, 2, 4], layers, classes: ["a", "b"]};
      const input = Float32Array.of(1, 3, -1, -1, 3, 2, -1, -1);
      const outputs = forward(network, new Map(), input);
      const said = [0, 1].map((unit) => arithmetic(network, new Map(), input, outputs, 0, unit));
      return {
        winners: said.map((one) => one.winners), winner: said.map((one) => one.winner),
        gradient: [0, 1].map((k) => [...inputGradient(network, new Map(), input, outputs, k)]),
      };
    }""")
    assert found["winners"] == [[1, 2], [0, 1, 2, 3]]
    assert found["winner"] == [1, 0]
    assert found["gradient"] == [[0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0, 0]]


# --- gradients ---------------------------------------------------------------------------------

GRADIENT = """async ([model, input, target]) => {
  const {network, weights} = readSafetensors(await fetched(model));
  const x = new Float32Array(await fetched(input));
  const outputs = forward(network, weights, x);
  return base64(inputGradient(network, weights, x, outputs, target));
}"""


@pytest.mark.parametrize("old", [False, True], ids=["today", "1998"])
def test_the_gradient_of_the_picture_is_that_of_central_differences(
    old: bool, shared_page: Any, site: Any
) -> None:
    random = np.random.default_rng(5)
    for seed in range(200, 212):
        network = draw(seed, old)
        parameters = numbers(network, seed)
        x = random.normal(size=network.input_shape).astype(np.float32)
        serve(site, network, parameters)
        site.files["/input"] = x.tobytes()
        layer = int(random.integers(0, len(network.layers)))
        unit = int(random.integers(0, math.prod(trace(network)[layer].output_shape)))
        for target, at in (({"layer": layer, "unit": unit}, (layer, unit)), (1, (-1, 1))):
            ours = floats(shared_page.evaluate(GRADIENT, ["/model", "/input", target]))
            step = 1e-6
            for pixel in random.choice(x.size, 6, replace=False):
                there, back = x.astype(np.float64), x.astype(np.float64)
                there.reshape(-1)[pixel] += step
                back.reshape(-1)[pixel] -= step
                high, low = (
                    reference(network, parameters, moved)[at[0]].reshape(-1)[at[1]]
                    for moved in (there, back)
                )
                slope = (high - low) / (2 * step)
                assert math.isclose(ours[pixel], slope, rel_tol=1e-3, abs_tol=1e-4), network


BACKWARD = """async ([model, input, label, rate]) => {
  const {network, weights} = readSafetensors(await fetched(model));
  const x = new Float32Array(await fetched(input));
  const traced = trace(network);
  const outputs = forward(network, weights, x);
  const pass = backwardPass(network, weights, x, outputs, label);
  const before = [...weights.values()].map(({data}) => data.slice());
  const moved = takeStep(weights, pass.weights, rate);
  const kept = [...weights.values()].every(({data}, i) =>
    data.every((value, n) => Object.is(value, before[i][n])));
  // every account of one gradient adds up to it
  let [worst, accounts] = [0, 0];
  const compare = (sum, gradient) => {
    worst = Math.max(worst, Math.abs(sum - gradient));
    accounts += 1;
  };
  for (let layer = -1; layer < traced.length; layer += 1) {
    const of = layer < 0 ? pass.input : pass.outputs[layer];
    for (let n = 0; n < 5; n += 1) {
      const unit = (n * 7919) % of.length;
      const {sum} = unitTerms(traced, weights, x, outputs, pass.outputs, layer, unit);
      compare(sum, of[unit]);
    }
  }
  for (const [name, {data}] of pass.weights) {
    const [layer, part] = name.split(".");
    const below = +layer === 0 ? x : outputs[+layer - 1];
    for (let n = 0; n < 5; n += 1) {
      const at = (n * 7919) % data.length;
      const {sum} = weightTerms(traced[+layer], below, pass.outputs[+layer], part, at);
      compare(sum, data[at]);
    }
  }
  const hand = stepByHand(network, weights, x, label, rate);
  const tensors = (map) => Object.fromEntries([...map].map(([name, {data}]) =>
    [name, base64(Float32Array.from(data))]));
  return {
    loss: pass.loss, gradients: tensors(pass.weights), moved: tensors(moved),
    input: base64(Float32Array.from(pass.input)), kept, worst, accounts, hand,
  };
}"""


def gone_back(
    page: Any, site: Any, network: Network, parameters: Parameters, x: Any, label: int, rate: float
) -> Any:
    serve(site, network, parameters)
    site.files["/input"] = np.ascontiguousarray(x, np.float32).tobytes()
    return page.evaluate(BACKWARD, ["/model", "/input", label, rate])


def nudged(parameters: Parameters, name: str, place: int, by: float) -> dict[str, Any]:
    """The parameters in float64, one of them moved."""
    moved = {key: value.astype(np.float64) for key, value in parameters.items()}
    moved[name].reshape(-1)[place] += by
    return moved


def cross_entropy(network: Network, parameters: dict[str, Any], x: Any, label: int) -> float:
    logits = reference(network, parameters, x.astype(np.float64))[-1]
    highest = logits.max()
    return float(highest + np.log(np.exp(logits - highest).sum()) - logits[label])


def test_the_way_back_of_a_trained_network_is_the_native_engine_s(
    shared_page: Any, site: Any, trained_runs: Path
) -> None:
    """Gradients of a real run's weights, and the weights after one step, within 1e-5."""
    from lenet.engines import Position, choose, make
    from lenet.runs import load_model

    test = data.bundled().test
    rate, farthest = 0.1, 0.0
    for run in ("relu-adam", "sigmoid", "max-adam"):
        network, parameters = load_model(trained_runs / run)
        native = make(choose("native", network), network, Optimizer("sgd"), Objective())
        for picture in (3, 17):
            native.load(State({name: value.copy() for name, value in parameters.items()}))
            label = int(test.labels[picture])
            pixels = test.images[picture : picture + 1]
            table = normalization_table(network)  # (channels, 256)
            x = np.stack([table[c][channel] for c, channel in enumerate(pixels[0])])
            gradients = native.gradients(
                pixels, test.labels[picture : picture + 1], Position(0, 0, 0)
            )
            expected = {name: value.copy() for name, value in gradients.named().items()}
            native.apply(gradients, rate)
            after = native.state().parameters
            found = gone_back(shared_page, site, network, parameters, x, label, rate)
            assert found["gradients"].keys() == expected.keys()
            for name, gradient in expected.items():
                ours = floats(found["gradients"][name])
                farthest = max(farthest, float(np.abs(ours - gradient.reshape(-1)).max()))
                moved = floats(found["moved"][name])
                assert np.abs(moved - after[name].reshape(-1)).max() < 1e-5, (run, name)
            assert found["kept"], "to undo it is to take the weights that were given"
            assert found["worst"] < 1e-12
            assert found["accounts"] > 80
            assert found["hand"]["before"] == found["loss"]
            assert found["hand"]["after"] < found["loss"]
    print(f"gradients within {farthest:.2g} of the native engine's")
    assert farthest < 1e-5


@pytest.mark.parametrize("old", [False, True], ids=["today", "1998"])
def test_the_way_back_is_that_of_central_differences(
    old: bool, shared_page: Any, site: Any
) -> None:
    """Padding, strides, tables of connections, subsampling: networks drawn at random."""
    for seed in range(300, 308):
        network = draw(seed, old)
        if isinstance(network.layers[-1], RBF):
            last = network.layers[-1]
            ending = (Linear(last.in_features, last.out_features),)
            network = replace(network, layers=(*network.layers[:-1], *ending))
        layers = tuple(layer for layer in network.layers if not isinstance(layer, Dropout))
        network = replace(network, layers=layers)
        parameters = numbers(network, seed)
        random = np.random.default_rng(seed)
        pixels = random.integers(0, 256, (1, *network.input_shape)).astype(np.uint8)
        table = normalization_table(network)
        x = np.stack([table[c % len(table)][channel] for c, channel in enumerate(pixels[0])])
        label = int(random.integers(0, len(network.classes)))
        found = gone_back(shared_page, site, network, parameters, x, label, 0.01)

        for name, text in found["gradients"].items():
            ours = floats(text)
            for place in random.choice(ours.size, min(3, ours.size), replace=False):
                ahead, back = (
                    cross_entropy(network, nudged(parameters, name, place, by), x, label)
                    for by in (1e-6, -1e-6)
                )
                slope = (ahead - back) / 2e-6
                assert math.isclose(ours[place], slope, rel_tol=1e-3, abs_tol=1e-4), (network, name)
        assert found["worst"] < 1e-9
        assert found["kept"]


# --- files that cannot be trusted --------------------------------------------------------------

READ = """async (paths) => {
  const found = [];
  for (const path of paths) {
    const bytes = await fetched(path);
    const start = performance.now();
    let said;
    try {
      const {network, weights} = readSafetensors(bytes);
      said = `read ${network.name}, ${weights.size} tensors`;
    } catch (error) {
      said = error instanceof Error ? `refused: ${error.message}` : "threw no Error";
    }
    found.push([said, performance.now() - start]);
  }
  return found;
}"""


def small_file() -> tuple[dict[str, Any], bytes]:
    """The header of a small network's file, and the bytes that follow it."""
    network = Network("tiny", (1, 3, 3), (Flatten(), Linear(9, 2)), ("a", "b"))
    content = weights.pack(initialize(network, "torch", 0), {"network": to_dict(network)})
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def written(header: Any, numbers: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def changed(path: str, value: Any) -> bytes:
    """The small file with one value of its header replaced; ``.`` goes deeper."""
    header, numbers = small_file()
    *way, last = path.split("/")
    place = header
    for name in way:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return written(header, numbers)


def described(**changes: Any) -> bytes:
    """The small file with a changed description of its network."""
    header, numbers = small_file()
    values = json.loads(header["__metadata__"]["lenet"])
    values["network"].update(changes)
    header["__metadata__"]["lenet"] = json.dumps(values)
    return written(header, numbers)


def test_a_whole_file_is_read(shared_page: Any, site: Any) -> None:
    site.files["/whole"] = written(*small_file())
    [(said, _)] = shared_page.evaluate(READ, ["/whole"])
    assert said == "read tiny, 2 tensors"


WIDE = [{"type": "Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": 1, "padding": 10**5}]
DAMAGED = {
    "empty": (b"", "it has 0 bytes"),
    "seven bytes": (b"1234567", "it has 7 bytes"),
    "huge header": (struct.pack("<Q", 2**63) + b"{}", "it would have a header of 9223372036854776"),
    "long header": (struct.pack("<Q", 10**6 + 1) + b" " * 10**6 + b"{}", "a header of 1000001"),
    "header cut": (written(*small_file())[:60], "would have a header of"),
    "no JSON": (written(b"{nothing}", b""), "damaged: the header cannot be read"),
    "no UTF-8": (written(b'{"\xff": 1}', b""), "damaged: the header cannot be read"),
    "deep JSON": (written(b"[" * 900_000, b""), "damaged: the header cannot be read"),
    "a list": (written([], b""), "the header is no JSON object"),
    "many tensors": (
        written({**small_file()[0], **{str(i): 1 for i in range(2000)}}, b""),
        "2002 tensors; at most 2000",
    ),
    "no metadata": (changed("__metadata__", None), "no description of a network"),
    "other metadata": (changed("__metadata__/lenet", 7), "no description of a network"),
    "damaged metadata": (changed("__metadata__/lenet", "{"), "the description of the network can"),
    "newer": (changed("__metadata__/lenet", '{"format": 2}'), "newer version of lenet"),
    "checkpoint": (changed("__metadata__/lenet", '{"format": 1}'), "holds no network"),
    "float64": (changed("1.bias/dtype", "F64"), 'tensor "1.bias" is "F64", must be F32'),
    "no type": (changed("1.bias/dtype", None), "is undefined, must be F32"),
    "tensor is a number": (changed("1.bias", 3), 'tensor "1.bias" is no JSON object'),
    "negative size": (changed("1.bias/shape", [-2]), "has the shape [-2]"),
    "no shape": (changed("1.bias/shape", "2"), 'has the shape "2"'),
    "huge shape": (changed("1.bias/shape", [2**31, 2**31]), "damaged"),
    "another shape": (changed("1.weight/shape", [9, 2]), "the network needs 2×9, the file has 9×2"),
    "outside": (changed("1.weight/data_offsets", [8, 88]), "lies at 8 to 88 of 80 bytes"),
    "before": (changed("1.weight/data_offsets", [-8, 64]), "lies at [-8,64]"),
    "backwards": (changed("1.weight/data_offsets", [72, 0]), "lies at 72 to 0"),
    "fraction": (changed("1.weight/data_offsets", [0.5, 72.5]), "lies at [0.5,72.5]"),
    "too few bytes": (changed("1.weight/data_offsets", [8, 76]), "has 68 bytes"),
    "overlapping": (changed("1.weight/data_offsets", [0, 72]), "tensors overlap at 0"),
    "more after": (written(small_file()[0], small_file()[1] + b"1234"), "end at 80 of 84 bytes"),
    "missing": (changed("1.bias", None), "damaged: tensors leave a gap at 8"),
    "renamed": (
        written(
            {name.replace("1.bias", "2.bias"): its for name, its in small_file()[0].items()},
            small_file()[1],
        ),
        'tensor "1.bias": the network needs 2, the file has none',
    ),
    "layers of nothing": (described(layers=[]), "no layers"),
    "another layer": (described(layers=[{"type": "LSTM"}]), 'unknown type "LSTM"'),
    "fewer classes": (described(classes=["a", "b", "c"]), "ends with shape 2, but has 3 classes"),
    "too large": (
        described(
            layers=[
                *WIDE,
                *({"type": "AvgPool2d", "kernel_size": 200_003}, {"type": "Flatten"}),
                {"type": "Linear", "in_features": 1, "out_features": 2},
            ]
        ),
        "too large for a page",
    ),
}


def test_damaged_files_are_refused_in_words(shared_page: Any, site: Any) -> None:
    paths = {f"/damaged-{n}": name for n, name in enumerate(DAMAGED)}
    site.files.update({path: DAMAGED[name][0] for path, name in paths.items()})
    found = shared_page.evaluate(READ, list(paths))
    for (said, milliseconds), (name, (_, words)) in zip(found, DAMAGED.items(), strict=True):
        assert said.startswith("refused: "), (name, said)
        assert words in said, name
        assert len(said) < 500, name
        assert milliseconds < 1000, name


def test_no_truncation_and_no_flipped_bit_hangs_or_crashes(shared_page: Any, site: Any) -> None:
    site.files["/whole"] = written(*small_file())
    found = shared_page.evaluate("""async () => {
      const whole = new Uint8Array(await fetched("/whole"));
      const attempt = (bytes) => {
        try {
          return readSafetensors(bytes.buffer).weights.size;
        } catch (error) {
          return error instanceof Error && error.message ? "refused" : `threw ${error}`;
        }
      };
      let slowest = 0;
      const timed = (bytes) => {
        const start = performance.now();
        const said = attempt(bytes);
        slowest = Math.max(slowest, performance.now() - start);
        return said;
      };
      const cut = Array.from({length: whole.length}, (_, end) => timed(whole.slice(0, end)));
      const flipped = [];
      for (let bit = 0; bit < whole.length * 8; bit += 1) {
        const bytes = whole.slice();
        bytes[bit >> 3] ^= 1 << (bit & 7);
        flipped.push(timed(bytes));
      }
      const count = (list) => Object.fromEntries(
        [...new Set(list)].map((said) => [said, list.filter((other) => other === said).length]),
      );
      return {cut: count(cut), flipped: count(flipped), slowest, size: whole.length};
    }""")
    assert found["cut"] == {"refused": found["size"]}
    assert set(found["flipped"]) == {"refused", "2"}  # in the numbers and names any bit will do
    assert found["flipped"]["2"] >= 8 * 80
    assert found["slowest"] < 1000


def test_a_network_of_three_thousand_layers_is_read_at_once(shared_page: Any, site: Any) -> None:
    layers = list(itertools.repeat(ReLU(), 3000))
    network = Network("deep", (1, 3, 3), (*layers, Flatten(), Linear(9, 2)), ("a", "b"))
    serve(site, network, initialize(network, "torch", 0), "/deep")
    [(said, milliseconds)] = shared_page.evaluate(READ, ["/deep"])
    assert said == "read deep, 2 tensors"
    assert milliseconds < 1000


# --- calibration -------------------------------------------------------------------------------


def test_probabilities_and_known_are_as_python_says(shared_page: Any) -> None:
    random = np.random.default_rng(9)
    logits = (random.normal(0, 6, (40, 5)) + random.normal(0, 20, (40, 1))).astype(np.float32)
    fitted = calibration.Calibration(1.7, 3.25, 100)
    shares, known = shared_page.evaluate(
        """([rows, calibration]) => [
          rows.map((row) => [...softmax(row, calibration.temperature)]),
          rows.map((row) => isKnown(row, calibration)),
        ]""",
        [logits.tolist(), calibration.to_dict(fitted)],
    )
    np.testing.assert_allclose(shares, calibration.probabilities(logits, fitted), atol=1e-6)
    assert known == calibration.known(logits, fitted).tolist()
    assert 5 < sum(known) < 35
    assert shared_page.evaluate("isKnown([-1e9, -1e9], UNCALIBRATED)")


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ({}, None),
        ({"calibration": {"temperature": 2, "threshold": None}}, None),
        ({"preparation": {"channels": 1, "height": 28, "width": 28, "fit": "pad"}}, None),
        ({"calibration": {"temperature": 0}}, "damaged: the file's calibration"),
        ({"calibration": {"threshold": "high"}}, "damaged: the file's calibration"),
        ({"calibration": [1]}, "damaged: the file's calibration"),
        ({"preparation": {"channels": 1, "height": 28, "width": 28, "fit": "x"}}, "preparation is"),
        ({"preparation": {"channels": 1, "height": 29, "width": 28}}, "makes other pictures"),
        ({"preparation": None}, "damaged: the file's preparation"),
    ],
)
def test_notes_of_a_stranger_are_checked(
    notes: dict[str, Any], said: str | None, shared_page: Any, site: Any
) -> None:
    network = zoo.build("mlp")
    content = weights.pack_network(network, initialize(network, "torch", 0), notes)
    site.files["/noted"] = content
    found = shared_page.evaluate(
        """async () => {
          const content = await fetched("/noted");
          try {
            const {preparation, calibration} = readSafetensors(content);
            return [null, preparation, calibration];
          } catch (error) {
            return [error.message];
          }
        }"""
    )
    if said is None:
        told = notes.get("preparation")
        assert found[1] == (told and {"fit": "pad", "ground": "keep"})
        assert found[2] == {"temperature": 1, "threshold": None, **notes.get("calibration", {})}
    else:
        assert said in found[0]
