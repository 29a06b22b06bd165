"""IDX files, the format of MNIST: an array of unsigned bytes behind a header, gzip or not.

What a file is, its first bytes say, not its name. Nothing that a stranger's file holds is
believed before it was checked, and no more is decompressed than its header promises.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import hashlib
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from lenet.files import FileError, open_plain, write_atomically

try:
    from isal import isal_zlib as unzip  # the same bytes in half the time
except ImportError:  # there is no wheel for this machine
    import zlib as unzip  # type: ignore[no-redef]
UNZIP_ERROR: Final[type[Exception]] = unzip.error  # type: ignore[assignment]  # by its stub

UInt8 = NDArray[np.uint8]

# A header can promise 2^128 bytes. EMNIST, the largest of this family, has 640 MB.
MAX_BYTES: Final = 1 << 30
PIECE_BYTES: Final = 1 << 22  # after each, other threads may hold the interpreter for a while
HEADER_BYTES: Final = 1 << 10  # the first piece, more than the longest header
REMEDY: Final = "Replace it with a good copy"


class DataError(ValueError):
    """What is wrong with a data set, where, and what to do about it."""


@dataclass(frozen=True, eq=False)
class IdxFile:
    """What a file holds, and the SHA-256 of its decompressed bytes."""

    path: Path
    array: UInt8
    sha256: str


def read_idx(path: str | os.PathLike[str]) -> UInt8:
    """The array in an IDX file of unsigned bytes, with 1 to 4 dimensions; gzip or not.

    Raises DataError when the file is not exactly such an array: cut off, damaged, too long,
    of another type or format. No more is ever decompressed than the header promises.

    The format: 0, 0, 8 (unsigned byte), number of dimensions; each dimension as four bytes,
    most significant first; the data.
    """
    return read_file(Path(path)).array


def write_idx(path: str | os.PathLike[str], array: UInt8) -> None:
    """Write the array as a file that is there whole or not at all; gzip if its name ends in .gz.

    The same array gives the same bytes: the gzip header has no time and no system in it.
    Raises DataError for an array that is not uint8 with 1 to 4 dimensions; OSError.
    """
    if array.dtype != np.uint8 or not 1 <= array.ndim <= 4:
        raise DataError(
            f"cannot write {array.dtype} {array.shape} to {path}: IDX files here hold uint8 "
            "with 1 to 4 dimensions; convert with .astype(numpy.uint8) if the values fit"
        )
    path, head = Path(path), header(array.shape)
    data = np.ascontiguousarray(array).reshape(-1).data
    if path.suffix != ".gz":
        return write_atomically(path, head + bytes(data))
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = bytearray(packer.compress(head) + packer.compress(data) + packer.flush())
    packed[9] = 255  # "unknown system": zlib writes where it ran
    return write_atomically(path, bytes(packed))


def header(shape: tuple[int, ...]) -> bytes:
    """The bytes before the data of an array of that shape."""
    return bytes((0, 0, 8, len(shape))) + b"".join(size.to_bytes(4, "big") for size in shape)


def read_file(path: Path, remedy: str = REMEDY) -> IdxFile:
    """The array in an IDX file with the checksum of its bytes; DataError ends with ``remedy``."""
    with _opened(path, remedy) as stream:
        return IdxFile(path, *read_stream(stream, str(path)))


def read_shape(path: Path, remedy: str = REMEDY) -> tuple[int, ...]:
    """The shape that an IDX file's header promises; its data are not unpacked.

    So that of files which belong together, one that promises too much is refused beforehand.
    Raises DataError as ``read_file`` does.
    """
    with _opened(path, remedy) as stream:
        return _shape(_head(_decompressed(stream, str(path))), str(path))[0]


@contextmanager
def _opened(path: Path, remedy: str) -> Iterator[BinaryIO]:
    """A file that is open; every DataError ends with the remedy, an OSError becomes one."""
    try:
        with open_plain(path, links=True) as stream:  # opening a pipe would wait for ever
            yield stream
    except DataError as error:
        raise DataError(f"{error}. {remedy}") from None
    except FileError as error:
        raise DataError(str(error)) from None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. {remedy}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _head(pieces: Iterator[bytes]) -> bytes:
    """As many of the first pieces as hold the longest header, that of four dimensions."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= 20:
            break
    return head


