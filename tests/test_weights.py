"""Weights files: the same bytes for the same weights, and no file that can do harm."""

import io
import json
import os
import pickle
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenet.network import weights, zoo
from lenet.network.architecture import Network
from lenet.network.layers import AvgPool2d, Conv2d, Flatten, Linear, Sigmoid
from lenet.network.parameters import Parameters, initialize, parameter_shapes
from lenet.network.weights import WeightsError, load_network, pack, save_network, unpack

SMALL = Network(
    "small",
    (1, 8, 8),
    (Conv2d(1, 2, 3), Sigmoid(), AvgPool2d(2), Flatten(), Linear(18, 3)),
    ("a", "b", "c"),
)
WEIGHTS = initialize(SMALL, "xavier", 0)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small network's file."""
    return save_network(tmp_path_factory.mktemp("good") / "model.safetensors", SMALL, WEIGHTS)


def same(one: Parameters, other: Parameters) -> bool:
    """Bit for bit, NaN included."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype
        and one[name].shape == other[name].shape
        and one[name].tobytes() == other[name].tobytes()
        for name in one
    )


def test_notes_go_with_the_weights_and_come_back(tmp_path: Path) -> None:
    notes = {"calibration": {"temperature": 1.25}, "other": [1, "∂"]}
    path = tmp_path / "model.safetensors"
    content = save_network(path, SMALL, WEIGHTS, notes)
    assert path.read_bytes() == content == weights.pack_network(SMALL, WEIGHTS, notes)
    network, parameters, found = weights.load_network_and_notes(path)
    assert (network, found) == (SMALL, notes)
    assert same(parameters, WEIGHTS)
    assert load_network(path)[0] == SMALL  # who does not ask for them reads the file as before


Refused = Callable[[bytes], str]


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Refused:
    """A function: the one line with which a file is refused; any other error comes through."""
    path = tmp_path_factory.mktemp("refused") / "model.safetensors"

    def refusal(content: bytes) -> str:
        path.write_bytes(content)
        with pytest.raises(WeightsError) as caught:
            load_network(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert message.isprintable()
        assert len(message) < 700
        return message

    return refusal


def file_of(header: Any, data: bytes = b"") -> bytes:
    """A safetensors file with this header, whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def parts_of(content: bytes) -> tuple[dict[str, Any], bytes]:
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


# --- what is written ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_every_network_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    network = zoo.build(name)
    parameters = initialize(network, "torch", 1)
    path = tmp_path / "with a space" / "模型.safetensors"
    path.parent.mkdir()
    content = save_network(path, network, parameters)
    assert path.read_bytes() == content
    again, loaded = load_network(path)
    assert again == network
    assert same(loaded, parameters)
    assert list(loaded) == list(parameters)  # in the order of the layers


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    """In another process too, where the hashes of text differ, and from views in any layout."""
    content = save_network(tmp_path / "one", SMALL, WEIGHTS)
    other = {name: np.asfortranarray(WEIGHTS[name]) for name in reversed(WEIGHTS)}
    whole = np.arange(1000, dtype=np.float32)
    whole[100:154] = WEIGHTS["4.weight"].ravel()
    other["4.weight"] = whole[100:154].reshape(3, 18)
    assert save_network(tmp_path / "two", SMALL, other) == content
    script = """
import sys
from pathlib import Path
from lenet.network.weights import load_network, save_network
one, two = map(Path, sys.argv[1:])
save_network(two, *load_network(one))
"""
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "one", tmp_path / "two"],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert (tmp_path / "two").read_bytes() == content


def test_numbers_that_are_none_are_kept(tmp_path: Path) -> None:
    """A training that went wrong can be looked at; its file is no less a file."""
    strange = {name: value.copy() for name, value in WEIGHTS.items()}
    strange["4.bias"][:] = np.nan, np.inf, -np.inf
    strange["0.bias"][:] = -0.0, 1e-45
    strange["4.weight"].view(np.uint32)[0, 0] = 0x7FC0BEEF  # a NaN with a message
    save_network(tmp_path / "model.safetensors", SMALL, strange)
    assert same(load_network(tmp_path / "model.safetensors")[1], strange)


