"""What the page asks of a model: its weights, its words, its answers, its numbers.

A model is one of a run as it is now, one of a run's snapshots, or a file that was opened. What
costs time is computed in a thread, once for the same weights and pictures, however many ask.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from lenet import engines
from lenet.data import DataError, Split, preparation
from lenet.engines import Engine, Position
from lenet.lab.datasets import Described, Shelf
from lenet.language.asked import LANGUAGES, Language
from lenet.looking.evaluation import predicted_by
from lenet.looking.explanations import explain
from lenet.looking.explanations import to_json as explanation_to_json
from lenet.network.architecture import Network, trace
from lenet.network.parameters import Parameters
from lenet.network.weights import WeightsError, pack_network
from lenet.training import calibration
from lenet.training.symptoms import saturated_share

BINS: Final = 32
MOST_REMEMBERED: Final = 64  # answers
MOST_NUMBERS: Final = 64_000_000  # of one batch's activations: 256 MB
EXPLAINED: Final = 256  # test pictures, as for lenet inspect --explain
THREADS: Final = 2  # that compute at once; a training needs its processors

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Model:
    """A network with weights, and the pictures that it belongs to."""

    title: str
    network: Network
    parameters: Parameters
    data: Described | None
    content: bytes  # as a safetensors file with the network in it, and what its file noted
    notes: Mapping[str, Any] = field(default_factory=dict)  # preparation and calibration

    @cached_property
    def key(self) -> str:
        """The same for the same network and weights."""
        return hashlib.sha256(self.content).hexdigest()


def model(
    title: str,
    network: Network,
    parameters: Parameters,
    described: Described | None,
    notes: Mapping[str, Any] = MappingProxyType({}),
) -> Model:
    """A model of these parts; ``notes`` are those of its file, a stranger's.

    Raises WeightsError where preparation or calibration in them are none.
    """
    known = {}
    try:
        if "preparation" in notes:
            own = preparation.of_notes(notes, network.input_shape, network.classes)
            known["preparation"] = preparation.to_dict(own)
        if "calibration" in notes:
            known["calibration"] = calibration.to_dict(calibration.of_notes(notes))
    except (preparation.PreparationError, calibration.CalibrationError) as error:
        raise WeightsError(f"{title}: {error}") from None
    content = pack_network(network, parameters, known)
    return Model(title, network, parameters, described, content, known)


class Answers:
    """What was computed, by a key; who asks for what is being computed waits for it."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[tuple[Any, ...], asyncio.Task[Any]] = OrderedDict()
        self._free = asyncio.Semaphore(THREADS)

    async def get(self, key: tuple[Any, ...], compute: Callable[[], T]) -> T:
        """What ``compute`` gives, in a thread, or gave for the same key before."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(self._compute(compute))
            task.add_done_callback(_take_note)
            self._tasks[key] = task
            while len(self._tasks) > MOST_REMEMBERED:
                self._tasks.popitem(last=False)  # whoever waits for it still gets it
        self._tasks.move_to_end(key)
        try:
            result: T = await asyncio.shield(task)  # others wait for it, too
        except Exception:
            if self._tasks.get(key) is task:
                del self._tasks[key]  # the data may be here the next time
            raise
        return result

    async def _compute(self, compute: Callable[[], T]) -> T:
        async with self._free:
            return await asyncio.to_thread(compute)


def _take_note(task: asyncio.Task[Any]) -> None:
    """Look at an error that nobody may wait for any more; asyncio would print it."""
    if not task.cancelled():
        task.exception()


# --- what is computed --------------------------------------------------------------------------


def predictions(asked: Model, shelf: Shelf) -> dict[str, Any]:
    """What the model says of every test picture, as base64 of arrays.

    ``labels`` and ``predicted`` uint8, ``probability`` (of the class predicted) and
    ``label_probability`` float32. Raises DataError, EngineError, or ValueError where the pictures
    are not the network's.
    """
    described = _described(asked)
    split = shelf.pictures(described.source).test
    if int(split.labels.max(initial=0)) >= len(asked.network.classes):
        raise DataError(f"{described.title} has more classes than network {asked.network.name!r}")
    with np.errstate(invalid="ignore"):  # a training that went wrong can be looked at
        seen = predicted_by(engine(asked), split, calibration.of_notes(asked.notes).temperature)
    return {
        "data": described.name,
        "count": len(split),
        "labels": _base64(split.labels.astype(np.uint8)),
        "predicted": _base64(seen.predicted.astype(np.uint8)),
        "probability": _base64(seen.probability.astype(np.float32)),
        "label_probability": _base64(seen.label_probability.astype(np.float32)),
    }


def accuracy(asked: Model, shelf: Shelf, described: Described) -> float:
    """The share of a data set's test pictures that the model recognises."""
    split = shelf.pictures(described.source).test
    return float((engine(asked).logits(split.images).argmax(axis=1) == split.labels).mean())


