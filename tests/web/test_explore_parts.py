"""Explore's figure, arithmetic, player and bars, mounted alone with trained weights."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accessibility import serious_faults
from numpy.typing import NDArray

import lenet
from conftest import watched_pages
from lenet import data
from lenet.engines.numpy import NumpyEngine
from lenet.network import weights, zoo
from lenet.network.architecture import Network
from lenet.network.layers import AvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Tanh
from lenet.network.parameters import Parameters, State, initialize
from lenet.optimization import Objective, Optimizer
from lenet.runs import experiments
from lenet.training import recipes
from lenet.training.calibration import from_dict, probabilities

WEB = Path(lenet.__file__).parent / "lab" / "page"
# The very text that conftest's security policy allows.
IMPORT_MAP = '{"imports": {"lenet/": "/web/"}}'
PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parts</title>
<link rel="stylesheet" href="/web/style.css">
<link rel="stylesheet" href="/web/explore.css">
<script type="importmap">{IMPORT_MAP}</script>
<script type="module" src="/parts.js"></script>
<body><main></main></body>
</html>
"""
# Explore without the parts of others: the same store, the network computed in the page itself.
PAGE_JS = """
import { fill, h } from "lenet/dom.js";
import mountArithmetic from "lenet/explore/arithmetic/arithmetic.js";
import mountMaps from "lenet/explore/network/maps.js";
import mountPlay from "lenet/explore/arithmetic/play.js";
import { mountVerdict } from "lenet/explore/headline/verdict.js";
import { translator } from "lenet/i18n.js";
import words from "lenet/i18n/explore.js";
import { readSafetensors } from "lenet/network/file.js";
import * as network from "lenet/network/forward.js";
import { trace } from "lenet/network/trace.js";
import { createStore } from "lenet/store.js";

const announced = [];
const part = (name) => h("section", { class: `part part-${name}` });
let parts = [];
let store = null;

/** The parts as after a reload. */
function begin({ theme = "light", language = "en" }) {
  for (const each of parts) each.destroy();
  announced.length = 0;
  document.documentElement.dataset.theme = theme;
  store = globalThis.store = createStore({
    model: null, traced: null, weights: null, gates: null, picture: null, pixels: null,
    cover: null, input: null, outputs: null, before: null, unit: null, pinned: false,
    channel: null,
  });
  const tools = {
    store, memory: {}, announce: (text) => announced.push(text),
    t: translator(language, [words]),
  };
  const names = ["verdict", "input", "maps", "arithmetic", "play"];
  const [verdict, input, maps, arithmetic, play] = names.map(part);
  const slot = h("div", { class: "maps-slot" });
  const stage = h("div", { class: "stage" }, fill(input, slot), maps);
  document.querySelector("main").classList.add("view-explore");
  fill(
    document.querySelector("main"),
    h("section", { class: "part-headline" }, verdict),
    h("div", { class: "explore" }, stage,
      h("section", { class: "part-lens" }, h("div", { class: "lens-body" }, arithmetic, play))),
  );
  parts = [
    mountVerdict(verdict, tools), mountMaps(maps, { ...tools, slot, frame: stage }),
    mountArithmetic(arithmetic, tools), mountPlay(play, tools),
  ];
  scrollTo(0, 0);
}

function compute(gates = null) {
  const { model, traced, pixels, weights } = store.get();
  const seen = network.normalize(model.network, pixels);
  const run = (values, gated) =>
    network.forward(model.network, values, seen, { traced, gates: gated });
  const changed = gates !== null || weights !== model.weights;
  store.set({
    input: seen, gates, outputs: run(weights, gates),
    before: changed ? run(model.weights, null) : null,
  });
}

async function read(name) {
  const answer = await fetch(`/${name}.safetensors`);
  return readSafetensors(await answer.arrayBuffer());
}

async function open(name) {
  const model = { ref: name, title: name, ...(await read(name)) };
  const traced = trace(model.network);
  store.set({ model, traced, weights: model.weights, outputs: null, before: null, gates: null });
}

function look(pixels, label = null) {
  store.set({
    pixels: Uint8Array.from(pixels),
    picture: { source: "data", index: 0, label, name: "test" },
  });
  compute();
}

Object.assign(globalThis, {
  network, open, read, look, compute, announced, begin, ready: true,
});
"""


CALIBRATIONS = {
    "calibrated": {"temperature": 2.5, "threshold": -1e6, "pictures": 100},
    "strict": {"temperature": 2.5, "threshold": 1e6, "pictures": 100},
}
Open = Callable[..., Any]
Model = tuple[Network, Parameters]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """LeNet after two epochs of the bundled pictures."""
    quick = {"epochs": 2, "optimizer.method": "adamw", "schedule.learning_rate": 0.01}
    recipe = recipes.load("d2l", {**quick, "data": "fashion-mnist-small"})
    folder = tmp_path_factory.mktemp("explore") / "run"
    experiments.begin(recipe, out=folder).train()
    return lenet.load_model(folder)


def others() -> dict[str, Model]:
    """Networks that hold every other kind of layer, with weights drawn at random."""
    small = Network(
        "small",
        (2, 12, 11),
        (
            *(Conv2d(2, 20, kernel_size=3, stride=2, padding=1), Tanh()),
            *(AvgPool2d(2, stride=1, padding=1), Dropout(0.3), MaxPool2d(3, stride=2, padding=1)),
            *(Conv2d(20, 3, kernel_size=2), ReLU(), Flatten(), Linear(27, 3)),
        ),
        ("one", "two", "three"),
    )
    networks = {"small": small, "lenet5": zoo.lenet5(), "mlp": zoo.mlp()}
    return {name: (network, initialize(network, "he", 1)) for name, network in networks.items()}


