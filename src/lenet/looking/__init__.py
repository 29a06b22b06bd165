"""Looking inside a network or a run: the functions of ``lenet`` and of ``lenet inspect``.

Each takes a run's folder, a model.safetensors, the name of a network, or what ``lenet.train``,
``lenet.load`` or ``lenet.build`` returned, and returns data that prints itself and that a notebook
shows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lenet import data, engines, runs
from lenet.data import arrays
from lenet.data import preparation as preparing
from lenet.data.preparation import Preparation
from lenet.files import as_path, write_atomically
from lenet.language.asked import known_language
from lenet.language.finding import told
from lenet.looking import convolution_kernels as kernel_numbers
from lenet.looking import diagrams, evaluation
from lenet.looking import explanations as words
from lenet.looking import feature_maps as maps_of_picture
from lenet.looking import parameter_statistics as numbers
from lenet.looking.convolution_kernels import Kernels
from lenet.looking.diagrams import Diagram
from lenet.looking.explanations import Explanation
from lenet.looking.feature_maps import Features
from lenet.looking.parameter_statistics import Statistics
from lenet.looking.reliability import Reliability
from lenet.network import zoo
from lenet.network.architecture import Network
from lenet.network.parameters import Parameters, initialize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenet.data import Split
    from lenet.looking.evaluation import Mistake, Report
    from lenet.runs import RunRecord

PICTURES_MEASURED = 256  # of the test set, for what an explanation says of a run


@runtime_checkable
class Loaded(Protocol):
    """What ``lenet.load`` returns, which a higher room makes."""

    @property
    def network(self) -> Network: ...

    @property
    def parameters(self) -> Parameters: ...

    @property
    def preparation(self) -> Preparation: ...

    @property
    def source(self) -> str: ...


if TYPE_CHECKING:
    Model = Network | RunRecord | Loaded | str | os.PathLike[str]


@dataclass(frozen=True)
class Subject:
    """What is looked at: a network with weights, and the run that they are from."""

    network: Network
    parameters: Parameters
    folder: Path | None  # of the run; None for a network that was not trained
    remark: str = ""  # where the weights are only the first ones, or have learnt nothing: that
    notes: Mapping[str, Any] = field(default_factory=dict)  # of the file, a stranger's

    def test_split(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        download: bool = True,
        progress: bool = False,
    ) -> Split | None:
        """The run's test pictures; None where there is no run. Raises DataError."""
        if self.folder is None or not (self.folder / "run.json").exists():
            return None
        name = runs.read(self.folder).recipe.data
        return data.load(name, data_dir, download=download, progress=progress).test

    def preparation(self) -> Preparation:
        """How a photograph becomes a picture of the network's. Raises PreparationError."""
        name = ""
        if self.folder is not None and (self.folder / "run.json").exists():
            name = str(runs.read(self.folder, history=False).info["data"].get("name") or "")
        network = self.network
        return preparing.of_notes(self.notes, network.input_shape, network.classes, name)


def open_subject(model: Model) -> Subject:
    """The network and weights of a run's folder or a model file; else a network's first weights.

    Raises RunError or WeightsError for a damaged run, ValueError for an unknown name.
    """
    if isinstance(model, Network):
        return _untrained(model)
    if isinstance(model, runs.RunRecord):
        model = model.folder
    if isinstance(model, Loaded):
        path = Path(model.source)
        folder = path.parent if path.is_file() else path
        notes = {"preparation": preparing.to_dict(model.preparation)}
        return Subject(model.network, model.parameters, folder, ending(folder), notes)
    path = as_path(model, "model")
    if os.fspath(model) not in zoo.NETWORKS and path.exists():
        network, parameters, notes = runs.load_model_and_notes(path)
        folder = path if path.is_dir() else path.parent
        return Subject(network, parameters, folder, ending(folder), notes)
    if path.parent != Path():  # the name of no network
        raise ValueError(f"{path} does not exist; 'lenet runs' lists your runs")
    return _untrained(zoo.build(os.fspath(model)))


def ending(folder: Path) -> str:
    """The last remark of a run, for the terminal; empty where the folder is none."""
    if not (folder / "run.json").exists():
        return ""
    remark = runs.read(folder).remark
    return f"{told('about this run')}\n{told(remark)}" if remark else ""


def _untrained(network: Network) -> Subject:
    scheme = "lecun" if network.name in zoo.FROM_1989_TO_1998 else "xavier"
    remark = f"{network.name} is not trained: these are first weights ({scheme}, seed 0)"
    return Subject(network, initialize(network, scheme, 0), None, remark)


# --- the public functions ----------------------------------------------------------------------


def diagram(model: Model) -> Diagram:
    """The network drawn as the classic LeNet figure, as SVG."""
    return diagrams.diagram(open_subject(model).network)


def kernels(model: Model) -> Kernels:
    """Every kernel of every convolution. Raises NoKernelsError where there are none."""
    subject = open_subject(model)
    return kernel_numbers.kernels(subject.network, subject.parameters)


