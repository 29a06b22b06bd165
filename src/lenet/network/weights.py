"""safetensors files: a network with its weights, and checkpoints. Nothing here can run code.

A file from a stranger is not trusted: its size, that of its header and the number of its tensors
are bounded before anything is made of them, and names and shapes must be exactly the network's.
NaN and infinity are numbers like others: a training that went wrong can be looked at.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from lenet.files import FileError, read_bounded, write_atomically
from lenet.network.architecture import Network, from_dict, to_dict
from lenet.network.layers import LARGEST, ArchitectureError
from lenet.network.parameters import Parameters, check_parameters, parameter_shapes
from lenet.untrusted import UntrustedError, from_json, plain, shown

LARGEST_FILE = 1 << 30  # bytes; ours have a few hundred thousand
LARGEST_HEADER = 1_000_000  # bytes; ours have a few thousand
MOST_TENSORS = 2_000
MOST_DIMENSIONS = 8
FORMAT = 1
KEY = "lenet"  # the one key of our metadata: with several, safetensors' order is random
REMEDY = "Copy it again. If it belongs to a run, 'lenet train --resume RUN' writes it again"
ITEM_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
        **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
        **dict.fromkeys(("U32", "I32", "F32"), 4),
        **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
    }
)


class WeightsError(ValueError):
    """A file that holds no usable weights; the message names the file and the reason."""


def save_network(
    path: str | os.PathLike[str],
    network: Network,
    parameters: Parameters,
    notes: Mapping[str, Any] = MappingProxyType({}),
) -> bytes:
    """Write a network and its weights as one safetensors file; returns the bytes written.

    ``notes`` are plain values that go with them, such as "calibration". The same network, weights
    and notes give the same bytes. OSError where there is no space.
    """
    check_parameters(network, parameters, str(path))
    content = pack_network(network, parameters, notes)
    write_atomically(Path(path), content)
    return content


def pack_network(
    network: Network, parameters: Parameters, notes: Mapping[str, Any] = MappingProxyType({})
) -> bytes:
    """The bytes of the file that ``save_network`` writes."""
    return pack(parameters, {"network": to_dict(network), **notes})


def load_network(path: str | os.PathLike[str], *, links: bool = True) -> tuple[Network, Parameters]:
    """The network and the weights, float32 in the order of its layers, of a file that
    ``save_network`` wrote; unless ``links``, a link to one is refused.

    Raises WeightsError naming the file, whatever the file holds.
    """
    network, parameters, _ = load_network_and_notes(path, links=links)
    return network, parameters


def load_network_and_notes(
    path: str | os.PathLike[str], *, links: bool = True
) -> tuple[Network, Parameters, dict[str, Any]]:
    """What ``load_network`` gives, and the notes that were saved with it: a stranger's, as yet."""
    parameters, metadata = unpack(read_whole(Path(path), links=links), str(path))
    if "network" not in metadata:
        raise WeightsError(
            f"{path}: holds no network; if it is a checkpoint, give the run's folder instead"
        )
    try:
        network = from_dict(metadata.pop("network"))
        check_parameters(network, parameters, "the weights")
    except (ArchitectureError, ValueError) as error:
        raise WeightsError(f"{path}: {plain(str(error))}") from None
    return network, {name: parameters[name] for name in parameter_shapes(network)}, metadata


def read_whole(path: Path, *, links: bool = True) -> bytes:
    """A file's bytes; WeightsError where it is none (a device has no end) or too large.

    ``links``: whether a link to a file will do, as it does for a file that somebody named.
    """
    try:
        return read_bounded(path, LARGEST_FILE, links=links)
    except FileError as error:
        raise WeightsError(str(error)) from None
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}") from None


def pack(tensors: Parameters, metadata: dict[str, Any]) -> bytes:
    """Tensors and plain values as the bytes of one safetensors file.

    Raises WeightsError for what ``unpack`` would refuse: better now than when it is needed.
    """
    from safetensors.numpy import save

    for name, tensor in tensors.items():
        if tensor.dtype != np.float32:
            raise WeightsError(f"{name} is {tensor.dtype}, must be float32")
    # contiguous copies: safetensors writes a view's whole memory otherwise
    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    content: bytes = save(whole, {KEY: json.dumps({"format": FORMAT, **metadata})})
    _check_bounds(content, len(tensors), "these weights")
    return content


def unpack(content: bytes, where: str) -> tuple[Parameters, dict[str, Any]]:
    """The tensors and plain values that ``pack`` wrote; WeightsError for anything else."""
    header = read_header(content, where)
    metadata = header.described(KEY)
    if not isinstance(metadata, dict):
        raise WeightsError(
            f"{where}: holds no description of a network; it was not written by this program"
        )
    if metadata.pop("format", None) != FORMAT:
        raise WeightsError(f"{where}: written by a newer version of lenet")
    tensors = {}
    for entry in sorted(header.entries, key=lambda entry: entry.name):
        if entry.kind != "F32":
            kind = {"F16": "float16", "F64": "float64", "BF16": "bfloat16"}.get(entry.kind)
            raise WeightsError(
                f"{where}: {plain(entry.name)} is {kind or plain(entry.kind)}, must be float32"
            )
        values = np.frombuffer(content, "<f4", math.prod(entry.shape), entry.start)
        tensors[entry.name] = values.reshape(entry.shape).astype(np.float32)  # a copy
    return tensors, metadata


