"""lenet explain: pooling and convolution by hand."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lenet.cli.naming import sizes
from lenet.cli.options import number, whole

if TYPE_CHECKING:
    from lenet.walkthrough import Walkthrough


commands = typer.Typer(
    help="Compute pooling or a convolution by hand: every window, every sum.", no_args_is_help=True
)


Numbers = Annotated[
    str | None,
    typer.Option(
        "--input", metavar="NUMBERS", help="Rows end at ';', channels at '|'; 0, 1, 2 … by default."
    ),
]
Size = Annotated[str | None, typer.Option(help="Rows x columns of the input; 3x3 by default.")]
Channels = Annotated[
    int | None,
    typer.Option(
        parser=whole, metavar="N", help="Number of channels; each is one more than the last."
    ),
]
PaddingWidth = Annotated[
    int, typer.Option(parser=whole, metavar="N", help="Rings of cells around the input.")
]
Stride = Annotated[
    int, typer.Option(parser=whole, metavar="N", help="How far the window moves in one step.")
]
Spoken = Annotated[
    str | None,
    typer.Option("--lang", metavar="en|zh", help="Language; that of your system by default."),
]
Drawing = Annotated[
    Path | None,
    typer.Option("--out", help="Draw it: a .gif moves; .png, .svg and .pdf show the last step."),
]


@commands.command(
    "pool",
    epilog="""\
lenet explain pool                                 tutorial 004's 3x3 numbers
lenet explain pool --size 4x4 --window 3 --padding 1 --stride 2 --channels 2
lenet explain pool --mode avg --out pool.gif       and the animation
lenet explain pool --input "-1 -2; -3 -4" --padding 1 --lang zh""",
)
def explain_pool(
    input: Numbers = None,
    size: Size = None,
    channels: Channels = None,
    window: Annotated[str, typer.Option(help="Rows x columns of the window, or one number.")] = "2",
    mode: Annotated[str, typer.Option(help="max or avg.")] = "max",
    padding: PaddingWidth = 0,
    stride: Stride = 1,
    count_padding: Annotated[
        bool,
        typer.Option(
            "--count-padding/--skip-padding",
            help="Let means count the padding (count_include_pad).",
        ),
    ] = True,
    lang: Spoken = None,
    out: Drawing = None,
) -> None:
    """Pool step by step: the window, its maximum or mean, and what PyTorch does at the edge."""
    from lenet import walkthrough

    walk = walkthrough.pooling(
        _numbers(input, size, channels),
        _rows_and_columns("--window", window),
        mode.lower(),
        padding=padding,
        stride=stride,
        count_include_pad=count_padding,
    )
    _explain(walk, lang, out)


@commands.command(
    "conv",
    epilog="""\
lenet explain conv                                 the book's first example
lenet explain conv --kernel "1 -1" --input "1 1 0 0 1; 1 1 0 0 1"
lenet explain conv --channels 2 --bias 1 --padding 1 --stride 2
lenet explain conv --size 4x4 --out conv.gif       draws the animation too""",
)
def explain_conv(
    input: Numbers = None,
    size: Size = None,
    channels: Channels = None,
    kernel: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", help="Written like --input; '0 1; 2 3' by default."),
    ] = None,
    bias: Annotated[
        float | None, typer.Option(parser=number, metavar="X", help="A number to add to every sum.")
    ] = None,
    padding: PaddingWidth = 0,
    stride: Stride = 1,
    lang: Spoken = None,
    out: Drawing = None,
) -> None:
    """Convolve step by step: each product of a window and the kernel, and their sum."""
    from lenet import walkthrough

    numbers = _numbers(input, size, channels)
    if kernel is None:
        weights = walkthrough.counted(2, 2, len(numbers))
    else:
        weights = walkthrough.parse(kernel)
    walk = walkthrough.convolution(numbers, weights, bias, padding=padding, stride=stride)
    _explain(walk, lang, out)


def _numbers(text: str | None, size: str | None, channels: int | None) -> Any:
    """What is explained: the numbers written, or counted up over the size and channels asked."""
    from lenet import walkthrough

    if text is None:
        rows, columns = _rows_and_columns("--size", size or "3x3")
        return walkthrough.counted(rows, columns, 1 if channels is None else channels)
    if size is not None or channels is not None:
        raise typer.BadParameter("--input has its own size and channels; leave the others out")
    return walkthrough.parse(text)


def _rows_and_columns(name: str, text: str) -> tuple[int, int]:
    found = sizes(text)
    if len(found) not in (1, 2):
        raise typer.BadParameter(f"{name} {text!r}: write rows x columns, such as 3x3")
    return found[0], found[-1]


def _explain(walk: Walkthrough, asked: str | None, out: Path | None) -> None:
    from lenet.language.asked import language_of
    from lenet.walkthrough import text

    asked = asked and asked.lower()
    if asked not in (None, "en", "zh"):
        raise typer.BadParameter(f"--lang must be en or zh, got {asked!r}")
    language = language_of(os.environ if asked is None else {"LANG": asked})
    told = text.lines(walk, language)
    if out is None:
        print(*told, sep="\n")
        return
    from lenet.walkthrough import picture

    remark = picture.save(walk, out, language)
    print(*told, sep="\n")
    if remark:
        print(f"lenet: {remark}", file=sys.stderr)
    print(f"\n{out}")
