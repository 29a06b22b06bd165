"""Wrong labels: which pictures have one, as a table to correct, and the corrected copy.

The ranking is confident learning (``training.confident_learning``), by networks that never saw the
picture (``looking.out_of_fold``).
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lenet.data import DataError, Dataset, Split, check_classes
from lenet.data.importing import Shares, store
from lenet.data.sources import of_dataset
from lenet.files import FileError, read_bounded, write_atomically
from lenet.looking import out_of_fold
from lenet.names import did_you_mean
from lenet.network import zoo
from lenet.training import confident_learning, defaults, recipes
from lenet.untrusted import shown

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMNS: Final = (
    *("rank", "part", "index", "label", "suggested", "correct"),
    *("label_probability", "suggested_probability", "suspected"),
)
NEEDED: Final = ("part", "index", "label", "correct")
LEAVE_OUT: Final = "-"  # in the column "correct": the picture is in the copy no more
LARGEST: Final = 64_000_000  # bytes of a table of corrections
EPOCHS: Final = 3
STEPS: Final = 1_000  # at least: a few thousand pictures make few steps an epoch


@dataclass(frozen=True)
class Doubtful:
    """A picture whose label may be wrong."""

    part: str  # "train", "val" or "test"
    index: int  # in the part, from 0
    label: int
    suggested: int
    label_probability: float  # 0 to 1, by networks that never saw the picture
    suggested_probability: float
    suspected: bool  # by confident learning's thresholds


@dataclass(frozen=True, eq=False)
class Doubted:
    """A data set's pictures in the order of doubt, as many as were asked for."""

    data: Dataset
    pictures: tuple[Doubtful, ...]
    suspected: dict[str, int]  # how many in each part
    accuracy: dict[str, float]  # of the networks, on pictures that they never saw


def parts_of(data: Dataset) -> dict[str, Split]:
    """The data set's parts by their names, the training pictures first."""
    val = {} if data.val is None else {"val": data.val}
    return {"train": data.train, **val, "test": data.test}


