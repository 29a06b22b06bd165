"""Names that people type: found whatever their case, and the nearest one for a mistyped name."""

from __future__ import annotations

from collections.abc import Iterable


def known_as(name: object, known: Iterable[str]) -> str | None:
    """The known name that is meant, whatever the case and the hyphens; None where there is none.

    >>> known_as("LeNet_Max", ["lenet", "lenet-max"]), known_as("vgg", ["lenet"])
    ('lenet-max', None)
    """
    if not isinstance(name, str):  # a program's slip: it is no name at all
        return None
    known = tuple(known)
    if name in known:
        return name
    same = [candidate for candidate in known if _plain(candidate) == _plain(name)]
    return same[0] if len(same) == 1 else None


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """ "did you mean …? " for a name that is nearly one of the known ones, else nothing.

    Near is what a slip of the fingers makes of a name, a part of it, or its initials; a name that
    only shares some letters with a known one is another name.

    >>> did_you_mean("Fashion_MNITS", ["mnist", "fashion-mnist"])
    'did you mean fashion-mnist? '
    >>> did_you_mean("lr", ["epochs", "schedule.learning_rate"])
    'did you mean schedule.learning_rate? '
    >>> did_you_mean("resnet18", ["lenet", "mlp"])
    ''
    """
    if not isinstance(name, str):
        return ""
    wanted = _plain(name)
    if not wanted.strip():
        return ""
    found = [(_distance_of_names(wanted, _plain(candidate)), candidate) for candidate in known]
    near = [(distance, candidate) for distance, candidate in found if distance is not None]
    return f"did you mean {min(near, key=lambda pair: pair[0])[1]}? " if near else ""


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")


def _distance_of_names(wanted: str, candidate: str) -> float | None:
    """How far a known name is from what was typed; None where it is another name."""
    if len(wanted) > 100:  # no name of ours; and the table below would grow with its square
        return None
    typed = _typing_distance(wanted, candidate)
    if typed <= (1 if min(len(wanted), len(candidate)) < 8 else 2):
        return typed
    parts = candidate.split(".")
    if wanted.split(".")[-1] == parts[-1] or wanted == parts[0]:  # of a dotted key, one part
        return 5.0
    initials = "".join(word[0] for word in parts[-1].split("-") if word)
    if len(initials) > 1 and wanted.split(".")[-1] == initials:
        return 6.0
    shorter, longer = sorted((wanted, candidate), key=len)
    begun = len(shorter) > 2 and longer.startswith(shorter)  # "training" for "train"
    return 7.0 if begun else None


def _typing_distance(one: str, other: str) -> int:
    """How many letters were left out, added, replaced or exchanged with their neighbour."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, letter_there in enumerate(other, 1):
            steps = [before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != letter_there)]
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == letter_there:
                steps.append(earlier[j - 2] + 1)
            row.append(min(steps))
    return row[-1]