@pytest.fixture(scope="session")
def served(site: Any, trained: Model) -> dict[str, Model]:
    """The models whose files the test server has."""
    models = {"lenet": trained, **others(), **dict.fromkeys(CALIBRATIONS, trained)}
    site.files["/parts.html"] = PAGE.encode()
    site.files["/parts.js"] = PAGE_JS.encode()
    for name, (network, parameters) in models.items():
        notes = {"calibration": CALIBRATIONS[name]} if name in CALIBRATIONS else {}
        site.files[f"/{name}.safetensors"] = weights.pack_network(network, parameters, notes)
    return models


@pytest.fixture(scope="module")
def loaded(browser: Any, site: Any, served: dict[str, Model]) -> Iterator[tuple[Any, list[str]]]:
    """A page with the parts' modules, the same for all tests, and what went wrong in it."""
    problems: list[str] = []
    with watched_pages(browser, problems) as open_page:
        yield load(open_page(), site), problems


def load(page: Any, site: Any) -> Any:
    page.goto(f"{site.address}/parts.html")
    until(page, "globalThis.ready")
    return page


@pytest.fixture
def explore(
    loaded: tuple[Any, list[str]], site: Any, served: dict[str, Model], new_page: Open
) -> Iterator[Open]:
    """A function that shows a model that looks at a picture; ``options`` take a page of its own."""
    shared, problems = loaded
    problems.clear()

    def show(
        model: str = "lenet",
        size: tuple[int, int] = (1440, 900),
        theme: str = "light",
        language: str = "en",
        **options: Any,
    ) -> Any:
        viewport = {"width": size[0], "height": size[1]}
        page = load(new_page(viewport=viewport, **options), site) if options else shared
        page.mouse.move(0, 0)
        page.set_viewport_size(viewport)
        page.evaluate("(how) => begin(how)", {"theme": theme, "language": language})
        page.evaluate("(name) => open(name)", model)
        pixels = picture(served[model][0])
        page.evaluate("([p, label]) => look(p, label)", [pixels.reshape(-1).tolist(), LABEL])
        until(page, "document.querySelector('.maps-canvas').width > 20")
        settled(page)
        return page

    yield show
    assert problems == []


PICTURE = 7
LABEL = int(data.bundled().test.labels[PICTURE])


