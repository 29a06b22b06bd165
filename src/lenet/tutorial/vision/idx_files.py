"""MNIST's files as torchvision keeps them: IDX of several types, packed or not.

What is in a folder is a stranger's: nothing is believed before it was checked.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from lenet.data.download import from_mirrors
from lenet.data.idx import MAX_BYTES
from lenet.files import write_atomically

PATIENCE_S = 10.0
_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def is_there(path: str) -> bool:
    """Whether the file is there, packed or not."""
    return os.path.isfile(path) or os.path.isfile(f"{path}.gz")


def read_image_file(path: str) -> Tensor:
    """Pictures (n, rows, columns) uint8 of an IDX file, packed or not."""
    images = read_idx(path)
    if images.dtype != torch.uint8:
        raise TypeError(f"x should be of dtype torch.uint8 instead of {images.dtype}")
    if images.ndim != 3:
        raise ValueError(f"x should have 3 dimension instead of {images.ndim}")
    return images


def read_label_file(path: str) -> Tensor:
    """Labels (n,) int64 of an IDX file, packed or not."""
    labels = read_idx(path)
    if labels.dtype != torch.uint8:
        raise TypeError(f"x should be of dtype torch.uint8 instead of {labels.dtype}")
    if labels.ndim != 1:
        raise ValueError(f"x should have 1 dimension instead of {labels.ndim}")
    return labels.long()


def read_idx(path: str) -> Tensor:
    """The array of an IDX file of any type. Raises ValueError for what is none, or too large."""
    path = path if os.path.isfile(path) else f"{path}.gz"
    with open(path, "rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        content = (
            _bounded(gzip.GzipFile(fileobj=stream), path) if packed else _bounded(stream, path)
        )
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise ValueError(f"{path}: is not an IDX file: it starts with {content[:4]!r}")
    start = 4 + 4 * content[3]
    if not 1 <= content[3] <= 3 or len(content) < start:
        raise ValueError(f"{path}: has {content[3]} dimensions; 1 to 3 are read")
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    kind = np.dtype(_TYPES[content[2]])
    if len(content) - start != math.prod(shape) * kind.itemsize:
        raise ValueError(
            f"{path}: has {len(content) - start:,} bytes of data, its header promises shape "
            f"{tuple(shape)} of {kind.itemsize} bytes each"
        )
    array = np.frombuffer(content, kind, offset=start).reshape(shape)
    return torch.from_numpy(array.astype(kind.newbyteorder("=")))


def _bounded(stream: BinaryIO | gzip.GzipFile, path: str) -> bytes:
    content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path}: holds more than {MAX_BYTES:,} bytes")
    return content


def fetch(resources: Sequence[tuple[str, str]], mirrors: Sequence[str], folder: str) -> None:
    """Put the packed files into the folder, each from the first mirror with the right bytes."""
    for file, md5 in resources:
        name = os.path.basename(file)
        if is_there(os.path.join(folder, os.path.splitext(name)[0])):
            continue
        address, _, rest = file.rpartition("/")
        bases = [f"{mirror}{address}" for mirror in mirrors]

        def accept(content: bytes, md5: str = md5) -> bytes:
            found = hashlib.md5(content, usedforsecurity=False).hexdigest()
            if md5 is not None and found != md5:
                raise ValueError(f"wrong bytes: MD5 {found}, expected {md5}")
            return content

        content, reasons = from_mirrors(bases, rest, accept, lambda _: None, PATIENCE_S)
        if content is None:
            raise RuntimeError(f"Error downloading {name}:\n" + "\n".join(reasons))
        os.makedirs(folder, exist_ok=True)
        write_atomically(Path(folder) / name, content)
