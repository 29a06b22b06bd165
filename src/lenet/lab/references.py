"""Names of models, as the page gives them: run:NAME, run:NAME@STEP, file:ID."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from lenet import runs
from lenet.data import DataError
from lenet.engines import EngineError
from lenet.lab import opened
from lenet.lab.datasets import Described, Shelf
from lenet.lab.errors import LabError
from lenet.lab.models import Model, accuracy, model
from lenet.lab.watching import Watched
from lenet.network import layer_text
from lenet.network.architecture import Network, Normalization, trace
from lenet.network.parameters import parameter_shapes
from lenet.network.weights import WeightsError, load_network_and_notes
from lenet.runs import checkpoints, snapshots

MOST_FILES: Final = 20  # opened ones in memory
MOST_READ: Final = 32  # models of runs in memory
MOST_BYTES: Final = 256 << 20  # of either, weights alone

K = TypeVar("K")


@dataclass(frozen=True)
class Asked:
    """What was said of a file that is opened: which network, which pictures."""

    network: str | None = None
    text: str | None = None
    data: str | None = None
    normalization: Normalization | None = None
    shape: tuple[int, int, int] | None = None


class Models:
    """The models that were read, and the files that were opened; threads may share it."""

    def __init__(self) -> None:
        self._read: OrderedDict[tuple[object, ...], Model] = OrderedDict()
        self._files: OrderedDict[str, Model] = OrderedDict()

    def of_run(self, watched: Watched, step: int | None) -> Model:
        """A run's weights as they are now, or its snapshot after so many steps.

        Raises LabError where there are none, RunError and WeightsError for damaged ones.
        """
        folder, asked = watched.folder, step
        title = watched.name if asked is None else f"{watched.name}, step {asked:,}"
        if step is None:
            step = _newest_snapshot(watched)
        files = [snapshots.path_of(folder, step)] if step is not None else _weights_of(folder)
        key = (title, watched.data.name, *map(_signature, files))
        found = self._read.get(key)
        if found is not None:
            return found
        if step is None:
            network, parameters, notes = runs.load_model_and_notes(folder)
        elif files[0].is_symlink() or not files[0].is_file():
            if asked is None and not os.path.lexists(files[0]):
                # the training removed it just now (`snapshots.kept`): there is a newer one
                return self.of_run(watched, None)
            raise LabError(404, f"{watched.name} has no snapshot after {step:,} steps any more")
        else:
            network, parameters, notes = load_network_and_notes(files[0])
        made = model(title, network, parameters, watched.data, notes)
        self._read[key] = made
        _trim(self._read, MOST_READ)
        return made

    def of_file(self, name: str) -> Model:
        """An opened file's model. Raises LabError where it is not, or no longer, in memory."""
        found = self._files.get(name)
        if found is None:
            raise LabError(404, "this file is not open any more; open it again")
        self._files.move_to_end(name)
        return found

    def open(
        self, name: str, content: bytes, asked: Asked, known: dict[str, Described], shelf: Shelf
    ) -> tuple[str, Model, str]:
        """The name of an opened file's model, the model, and how it was understood.

        Raises WeightsError where the file does not fit, ValueError for what was asked wrongly.
        """
        read = opened.read(name, content)
        network = _network_for(read, asked)
        parameters, how = opened.match(read, network)
        if asked.normalization is not None:
            network = replace(network, normalization=asked.normalization)
            trace(network)
        fitting = [each for each in known.values() if _fits(each, network) and each.here]
        if asked.data is not None:
            fitting = [each for each in fitting if each.name == asked.data]
            if not fitting:
                raise WeightsError(f"{asked.data} is not here, or not for network {network.name!r}")
        remarks = [*read.remarks, how]
        title = Path(name.replace("\\", "/")).name[:100]
        plain = model(title, network, parameters, None)
        described, remark = _best(plain, fitting, shelf)
        if remark:
            remarks.append(remark)
        own_classes = read.network is not None
        if described is not None and not own_classes:
            network = replace(network, classes=described.classes)
        made = model(title, network, parameters, described, read.notes)
        reference = hashlib.sha256(made.content + title.encode(errors="replace")).hexdigest()[:16]
        self._files[reference] = made
        self._files.move_to_end(reference)
        _trim(self._files, MOST_FILES)
        return reference, made, "; ".join(remarks)


