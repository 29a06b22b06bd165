"""Lists at any width: whole words, no line too long, the first column always there."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from lenet.drawing.listing import Column, listing

COLUMNS = (
    Column("run"),
    Column("what it is", wrap=True),
    Column("data", spare=2),
    Column("train loss", right=True, spare=1),
)
ROWS = [
    ("2026-11-21-d2l-1", "The tutorials' LeNet on Fashion-MNIST", "fashion-mnist", "0.470"),
    ("我的 运行 [red]x", "a short one", "mnist", "–"),
]


def shown(width: int, rows: list[tuple[str, ...]] = ROWS) -> list[str]:
    listed = listing(COLUMNS, rows, width)
    if isinstance(listed, str):
        return listed.splitlines()
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(listed)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [20, 40, 46, 52, 60, 66, 72, 80, 100, 200])
def test_no_word_is_cut_at_any_width(width: int) -> None:
    lines = shown(width)
    words = " ".join(lines).split()
    for row in ROWS:
        for word in (*row[0].split(), *row[1].split()):
            assert word in words
    assert all(cell_len(line) <= width for line in lines)


def test_columns_go_in_their_order() -> None:
    assert shown(100)[0].split() == ["run", "what", "it", "is", "data", "train", "loss"]
    assert "fashion-mnist" not in " ".join(shown(54))
    assert "0.470" in " ".join(shown(54))
    assert "0.470" not in " ".join(shown(40))


def test_a_name_that_is_too_long_has_its_own_line() -> None:
    name = "a-name-of-a-run-" * 10
    lines = shown(60, [(name, "its title is told below it, between words", "", "")])
    assert lines[0] == name
    assert all(line.startswith("  ") for line in lines[1:])
