"""What goes into Explore: pictures drawn, picked and uploaded; the model."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import explore_view
import numpy as np
import pytest
from accessibility import serious_faults
from explore_view import pixels_of, state, until
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lenet import data
from lenet.looking import evaluation
from lenet.network.architecture import Network
from lenet.network.parameters import Parameters


@pytest.fixture
def trained() -> tuple[Network, Parameters]:
    return explore_view.trained()


def pictures(page: Any) -> None:
    """Unfolds the sheet with all test pictures."""
    page.get_by_role("button", name="All pictures").click()


# --- the first picture, the model --------------------------------------------------------------


def test_the_surest_misread_picture_comes_first(
    explore: Any, small: data.Dataset, trained: tuple[Network, Parameters]
) -> None:
    page = explore()
    surest = evaluation.mistakes(*trained, small.test, 1)[0]
    assert state(page, "picture") == {
        "source": "data",
        "index": surest.index,
        "label": surest.label,
        "name": "fashion-mnist-small",
    }
    np.testing.assert_array_equal(pixels_of(page), small.test.images[surest.index].ravel())
    assert f"picture={surest.index}" in page.url
    pictures(page)
    tile = page.locator('.pick-tile[aria-pressed="true"]')
    assert tile.get_attribute("data-index") == str(surest.index)
    assert small.test.classes[surest.predicted] in tile.inner_text()


def test_the_address_says_which_picture_and_model(explore: Any, small: data.Dataset) -> None:
    page = explore("picture=123&model=run:fashion@10")
    assert state(page, "picture")["index"] == 123
    np.testing.assert_array_equal(pixels_of(page), small.test.images[123].ravel())
    assert page.evaluate("store.get().model.ref") == "run:fashion@10"
    assert page.get_by_label("During training").input_value() == "0"


def test_runs_and_snapshots_are_chosen(explore: Any) -> None:
    page = explore()
    page.locator(".menu summary").click()
    options = page.get_by_role("combobox", name="Run").locator("option").all_inner_texts()
    assert options[0] == "fashion · lenet-relu · fashion-mnist-small · 75.0%"
    assert options[1].startswith("older")
    before = state(page, "picture")["index"]
    slider = page.get_by_label("During training")
    slider.fill("1")
    until(page, "store.get().model.ref === 'run:fashion@40'")
    page.evaluate("settled()")
    assert "step 40, epoch 1" in page.locator(".timeline output").inner_text()
    assert state(page, "picture")["index"] == before, "the picture stays"
    assert "61,706 parameters" in page.locator(".model-facts").text_content()


def test_a_file_is_opened_and_a_wrong_line_is_shown_in_place(explore: Any) -> None:
    page = explore()
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Open a file").click()
    assert page.get_by_label("Layers, one a line").is_hidden(), "the file itself may say"
    page.get_by_role("button", name="Open", exact=True).click()
    assert page.locator("#open-problem").inner_text() == "Choose a file first."
    page.locator("#open-file-input").set_input_files(
        {"name": "my.pt", "mimeType": "", "buffer": b"12345"}
    )
    network = page.get_by_role("combobox", name="Network")
    network.select_option("lenet", timeout=3000)
    text = page.get_by_label("Layers, one a line")
    assert text.input_value().startswith("Conv2d(1, 6")
    text.fill("Conv2d(1, 6, 5)\nConv3d(1)\nFlatten()")
    assert network.input_value() == "described"
    page.get_by_role("button", name="Open", exact=True).click()
    until(page, "document.activeElement.tagName === 'TEXTAREA'")
    assert page.locator("#open-problem").inner_text() == "line 2: there is no layer Conv3d"
    chosen = "(e => e.value.slice(e.selectionStart, e.selectionEnd))(document.activeElement)"
    assert page.evaluate(chosen) == "Conv3d(1)"
    network.select_option("lenet", timeout=3000)
    page.get_by_role("button", name="Open", exact=True).click()
    until(page, "store.get().model.ref === 'run:digits'")
    assert "names as in the network" in page.locator(".open-file [role=status]").inner_text()
    assert [said.get("network") for said in page.evaluate("opened")] == [None, "lenet"]
    assert page.evaluate("opened")[0]["text"].startswith("Conv2d")


def test_without_a_run_it_leads_to_learn(explore: Any) -> None:
    page = explore()
    page.evaluate("content.state.runs = []")
    page.evaluate("memory.state = null")
    page.evaluate("mount('')")
    until(page, "moves.length > 0")
    assert page.evaluate("moves") == [["learn"]]
    assert page.get_by_text("Nothing has been trained yet.").is_visible()
    assert page.get_by_role("link", name="Train a network").get_attribute("href") == "#/learn"


# --- drawing -----------------------------------------------------------------------------------


def stroke(page: Any, points: list[tuple[float, float]]) -> None:
    """Draws with the mouse through these shares of the pad."""
    box = page.locator(".pad").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()
    page.evaluate("settled()")


ONE = [(0.3, 0.2), (0.3, 0.45)]
BAR = [(0.2, 0.5), (0.6, 0.55), (0.7, 0.8)]


def open_pad(explore: Any) -> Any:
    page = explore("model=run:digits")
    page.get_by_role("tab", name="Draw").click()
    page.locator(".pad").scroll_into_view_if_needed()
    return page


def test_a_stroke_changes_pixels_and_outputs(explore: Any) -> None:
    page = open_pad(explore)
    before = page.evaluate("logits()")
    stroke(page, ONE)
    first = page.evaluate("logits()")
    drawn = pixels_of(page).reshape(28, 28)
    assert state(page, "picture")["source"] == "draw"
    assert first != before
    assert 8 <= np.count_nonzero(drawn.any(axis=1)) <= 20
    rows, columns = np.indices(drawn.shape)
    assert abs((drawn * rows).sum() / drawn.sum() - 14) <= 0.51, "its mass is in the middle"
    assert abs((drawn * columns).sum() / drawn.sum() - 14) <= 0.51
    stroke(page, BAR)
    assert page.evaluate("logits()") != first
    assert pixels_of(page).reshape(28, 28).any(axis=1).sum() <= 21
    until(page, "location.hash.includes('picture=draw')")  # a drawing has no number


def test_a_stroke_shows_while_it_is_drawn(explore: Any) -> None:
    page = open_pad(explore)
    box = page.locator(".pad").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 60, steps=4)
    page.evaluate("settled()")
    half = pixels_of(page)
    page.mouse.move(box["x"] + 90, box["y"] + 160, steps=4)
    page.evaluate("settled()")
    assert half.any()
    assert not np.array_equal(half, pixels_of(page))
    page.mouse.up()


def test_undo_redo_and_clear(explore: Any) -> None:
    page = open_pad(explore)
    undo, redo, clear = (
        page.get_by_role("tabpanel").get_by_role("button", name=name)
        for name in ("Undo", "Redo", "Clear")
    )
    assert undo.is_disabled()
    assert clear.is_disabled()
    stroke(page, ONE)
    one = pixels_of(page)
    stroke(page, BAR)
    two = pixels_of(page)
    undo.click()
    page.evaluate("settled()")
    np.testing.assert_array_equal(pixels_of(page), one)
    redo.click()
    page.evaluate("settled()")
    np.testing.assert_array_equal(pixels_of(page), two)
    clear.click()
    page.evaluate("settled()")
    assert not pixels_of(page).any()
    undo.click()  # what was cleared by mistake
    page.evaluate("settled()")
    np.testing.assert_array_equal(pixels_of(page), two)
    page.locator(".pad").press("Control+z")
    page.evaluate("settled()")
    np.testing.assert_array_equal(pixels_of(page), one)


def test_drawing_by_keys(explore: Any) -> None:
    page = open_pad(explore)
    pad = page.locator(".pad")
    pad.focus()
    page.keyboard.down(" ")  # held: draws as long
    for _ in range(5):
        page.keyboard.press("ArrowDown")
    page.keyboard.up(" ")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.evaluate("settled()")
    held = pixels_of(page).reshape(28, 28)
    assert held.any(axis=1).sum() > held.any(axis=0).sum() + 4
    page.keyboard.press(" ")  # pressed once: draws until it is pressed again
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    page.keyboard.press("ArrowUp")
    page.evaluate("settled()")
    toggled = pixels_of(page).reshape(28, 28)
    assert toggled.any(axis=0).sum() > held.any(axis=0).sum() + 4
    # a prediction is announced, too, once nothing was drawn for a while
    said = page.evaluate("announced.filter((text) => text.startsWith('pen '))")
    assert said[0] == "pen down at row 14, column 14"
    assert said[-1] == "pen up at row 19, column 21"
    page.keyboard.press("Delete")
    page.evaluate("settled()")
    assert not pixels_of(page).any()


def test_a_pen_that_presses_harder_draws_thicker(explore: Any) -> None:
    page = open_pad(explore)
    session = page.context.new_cdp_session(page)
    box = page.locator(".pad").bounding_box()

    def pen(kind: str, x: float, force: float) -> None:
        session.send(
            "Input.dispatchMouseEvent",
            {
                "type": kind,
                "x": box["x"] + x * box["width"],
                "y": box["y"] + box["height"] / 2,
                "button": "left",
                "buttons": 1,
                "clickCount": 1,
                "force": force,
                "pointerType": "pen",
            },
        )

    inked = []
    for force in (0.2, 0.9):
        pen("mousePressed", 0.25, force)
        for x in (0.3, 0.4, 0.5, 0.6, 0.65):
            pen("mouseMoved", x, force)
        pen("mouseReleased", 0.65, force)
        page.evaluate("settled()")
        inked.append(int(pixels_of(page).sum()))
        page.locator(".pad").press("Delete")
    assert inked[1] > 1.5 * inked[0]


def test_a_finger_draws_and_does_not_scroll(explore: Any) -> None:
    page = open_pad(explore)
    page.set_viewport_size({"width": 360, "height": 740})
    page.locator(".pad").scroll_into_view_if_needed()
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    before = page.evaluate("scrollY")
    box = page.locator(".pad").bounding_box()

    def touch(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": box["x"] + x, "y": box["y"] + y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    touch("touchStart", (60, 40))
    for y in range(50, 160, 10):
        touch("touchMove", (60, y))
    touch("touchEnd")
    page.evaluate("settled()")
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    drawn = pixels_of(page).reshape(28, 28)
    assert drawn.any(axis=1).sum() > 2 * drawn.any(axis=0).sum()
    assert page.evaluate("scrollY") == before


def test_other_data_are_centred_by_their_outline(explore: Any) -> None:
    page = explore()
    page.get_by_role("tab", name="Draw").click()
    stroke(page, [(0.1, 0.1), (0.1, 0.8), (0.5, 0.8)])
    drawn = pixels_of(page).reshape(28, 28)
    assert drawn.any(axis=1).sum() == 28, "scaled to the whole height"
    columns = np.flatnonzero(drawn.any(axis=0))
    assert abs(columns[0] - (27 - columns[-1])) <= 1
    assert "outline" in page.locator(".draw-result").inner_text()


# --- the data set's pictures -------------------------------------------------------------------


def tiles(page: Any) -> list[int]:
    return [
        int(tile)
        for tile in page.evaluate(
            "[...document.querySelectorAll('.pick-tile[data-index]')].map(t => t.dataset.index)"
        )
    ]


def test_only_a_page_of_pictures_is_loaded(explore: Any) -> None:
    page = explore()
    assert len(tiles(page)) == 12
    assert sum(map(len, page.evaluate("asked"))) < 60


def test_pictures_are_filtered_and_ordered(explore: Any, small: data.Dataset) -> None:
    page = explore()
    pictures(page)
    page.get_by_role("combobox", name="Order").select_option("number")
    page.evaluate("settled()")
    assert tiles(page) == list(range(12))
    page.get_by_role("combobox", name="Class").select_option("3")
    page.evaluate("settled()")
    dresses = np.flatnonzero(small.test.labels == 3)
    assert tiles(page) == dresses[:12].tolist()
    assert page.get_by_text(f"1–12 of {len(dresses)}").is_visible()
    page.get_by_role("button", name="Next page").click()
    page.evaluate("settled()")
    assert tiles(page) == dresses[12:24].tolist()
    for name, expected in (("Next", dresses[0]), ("Next", dresses[1]), ("Previous", dresses[0])):
        page.get_by_role("button", name=name, exact=True).click()
        page.evaluate("settled()")
        assert state(page, "picture")["index"] == expected
    assert tiles(page) == dresses[:12].tolist(), "the page follows"
    page.get_by_role("button", name="Random").click()
    page.evaluate("settled()")
    assert state(page, "picture")["index"] in dresses


def test_the_misread_come_first_of_each_class(
    explore: Any, small: data.Dataset, trained: tuple[Network, Parameters]
) -> None:
    page = explore()
    pictures(page)
    page.get_by_role("combobox", name="Class").select_option("6")
    page.evaluate("settled()")
    seen = evaluation.predictions(*trained, small.test)
    wrong = np.flatnonzero((small.test.labels == 6) & (seen.predicted != 6))
    assert len(wrong) >= 12
    order = wrong[np.argsort(-seen.probability[wrong].astype(np.float32), kind="stable")]
    assert tiles(page) == order[:12].tolist()
    first = page.locator(".pick-tile").first
    said = small.test.classes[seen.predicted[order[0]]]
    assert first.inner_text().split("\n")[-1] == "✗ shirt"
    assert first.inner_text().startswith(said)
    assert f"misread as {said}" in first.get_attribute("aria-label")


def test_a_picture_is_found_by_its_number(explore: Any, small: data.Dataset) -> None:
    page = explore()
    pictures(page)
    page.get_by_role("combobox", name="Class").select_option("1")
    number = page.get_by_role("spinbutton", name="Number")
    number.fill("1999")
    number.press("Enter")
    page.evaluate("settled()")
    assert state(page, "picture")["index"] == 1999
    np.testing.assert_array_equal(pixels_of(page), small.test.images[1999].ravel())
    assert 1999 in tiles(page), "its page is shown, the filter gone where it would hide it"


def test_pictures_by_keys(explore: Any) -> None:
    page = explore()
    pictures(page)
    page.get_by_role("combobox", name="Order").select_option("number")
    page.evaluate("settled()")
    in_order = "#panel-data .pick-tile[tabindex='0']"
    assert page.locator(in_order).count() == 1, "one of them is in the tab order"
    page.locator(".pick-tile").first.focus()
    focused = "document.activeElement.dataset.index"
    columns = page.evaluate(
        """() => { const all = [...document.querySelectorAll("#panel-data .pick-tile")];
          return all.filter(t => t.offsetTop === all[0].offsetTop).length; }"""
    )
    for key, expected in (
        ("ArrowRight", 1),
        ("ArrowDown", 1 + columns),
        ("ArrowLeft", columns),
        ("ArrowUp", 0),
        ("End", 11),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        assert page.evaluate(focused) == str(expected), key
    page.keyboard.press("PageDown")
    until(page, "document.activeElement.dataset.index === '12'")
    page.keyboard.press("ArrowLeft")  # over the edge: the page before
    until(page, "document.activeElement.dataset.index === '11'")
    page.keyboard.press("Enter")
    page.evaluate("settled()")
    assert state(page, "picture")["index"] == 11


def test_tabs_by_keys(explore: Any) -> None:
    page = explore()
    page.get_by_role("tab", name="Data").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="Upload").get_attribute("aria-selected") == "true"
    page.keyboard.press("ArrowRight")
    assert page.locator("#panel-draw").is_visible()
    assert page.locator("#panel-upload").is_hidden()
    assert page.evaluate("document.activeElement.id") == "tab-draw"


# --- pictures of one's own ---------------------------------------------------------------------


def as_file(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def upload(page: Any, content: bytes, name: str = "picture.png") -> list[str]:
    """Uploads a file and returns the words of the steps that are shown."""
    page.get_by_role("tab", name="Upload").click()
    page.locator("#upload-file").set_input_files({"name": name, "mimeType": "", "buffer": content})
    refused = "!document.querySelector('#panel-upload [role=alert]').hidden"
    until(page, f"document.querySelector('.upload-steps li') || {refused}")
    page.evaluate("settled()")
    words: list[str] = page.locator(".upload-steps figcaption").all_inner_texts()
    return words


def seven(size: int = 200) -> NDArray[np.uint8]:
    """A dark seven on light paper, off the middle."""
    paper = np.full((size, size + 60), 235, np.uint8)
    paper[40:52, 120:200] = 30
    for step in range(110):
        left = 188 - step // 2
        paper[50 + step, left : left + 12] = 30
    return paper


def test_a_photograph_is_prepared_step_by_step(explore: Any) -> None:
    page = explore("model=run:digits")
    steps = upload(page, as_file(Image.fromarray(seven()), "PNG"))
    assert steps == [
        "opened",
        "grey",
        "dark is ink, ground to 0",
        "cut to the ink",
        "scaled to fit 20×20, each pixel a mean",
        "centred by mass",
        "normalised",
    ]
    assert state(page, "picture") == {
        "source": "upload",
        "index": None,
        "label": None,
        "name": "picture.png",
    }
    made = pixels_of(page).reshape(28, 28).astype(float)
    rows, columns = np.indices(made.shape)
    assert abs((made * rows).sum() / made.sum() - 14) <= 0.51
    assert abs((made * columns).sum() / made.sum() - 14) <= 0.51
    assert made.max() > 250
    assert made.any(axis=1).sum() == 20
    details = page.locator(".upload-steps figure > .number").all_inner_texts()
    assert details[:2] == ["200×260", "200×260"]
    assert details[5] == "28×28"


def test_the_ground_can_be_told(explore: Any) -> None:
    page = explore("model=run:digits")
    steps = upload(page, as_file(Image.fromarray(255 - seven()), "PNG"))
    assert "light is ink, ground to 0" in steps
    right = pixels_of(page)
    page.get_by_role("combobox", name="Ground").select_option("light")
    page.evaluate("settled()")
    assert not np.array_equal(pixels_of(page), right)
    page.get_by_role("combobox", name="Ground").select_option("dark")
    page.evaluate("settled()")
    np.testing.assert_array_equal(pixels_of(page), right)


def test_a_picture_of_the_network_s_size_is_taken_as_it_is(
    explore: Any, small: data.Dataset
) -> None:
    page = explore()
    picture = small.test.images[7, 0]
    upload(page, as_file(Image.fromarray(picture), "PNG"))
    np.testing.assert_array_equal(pixels_of(page), picture.ravel())
    assert "It has the network's size already." in page.locator("#panel-upload").inner_text()
    upload(page, as_file(Image.fromarray(255 - picture), "PNG"))
    assert "Its ground is light" in page.locator("#panel-upload").inner_text()


def test_a_photograph_is_turned_upright(explore: Any) -> None:
    page = explore("model=run:digits")
    upright = Image.fromarray(seven())
    upload(page, as_file(upright, "JPEG", quality=95), "a.jpg")
    expected = pixels_of(page)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    content = as_file(turned, "JPEG", quality=95, exif=exif)
    assert ImageOps.exif_transpose(Image.open(io.BytesIO(content))).size == upright.size
    upload(page, content, "b.jpg")
    assert "Turned upright" in page.locator("#panel-upload").inner_text()
    assert page.locator(".upload-steps .number").first.inner_text() == "200×260"
    difference = np.abs(pixels_of(page).astype(int) - expected)
    assert difference.mean() < 1.5, "the same but for what JPEG loses"


def test_sixteen_bits_and_transparency(explore: Any) -> None:
    page = explore("model=run:digits")
    upload(page, as_file(Image.fromarray(seven()), "PNG"))
    expected = pixels_of(page).astype(int)
    deep = Image.fromarray(seven().astype(np.uint16) * 257)
    assert deep.mode == "I;16"
    upload(page, as_file(deep, "PNG"))
    assert np.abs(pixels_of(page) - expected).max() <= 2
    for colour, said in ((0, "laid on white"), (255, "laid on black")):
        picture = np.full((*seven().shape, 4), colour, np.uint8)
        picture[..., 3] = (seven() < 128) * 255
        upload(page, as_file(Image.fromarray(picture), "PNG"))
        assert said in page.locator("#panel-upload").inner_text()
        assert np.abs(pixels_of(page) - expected).mean() < 3


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG file of that size: enough to refuse it, nothing to decode."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + crc


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b"this is text", "a.png", "a.png is no picture that this browser can read."),
        (b"", "b.jpg", "b.jpg is no picture"),
        (as_file(Image.fromarray(seven()), "PNG")[:300], "c.png", "c.png is no picture"),
        (png_header(20_000, 3_000), "d.png", "d.png has 20000×3000 pixels, 60 million;"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "e.svg", "e.svg is a drawing of lines"),
    ],
    ids=["text", "empty", "cut off", "huge", "svg"],
)
def test_what_is_refused_is_told(explore: Any, content: bytes, name: str, sentence: str) -> None:
    page = explore()
    assert upload(page, as_file(Image.fromarray(seven()), "PNG"), "before.png")
    before = state(page, "picture")
    assert upload(page, content, name) == [], "nothing of the one before"
    assert page.locator("#panel-upload select").first.is_hidden()
    assert sentence in page.locator("#panel-upload [role=alert]").inner_text()
    assert state(page, "picture") == before, "what was shown stays"


def test_an_empty_sheet_is_told(explore: Any) -> None:
    page = explore("model=run:digits")
    upload(page, as_file(Image.new("L", (90, 90), 220), "PNG"))
    assert "Nothing stands out" in page.locator("#panel-upload [role=alert]").inner_text()
    upload(page, as_file(Image.fromarray(seven()), "PNG"))
    assert page.locator("#panel-upload [role=alert]").is_hidden()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_a_moving_picture_the_first_frame_is_taken(explore: Any, kind: str) -> None:
    page = explore("model=run:digits")
    upload(page, as_file(Image.fromarray(seven()), "PNG"))
    expected = pixels_of(page).astype(int)
    frames = [Image.fromarray(seven()), Image.fromarray(np.rot90(seven()[:, :200]).copy())]
    frames[1] = frames[1].resize(frames[0].size)
    options = {"lossless": True} if kind == "WEBP" else {}
    content = as_file(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    upload(page, content, "moving")
    assert "It moves" in page.locator("#panel-upload").inner_text()
    assert np.abs(pixels_of(page) - expected).mean() < 2
    still = as_file(frames[0], kind)
    upload(page, still, "still")
    assert "It moves" not in page.locator("#panel-upload").inner_text()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "AVIF"])
def test_sizes_are_known_before_anything_is_decoded(explore: Any, kind: str) -> None:
    if kind == "AVIF" and kind not in Image.registered_extensions().values():
        pytest.skip("Pillow writes no AVIF here")
    page = explore()
    content = as_file(Image.fromarray(seven()).convert("RGB"), kind)
    found = page.evaluate("bytes => sniff(Uint8Array.from(bytes))", list(content))
    assert (found["kind"], found["width"], found["height"]) == (kind.lower(), 260, 200)
    for end in range(0, 60, 7):  # cut off anywhere: no harm
        page.evaluate("bytes => sniff(Uint8Array.from(bytes))", list(content[:end]))


def test_a_large_photograph_is_averaged_exactly(explore: Any) -> None:
    page = explore("model=run:digits")
    upload(page, as_file(Image.fromarray(seven()), "PNG"))
    expected = pixels_of(page).astype(int)
    large = np.kron(seven(), np.ones((24, 24), np.uint8))
    assert large.size > 29e6
    page.get_by_role("tab", name="Upload").click()
    content = as_file(Image.fromarray(large), "PNG", compress_level=1)
    page.locator("#upload-file").set_input_files(
        {"name": "large.png", "mimeType": "", "buffer": content}
    )
    until(page, "store.get().picture.name === 'large.png'")
    page.evaluate("settled()")
    assert np.abs(pixels_of(page) - expected).mean() < 1


def test_paste_and_drop_anywhere(explore: Any) -> None:
    page = explore("model=run:digits")
    give = """([content, name, kind]) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(content)], name, { type: "image/png" }));
      const target = document.querySelector(".part-explanation");
      const event = kind === "paste"
        ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
        : new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
      target.dispatchEvent(event);
      return event.defaultPrevented;
    }"""
    for kind, picture in (("paste", seven()), ("drop", 255 - seven())):
        content = list(as_file(Image.fromarray(picture), "PNG"))
        if kind == "drop":
            assert page.evaluate(give, [content, "", "dragover"]), "else nothing can be dropped"
        assert page.evaluate(give, [content, f"{kind}.png", kind])
        until(page, f"store.get().picture.name === '{kind}.png'")
        assert page.locator("#panel-upload").is_visible()


def test_colours_stay_for_a_network_that_sees_them(explore: Any) -> None:
    page = explore("model=run:own")
    assert state(page, "picture")["source"] == "draw", "no data set fits: something to draw on"
    assert not pixels_of(page).any()
    assert page.locator("#panel-data").get_by_text("No data set here").count() == 1
    picture = np.zeros((120, 100, 3), np.uint8)
    picture[:60] = (250, 20, 10)
    picture[60:] = (0, 60, 240)
    steps = upload(page, as_file(Image.fromarray(picture), "PNG"))
    assert steps[:2] == ["opened", "whole"]
    assert steps[-1] == "normalised"
    made = pixels_of(page).reshape(3, 12, 10)
    np.testing.assert_array_equal(made[:, 0, 0], [250, 20, 10])
    np.testing.assert_array_equal(made[:, -1, -1], [0, 60, 240])
    page.get_by_role("tab", name="Draw").click()
    page.get_by_label("Colour").fill("#ff8000")
    stroke(page, [(0.2, 0.2), (0.8, 0.8)])
    drawn = pixels_of(page).reshape(3, 12, 10)
    assert drawn[0].max() == 255
    assert 120 <= drawn[1].max() <= 136
    assert drawn[2].max() == 0


# --- words, and what survives ------------------------------------------------------------------


def test_the_explanation_follows_the_pinned_layer(explore: Any) -> None:
    page = explore()
    page.locator("#lens-words").click()
    items = page.locator(".explanations details")
    assert items.count() == 12
    assert "Conv2d(1→6, 5×5), padding 2" in items.first.locator("summary").inner_text()
    opened = (
        "[...document.querySelectorAll('.explanations details[open]')].map(d => d.dataset.layer)"
    )
    assert page.evaluate(opened) == []
    page.evaluate("store.set({ unit: { layer: 3, index: 0 }, pinned: false })")
    assert page.evaluate(opened) == []
    page.evaluate("store.set({ pinned: true })")
    assert page.evaluate(opened) == ["3"]
    assert "(14 − 5) / 1 + 1 = 10" in items.nth(3).inner_text()
    assert "16×6×5×5 + 16 = 2,416" in items.nth(3).inner_text()
    items.nth(0).locator("summary").click()
    page.evaluate("store.set({ unit: { layer: 5, index: 0 } })")
    assert page.evaluate(opened) == ["0", "5"], "what was opened by hand stays"
    assert page.evaluate("store.get().unit.layer") == 5


def test_language_and_theme_lose_nothing(explore: Any) -> None:
    page = explore("model=run:digits")
    page.get_by_role("tab", name="Draw").click()
    stroke(page, ONE)
    page.locator("#lens-what-if").click()
    page.locator(".part-what-if").get_by_role("button", name="Negate").click()
    page.evaluate("settled()")
    before = [page.evaluate(what) for what in ("pixels()", "logits()", "weightsNow()")]
    page.evaluate("mount(location.hash.slice(2), 'zh', 'dark')")
    page.evaluate("settled()")
    assert [page.evaluate(what) for what in ("pixels()", "logits()", "weightsNow()")] == before
    assert page.locator("#panel-draw").is_visible()
    page.locator("#panel-draw").get_by_role("button", name="撤销").click()
    page.evaluate("settled()")
    assert not any(page.evaluate("pixels()"))
    page.locator(".part-what-if").get_by_role("button", name="恢复原样").click()
    assert page.evaluate("store.get().weights === store.get().model.weights")


def test_a_file_of_its_own_offers_no_server(explore: Any) -> None:
    page = explore(kind="file")
    assert page.get_by_role("button", name="Open a file").count() == 0
    assert page.get_by_role("link", name="As one HTML file").count() == 0
    assert page.get_by_role("combobox", name="Run").count() == 0
    assert page.locator(".menu-name").inner_text() == "fashion"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(explore: Any, theme: str) -> None:
    page = explore(theme=theme)
    page.locator("#lens-what-if").click()
    page.locator(".part-what-if").get_by_label("cover a square").check()
    upload(page, as_file(Image.fromarray(seven()), "PNG"))
    serious = serious_faults(page, within="main", colors_only=theme == "dark")
    for opened in ("#tab-draw", "#tab-data", ".pick-all", ".menu summary", "#lens-words"):
        page.locator(opened).click()
        page.evaluate("settled()")
        serious += serious_faults(page, within="main", colors_only=theme == "dark")
    assert serious == []


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_is_wider_than_the_page(explore: Any, width: int, language: str) -> None:
    page = explore(language=language)
    page.set_viewport_size({"width": width, "height": 740})
    for way in ("draw", "data", "upload"):
        page.locator(f"#tab-{way}").click()
        page.wait_for_timeout(50)
        wide = page.evaluate(
            """() => ["model", "input", "what-if", "explanation"].flatMap((name) => {
              const part = document.querySelector(`.part-${name}`);
              if (part.hidden || !part.offsetParent) return [];
              const edge = part.getBoundingClientRect().right + 1;
              return [...part.querySelectorAll("*")]
                .filter((one) => one.getBoundingClientRect().right > edge)
                .map((one) => `${name}: ${one.outerHTML.slice(0, 100)}`);
            })"""
        )
        assert wide == []


@pytest.mark.parametrize("way", ["draw", "data", "upload"])
def test_what_is_tapped_is_large_enough(explore: Any, way: str) -> None:
    page = explore()
    page.set_viewport_size({"width": 360, "height": 740})
    page.locator(f"#tab-{way}").click()
    small = page.evaluate(
        """() => [...document.querySelectorAll(
            ".part-input :is(button, input, select, a), .part-what-if :is(button, input, select)")]
          .map((one) => [one.closest("label.tick") ?? one, one.getBoundingClientRect()])
          .map(([one]) => [one, one.getBoundingClientRect()])
          .filter(([one, box]) => box.width > 2 && (box.width < 24 || box.height < 24))
          .filter(([one]) => one.type !== "range" && one.type !== "file")
          .map(([one]) => one.outerHTML.slice(0, 100))"""
    )
    assert small == []
