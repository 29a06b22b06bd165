"""plot, set_axes and show_images, on a pyplot without windows."""

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")  # the package d2l imports it

from lenet.d2l import plotting


@pytest.fixture
def plt(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.setitem(matplotlib.rcParams, "backend", "agg")
    from matplotlib import pyplot

    with matplotlib.rc_context():
        yield pyplot
    pyplot.close("all")


def drawn(plt: object) -> list[tuple[list[float], list[float]]]:
    lines = plt.gca().lines  # type: ignore[attr-defined]
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in lines]


def test_plot_takes_one_curve_or_several(plt: object) -> None:
    torch = pytest.importorskip("torch")
    x, y = [0.0, 1.0, 2.0], [3.0, 4.0, 5.0]
    for X, Y, expected in (
        (x, y, [(x, y)]),
        (torch.tensor(x), torch.tensor(y, requires_grad=True), [(x, y)]),
        (y, None, [(x, y)]),
        (x, [y, x], [(x, y), (x, x)]),
        ([x, y], [y, x], [(x, y), (y, x)]),
        ([y, x], None, [(x, y), (x, x)]),
        (np.array(x), [torch.tensor(y), np.array(x)], [(x, y), (x, x)]),
        ([torch.tensor(1.0), torch.tensor(2.0)], None, [([0.0, 1.0], [1.0, 2.0])]),
        (x, [y] * 6, [(x, y)] * 6),
    ):
        plotting.plot(X, Y)
        assert drawn(plt) == expected


def test_axes_get_what_was_asked_for(plt: object) -> None:
    plotting.plot(
        *([1, 10], [[1, 2], [3, 4]], "x", "f(x)", ["f", "tangent"], [1, 10], [1, 5], "log", "log"),
        figsize=(4.5, 2.5),
    )
    axes = plt.gca()  # type: ignore[attr-defined]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "f(x)")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert (axes.get_xlim(), axes.get_ylim()) == ((1, 10), (1, 5))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["f", "tangent"]
    assert list(axes.figure.get_size_inches()) == [4.5, 2.5]
    plotting.plot([1, 2], xlim=[1, 1], ylim=[0, 0])  # a warning would be an error


def test_show_images_fills_a_grid(plt: object) -> None:
    torch = pytest.importorskip("torch")
    pictures = [
        torch.zeros(28, 28),
        torch.zeros(1, 28, 28),
        np.zeros((28, 28, 3)),
        Image.new("L", (8, 8)),
    ]
    axes = plotting.show_images(pictures, 2, 2, titles=list("abcd"))
    assert [a.get_title() for a in axes] == list("abcd")
    assert [a.images[0].get_array().shape for a in axes] == [(28, 28)] * 2 + [(28, 28, 3), (8, 8)]
    assert list(axes[0].figure.get_size_inches()) == [3, 3]
    assert len(plotting.show_images(torch.zeros(1, 5, 5), 1, 1)) == 1


def test_titles_may_be_an_array(plt: object) -> None:
    axes = plotting.show_images([np.eye(5)] * 2, 1, 2, titles=np.array(["a coat", "a shirt"]))
    assert [a.get_title() for a in axes] == ["a coat", "a shirt"]


def test_titles_of_two_lines_do_not_lie_on_the_row_above(plt: object) -> None:
    axes = plotting.show_images([np.eye(5)] * 4, 2, 2, titles=["a coat\na shirt"] * 4, scale=1.3)
    axes[0].figure.canvas.draw()
    above, below = axes[0].get_window_extent(), axes[2].title.get_window_extent()
    assert below.y1 < above.y0


@pytest.mark.slow
def test_without_a_display_it_is_drawn_all_the_same() -> None:
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    if sys.platform != "linux":
        pytest.skip("a display is always there")
    code = "from lenet.d2l.plotting import plot; plot([1, 2]); import matplotlib.pyplot as plt\n"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + "plt.gcf().canvas.draw()"],
        env={key: value for key, value in os.environ.items() if key not in hidden},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr
