"""What is changed in the network in Explore, and the difference that it makes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import explore_view
import numpy as np
import pytest
from explore_view import state, until
from numpy.typing import NDArray

from lenet import data
from lenet.engines.numpy import NumpyEngine
from lenet.looking import evaluation
from lenet.network.architecture import Network
from lenet.network.parameters import Parameters, State
from lenet.optimization import Objective, Optimizer


@pytest.fixture
def explore(opened: tuple[Any, list[str]]) -> Iterator[Callable[..., Any]]:
    """A function that shows Explore with an address's parameters, What if in the lens."""
    with explore_view.watched(opened) as open_view:
        yield lambda params="", **options: open_view(f"{params}&lens=what-if", **options)


@pytest.fixture
def trained() -> tuple[Network, Parameters]:
    return explore_view.trained()


def trained_is_as_it_was(page: Any, before: list[Any]) -> None:
    assert page.evaluate("trainedWeights()") == before


def test_a_weight_is_changed_and_undone_bit_for_bit(explore: Any) -> None:
    page = explore()
    trained = page.evaluate("trainedWeights()")
    outputs = page.evaluate("logits()")
    assert state(page, "before") is None
    part = page.locator(".part-what-if")
    part.locator(".cell").nth(7).click()
    field = part.get_by_label("Row 1, column 2", exact=True)
    field.fill("1.25")
    page.evaluate("settled()")
    changed = page.evaluate("logits()")
    assert changed != outputs
    assert page.evaluate("store.get().weights.get('0.weight').data[7]") == 1.25
    now = dict(page.evaluate("weightsNow()"))
    assert [name for name, value in trained if now[name] != value] == ["0.weight"]
    trained_is_as_it_was(page, trained)
    assert page.evaluate("digest(store.get().before.at(-1))") == outputs
    page.get_by_role("button", name="Undo").last.click()
    page.evaluate("settled()")
    assert page.evaluate("logits()") == outputs
    assert page.evaluate("store.get().weights === store.get().model.weights")
    assert state(page, "before") is None
    page.get_by_role("button", name="Redo").last.click()
    page.evaluate("settled()")
    assert page.evaluate("logits()") == changed
    page.get_by_role("button", name="As it was").click()
    page.evaluate("settled()")
    assert page.evaluate("logits()") == outputs
    trained_is_as_it_was(page, trained)


def test_a_slider_is_one_step(explore: Any) -> None:
    page = explore()
    slider = page.get_by_label("The weight, by slider")
    was = page.evaluate("store.get().weights.get('0.weight').data[0]")
    slider.focus()
    for _ in range(3):
        page.evaluate(
            """() => { const s = document.activeElement; s.value = Number(s.value) + 0.05;
              s.dispatchEvent(new Event("input", { bubbles: true })); }"""
        )
    page.evaluate("document.activeElement.dispatchEvent(new Event('change', {bubbles: true}))")
    page.evaluate("settled()")
    assert page.evaluate("store.get().weights.get('0.weight').data[0]") > was + 0.1
    page.get_by_role("button", name="Undo").last.click()
    page.evaluate("settled()")
    assert page.evaluate("store.get().weights.get('0.weight').data[0]") == was


def test_the_address_keeps_what_was_changed(explore: Any) -> None:
    page = explore()
    chip = page.get_by_role("button", name="Edited")
    assert not chip.is_visible()
    part = page.locator(".part-what-if")
    part.get_by_role("button", name="Zero").click()
    part.get_by_label("cover a square").check()
    part.locator(".gates input").nth(2).uncheck()
    page.evaluate("settled()")
    assert chip.is_visible()
    what = ("weightsNow()", "logits()", "store.get().cover", "[...store.get().gates.get(1)]")
    before = [page.evaluate(each) for each in what]
    assert before[3] == [1, 1, 0, 1, 1, 1]
    address = page.url.partition("#?")[2]
    page = explore(address)
    assert [page.evaluate(each) for each in what] == before
    page.get_by_role("button", name="Undo").last.click()
    assert not chip.is_visible()
    until(page, "!location.hash.includes('edits=')")
    for wrong in ("w0.weight:99999:AACAPw", "wx:0:AACAPw", "w0.weight:0:!", "g1:99~g77:1", "c:1"):
        page = explore(f"edits={wrong}")
        assert page.evaluate("store.get().weights === store.get().model.weights"), wrong
        assert state(page, "cover") is None


