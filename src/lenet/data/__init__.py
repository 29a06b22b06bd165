"""Data sets as uint8 pictures and integer labels: found, downloaded, verified, read, divided.

Somebody's own pictures are given by a path, and recognised (``sources``), or were imported and
have a name (``stored``). A data set that is known beforehand (``known``) is four IDX files (gzip
or not; what a file is, its first bytes say, not its name):

    train-images-idx3-ubyte   train-labels-idx1-ubyte   "train"
    t10k-images-idx3-ubyte    t10k-labels-idx1-ubyte    "test"; `test-…` is read as well

A data set asked for by name is looked for in these places, and never replaced by another:

    data_dir/NAME, data_dir        the argument (`--data-dir`)
    $LENET_DATA/NAME, $LENET_DATA
    ~/.cache/lenet/NAME            the user's cache; downloads are put here
    /usr/share/datasets/NAME       where Linux distributions put it
    the mirrors                    $LENET_MIRROR first

What is verified is the SHA-256 of the decompressed bytes, since gzip containers of the same data
differ. Downloads are kept decompressed: such a data set loads in a quarter of the time.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from lenet.data.derived import DERIVED as DERIVED
from lenet.data.derived import derive
from lenet.data.idx import REMEDY, UInt8, read_file, read_stream, write_idx
from lenet.data.idx import DataError as DataError
from lenet.data.idx_folder import FILES as FILES
from lenet.data.idx_folder import (
    FourFiles,
    count_classes,
    emnist,
    files_in,
    holds_idx,
    read_classes,
    read_folder,
)
from lenet.data.idx_folder import UnknownDataError as UnknownDataError
from lenet.data.known import BUNDLED as BUNDLED
from lenet.data.known import KNOWN as KNOWN
from lenet.data.known import Known as Known
from lenet.data.progress import counting
from lenet.data.split import IN_MEMORY as IN_MEMORY
from lenet.data.split import Dataset as Dataset
from lenet.data.split import Split as Split
from lenet.data.split import hold_out as hold_out
from lenet.data.split import subset as subset
from lenet.data.stored import DESCRIPTION, REPORT, find_stored, load_stored, names_stored
from lenet.files import UNFINISHED, as_path, read_bounded
from lenet.names import did_you_mean, known_as
from lenet.untrusted import from_json

if TYPE_CHECKING:
    from lenet.data.picture_reading import Findings
    from lenet.data.report import Report
    from lenet.data.sources import Asked, Source

DISTRIBUTIONS: Final = Path("/usr/share/datasets")

LARGEST_REPORT: Final = 10_000_000  # bytes
STALE_S: Final = 600.0


class DataNotFoundError(DataError):
    """A data set that is nowhere here and could not be downloaded; nothing damaged was met.

    The one case in which it is right to go on with the bundled pictures, and to say so.
    ``summary`` is why no mirror gave it, in a few words: "no connection".
    """

    def __init__(self, message: str, summary: str = "") -> None:
        super().__init__(message)
        self.summary = summary


# ---------------------------------------------------------------------------------- loading


def load(
    name_or_path: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    *,
    download: bool = True,
    progress: bool = False,
    mirrors: Sequence[str] | None = None,
) -> Dataset:
    """The data set of that name, or at that path; every byte of a named one is verified.

    A path is a string with a separator in it, or that starts with `.` or `~`, or at which there
    is a folder or a file; names that are known, or that were imported, come first. What a path
    may hold, `sources` says. The classes of a folder of IDX files are the lines of its
    `classes.txt`; without one they are those of the known data set that it holds, else
    "0" to "k-1". For `progress` and `mirrors` see `fetch`.

    Raises DataError; DataNotFoundError when it is nowhere and could not be downloaded.
    """
    if not isinstance(name_or_path, str):
        as_path(name_or_path, "data")
    text = os.fspath(name_or_path)
    if text == IN_MEMORY:
        raise DataError(
            "these pictures were given as arrays from Python and are in no file; give them again "
            "there: lenet.go_on(run, data=…), lenet.evaluate(run, split=(images, labels)), "
            "lenet.features(run, picture)"
        )
    if isinstance(name_or_path, str) and (stored := find_imported(text, data_dir)):
        loaded = load_stored(stored)
        if os.path.lexists(text):
            said = f"{text} is the data set that was imported; for what is here write ./{text}"
            loaded = replace(loaded, remarks=(*loaded.remarks, said))
        return loaded
    if not isinstance(name_or_path, str) or is_path(text):
        return load_path(Path(os.path.expanduser(text)), progress=progress)
    if data_dir is not None and not os.path.isdir(os.path.expanduser(data_dir)):
        raise UnknownDataError(f"the data folder {data_dir} does not exist; check its spelling")
    made = DERIVED.get(text.casefold())
    if made is not None:
        of = load(made.base, data_dir, download=download, progress=progress, mirrors=mirrors)
        return derive(made, of)
    known = _known(text)
    text = known.name
    folder = find(text, data_dir)
    if folder is None and download:
        folder = fetch(text, progress=progress, mirrors=mirrors)
    if folder is None:
        raise DataNotFoundError(_not_found(text, data_dir))
    return _load_known(known, folder)


def is_path(text: str, data_dir: str | os.PathLike[str] | None = None) -> bool:
    """Whether `load` takes the text for a path rather than a name."""
    if text in KNOWN or text in DERIVED or find_imported(text, data_dir):
        return False
    return text[:1] in {".", "~"} or bool({os.sep, os.altsep} & {*text}) or os.path.exists(text)


def find_imported(name: str, data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder of the data set that was imported under that name, or None."""
    return None if name in KNOWN else find_stored(name, _roots(data_dir))