def find(
    loaded: Dataset,
    *,
    part: str = "all",
    top: int = 100,
    folds: int = 5,
    epochs: int | None = None,
    network: str = "lenet-relu",
    seed: int = 0,
    threads: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, all: None,
) -> Doubted:
    """The ``top`` most doubtful labels of a part ("train", "val", "test") or of all.

    ``folds`` networks are trained, each on all training pictures but one fold; a training picture
    is judged by the one that never saw it, one of another part by all. The same seed gives the
    same answer. Raises DataError, and what training raises.
    """
    parts = parts_of(loaded)
    wanted = list(parts) if part == "all" else [part]
    if unknown := {*wanted} - {*parts}:
        name = sorted(unknown)[0]
        hint = did_you_mean(name, [*parts, "all"])
        raise DataError(
            f"no part is called {shown(name)}; {hint}choose from all, {', '.join(parts)}"
        )
    if top < 1:
        raise DataError(f"{top} pictures: ask for at least 1")
    check_classes(loaded)
    out_of_fold.check_count(folds, loaded.train)
    changes = {"seed": seed, "epochs": EPOCHS if epochs is None else epochs}
    examples = len(loaded.train) * (folds - 1) // folds
    recipe, _ = defaults.fit_to_few(recipes.load(defaults.RECIPE, changes), ("epochs",), examples)
    settings = recipe.settings
    if epochs is None:
        least = -(-STEPS // -(-examples // settings.batch_size))
        settings = replace(settings, epochs=max(EPOCHS, least))
    channels, height, width = loaded.train.images.shape[1:]
    built = zoo.build(network, (channels, height, width), loaded.train.classes)
    found = out_of_fold.predict(
        built,
        loaded.train,
        [split for name, split in parts.items() if name != "train"],
        settings,
        initialization=recipe.initialization,
        count=folds,
        threads=threads,
        on_progress=on_progress,
    )
    probabilities = dict(zip(parts, [found.train, *found.others], strict=True))
    listed: list[tuple[float, Doubtful]] = []
    suspected, accuracy = {}, {}
    for name in wanted:
        labels, each = parts[name].labels, probabilities[name]
        doubts = confident_learning.doubt(labels, each)
        suspected[name] = int(doubts.suspected.sum())
        accuracy[name] = float((each.argmax(1) == labels).mean())
        for index in doubts.order[:top].tolist():
            label, other = int(labels[index]), int(doubts.suggested[index])
            picture = Doubtful(
                name,
                index,
                label,
                other,
                float(each[index, label]),
                float(each[index, other]),
                bool(doubts.suspected[index]),
            )
            listed.append((float(doubts.score[index]), picture))
    listed.sort(key=lambda pair: pair[0])
    pictures = tuple(picture for _, picture in listed[:top])
    return Doubted(loaded, pictures, suspected, accuracy)


# --- as text -----------------------------------------------------------------------------------


def render(doubted: Doubted, count: int = 20) -> RenderableType:
    """The first doubtful labels as a table."""
    from rich.table import Table
    from rich.text import Text

    classes = doubted.data.train.classes
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, right in (
        ("", True),
        ("part", False),
        ("picture", True),
        ("label", False),
        ("more like", False),
        ("probability", True),
        ("of the label", True),
    ):
        table.add_column(heading, justify="right" if right else "left")
    for rank, picture in enumerate(doubted.pictures[:count], 1):
        table.add_row(
            str(rank),
            picture.part,
            str(picture.index),
            Text(classes[picture.label]),  # a stranger's text, no markup
            Text(classes[picture.suggested]),
            f"{picture.suggested_probability:.4f}",
            f"{picture.label_probability:.4f}",
        )
    return table


def to_csv(doubted: Doubted) -> str:
    """The doubtful labels as a table to correct: fill in the column ``correct``."""
    classes = doubted.data.train.classes
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rank, picture in enumerate(doubted.pictures, 1):
        writer.writerow(
            [
                *(rank, picture.part, picture.index),
                *(classes[picture.label], classes[picture.suggested], ""),
                *(f"{picture.label_probability:.6f}", f"{picture.suggested_probability:.6f}"),
                "yes" if picture.suspected else "no",
            ]
        )
    return stream.getvalue()


def to_json(doubted: Doubted) -> dict[str, Any]:
    """Everything that was found, as plain values."""
    classes = doubted.data.train.classes
    return {
        "data": doubted.data.name,
        "suspected": doubted.suspected,
        "accuracy": doubted.accuracy,
        "pictures": [
            {
                "rank": rank,
                "part": picture.part,
                "index": picture.index,
                "label": classes[picture.label],
                "suggested": classes[picture.suggested],
                "label_probability": picture.label_probability,
                "suggested_probability": picture.suggested_probability,
                "suspected": picture.suspected,
            }
            for rank, picture in enumerate(doubted.pictures, 1)
        ],
    }


# --- corrections -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Correction:
    """What a table says of one picture."""

    part: str
    index: int
    label: int | None  # the right class; None: the picture is left out


def read_corrections(path: Path, loaded: Dataset) -> list[Correction]:
    """The rows of a table whose column ``correct`` is filled in.

    Raises DataError, naming the line, for what is no such table, or that of other pictures.
    """
    try:
        text = read_bounded(path, LARGEST, links=True).decode("utf-8-sig")
    except FileError as error:
        raise DataError(str(error)) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: cannot be read as UTF-8 text, from byte {error.start} on; save it as UTF-8"
        ) from None
    separator = ";" if text.partition("\n")[0].count(";") >= len(NEEDED) - 1 else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=separator)
    found: dict[tuple[str, int], Correction] = {}
    try:
        missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(
                f"{path}: the column {missing[0]!r} is missing; its first line must name "
                f"{', '.join(NEEDED)}, as `lenet data doubt` writes it"
            )
        for row in reader:
            correction = _correction(row, loaded, f"{path}: line {reader.line_num}")
            if correction is None:
                continue
            key = (correction.part, correction.index)
            if found.setdefault(key, correction) != correction:
                raise DataError(
                    f"{path}: line {reader.line_num}: picture {correction.index} of "
                    f"{correction.part} was corrected to another class before"
                )
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}") from None
    return list(found.values())


