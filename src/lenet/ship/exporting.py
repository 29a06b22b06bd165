"""lenet export: a run as a file or folder that others use, checked before it is kept.

Each function writes one format and says what it wrote, what was checked, and how to use it.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet import data, runs
from lenet.data import DataError, Split
from lenet.files import write_atomically
from lenet.network.weights import pack_network
from lenet.runs import RunRecord
from lenet.ship import model as models
from lenet.ship.model import Model

if TYPE_CHECKING:
    from lenet.looking.evaluation import Report

SHARE: Final = 0.001  # of the test pictures, in a parity file
FEWEST: Final = 10
MOST_TESTED: Final = 10_000  # test pictures that tell int8's accuracy
SELF_TEST_PICTURES: Final = 4
WEIGHTS: Final = "model.safetensors"


class ExportError(ValueError):
    """What cannot be exported so; the message says why and what to do."""


@dataclass(frozen=True)
class Exported:
    """What was written, what is known of it, and how it is used."""

    paths: tuple[Path, ...]  # what was asked for comes first
    remarks: tuple[str, ...]
    snippet: str  # how to use it, as it runs in the folder that ``paths`` are named from
    language: str  # of the snippet: "python", "c" or "sh"


@dataclass(frozen=True, eq=False)
class Subject:
    """A run or a file of weights that is exported."""

    name: str
    model: Model
    record: RunRecord | None
    pictures: data.Dataset | None  # those that it was trained on, where they are to be had
    why_none: str = ""

    def test_pictures(self, count: int | None = None) -> NDArray[np.uint8]:
        """A random 0.1% of the test pictures, at least ten; noise where there are none."""
        shape = self.model.network.input_shape
        random = np.random.default_rng(0)
        if self.pictures is None:
            return random.integers(0, 256, (count or FEWEST, *shape), np.uint8)
        images = self.pictures.test.images
        wanted = count or max(FEWEST, round(SHARE * len(images)))
        chosen = random.choice(len(images), min(wanted, len(images)), replace=False)
        return np.ascontiguousarray(images[np.sort(chosen)])

    def training_pictures(self, count: int) -> NDArray[np.uint8]:
        """Training pictures to calibrate on: those of the test choose nothing."""
        if self.pictures is None:
            raise ExportError(
                f"--quantize int8 needs training pictures of {self.name}, to see how large the "
                f"values between its layers become: {self.why_none}"
            )
        images = self.pictures.train.images
        chosen = np.random.default_rng(0).permutation(len(images))[:count]
        return np.ascontiguousarray(images[np.sort(chosen)])


def subject(path: Path, data_dir: Path | None = None, *, pictures: bool = True) -> Subject:
    """The run or model.safetensors at a path, its pictures with it where they are to be had.

    Raises RunError or WeightsError for a damaged one, EngineError where no engine computes it.
    """
    model = models.load(path)
    folder = path if path.is_dir() else path.resolve().parent
    record = runs.read(folder) if (folder / "run.json").is_file() else None
    if not path.is_dir() and record is not None and path.name != WEIGHTS:
        record = None  # some other file that lies there
    name = (
        path.resolve().name
        if path.is_dir()
        else record.folder.resolve().name
        if record
        else path.stem
    )
    if record is None:
        return Subject(name, model, None, None, f"{path} lies in no run's folder")
    if not pictures:
        return Subject(name, model, record, None)
    try:
        return Subject(name, model, record, data.load(record.recipe.data, data_dir))
    except DataError as error:
        if data_dir is not None:  # it was asked for
            raise
        return Subject(name, model, record, None, str(error))


# --- onnx --------------------------------------------------------------------------------------


def to_onnx(what: Subject, path: Path, int8: bool) -> Exported:
    """Write an ONNX model and its parity file, both checked by onnxruntime first."""
    from lenet.ship import onnx

    content = onnx.to_onnx(what.model).SerializeToString()
    float32 = onnx.session(content)
    pictures = what.test_pictures()
    apart = onnx.check(float32, what.model, pictures)
    checked = f"checked: onnxruntime's logits differ by at most {apart:.1e} from those here"
    remarks = [f"{checked} ({_of(what, pictures)})"]
    loaded = float32
    if int8:
        training = what.training_pictures(onnx.CALIBRATION_PICTURES)
        with tempfile.TemporaryDirectory(prefix="lenet-onnx-") as folder:
            source, target = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
            source.write_bytes(content)
            onnx.quantize(source, target, training)
            content = target.read_bytes()
        loaded = onnx.session(content)
        remarks.append(_accuracies(what, lambda images: onnx.compute(loaded, images)["logits"]))
    expected = onnx.compute(loaded, pictures)
    paths = (path, path.with_suffix(".parity.npz"))
    write_atomically(path, content)
    write_atomically(paths[1], _npz(pictures=pictures, **expected))
    remarks.append(f"{paths[1].name} holds {_of(what, pictures)} and what must come out")
    snippet = f"""\
