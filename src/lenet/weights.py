"""safetensors files: a network with its weights, and checkpoints. Nothing here can run code.

A file from a stranger is not trusted: its size, that of its header and the number of its tensors
are bounded before anything is made of them, and names and shapes must be exactly the network's.
NaN and infinity are numbers like others: a training that went wrong can be looked at.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np

from lenet.architecture import ArchitectureError, Network, from_dict, to_dict
from lenet.files import write_atomically
from lenet.parameters import Parameters, check_parameters, parameter_shapes

LARGEST_FILE = 1 << 30  # bytes; ours have a few hundred thousand
LARGEST_HEADER = 1_000_000  # bytes; ours have a few thousand
MOST_TENSORS = 2_000
FORMAT = 1
KEY = "lenet"  # the one key of our metadata: with several, safetensors' order is random


class WeightsError(ValueError):
    """A file that holds no usable weights; the message names the file and the reason."""


def save_network(path: str | os.PathLike[str], network: Network, parameters: Parameters) -> bytes:
    """Write a network and its weights as one safetensors file; returns the bytes written.

    The same network and weights give the same bytes. OSError where there is no space.
    """
    check_parameters(network, parameters, str(path))
    content = pack_network(network, parameters)
    write_atomically(Path(path), content)
    return content


def pack_network(network: Network, parameters: Parameters) -> bytes:
    """The bytes of the file that ``save_network`` writes."""
    return pack(parameters, {"network": to_dict(network)})


def load_network(path: str | os.PathLike[str]) -> tuple[Network, Parameters]:
    """The network and the weights, float32 in the order of its layers, of a file that
    ``save_network`` wrote.

    Raises WeightsError naming the file, whatever the file holds.
    """
    parameters, metadata = unpack(read_whole(Path(path)), str(path))
    if "network" not in metadata:
        raise WeightsError(
            f"{path}: holds no network; if it is a checkpoint, give the run's folder instead"
        )
    try:
        network = from_dict(metadata["network"])
        check_parameters(network, parameters, "the weights")
    except (ArchitectureError, ValueError) as error:
        raise WeightsError(f"{path}: {_short(error)}") from None
    return network, {name: parameters[name] for name in parameter_shapes(network)}


def read_whole(path: Path) -> bytes:
    """A file's bytes; WeightsError where it is none (a device has no end) or too large."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise WeightsError(f"{path}: not a file")
        if path.stat().st_size > LARGEST_FILE:
            raise WeightsError(f"{path}: larger than {LARGEST_FILE:,} bytes: no network of ours is")
        return path.read_bytes()
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
    from safetensors.numpy import load

    _check_bounds(content, 0, where)
    size = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + size])
        _check_bounds(content, len(header), where)
        metadata = json.loads(header.get("__metadata__", {}).get(KEY, "null"))
        tensors = load(content)
    except WeightsError:
        raise
    except Exception as error:  # of many kinds: a stranger chose the bytes
        raise WeightsError(f"{where}: damaged: {_short(error)}") from None
    if not isinstance(metadata, dict):
        raise WeightsError(
            f"{where}: holds no description of a network; it was not written by this program"
        )
    if metadata.pop("format", None) != FORMAT:
        raise WeightsError(f"{where}: written by a newer version of lenet")
    tensors = dict(sorted(tensors.items()))  # safetensors gives them in any order
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32:
            raise WeightsError(f"{where}: {_short(name)} is {tensor.dtype}, must be float32")
    return tensors, metadata


def _check_bounds(content: bytes, tensors: int, where: str) -> None:
    header = int.from_bytes(content[:8], "little")
    if len(content) < 8 or header > min(LARGEST_HEADER, len(content) - 8):
        raise WeightsError(
            f"{where}: not a safetensors file of this program (it would have a header of "
            f"{header} bytes in {len(content)})"
        )
    if tensors > MOST_TENSORS or len(content) > LARGEST_FILE:
        raise WeightsError(
            f"{where}: {tensors:,} tensors in {len(content):,} bytes; at most {MOST_TENSORS:,} in "
            f"{LARGEST_FILE:,} are read"
        )


def _short(text: object) -> str:
    """What a stranger may have written, with no control characters, cut to what a line holds."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(text)[:300])