def test_it_refuses_to_write_what_it_would_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    doubles = {**WEIGHTS, "4.bias": WEIGHTS["4.bias"].astype(np.float64)}
    with pytest.raises(WeightsError, match=r"4\.bias is float64, must be float32"):
        save_network(path, SMALL, doubles)
    with pytest.raises(ValueError, match=r"missing \['4\.bias'\]"):
        save_network(path, SMALL, {k: v for k, v in WEIGHTS.items() if k != "4.bias"})
    with pytest.raises(WeightsError, match="2,001 tensors"):
        pack({str(number): np.zeros(1, np.float32) for number in range(2001)}, {})
    monkeypatch.setattr(weights, "LARGEST_FILE", 100)
    with pytest.raises(WeightsError, match="at most"):
        save_network(path, SMALL, WEIGHTS)
    assert not path.exists()


# --- what is read ------------------------------------------------------------------------------


def test_another_networks_weights_are_refused_by_their_names(good: bytes, refused: Refused) -> None:
    header, data = parts_of(good)
    own = json.loads(header["__metadata__"]["lenet"])

    def refusal(change: Any) -> str:
        network = json.loads(json.dumps(own["network"]))
        changed_header = json.loads(json.dumps(header))
        change(changed_header, network)
        changed_header["__metadata__"]["lenet"] = json.dumps({**own, "network": network})
        return refused(file_of(changed_header, data))

    def renamed(header: Any, network: Any) -> None:
        header["7.weight"] = header.pop("4.weight")

    def wider(header: Any, network: Any) -> None:
        network["layers"][4]["out_features"] = 4
        network["classes"].append("d")

    def turned(header: Any, network: Any) -> None:
        header["4.weight"]["shape"] = [18, 3]

    def unfit(header: Any, network: Any) -> None:
        network["layers"][4]["in_features"] = 17

    def unknown(header: Any, network: Any) -> None:
        network["layers"][1] = {"type": "Exec", "code": "import os"}

    message = refusal(renamed)
    assert "missing ['4.weight'], unexpected ['7.weight']" in message
    assert "'small'" in message
    assert "4.weight has shape (3, 18), network 'small' needs (4, 18)" in refusal(wider)
    assert "4.weight has shape (18, 3), network 'small' needs (3, 18)" in refusal(turned)
    assert "layer 4 (Linear)" in refusal(unfit)
    assert "layer 1: unknown type 'Exec'" in refusal(unknown)


def test_a_checkpoint_is_no_network(refused: Refused) -> None:
    message = refused(pack({"parameters/0.weight": np.ones(1, np.float32)}, {"step": 3}))
    assert "holds no network; if it is a checkpoint, give the run's folder" in message


def test_a_newer_version_says_so(good: bytes, refused: Refused) -> None:
    header, data = parts_of(good)
    own = json.loads(header["__metadata__"]["lenet"])
    header["__metadata__"]["lenet"] = json.dumps({**own, "format": 2})
    assert "written by a newer version" in refused(file_of(header, data))


def test_another_programs_safetensors(refused: Refused) -> None:
    from safetensors.numpy import save

    assert "not written by this program" in refused(save(WEIGHTS))
    assert "not written by this program" in refused(save(WEIGHTS, {"format": "pt"}))
    halves = {name: value.astype(np.float16) for name, value in WEIGHTS.items()}
    metadata = {"lenet": json.dumps({"format": 1})}
    assert "is float16, must be float32" in refused(save(halves, metadata))


@pytest.mark.needs("pipes")
def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No such file"):
        load_network(tmp_path / "absent")
    with pytest.raises(WeightsError, match="not a file"):
        load_network(tmp_path)
    if os.name != "nt":
        os.mkfifo(tmp_path / "pipe")
        for place in (tmp_path / "pipe", Path("/dev/zero")):  # would be read for ever
            with pytest.raises(WeightsError, match="not a file"):
                load_network(place)


# --- what a stranger may have made -------------------------------------------------------------


ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
ENTRY_TEXT = json.dumps(ENTRY).encode()
OWN = {"lenet": json.dumps({"format": 1, "network": None})}

HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "seven bytes": b"1234567",
    "no header": bytes(8),
    "header of 2^63 bytes": (1 << 63).to_bytes(8, "little") + b"{}",
    "header of 2^64 - 1 bytes": b"\xff" * 8 + b"{}",
    "header one byte longer than the file": (3).to_bytes(8, "little") + b"{}",
    "header of 100,000 entries": file_of(
        b"{" + b",".join(b'"t%d":%b' % (i, ENTRY_TEXT) for i in range(100_000)) + b"}", bytes(4)
    ),
    "header of 100,000 short entries": file_of(
        b"{" + b",".join(b'"%d":0' % i for i in range(90_000)) + b"}"
    ),
    "as many tensors as are allowed, all in one place": file_of(
        {f"t{i}": ENTRY for i in range(2000)}, bytes(4)
    ),
    "brackets": file_of(b"[" * 900_000),
    "objects": file_of(b'{"a":' * 180_000),
    "brackets in the metadata": file_of({"__metadata__": {"lenet": "[" * 900_000}}),
    "a number of a million digits": file_of(b'{"a":' + b"9" * 900_000 + b"}"),
    "a number of a million digits in the metadata": file_of(
        {"__metadata__": {"lenet": "9" * 900_000}}
    ),
    "a list": file_of([1, 2]),
    "a number": file_of(b"1"),
    "null": file_of(b"null"),
    "metadata that are numbers": file_of({"__metadata__": {"lenet": 3}}),
    "metadata null": file_of({"__metadata__": None}),
    "metadata a list": file_of({"__metadata__": ["lenet"]}),
    "ours a number": file_of({"__metadata__": {"lenet": 1}}),
    "ours a list": file_of({"__metadata__": {"lenet": "[]"}}),
    "ours of another format": file_of({"__metadata__": {"lenet": '{"format": [1]}'}}),
    "network null": file_of({"__metadata__": OWN}),
    "offsets beyond the end": file_of(
        {"__metadata__": OWN, "a": {**ENTRY, "data_offsets": [0, 1 << 62]}}, bytes(4)
    ),
    "offsets backwards": file_of(
        {"__metadata__": OWN, "a": {**ENTRY, "data_offsets": [4, 0]}}, bytes(4)
    ),
    "offsets negative": file_of(
        {"__metadata__": OWN, "a": {**ENTRY, "data_offsets": [-4, 0]}}, bytes(4)
    ),
    "offsets missing": file_of({"__metadata__": OWN, "a": {"dtype": "F32"}}, bytes(4)),
    "a hole": file_of({"__metadata__": OWN, "a": {**ENTRY, "data_offsets": [4, 8]}}, bytes(8)),
    "more behind": file_of({"__metadata__": OWN, "a": ENTRY}, bytes(1000)),
    "a shape beyond all memory": file_of(
        {"__metadata__": OWN, "a": {**ENTRY, "shape": [1 << 63, 1 << 63]}}, bytes(4)
    ),
    "a shape that wraps to the right size": file_of(
        {"__metadata__": OWN, "a": {**ENTRY, "shape": [1 << 32, 1 << 32, 1]}}, bytes(4)
    ),
    "a shape of nothing and beyond all memory": file_of(
        {
            "__metadata__": OWN,
            "a": {"dtype": "F32", "shape": [0, 1 << 62, 9], "data_offsets": [0, 0]},
        }
    ),
    "a shape of a hundred dimensions": file_of(
        {"__metadata__": OWN, "a": {**ENTRY, "shape": [1] * 100}}, bytes(4)
    ),
    "a shape of fractions": file_of(
        {"__metadata__": OWN, "a": {**ENTRY, "shape": [1.5]}}, bytes(4)
    ),
    "a type that is none": file_of({"__metadata__": OWN, "a": {**ENTRY, "dtype": "O"}}, bytes(4)),
    "a type that numpy has not": file_of(
        {"__metadata__": OWN, "a": {**ENTRY, "dtype": "BF16", "shape": [2]}}, bytes(4)
    ),
    "half a byte": file_of({"__metadata__": OWN, "a": {**ENTRY, "dtype": "F4"}}, bytes(4)),
    "names that act on a terminal": file_of(
        {"__metadata__": OWN, "\x1b[2J\x07\u202e": {**ENTRY, "dtype": "\x1b[31mF32"}}, bytes(4)
    ),
    "a name of a million letters": file_of(
        {"__metadata__": OWN, "a" * 900_000: {**ENTRY, "dtype": "F16", "shape": [2]}}, bytes(4)
    ),
    "UTF-16": file_of(json.dumps({"__metadata__": OWN}).encode("utf-16")),
    "no UTF-8": file_of(b'{"\xff\xfe": 1}'),
    "the same name twice": file_of(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        bytes(4),
    ),
    "30,000 layers": file_of(
        {
            "__metadata__": {
                "lenet": json.dumps(
                    {
                        "format": 1,
                        "network": {
                            "name": "n",
                            "input_shape": [1, 1, 1],
                            "layers": [{"type": "ReLU"}] * 30_000 + [{"type": "Flatten"}],
                            "classes": ["a"],
                        },
                    }
                )
            }
        }
    ),
    "a page of HTML": b"<!DOCTYPE html><html><head><title>404</title></head></html>",
}