def statistics(model: Model) -> Statistics:
    """Shapes, first values, statistics and histograms of every parameter."""
    subject = open_subject(model)
    return numbers.statistics(subject.network, subject.parameters)


def evaluate(
    model: Model,
    parameters: Parameters | None = None,
    split: Split | tuple[Any, Any] | None = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Report:
    """How good a model is: loss, accuracy, each class, what is mistaken for what.

    Without ``split``, on the test pictures of its run; else on that Split, or on two arrays
    ``(images, labels)``. ``parameters`` are for a network that has none.

    Raises ValueError for a network without weights or pictures, DataError where the run's pictures
    are not here, ArchitectureError where they are not the network's, EngineError where no engine
    computes it.
    """
    if parameters is None:
        subject = open_subject(model)
        if subject.folder is None:
            raise ValueError(f"{subject.remark}; give a run, or parameters")
    elif not isinstance(parameters, Mapping):
        raise ValueError(
            f"parameters is a {type(parameters).__name__}; give a dict of arrays, as "
            "lenet.load_model returns it. Pictures are given by split=(images, labels)"
        )
    elif isinstance(model, Network):
        subject = Subject(model, parameters, None)
    else:
        raise ValueError(
            f"parameters go with a Network; a {type(model).__name__} has its own: leave them out"
        )
    network = subject.network
    if isinstance(split, tuple | list) and len(split) == 2:
        split = arrays.split(*split, network.classes)
    elif split is not None and not isinstance(split, data.Split):
        raise ValueError(
            f"split is a {type(split).__name__}; give two arrays, split=(images, labels), or a "
            "part of a data set, such as lenet.load_data(name).test"
        )
    if split is None:
        split = subject.test_split(data_dir)
    if split is None:
        raise ValueError(
            f"network {network.name!r} is of no run, which would have test pictures: give "
            "split=(images, labels)"
        )
    return evaluation.evaluate(network, subject.parameters, split, threads)


def features(
    model: Model,
    picture: int | str | NDArray[Any] | os.PathLike[str],
    *,
    language: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> Features:
    """What every layer makes of a picture.

    ``picture`` is an index into the run's test pictures, "CLASS:n" for the n-th of a class, a
    picture's file, or its pixels: an array or nested lists (height, width), (channels, height,
    width) or (height, width, channels), or a picture that Pillow has opened.

    Raises PictureError where there is no such picture, DataError where the run's data is not here,
    EngineError where no engine computes the network.
    """
    return _features(open_subject(model), picture, language, data_dir, progress=False)


def explain(
    model: Model,
    language: str | None = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
) -> Explanation:
    """Each layer in words, "en" or "zh" (else as the environment says); of a run, with what
    training made of it, where its test pictures are here."""
    return _explain(open_subject(model), language, data_dir)


def _features(
    subject: Subject,
    picture: int | str | NDArray[Any] | os.PathLike[str],
    language: str | None,
    data_dir: str | os.PathLike[str] | None,
    progress: bool,
) -> Features:
    if arrays.is_array(picture):
        found = maps_of_picture.Picture(arrays.picture(picture), "array", "an array", None)
    else:
        what = _which(picture)
        # a picture's own file needs no data set
        is_file = isinstance(what, str) and os.path.isfile(what)
        split = None if is_file else subject.test_split(data_dir, progress=progress)
        how = None if split is not None else subject.preparation()
        found = maps_of_picture.find_picture(what, subject.network, split, how)
    spoken = known_language(language)
    return maps_of_picture.features(subject.network, subject.parameters, found, spoken)


def _which(picture: Any) -> str | int:
    """The file, class or index that is meant. Raises PictureError for what can be none."""
    if isinstance(picture, Integral) and not isinstance(picture, bool):
        return int(picture)
    if isinstance(picture, str | os.PathLike) and isinstance(text := os.fspath(picture), str):
        return text
    raise maps_of_picture.PictureError(
        f"picture is {picture!r:.80}; give its number among the test pictures (from 0), "
        "CLASS:NUMBER, a picture's file, or its pixels as an array"
    )


def _explain(
    subject: Subject, language: str | None, data_dir: str | os.PathLike[str] | None
) -> Explanation:
    if subject.folder is None:
        return words.explain(subject.network, language)
    outputs = _outputs(subject, data_dir)
    return words.explain(subject.network, language, subject.parameters, outputs)


def _outputs(
    subject: Subject, data_dir: str | os.PathLike[str] | None
) -> list[NDArray[np.float32]] | None:
    """What every layer makes of the first test pictures; None where that cannot be had at once."""
    try:
        split = subject.test_split(data_dir, download=False)
        if split is None or not len(split) or split.images.shape[1:] != subject.network.input_shape:
            return None
        engine = engines.with_weights(subject.network, subject.parameters, threads=1)
    except (data.DataError, runs.RunError, engines.EngineError):
        return None
    return engine.activations(split.images[:PICTURES_MEASURED])


# --- what lenet inspect shows ------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """A picture that can be written: its file's usual name, and how that is done."""

    name: str  # "kernels.png"
    write: Callable[[Path], object]
    own_fonts: bool = True  # a diagram's words are drawn by the fonts where it is read


@dataclass(frozen=True)
class Look:
    """One thing that was asked for."""

    name: str  # its key in the JSON
    text: str  # empty where there are pictures alone
    json: Any
    pictures: tuple[Picture, ...]


def looks(
    subject: Subject,
    *,
    kernels: bool = False,
    features: str | None = None,
    parameters: bool = False,
    diagram: bool = False,
    explain: bool = False,
    language: str | None = None,
    data_dir: Path | None = None,
    progress: bool = False,
    width: int = 80,
    ascii_only: bool = False,
) -> list[Look]:
    """What was asked for, in the order of these arguments; texts of at most ``width`` columns."""
    found = []
    if kernels:
        bank = kernel_numbers.kernels(subject.network, subject.parameters)
        text, drawn = kernel_numbers.to_text(bank), _drawn("kernels.png", bank.figure)
        found.append(Look("kernels", text, kernel_numbers.to_json(bank), (drawn,)))
    if features is not None:
        seen = _features(subject, features, language, data_dir, progress)
        text = maps_of_picture.to_text(seen, width, ascii_only=ascii_only)
        shown = _feature_pictures(seen)
        found.append(Look("features", text, maps_of_picture.to_json(seen), shown))
    if parameters:
        measured = numbers.statistics(subject.network, subject.parameters)
        text = numbers.to_text(measured, width, ascii_only=ascii_only)
        drawn = _drawn("parameters.png", measured.figure)
        found.append(Look("parameters", text, numbers.to_json(measured), (drawn,)))
    if diagram:
        svg = diagrams.diagram(subject.network).svg
        file = Picture("diagram.svg", lambda path: _write_svg(svg, path), own_fonts=False)
        found.append(Look("diagram", "", svg, (file,)))
    if explain:
        told = _explain(subject, language, data_dir)
        found.append(Look("explanation", words.to_text(told, width), words.to_json(told), ()))
    return found


def _feature_pictures(seen: Features) -> tuple[Picture, ...]:
    slug = re.sub(r"[^\w.-]+", "-", seen.picture.name).strip("-")
    maps = _drawn(f"features-{slug}.png", seen.figure)
    if seen.shortcut is None:
        return (maps,)
    return maps, _drawn(f"features-{slug}-003.png", seen.shortcut_figure)


def _drawn(name: str, draw: Callable[[], Figure]) -> Picture:
    def write(path: Path) -> None:
        from lenet.drawing import figures

        figures.check_suffix(path)
        figures.save(draw(), path)

    return Picture(name, write)


def _write_svg(drawing: str, path: Path) -> None:
    if path.suffix.lower() != ".svg":
        raise ValueError(f"{path}: a diagram is drawn as SVG; end the name in .svg")
    write_atomically(path, drawing.encode())


def mistake_pictures(
    network: str,
    report: Report,
    split: Split,
    mistakes: Sequence[Mistake] | None,
    confusion: bool,
) -> list[Picture]:
    """The pictures of an evaluation: the confusion matrix if asked for, the mistakes if given."""
    pictures = []
    if confusion:
        title = f"{network}: {report.accuracy:.2%} of {report.examples:,} pictures recognised"

        def draw_confusion() -> Figure:
            from lenet.looking import mistake_figures

            language = known_language(None)
            return mistake_figures.confusion(report.confusion, report.classes, title, language)

        pictures.append(_drawn("confusion.png", draw_confusion))
    if mistakes is not None:

        def draw_mistakes() -> Figure:
            from lenet.looking import mistake_figures

            what = f"{network}: most confident mistakes"
            return mistake_figures.mistakes(split, mistakes, what, known_language(None))

        pictures.append(_drawn("mistakes.png", draw_mistakes))
    return pictures


def reliability_picture(network: str, found: Reliability) -> Picture:
    """The reliability diagram of an evaluation."""

    def draw() -> Figure:
        from lenet.looking import reliability

        return reliability.figure(found, network, known_language(None))

    return _drawn("reliability.png", draw)


def font_remark(classes: Sequence[str], pictures: Sequence[Picture]) -> str:
    """What the pictures' reader must know where a font is missing; empty where none is."""
    if not any(picture.own_fonts for picture in pictures):
        return ""
    from lenet.drawing import figures

    return figures.drawn_names(classes)[1]


def write_pictures(
    pictures: list[Picture], folder: Path | None, prefix: str, out: Path | None
) -> list[Path]:
    """Write the pictures; returns their paths.

    Into ``folder``, the run's; where it is None into the working folder, after ``prefix``. ``out``
    is another folder, or a file for the first of them; the others then lie beside it.
    """
    paths = []
    for place, picture in enumerate(pictures):
        if out is not None and out.suffix and not out.is_dir():
            beside = Path(picture.name)
            path = out if not place else out.with_name(f"{out.stem}-{beside.stem}{beside.suffix}")
        elif out is not None:
            out.mkdir(parents=True, exist_ok=True)
            path = out / picture.name
        else:
            path = folder / picture.name if folder else Path(f"{prefix}-{picture.name}")
        picture.write(path)
        paths.append(path)
    return paths
