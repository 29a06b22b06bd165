"""lenet data import and lenet data report: somebody's own pictures, stored and looked at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lenet.cli import completion
from lenet.cli.data import commands as commands
from lenet.cli.options import DataDir, Json, number, whole
from lenet.cli.printing import print_json, say, show

if TYPE_CHECKING:
    from lenet.data.report import Report


@commands.command(
    "import",
    epilog="""\
lenet data import ./flowers --name flowers                 one sub-folder a class
lenet data import train.csv --name digits                  Kaggle's label and pixels
lenet data import ./photos --name photos --size 32 --channels 3 --fit crop
lenet train --data flowers""",
)
def data_import(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder with one sub-folder a class, a .csv or .npz file, a folder of .npy or "
            "IDX files."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name for the data set.")],
    size: Annotated[
        int | None,
        typer.Option(
            parser=whole,
            metavar="N",
            help="Make pictures N×N. By default pictures of one size up to 64×64 keep it, "
            "others become 28×28.",
        ),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(
            parser=whole, metavar="1|3", help="1 is grey, 3 is colour; as they are by default."
        ),
    ] = None,
    fit: Annotated[
        str,
        typer.Option(
            help="pad puts the whole picture on the colour of its border, crop takes its middle, "
            "stretch changes its proportions."
        ),
    ] = "pad",
    val: Annotated[
        float,
        typer.Option(
            parser=number, metavar="X", help="Share to choose by, if the source has no such part."
        ),
    ] = 0.1,
    test: Annotated[
        float,
        typer.Option(
            parser=number, metavar="X", help="Share to test on, if the source has no such part."
        ),
    ] = 0.2,
    seed: Annotated[
        int,
        typer.Option(
            parser=whole, metavar="N", help="A number that decides which pictures these are."
        ),
    ] = 0,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a data set of that name.")
    ] = False,
) -> None:
    """Read pictures once and for all into a data set with a name, of any size."""
    from lenet import data
    from lenet.data.importing import Shares, keep_report, store
    from lenet.data.progress import counting
    from lenet.data.report import make_report
    from lenet.data.sources import Asked

    found = data.recognise(source, Asked(size, channels, fit))
    say(found.line())
    for remark in found.remarks:
        say(f"note: {remark}")
    shares = Shares(test, val, seed)
    with counting(f"importing {name}", found.pictures, True) as told:
        folder = store(found, name, data.cache_dir(), shares, replace=replace, told=told)
    loaded = data.load(folder)
    report = make_report(loaded, found.findings)
    keep_report(folder, report)
    _print(report)
    say(f"stored in {folder}; train on it by: lenet train --data {name}")


@commands.command(
    "report",
    epilog="lenet data report ./flowers   ·   lenet data report flowers --out sheet.png",
)
def data_report(
    source: Annotated[
        str,
        typer.Argument(
            help="A data set's name, or a path that lenet train --data takes.",
            autocompletion=completion.data_sets,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Draw a sheet of pictures of each class into this PNG.")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Say what is in a data set: counts, sizes, duplicates, files that cannot be read."""
    from lenet import data
    from lenet.data.report import make_report, to_dict
    from lenet.drawing import figures

    loaded, findings = data.load_with_findings(source, data_dir, progress=sys.stderr.isatty())
    report = data.kept_report(loaded) or make_report(loaded, findings)
    if out is not None:
        figures.save(figures.sheet(loaded.train, title=report.name), out)
    if json:
        print_json(to_dict(report))
        return
    for remark in loaded.remarks[:1]:
        say(remark)
    _print(report)
    if out is not None:
        print(out)


def _print(report: Report) -> None:
    """The table of counts, and what deserves a look."""
    from lenet.data.report import remarks
    from lenet.drawing.listing import Column, listing

    parts = list(report.counts)
    rows = [
        (name, *(f"{report.counts[part][label]:,}" for part in parts))
        for label, name in enumerate(report.classes)
    ]
    rows.append(("all", *(f"{sum(report.counts[part]):,}" for part in parts)))
    columns = (Column("class"), *(Column(part, right=True) for part in parts))
    show(lambda width: listing(columns, rows, width))
    for what, found in (("sizes", report.sizes), ("modes", report.modes)):
        if found:
            say(
                f"{what} found: {', '.join(f'{kind} ({count:,})' for kind, count in found.items())}"
            )
    for line in remarks(report):
        say(line)
