"""A photograph made into what a network's data set has: its channels, its size, its ground.

The page does the same with a picture that is opened there (``prepare.js``); a test compares the
two on the same photographs.

MNIST's digits were scaled into 20×20 of 28×28, and moved so that their centre of mass lies at the
middle (Y. LeCun et al., the data set's page); Fashion-MNIST's articles fill theirs, centred by
their box (H. Xiao et al., arXiv:1708.07747, figure 1). Both have light ink on a black ground.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet.data.idx import UInt8
from lenet.untrusted import shown

FITS: Final = ("crop", "pad", "stretch", "digit", "object")
GROUNDS: Final = ("keep", "dark")
TOLD: Final = ("auto", "light", "dark")  # what a photograph's ground is
LARGEST_SIDE: Final = 4096  # of a prepared picture
INK: Final = 15  # of 255: what is darker than this is no ink, but noise or an edge's last shimmer

Floats = NDArray[np.float64]


class PreparationError(ValueError):
    """A photograph, or a description, that nothing can be made of."""


@dataclass(frozen=True)
class Preparation:
    """How a photograph becomes a picture of the network's: uint8 (channels, height, width).

    ``fit`` is what happens to its shape: "crop" takes the middle, "pad" puts it whole on its own
    ground, "stretch" changes its proportions; "digit" and "object" find the ink, and place it as
    MNIST and Fashion-MNIST did. ``ground`` "dark" exchanges light and dark where the ground is
    light, and makes the ground black; "keep" leaves the pixels as they are.
    """

    channels: int
    height: int
    width: int
    fit: str = "pad"
    ground: str = "keep"

    def __post_init__(self) -> None:
        for name, most in (("channels", 64), ("height", LARGEST_SIDE), ("width", LARGEST_SIDE)):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise PreparationError(
                    f"{name} is {shown(value)}, must be a whole number from 1 to {most:,}"
                )
        for name, known in (("fit", FITS), ("ground", GROUNDS)):
            value = getattr(self, name)
            if value not in known:
                raise PreparationError(f"{name} is {shown(value)}; choose from {', '.join(known)}")
        if self.finds_ink and (self.channels == 3 or self.ground != "dark"):
            raise PreparationError(
                f'fit "{self.fit}" makes grey pictures on a dark ground: it needs ground "dark", '
                f"and channels other than 3 (ground is {self.ground!r}, channels {self.channels})"
            )

    @property
    def finds_ink(self) -> bool:
        """Whether the ink is looked for, and cut out."""
        return self.fit in ("digit", "object")


def to_dict(preparation: Preparation) -> dict[str, Any]:
    """The preparation as plain values."""
    return dataclasses.asdict(preparation)


def from_dict(values: Any) -> Preparation:
    """The preparation that ``to_dict`` described. Raises PreparationError for anything else."""
    if not isinstance(values, dict):
        raise PreparationError(f"a preparation is {shown(values)}, must be an object")
    known = {field.name for field in dataclasses.fields(Preparation)}
    if missing := {"channels", "height", "width"} - values.keys():
        raise PreparationError(f"a preparation has no {', '.join(sorted(missing))}")
    return Preparation(**{key: value for key, value in values.items() if key in known})


def usual(input_shape: tuple[int, int, int], classes: Sequence[str], data: str = "") -> Preparation:
    """The preparation for a network that has none of its own, as its pictures and classes say.

    ``data`` is the name of its data set. Grey pictures of classes 0 to 9 are MNIST's digits, or
    Fashion-MNIST's articles where the name says so; these are known by their classes, too. Letters,
    as in EMNIST, fill their pictures as articles do. Other grey pictures are padded; of coloured
    ones the middle is taken.
    """
    channels, height, width = input_shape
    if channels == 3:
        return Preparation(channels, height, width, "crop")
    digits = [*classes] == [*"0123456789"]
    fashion = {"t-shirt", "ankle boot"} <= {*classes} or (digits and "fashion" in data)
    letters = all(len(name) == 1 for name in classes) and any(map(str.isalpha, classes))
    if fashion or letters:
        return Preparation(channels, height, width, "object", "dark")
    if digits:
        return Preparation(channels, height, width, "digit", "dark")
    return Preparation(channels, height, width)


def of_notes(
    notes: Mapping[str, Any],
    input_shape: tuple[int, int, int],
    classes: Sequence[str],
    data: str = "",
) -> Preparation:
    """The preparation that a model's file tells, else the usual one of ``data``.

    Raises PreparationError where it makes other pictures than the network takes.
    """
    told = notes.get("preparation")
    found = usual(input_shape, classes, data) if told is None else from_dict(told)
    shape = (found.channels, found.height, found.width)
    if shape != input_shape:
        raise PreparationError(
            f"its preparation makes pictures of {shape}, its network takes {input_shape}"
        )
    return found


def prepare(image: UInt8, preparation: Preparation, ground: str = "auto") -> UInt8:
    """The picture (channels, height, width) uint8 that a network takes.

    ``image`` is uint8 (h, w), or (h, w, 1 to 4): grey, grey with opacity, RGB, RGBA. ``ground`` is
    what its own ground is, "light" or "dark", where "auto" would find it out wrongly. A picture
    that has the right size already is left as it is, unless its ground is told.

    Raises PreparationError where no ink stands out from the ground, or for no picture.
    """
    if ground not in TOLD:
        raise PreparationError(f"ground is {shown(ground)}; choose from {', '.join(TOLD)}")
    size = (preparation.height, preparation.width)
    if preparation.channels == 1 and ground == "auto" and _is_grey(image, size):
        return image[None].copy()  # what all that follows comes to, in a hundredth of the time
    planes = _planes(image)  # (3, h, w)
    exact = planes.shape[1:] == size
    if preparation.channels == 3:
        if ground == "light" and preparation.ground == "dark":
            planes = 255 - planes
    else:
        planes = _grey(planes)  # (1, h, w)
        if preparation.ground == "dark" and not (exact and ground == "auto"):
            told = None if ground == "auto" else ground == "light"
            planes = _ink(planes, _ground_of(planes[0], told), preparation.fit == "digit")
    if preparation.finds_ink and not exact:
        box = _bounding_box(planes[0])
        if box is None:
            raise PreparationError(
                "nothing stands out from the ground; is it empty, or of one colour?"
            )
        inner = _inner(size) if preparation.fit == "digit" else size
        made = _centred(_fit(planes[:, box[0], box[1]], inner), size, preparation.fit == "digit")
    elif preparation.fit == "stretch":
        made = _resize(planes, size)
    elif preparation.fit == "crop":
        rows, columns = _middle(planes.shape[1:], size)
        made = _resize(planes[:, rows, columns], size)
    else:
        made = _centred(_fit(planes, size), size, by_mass=False, ground=_border_median(planes))
    pixels = np.floor(np.clip(made, 0, 255) + 0.5).astype(np.uint8)
    # one plane serves all channels
    return pixels[np.arange(preparation.channels) % len(pixels)]


def doubt(pixels: UInt8, preparation: Preparation) -> str | None:
    """What is odd about a prepared picture (channels, height, width), as one sentence; else None.

    It came out blank, or its ground is light where the network's pictures have a dark one: a
    picture that has the right size already is taken as it is.
    """
    if int(pixels.max()) - int(pixels.min()) < INK:
        return "it came out blank: all of its pixels are nearly the same"
    border = _border_median(pixels.astype(np.float64))
    if preparation.ground == "dark" and float(border.mean()) > 127.5:
        return (
            "its ground is light, and the pictures that this network learnt from have a dark one: "
            "exchange light and dark in it"
        )
    return None


def _is_grey(image: Any, size: tuple[int, int]) -> bool:
    """Whether it is a grey picture of that size already."""
    return isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape == size


# --- colours -----------------------------------------------------------------------------------


def _planes(image: Any) -> Floats:
    """The colours (3, h, w), 0 to 255; what is transparent gets a ground that its ink stands out
    from: black under light ink, else white."""
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.dtype != np.uint8 or array.ndim != 3 or not array.size or array.shape[2] > 4:
        raise PreparationError(
            f"a picture is {array.dtype} {np.shape(image)}; give uint8 (height, width) or "
            "(height, width, 1 to 4 channels)"
        )
    values = array.transpose(2, 0, 1).astype(np.float64)
    colors = values[:3] if len(values) >= 3 else np.broadcast_to(values[:1], (3, *array.shape[:2]))
    if len(values) in (1, 3):
        return np.asarray(colors)
    opacity = values[-1] / 255
    covered = float(opacity.sum())
    if covered >= 0.999 * opacity.size:
        behind = 255.0
    else:
        light = float((opacity * _luminance(colors)).sum())
        behind = 0.0 if covered > 0 and light / covered > 127.5 else 255.0
    return np.asarray(colors * opacity + behind * (1 - opacity))


def _luminance(colors: Floats) -> Floats:
    """0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601)."""
    return np.asarray(0.299 * colors[0] + 0.587 * colors[1] + 0.114 * colors[2])


def _grey(colors: Floats) -> Floats:
    return _luminance(colors)[None]


def _quantile(values: Floats, share: float) -> float:
    at = min(values.size - 1, math.floor(share * values.size))
    return float(np.partition(values, at, axis=None)[at])


def _ground_of(plane: Floats, told_light: bool | None) -> tuple[float, float, bool]:
    """The level of a grey picture's ground, what its noise stays within, and whether it is light.

    The border shows it: by its median, and 95 in 100 of its pixels. Where one is told, and the
    border is not so, the ground is what lies on that side of the picture's mean.
    """
    border = np.concatenate([plane[0], plane[-1], plane[1:-1, 0], plane[1:-1, -1]])
    between = float(plane.mean())
    light = _quantile(border, 0.5) > between
    ground, share = border, 0.95
    if told_light is not None and told_light != light:
        side = plane[plane > between if told_light else plane < between]
        light = told_light
        if side.size:
            ground, share = side, 0.5
    level = _quantile(ground, 0.5)
    return level, _quantile(np.abs(ground - level), share), light


def _ink(planes: Floats, ground: tuple[float, float, bool], stretch: bool) -> Floats:
    """Ink (0 to 255) on a ground of 0, from a grey picture and its ground.

    What does not stand out from the ground by more than its spread becomes 0. With ``stretch`` the
    strongest ink becomes 255, as in MNIST; else greys stay apart as they were.
    """
    level, spread, light = ground
    ink = 255 - planes if light else planes
    begin = (255 - level if light else level) + min(spread, 64)
    end = _quantile(ink, 0.998) if stretch else 255.0
    # less than the thickness of a shadow: nothing is there, and nothing must be made of it
    if end - begin < INK:
        return np.zeros_like(ink)
    return np.asarray(np.clip((ink - begin) * (255 / (end - begin)), 0, 255))


# --- places ------------------------------------------------------------------------------------


def _bounding_box(plane: Floats) -> tuple[slice, slice] | None:
    """The rows and columns of the smallest box that holds all ink; None where there is none."""
    inked = plane > INK
    found = [np.flatnonzero(inked.any(axis=axis)) for axis in (1, 0)]
    if not len(found[0]):
        return None
    rows, columns = (slice(int(at[0]), int(at[-1]) + 1) for at in found)
    return rows, columns


def _inner(size: tuple[int, int]) -> tuple[int, int]:
    """The box of a digit: 20 of 28; the 32×32 of the 1998 network are the 28×28 with a margin."""
    rows, columns = (20 if side == 32 else max(1, _round(side * 20 / 28)) for side in size)
    return rows, columns


def _middle(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[slice, slice]:
    """The box in the middle that has the proportions of ``size``."""
    height, width = shape
    ratio = size[1] / size[0]
    columns = max(1, min(width, _round(height * ratio)))
    rows = max(1, min(height, _round(width / ratio)))
    top, left = (height - rows) // 2, (width - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)


def _fit(planes: Floats, size: tuple[int, int]) -> Floats:
    """The picture scaled, its proportions kept, into ``size``."""
    _, height, width = planes.shape
    scale = min(size[0] / height, size[1] / width)
    rows, columns = (
        min(max(_round(length * scale), 1), most)
        for length, most in ((height, size[0]), (width, size[1]))
    )
    return _resize(planes, (rows, columns))


def _centred(
    planes: Floats, size: tuple[int, int], by_mass: bool, ground: Floats | None = None
) -> Floats:
    """The picture on a ground with ``size``, moved by whole pixels, never beyond the edge.

    By mass, its centre of mass comes to the pixel (rows/2, columns/2), as measured on MNIST: row
    14.0 and column 14.0 of 28, counted from 0. Else its middle comes to the middle.
    """
    place = []
    for axis, (length, whole) in enumerate(zip(planes.shape[1:], size, strict=True)):
        start = (whole - length) // 2
        if by_mass and planes.any():
            mass = planes.sum(axis=(0, 2 - axis))
            start = _round(whole / 2 - float(mass @ np.arange(length)) / float(mass.sum()))
        start = min(max(start, 0), whole - length)
        place.append(slice(start, start + length))
    made = np.zeros((len(planes), *size))
    if ground is not None:
        made += ground[:, None, None]
    made[:, place[0], place[1]] = planes
    return made


def _border_median(planes: Floats) -> Floats:
    """The median of each plane's border."""
    return np.array(
        [_quantile(np.concatenate([p[0], p[-1], p[1:-1, 0], p[1:-1, -1]]), 0.5) for p in planes]
    )