def kernel(page: Any, start: int, count: int) -> NDArray[np.float32]:
    values = page.evaluate(
        """([start, count]) =>
          [...store.get().weights.get("3.weight").data.slice(start, start + count)]""",
        [start, count],
    )
    return np.array(values, np.float32)


def test_kernels_are_flipped_turned_blurred_and_zeroed(explore: Any) -> None:
    page = explore()
    part = page.locator(".part-what-if")
    part.get_by_role("combobox", name="Layer").select_option(label="3 · C3 · Conv2d")
    part.get_by_role("combobox", name="To").select_option("5")
    part.get_by_role("combobox", name="From").select_option("2")
    start = (5 * 6 + 2) * 25
    was = kernel(page, start, 25).reshape(5, 5)
    others = kernel(page, 0, start)

    def blurred(values: NDArray[np.float32]) -> NDArray[np.float64]:
        weight = np.outer([1, 2, 1], [1, 2, 1])
        padded, ones = np.pad(values, 1), np.pad(np.ones((5, 5)), 1)
        windows = [(y, x) for y in range(5) for x in range(5)]
        sums = [(weight * padded[y : y + 3, x : x + 3]).sum() for y, x in windows]
        shares = [(weight * ones[y : y + 3, x : x + 3]).sum() for y, x in windows]
        return np.asarray(np.divide(sums, shares), np.float64).reshape(5, 5)

    expected: dict[str, NDArray[Any]] = {
        "Flip ↔": was[:, ::-1],
        "Flip ↕": was[::-1],
        "Turn 90°": np.rot90(was, -1),
        "Blur": blurred(was),
        "Sharpen": 2 * was - blurred(was),
        "Negate": -was,
        "Zero": 0 * was,
    }
    for name, values in expected.items():
        part.get_by_role("button", name=name).click()
        page.evaluate("settled()")
        np.testing.assert_allclose(
            kernel(page, start, 25).reshape(5, 5), values, rtol=1e-5, atol=1e-6, err_msg=name
        )
        np.testing.assert_array_equal(kernel(page, 0, start), others)
        assert state(page, "before") is not None
        part.get_by_role("button", name="Undo").click()
        page.evaluate("settled()")
        np.testing.assert_array_equal(kernel(page, start, 25).reshape(5, 5), was)
    part.get_by_label("from every input at once").check()
    part.get_by_role("button", name="Zero").click()
    page.evaluate("settled()")
    assert not kernel(page, 5 * 150, 150).any()
    assert kernel(page, 4 * 150, 150).any()
    assert kernel(page, 6 * 150, 150).any()


def test_the_editor_follows_the_pinned_unit(explore: Any) -> None:
    page = explore()
    part = page.locator(".part-what-if")
    # unit 3 of ReLU's 16 maps of 10×10 behind the second convolution
    page.evaluate("store.set({ unit: { layer: 4, index: 3 * 100 + 5 }, pinned: true })")
    assert part.get_by_role("combobox", name="Layer").input_value() == "3"
    assert part.get_by_role("combobox", name="To").input_value() == "3"
    page.evaluate("store.set({ unit: { layer: 9, index: 11 }, pinned: false })")
    assert part.get_by_role("combobox", name="Layer").input_value() == "3", "hovering moves nothing"
    page.evaluate("store.set({ pinned: true })")
    assert part.get_by_role("combobox", name="To").input_value() == "11"


