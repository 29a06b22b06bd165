"""``lenet explain``: what is written, what is drawn, and what is said about tutorial 004."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from lenet import cli
from lenet.drawing import figures
from lenet.drawing.text_width import cells
from lenet.scratch import ScratchError, show
from lenet.walkthrough import (
    Walkthrough,
    WalkthroughError,
    convolution,
    counted,
    parse,
    picture,
    pooling,
)
from lenet.walkthrough.remarks import remarks
from lenet.walkthrough.text import lines

POOL = """\
Max pooling · window 2×2 · padding 0 · stride 1
Each number of Y is the largest one in its window of X.

input X     output Y
 0  1  2     4  5
 3  4  5     7  8
 6  7  8

rows of Y:    (3 - 2) / 1 + 1 = 2
columns of Y: (3 - 2) / 1 + 1 = 2

Y[0, 0] = max(0, 1, 3, 4) = 4
Y[0, 1] = max(1, 2, 4, 5) = 5
Y[1, 0] = max(3, 4, 6, 7) = 7
Y[1, 1] = max(4, 5, 7, 8) = 8
"""
CONV_IN_CHINESE = """\
卷积 · 卷积核 2×2 · 填充 1 · 步幅 2
Y 的每个数，是 X 的一个窗口与 K 逐个相乘，再全部相加。

通道 0
输入 X            卷积核 K    输出 Y
 0  0  0  0  0     0  1          5   27
 0  0  1  2  0     2  3         58  121
 0  3  4  5  0
 0  6  7  8  0
 0  0  0  0  0

通道 1
输入 X            卷积核 K
 0  0  0  0  0     1  2
 0  1  2  3  0     3  4
 0  4  5  6  0
 0  7  8  9  0
 0  0  0  0  0

Y 的行数：(3 + 2·1 - 2) / 2 + 1 = 2（向下取整）
Y 的列数：(3 + 2·1 - 2) / 2 + 1 = 2（向下取整）

Y[0, 0]
  通道 0：      0·0 + 0·1 + 0·2 + 0·3 = 0
  通道 1：      0·1 + 0·2 + 0·3 + 1·4 = 4
  求和，加偏置：0 + 4 + 1 = 5