def _resize(planes: Floats, size: tuple[int, int]) -> Floats:
    """The picture in another size. A pixel that comes from many is the mean of the area that it
    covers; one that comes from less than one is interpolated between its neighbours."""
    if planes.shape[1:] == size:
        return planes
    narrow = _along(planes, size[1]).swapaxes(1, 2)
    return np.ascontiguousarray(_along(narrow, size[0]).swapaxes(1, 2))


def _along(planes: Floats, count: int) -> Floats:
    """The planes (n, rows, columns) with so many columns.

    Means of areas are differences of running sums: a product of matrices would wake the threads of
    NumPy's library for each small picture, and on a busy machine wait for them.
    """
    length = planes.shape[2]
    if count > length:
        return np.asarray(planes @ _shares(length, count).T)
    sums = np.cumsum(planes, axis=2)
    edges = np.arange(count + 1) * (length / count)
    whole = np.minimum(edges.astype(np.int64), length - 1)
    until = sums[:, :, whole] - (whole + 1 - edges) * planes[:, :, whole]
    return np.asarray(np.diff(until, axis=2) * (count / length))


def _shares(length: int, count: int) -> Floats:
    """Of which old pixels each new one is made: (count, length), each row adding up to one."""
    step = length / count
    if step < 1:
        at = np.clip((np.arange(count) + 0.5) * step - 0.5, 0, length - 1)
        return np.asarray(np.clip(1 - np.abs(at[:, None] - np.arange(length)), 0, None))
    edges = np.arange(count + 1)[:, None] * step
    old = np.arange(length)
    overlap = np.minimum(edges[1:], old + 1) - np.maximum(edges[:-1], old)
    return np.asarray(np.clip(overlap, 0, None) / step)


def _round(value: float) -> int:
    """The nearest whole number, halves up, as JavaScript rounds."""
    return math.floor(value + 0.5)