def read_stream(stream: BinaryIO, name: str) -> tuple[UInt8, str]:
    """The array in an open IDX file, and the SHA-256 of its decompressed bytes."""
    pieces = _decompressed(stream, name)
    head = _head(pieces)
    shape, start = _shape(head, name)
    array = np.empty(math.prod(shape), np.uint8)  # no memory is touched before data arrive
    view, end = array.data, 0
    digest = hashlib.sha256(head[:start])
    from concurrent.futures import ThreadPoolExecutor  # takes a while to load

    with ThreadPoolExecutor(1) as summing:  # a piece is summed while the next is unpacked
        several = array.size > PIECE_BYTES  # one alone is summed sooner than a thread begins
        for piece in chain((head[start:],), pieces):
            begin, end = end, end + len(piece)
            if end > array.size:
                raise DataError(
                    f"{name}: holds more than the {array.size:,} bytes that its header promises "
                    f"for shape {shape}: the header is wrong or something was appended"
                )
            view[begin:end] = piece
            if several:
                summing.submit(digest.update, view[begin:end])
            else:
                digest.update(view[begin:end])
    if end < array.size:
        raise DataError(
            f"{name}: ends after {end:,} of the {array.size:,} bytes that its header promises "
            f"for shape {shape}: it is cut off, or the header is wrong"
        )
    return array.reshape(shape), digest.hexdigest()


def _shape(head: bytes, name: str) -> tuple[tuple[int, ...], int]:
    """The array's shape and where its data start."""
    if head.lstrip()[:1] == b"<":
        raise DataError(f"{name}: is a web page (HTML), not IDX data: {head[:40]!r}")
    if len(head) < 4:
        raise DataError(f"{name}: has {len(head)} bytes, too few for an IDX header")
    if head[:2] != b"\0\0":
        raise DataError(f"{name}: is not an IDX file: it starts with {head[:4]!r}, not 0, 0, 8")
    if head[2] != 8:
        raise DataError(
            f"{name}: holds IDX data of type 0x{head[2]:02x}; only 0x08 (unsigned bytes) is read"
        )
    ndim = head[3]
    if not 1 <= ndim <= 4:
        raise DataError(f"{name}: has {ndim} dimensions; pictures have 3 or 4, labels 1")
    start = 4 + 4 * ndim
    if len(head) < start:
        raise DataError(f"{name}: ends after {len(head)} of the {start} bytes of its header")
    shape = tuple(int.from_bytes(head[at : at + 4], "big") for at in range(4, start, 4))
    if math.prod(shape) > MAX_BYTES:
        raise DataError(
            f"{name}: its header promises shape {shape}, {math.prod(shape):,} bytes; "
            f"at most {MAX_BYTES:,} are read"
        )
    return shape, start


def _decompressed(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """The stream's bytes in small pieces, decompressed if they are gzip.

    Pieces of bounded size are what makes a gzip bomb harmless: the caller stops when it has more
    than the header promised.
    """
    magic, size = stream.read(2), HEADER_BYTES
    stream.seek(0)
    if magic != b"\x1f\x8b":
        while piece := stream.read(size):
            yield piece
            size = PIECE_BYTES
        return
    unpacker = unzip.decompressobj(31)
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail or stream.read(size)
        try:
            piece = unpacker.decompress(packed, size)
        except UNZIP_ERROR as error:
            raise DataError(f"{name}: the gzip data are damaged: {error}") from None
        if not packed and not piece and not unpacker.eof:
            raise DataError(f"{name}: the gzip data are cut off")
        if piece:
            yield piece
        size = PIECE_BYTES
    if unpacker.unused_data or stream.read(1):
        raise DataError(f"{name}: something follows the end of the gzip data")