def picture(network: Network) -> NDArray[np.uint8]:
    """A picture of the bundled data in the shape of a network, cut or padded."""
    image = data.bundled().test.images[PICTURE]
    channels, height, width = network.input_shape
    top, left = max(0, (28 - height) // 2), max(0, (28 - width) // 2)
    image = image[:, top : top + height, left : left + width]
    rows, columns = height - image.shape[1], width - image.shape[2]
    image = np.pad(image, ((0, 0), (0, rows), (0, columns)))
    return np.concatenate([image] * channels)


def activations(model: Model) -> list[NDArray[np.float32]]:
    """Every layer's output for the picture, by the reference engine."""
    network, parameters = model
    engine = NumpyEngine(network, Optimizer(), Objective())
    engine.load(State(parameters))
    return [layer[0].reshape(-1) for layer in engine.activations(picture(network)[None])]


def until(page: Any, condition: str) -> None:
    """Wait until a condition holds; Playwright's own way needs eval, which the policy forbids."""
    deadline = time.monotonic() + 20
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(20)


def unit(page: Any) -> tuple[int, int] | None:
    found = page.evaluate("store.get().unit")
    return None if found is None else (found["layer"], found["index"])


def point(page: Any, layer: int, index: int) -> None:
    page.evaluate(
        "([layer, index]) => store.set({unit: {layer, index}, pinned: true})", [layer, index]
    )
    settled(page)


def settled(page: Any) -> None:
    """Wait until the panel has been renewed, which takes the next frame or two."""
    page.evaluate(
        """new Promise((done) => setTimeout(() =>
             requestAnimationFrame(() => requestAnimationFrame(done))))"""
    )


def total(page: Any) -> float:
    return float(page.get_attribute(".arithmetic [data-recomputed]", "data-recomputed"))


def box_of(page: Any, layer: int, index: int) -> dict[str, float]:
    """The middle of a unit where it lights up, in CSS pixels of the page and of its canvas."""
    return page.evaluate(
        """([layer, index]) => {
          const { unit, pinned } = store.get();
          store.set({ unit: { layer, index } });
          const canvas = document.querySelector(`[data-layer="${layer}"] canvas`);
          if (!document.querySelector(".maps-wide")) canvas.scrollIntoView({ block: "center" });
          const path = document.querySelector(".maps-unit").getAttribute("d");
          const [left, top, width, height] = path.match(/-?[\\d.]+/g).map(Number);
          const frame = document.querySelector(".stage").getBoundingClientRect();
          const [x, y] = [frame.left + left + width / 2, frame.top + top + height / 2];
          const on = canvas.getBoundingClientRect();
          if (pinned || unit?.layer === layer) store.set({ unit, pinned });
          return { x, y, inX: x - on.left, inY: y - on.top };
        }""",
        [layer, index],
    )


# --- the figure --------------------------------------------------------------------------------


def test_every_layer_is_drawn_with_its_name_and_its_numbers_colours(
    explore: Open, served: dict[str, Model]
) -> None:
    page = explore()
    labels = page.eval_on_selector_all(
        ".maps-figure .maps-label",
        "all => all.filter((e) => e.offsetParent).map((e) => e.innerText.split(/\\s+/).join(' '))",
    )
    shown = [label for label in labels if label]
    assert shown[0].startswith("C1 Conv2d 5×5 6×28×28 Sigmoid ±")  # what is pointed at: the sum
    assert shown[1].startswith("S2 AvgPool2d 2×2 6×14×14 0 – ")
    assert shown[2].startswith("C3 Conv2d 5×5 16×10×10 Sigmoid 0 – ")
    assert [label.split()[0] for label in shown] == ["C1", "S2", "C3", "S4", "F5", "F6", "F7"]
    assert shown[-1].startswith("F7 Linear 10 ±")
    values = activations(served["lenet"])
    random = np.random.default_rng(0)
    for layer, numbers in enumerate(values):
        for index in random.integers(0, len(numbers), 6):
            place = box_of(page, layer, int(index))
            shown, wanted = page.evaluate(
                """async ([layer, value, x, y]) => {
                  const { sequentialColor, signedColor } = await import("lenet/colors.js");
                  const element = document.querySelector(`[data-layer="${layer}"]`);
                  const ends = element.querySelector(".maps-limit").textContent;
                  const [low, high] = ends.split(" – ").map(Number);
                  const colorOf = ends.startsWith("±")
                    ? (of) => signedColor(of, Number(ends.slice(1)))
                    : (of) => sequentialColor(of - low, high - low);
                  const context = element.querySelector("canvas").getContext("2d");
                  const { data } = context.getImageData(x, y, 1, 1);
                  return [[...data].slice(0, 3), colorOf(value)];
                }""",
                [layer, float(numbers[index]), place["inX"], place["inY"]],
            )
            assert np.abs(np.subtract(shown, wanted)).max() <= 3, (layer, index)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_is_drawn_as_it_is_stored(explore: Open, scheme: str) -> None:
    """0 is black and 255 white, whatever colours the page has: as in every figure."""
    page = explore(color_scheme=scheme)
    pixels = page.evaluate("[...store.get().pixels]")
    seen = set()
    for index in range(0, 784, 13):
        place = box_of(page, -1, index)
        shown = page.evaluate(
            """([x, y]) => [...document.querySelector('[data-layer="-1"] canvas')
                .getContext("2d").getImageData(x, y, 1, 1).data]""",
            [place["inX"], place["inY"]],
        )
        assert shown == [*[pixels[index]] * 3, 255], index
        seen.add(pixels[index])
    assert len(seen) > 5


@pytest.mark.parametrize("size", [(1440, 900), (2560, 1300), (1280, 800), (768, 1024), (360, 740)])
def test_the_figure_fits_the_page(explore: Open, size: tuple[int, int]) -> None:
    page = explore(size=size)
    for layer, index in ((-1, 300), (3, 100), (5, 30), (7, 40), (10, 8), (11, 3)):
        point(page, layer, index)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], layer
    assert page.locator(".maps-wide").count() == (1 if size[0] >= 1280 else 0)


def test_the_mouse_points_and_a_click_pins(explore: Open) -> None:
    page = explore()
    wanted = 2 * 784 + 11 * 28 + 6
    place = box_of(page, 0, wanted)
    page.mouse.move(place["x"], place["y"])
    assert unit(page) == (0, wanted)
    assert page.evaluate("store.get().pinned") is False
    assert page.inner_text(".maps-readout").startswith("C1, channel 2, row 11, column 6: ")
    page.mouse.click(place["x"], place["y"])
    assert page.evaluate("store.get().pinned") is True
    elsewhere = box_of(page, 4, 100)
    page.mouse.move(elsewhere["x"], elsewhere["y"])
    assert unit(page) == (0, wanted)
    page.mouse.click(elsewhere["x"], elsewhere["y"])
    page.mouse.click(elsewhere["x"], elsewhere["y"])
    assert unit(page) == (4, 100)
    assert page.evaluate("store.get().pinned") is False


def test_there_is_something_to_read_at_first(explore: Open, served: dict[str, Model]) -> None:
    page = explore()
    strongest = int(np.abs(activations(served["lenet"])[0]).argmax())
    assert unit(page) == (0, strongest)
    assert page.evaluate("store.get().pinned") is False
    page.evaluate("store.set({ unit: null })")
    page.evaluate("look(store.get().pixels)")
    assert unit(page) is None  # who let go is not pointed at it again


def test_sources_and_receptive_field_light_up(explore: Open) -> None:
    page = explore()
    point(page, 3, 2 * 100 + 3 * 10 + 4)
    counted = {
        name: page.get_attribute(f".maps-{name}", "d").count("M")
        for name in ("unit", "sources", "cone", "field", "lines", "band")
    }
    # S2 is read, C1 lies between: the cone goes through it
    assert counted == {"unit": 1, "sources": 6, "cone": 6, "field": 1, "lines": 12, "band": 2}
    # C3 sees 14 of the picture's 28 rows at 3 pixels (4 at a larger zoom), and an outline
    height = float(re.search(r"v([\d.]+)", page.get_attribute(".maps-field", "d")).group(1))
    canvas = page.locator('[data-layer="-1"] canvas').bounding_box()["height"] - 2
    assert height == pytest.approx(canvas * 14 / 28 + 2)
    point(page, 9, 5)  # a dense unit reads the whole strip, of every map before it
    assert page.get_attribute(".maps-cone", "d").count("M") == 6 + 6 + 16 + 16
    assert page.get_attribute(".maps-sources", "d").count("M") == 1


