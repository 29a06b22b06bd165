"""A run's history as an event file, which TensorBoard reads.

A file is a chain of records: length, checksum, content, checksum (TFRecord; the checksum is
CRC-32C, RFC 3720, turned by 15 bits). The content is an Event in protocol buffers
(tensorflow/core/util/event.proto): a time, a step, and here one number with its name. That much is
written here; the package tensorboard would bring a web server and gRPC with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from lenet.runs import RunRecord

# The names of the curves; those of one kind are drawn together.
TAGS: Final = {
    "train_loss": "loss/train",
    "val_loss": "loss/val",
    "test_loss": "loss/test",
    "train_acc": "accuracy/train",
    "val_acc": "accuracy/val",
    "test_acc": "accuracy/test",
    "examples_per_s": "speed/examples_per_s",
}
POLYNOMIAL: Final = 0x82F63B78  # Castagnoli's, its bits reversed


def event_file(record: RunRecord) -> bytes:
    """The bytes of an event file: every reading of the history, its step the optimiser's,
    its time that of the training."""
    return b"".join(map(_record, _events(record, _started(record))))


def file_name(record: RunRecord) -> str:
    """What the file must be called: TensorBoard looks for tfevents in a name."""
    return f"events.out.tfevents.{int(_started(record)):010}.lenet"


def _started(record: RunRecord) -> float:
    """When the run began, in seconds since 1970; 0 where it does not say so."""
    try:
        return max(datetime.fromisoformat(str(record.info.get("started"))).timestamp(), 0.0)
    except (ValueError, OverflowError, OSError):
        return 0.0


def _events(record: RunRecord, started: float) -> Iterator[bytes]:
    yield _event(started, 0, [_text(3, "brain.Event:2")])
    for reading in record.history:
        values = [
            (tag, value)
            for name, tag in TAGS.items()
            if (value := getattr(reading, name)) is not None
        ]
        summary = b"".join(
            _bytes(1, _text(1, tag) + _key(2, 5) + struct.pack("<f", value))
            for tag, value in values
        )
        yield _event(started + reading.wall_s, reading.step, [_bytes(5, summary)])


# --- protocol buffers --------------------------------------------------------------------------


def _event(wall_time: float, step: int, fields: Iterable[bytes]) -> bytes:
    """An Event: 1 wall_time double, 2 step int64, and 3 file_version or 5 summary."""
    head = _key(1, 1) + struct.pack("<d", wall_time) + _key(2, 0) + _varint(step)
    return head + b"".join(fields)


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _bytes(field: int, content: bytes) -> bytes:
    return _key(field, 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _varint(number: int) -> bytes:
    """A whole number in groups of 7 bits, the lowest first; all but the last with the 8th bit set.

    >>> _varint(300).hex()
    'ac02'
    """
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


# --- records -----------------------------------------------------------------------------------


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + _masked(length) + content + _masked(content)


def _masked(content: bytes) -> bytes:
    crc = crc32c(content)
    turned = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (turned + 0xA282EAD8) & 0xFFFFFFFF)


def crc32c(content: bytes) -> int:
    """The checksum of RFC 3720, appendix B.4.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
    return byte


TABLE: Final = tuple(map(_entry, range(256)))
