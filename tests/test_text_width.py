"""Texts as wide as they look, in lines that are no wider than asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet.drawing.text_width import cells, padded, wrapped


def test_chinese_signs_are_two_wide_and_accents_none() -> None:
    assert [cells(text) for text in ("", "ab", "卷积", "（", "é")] == [0, 2, 4, 2, 1]
    assert padded("卷积", 6) == "卷积  "


@given(st.text("ab ,.卷积层，。（）12", max_size=80), st.integers(8, 30))
def test_nothing_is_lost_and_no_line_is_wider(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    longest = max((cells(word) for line in lines for word in line.split()), default=0)
    # a word that cannot be broken may be wider
    assert all(cells(line) <= max(width, longest) for line in lines)


def test_chinese_lines_begin_with_no_comma_and_end_with_no_opening_bracket() -> None:
    lines = wrapped("卷积层的输出，（感受野）更大。" * 9, 14)
    assert len(lines) > 9
    assert not any(line[0] in "，。）" or line[-1] == "（" for line in lines)


@pytest.mark.parametrize("width", [10, 80])
def test_words_stay_whole_and_the_indent_counts(width: int) -> None:
    lines = wrapped("averages of 2×2 windows", width, "  ")
    assert all(line.startswith("  ") and cells(line) <= width for line in lines)
    assert " ".join(line.strip() for line in lines) == "averages of 2×2 windows"