def test_a_map_shows_its_term_of_the_sum(explore: Open) -> None:
    page = explore()
    place = box_of(page, 2, 4 * 196 + 100)  # S2, channel 4
    point(page, 3, 2 * 100 + 3 * 10 + 4)
    page.mouse.move(place["x"], place["y"])
    assert page.evaluate("store.get().channel") == 4
    settled(page)
    assert page.get_attribute(".channel[aria-pressed=true]", "data-channel") == "4"
    assert page.locator(".term.chosen").get_attribute("data-channel") == "4"
    page.locator(".term").first.hover()
    settled(page)
    assert page.get_attribute(".channel[aria-pressed=true]", "data-channel") == "0"
    point(page, 7, 20)  # dense: the unit of the map
    place = box_of(page, 5, 30)
    # F5 shows its sums, with a shorter label than its activations have: S4 stands further right
    canvas = page.locator('[data-layer="5"] canvas').bounding_box()
    page.mouse.move(canvas["x"] + place["inX"], canvas["y"] + place["inY"])
    assert page.evaluate("store.get().channel") == 30


def test_a_stage_is_widened_and_unfolded_in_place(explore: Open) -> None:
    page = explore()
    width = "document.querySelector('[data-layer=\"4\"] canvas').getBoundingClientRect().width"
    before = page.evaluate(width)
    page.get_by_role("button", name="C3", exact=True).first.click()
    assert page.evaluate(width) >= 1.8 * before
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    loupe = page.locator(".maps-loupe")
    assert not loupe.is_visible()
    point(page, 4, 733)
    assert loupe.get_attribute("data-unit") == "733"
    box = box_of(page, 4, 733)
    seen = loupe.bounding_box()
    assert not (seen["x"] <= box["x"] <= seen["x"] + seen["width"])  # it hides no number it is of
    point(page, 1, 733)
    assert not loupe.is_visible()
    page.get_by_role("button", name="C3", exact=True).first.click()
    assert page.evaluate(width) == before
    page.locator('[data-layer="4"] .maps-fold input').click()
    assert page.locator('[data-layer="3"]').is_visible()
    assert not page.locator('[data-layer="4"]').is_visible()
    assert page.evaluate("document.activeElement.closest('.maps-layer').dataset.layer") == "3"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_numbers_in_cells_can_be_read_on_every_colour(explore: Open, theme: str) -> None:
    page = explore(theme=theme)
    written = page.evaluate(
        """async () => {
          const { writeNumbers, fitsNumbers } = await import("lenet/explore/network/numbers.js");
          const { arrange } = await import("lenet/explore/network/layout.js");
          const { figureColors, paintSigned } = await import("lenet/explore/network/scale.js");
          const shape = [1, 1, 9];
          const values = Float32Array.from({ length: 9 }, (_, i) => (i - 4) / 4000);
          const pixels = new Uint32Array(9);
          paintSigned(pixels, figureColors().signed, values, 0.001);
          const arrangement = arrange(shape, { width: 2000 });
          arrangement.tiles[0].width = 9 * 30;
          const seen = [];
          const context = { fillText: (text, x) => seen.push([text, x, context.fillStyle]) };
          writeNumbers(context, { arrangement, shape, values, pixels, limit: 0.001 });
          const grounds = [...pixels].map((p) => [p & 255, (p >> 8) & 255, (p >> 16) & 255]);
          return { seen, grounds, fits: fitsNumbers(arrangement) };
        }"""
    )
    assert [text for text, _, _ in written["seen"]] == (
        ["−1.0", "−.75", "−.50", "−.25", "0", ".25", ".50", ".75", "1.00"]
    )
    assert all(nearly == 30 * i + 16 for i, (_, nearly, _) in enumerate(written["seen"]))
    for (_, _, ink), ground in zip(written["seen"], written["grounds"], strict=True):
        assert contrast({"#000": [0, 0, 0], "#fff": [255, 255, 255]}[ink], ground) >= 4.5


