"""Backward in Explore's lens: gradients of numbers and weights, one step by hand."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import explore_view
import numpy as np
import pytest
from accessibility import serious_faults
from explore_view import state, until
from numpy.typing import NDArray

from lenet import data
from lenet.engines import Position, choose, make
from lenet.network.parameters import State
from lenet.optimization import Objective, Optimizer

PICTURE = 5
RATE = 0.05


@pytest.fixture
def explore(opened: tuple[Any, list[str]]) -> Iterator[Callable[..., Any]]:
    """A function that shows Explore with an address's parameters, Backward in the lens."""
    with explore_view.watched(opened) as open_view:

        def open_backward(params: str = "", **options: str) -> Any:
            page = open_view(f"{params}&lens=backward", **options)
            followed(page)
            return page

        yield open_backward


def followed(page: Any) -> None:
    """Waits until gradients and panel are those of the numbers in the figure."""
    until(page, "store.get().gradients?.of.outputs === store.get().outputs")
    shown_loss = "document.querySelector('.part-backward [data-loss]')?.dataset.loss"
    until(page, f"Number({shown_loss}) === store.get().gradients.loss")


def natively(label: int | None = None) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """The native engine's gradients for the picture, and the weights after one step."""
    network, parameters = explore_view.trained()
    test = data.bundled().test
    labels = test.labels[PICTURE : PICTURE + 1]
    if label is not None:
        labels = np.full_like(labels, label)
    engine = make(choose("native", network), network, Optimizer("sgd"), Objective())
    engine.load(State({name: value.copy() for name, value in parameters.items()}))
    gradients = engine.gradients(test.images[PICTURE : PICTURE + 1], labels, Position(0, 0, 0))
    found = {name: value.copy() for name, value in gradients.named().items()}
    engine.apply(gradients, RATE)
    return found, engine.state().parameters


def tensors(page: Any, which: str) -> dict[str, NDArray[np.float64]]:
    """A map of the store's as arrays."""
    packed = page.evaluate(
        """which => [...which.split(".").reduce((value, key) => value[key], store.get())].map(
          ([name, { data }]) => {
            const bytes = new Uint8Array(Float64Array.from(data).buffer);
            return [name, btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))];
          })""",
        which,
    )
    return {name: np.frombuffer(base64.b64decode(text), np.float64) for name, text in packed}


def shown(page: Any, name: str) -> float:
    """A number as the lens has it in full, in data-NAME."""
    selector = f".part-backward [data-{name}]:visible"
    return float(page.locator(selector).first.get_attribute(f"data-{name}"))


def terms(page: Any, cell: str = "product") -> list[float]:
    rows = page.locator(f".part-backward [data-{cell}]:visible").all()
    return [float(row.get_attribute(f"data-{cell}")) for row in rows]


