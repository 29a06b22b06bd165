"""safetensors files: a network with its weights, and checkpoints. Nothing here can run code.

A file from a stranger is not trusted: the size of its header and the number of its tensors are
bounded before anything is read, and names and shapes must be exactly the network's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from lenet.architecture import ArchitectureError, Network, from_dict, to_dict
from lenet.files import write_atomically
from lenet.parameters import Parameters, check_parameters

LARGEST_HEADER = 1_000_000  # bytes; ours have a few thousand
MOST_TENSORS = 2_000
KEY = "lenet"  # the one key of our metadata: with several, safetensors' order is random


class WeightsError(ValueError):
    """A file that holds no usable weights; the message names the file and the reason."""


def save_network(path: Path, network: Network, parameters: Parameters) -> bytes:
    """Write a network and its weights as one safetensors file; returns the bytes written.

    The same network and weights give the same bytes. OSError where there is no space.
    """
    check_parameters(network, parameters, str(path))
    content = pack(parameters, {"format": 1, "network": to_dict(network)})
    write_atomically(path, content)
    return content


def load_network(path: Path) -> tuple[Network, Parameters]:
    """The network and the weights, float32, of a file that ``save_network`` wrote.

    Raises WeightsError naming the file, whatever the file holds.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}") from None
    parameters, metadata = unpack(content, str(path))
    try:
        network = from_dict(metadata.get("network"))
        check_parameters(network, parameters, str(path))
    except ArchitectureError as error:
        raise WeightsError(f"{path}: {error}") from None
    except ValueError as error:
        raise WeightsError(str(error)) from None
    return network, parameters


def pack(tensors: Parameters, metadata: dict[str, Any]) -> bytes:
    """Tensors and plain values as the bytes of one safetensors file."""
    from safetensors.numpy import save

    # contiguous copies: safetensors writes a view's whole memory otherwise
    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    return save(whole, {KEY: json.dumps(metadata)})


def unpack(content: bytes, where: str) -> tuple[Parameters, dict[str, Any]]:
    """The tensors and plain values that ``pack`` wrote; WeightsError for anything else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(LARGEST_HEADER, len(content) - 8):
        raise WeightsError(
            f"{where}: not a safetensors file of this program (it would have a header of "
            f"{size} bytes in {len(content)})"
        )
    try:
        header = json.loads(content[8 : 8 + size])
        if not isinstance(header, dict) or len(header) > MOST_TENSORS:
            raise WeightsError(f"{where}: its header is no table of at most {MOST_TENSORS} tensors")
        metadata = json.loads(header.get("__metadata__", {}).get(KEY, "null"))
        tensors = load(content)
    except (ValueError, AttributeError, TypeError, RecursionError, SafetensorError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{where}: damaged: {error}") from None
    if not isinstance(metadata, dict):
        raise WeightsError(
            f"{where}: holds no description of a network; it was not written by this program"
        )
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32:
            raise WeightsError(f"{where}: {name} is {tensor.dtype}, must be float32")
    return tensors, metadata
