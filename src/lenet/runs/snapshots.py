"""Snapshots of a training: its weights at the start and at every reading, to look back at.

    RUN/snapshots/step-0000470.safetensors      a network with its weights, as model.safetensors

They are not needed to go on, and cost little: never more than 120 files or 64 MB. When there would
be more, every second one goes, and from then on only every second reading leaves one; the last
is always there. So which ones there are depends on nothing but how many readings there were.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from lenet.files import discard, remove_unfinished, write_atomically
from lenet.network.parameters import Parameters, State
from lenet.network.weights import pack_network
from lenet.runs.run import Run
from lenet.training import Callbacks, Outcome, Reading

MOST_FILES = 120
MOST_BYTES = 64_000_000
NAME = re.compile(r"step-(\d{7,12})\.safetensors")


def folder_of(run: Path) -> Path:
    """Where a run's snapshots lie; the folder is there only if it was asked for."""
    return run / "snapshots"


def path_of(run: Path, step: int) -> Path:
    """The file of the snapshot after so many steps."""
    return folder_of(run) / f"step-{step:07}.safetensors"


def steps(run: Path) -> list[int]:
    """After how many steps there is a snapshot, ascending; none where none were asked for."""
    try:
        names = [path.name for path in folder_of(run).iterdir()]
    except OSError:
        return []
    return sorted(int(match[1]) for name in names if (match := NAME.fullmatch(name)))


def kept(readings: int, limit: int) -> list[int]:
    """Which readings have a snapshot after so many of them, 0 being the start of the training.

    At most ``limit``: every one, every second, every fourth …, and the last.

    >>> kept(3, limit=4), kept(4, limit=4), kept(7, limit=4)
    ([0, 1, 2, 3], [0, 2, 4], [0, 4, 7])
    """
    if limit < 2:
        return [readings][:limit]
    stride = 1
    while readings > stride * (limit - 1):
        stride *= 2
    return sorted({*range(0, readings + 1, stride), readings})


def keep_snapshots(
    run: Run, state: Callable[[], State]
) -> tuple[Callbacks, Callable[[Outcome], None]]:
    """What fit() must call to keep a run's snapshots, and what is to be called with its outcome.

    ``state`` gives the engine's weights. Those of later than the run's start, left by a training
    that was given up, are removed. Both functions raise OSError where there is no space.
    """
    folder = folder_of(run.folder)
    folder.mkdir(exist_ok=True)
    remove_unfinished(folder)
    begun = run.start.state.step
    for step in steps(run.folder):
        if step > begun:
            discard(path_of(run.folder, step))
    reached = [0, *(reading.step for reading in run.earlier)]  # the steps of the readings
    # every file is as large as the first, but for the digits of a header that has none
    limit = min(MOST_FILES, MOST_BYTES // len(pack_network(run.network, run.start.state.weights)))

    def write(weights: Parameters) -> None:
        wanted = {reached[reading] for reading in kept(len(reached) - 1, limit)}
        for step in steps(run.folder):
            if step not in wanted:
                discard(path_of(run.folder, step))
        if reached[-1] in wanted:
            content = pack_network(run.network, weights)
            write_atomically(path_of(run.folder, reached[-1]), content, durable=False)

    def on_reading(reading: Reading) -> None:
        reached.append(reading.step)
        write(state().weights)

    def on_outcome(outcome: Outcome) -> None:
        if outcome.finished:  # early stopping may have gone back to earlier weights
            write(outcome.weights)

    if begun == reached[-1]:
        write(run.start.state.weights)
    return Callbacks(on_reading=on_reading), on_outcome