def contrast(one: list[int], other: list[int]) -> float:
    """The contrast of two colours, as WCAG 2.2 has it."""

    def luminance(color: list[int]) -> float:
        shares = [value / 255 for value in color]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_lines_show_what_leads_to_a_class(explore: Open, served: dict[str, Model]) -> None:
    page = explore()
    _, parameters = served["lenet"]
    inputs = activations(served["lenet"])[10].astype(np.float64)
    links = page.evaluate(
        """async () => {
          const { linksInto } = await import("lenet/explore/network/flow.js");
          const { gradients } = await import("lenet/network/gradient.js");
          const { model, traced, weights, input, outputs } = store.get();
          const slopes = gradients(model.network, weights, input, outputs, 3);
          const into = (layer, maps = 0) => linksInto(
            traced[layer], weights, layer ? outputs[layer - 1] : input, outputs[layer],
            slopes[layer + 1], maps,
          );
          return [into(11), into(3), into(2), into(7, 16)];
        }"""
    )
    products = parameters["11.weight"][3].astype(np.float64) * inputs
    order = np.argsort(-np.abs(products))
    assert [link["from"] for link in links[0]] == order[:26].tolist()
    assert {link["to"] for link in links[0]} == {3}
    wanted = products[order[:26]] / np.abs(products).max()
    assert [link["share"] for link in links[0]] == pytest.approx(wanted, abs=1e-5)
    assert all(link["from"] < 6 and link["to"] < 16 for link in links[1])
    assert all(link["from"] == link["to"] for link in links[2])
    assert all(link["from"] < 16 and link["to"] < 120 for link in links[3])
    button = page.locator(".maps-flow")
    until(page, "document.querySelectorAll('.maps-streams path').length > 60")
    top = served["lenet"][0].classes[int(activations(served["lenet"])[-1].argmax())]
    assert button.text_content() == f"What leads to {top}"
    page.locator(".bars-row").nth(3).click()
    until(page, "document.querySelector('.maps-flow strong').textContent === 'dress'")
    button.click()
    assert page.locator(".maps-streams path").count() == 0
    button.click()
    point(page, 3, 100)  # a pinned number has its own lines
    assert page.locator(".maps-streams path").count() == 0


def test_keys_reach_every_unit(explore: Open) -> None:
    page = explore()
    page.focus("[data-layer='-1']")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Home")
    assert unit(page) == (0, 0)
    assert page.evaluate("document.activeElement.dataset.layer") == "0"
    for key, index in (
        ("ArrowRight", 1),
        ("ArrowDown", 29),
        ("]", 784 + 29),
        ("PageDown", 2 * 784 + 29),
        ("[", 784 + 29),
        ("ArrowUp", 784 + 1),
        ("ArrowUp", 784 + 1),
        ("ArrowLeft", 784),
        ("End", 2 * 784 - 1),
    ):
        page.keyboard.press(key)
        assert unit(page) == (0, index), key
    assert "row 27, column 27" in page.get_attribute("[data-layer='0']", "aria-label")
    page.keyboard.press("Enter")
    assert page.evaluate("store.get().pinned") is True
    for layer in range(1, 12):
        page.keyboard.press("Shift+ArrowRight")
        assert unit(page)[0] == layer
    page.keyboard.press("Shift+ArrowRight")
    assert unit(page)[0] == 11
    settled(page)
    assert page.evaluate("announced").pop().startswith("F7, unit ")
    page.keyboard.press("Escape")
    assert unit(page) is None
    assert page.locator(".maps-figure [tabindex='0']").count() == 1


def test_a_finger_pins_a_unit(explore: Open) -> None:
    page = explore(size=(360, 740), has_touch=True, device_scale_factor=2)
    page.get_by_role("button", name="C3", exact=True).first.click()  # one stage at a time
    assert page.locator(".maps-figure .maps-layer:visible").count() == 1
    place = box_of(page, 4, 300)
    page.touchscreen.tap(place["x"], place["y"])
    until(page, "store.get().pinned")
    assert unit(page) == (4, 300)


def test_scales_stay_while_one_draws(explore: Open) -> None:
    page = explore()
    limits = page.evaluate(
        """async () => {
          const { steadyLimit } = await import("lenet/explore/network/scale.js");
          const limit = steadyLimit();
          const of = (...values) => limit(Float32Array.from(values));
          const first = [of(0), of(0.7), of(-0.79), of(0.3), of(1.3, NaN, Infinity), of(0.2)];
          const later = Array.from({ length: 40 }, () => of(0.2)).at(-1);
          return [...first, later];
        }"""
    )
    assert limits == [1, 0.8, 0.8, 0.8, 1.5, 1.5, 0.2]


def test_the_difference_against_before(explore: Open) -> None:
    page = explore()
    button = page.get_by_role("button", name="Show the difference")
    assert not button.is_visible()
    page.evaluate("compute(new Map([[1, Uint8Array.from([1, 0, 1, 1, 1, 1])]]))")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    off = page.evaluate(
        """() => {
          const { outputs, before } = store.get();
          return [outputs[1].slice(784, 1568).some((value) => value !== 0),
                  outputs[0].every((value, i) => value === before[0][i])];
        }"""
    )
    assert off == [False, True]
    place = box_of(page, 0, 784 + 300)
    blank = page.evaluate(
        """([x, y]) => [...document.querySelector('[data-layer="0"] canvas')
            .getContext("2d").getImageData(x, y, 1, 1).data]""",
        [place["inX"], place["inY"]],
    )
    assert blank == [255, 255, 255, 255]  # nothing has changed in front of the channel
    assert page.locator(".bars-before:not([hidden])").count() == 10
    point(page, 1, 784 + 300)
    assert "(switched off)" in page.inner_text(".maps-readout")
    assert "switched off" in page.inner_text(".agreement")
    page.evaluate("compute(null)")
    assert not button.is_visible()


# --- the arithmetic ----------------------------------------------------------------------------