"""


def of_tutorial_004(channels: int = 1) -> Walkthrough:
    return pooling(counted(4, 4, channels), (3, 3), padding=1, stride=2)


# --- in words ----------------------------------------------------------------------------------


def test_the_tutorials_example_in_full() -> None:
    assert "\n".join(lines(pooling(counted(3, 3)), "en")).startswith(POOL)


def test_channels_padding_and_bias_in_full() -> None:
    walk = convolution(counted(3, 3, 2), counted(2, 2, 2), 1, padding=1, stride=2)
    assert "\n".join(lines(walk, "zh")).startswith(CONV_IN_CHINESE)


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(["max", "avg", "conv"]),
    st.sampled_from(["en", "zh"]),
    st.integers(1, 7),
    st.integers(1, 4),
    st.integers(0, 2),
    st.integers(1, 2),
    st.integers(60, 80),
)
def test_every_step_is_told_and_no_line_is_too_long(
    kind: str, language: Any, size: int, window: int, padding: int, channels: int, width: int
) -> None:
    assume(window <= size + 2 * padding)
    X = counted(size, size, channels) * 1.37 - 20
    if kind == "conv":
        walk = convolution(X, counted(window, window, channels) - 3, 0.5, padding=padding)
    else:
        assume(2 * padding <= window)
        walk = pooling(X, (window, window), kind, padding=padding)
    told = lines(walk, language, width)
    grids = (walk.input, walk.output, np.zeros(1) if walk.kernel is None else walk.kernel)
    longest = max(len(show(x)) for grid in grids for x in grid.ravel().tolist())
    widest_grid = (size + 2 * padding) * (longest + 2)
    assert max(map(cells, told)) <= max(width, widest_grid)
    begun = [line for line in told if re.match(r"Y\[[\d, ]+\]( = |$)", line)]
    assert len(begun) == walk.output.size == len(walk.steps)
    assert all(line == line.rstrip() for line in told)


def test_long_arithmetic_goes_on_below_itself() -> None:
    told = lines(convolution(counted(5, 5), counted(5, 5)), "en")
    first = next(i for i, line in enumerate(told) if line.startswith("Y["))
    arithmetic = [told[first], *told[first + 1 : told.index("", first)]]
    assert len(arithmetic) > 1
    assert all(line.startswith(" " * len("Y[0, 0] = ")) for line in arithmetic[1:])
    assert arithmetic[-1].endswith(f"= {sum(i * i for i in range(25))}")


# --- what tutorial 004 says otherwise ----------------------------------------------------------


def test_padding_of_the_maximum_is_explained_by_what_it_does_here() -> None:
    (alike,) = remarks(of_tutorial_004(), "en")
    assert "pads with -∞" in alike
    assert "comes to the same" in alike
    negative = pooling(-1 - counted(4, 4), (3, 3), padding=1, stride=2)
    (otherwise,) = remarks(negative, "en")
    assert "with zeros Y[0, 0] would be 0, and PyTorch, too, gives -1" in otherwise
    assert "若补 0，Y[0, 0] 会是 0，而 PyTorch 给出的也是 -1" in remarks(negative, "zh")[0]


def test_two_channels_are_no_two_samples() -> None:
    english, chinese = (remarks(of_tutorial_004(2), language)[-1] for language in ("en", "zh"))
    for told in (english, chinese):
        assert "(1, 2, 4, 4)" in told
        assert "(2, 1, 4, 4)" in told
    assert "one sample with 2 channels" in english
    assert "一个样本，2 个通道" in chinese
    assert not any("channel" in remark for remark in remarks(of_tutorial_004(), "en"))


def test_both_ways_to_count_are_named() -> None:
    X = counted(4, 4)
    counts = pooling(X, (3, 3), "avg", padding=1, stride=2)
    skips = pooling(X, (3, 3), "avg", padding=1, stride=2, count_include_pad=False)
    assert "would be 2.5 instead of 1.111" in remarks(counts, "en")[0]
    assert "would be 1.111 instead of 2.5" in remarks(skips, "en")[0]
    assert "会是 2.5，而不是 1.111" in remarks(counts, "zh")[0]
    assert "会是 1.111，而不是 2.5" in remarks(skips, "zh")[0]
    assert not remarks(pooling(X, (2, 2), "avg", stride=2), "en")
    assert "·" in lines(skips, "en")[4]  # the cells that do not count
    assert "0" in lines(counts, "en")[4]


# --- examples ----------------------------------------------------------------------------------


def test_numbers_are_read_as_they_are_written() -> None:
    assert parse("0 1 2; 3 4 5; 6 7 8").tolist() == counted(3, 3).tolist()
    assert parse("1, 2; 3, 4;").tolist() == [[[1, 2], [3, 4]]]
    assert parse("1|2|-3").shape == (3, 1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2; 3", "as many numbers"),
        ("1 2 | 3 4; 5 6", "every channel as many rows"),
        ("", "as many numbers"),
        ("1 x", "could not convert string to float: 'x'"),
        ("1 nan", "not finite"),
        ("1 inf", "not finite"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, message: str) -> None:
    with pytest.raises(WalkthroughError, match=message):
        parse(text)


def test_nothing_is_counted_up_to_nothing() -> None:
    with pytest.raises(WalkthroughError, match="0 rows, 3 columns"):
        counted(0, 3)


# --- the picture -------------------------------------------------------------------------------


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_frame_shows_what_is_known_by_then() -> None:
    first, *_, last = picture.frames(pooling(counted(3, 3)), "en")
    assert "Y[0, 0] = max(0, 1, 3, 4) = 4" in texts(first)
    assert "Y[1, 1] = max(4, 5, 7, 8) = 8" in texts(last)
    # nine cells of X, then Y: its first number, and three places that are still empty
    numbers = [text for text in texts(first) if text in (*"012345678", "")]
    assert numbers == [*map(str, range(9)), "4", "", "", ""]
    numbers = [text for text in texts(last) if text in (*"012345678", "")]
    assert numbers == [*map(str, range(9)), "4", "5", "7", "8"]


def test_the_window_is_framed_and_the_largest_ringed() -> None:
    from matplotlib.patches import Circle, Rectangle

    figure = list(picture.frames(pooling(counted(3, 3)), "en"))[1]
    patches = figure.axes[0].patches
    frames = [patch for patch in patches if isinstance(patch, Rectangle) and not patch.get_fill()]
    assert sorted((p.get_width(), p.get_height()) for p in frames) == [(1, 1), (2, 2)]
    (window,) = [patch for patch in frames if patch.get_width() == 2]
    (ring,) = [patch for patch in patches if isinstance(patch, Circle)]
    inside = np.array(ring.get_center()) - window.get_xy()
    assert inside.tolist() == pytest.approx([1.5, 1.5])  # of 1, 2, 4, 5 the last


def test_the_weights_stand_in_the_window() -> None:
    walk = convolution(counted(3, 3), [[[0, -1], [2, 0.5]]])
    first = next(picture.frames(walk, "en"))
    assert [text for text in texts(first) if text.startswith("×")] == ["×0", "×-1", "×2", "×0.5"]


def test_colours_tell_the_sign_and_numbers_stay_legible() -> None:
    def brightness(color: Any) -> float:
        return float(np.dot(color[:3], (0.299, 0.587, 0.114)))

    red, white, blue = (picture._color(value, 2.0) for value in (2.0, 0.0, -2.0))
    assert red[0] > red[2] + 0.3
    assert blue[2] > blue[0] + 0.2
    assert min(white[:3]) > 0.95
    assert min(map(brightness, (red, blue))) > 0.5


@pytest.mark.slow
def test_the_animation_has_a_frame_for_each_step_and_begins_anew(tmp_path: Path) -> None:
    walk = of_tutorial_004()
    assert picture.save(walk, tmp_path / "pool.gif", "en") == ""
    with Image.open(tmp_path / "pool.gif") as film:
        assert film.n_frames == len(walk.steps) == 4  # type: ignore[attr-defined]
        assert film.info["loop"] == 0
        durations = []
        for number in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(number)
            durations.append(film.info["duration"])
        seen = []
        for number in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(number)
            seen.append(np.asarray(film.convert("L")))
    assert durations == [picture.STEP_MS] * 3 + [picture.LAST_MS]
    assert all((a != b).any() for a, b in pairwise(seen))
    # the frames are what was drawn, but for the palette's rounding
    png = figures.encoded(list(picture.frames(walk, "en"))[-1], "png", dpi=100)
    with Image.open(io.BytesIO(png)) as drawn:
        expected = np.asarray(drawn.convert("L"), int)
    assert np.abs(expected - seen[-1]).max() <= 24
    assert (seen[-1][expected == 255] == 255).all()
    assert picture.animation(walk, "en") == (tmp_path / "pool.gif").read_bytes()


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_a_still_shows_the_last_step(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"pool.{suffix}"
    picture.save(pooling(counted(3, 3)), path, "en")
    assert path.stat().st_size > 1000
    if suffix == "svg":
        assert "Y[1, 1] = max(4, 5, 7, 8) = 8" in path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_chinese_is_drawn_where_a_font_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = pooling(counted(3, 3))
    monkeypatch.setattr(figures, "cjk_fonts", list)
    # the page that shows an SVG brings its fonts along
    assert picture.save(walk, tmp_path / "pool.svg", "zh") == ""
    assert "最大汇聚" in (tmp_path / "pool.svg").read_text(encoding="utf-8")
    assert "中文字体" in picture.save(walk, tmp_path / "pool.gif", "zh")
    assert (tmp_path / "pool.gif").read_bytes() == picture.animation(walk, "en")


def test_printed_it_is_the_text_and_a_notebook_shows_the_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walk = pooling(counted(3, 3))
    assert str(walk).startswith(POOL)
    with Image.open(io.BytesIO(walk._repr_png_())) as shown:
        in_english = np.asarray(shown.convert("L"))
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert str(walk).startswith("最大汇聚")
    monkeypatch.setattr(figures, "cjk_fonts", list)
    with Image.open(io.BytesIO(walk._repr_png_())) as shown:
        assert (np.asarray(shown.convert("L")) == in_english).all()


def test_what_cannot_be_drawn_is_told(tmp_path: Path) -> None:
    with pytest.raises(WalkthroughError, match=r"cannot draw into \.jpg"):
        picture.save(pooling(counted(3, 3)), tmp_path / "pool.jpg", "en")
    with pytest.raises(WalkthroughError, match="729 steps over 28 rows"):
        picture.save(pooling(counted(28, 28)), tmp_path / "pool.gif", "en")
    assert not list(tmp_path.iterdir())


# --- the command -------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LC_ALL", "LC_MESSAGES", "LANGUAGE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LANG", "en_GB.UTF-8")


def test_lenet_explain_pool(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", "pool"]) == 0
    assert capsys.readouterr().out.startswith(POOL)


def test_lenet_explain_conv_speaks_the_locales_language(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    command = ["explain", "conv", "--channels", "2", "--bias", "1"]
    assert cli.run([*command, "--padding", "1", "--stride", "2"]) == 0
    assert capsys.readouterr().out.startswith(CONV_IN_CHINESE)
    assert cli.run([*command, "--lang", "en"]) == 0
    assert capsys.readouterr().out.startswith("Convolution")


@pytest.mark.slow
def test_lenet_explain_takes_numbers_and_draws(
    in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = ["--input", "-1 -2 -3; -4 -5 -6", "--kernel", "1 -1", "--out", "edge.gif"]
    assert cli.run(["explain", "conv", *numbers]) == 0
    out = capsys.readouterr().out
    assert "Y[0, 0] = (-1)·1 + (-2)·(-1) = 1" in out
    assert out.endswith("\nedge.gif\n")
    with Image.open("edge.gif") as film:
        assert film.n_frames == 4  # type: ignore[attr-defined]
    averaged = ["--mode", "avg", "--padding", "1", "--stride", "2", "--skip-padding"]
    assert cli.run(["explain", "pool", "--size", "4x4", "--window", "3", *averaged]) == 0
    assert "Y[0, 0] = (0 + 1 + 4 + 5) / 4 = 2.5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("pool --size 3x3x3", "write rows x columns"),
        ("pool --window 4", "a window of 4×4 does not fit into 3×3 numbers"),
        ("pool --input 1 --size 3x3", "--input has its own size"),
        ("pool --mode median", "it can be 'max' or 'avg'"),
        ("pool --padding 2", "more than half of the window"),
        ("conv --kernel 1|1", "X has 1 channels and K 2"),
        ("conv --lang fr", "--lang must be en or zh, got 'fr'"),
        ("conv --channels 0", "each must be at least 1"),
        ("conv --stride 0", "stride is 0"),
        ("conv --out conv.jpg", "cannot draw into .jpg"),
    ],
)
def test_what_cannot_be_explained_is_one_line(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["explain", *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_walkthrough_does_not_fit_together_as_the_loops_do_not() -> None:
    with pytest.raises(ScratchError, match="X has 1 channels and K 2"):
        convolution(counted(3, 3), counted(2, 2, 2))
