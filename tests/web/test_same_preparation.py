"""One preparation: the page's JavaScript and Python make the same of the same photographs."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import photographs
from conftest import IMPORT_MAP
from lenet import data
from lenet.data.picture_pixels import pixels_of_file
from lenet.data.preparation import FITS, Preparation, doubt, of_notes, prepare
from photographs import Photograph

MOST = 2.0  # of 255: what a pixel may differ by in the mean
PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Prepared</title>
<script type="importmap">{IMPORT_MAP}</script>
<script type="module" src="/prepared.js"></script>
</html>
"""
PAGE_JS = """
import { openPicture } from "lenet/explore/picture/picture-file.js";
import { doubt } from "lenet/explore/picture/prepare.js";
import { preparedSteps } from "lenet/explore/picture/upload.js";

globalThis.prepared = async (name, base64, model, settings) => {
  const bytes = Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
  const opened = await openPicture(new File([bytes], name));
  const { pixels } = preparedSteps(opened, model, settings);
  return [...pixels];
};
globalThis.doubted = (values, how) => doubt(Uint8Array.from(values), how);
globalThis.ready = true;
"""
Prepared = Callable[[Photograph, Any, str], NDArray[np.uint8]]
DIGITS = {"network": {"input_shape": [1, 28, 28], "classes": [*"0123456789"]}, "data": "mnist"}
CLOTHES = {
    "network": {
        "input_shape": [1, 28, 28],
        "classes": [*data.KNOWN["fashion-mnist"].classes],
    },
    "data": "fashion-mnist",
}


@pytest.fixture(scope="module")
def in_the_page(browser: Any, site: Any) -> Iterator[Prepared]:
    site.files["/prepared.html"] = PAGE.encode()
    site.files["/prepared.js"] = PAGE_JS.encode()
    page = browser.new_page()
    page.goto(f"{site.address}/prepared.html")
    page.wait_for_function("globalThis.ready")

    def prepared(photograph: Photograph, model: Any, ground: str) -> NDArray[np.uint8]:
        channels, height, width = model["network"]["input_shape"]
        pixels = page.evaluate(
            "([name, content, model, settings]) => prepared(name, content, model, settings)",
            [
                photograph.name,
                base64.b64encode(photograph.content).decode(),
                {**model, "preparation": model.get("preparation")},
                {"ground": ground, "crop": "auto"},
            ],
        )
        return np.array(pixels, np.uint8).reshape(channels, height, width)

    yield prepared
    page.close()


@pytest.fixture(scope="module")
def doubting_page(browser: Any, site: Any, in_the_page: Prepared) -> Iterator[Any]:
    page = browser.new_page()
    page.goto(f"{site.address}/prepared.html")
    page.wait_for_function("globalThis.ready")
    yield page
    page.close()


def in_python(photograph: Photograph, model: Any, ground: str) -> NDArray[np.uint8]:
    import io

    network = model["network"]
    shape = tuple(network["input_shape"])
    how = of_notes(model, shape, network["classes"], model["data"])
    pixels = pixels_of_file(io.BytesIO(photograph.content), photograph.name)
    return prepare(pixels, how, ground)


def own(shape: tuple[int, int, int], fit: str, ground: str) -> dict[str, Any]:
    """A model whose file tells how its pictures were prepared."""
    channels, height, width = shape
    sizes = {"channels": channels, "height": height, "width": width}
    return {
        "network": {"input_shape": [*shape], "classes": ["a cat", "a dog"]},
        "data": None,
        "preparation": {**sizes, "fit": fit, "ground": ground},
    }


def usual(channels: int, *classes: str) -> dict[str, Any]:
    """A model whose file tells nothing."""
    return {"network": {"input_shape": [channels, 20, 30], "classes": [*classes]}, "data": ""}


DIGIT = [partial(photographs.digit, number) for number in range(10)]  # drawn in their tests
ARTICLE = [partial(photographs.article, label) for label in range(10)]
CASES = [
    *(pytest.param(draw, DIGITS, "auto", id=f"digit-{n}") for n, draw in enumerate(DIGIT)),
    *(pytest.param(draw, CLOTHES, "auto", id=f"article-{n}") for n, draw in enumerate(ARTICLE)),
    *(pytest.param(DIGIT[n], DIGITS, "light", id=f"digit-{n}-light") for n in range(0, 10, 3)),
    *(
        pytest.param(draw, own((channels, 24, 36), fit, ground), "auto", id=f"{n}-{fit}-{ground}")
        for n, (draw, fit, channels, ground) in enumerate(
            zip(
                [*ARTICLE, *DIGIT[:4]],
                FITS * 3,
                (1, 3, 1, 1, 1, 3, 1, 3, 1, 1, 3, 1, 3, 1),
                ("keep", "keep", "dark", "dark", "dark") * 3,
                strict=False,
            )
        )
    ),
    *(
        pytest.param(ARTICLE[0], usual(*told), "auto", id=f"usual-{told[1]}")
        for told in ((3, "red", "blue"), (1, "cat", "dog"), (1, "A", "b"), (1, "0", "1"))
    ),
]


@pytest.mark.parametrize(("draw", "model", "ground"), CASES)
def test_page_and_python_make_the_same(
    draw: Callable[[], Photograph], model: Any, ground: str, in_the_page: Prepared
) -> None:
    photograph = draw()
    there, here = in_the_page(photograph, model, ground), in_python(photograph, model, ground)
    difference = np.abs(there.astype(int) - here.astype(int))
    print(json.dumps([photograph.name, difference.mean(), int(difference.max())]))
    assert here.max() > 60  # something is there
    assert difference.mean() < MOST


@pytest.mark.parametrize("ground", ["dark", "keep"])
def test_page_and_python_find_the_same_odd(doubting_page: Any, ground: str) -> None:
    how = Preparation(1, 20, 30, "pad", ground)
    picture = data.bundled().test.images[:1, 0]
    ink = np.zeros((1, 20, 30), np.uint8)
    ink[:, :, 1:29] = picture[:, 4:24, :28]
    found = set()
    for pixels in (ink, 255 - ink, ink // 20, ink * 0 + 200, np.maximum(ink, 120)):
        rows = {"rows": 20, "columns": 30, "ground": ground}
        said = doubting_page.evaluate("(x) => doubted(...x)", [pixels.ravel().tolist(), rows])
        here = doubt(pixels, how)
        assert said == (here and ("blank" if "blank" in here else "light"))
        found.add(said)
    assert found == ({None, "blank", "light"} if ground == "dark" else {None, "blank"})