def explanation(asked: Model, shelf: Shelf, language: str) -> dict[str, Any]:
    """The network in words, with what training made of it where test pictures are here."""
    outputs = _outputs(asked, shelf)
    values = explanation_to_json(explain(asked.network, language, asked.parameters, outputs))
    return {
        "introduction": values["introduction"],
        "sections": values["layers"],
        "closing": values["closing"],
    }


def page(
    asked: Model,
    shelf: Shelf,
    language: Language,
    lessons: Sequence[Mapping[str, Any]],
    lean: bool = False,
) -> str:
    """The model as one HTML file, as ``lenet export --to html`` makes it. Raises DataError."""
    from lenet.lab.export import html

    described = _described(asked)
    outputs = _outputs(asked, shelf)
    explained = {
        spoken: explain(asked.network, spoken, asked.parameters, outputs) for spoken in LANGUAGES
    }
    pictures = shelf.pictures(described.source)
    return html.to_html(
        asked.title,
        asked.network,
        asked.parameters,
        described.title,
        pictures.test,
        explained,
        language,
        asked.notes,
        lessons=lessons,
        train=None if lean else pictures.training,
    )


def _outputs(asked: Model, shelf: Shelf) -> list[NDArray[np.float32]] | None:
    """What every layer makes of the first test pictures; None where they are not to be had."""
    try:
        images = shelf.pictures(_described(asked).source).test.images
        if images.shape[1:] != asked.network.input_shape:
            return None
        return engine(asked).activations(images[: pictures_at_once(asked.network)])
    except (DataError, engines.EngineError):
        return None


def statistics(asked: Model, shelf: Shelf) -> dict[str, Any]:
    """How the numbers of each layer are distributed over one batch of training pictures.

    ``layers``: ``index``, ``kind``, ``stage``, and ``activation``, ``gradient`` and ``weight``,
    each as ``distribution`` says or null (an activation with the share that is ``saturated``, null
    for layers that cannot be); ``examples``: how many pictures. Raises as
    ``predictions``.
    """
    batch = shelf.pictures(_described(asked).source).batch
    count = min(len(batch), pictures_at_once(asked.network))
    batch = Split(batch.images[:count], batch.labels[:count], batch.classes, batch.identity)
    computing = engine(asked)
    activations = computing.activations(batch.images)
    gradients = computing.gradients(batch.images, batch.labels, Position(0, 0, 0)).named()
    layers = []
    before = None  # what a layer takes; of the pictures themselves nothing is said
    for row, activation in zip(trace(asked.network), activations, strict=True):
        name = f"{row.index}.weight"
        weight, gradient = asked.parameters.get(name), gradients.get(name)
        layers.append(
            {
                "index": row.index,
                "kind": row.kind,
                "stage": row.stage,
                "activation": {
                    **distribution(activation),
                    "saturated": saturated_share(row.layer, before, activation),
                },
                "gradient": None if gradient is None else distribution(gradient),
                "weight": None if weight is None else distribution(weight),
            }
        )
        before = activation
    return {"examples": count, "layers": layers}


def distribution(values: NDArray[np.float32]) -> dict[str, Any]:
    """Mean, deviation, smallest and largest, the share that is zero, and a histogram of them.

    The histogram's 32 bins have equal widths from the smallest to the largest. Numbers that are
    not finite are left out; null where nothing is left.
    """
    flat = values.reshape(-1)
    finite = flat[np.isfinite(flat)].astype(np.float64)
    if not len(finite):
        empty = dict.fromkeys(("mean", "deviation", "minimum", "maximum", "zero"))
        return {**empty, "counts": [0] * BINS}
    low, high = float(finite.min()), float(finite.max())
    around = (low - 0.5, high + 0.5) if low == high else (low, high)
    counts, _ = np.histogram(finite, BINS, around)
    return {
        "mean": float(finite.mean()),
        "deviation": float(finite.std()),
        "minimum": low,
        "maximum": high,
        "zero": float((finite == 0).mean()),
        "counts": counts.tolist(),
    }


def engine(asked: Model) -> Engine:
    """An engine with the model's weights, on one thread. Raises EngineError."""
    return engines.with_weights(asked.network, asked.parameters, threads=1, device="cpu")


def pictures_at_once(network: Network) -> int:
    """How many pictures' activations fit in memory, at most those that an explanation takes."""
    units = sum(math.prod(row.output_shape) for row in trace(network))
    return max(1, min(EXPLAINED, MOST_NUMBERS // units))


def _described(asked: Model) -> Described:
    if asked.data is None:
        raise DataError(f"no data set here has pictures and classes as {asked.title} needs them")
    return asked.data


def _base64(values: NDArray[Any]) -> str:
    # little-endian wherever this runs: so the page reads it
    return base64.b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode()