def test_a_dense_layer_behind_maps_is_seen_as_kernels(explore: Any) -> None:
    page = explore("model=run:own")
    found = page.evaluate(
        """() => { const { traced } = store.get();
          const shape = ({ outputs, inputs, rows, columns }) => [outputs, inputs, rows, columns];
          return [0, 4, 6].map((layer) => shape(edits.weightView(traced, layer))); }"""
    )
    assert found == [[4, 3, 3, 3], [40, 4, 5, 4], [5, 40, 1, 1]]
    part = page.locator(".part-what-if")
    part.get_by_role("combobox", name="Layer").select_option("6")
    part.get_by_role("combobox", name="From").select_option("39")
    part.get_by_role("combobox", name="To").select_option("4")
    part.get_by_label("Weight", exact=True).fill("-2.5")
    page.evaluate("settled()")
    assert page.evaluate("store.get().weights.get('6.weight').data[199]") == -2.5
    part.get_by_label("Bias").fill("3")
    page.evaluate("settled()")
    assert page.evaluate("store.get().weights.get('6.bias').data[4]") == 3
    assert part.get_by_role("button", name="Blur").is_disabled()


def test_maps_and_units_are_switched_off(explore: Any) -> None:
    page = explore()
    outputs = page.evaluate("logits()")
    part = page.locator(".part-what-if")
    part.locator("fieldset").first.get_by_label("2", exact=True).uncheck()
    page.evaluate("settled()")
    gates = "[...store.get().gates].map(([layer, gate]) => [layer, [...gate]])"
    assert page.evaluate(gates) == [[1, [1, 1, 0, 1, 1, 1]]], "behind the activation"
    assert not any(page.evaluate("[...store.get().outputs[1].slice(2 * 784, 3 * 784)]"))
    assert page.evaluate("logits()") != outputs
    units = part.get_by_label(re.compile("^F6, 84 units"))
    units.fill("3, 80-83")
    units.press("Tab")
    page.evaluate("settled()")
    off = page.evaluate("[...store.get().gates.get(10)]")
    assert [i for i, open_ in enumerate(off) if not open_] == [3, 80, 81, 82, 83]
    units.fill("84")
    units.press("Tab")
    assert "from 0 to 83" in part.locator(".gates [role=alert]").last.inner_text()
    for _ in range(2):
        part.get_by_role("button", name="Undo").click()
    page.evaluate("settled()")
    assert state(page, "gates") is None
    assert page.evaluate("logits()") == outputs
    assert part.locator("fieldset").first.get_by_label("2", exact=True).is_checked()


def test_the_difference_is_shown(explore: Any) -> None:
    page = explore()
    part = page.locator(".part-what-if")
    assert "nothing is changed" in part.locator(".answer").inner_text()
    part.get_by_role("combobox", name="Layer").select_option(label="11 · F7 · Linear")
    part.get_by_role("combobox", name="To").select_option("9")
    part.get_by_label("Bias").fill("200")
    page.evaluate("settled()")
    answer = part.locator(".answer").inner_text()
    assert answer.endswith("ankle boot 100.0% another class")
    was, now = page.evaluate(
        """() => ["before", "outputs"].map((name) =>
          [...network.softmax(store.get()[name].at(-1))])"""
    )
    rows = part.locator(".difference tbody tr")
    first = rows.nth(0).locator("th, td").all_inner_texts()
    classes = page.evaluate("store.get().model.network.classes")
    change = np.array(now) - np.array(was)
    most = np.argsort(-np.abs(change), kind="stable")[:2]
    assert first[0] == classes[most[0]]
    shown = [float(row.locator("td").last.inner_text().replace("−", "-")) for row in rows.all()]
    assert abs(shown[0] - 100 * change[most[0]]) <= 0.051
    assert [abs(value) for value in shown] == sorted((abs(value) for value in shown), reverse=True)


