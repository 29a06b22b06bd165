"""Data sets: every way in which a file, a mirror or an argument can be wrong, and the right ways.

The network is a server on 127.0.0.1. `LENET_DATA`, as it was when the tests started, may name a
folder with the full fashion-mnist and mnist; tests that need them skip without.
"""

import gzip
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from lenet import data
from lenet.data import DataError, DataNotFoundError, Split, idx
from lenet.data.idx_folder import read_classes

FULL = os.environ.get("LENET_DATA")
SCRIPT = Path(__file__).parents[1] / "scripts" / "make_bundled_data.py"


def needs(name):
    there = FULL and (Path(FULL) / name / f"{data.FILES[0]}.gz").is_file()
    return pytest.mark.skipif(not there, reason=f"LENET_DATA names no folder with {name}")


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """No data set of this machine is seen, and no cache of this user written."""
    for name in ("LENET_DATA", "LENET_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(data, "DISTRIBUTIONS", tmp_path / "distribution")
    if sys.platform in ("win32", "darwin"):
        monkeypatch.setattr(data, "cache_dir", lambda: tmp_path / "cache" / "lenet")


def arrays(count=20, classes=5, shape=(4, 3), seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes).astype(np.uint8)
    return rng.integers(0, 256, (count, *shape), np.uint8), labels


def write_folder(folder, names=data.FILES, end=".gz", classes=5, shape=(4, 3), seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    parts = [*arrays(20, classes, shape, seed), *arrays(10, classes, shape, seed + 1)]
    for name, array in zip(names, parts, strict=True):
        idx.write_idx(folder / f"{name}{end}", array)
    return folder


def as_idx(array, type_code=8):
    return (
        bytes((0, 0, type_code, array.ndim))
        + np.array(array.shape, ">u4").tobytes()
        + (array.tobytes())
    )


def sha256_in(folder):
    return {f: hashlib.sha256(gzip.decompress((folder / f"{f}.gz").read_bytes())).hexdigest()
            for f in data.FILES}  # fmt: skip


def known(folder, name="toy", mirrors=("http://127.0.0.1:9",)):
    hashes = MappingProxyType(sha256_in(folder))
    return data.Known(name, tuple("abcde"), "none", hashes, tuple(mirrors), 1000)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The folder of a small data set that is known by the name `toy`."""
    folder = write_folder(tmp_path / "made" / "toy")
    other = write_folder(tmp_path / "made" / "other", seed=50)
    table = {**data.KNOWN, "toy": known(folder), "other": known(other, "other")}
    monkeypatch.setattr(data, "KNOWN", MappingProxyType(table))
    return folder


# ------------------------------------------------------------------------------- IDX files


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("idx")


@settings(max_examples=50)
@given(
    array=npst.arrays(np.uint8, npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=9)),
    end=st.sampled_from(["", ".gz"]),
)
def test_what_is_written_is_read(scratch, array, end):
    path = scratch / f"any{end}"
    idx.write_idx(path, array)
    read = idx.read_idx(path)
    assert read.dtype == np.uint8
    assert read.flags.writeable
    np.testing.assert_array_equal(read, array)
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == (end == ".gz")
    packed = path.read_bytes()
    assert (gzip.decompress(packed) if end else packed) == as_idx(array)


def test_a_strided_array_is_written_in_its_order(scratch):
    array = np.arange(24, dtype=np.uint8).reshape(4, 6).T[::2]
    idx.write_idx(scratch / "strided", array)
    np.testing.assert_array_equal(idx.read_idx(scratch / "strided"), array)


@pytest.mark.slow
def test_written_bytes_depend_on_the_array_alone(scratch):
    array, _ = arrays()
    idx.write_idx(scratch / "first.gz", array)
    time.sleep(1.1 - time.time() % 1)  # gzip headers count seconds
    idx.write_idx(scratch / "second.gz", array)
    first = (scratch / "first.gz").read_bytes()
    assert first == (scratch / "second.gz").read_bytes()
    assert first[4:8] == bytes(4)
    assert first[9] == 255


def test_content_decides_not_the_name(tmp_path):
    array, _ = arrays()
    (tmp_path / "plain.gz").write_bytes(as_idx(array))
    (tmp_path / "packed").write_bytes(gzip.compress(as_idx(array)))
    for name in ("plain.gz", "packed"):
        np.testing.assert_array_equal(idx.read_idx(tmp_path / name), array)


@pytest.mark.parametrize("array", [np.zeros(3), np.uint8(3).reshape(()), np.zeros([1] * 5, "u1")])
def test_only_bytes_of_one_to_four_dimensions_are_written(tmp_path, array):
    with pytest.raises(DataError, match=r"uint8 with 1 to 4 dimensions"):
        idx.write_idx(tmp_path / "x", array)
    assert not list(tmp_path.iterdir())


def test_writing_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    array, _ = arrays()
    idx.write_idx(tmp_path / "x", array)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        idx.write_idx(tmp_path / "x", array[:5])
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert len(idx.read_idx(tmp_path / "x")) == 20


ARRAY = arrays()[0]
IDX = as_idx(ARRAY)
GZ = gzip.compress(IDX, 9, mtime=0)
HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>"
MALFORMED = {
    "empty": (b"", "has 0 bytes, too few"),
    "three bytes": (IDX[:3], "has 3 bytes, too few"),
    "within the header": (IDX[:9], "ends after 9 of the 16 bytes of its header"),
    "plain, cut off": (IDX[:-1], r"ends after 239 of the 240 bytes.*\(20, 4, 3\)"),
    "plain, appended": (IDX + b"!", "more than the 240 bytes"),
    "gzip, cut off": (GZ[:-20], "gzip data are cut off"),
    "gzip, cut off in its header": (GZ[:5], "gzip data are cut off"),
    "gzip without its check sum": (GZ[:-8], "gzip data are cut off"),
    "gzip of a cut file": (gzip.compress(IDX[:-1]), "ends after 239 of the 240"),
    "gzip of a longer file": (gzip.compress(IDX + b"!"), "more than the 240 bytes"),
    "gzip, appended": (GZ + b"!", "follows the end of the gzip data"),
    "gzip twice": (GZ + GZ, "follows the end of the gzip data"),
    "wrong check sum": (GZ[:-8] + bytes(4) + GZ[-4:], "damaged.*(data check|[Cc]hecksum)"),
    "wrong length": (GZ[:-4] + bytes(4), "damaged.*(length check|[Cc]hecksum)"),
    "web page": (HTML, r"web page \(HTML\)"),
    "short web page": (b"\n<p>", r"web page \(HTML\)"),
    "web page in gzip": (gzip.compress(HTML), r"web page \(HTML\)"),
    "zip archive": (b"PK\x03\x04" + bytes(40), "not an IDX file: it starts with b'PK"),
    "floats": (as_idx(ARRAY, 0x0D), "type 0x0d; only 0x08"),
    "no dimension": (b"\0\0\x08\0\x01", "has 0 dimensions"),
    "five dimensions": (as_idx(np.zeros([2] * 5, np.uint8)), "has 5 dimensions"),
    "promises 2 GB": (b"\0\0\x08\x01\x80\0\0\0", "2,147,483,648 bytes; at most"),
    "promises 2^128 bytes": (b"\0\0\x08\x04" + b"\xff" * 16, "at most 1,073,741,824 are read"),
}


@pytest.mark.parametrize(("content", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_files_are_refused_by_name_and_reason(tmp_path, content, reason):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        idx.read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).endswith(". Replace it with a good copy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gzip", "plain"])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, pack):
    path, content = tmp_path / "cut", pack(as_idx(ARRAY[:3]))
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DataError):
            idx.read_idx(path)


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path):
    path, harmless, array = tmp_path / "flipped.gz", set(), np.arange(20, dtype=np.uint8) // 2
    packed = gzip.compress(as_idx(array), mtime=0)
    for bit in range(8 * len(packed)):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            read = idx.read_idx(path)
        except DataError:
            continue
        np.testing.assert_array_equal(read, array)
        harmless.add(bit // 8)
    # "Is text", time, level, system; codes that no byte uses; filling before the check sum.
    assert len(harmless) <= 10 < len(packed) / 4


@pytest.mark.slow
def test_a_gzip_bomb_is_left_early(tmp_path):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(IDX) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(100))
    (tmp_path / "bomb.gz").write_bytes(bomb + packer.flush())
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="more than the 240 bytes"):
            idx.read_idx(tmp_path / "bomb.gz")
        assert tracemalloc.get_traced_memory()[1] < 3e6
    finally:
        tracemalloc.stop()


def test_a_header_that_promises_more_pictures_than_there_are_labels_is_refused_unread(tmp_path):
    """A small gzip file can hold a gigabyte: it is compared with the labels before."""
    import gzip
    import tracemalloc

    arrays = [np.zeros((3, 4, 4), np.uint8), np.array([0, 1, 2], np.uint8)] * 2
    for name, array in zip(data.FILES, arrays, strict=True):
        idx.write_idx(tmp_path / name, array)
    count = 60_000_000
    head = bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4, "big") for n in (count, 4, 4))
    (tmp_path / data.FILES[0]).unlink()
    with gzip.open(tmp_path / f"{data.FILES[0]}.gz", "wb", compresslevel=1) as file:
        file.write(head + bytes(40_000_000))
    tracemalloc.start()
    with pytest.raises(DataError, match=f"has {count} pictures, .* 3 labels"):
        data.load(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x" * 101, "line 2 has 101 characters"),
        ("a\x1b[2Jb", "line 2 is"),
        ("a\u202eb", "line 2 is"),
    ],
)
def test_the_name_of_a_class_is_short_and_acts_on_no_terminal(tmp_path, line, said):
    (tmp_path / "classes.txt").write_text(f"cat\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_classes(tmp_path / "classes.txt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("pipe", "a pipe"), (".", "a folder"), ("absent", "no such file")):
        with pytest.raises(DataError, match=said):
            idx.read_idx(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads anything")
def test_a_file_without_permission_is_named(tmp_path):
    (tmp_path / "x").write_bytes(IDX)
    (tmp_path / "x").chmod(0)
    with pytest.raises(DataError, match=r"x: cannot be read: Permission denied"):
        idx.read_idx(tmp_path / "x")


# ----------------------------------------------------------------------- folders of one's own


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize(
    "names",
    [
        data.FILES,
        [name.replace("t10k", "test") for name in data.FILES],
        [name.replace("-idx", ".idx") for name in data.FILES],
    ],
    ids=["t10k", "test", "dotted"],
)
def test_a_folder_is_a_data_set(tmp_path, names, end):
    folder = write_folder(tmp_path / "digits", names, end)
    loaded = data.load(folder)
    assert (loaded.name, loaded.source, loaded.bundled) == ("digits", str(folder), False)
    assert loaded.train.images.shape == (20, 1, 4, 3)
    assert loaded.train.images.dtype == np.uint8
    assert loaded.test.labels.shape == (10,)
    assert loaded.test.labels.dtype == np.int64
    assert loaded.train.classes == loaded.test.classes == tuple("01234")
    assert len(loaded.train) == 20
    images, labels = arrays()
    np.testing.assert_array_equal(loaded.train.images[:, 0], images)
    np.testing.assert_array_equal(loaded.train.labels, labels)
    sums = {name: hashlib.sha256(as_idx(array)).hexdigest()
            for name, array in zip(data.FILES, [images, labels], strict=False)}  # fmt: skip
    assert all(loaded.sha256[name] == value for name, value in sums.items())
    for value in sums.values():
        assert value in loaded.train.identity
    assert loaded.train.identity.startswith("digits/train ")
    assert loaded.test.identity.startswith("digits/test ")


def test_pictures_with_channels(tmp_path):
    names = [name.replace("idx3", "idx4") for name in data.FILES]
    folder = write_folder(tmp_path / "colour", names, shape=(3, 8, 6))
    assert data.load(folder).train.images.shape == (20, 3, 8, 6)


def write_pictures(folder, images, labels, prefix="", test="t10k"):
    """The same pictures as training and test part."""
    folder.mkdir(exist_ok=True)
    for part in ("train", test):
        idx.write_idx(folder / f"{prefix}{part}-images-idx3-ubyte.gz", images)
        idx.write_idx(folder / f"{prefix}{part}-labels-idx1-ubyte.gz", labels)
    return folder


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (28, 20, 1), (8, 6, 3)])
def test_channels_that_stand_last(tmp_path, shape):
    images, labels = arrays(20, 5, shape)
    loaded = data.load(write_pictures(tmp_path / "last", images, labels))
    np.testing.assert_array_equal(loaded.train.images, images.transpose(0, 3, 1, 2))
    assert loaded.train.images.flags.c_contiguous
    assert f"shape {images.shape} is taken as channels last" in loaded.remarks[0]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 8, 6), (4, 8, 8), (2, 2, 2)])
def test_channels_that_stand_first(tmp_path, shape):
    images, labels = arrays(20, 5, shape)
    loaded = data.load(write_pictures(tmp_path / "first", images, labels))
    np.testing.assert_array_equal(loaded.train.images, images)
    assert loaded.remarks == ()


@pytest.mark.parametrize("shape", [(3, 28, 3), (1, 28, 1), (3, 5, 1), (28, 28, 2), (32, 32, 4)])
def test_channels_that_may_stand_first_or_last(tmp_path, shape):
    folder = write_pictures(tmp_path / "either", *arrays(20, 5, shape))
    with pytest.raises(DataError, match=r"may have its channels first or last. Write the file as"):
        data.load(folder)


@pytest.mark.parametrize(
    ("present", "reason"),
    [
        (
            (0, 1, 3),
            r"no picture has label 2 \(the labels are 0, 1, 3\). Number the 3 classes 0 to 2",
        ),
        ((0, 2), r"no picture has label 1 \(the labels are 0, 2\)"),
        ((5,), r"no picture has label 0 \(the labels are 5\)"),
        ((1, 2, 3), r"the labels count from 1 \(1 to 3\), and must count from 0. Subtract 1"),
        ((1,), "the labels count from 1"),
        ((2, 3), "no picture has label 0"),
        (tuple(range(0, 40, 2)), r"no picture has label 1 \(the labels are 0 to 38 with gaps\)"),
    ],
)
def test_labels_with_gaps(tmp_path, present, reason):
    images, labels = arrays(40, len(present))
    folder = write_pictures(tmp_path / "gaps", images, np.array(present, np.uint8)[labels])
    with pytest.raises(DataError, match=reason):
        data.load(folder)


@pytest.mark.parametrize("label", [0, 4])
def test_data_of_one_class_is_shown_but_not_trained_on(tmp_path, label):
    images, _ = arrays()
    folder = write_pictures(tmp_path / "one", images, np.full(20, label, np.uint8))
    (folder / "classes.txt").write_text("a\nb\nc\nd\ne\n")
    loaded = data.load(folder)
    with pytest.raises(DataError, match=f"the data has one class: every training label is {label}"):
        data.check_classes(loaded)


@pytest.mark.parametrize(
    ("name", "first", "classes"),
    [
        ("emnist-letters", 1, tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
        ("emnist-digits", 0, tuple("0123456789")),
        ("EMNIST-Balanced", 0, (*"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt",)),
        ("mine", 0, tuple("01234")),
    ],
)
def test_files_with_a_prefix(tmp_path, name, first, classes):
    images, labels = arrays(100, len(classes))
    folder = tmp_path / "letters"
    write_pictures(folder, images, labels + np.uint8(first), f"{name}-", "test")
    loaded = data.load(folder)
    assert loaded.train.classes == classes
    np.testing.assert_array_equal(loaded.train.labels, labels)
    assert any("labels 1 to 26" in remark for remark in loaded.remarks) == (first == 1)


def test_several_prefixes_and_other_names_are_told(tmp_path):
    folder = tmp_path / "emnist"
    for name in ("emnist-letters-", "emnist-digits-"):
        write_pictures(folder, *arrays(20, 5), name)  # type: ignore[call-arg]
    with pytest.raises(DataError, match=r"several data sets: emnist-digits, emnist-letters. Put"):
        data.load(folder)
    (folder / "emnist-digits-train-labels-idx1-ubyte.gz").unlink()
    (folder / "emnist-letters-train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"lacks train-images.*it holds emnist-digits-t10k.* more"):
        data.load(folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"lacks train-images.*; it is empty"):
        data.load(tmp_path / "none")
    write_folder(tmp_path / "above" / "raw")
    with pytest.raises(DataError, match=r"all four are in .*above.raw: give that folder"):
        data.load(tmp_path / "above")


def test_case_is_no_mistake_in_a_data_sets_name(toy, monkeypatch):
    monkeypatch.setenv("LENET_DATA", str(toy.parent))
    assert data.load("Toy").name == "toy"
    assert data.find("TOY") == toy
    assert data.available("tOy")


def test_what_counts_as_a_path(tmp_path, monkeypatch):
    write_folder(tmp_path / "mine")
    write_folder(tmp_path / "mnist")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for path in ("./mine", "~/mine", "mine", str(tmp_path / "mine"), Path("mine"), "mine/"):
        assert data.load(path).name == "mine"
    # A name that is known stays one, whatever folder lies about.
    with pytest.raises(DataNotFoundError, match="mnist is not in"):
        data.load("mnist", download=False)
    assert data.load("./mnist").name == "mnist"
    assert data.load(Path("mnist")).train.classes == tuple("01234")
    for path in ("./absent", Path("absent"), "a/b"):
        with pytest.raises(DataError, match="does not exist; give a folder with one sub-folder"):
            data.load(path)


def test_classes_are_read_from_a_file(tmp_path):
    folder = write_folder(tmp_path / "pets")
    (folder / "classes.txt").write_bytes(
        "\ufeffcat\r\ndog\r\n狗\r\n cow \r\nhen\r\nnone\r\n\r\n".encode()
    )
    assert data.load(folder).train.classes == ("cat", "dog", "狗", "cow", "hen", "none")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a\nb\nc\n", r"label [34] at index \d+ is out of range: there are 3 classes"),
        (b"a\nb\na\nd\ne", "line 3 is 'a'"),
        (b"a\n\nc\nd\ne", "line 2 is ''"),
        (b"a\nb\x1b[2J\nc\nd\ne", r"line 2 is 'b\\x1b\[2J'"),
        (b"", "has 0 classes"),
        ("".join(f"{i}\n" for i in range(257)).encode(), "has 257 classes"),
        (b"\xff\xfe\xfd", "cannot be read as UTF-8"),
    ],
)
def test_wrong_lists_of_classes(tmp_path, text, reason):
    folder = write_folder(tmp_path / "pets")
    (folder / "classes.txt").write_bytes(text)
    with pytest.raises(DataError, match=reason):
        data.load(folder)


def test_a_known_data_set_in_any_folder_has_its_class_names(toy, tmp_path):
    folder = shutil.copytree(toy, tmp_path / "renamed")
    loaded = data.load(folder)
    assert (loaded.name, loaded.train.classes) == ("renamed", tuple("abcde"))


def rewrite(folder, number, change):
    path = folder / f"{data.FILES[number]}.gz"
    idx.write_idx(path, change(idx.read_idx(path)))


def with_label(index, label):
    def change(labels):
        labels[index] = label
        return labels

    return change


@pytest.mark.parametrize(
    ("number", "change", "reason"),
    [
        (1, with_label(7, 255), "train-labels.*label 255 at index 7 is out of range"),
        (3, with_label(2, 5), "t10k-labels.*label 5 at index 2 is out of range: there are 5"),
        (1, lambda a: a[:19], "train-images.*has 20 pictures, train-labels.* 19 labels"),
        (2, lambda a: a[:9], "t10k-images.*has 9 pictures, t10k-labels.* 10 labels"),
        (2, lambda a: a[:, :, :2], r"training pictures are \(4, 3\), test pictures \(4, 2\)"),
        (0, lambda a: a[:, 0, 0], "Are the files swapped"),
        (1, lambda a: a[:, None], "Are the files swapped"),
        (2, lambda a: a[:, :0], r"t10k-images.*\(10, 0, 3\) holds no picture"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, number, change, reason):
    folder = write_folder(tmp_path / "odd")
    rewrite(folder, number, change)
    with pytest.raises(DataError, match=reason) as caught:
        data.load(folder)
    assert str(folder) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    folder = write_folder(tmp_path / "odd")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(
        DataError, match=r"odd lacks t10k-labels-idx1-ubyte \(.*it holds t10k-images"
    ):
        data.load(folder)


# ------------------------------------------------------------------------- known data sets


def test_places_are_searched_in_order(toy, tmp_path, monkeypatch):
    given, environment = tmp_path / "given", tmp_path / "environment"
    monkeypatch.setenv("LENET_DATA", str(environment))
    places = [
        given / "toy",
        given,
        environment / "toy",
        environment,
        tmp_path / "cache" / "lenet" / "toy",
        tmp_path / "distribution" / "toy",
    ]
    given.mkdir()
    assert data.find("toy", given) is None
    assert not data.available("toy", given)
    for place in reversed(places):
        shutil.copytree(toy, place, dirs_exist_ok=True)
        assert data.find("toy", given) == place
        assert data.available("toy", given)
        loaded = data.load("toy", given, download=False)
        assert (loaded.source, loaded.name, loaded.licence) == (str(place), "toy", "none")
        assert loaded.train.classes == tuple("abcde")


def test_decompressed_files_are_found_and_preferred(toy, tmp_path):
    (tmp_path / "plain").mkdir()
    for file in data.FILES:
        packed = toy / f"{file}.gz"
        (tmp_path / "plain" / file).write_bytes(gzip.decompress(packed.read_bytes()))
        (tmp_path / "plain" / f"{file}.gz").write_bytes(b"not looked at")
    assert len(data.load("toy", tmp_path / "plain").train) == 20


def test_wrong_bytes_under_a_known_name_are_an_error(toy, tmp_path):
    shutil.copytree(toy, tmp_path / "cache" / "lenet" / "toy")  # a right one, farther away
    for place in (tmp_path / "given" / "toy", tmp_path / "flat"):
        shutil.copytree(toy, place)
        rewrite(place, 2, lambda images: images ^ 1)
        found = sha256_in(place)[data.FILES[2]]
        with pytest.raises(DataError) as caught:
            data.load("toy", tmp_path / ("flat" if place.name == "flat" else "given"))
        message = str(caught.value)
        assert not isinstance(caught.value, DataNotFoundError)
        for part in (str(place / f"{data.FILES[2]}.gz"), found, data.KNOWN["toy"].sha256[
            data.FILES[2]], "Delete it", "lenet data get toy --force"):  # fmt: skip
            assert part in message


def test_a_damaged_file_under_a_known_name_is_an_error(toy, tmp_path):
    path = toy / f"{data.FILES[0]}.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"train-images.*cut off.*lenet data get toy --force"):
        data.load("toy", toy.parent)


def test_a_folder_with_another_known_data_set_is_passed_over(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_DATA", str(toy.parent / "other"))
    assert data.find("toy") is None
    assert data.find("other") == toy.parent / "other"
    assert data.find("toy", toy) == toy


def test_a_data_folder_that_is_not_there_is_an_error(toy, tmp_path):
    with pytest.raises(DataError, match=r"the data folder .*typo does not exist"):
        data.load("toy", tmp_path / "typo")


def test_not_found_says_where_it_looked_and_what_to_do(toy, tmp_path):
    folder = shutil.copytree(toy, tmp_path / "given" / "toy")
    (folder / f"{data.FILES[3]}.gz").unlink()
    with pytest.raises(DataNotFoundError) as caught:
        data.load("toy", tmp_path / "given", download=False)
    message = str(caught.value)
    for part in (f"{folder} (lacks {data.FILES[3]})", str(data.cache_dir()), "lenet data get toy"):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("fashon-mnist", "did you mean fashion-mnist?"),
        ("Fashion_MNITS", "did you mean fashion-mnist?"),
        ("minst", "did you mean mnist?"),
        ("imagenet", "choose from fashion-mnist, mnist, fashion-mnist-small"),
        ("", "no data set is called ''"),
    ],
)
def test_unknown_names_get_the_nearest(name, hint):
    with pytest.raises(DataError, match=re.escape(hint)):
        data.load(name)


def test_find_of_an_unknown_name():
    with pytest.raises(DataError, match="no data set is called 'nope'; choose from"):
        data.find("nope")


def test_the_cache_is_where_each_system_has_it(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for platform, variable, value, expected in [
        ("linux", "XDG_CACHE_HOME", str(tmp_path / "x"), tmp_path / "x" / "lenet"),
        ("linux", "XDG_CACHE_HOME", "", tmp_path / ".cache" / "lenet"),
        ("linux", "XDG_CACHE_HOME", "relative", tmp_path / ".cache" / "lenet"),
        ("darwin", "XDG_CACHE_HOME", "", tmp_path / "Library" / "Caches" / "lenet"),
        ("win32", "LOCALAPPDATA", str(tmp_path / "l"), tmp_path / "l" / "lenet" / "Cache"),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "platform", platform)
            patch.setenv(variable, value)
            assert data.cache_dir() == expected


def test_a_user_without_a_home_has_a_cache_all_the_same(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert data.cache_dir().name in ("lenet", "Cache")


def test_a_split_checks_itself():
    images, labels = np.zeros((3, 1, 4, 4), np.uint8), np.zeros(3, np.int64)
    assert len(Split(images, labels, ("a",), "x")) == 3
    for wrong in (images.astype(np.float32), images[:, 0]):
        with pytest.raises(DataError, match=r"give uint8 \(n, channels, height, width\)"):
            Split(wrong, labels, ("a",), "x")
    for wrong in (labels[:2], labels.astype(np.uint8)):
        with pytest.raises(DataError, match=r"give int64 \(3,\)"):
            Split(images, wrong, ("a",), "x")


def test_importing_stays_cheap():
    heavy = "{'pooch', 'requests', 'rich', 'lenet.data.download', 'concurrent.futures', 'difflib'}"
    code = f"import sys, lenet.data; print(sorted({heavy} & sys.modules.keys()))"
    assert python(code).communicate(timeout=240)[0].strip() == "[]"


# ---------------------------------------------------------------------------------- mirrors


class Mirror(BaseHTTPRequestHandler):
    """Answers /BEHAVIOUR/…/FILE with the file, or in the way the behaviour says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        behaviour, file = self.path.split("/")[1], self.path.rsplit("/", 1)[-1]
        content = (self.server.folder / file).read_bytes()  # type: ignore[attr-defined]
        if behaviour.isdigit():
            return self.send_error(int(behaviour))
        if behaviour == "hang":
            self.server.asked_to_hang.set()  # type: ignore[attr-defined]
            self.server.over.wait()  # type: ignore[attr-defined]
            return self.close()
        if behaviour == "wrong":
            content = gzip.compress(gzip.decompress(content)[:-1] + b"?")
        if behaviour == "html":
            content = HTML
        length = len(content)
        if behaviour == "long":
            content, length = bytes(1 << 20), 1 << 40
        if behaviour == "cut":
            content = content[: length // 2]
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        if behaviour == "encoded":  # a server that takes .gz for an encoding of the page
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if behaviour == "trickle":
            for byte in content:
                if self.server.over.wait(0.05):  # type: ignore[attr-defined]
                    break
                self.wfile.write(bytes([byte]))
            return self.close()
        if behaviour == "half":  # then silence
            self.wfile.write(content[: length // 2])
            self.wfile.flush()
            self.server.asked_to_hang.set()  # type: ignore[attr-defined]
            self.server.over.wait()  # type: ignore[attr-defined]
            return self.close()
        if behaviour == "slow":
            time.sleep(0.1)
        if behaviour == "long":
            for _ in range(1 << 10):
                self.wfile.write(content)
        self.wfile.write(content)
        if behaviour == "cut":
            self.close()
        return None

    def close(self):
        self.close_connection = True

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # clients that hang up are what is tested

    def base(self, behaviour):
        return f"http://127.0.0.1:{self.server_port}/{behaviour}"


@pytest.fixture
def mirror(toy):
    with Server(("127.0.0.1", 0), Mirror) as server:
        server.folder, server.asked = toy, []  # type: ignore[attr-defined]
        server.over, server.asked_to_hang = threading.Event(), threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.over.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def listing(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.needs("modes")
def test_a_download_is_kept_verified_and_found(mirror):
    folder = data.fetch("toy", mirrors=[mirror.base("good")])
    assert folder == data.cache_dir() / "toy" == data.find("toy")
    assert listing(folder) == sorted(data.FILES)
    images, _ = arrays()
    np.testing.assert_array_equal(data.load("toy").train.images[:, 0], images)
    assert len(mirror.asked) == 4
    data.fetch("toy", mirrors=[mirror.base("good")])
    assert len(mirror.asked) == 4
    data.fetch("toy", mirrors=[mirror.base("good")], force=True)
    assert len(mirror.asked) == 8
    if os.name == "posix":
        umask = os.umask(0)
        os.umask(umask)
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666 & ~umask}


def test_load_downloads_what_is_nowhere(mirror):
    loaded = data.load("toy", mirrors=[mirror.base("good")])
    assert (loaded.name, loaded.source) == ("toy", str(data.cache_dir() / "toy"))


BAD = {
    "403": "answers 403 Forbidden",
    "404": "answers 404 Not Found",
    "500": "answers 500 Internal Server Error",
    "hang": "0 bytes, then too little for 0.3 s|no answer in time",
    "half": "0 bytes, then too little for 0.3 s|no connection",
    "trickle": "0 bytes, then too little for 0.3 s",
    "wrong": "wrong bytes: SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}",
    "html": r"what came: is a web page \(HTML\)",
    "cut": "broke off|no connection|cut off",
    "long": "sends more than",
}
HANGING = ("hang", "half", "trickle")


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", BAD)
def test_the_second_mirror_is_used_when_the_first_is_bad(mirror, behaviour, monkeypatch):
    monkeypatch.setattr("lenet.data.download.LIMIT_BYTES", 1 << 22)
    bases = [mirror.base(behaviour), mirror.base("good")]
    # Long enough for the good one on a busy machine.
    data.fetch("toy", mirrors=bases, patience_s=0.8 if behaviour in HANGING else 10)
    assert listing(data.cache_dir() / "toy") == sorted(data.FILES)
    assert data.load("toy").name == "toy"
    # Once found bad, it is not tried again: four hanging files would wait four times.
    assert sum(f"/{behaviour}/" in path for path in mirror.asked) == 1


@pytest.mark.parametrize("behaviour", BAD)
def test_a_mirror_that_is_bad_and_alone_is_named_with_the_reason(mirror, behaviour, monkeypatch):
    monkeypatch.setattr("lenet.data.download.LIMIT_BYTES", 1 << 22)
    base = mirror.base(behaviour)
    with pytest.raises(DataNotFoundError, match=BAD[behaviour]) as caught:
        data.fetch("toy", mirrors=[base], patience_s=0.3 if behaviour in HANGING else 10)
    assert f"{base}/{data.FILES[0]}.gz: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert listing(data.cache_dir() / "toy") == []


def test_no_network_is_one_clear_line(toy):
    with pytest.raises(DataNotFoundError, match=r"127.0.0.1:9/.*: no connection\. Connect to a"):
        data.load("toy")
    with pytest.raises(DataNotFoundError, match="no connection"):
        data.fetch("toy", mirrors=["http://no-such-host.invalid"])
    with pytest.raises(DataNotFoundError, match="InvalidSchema"):
        data.fetch("toy", mirrors=["file:///etc"])


def test_the_default_patience_is_within_thirty_seconds():
    patience_s = data.fetch.__kwdefaults__["patience_s"]
    mirrors = max(len(known.mirrors) for known in data.KNOWN.values())
    assert patience_s * mirrors <= 30


def test_the_mirror_of_the_environment_comes_first(mirror, monkeypatch):
    monkeypatch.setenv("LENET_MIRROR", mirror.base("good/own/"))
    data.load("toy")
    assert mirror.asked == [f"/good/own/toy/{file}.gz" for file in data.FILES]


def test_a_server_that_declares_gzip_an_encoding(mirror):
    data.fetch("toy", mirrors=[mirror.base("encoded")])
    assert data.load("toy").name == "toy"


def test_a_bad_cache_is_reported_by_load_and_mended_by_fetch(mirror):
    folder = data.fetch("toy", mirrors=[mirror.base("good")])
    (folder / data.FILES[1]).write_bytes(b"\0\0\x08")
    with pytest.raises(DataError, match=r"train-labels.*lenet data get toy --force"):
        data.load("toy", mirrors=[mirror.base("good")])
    mirror.asked.clear()
    data.fetch("toy", mirrors=[mirror.base("good")])
    assert mirror.asked == [f"/good/{data.FILES[1]}.gz"]
    assert data.load("toy").name == "toy"


def test_a_download_takes_precedence_over_a_bad_copy_in_the_same_folder(mirror, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / f"{data.FILES[0]}.gz").write_bytes(HTML)
    assert data.fetch("toy", folder, mirrors=[mirror.base("good")]) == folder
    assert data.load("toy", folder).source == str(folder)


def test_a_cache_that_cannot_be_written(mirror, monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot keep train-images.*XDG_CACHE_HOME"):
        data.fetch("toy", tmp_path / "file" / "toy", mirrors=[mirror.base("good")])


def test_progress_is_a_plain_line_without_a_terminal(mirror, capsys):
    data.fetch("toy", mirrors=[mirror.base("good")], progress=True)
    data.fetch("toy", mirrors=[mirror.base("good")], progress=True)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "downloading toy (0 MB)\n")


def test_progress_is_a_bar_on_a_terminal(mirror, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    bases = [mirror.base("wrong"), mirror.base("good")]
    data.fetch("toy", mirrors=bases, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "downloading toy" in err


def python(code, **environment):
    """A started Python process that sees this package, with its output as text."""
    source = str(Path(data.__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def downloader(toy, base, before=""):
    """A process that downloads the toy data set."""
    hashes = sha256_in(toy)
    return python(
        "import os, signal\nfrom lenet import data\n"
        f"toy = data.Known('toy', tuple('abcde'), '', {hashes!r}, ({base!r},), 1)\n"
        "data.KNOWN = {'toy': toy}\n"
        f"{before}\n"
        "print(len(data.load('toy').train))"
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_download_at_once(mirror, toy):
    processes = [downloader(toy, mirror.base("slow")) for _ in range(2)]
    outputs = [process.communicate(timeout=240)[0] for process in processes]
    assert outputs == ["20\n", "20\n"]
    assert listing(data.cache_dir() / "toy") == sorted(data.FILES)
    assert data.load("toy", download=False).name == "toy"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_download_that_is_killed_leaves_no_bad_cache(mirror, toy):
    process = downloader(toy, mirror.base("half"))
    assert mirror.asked_to_hang.wait(60)
    process.kill()
    process.communicate()
    assert listing(data.cache_dir() / "toy") == []
    # Killed while it writes the second file, with the first in place.
    die = (
        "synced, sync = [], os.fsync\n"
        "def fsync(descriptor):\n"
        "    synced.append(descriptor)\n"
        "    os.kill(os.getpid(), signal.SIGKILL) if len(synced) == 3 else sync(descriptor)\n"
        "os.fsync = fsync"
    )
    process = downloader(toy, mirror.base("good"), die)
    process.communicate(timeout=240)
    assert process.returncode == -signal.SIGKILL
    folder = data.cache_dir() / "toy"
    part, whole = listing(folder)
    assert (whole, part.startswith(f".{data.FILES[1]}."), part.endswith(".tmp")) == (
        data.FILES[0], True, True)  # fmt: skip
    assert data.find("toy") is None
    # Another process may be at work on a young one; an old one is nobody's.
    (folder / ".old.tmp").write_bytes(b"")
    os.utime(folder / ".old.tmp", (0, 0))
    mirror.asked.clear()
    data.load("toy", mirrors=[mirror.base("good")])
    assert listing(folder) == sorted([part, *data.FILES])
    assert len(mirror.asked) == 3


# ------------------------------------------------------------------------- dividing a split


def split(counts, seed=0):
    labels = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(seed).shuffle(labels)
    images = np.arange(len(labels), dtype="<u4").view(np.uint8).reshape(-1, 1, 2, 2)
    return Split(images, labels, tuple(map(str, range(len(counts)))), "made")


def positions(part):
    return part.images.reshape(len(part), 4).copy().view("<u4")[:, 0]


counts = st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(lambda c: max(c) > 1)


@given(counts, st.floats(0.001, 0.999), st.integers(0, 2**40))
def test_a_part_held_out_is_stratified_and_disjoint(counts, fraction, seed):
    whole = split(counts)
    rest, held = data.hold_out(whole, fraction, seed)
    assert sorted([*positions(rest), *positions(held)]) == list(range(len(whole)))
    for part in (rest, held):
        assert (np.diff(positions(part).astype(int)) > 0).all()
        np.testing.assert_array_equal(part.labels, whole.labels[positions(part)])
    taken = np.bincount(held.labels, minlength=len(counts))
    for count, take in zip(counts, taken, strict=True):
        assert (1 <= take <= count - 1) if count > 1 else take == 0
        if count > 1:
            assert abs(take - count * fraction) <= 0.5 or take in (1, count - 1)


def test_a_part_held_out_depends_on_the_seed_alone():
    whole = split([600] * 10)
    rest, held = data.hold_out(whole, 0.1, 3)
    assert np.bincount(held.labels).tolist() == [60] * 10
    again, other = data.hold_out(whole, 0.1, 3)[1], data.hold_out(whole, 0.1, 4)[1]
    np.testing.assert_array_equal(positions(held), positions(again))
    assert set(positions(held)) != set(positions(other))
    assert held.identity == again.identity == "made; 0.1 held out by class, seed 3"
    assert rest.identity == "made; what remains, 0.1 held out by class, seed 3"
    assert held.identity != other.identity
    assert data.hold_out(whole, np.float64(0.1), 3)[1].identity == held.identity
    # A published number stays comparable only as long as this does not change.
    digest = hashlib.sha256(positions(held).astype("<u4").tobytes()).hexdigest()
    assert digest == ("c87464b0b8297d92860c54790d821b01a36f644636742f805321e28891d4497e")


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan"), float("inf")])
def test_fractions_that_make_no_sense(fraction):
    with pytest.raises(DataError, match=f"{fraction}; it must lie between 0 and 1, such as 0.1"):
        data.hold_out(split([5, 5]), fraction, 0)


def test_what_cannot_be_divided():
    with pytest.raises(DataError, match="no class has two of them"):
        data.hold_out(split([1, 1, 0]), 0.5, 0)
    with pytest.raises(DataError, match="the seed is -1; it must not be negative"):
        data.hold_out(split([5, 5]), 0.5, -1)


@given(counts, st.data(), st.integers(0, 2**40))
def test_a_subset_has_every_class_in_its_share(counts, draw, seed):
    whole = split(counts)
    count = draw.draw(st.integers(1, len(whole)))
    part = data.subset(whole, count, seed)
    assert len(part) == count
    assert (np.diff(positions(part).astype(int)) > 0).all()
    shares = np.array(counts) * count / len(whole)
    assert (np.abs(np.bincount(part.labels, minlength=len(counts)) - shares) < 1).all()


def test_a_subset_of_impossible_size():
    for count in (0, 11):
        with pytest.raises(DataError, match=f"cannot take {count} of 10 pictures; take 1 to 10"):
            data.subset(split([5, 5]), count, 0)


# ------------------------------------------------------------------------------- real data


def test_the_bundled_pictures():
    loaded = data.bundled()
    assert (loaded.name, loaded.bundled) == ("fashion-mnist-small", True)
    assert loaded.train.images.shape == (10_000, 1, 28, 28)
    assert loaded.test.images.shape == (2_000, 1, 28, 28)
    assert np.bincount(loaded.train.labels).tolist() == [1000] * 10
    assert np.bincount(loaded.test.labels).tolist() == [200] * 10
    assert loaded.train.classes[0] == "t-shirt"
    assert loaded.train.classes[9] == "ankle boot"
    assert len(loaded.train.classes) == 10
    assert loaded.sha256 == data.KNOWN["fashion-mnist-small"].sha256
    assert loaded.licence.startswith("MIT")
    assert "2017 Zalando SE, https://tech.zalando.com" in (data.BUNDLED / "LICENSE").read_text(
        encoding="utf-8"
    )
    assert sum(path.stat().st_size for path in data.BUNDLED.iterdir()) < 5_300_000


def test_the_bundled_data_set_has_a_name_and_needs_no_network(tmp_path):
    assert data.load("fashion-mnist-small", tmp_path).bundled
    assert data.find("fashion-mnist-small") == data.fetch("fashion-mnist-small") == data.BUNDLED
    assert data.available("fashion-mnist-small")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.setenv("LENET_DATA", FULL)
    spec = importlib.util.spec_from_file_location("make_bundled_data", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs("fashion-mnist")
def test_the_bundled_pictures_are_those_the_script_draws(script):
    for file, array in script.draw().items():
        np.testing.assert_array_equal(idx.read_idx(data.BUNDLED / f"{file}.gz"), array)


@pytest.mark.slow  # gzip -9 takes 3 s of processor time
@needs("fashion-mnist")
def test_the_bundled_files_are_what_the_script_makes(script, tmp_path):
    script.make(tmp_path)
    assert listing(tmp_path) == listing(data.BUNDLED)
    assert (tmp_path / "LICENSE").read_bytes() == (data.BUNDLED / "LICENSE").read_bytes()
    assert sha256_in(tmp_path) == sha256_in(data.BUNDLED)
    if zlib.ZLIB_RUNTIME_VERSION == "1.2.13":  # another may pack the same bytes differently
        for path in tmp_path.iterdir():
            assert path.read_bytes() == (data.BUNDLED / path.name).read_bytes()


@pytest.mark.parametrize(
    ("name", "train_mean", "test_counts"),
    [
        pytest.param("fashion-mnist", 72.9404, [1000] * 10, marks=needs("fashion-mnist")),
        pytest.param(
            "mnist",
            33.3184,
            [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
            marks=needs("mnist"),
        ),
    ],
)
def test_the_full_data_sets(name, train_mean, test_counts):
    loaded = data.load(name, FULL, download=False)
    assert loaded.train.images.shape == (60_000, 1, 28, 28)
    assert loaded.test.images.shape == (10_000, 1, 28, 28)
    assert loaded.train.images.mean() == pytest.approx(train_mean, abs=1e-4)
    assert np.bincount(loaded.test.labels).tolist() == test_counts
    assert not loaded.bundled
    assert loaded.train.images.flags.c_contiguous


@pytest.mark.slow
@needs("mnist")
def test_a_full_data_set_from_a_mirror(mirror):
    mirror.folder = Path(FULL) / "mnist"
    loaded = data.load("mnist", mirrors=[mirror.base("404"), mirror.base("good")])
    assert loaded.source == str(data.cache_dir() / "mnist")
    assert loaded.sha256 == data.KNOWN["mnist"].sha256