def test_a_convolutions_total_is_the_sum_of_its_products(
    explore: Open, served: dict[str, Model]
) -> None:
    page = explore()
    _, parameters = served["lenet"]
    below = activations(served["lenet"])[2].reshape(6, 14, 14).astype(np.float64)
    channel, row, column = 5, 4, 7
    point(page, 3, channel * 100 + row * 10 + column)
    patch = below[:, row : row + 5, column : column + 5]
    products = patch * parameters["3.weight"][channel]
    wanted = products.sum((1, 2))
    page.locator(".channel").nth(1).click()
    settled(page)
    assert page.get_attribute(".maps-chosen", "d") in page.get_attribute(".maps-sources", "d")
    sums = [
        float(text)
        for text in page.eval_on_selector_all("[data-sum]", "all => all.map((e) => e.dataset.sum)")
    ]
    assert sums == pytest.approx(wanted, abs=1e-5)
    bias = float(page.get_attribute("[data-bias]", "data-bias"))
    assert bias == pytest.approx(parameters["3.bias"][channel])
    assert float(page.get_attribute("[data-total]", "data-total")) == pytest.approx(
        sum(sums) + bias
    )
    cells = page.eval_on_selector_all(
        ".channel-grids .grid:nth-of-type(3) td", "all => all.map((e) => e.textContent)"
    )
    shown = [float(text.replace("−", "-")) for text in cells]
    assert shown == pytest.approx(products[1].reshape(-1), abs=0.051)
    assert max(map(len, cells)) <= 4, "neighbours' numbers do not touch"
    assert "They agree" in page.inner_text(".agreement")
    slope = float(page.get_attribute("[data-derivative]", "data-derivative"))
    y = 1 / (1 + np.exp(-total(page)))
    assert slope == pytest.approx(y * (1 - y))


@pytest.mark.parametrize("name", ["lenet", "small", "lenet5", "mlp"])
def test_every_layers_arithmetic_agrees_with_the_engine(
    explore: Open, served: dict[str, Model], name: str
) -> None:
    page = explore(name)
    random = np.random.default_rng(1)
    for layer, numbers in enumerate(activations(served[name])):
        for index in (0, len(numbers) - 1, int(random.integers(len(numbers)))):
            point(page, layer, index)
            assert total(page) == pytest.approx(float(numbers[index]), abs=2e-5, rel=2e-5), (
                layer,
                index,
            )
            assert "They agree" in page.inner_text(".agreement"), (layer, index)
            if page.locator("[data-activation]").count() == 0:
                assert float(page.get_attribute("[data-total]", "data-total")) == total(page)
    point(page, -1, 5)
    assert "They agree" in page.inner_text(".agreement")


def test_contributions_lead_down_to_a_pixel_and_back(explore: Open) -> None:
    page = explore()
    point(page, 11, 3)
    # a number behind an activation is shown with the sum that goes into it
    for layer, below in itertools.pairwise([11, 10, 8, 6, 5, 4, 2, 1, -1]):
        assert unit(page)[0] == layer
        button = page.locator(".work [data-go]:not([disabled]):visible").first
        if layer == 11:
            button = page.locator(".dense [data-go]").first
        # in one go: on a busy machine the panel may be drawn anew between a look and a click
        go = int(button.evaluate("button => { button.click(); return button.dataset.go; }"))
        settled(page)
        assert unit(page) == (below, go)
        assert page.evaluate("document.activeElement.className").startswith("unit-name")
    assert page.inner_text(".unit-name").startswith("picture, channel 0, row ")
    assert page.locator(".trail li").count() == 9
    page.locator(".trail button").first.click()
    settled(page)
    assert unit(page) == (11, 3)
    assert not page.locator(".trail").is_visible()


def test_the_steps_go_to_neighbours(explore: Open) -> None:
    page = explore()
    point(page, 3, 333)
    for name, index in (
        ("One column to the right", 334),
        ("One row down", 344),
        ("Next one", 444),
        ("One row up", 434),
        ("One column to the left", 433),
        ("Previous one", 333),
    ):
        page.get_by_role("button", name=name, exact=True).click()
        assert unit(page) == (3, index), name
    page.get_by_role("button", name="Next layer").click()
    assert unit(page) == (4, 333)
    pin = page.get_by_role("button", name="Pin", exact=True)
    pin.click()
    settled(page)
    assert pin.get_attribute("aria-pressed") == "false"


def test_dense_contributions_and_the_rest_make_the_total(
    explore: Open, served: dict[str, Model]
) -> None:
    page = explore()
    point(page, 7, 40)
    products = [
        float(text)
        for text in page.eval_on_selector_all(
            "[data-product]", "all => all.map((e) => e.dataset.product)"
        )
    ]
    assert len(products) == 12
    assert products == sorted(products, key=abs, reverse=True)
    rest = float(page.get_attribute("[data-rest]", "data-rest"))
    bias = float(page.get_attribute(".dense [data-bias]", "data-bias"))
    assert sum(products) + rest + bias == pytest.approx(total(page), abs=1e-9)
    page.get_by_role("button", name="Show all 400").click()
    assert page.locator("[data-product]").count() == 400
    assert not page.locator(".rest").is_visible()


def test_pooling_marks_the_winner(explore: Open) -> None:
    page = explore("small")
    point(page, 4, 40)
    values = [
        float(text.replace("−", "-"))
        for text in page.locator(".pooling td:not(.padding)").all_inner_texts()
    ]
    marked = [
        float(text.replace("−", "-"))
        for text in page.locator(".pooling td.marked").all_inner_texts()
    ]
    assert set(marked) == {max(values)}
    assert total(page) == pytest.approx(max(values), abs=0.006)