def test_a_part_is_covered_by_hand_and_by_keys(explore: Any, small: data.Dataset) -> None:
    page = explore()
    outputs = page.evaluate("logits()")
    part = page.locator(".part-what-if")
    part.get_by_label("cover a square").check()
    page.evaluate("settled()")
    assert state(page, "cover") == {"top": 10, "left": 10, "size": 7, "value": 0}, "ground"
    assert page.evaluate("logits()") != outputs
    square = part.locator(".cover-square")
    square.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowRight")
    assert state(page, "cover") == {"top": 9, "left": 14, "size": 7, "value": 0}
    stage = part.locator(".cover-stage canvas")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.5, steps=4)
    page.mouse.up()
    moved = state(page, "cover")
    assert (moved["top"], abs(moved["left"] - 17.5) <= 1) == (10, True) or moved["top"] == 11
    part.get_by_role("combobox", name="With").select_option("ink")
    assert state(page, "cover")["value"] == 255
    part.get_by_role("button", name="Undo").click()
    assert state(page, "cover")["value"] == 0
    square.press("Delete")
    page.evaluate("settled()")
    assert state(page, "cover") is None
    assert page.evaluate("logits()") == outputs


def test_the_map_of_covers_is_what_each_cover_does(
    explore: Any, small: data.Dataset, trained: tuple[Network, Parameters]
) -> None:
    page = explore("picture=5")
    part = page.locator(".part-what-if")
    part.get_by_role("combobox", name="With").select_option("grey")
    part.get_by_role("button", name="Cover every place in turn").click()
    until(page, "document.querySelector('.cover-map')")
    shown = page.evaluate(
        """() => { const c = document.querySelector(".cover-map");
          const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
          return [c.width, c.height, [...data]]; }"""
    )
    assert shown[:2] == [28, 28]
    image = small.test.images[5]
    covered = np.repeat(image[None], 785, axis=0)
    for place in range(784):
        top, left = place // 28 - 3, place % 28 - 3
        rows = slice(max(top, 0), min(top + 7, 28))
        covered[place + 1, :, rows, max(left, 0) : min(left + 7, 28)] = 128
    network, parameters = trained
    engine = NumpyEngine(network, Optimizer(), Objective())
    engine.load(State(parameters))
    probabilities = evaluation.softmax(engine.activations(covered)[-1])
    target = int(probabilities[0].argmax())
    changes = probabilities[1:, target] - probabilities[0, target]
    lowest = int(changes.argmin())
    words = part.locator(".cover-result").inner_text()
    assert f"row {lowest // 28}, column {lowest % 28}" in words
    assert f"by −{abs(100 * changes[lowest]):.1f} points" in words
    colours = np.array(shown[2]).reshape(784, 4)
    assert (colours[lowest, :3] == [18, 92, 168]).all(), "the scale's end: it falls most here"
    part.get_by_role("button", name="Cover that place").click()
    page.evaluate("settled()")
    cover = state(page, "cover")
    assert (cover["top"], cover["left"]) == (lowest // 28 - 3, lowest % 28 - 3)
    now = page.evaluate("[...network.softmax(store.get().outputs.at(-1))]")
    assert abs(now[target] - probabilities[0, target] - changes[lowest]) < 1e-4


def test_the_map_of_covers_can_be_cancelled(explore: Any) -> None:
    page = explore()
    part = page.locator(".part-what-if")
    assert part.get_by_role("button", name="Cancel").is_hidden()
    page.evaluate(
        """() => {
          const of = (word) => [...document.querySelectorAll(".part-what-if button")]
            .find((one) => one.textContent === word);
          of("Cover every place in turn").click();
          of("Cancel").click();
        }"""
    )
    page.wait_for_timeout(300)
    assert part.locator(".cover-map").count() == 0
    assert part.locator("progress").is_hidden()


def test_the_picture_that_each_class_mistakes_most(
    explore: Any, small: data.Dataset, trained: tuple[Network, Parameters]
) -> None:
    page = explore()
    seen = evaluation.predictions(*trained, small.test)
    labels = small.test.labels
    found = page.locator(".mistaken li")
    assert found.count() == 10
    for taken in (2, 6):
        wrong = np.flatnonzero((seen.predicted == taken) & (labels != taken))
        expected = wrong[seen.probability[wrong].astype(np.float32).argmax()]
        found.nth(taken).get_by_role("button").click()
        page.evaluate("settled()")
        assert state(page, "picture")["index"] == expected
        assert state(page, "picture")["label"] == labels[expected]
    assert small.test.classes[6] in found.nth(6).inner_text()
