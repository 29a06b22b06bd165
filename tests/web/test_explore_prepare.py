"""Pictures made into what a data set has, against NumPy; and other plain functions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lenet import data


@pytest.fixture
def functions(opened: tuple[Any, list[str]]) -> Any:
    """A page in which the functions are global."""
    return opened[0]


def run_on_image(page: Any, image: NDArray[Any], expression: str) -> Any:
    """The value of an expression of `image`, whose one plane is this array."""
    height, width = image.shape
    return page.evaluate(
        f"""([values, width, height]) => {{
          const image = {{ width, height, planes: [Float32Array.from(values)] }};
          const made = {expression};
          return made?.planes
            ? {{ rows: made.height, columns: made.width, values: [...made.planes[0]] }} : made;
        }}""",
        [image.ravel().tolist(), width, height],
    )


def as_array(made: dict[str, Any]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.array(made["values"], np.float64)
    return np.asarray(values.reshape(made["rows"], made["columns"]))


def ink(seed: int, height: int, width: int) -> NDArray[np.float64]:
    """Random ink with a ground of 0 around it."""
    random = np.random.default_rng(seed)
    image = np.zeros((height, width))
    top, left = random.integers(1, height // 3), random.integers(1, width // 3)
    bottom, right = random.integers(height // 2, height), random.integers(width // 2, width)
    inside = random.random((bottom - top, right - left)) ** 3 * 255
    image[top:bottom, left:right] = inside
    return image


@pytest.mark.parametrize("seed", range(6))
def test_centring_by_mass_is_as_numpy_computes_it(functions: Any, seed: int) -> None:
    image = ink(seed, 20, 17)
    made = as_array(run_on_image(functions, image, "prepare.centred(image, 28, 28, 'mass')"))
    rows, columns = np.indices(image.shape)
    row, column = ((image * axis).sum() / image.sum() for axis in (rows, columns))
    top = min(max(int(np.floor(14 - row + 0.5)), 0), 8)
    left = min(max(int(np.floor(14 - column + 0.5)), 0), 11)
    expected = np.zeros((28, 28))
    expected[top : top + 20, left : left + 17] = image
    np.testing.assert_allclose(made, expected, atol=1e-4)


@pytest.mark.parametrize(("rows", "columns"), [(20, 20), (7, 31), (33, 1), (60, 50)])
def test_shrinking_takes_the_mean_of_the_area(functions: Any, rows: int, columns: int) -> None:
    image = np.random.default_rng(3).random((60, 50)) * 255
    made = as_array(run_on_image(functions, image, f"prepare.resize(image, {rows}, {columns})"))

    def shares(length: int, count: int) -> NDArray[np.float64]:
        edges = np.arange(count + 1) * length / count
        starts = np.maximum(edges[:-1, None], np.arange(length))
        ends = np.minimum(edges[1:, None], np.arange(length) + 1)
        return np.maximum(ends - starts, 0) * count / length

    np.testing.assert_allclose(
        made, np.asarray(shares(60, rows) @ image @ shares(50, columns).T), rtol=1e-4, atol=1e-3
    )


def test_enlarging_interpolates(functions: Any) -> None:
    made = as_array(
        run_on_image(functions, np.array([[0.0, 100.0]]), "prepare.resize(image, 2, 4)")
    )
    np.testing.assert_allclose(made, [[0, 25, 75, 100]] * 2)


def test_the_box_holds_all_ink_and_nothing_else(functions: Any) -> None:
    image = np.zeros((9, 8))
    assert run_on_image(functions, image, "prepare.boundingBox(image)") is None
    image[2, 5] = image[6, 1] = 200
    image[0, 0] = 10  # less than ink
    found = run_on_image(functions, image, "prepare.boundingBox(image)")
    assert found == {"top": 2, "left": 1, "bottom": 7, "right": 6}


def test_mnist_s_own_digits_come_back(functions: Any, full_data: None) -> None:
    """A digit of MNIST, ten times as large and anywhere on the pad, becomes itself again."""
    random = np.random.default_rng(0)
    same, tried = 0, 0
    for image in data.load("mnist").test.images[:80, 0]:
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        part = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        faint = [edge.max() <= 15 for edge in (part[0], part[-1], part[:, 0], part[:, -1])]
        if any(faint):
            continue  # it is cut off, as a shimmer
        height, width = part.shape
        made = functions.evaluate(
            """([part, height, width, top, left]) => {
              const plane = new Float32Array(280 * 280);
              for (let y = 0; y < 10 * height; y++) {
                for (let x = 0; x < 10 * width; x++) {
                  const value = part[Math.floor(y / 10) * width + Math.floor(x / 10)];
                  plane[(top + y) * 280 + left + x] = value;
                }
              }
              const image = { width: 280, height: 280, planes: [plane] };
              const classes = Array.from({ length: 10 }, (_, i) => `${i}`);
              const how = prepare.preparation({ input_shape: [1, 28, 28], classes }, "mnist");
              return [...prepare.preparedDrawing(image, how, 1, 10)];
            }""",
            [
                *(part.ravel().tolist(), height, width),
                *(int(random.integers(0, 280 - 10 * size + 1)) for size in part.shape),
            ],
        )
        tried += 1
        same += bool(np.array_equal(np.array(made).reshape(28, 28), image))
    assert tried >= 40
    assert same >= 0.95 * tried


def test_dark_ink_on_uneven_paper_is_found(functions: Any) -> None:
    random = np.random.default_rng(5)
    paper = 200 + random.normal(0, 3, (60, 80))
    paper[20:40, 30:34] = 40
    ground = run_on_image(functions, paper, "prepare.groundOf(image)")
    assert ground["light"]
    assert abs(ground["level"] - 200) < 2
    found = as_array(
        run_on_image(functions, paper, f"prepare.inkOf(image, {json.dumps(ground)}, true)")
    )
    assert found[20:40, 30:34].min() > 240
    assert np.delete(found, slice(20, 40), axis=0).max() < 15
    light = run_on_image(functions, 255 - paper, "prepare.groundOf(image)")
    assert not light["light"]


def test_numbers_of_units_are_read_and_written(functions: Any) -> None:
    read = "([text, count]) => { const n = edits.parseNumbers(text, count); return n && [...n]; }"
    assert functions.evaluate(read, ["3, 7 10-12", 84]) == [3, 7, 10, 11, 12]
    assert functions.evaluate(read, ["", 84]) == []
    for wrong in ("x", "84", "5-3", "1.5", "-1"):
        assert functions.evaluate(read, [wrong, 84]) is None
    assert functions.evaluate("edits.showNumbers(new Set([9, 1, 2, 3, 5, 6]))") == "1–3, 5, 6, 9"


def test_a_history_merges_runs_of_changes(functions: Any) -> None:
    assert functions.evaluate(
        """() => {
          const h = createHistory(0);
          h.push(1, "a"); h.push(2, "a"); h.push(3, "b"); h.settle(); h.push(4, "b");
          const seen = [h.get()];
          while (h.canUndo()) { h.undo(); seen.push(h.get()); }
          h.redo(); h.push(9);
          return [seen, h.get(), h.canRedo(), h.first()];
        }"""
    ) == [[4, 3, 2, 0], 9, False, 0]