def _correction(row: dict[str, Any], loaded: Dataset, where: str) -> Correction | None:
    """What a row says; None where nothing is to be changed."""
    part, index, label, correct = (str(row[name] or "").strip() for name in NEEDED)
    if not correct:
        return None
    parts = parts_of(loaded)
    if part not in parts:
        raise DataError(f"{where}: the part is {shown(part)}; it must be {' or '.join(parts)}")
    split = parts[part]
    if not (index.isascii() and index.isdigit()) or int(index[:20]) >= len(split):
        raise DataError(
            f"{where}: the picture is {shown(index)}; {part} has pictures 0 to {len(split) - 1:,}"
        )
    classes = split.classes
    here = classes[split.labels[int(index)]]
    if label != here:
        raise DataError(
            f"{where}: picture {index} of {part} is said to be labelled {shown(label)}, and in "
            f"{loaded.name} it is {shown(here)}: the table belongs to another data set, or the "
            "column was changed; write the right class into the column correct"
        )
    if correct == LEAVE_OUT and LEAVE_OUT not in classes:
        return Correction(part, int(index), None)
    if correct not in classes:
        hint = did_you_mean(correct, classes)
        raise DataError(
            f"{where}: no class is called {shown(correct)}; {hint}choose from "
            f"{', '.join(map(shown, classes[:50]))}, or - to leave the picture out"
        )
    return Correction(part, int(index), classes.index(correct))


def corrected(loaded: Dataset, corrections: Sequence[Correction]) -> Dataset:
    """The data set with other labels, and without the pictures that are left out.

    The arrays of ``loaded`` stay as they are. Raises DataError where a part loses all pictures.
    """
    parts = {}
    for name, split in parts_of(loaded).items():
        labels, kept = split.labels.copy(), np.ones(len(split), np.bool_)
        mine = [correction for correction in corrections if correction.part == name]
        for correction in mine:
            if correction.label is None:
                kept[correction.index] = False
            else:
                labels[correction.index] = correction.label
        if not kept.any():
            raise DataError(f"every picture of {name} would be left out")
        images = split.images if kept.all() else split.images[kept]
        identity = f"{split.identity}; {len(mine)} labels corrected"
        parts[name] = replace(
            split,
            images=images,
            labels=labels[kept],
            identity=identity,
            weights=None if split.weights is None else split.weights[kept],
        )
    return replace(loaded, train=parts["train"], val=parts.get("val"), test=parts["test"])


def write(data: Dataset, folder: Path) -> Path:
    """The folder, which now holds the data set as `lenet data import` stores it.

    Raises DataError where something of that name is there: nothing is overwritten.
    """
    folder = Path(os.path.abspath(folder))
    source = of_dataset(Path(data.source), f"a copy of {data.name}", data)
    return store(source, folder.name, folder.parent, Shares(val=0.0))  # no part more


def write_findings(doubted: Doubted, folder: Path) -> list[Path]:
    """Write the table and the sheet into a folder; returns their paths, the table's first."""
    from lenet.drawing import figures
    from lenet.drawing.doubt_sheet import MOST, doubt_sheet
    from lenet.language.asked import known_language

    classes = doubted.data.train.classes
    first, language = doubted.pictures[:MOST], known_language(None)
    sheet = doubt_sheet(
        [parts_of(doubted.data)[picture.part].images[picture.index] for picture in first],
        [
            (
                figures.said(f"{picture.part} {picture.index}", language),
                classes[picture.label],
                f"→ {classes[picture.suggested]}",
            )
            for picture in first
        ],
        title=figures.said(
            f"{doubted.data.name}: doubtful labels, and what the pictures are more like", language
        ),
    )
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "doubt.csv"
    write_atomically(table, to_csv(doubted).encode())
    return [table, figures.save(sheet, folder / "doubt.png")]