import numpy, onnxruntime
session = onnxruntime.InferenceSession({str(path)!r})
pictures = numpy.load({str(paths[1])!r})["pictures"]  # uint8 {_shape(what.model)}
probabilities, known = session.run(["probabilities", "known"], {{"pictures": pictures}})
"""
    return Exported(paths, tuple(remarks), snippet, "python")


# --- c -----------------------------------------------------------------------------------------


def to_c(what: Subject, path: Path, int8: bool) -> Exported:
    """Write one C header; where a C compiler is here, it is compiled and compared first."""
    from lenet.ship.c import compiled, header, quantized

    model = what.model
    pictures = what.test_pictures()
    small, remarks = None, []
    if int8:
        training = what.training_pictures(quantized.CALIBRATION_PICTURES)
        small = quantized.quantize(model.network, model.parameters, training)
        remarks.append(_accuracies(what, small.logits))
    text = header.write(model, path.name, pictures[:SELF_TEST_PICTURES], small)
    remarks.append(header.needs(model, small))
    if compiled.compiler() is None:
        remarks.append("not checked: there is no C compiler here")
    else:
        expected = (model if small is None else small).logits(pictures)
        try:
            apart = compiled.check(text, pictures, expected)
        except compiled.CompileError as error:  # such as one without its own headers
            remarks.append(f"not checked: it does not compile here: {error}")
        else:
            remarks.append(
                f"checked: compiled here, its logits differ by at most {apart:.1e} from "
                f"LeNet's ({_of(what, pictures)})"
            )
    write_atomically(path, text.encode("ascii"))
    return Exported((path,), tuple(remarks), header.example(model.network, path.name), "c")


# --- torch -------------------------------------------------------------------------------------


def to_torch(what: Subject, folder: Path) -> Exported:
    """Write a folder with PyTorch source and a state dict in safetensors."""
    from lenet.ship import torch_source

    text = torch_source.source(what.model, WEIGHTS)
    folder.mkdir(parents=True, exist_ok=True)
    paths = (folder / "model.py", folder / WEIGHTS)
    write_atomically(paths[0], text.encode())
    write_atomically(paths[1], _weights(what.model))
    snippet = f"""\
import sys
import torch
sys.path.insert(0, {str(folder)!r})
import model
network = model.load({str(paths[1])!r})
pictures = torch.zeros({_shape(what.model)}, dtype=torch.uint8)
probabilities = network(pictures)
""".replace("(n, ", "(1, ")
    return Exported((folder, *paths), (), snippet, "python")


# --- tensorboard -------------------------------------------------------------------------------


def to_tensorboard(what: Subject, folder: Path) -> Exported:
    """Write a folder with the run's history as an event file."""
    from lenet.ship import tensorboard

    if what.record is None:
        raise ExportError(f"--to tensorboard needs a run's history: {what.why_none}")
    content = tensorboard.event_file(what.record)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / tensorboard.file_name(what.record)
    write_atomically(path, content)
    remark = f"{len(what.record.history):,} readings: loss, accuracy, speed"
    return Exported((folder, path), (remark,), f"tensorboard --logdir {folder}\n", "sh")


# --- card --------------------------------------------------------------------------------------


def to_card(what: Subject, folder: Path) -> Exported:
    """Write a folder as model hubs want it: card, weights, description, ONNX. Nothing is sent."""
    from lenet.looking import evaluation
    from lenet.ship import card, onnx

    content = onnx.to_onnx(what.model).SerializeToString()
    loaded = onnx.session(content)
    pictures = what.test_pictures()
    onnx.check(loaded, what.model, pictures)
    report: Report | None = None
    if what.pictures is not None:
        report = evaluation.evaluate(what.model.network, what.model.parameters, what.pictures.test)
    snippet = """\
import numpy, onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
pictures = numpy.load("parity.npz")["pictures"]  # uint8 SHAPE
probabilities, known = session.run(["probabilities", "known"], {"pictures": pictures})
""".replace("SHAPE", _shape(what.model))
    text = card.text(what.model, what.name, snippet.rstrip(), what.record, report)
    written = {
        "README.md": text.encode(),
        WEIGHTS: _weights(what.model),
        "config.json": (json.dumps(card.config(what.model), indent=2) + "\n").encode(),
        "model.onnx": content,
        "parity.npz": _npz(pictures=pictures, **onnx.compute(loaded, pictures)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, its_content in written.items():
        write_atomically(folder / name, its_content)
    paths = (folder, *(folder / name for name in written))
    here = snippet.replace('"model.onnx"', repr(str(folder / "model.onnx")))
    here = here.replace('"parity.npz"', repr(str(folder / "parity.npz")))
    remark = "nothing was sent anywhere: read README.md, say whose it is, then upload the folder"
    return Exported(paths, (remark,), here, "python")


# --- all of them -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Format:
    """How a format's file or folder is called, and who writes it."""

    ending: str  # after the run's name
    int8: bool  # whether --quantize int8 is there
    write: Callable[..., Exported]
    pictures: bool = True  # whether it needs the run's pictures


FORMATS: Final = MappingProxyType(
    {
        "onnx": Format(".onnx", True, to_onnx),
        "c": Format(".h", True, to_c),
        "torch": Format("-torch", False, to_torch, pictures=False),
        "tensorboard": Format("-tensorboard", False, to_tensorboard, pictures=False),
        "card": Format("-card", False, to_card),
    }
)


def _accuracies(what: Subject, logits: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> str:
    """How good the network is in float32, and how good in int8, on all test pictures."""
    assert what.pictures is not None  # there were some to calibrate on
    test: Split = what.pictures.test
    images, labels = test.images[:MOST_TESTED], test.labels[:MOST_TESTED]
    before, after = (
        float((function(images).argmax(axis=1) == labels).mean())
        for function in (what.model.logits, logits)
    )
    return (
        f"accuracy on {len(labels):,} test pictures: {before:.4f} in float32, {after:.4f} in int8 "
        f"({100 * (after - before):+.2f} points)"
    )


def _of(what: Subject, pictures: NDArray[np.uint8]) -> str:
    kind = "test pictures" if what.pictures else "pictures of noise, as its own are not here"
    return f"{len(pictures)} {kind}"


def _shape(model: Model) -> str:
    return f"(n, {', '.join(map(str, model.network.input_shape))})"


def _weights(model: Model) -> bytes:
    """The weights as a run's own file holds them."""
    return pack_network(model.network, model.parameters, models.notes_of(model))


def _npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