def imported(data_dir: str | os.PathLike[str] | None = None) -> dict[str, Path]:
    """The data sets that were imported, by their name, and where they lie."""
    found = names_stored(_roots(data_dir))
    return {name: folder for name, folder in found.items() if name not in KNOWN}


def _roots(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    given = [place for place in (data_dir, os.environ.get("LENET_DATA")) if place]
    return [*(Path(os.path.expanduser(place)) for place in given), cache_dir()]


def load_path(path: Path, *, progress: bool = False) -> Dataset:
    """The data set at a path: imported, IDX files, or one of `sources`. Raises DataError."""
    return _load_path(path, progress)[0]


def load_with_findings(
    name_or_path: str, data_dir: str | os.PathLike[str] | None = None, *, progress: bool = False
) -> tuple[Dataset, Findings | None]:
    """The data set that `load` gives, and what was met while its files were read."""
    if is_path(name_or_path, data_dir):
        return _load_path(Path(os.path.expanduser(name_or_path)), progress)
    return load(name_or_path, data_dir, progress=progress), None


def _load_path(path: Path, progress: bool) -> tuple[Dataset, Findings | None]:
    if (path / DESCRIPTION).is_file():
        return load_stored(path), None
    if path.is_dir() and holds_idx(path):
        return _load_folder(path), None
    from lenet.data import sources

    found = sources.recognise(path, sources.Asked())
    if found is None:
        return _load_folder(path), None
    with counting(f"reading {found.name}", found.pictures, progress) as told:
        return sources.read(found, told), found.findings


def recognise(path: Path, asked: Asked) -> Source:
    """What is at a path, not read yet, whatever it comes as. Raises DataError where it is nothing
    that is known."""
    from lenet.data import sources

    if (path / DESCRIPTION).is_file():
        found = sources.of_dataset(path, "an imported data set", load_stored(path))
    elif path.is_dir() and holds_idx(path):
        found = sources.of_dataset(path, "a folder of IDX files", _load_folder(path))
    else:
        recognised = sources.recognise(path, asked)
        if recognised is not None:
            return sources.resized(recognised, asked)
        found = sources.of_dataset(path, "a folder of IDX files", _load_folder(path))
    return sources.resized(found, asked)


def kept_report(loaded: Dataset) -> Report | None:
    """The report that was kept when the data set was imported; None where there is none."""
    from lenet.data.report import from_dict

    try:
        return from_dict(from_json(read_bounded(Path(loaded.source) / REPORT, LARGEST_REPORT)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def check_classes(loaded: Dataset) -> None:
    """Raise DataError unless a network can learn to tell classes apart from these pictures."""
    labels = loaded.train.labels
    if not (labels != labels[0]).any():
        raise DataError(
            f"{loaded.source}: the data has one class: every training label is {labels[0]}. "
            "A network needs pictures of two classes or more, labelled 0, 1 and so on"
        )
    pictures = loaded.train.images
    starts = range(0, len(pictures), 1024)  # the first that differs ends it
    if all((pictures[start : start + 1024] == pictures[0]).all() for start in starts):
        raise DataError(
            f"{loaded.source}: all training pictures are the same: nothing in them tells one class "
            "from another. Give the pictures themselves"
        )


def bundled() -> Dataset:
    """The 10,000 + 2,000 pictures of Fashion-MNIST that come with the package."""
    return _load_known(KNOWN["fashion-mnist-small"], BUNDLED)


def find(name: str, data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder where the named data set lies with all its files, or None; nothing is verified.

    Raises DataError for a name that is not known.
    """
    known = _known(name)
    for folder in _places(known.name, data_dir):
        if len(files_in(folder)) == len(FILES) and not _holds_another(folder, known):
            return folder
    return None


def available(name: str, data_dir: str | os.PathLike[str] | None = None) -> bool:
    """Whether `load` would find the named data set without a download (files are not read)."""
    return find(name, data_dir) is not None


def cache_dir() -> Path:
    """The folder of downloaded data sets in the user's cache; it may not exist yet.

    In $XDG_CACHE_HOME on every system; without it where the system has such things: %LOCALAPPDATA%
    on Windows, ~/Library/Caches on macOS, ~/.cache elsewhere.
    """
    try:
        home = Path.home()
    except RuntimeError:  # a container that runs as a user without an entry and without $HOME
        import tempfile

        home = Path(tempfile.gettempdir())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "")
    if cache.is_absolute():
        return cache / "lenet"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else home / "AppData" / "Local") / "lenet" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "lenet"
    return home / ".cache" / "lenet"


def _known(name: str) -> Known:
    found = known_as(name, KNOWN)
    if found is None:
        names = [*KNOWN, *DERIVED]
        hint = did_you_mean(name, names)
        own = "".join(f", {name}" for name in sorted(imported())[:10])
        raise UnknownDataError(
            f"no data set is called {name!r}; {hint}choose from {', '.join(names)}{own}; "
            "a folder of your own is given with a separator, such as ./pictures"
        )
    return KNOWN[found]


def _places(name: str, data_dir: str | os.PathLike[str] | None) -> list[Path]:
    if not KNOWN[name].mirrors:
        return [BUNDLED]
    *given, cache = _roots(data_dir)
    own = [folder for root in given for folder in (root / name, root)]
    return [*own, cache / name, DISTRIBUTIONS / name]


def _holds_another(folder: Path, known: Known) -> bool:
    """Whether a folder without the data set's name holds another known one, by its labels.

    With LENET_DATA=…/mnist, fashion-mnist is not damaged there: it is not there.
    """
    if folder.name == known.name or folder == BUNDLED:
        return False
    try:
        labels = read_file(files_in(folder)[FILES[1]]).sha256
    except DataError:
        return False
    return any(labels == k.sha256[FILES[1]] for k in KNOWN.values() if k is not known)


def _not_found(name: str, data_dir: str | os.PathLike[str] | None) -> str:
    places = []
    for folder in _places(name, data_dir):
        lacking = [file for file in FILES if file not in files_in(folder)]
        some = 0 < len(lacking) < len(FILES)
        places.append(f"{folder} (lacks {', '.join(lacking)})" if some else str(folder))
    return (
        f"{name} is not in {', '.join(places)}. `lenet data get {name}` downloads it; or set "
        f"LENET_DATA to a folder that holds {name}/{FILES[0]}.gz and its three companions; "
        "fashion-mnist-small comes with the package"
    )


# ------------------------------------------------------------------------ files to data sets


def _load_known(known: Known, folder: Path) -> Dataset:
    remedy = (
        f"Delete it, then `lenet data get {known.name} --force` downloads it again"
        if known.mirrors
        else "Install the package again"
    )
    four = read_folder(folder, remedy)
    files = four.files
    for file, expected in known.sha256.items():
        if files[file].sha256 != expected:
            raise DataError(
                f"{files[file].path}: these are not the bytes of {known.name}: SHA-256 "
                f"(decompressed) {files[file].sha256}, expected {expected}. {remedy}; "
                f"if it is a data set of your own, load it by its path {folder}{os.sep}"
            )
    return _dataset(known.name, four, folder, known.classes, known.licence)


def _load_folder(folder: Path) -> Dataset:
    if not os.path.isdir(folder):
        what = "is not a folder" if os.path.lexists(folder) else "does not exist"
        raise UnknownDataError(
            f"{folder} {what}; give a folder with one sub-folder for each class, a .csv or .npz "
            "file, or a folder of IDX files"
        )
    four = read_folder(folder, REMEDY)
    hashes = {file: read.sha256 for file, read in four.files.items()}
    same = next((known for known in KNOWN.values() if known.sha256 == hashes), None)
    listed = folder / "classes.txt"
    if os.path.lexists(listed):
        classes = read_classes(listed)
    elif same:
        classes = same.classes
    else:
        four, its_own = emnist(four)
        classes = its_own or count_classes(four.files[FILES[1]])
    for labels in (four.files[FILES[1]], four.files[FILES[3]]):
        wrong = np.flatnonzero(labels.array >= len(classes))
        if len(wrong):
            raise DataError(
                f"{labels.path}: label {labels.array[wrong[0]]} at index {wrong[0]} is out of "
                f"range: there are {len(classes)} classes, labels are 0 to {len(classes) - 1}. "
                f"Correct it, or name all classes in {listed}, one a line"
            )
    licence = same.licence if same else "not stated"
    return _dataset(folder.resolve().name, four, folder, classes, licence)


def _dataset(
    name: str, four: FourFiles, folder: Path, classes: tuple[str, ...], licence: str
) -> Dataset:
    files, splits = four.files, []
    for part, images, labels in (("train", *FILES[:2]), ("test", *FILES[2:])):
        splits.append(
            Split(
                files[images].array,
                files[labels].array.astype(np.int64),
                classes,
                f"{name}/{part} (SHA-256 of images {files[images].sha256}, "
                f"of labels {files[labels].sha256})",
            )
        )
    hashes = MappingProxyType({file: files[file].sha256 for file in FILES})
    source, bundled = str(folder), folder == BUNDLED
    train, test = splits
    return Dataset(name, train, test, source, licence, hashes, bundled, four.remarks)


# ------------------------------------------------------------------------------ downloading


def fetch(
    name: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    progress: bool = False,
    mirrors: Sequence[str] | None = None,
    patience_s: float = 10.0,
) -> Path:
    """The folder (by default in the user's cache) that now holds the named data set, verified.

    Files that are there and right stay, unless `force`. `mirrors` replaces the built-in
    addresses; `$LENET_MIRROR/NAME` comes before either. A mirror that refuses, sends wrong bytes
    or nothing for `patience_s` is passed over. `progress` shows a bar on standard error.

    A file is verified in memory and only then written, beside and renamed: processes that do so
    at once, or are killed, leave no wrong file.

    Raises DataNotFoundError when no mirror gives a file, with each mirror's reason.
    """
    from lenet.data.download import from_mirrors, progress_bar

    known = _known(name)
    name = known.name
    if not known.mirrors:
        return BUNDLED
    target = cache_dir() / name if folder is None else Path(os.path.expanduser(folder))
    bases = list(known.mirrors if mirrors is None else mirrors)
    if os.environ.get("LENET_MIRROR"):
        bases.insert(0, f"{os.environ['LENET_MIRROR'].rstrip('/')}/{name}")
    there = {} if force else files_in(target)
    wanted = [
        file for file in FILES if file not in there or not _is_right(there[file], known, file)
    ]
    with progress_bar(name, known.download_bytes, progress and bool(wanted)) as received:
        for file in wanted:
            accept = _acceptor(known, file)
            content, reasons = from_mirrors(bases, f"{file}.gz", accept, received, patience_s)
            if content is None:
                raise DataNotFoundError(
                    f"{name}: {file}.gz could not be downloaded: {'; '.join(reasons)}. Connect to "
                    f"a network, or set LENET_DATA to a folder that holds {name}/{FILES[0]}.gz "
                    "and its three companions; fashion-mnist-small comes with the package",
                    # of each "ADDRESS: why" the why, once
                    ", ".join(dict.fromkeys(reason.rpartition(": ")[2] for reason in reasons)),
                )
            _keep(target, file, content)
    return target


def _is_right(path: Path, known: Known, file: str) -> bool:
    try:
        return read_file(path).sha256 == known.sha256[file]
    except DataError:
        return False


def _acceptor(known: Known, file: str) -> Callable[[bytes], UInt8]:
    """A function from what a mirror sent to the array; it raises DataError if that is wrong."""

    def accept(sent: bytes) -> UInt8:
        array, sha256 = read_stream(BytesIO(sent), "what came")
        if sha256 != known.sha256[file]:
            raise DataError(f"wrong bytes: SHA-256 {sha256}, expected {known.sha256[file]}")
        return array

    return accept


def _keep(folder: Path, file: str, array: UInt8) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in folder.glob(f".*{UNFINISHED}"):  # left by a process killed while it wrote
            with contextlib.suppress(OSError):  # another process may rename or delete it now
                if time.time() - part.stat().st_mtime > STALE_S:
                    part.unlink()
        # Under its plain name the file takes precedence over whatever else is in the folder.
        write_idx(folder / file, array)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot keep {file} there: {error.strerror or error}; make room, or set "
            "XDG_CACHE_HOME to a folder that can be written"
        ) from None