@dataclass(frozen=True)
class Entry:
    """A tensor of a safetensors file: its bytes are those from ``start`` to ``stop``."""

    name: str
    kind: str  # "F32", "BF16", …
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of itself, known to be true of its bytes."""

    where: str  # for messages
    entries: tuple[Entry, ...]  # in the order of the header
    metadata: dict[str, Any]

    def described(self, key: str) -> Any:
        """The values that the metadata keep as JSON under a key; None where there are none.

        Raises WeightsError for what is no JSON.
        """
        text = self.metadata.get(key, "null")
        if not isinstance(text, str):
            raise _damaged(self.where, f"its metadata {key!r} is {shown(text)}, must be a text")
        try:
            return from_json(text)
        except UntrustedError as error:
            raise _damaged(self.where, f"its metadata {key!r}: {error}") from None


def read_header(content: bytes, where: str) -> Header:
    """The header of a safetensors file. Every safetensors file of a stranger is read through here.

    Nothing is copied before all of it holds: the tensors lie one after the other, none over
    another, no gap between them, and fill the file to its last byte. So what is made of a file
    is never larger than the file, but for numbers that are made wider.
    Raises WeightsError, which begins with ``where``.
    """
    size = _check_bounds(content, 0, where)
    try:
        values = from_json(content[8 : 8 + size])
    except UntrustedError as error:
        raise _damaged(where, f"its header: {error}") from None
    if not isinstance(values, dict):
        raise _damaged(where, "its header is not an object")
    metadata = values.pop("__metadata__", None)
    _check_bounds(content, len(values), where)
    entries = tuple(_entry(name, value, 8 + size, where) for name, value in values.items())
    end = 8 + size
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.stop)):
        if entry.start != end:
            how = "lies over another" if entry.start < end else "has a gap before it"
            raise _damaged(where, f"tensor {plain(entry.name)} {how}")
        end = entry.stop
    if end > len(content):
        raise WeightsError(
            f"{where}: cut off: its tensors end at byte {end:,}, the file has {len(content):,}. "
            f"{REMEDY}"
        )
    if end < len(content):
        raise _damaged(where, f"{len(content) - end:,} bytes follow its last tensor")
    return Header(where, entries, metadata if isinstance(metadata, dict) else {})


def _entry(name: str, value: Any, begin: int, where: str) -> Entry:
    """A tensor's place in the file. Raises WeightsError where its numbers contradict each other."""
    fields: dict[str, Any] = value if isinstance(value, dict) else {}
    kind: Any = fields.get("dtype")
    shape: Any = fields.get("shape")
    offsets: Any = fields.get("data_offsets")
    what = f"tensor {plain(name, 100)}"
    if not isinstance(kind, str) or kind not in ITEM_BYTES:
        raise _damaged(where, f"{what} is of an unknown type, {shown(kind)}")
    if not _whole_numbers(shape) or len(shape) > MOST_DIMENSIONS or max(shape, default=0) > LARGEST:
        raise _damaged(where, f"{what} has the shape {shown(shape)}")
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _damaged(where, f"{what} lies at {shown(offsets)}")
    start, stop = offsets
    wanted = ITEM_BYTES[kind] * math.prod(shape)
    if wanted != stop - start:
        raise _damaged(
            where, f"{what} has {stop - start:,} bytes, its shape {shown(shape)} needs {wanted:,}"
        )
    return Entry(name, kind, tuple(shape), begin + start, begin + stop)


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(n) is int and n >= 0 for n in values)


def _check_bounds(content: bytes, tensors: int, where: str) -> int:
    """The size of the header; WeightsError for a file that promises too much, or is cut off."""
    header = int.from_bytes(content[:8], "little")
    if len(content) < 8 or header > LARGEST_HEADER:
        raise WeightsError(
            f"{where}: not a safetensors file: it has {len(content):,} bytes and would have a "
            f"header of {header:,}. {REMEDY}"
        )
    if header > len(content) - 8:
        raise WeightsError(
            f"{where}: cut off: its header alone takes {8 + header:,} bytes, the file has "
            f"{len(content):,}. {REMEDY}"
        )
    if tensors > MOST_TENSORS or len(content) > LARGEST_FILE:
        raise WeightsError(
            f"{where}: {tensors:,} tensors in {len(content):,} bytes; at most {MOST_TENSORS:,} in "
            f"{LARGEST_FILE:,} are read"
        )
    return header


def _damaged(where: str, reason: str) -> WeightsError:
    return WeightsError(f"{where}: damaged: {reason}. {REMEDY}")