def test_softmax_from_logits_to_shares(explore: Open, served: dict[str, Model]) -> None:
    page = explore()
    logits = activations(served["lenet"])[-1].astype(np.float64)
    wanted = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    point(page, 11, 2)
    shares = [
        float(text)
        for text in page.eval_on_selector_all(
            ".softmax [data-share]", "all => all.map((e) => e.dataset.share)"
        )
    ]
    assert shares == pytest.approx(wanted, abs=1e-5)
    assert page.locator(".softmax .pointed").count() == 1
    page.locator(".softmax [data-go='6']").click()
    assert unit(page) == (11, 6)


def test_the_panel_follows_new_numbers_in_place(explore: Open) -> None:
    page = explore()
    point(page, 3, 333)
    page.locator(".channel").nth(4).click()
    before = total(page)
    page.evaluate("look(store.get().pixels.map((value) => 255 - value))")
    shown = "document.querySelector('.arithmetic [data-recomputed]').dataset.recomputed"
    until(page, f"Number({shown}) !== {before!r}")
    assert "They agree" in page.inner_text(".agreement")
    assert page.locator(".channel").nth(4).get_attribute("aria-pressed") == "true"


def test_another_network_s_figure_and_an_address_out_of_range(explore: Open) -> None:
    page = explore()
    point(page, 11, 3)
    page.evaluate("open('mlp')")
    until(page, "document.querySelectorAll('.maps-layer').length === 7")
    page.evaluate("look(store.get().pixels)")
    assert unit(page)[0] == 1, "what the other network has not is let go: its first sum is shown"
    kept = page.evaluate(
        """async () => {
          const { unitInOther } = await import("lenet/explore/network/units.js");
          const { trace } = await import("lenet/network/trace.js");
          const lenet = trace((await read("lenet")).network);
          const mlp = trace((await read("mlp")).network);
          const kept = (from, to, layer, index) => unitInOther(from, to, { layer, index });
          return [
            kept(lenet, mlp, 11, 3), kept(lenet, mlp, 3, 200), kept(lenet, lenet, 3, 200),
            kept(lenet, lenet, 3, 9999999), kept(lenet, mlp, -1, 5),
          ];
        }"""
    )
    last = page.evaluate("store.get().traced.length - 1")
    assert kept == [
        {"layer": last, "index": 3},
        None,
        {"layer": 3, "index": 200},
        None,
        {"layer": -1, "index": 5},
    ]


def test_a_narrower_window_keeps_the_figure(explore: Open) -> None:
    page = explore()
    for width in (1430, 1300, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(100)
        assert page.locator(".maps-wide").count() == 1, width
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_numbers_of_cells_are_short(explore: Open) -> None:
    texts = explore().evaluate(
        """async () => {
          const { cellText, unitOfCells } = await import("lenet/explore/network/scale.js");
          const of = (limit, ...values) => values.map((v) => cellText(v, unitOfCells(limit)));
          return [of(2, 1.254, -1.254, 0.25, -0.25, -0.001, 0), of(0.005, 0.0021, -0.00214),
                  of(200, -123.4, 99.94), of(1e6, -123456), of(2, NaN, Infinity)];
        }"""
    )
    assert texts == [
        ["1.25", "−1.3", ".25", "−.25", "0", "0"],
        ["2.10", "−2.1"],
        ["−123", "99.9"],
        ["−.12"],
        ["NaN", "∞"],
    ]


def test_numbers_of_two_moments_are_not_called_wrong_at_once(explore: Open) -> None:
    page = explore()
    point(page, 0, 300)
    first = page.evaluate(
        """async () => {
          store.set({ outputs: store.get().outputs.map((all) => all.map((v) => v + 1)) });
          for (;;) {
            await new Promise(requestAnimationFrame);
            const text = document.querySelector(".agreement").innerText;
            if (/computing|do not agree/.test(text)) return text;
          }
        }"""
    )
    assert "computing" in first
    until(page, "document.querySelector('.agreement').innerText.includes('They do not agree')")


# --- the player --------------------------------------------------------------------------------


def filled(page: Any) -> int:
    """The cells of the player's output that are coloured."""
    return page.evaluate(
        """() => {
          const canvas = [...document.querySelectorAll(".play-map canvas")].at(-1);
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return data.filter((value, i) => i % 4 === 3 && value === 255).length;
        }"""
    )


def test_a_layer_is_played_over_its_map(explore: Open) -> None:
    page = explore()
    point(page, 3, 2 * 100 + 40)
    until(page, "document.querySelector('.play-controls select')?.value === '3'")
    settled(page)
    assert page.locator(".play-map").count() == 7
    assert filled(page) == 41
    page.get_by_role("button", name="One step on").click()
    assert (unit(page), filled(page)) == ((3, 241), 42)
    page.get_by_role("button", name="One step back").click()
    assert (unit(page), filled(page)) == ((3, 240), 41)
    page.locator(".play-slider").fill("95")
    assert (unit(page), filled(page)) == ((3, 295), 96)
    settled(page)
    assert page.text_content(".unit-name").startswith("C3, channel 2, row 9, column 5 = ")

    page.locator(".play-controls label:nth-child(3) select").select_option("40")
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, "store.get().unit.index === 299")  # the end: it stops by itself
    page.get_by_role("button", name="Play backwards").click()
    until(page, "store.get().unit.index < 290")
    page.locator(".play-controls").get_by_role("button", name="Pause").click()
    stopped = unit(page)
    page.wait_for_timeout(150)
    assert unit(page) == stopped

    page.locator(".play-controls label:nth-child(1) select").select_option("2")
    assert unit(page) == (2, 0)
    assert page.locator(".play-map").count() == 2
    page.locator(".play-controls label:nth-child(2) select").select_option("4")
    assert unit(page) == (2, 4 * 196)


