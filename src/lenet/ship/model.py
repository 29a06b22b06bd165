"""A trained network with all that a prediction needs: ``lenet.load``.

Pictures go in as uint8, probabilities come out; a photograph is prepared as the data set was.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet import engines, runs
from lenet.data import preparation as preparing
from lenet.data.idx import UInt8
from lenet.data.picture_pixels import pixels_of, read_pixels
from lenet.data.preparation import Preparation, PreparationError
from lenet.engines import Engine
from lenet.files import as_path
from lenet.network.architecture import Network
from lenet.network.parameters import Parameters
from lenet.network.weights import WeightsError
from lenet.training import calibration as calibrating
from lenet.training.calibration import Calibration, CalibrationError

NONE_OF_THESE: Final = "none of these"


@dataclass(frozen=True)
class Prediction:
    """What a picture is, the most probable class first."""

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]  # each from 0 to 1
    known: bool  # False: the picture is none of the network's classes

    @property
    def answer(self) -> str:
        """The most probable class, or "none of these"."""
        return self.classes[0] if self.known else NONE_OF_THESE


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network: call it with uint8 pictures, it returns probabilities.

    Thread-safe only as far as its engine is: give each thread a model of its own.
    """

    network: Network
    parameters: Parameters
    preparation: Preparation
    calibration: Calibration
    source: str  # where it was loaded from
    threads: int | None = None  # all there are

    @cached_property
    def engine(self) -> Engine:
        """What computes it, with its weights. Raises EngineError where nothing here can."""
        return engines.with_weights(self.network, self.parameters, self.threads, device="cpu")

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities."""
        return self.network.classes

    def __call__(self, images: Any) -> NDArray[np.float32]:
        """The probability of each class, (n, classes), rows adding up to one.

        ``images`` are uint8 (n, channels, height, width), (n, height, width), or one picture of
        these, of the network's own size and ground: see ``prepare`` for photographs.
        Raises ValueError for others.
        """
        return calibrating.probabilities(self.logits(images), self.calibration)

    def logits(self, images: Any) -> NDArray[np.float32]:
        """The network's outputs (n, classes). ``images`` as ``__call__`` takes them."""
        return self.engine.logits(self._batch(images))

    def known(self, images: Any) -> NDArray[np.bool_]:
        """Which pictures (n,) are of the classes; the others are "none of these"."""
        return calibrating.known(self.logits(images), self.calibration)

    def prepare(self, picture: Any, ground: str = "auto") -> UInt8:
        """The picture (channels, height, width) that the network sees of a photograph.

        ``picture`` is a file's path, an uint8 array (h, w) or (h, w, channels), or one of Pillow.
        ``ground`` "light" or "dark" is what lies behind its subject, where "auto" errs.
        Raises PictureFileError for what is no picture, PreparationError for an empty one.
        """
        return preparing.prepare(_pixels(picture), self.preparation, ground)

    def predict(self, picture: Any, top: int | None = None, ground: str = "auto") -> Prediction:
        """What one photograph is: the ``top`` most probable classes, or all.

        ``picture`` and ``ground`` are as ``prepare`` takes them, and it raises as ``prepare``.
        """
        return self.predictions(self.prepare(picture, ground), top)[0]

    def predictions(self, images: Any, top: int | None = None) -> list[Prediction]:
        """What pictures of the network's own size are. ``images`` as ``__call__`` takes them."""
        if top is not None and (type(top) is not int or top < 1):
            raise ValueError(f"top is {top!r:.80}, must be a whole number, at least 1")
        logits = self.logits(images)
        shares = calibrating.probabilities(logits, self.calibration)
        known = calibrating.known(logits, self.calibration)
        # by logits: probabilities of 1 and of 0 are equal among each other
        order = np.argsort(-logits, axis=1, kind="stable")[:, :top]
        return [
            Prediction(
                tuple(self.classes[index] for index in ranks),
                tuple(float(row[index]) for index in ranks),
                bool(is_known),
            )
            for ranks, row, is_known in zip(order, shares, known, strict=True)
        ]

    def _batch(self, images: Any) -> UInt8:
        array = np.asarray(images)
        channels, height, width = self.network.input_shape
        shape = array.shape
        if array.dtype == np.uint8 and shape[-2:] == (height, width):
            if len(shape) == 4 and shape[1] == channels:
                return array
            if len(shape) == 3 and channels == 1:
                return array[:, None]
            if len(shape) == 3 and shape[0] == channels:
                return array[None]
            if len(shape) == 2 and channels == 1:
                return array[None, None]
        raise ValueError(
            f"images are {array.dtype} {shape}; network {self.network.name!r} takes uint8 "
            f"(n, {channels}, {height}, {width}). Model.prepare makes such a picture of a "
            "photograph"
        )


def load(path: str | os.PathLike[str], threads: int | None = None) -> Model:
    """The model of a run's folder, or of a model.safetensors.

    A file that says nothing of preparation or calibration gets the usual ones. Raises RunError or
    WeightsError for a damaged one, EngineError where no engine here computes it.
    """
    where = Path(os.path.expanduser(as_path(path, "path")))
    network, parameters, notes = runs.load_model_and_notes(where)
    try:
        name = _data_of(where)
        found = preparing.of_notes(notes, network.input_shape, network.classes, name)
        calibration = calibrating.of_notes(notes)
    except (PreparationError, CalibrationError) as error:
        raise WeightsError(f"{where}: {error}") from None
    model = Model(network, parameters, found, calibration, str(where), threads)
    _ = model.engine  # better now than at the first picture
    return model


def notes_of(model: Model) -> dict[str, Any]:
    """Preparation and calibration as plain values, as a run keeps them beside its network."""
    return {
        "preparation": preparing.to_dict(model.preparation),
        "calibration": calibrating.to_dict(model.calibration),
    }


def _data_of(where: Path) -> str:
    """The name of the data set that a run was trained on; empty for a model of no run."""
    folder = where if where.is_dir() else where.parent
    if not (folder / "run.json").is_file():
        return ""
    return str(runs.read(folder, history=False).info["data"].get("name") or "")


def _pixels(picture: Any) -> UInt8:
    """The pixels of a file, of an array, or of Pillow's picture."""
    if isinstance(picture, str | os.PathLike):
        return read_pixels(as_path(picture, "picture"))
    if hasattr(picture, "getexif"):
        return pixels_of(picture)
    array: UInt8 = np.asarray(picture)
    return array