def split_reference(reference: str, names: dict[str, Watched]) -> tuple[str, str, int | None]:
    """Kind, name and step of a reference. Raises LabError for one that is none.

    >>> split_reference("run:a@470", {})
    ('run', 'a', 470)
    """
    kind, _, name = reference.partition(":")
    if kind not in ("run", "file") or not name:
        raise LabError(404, f"{reference[:100]!r} is no model; write run:NAME, run:NAME@STEP")
    before, at, digits = name.rpartition("@")
    stepped = kind == "run" and at and digits.isascii() and digits.isdecimal() and len(digits) < 13
    if not stepped or name in names:
        return kind, name, None
    return kind, before, int(digits)


def _trim(kept: OrderedDict[K, Model], most: int) -> None:
    """Let the oldest models go where there are too many, or too large ones."""
    with suppress(KeyError):  # another thread may have let it go
        while len(kept) > most or (
            len(kept) > 1 and sum(len(each.content) for each in [*kept.values()]) > MOST_BYTES
        ):
            kept.popitem(last=False)


def _newest_snapshot(watched: Watched) -> int | None:
    """The step of a snapshot that is newer than what a run that is not finished was saved with."""
    steps = snapshots.steps(watched.folder)
    if watched.record.status == "finished" or not steps:
        return None
    saved = [checkpoints.step_of(path) for path in checkpoints.checkpoint_files(watched.folder)]
    return steps[-1] if steps[-1] > max(saved, default=-1) else None


def _weights_of(folder: Path) -> list[Path]:
    """The files on which a run's weights depend."""
    newest = checkpoints.checkpoint_files(folder)[-1:]
    return [folder / "run.json", folder / "model.safetensors", *newest]


def _signature(path: Path) -> tuple[str, int, int]:
    """Changes whenever the file does."""
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), status.st_mtime_ns, status.st_size


def _network_for(read: opened.Opened, asked: Asked) -> Network:
    """The network that a file's tensors are of: the one asked for, the file's, or the only one."""
    if asked.text is not None:
        layers = layer_text.parse(asked.text)
        shape = asked.shape or (1, 28, 28)
        described = Network("own", shape, layers, ("0", "1"))
        last = [s for n, s in parameter_shapes(described).items() if n.endswith(".bias")]
        count = last[-1][0] if last else 0
        if not 2 <= count <= 256:
            raise WeightsError(f"the network ends with {count} outputs; 2 to 256 classes are shown")
        described = replace(described, classes=tuple(map(str, range(count))))
        trace(described)
        return described
    if asked.network is not None:
        if read.network is not None and read.network.name == asked.network:
            return read.network
        return opened.fitted(read, asked.network, asked.shape)
    return read.network or opened.guess(read)


def _best(plain: Model, fitting: list[Described], shelf: Shelf) -> tuple[Described | None, str]:
    """The pictures that a file's model belongs to: those that it recognises best; and why."""
    measured: list[tuple[float, Described]] = []
    for described in fitting:
        try:
            measured.append((accuracy(plain, shelf, described), described))
        except (DataError, EngineError, ValueError):
            continue
    if not measured:
        return (fitting[0] if fitting else None), ""
    share, described = max(measured, key=lambda pair: pair[0])
    return described, f"recognises {share:.1%} of the test pictures of {described.title}"


def _fits(described: Described, network: Network) -> bool:
    same_size = len(described.classes) == len(network.classes)
    return described.shape == network.input_shape and same_size