def test_the_gradients_are_the_native_engine_s(explore: Any) -> None:
    """Every weight's to 1e-5; the ones shown, with the sums that give them."""
    page = explore(f"picture={PICTURE}&unit=3:555&weight=2.7")
    expected, _ = natively()
    ours = tensors(page, "gradients.weights")
    assert ours.keys() == expected.keys()
    farthest = max(np.abs(ours[name] - expected[name].reshape(-1)).max() for name in expected)
    print(f"gradients within {farthest:.2g} of the native engine's")
    assert farthest < 1e-5
    # C3's kernel of channel 5 for channel 2: the weight of row 1, column 2
    assert "row 1, column 2" in page.locator(".gradient-weight .gradient-title").inner_text()
    assert shown(page, "weight-gradient") == pytest.approx(
        expected["3.weight"][5, 2, 1, 2], abs=1e-5
    )
    assert shown(page, "weight-sum") == pytest.approx(shown(page, "weight-gradient"), abs=1e-12)
    # another one is chosen by a key; the address has it
    cells = page.locator(".gradient-weight td button")
    cells.nth(0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert shown(page, "weight-gradient") == pytest.approx(
        expected["3.weight"][5, 2, 0, 1], abs=1e-5
    )
    assert "weight=2.1" in page.url
    page.get_by_role("button", name="bias", exact=True).click()
    assert shown(page, "weight-gradient") == pytest.approx(expected["3.bias"][5], abs=1e-5)
    # of a dense layer, each weight has met one number
    page.evaluate("store.set({ unit: { layer: 7, index: 11 } })")
    until(page, "document.querySelector('.gradient-weight .signed-bar')")
    all_of_it = expected["7.weight"][11]
    strongest = np.abs(all_of_it).max()
    assert abs(terms(page)[0]) == pytest.approx(strongest, abs=1e-5)


def test_a_number_s_gradient_is_the_sum_over_what_it_feeds(explore: Any) -> None:
    page = explore(f"picture={PICTURE}&unit=11:6")
    label = int(data.bundled().test.labels[PICTURE])
    shares = np.array(page.evaluate("[...network.softmax(store.get().outputs.at(-1))]"))
    head = shares - np.eye(10)[label]
    assert np.allclose(terms(page, "less"), head, atol=1e-9)
    assert shown(page, "loss") == pytest.approx(-np.log(shares[label]), abs=1e-6)
    readout = page.locator(".maps-readout").inner_text()
    assert "gradient" in readout, "the figure shows gradients"
    # a dense layer, an activation, pooling and a convolution are read by these
    for layer, index in ((10, 3), (9, 3), (6, 20), (1, 400), (2, 400), (-1, 400)):
        page.evaluate("([layer, index]) => store.set({ unit: { layer, index } })", [layer, index])
        until(
            page,
            f"Math.abs(document.querySelector('.gradient-unit [data-gradient]').dataset.gradient"
            f" - (store.get().unit.layer < 0 ? store.get().gradients.input"
            f" : store.get().gradients.outputs[{max(layer, 0)}])[{index}]) < 1e-15",
        )
        total = sum(terms(page, "sum") or terms(page, "total"))  # nothing: it feeds nothing
        assert total == pytest.approx(shown(page, "gradient"), abs=1e-12), layer
    # a term leads on to what is fed
    page.locator(".gradient-unit td button:not(:disabled)").first.click()
    assert state(page, "unit")["layer"] == 0
    # the figure goes back to the numbers, and the address says so
    page.get_by_label("Gradients in the figure").uncheck()
    assert state(page, "backwards") is False
    assert "figure=numbers" in page.url
    page.get_by_role("tab", name="Sum").click()
    assert state(page, "backwards") is False
    assert page.get_by_role("button", name="Gradients", exact=True).count() == 0


def test_one_step_is_taken_kept_and_undone(explore: Any) -> None:
    page = explore(f"picture={PICTURE}")
    trained = page.evaluate("weightsNow()")
    before = shown(page, "loss")
    page.get_by_label("Learning rate").fill("-1")
    assert page.get_by_role("button", name="Take the step").is_disabled()
    page.get_by_label("Learning rate").fill(str(RATE))
    page.keyboard.press("Enter")
    page.evaluate("settled()")
    _, after = natively()
    for name, values in tensors(page, "weights").items():
        assert np.abs(values - after[name].reshape(-1)).max() < 1e-5, name
    followed(page)
    assert shown(page, "loss") < before
    said = page.locator(".step-result").inner_text()
    assert f"Loss {before:.4f} → {shown(page, 'loss'):.4f}" in said
    assert "Verdict: " in said
    moved = page.evaluate("weightsNow()")
    assert moved != trained
    assert page.evaluate("trainedWeights()") == trained
    # the address has the step, not the weights: the same ones after a reload
    address = urlsplit(page.url).fragment.lstrip("?")
    edits = parse_qs(address)["edits"][0]
    label = int(data.bundled().test.labels[PICTURE])
    assert edits == f"!fashion-mnist-small:{PICTURE}:{label}:{RATE}!"
    page.evaluate("address => begin(address, {})", address)
    until(page, "store.get().steps.length === 1")
    page.evaluate("settled()")
    assert page.evaluate("weightsNow()") == moved
    # from here on by another class, on the weights as they are; two undone are none
    page.get_by_label("True class").select_option("9")
    until(page, "store.get().gradients?.label === 9")
    followed(page)
    page.get_by_role("button", name="Take the step").click()
    page.evaluate("settled()")
    assert len(state(page, "steps")) == 2
    for _ in range(2):
        page.locator(".by-hand").get_by_role("button", name="Undo").click()
    page.evaluate("settled()")
    assert page.evaluate("weightsNow()") == trained
    assert "edits=" not in page.url


def test_a_step_on_a_drawing_is_kept_with_its_pixels(explore: Any) -> None:
    page = explore(f"picture={PICTURE}")
    page.evaluate(
        """() => {
          const pixels = store.get().pixels.map((value, i) => (i % 3 ? value : 255 - value));
          const picture = { source: "draw", index: null, label: null, name: "drawing" };
          store.set({ picture, pixels });
        }"""
    )
    page.evaluate("settled()")
    until(page, "location.hash.includes('pixels=')")  # the address has the drawing
    followed(page)
    verdict = int(page.evaluate("store.get().gradients.label"))
    page.get_by_label("True class").select_option(str((verdict + 1) % 10))
    until(page, f"store.get().gradients?.label === {(verdict + 1) % 10}")
    followed(page)
    page.get_by_role("button", name="Take the step").click()
    page.evaluate("settled()")
    moved = page.evaluate("weightsNow()")
    address = page.url.partition("#?")[2]
    assert parse_qs(address)["edits"] == [f"!:0:{(verdict + 1) % 10}:0.1!"]
    page.evaluate("address => begin(address, {})", address)
    until(page, "store.get().steps.length === 1")
    page.evaluate("settled()")
    assert page.evaluate("weightsNow()") == moved
    # of another picture the address cannot say it, and says nothing wrong
    page.get_by_role("button", name="Next mistake").click()
    page.evaluate("settled()")
    assert "edits=" not in page.url


def test_wrong_steps_in_an_address_are_left_out(explore: Any) -> None:
    for wrong in ("!fashion-mnist-small:5:10:0.1!", "!a:1:1:1e9!", "!!!", "!x", "!%25:1:1:0.1!"):
        page = explore(f"picture={PICTURE}&edits={wrong}&weight=99.99&truth=77")
        assert state(page, "steps") == []
        assert page.evaluate("store.get().weights === store.get().model.weights")
        assert "malformed" not in page.locator("main").inner_text()


def test_a_network_of_colours_in_chinese_on_a_phone(explore: Any) -> None:
    page = explore("model=run:own&unit=0:5&weight=1.4", language="zh", theme="dark")
    page.set_viewport_size({"width": 360, "height": 740})
    page.locator("#lens-backward").click()  # the sheet comes up
    assert "权重" in page.locator(".gradient-title:visible").inner_text()
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360
    assert serious_faults(page, within="main") == []
