"""What is in a data set: counts and balance, sizes and modes, duplicates, unreadable files."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from lenet.data.duplicates import Duplicates, Pair, find_duplicates
from lenet.data.picture_reading import Findings
from lenet.data.split import Dataset
from lenet.untrusted import plain

MOST_LISTED: Final = 10_000  # unreadable files
MOST_KINDS: Final = 12  # sizes and modes
UNEQUAL: Final = 3.0  # times as many pictures of one class as of another, and it is said
FEW: Final = 20  # training pictures of a class


@dataclass(frozen=True)
class Report:
    """All that ``lenet data report`` says."""

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    counts: dict[str, list[int]]  # part -> pictures of each class
    duplicates: Duplicates
    sizes: dict[str, int]  # "640×480" -> files, the most frequent ones
    modes: dict[str, int]  # "RGB JPEG" -> files
    unreadable: tuple[tuple[str, str], ...]  # a file, and why
    left_out: int  # how many there are


def make_report(loaded: Dataset, findings: Findings | None = None) -> Report:
    """The report of a data set; ``findings`` are what was met while its files were read."""
    found = findings or Findings()
    splits = {"train": loaded.train, "val": loaded.val, "test": loaded.test}
    classes = loaded.train.classes
    held = {part: split for part in ("val", "test") if (split := splits[part]) is not None}
    channels, height, width = loaded.train.images.shape[1:]
    return Report(
        loaded.name,
        classes,
        (channels, height, width),
        {
            part: np.bincount(split.labels, minlength=len(classes)).tolist()
            for part, split in splits.items()
            if split is not None
        },
        find_duplicates(loaded.train, held),
        _most(found.sizes),
        _most(found.modes),
        tuple(found.unreadable[:MOST_LISTED]),
        len(found.unreadable),
    )


def _most(counted: Counter[str]) -> dict[str, int]:
    return dict(counted.most_common(MOST_KINDS))


def to_dict(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    return dataclasses.asdict(report)


def from_dict(values: Any) -> Report:
    """The report that ``to_dict`` described. Raises ValueError, KeyError or TypeError for none."""
    twice = values["duplicates"]
    pairs = tuple(
        Pair(_place(pair["first"]), _place(pair["second"]), tuple(map(int, pair["labels"])))  # type: ignore[arg-type]
        for pair in twice["pairs"]
    )
    return Report(
        plain(str(values["name"])),
        tuple(plain(str(name)) for name in values["classes"]),
        tuple(map(int, values["shape"])),  # type: ignore[arg-type]
        {plain(part): list(map(int, row)) for part, row in values["counts"].items()},
        Duplicates(
            within_train=int(twice["within_train"]),
            exact_across=int(twice["exact_across"]),
            near_across=int(twice["near_across"]),
            contradictory=int(twice["contradictory"]),
            pairs=pairs,
            compared=_counted(twice["compared"]),
        ),
        _counted(values["sizes"]),
        _counted(values["modes"]),
        tuple((plain(str(file)), plain(str(why))) for file, why in values["unreadable"]),
        int(values["left_out"]),
    )


def _place(value: Any) -> tuple[str, int]:
    part, index = value
    return plain(str(part)), int(index)


def _counted(values: Any) -> dict[str, int]:
    return {plain(str(key)): int(value) for key, value in values.items()}


def remarks(report: Report) -> list[str]:
    """What deserves a look, a line each; nothing where all is well."""
    said = []
    train = np.array(report.counts["train"])
    low, high = int(train.min()), int(train.max())
    if high >= UNEQUAL * max(low, 1):
        names = report.classes[int(train.argmax())], report.classes[int(train.argmin())]
        said.append(
            f"classes are unequal: {high:,} training pictures of {names[0]}, {low:,} of {names[1]}"
        )
    if low < FEW:
        said.append(f"{report.classes[int(train.argmin())]} has {low:,} training pictures: few")
    twice = report.duplicates
    if twice.within_train:
        said.append(f"{_are(twice.within_train, 'training picture')} there more than once")
    if twice.exact_across:
        said.append(
            f"{_are(twice.exact_across, 'held-out picture')} among the training pictures, too: "
            "accuracy will look better than it is"
        )
    if twice.near_across:
        held = sum(count for part, count in twice.compared.items() if part != "train")
        said.append(
            f"{_are(twice.near_across, 'held-out picture')} nearly the same as a training picture "
            f"(compared: {held:,} with {twice.compared['train']:,})"
        )
    if twice.contradictory:
        pairs = "pair has" if twice.contradictory == 1 else "pairs have"
        said.append(f"{twice.contradictory:,} of these {pairs} two different labels")
    if report.left_out:
        said.append(f"{_are(report.left_out, 'file')} left out:")
        said += [f"  {name}: {why}" for name, why in report.unreadable[:20]]
        if report.left_out > 20:
            said.append(f"  and {report.left_out - 20:,} more (--json lists all)")
    return said


def _are(count: int, what: str) -> str:
    """ "1 file is", "2 files are"."""
    return f"{count:,} {what} is" if count == 1 else f"{count:,} {what}s are"