def test_what_is_wrong_with_its_places_is_said(good: bytes, refused: Refused) -> None:
    """Before anything is copied: 2,000 tensors over the same bytes would be 2,000 times as much."""
    header, data = parts_of(good)
    second = header["4.weight"]
    start, stop = second["data_offsets"]
    assert "lies over another" in refused(file_of({**header, "twice": second}, data))
    shorter = {**header, "4.weight": {**second, "data_offsets": [start, stop - 4]}}
    assert "its shape [3, 18] needs 216" in refused(file_of(shorter, data))
    assert "8 bytes follow its last tensor" in refused(good + bytes(8))
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [start + 4, start + 4]}
    assert "lies over another" in refused(file_of({**header, "nothing": empty}, data))
    del header["0.bias"]
    assert "has a gap before it" in refused(file_of(header, data))


def test_a_cut_off_file_says_how_much_is_there_and_what_to_do(
    good: bytes, refused: Refused
) -> None:
    begin = 8 + int.from_bytes(good[:8], "little")
    for length, said in (
        (len(good) - 1, f"its tensors end at byte {len(good):,}, the file has {len(good) - 1:,}"),
        (begin - 1, f"its header alone takes {begin:,} bytes, the file has {begin - 1:,}"),
        (5, "it has 5 bytes"),
    ):
        message = refused(good[:length])
        assert said in message
        assert (
            "Copy it again. If it belongs to a run, 'lenet train --resume RUN' writes it again"
            in message
        )


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_is_read_where_it_was_named_and_nowhere_else(good: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(good)
    (tmp_path / "link").symlink_to("file")
    assert load_network(tmp_path / "link")[0] == SMALL
    with pytest.raises(WeightsError, match="a link, not a file"):
        load_network(tmp_path / "link", links=False)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_a_line_and_at_once(name: str, refused: Refused) -> None:
    started = time.process_time()
    refused(HOSTILE[name])
    assert time.process_time() - started < 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a peak of its own")
def test_hostile_files_take_little_memory(tmp_path: Path) -> None:
    """All of them in one process, and two that are much larger than they look."""
    for number, content in enumerate(HOSTILE.values()):
        (tmp_path / f"{number}.safetensors").write_bytes(content)
    for number, size in enumerate(((1 << 30) + 1, 1 << 40)):
        with (tmp_path / f"sparse-{number}.safetensors").open("wb") as file:
            file.write(file_of({"a": ENTRY}))
            file.truncate(size)
    script = """
import sys
from pathlib import Path
from lenet.network.weights import WeightsError, load_network
refused = 0
for path in Path(sys.argv[1]).iterdir():
    try:
        load_network(path)
    except WeightsError:
        refused += 1
status = Path("/proc/self/status").read_text()  # getrusage counts the parent's peak, too
print(refused, status.split("VmHWM:")[1].split()[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    )
    count, peak = map(int, done.stdout.split())
    assert count == len(HOSTILE) + 2
    assert peak * 1024 < 200_000_000


MUTANTS = settings(max_examples=100, deadline=None)


def loads_or_refuses(content: bytes) -> None:
    """Nothing but WeightsError, in a line; what loads is float32 with the shapes of its network.

    Not by way of a file: thousands of them keep a disk busy for a minute.
    """
    started = time.process_time()
    try:
        with mock.patch.object(weights, "read_whole", return_value=content):
            network, parameters = load_network(Path("mutant"))
    except WeightsError as error:
        assert str(error).startswith("mutant: ")  # noqa: PT017 - there may be no error
        assert str(error).isprintable()  # noqa: PT017
    else:
        assert {k: v.shape for k, v in parameters.items()} == parameter_shapes(network)
        assert all(value.dtype == np.float32 for value in parameters.values())
    assert time.process_time() - started < 1


@MUTANTS
@given(st.data())
def test_flipped_bits(good: bytes, data: st.DataObject) -> None:
    content = bytearray(good)
    header_end = 8 + int.from_bytes(good[:8], "little")  # most of what can go wrong is before it
    places = st.integers(0, header_end * 8 - 1) | st.integers(0, len(good) * 8 - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        content[place // 8] ^= 1 << place % 8
    loads_or_refuses(bytes(content))


@MUTANTS
@given(st.data())
def test_pieces_cut_out_moved_and_put_in(good: bytes, data: st.DataObject) -> None:
    content = good
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 64)))
        piece = data.draw(st.binary(max_size=16) | st.just(content[start:end] * 2))
        content = content[:start] + piece + content[end:]
    loads_or_refuses(content)


def test_every_truncation(good: bytes, refused: Refused) -> None:
    for length in range(0, len(good), 7):
        refused(good[:length])
    refused(good[:-1])
    refused(good + b"\0")


@pytest.mark.slow
def test_ten_thousand_mutants(good: bytes) -> None:
    """As above by the thousand: bits flipped, bytes overwritten, pieces moved, ends cut."""
    random = np.random.default_rng(0)
    header_end = 8 + int.from_bytes(good[:8], "little")
    for number in range(10_000):
        content = bytearray(good)
        for _ in range(random.integers(1, 5)):
            place = random.integers(header_end if number % 4 else len(content))
            match number % 5:
                case 0:
                    content[place] ^= 1 << random.integers(8)
                case 1:
                    content[place] = random.integers(256)
                case 2:
                    content[place:place] = random.bytes(random.integers(1, 9))
                case 3:
                    del content[place : place + random.integers(1, 9)]
                case 4:
                    there = random.integers(len(content) - 4)
                    content[place : place + 4] = content[there : there + 4]
        loads_or_refuses(bytes(content))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.slow
@MUTANTS
@given(st.data())
def test_headers_with_anything_anywhere(good: bytes, data: st.DataObject) -> None:
    """Any value of the header, of our metadata or of the network in it may be any JSON."""
    header, numbers = parts_of(good)
    own = json.loads(header["__metadata__"]["lenet"])
    for _ in range(data.draw(st.integers(1, 3))):
        part: Any = data.draw(st.sampled_from([header, own]))
        while True:
            keys = list(part) if isinstance(part, dict) else list(range(len(part)))
            key = data.draw(st.sampled_from(keys))
            inside = part[key]
            if not isinstance(inside, dict | list) or not inside or data.draw(st.booleans()):
                break
            part = inside
        if isinstance(part, dict) and data.draw(st.booleans()):
            part[data.draw(st.text(max_size=8))] = part.pop(key)
        else:
            part[key] = data.draw(JSON | st.integers(-(1 << 70), 1 << 70))
    if isinstance(header.get("__metadata__"), dict) and data.draw(st.booleans()):
        header["__metadata__"]["lenet"] = json.dumps(own)
    loads_or_refuses(file_of(header, numbers))


@MUTANTS
@given(st.binary(max_size=200))
def test_anything_at_all(content: bytes) -> None:
    loads_or_refuses(content)
    loads_or_refuses(file_of(content))


# --- pickles -----------------------------------------------------------------------------------


class Canary:
    """Makes a folder where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


def pickles(canary: Canary) -> dict[str, bytes]:
    """What other programs write, all of which runs code when they read it."""
    made = {f"protocol {p}": pickle.dumps(canary, p) for p in range(pickle.HIGHEST_PROTOCOL + 1)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # what torch.save makes
        archive.writestr("archive/data.pkl", pickle.dumps(canary, 2))
        archive.writestr("archive/version", "3\n")
    made["a zip, as of PyTorch"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, np.array([canary], object), allow_pickle=True)
    made["an array of objects"] = buffer.getvalue()
    plain = pickle.dumps(canary)
    made["behind a length that fits"] = len(plain).to_bytes(8, "little") + plain
    made["where the numbers are"] = file_of(
        {
            "__metadata__": OWN,
            "a": {"dtype": "U8", "shape": [len(plain)], "data_offsets": [0, len(plain)]},
        },
        plain,
    )
    return made


@pytest.mark.parametrize("name", pickles(Canary(Path())))
def test_pickles_are_refused_and_never_run(name: str, tmp_path: Path, refused: Refused) -> None:
    canary = Canary(tmp_path / "sang")
    content = pickles(canary)[name]
    message = refused(content)
    assert re.search("not a safetensors file|damaged|must be float32", message)
    with pytest.raises(WeightsError):
        unpack(content, "these bytes")
    assert not canary.place.exists()


def test_the_canary_sings_where_pickles_are_loaded(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Canary(tmp_path / "sang")))
    assert (tmp_path / "sang").is_dir()