def test_who_wants_no_motion_gets_steps(explore: Open) -> None:
    page = explore(reduced_motion="reduce")
    page.get_by_role("button", name="One step on").wait_for()
    settled(page)
    play = page.get_by_role("button", name="Play", exact=True)
    assert not play.is_visible()
    assert page.get_by_role("button", name="One step on").is_visible()
    page.get_by_label("Play as motion all the same").check()
    assert play.is_visible()


# --- the bars ----------------------------------------------------------------------------------


def test_bars_of_the_classes(explore: Open, served: dict[str, Model]) -> None:
    page = explore()
    classes = served["lenet"][0].classes
    page.wait_for_selector(".bars-row")
    shares = [
        float(text)
        for text in page.eval_on_selector_all(".bars-row", "all => all.map((e) => e.dataset.share)")
    ]
    assert sum(shares) == pytest.approx(1)
    names = page.locator(".bars-name").all_inner_texts()
    assert names == list(classes), "beside the last layer's units, in their order"
    top = int(page.get_attribute(".bars-top", "data-class"))
    logits = activations(served["lenet"])[-1]
    assert top == int(logits.argmax()) == int(np.argmax(shares))
    verdict = page.inner_text(".verdict")
    assert verdict.startswith(f"This network says {classes[top]}, ")
    right = f"; the true class is {classes[LABEL]}."
    assert verdict.endswith(", and it is right." if top == LABEL else right)
    assert page.locator(".bars-row", has_text="true class").get_attribute("data-class") == str(
        LABEL
    )
    page.locator(".bars-row").nth(4).click()
    assert unit(page) == (11, 4)
    page.set_viewport_size({"width": 360, "height": 740})  # under one another: the highest first
    until(page, "document.querySelector('.maps-narrow') !== null")
    settled(page)
    shares = page.eval_on_selector_all(".bars-row", "all => all.map((e) => +e.dataset.share)")
    assert shares == sorted(shares, reverse=True)
    until(page, "announced.some((text) => text.startsWith('Prediction: '))")


# --- language, colours, access, speed ----------------------------------------------------------


def test_chinese_and_dark(explore: Open) -> None:
    page = explore(language="zh", theme="dark")
    for layer, index in ((0, 400), (2, 100), (6, 30), (11, 3), (-1, 40)):
        point(page, layer, index)
        assert "两者一致" in page.inner_text(".agreement")
    text = page.inner_text("main")
    assert "整个网络" in text
    for english in (
        "This network",
        "The whole",
        "channel",
        "column",
        "kernel",
        "Show",
        "Right",
        "row ",
    ):
        assert english not in text, english


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(explore: Open, theme: str) -> None:
    page = explore(theme=theme)
    for layer, index in ((3, 345), (2, 100), (9, 30), (11, 3)):
        point(page, layer, index)
        assert serious_faults(page, colors_only=theme == "dark") == []


def test_all_maps_are_drawn_about_as_quickly_as_they_are_computed(explore: Open) -> None:
    page = explore()
    point(page, 3, 345)
    drawn_ms, computed_ms = page.evaluate(
        """async () => {
          const { model, weights, traced, input, outputs } = store.get();
          const times = [[], []];
          for (let i = 0; i < 40; i++) {
            const begin = performance.now();
            store.set({ outputs: [...outputs] });
            const drawn = performance.now();
            network.forward(model.network, weights, input, { traced });
            times[0].push(drawn - begin);
            times[1].push(performance.now() - drawn);
            await new Promise(requestAnimationFrame);
          }
          return times.map((each) => each.sort((a, b) => a - b)[20]);
        }"""
    )
    assert drawn_ms < 8 * computed_ms


# --- calibrated models -------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_bars_softmax_and_verdict_are_as_python_calibrates_them(
    name: str, explore: Open, served: dict[str, Model]
) -> None:
    page = explore(name)
    logits = activations(served[name])[-1][None]
    shares = probabilities(logits, from_dict(CALIBRATIONS[name]))[0]
    page.evaluate("store.set({unit: {layer: store.get().traced.length - 1, index: 0}})")
    until(page, "document.querySelector('.softmax [data-share]')")
    shown = page.evaluate(
        """() => {
          const all = (selector) => [...document.querySelectorAll(selector)];
          const shares = (selector, of) => Object.fromEntries(
            all(selector).map((one, i) => [of(one, i), one.dataset.share]),
          );
          return {
            bars: shares(".bars-row", (one) => one.dataset.class),
            table: shares(".softmax [data-share]", (_, i) => i),
            verdict: document.querySelector(".verdict").textContent,
            formula: document.querySelector(".softmax .formula").textContent,
          };
        }"""
    )
    for label, share in enumerate(shares):
        assert float(shown["bars"][str(label)]) == pytest.approx(share, abs=2e-5)
        assert float(shown["table"][str(label)]) == pytest.approx(share, abs=2e-5)
    assert "/ T) / Σⱼ" in shown["formula"]
    assert "T = 2.5" in shown["formula"]
    nearest = served[name][0].classes[int(shares.argmax())]
    if name == "strict":
        said = f"This network says none of these (nearest: {nearest}, "
        assert shown["verdict"].startswith(said)
        assert "; the true class is " in shown["verdict"]
    else:
        assert shown["verdict"].startswith(f"This network says {nearest}, ")
