"""Files with pictures, opened: in six formats that Pillow decodes by itself, and in no other.

Left to itself Pillow takes some forty formats by their first bytes, whatever a file is called:
an EPS named .png is given to Ghostscript, which runs it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from lenet.files import FileError, open_plain, read_bounded

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS: Final = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
MOST_BYTES: Final = 500_000_000  # of a file that is sent elsewhere
MOST_PIXELS: Final = 50_000_000  # of a file: more is a mistake, or wants to fill the memory


class PictureFileError(ValueError):
    """A file that is no picture which is read here; the message names it."""


def read_picture_bytes(path: Path) -> bytes:
    """The bytes of a picture's file, to be decoded elsewhere. Raises PictureFileError."""
    with _named(path):
        return read_bounded(path, MOST_BYTES, links=True)


@contextmanager
def open_picture(path: Path) -> Iterator[Image]:
    """The picture of a file, of its first page where it has several; closed at the end.

    Its pixels are decoded when they are asked for, inside the ``with``. Raises PictureFileError
    for what is no picture in one of ``FORMATS``, is cut off, or has more than 50 million pixels.
    """
    with _named(path), open_plain(path, links=True) as file, decoded(file, str(path)) as image:
        yield image


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except FileError as error:
        raise PictureFileError(str(error)) from None
    except OSError as error:
        raise PictureFileError(f"{path}: cannot be read: {error.strerror}") from None


@contextmanager
def decoded(file: BinaryIO, name: str) -> Iterator[Image]:
    """The picture in an open file, as ``open_picture`` gives it; ``name`` is for messages."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damage: what cannot be read is an error anyway
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise PictureFileError(
                        f"{name}: {image.width}×{image.height} pixels are too many; at most "
                        f"{MOST_PIXELS:,} are read"
                    )
                yield image
    except UnidentifiedImageError:
        raise PictureFileError(
            f"{name}: not a picture that LeNet reads: save it as "
            f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        ) from None
    except Image.DecompressionBombError:
        raise PictureFileError(f"{name}: has too many pixels") from None
    except PictureFileError:
        raise
    except (OSError, SyntaxError, ValueError, OverflowError, MemoryError) as error:
        raise PictureFileError(
            f"{name}: cannot be read: the picture is cut off or damaged ({error})"
        ) from None
