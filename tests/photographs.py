"""Photographs that are made up: digits and clothes with paper, shadows, colours, JPEG, EXIF.

The page and Python are compared on them; what they show is known, too.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from lenet import data


@dataclass(frozen=True)
class Photograph:
    """A file's name and bytes, and what it shows."""

    name: str
    content: bytes
    shows: str  # a digit, or an article of Fashion-MNIST


@cache
def digit(number: int) -> Photograph:
    """One of ten digits, each photographed otherwise; drawn when it is first asked for."""
    suffix, size, ink, ground, options = DIGITS[number]
    image = _inked(_written(str(number), size, number), ink, ground, number)
    return _file(f"digit-{number}.{suffix}", image, str(number), options)


@cache
def article(label: int) -> Photograph:
    """One of ten of the bundled test pictures, coloured, enlarged, on different grounds."""
    suffix, size, ink, ground, options = CLOTHES[label]
    test = _bundled().test
    name = test.classes[label]
    picture = test.images[np.flatnonzero(test.labels == label)[3], 0]
    mask = np.asarray(_enlarged(picture, size), np.float64) / 255
    image = _inked(mask, ink, ground, label)
    return _file(f"{name.replace(' ', '-')}.{suffix}", image, name, options)


@cache
def _bundled() -> data.Dataset:
    return data.bundled()


TURNED: dict[str, Any] = {"exif": 6, "quality": 90}
DIGITS: tuple[tuple[str, tuple[int, int], Any, Any, dict[str, Any]], ...] = (
    ("jpg", (900, 1200), (30, 30, 45), (235, 228, 205), {"quality": 85}),
    ("jpg", (640, 480), (240, 240, 225), (35, 80, 60), {"quality": 60}),
    ("png", (200, 300), (25, 40, 160), (250, 250, 250), {}),
    ("png", (320, 320), (20, 20, 20), None, {}),
    ("jpg", (700, 500), (60, 50, 50), (215, 210, 220), TURNED),
    ("jpg", (2200, 3000), (40, 40, 60), (225, 225, 215), {"quality": 90}),
    ("gif", (240, 200), (10, 10, 10), (245, 245, 245), {"mode": "P"}),
    ("webp", (400, 300), (250, 250, 250), None, {"lossless": True}),
    ("png", (256, 256), 60, 220, {"mode": "L"}),
    ("jpg", (300, 400), 30, 200, {"mode": "L", "quality": 75}),
)
CLOTHES: tuple[tuple[str, tuple[int, int], Any, Any, dict[str, Any]], ...] = (
    ("jpg", (800, 600), (150, 30, 40), (245, 245, 245), {"quality": 85}),
    ("jpg", (900, 700), (30, 40, 90), (240, 238, 230), {"quality": 90}),
    ("png", (400, 400), (90, 120, 60), (252, 252, 252), {}),
    ("png", (500, 300), (160, 40, 120), None, {}),
    ("jpg", (600, 800), (70, 50, 40), (230, 235, 240), TURNED),
    ("jpg", (500, 700), (120, 80, 50), (248, 248, 246), {"quality": 70}),
    ("png", (280, 280), (60, 110, 150), (245, 245, 245), {}),
    ("jpg", (1400, 2000), (20, 20, 20), (235, 235, 235), {"quality": 90}),
    ("webp", (300, 400), (110, 60, 30), (250, 250, 250), {"quality": 90}),
    ("jpg", (600, 600), 50, 240, {"mode": "L", "quality": 80}),
)


def _written(digit: str, size: tuple[int, int], seed: int) -> NDArray[np.float64]:
    """A digit of a thick pen somewhere on a sheet (h, w), 0 to 1."""
    height, width = size
    random = np.random.default_rng(seed)
    letters = 0.55 * min(size)
    sheet = Image.new("L", (width, height))
    at = (width * random.uniform(0.4, 0.6), height * random.uniform(0.4, 0.6))
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(letters)
    pen.text(at, digit, 255, font, "mm", stroke_width=max(1, round(letters / 22)), stroke_fill=255)
    tilted = sheet.rotate(random.uniform(-8, 8), Image.Resampling.BICUBIC, center=at)
    return np.asarray(tilted.filter(ImageFilter.GaussianBlur(min(size) / 400)), np.float64) / 255


def _enlarged(picture: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    height, width = size
    side = round(0.8 * min(size))
    large = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
    sheet = Image.new("L", (width, height))
    sheet.paste(large, ((width - side) // 2, (height - side) // 3))
    return sheet


def _inked(mask: NDArray[np.float64], ink: Any, ground: Any, seed: int) -> NDArray[np.uint8]:
    """Ink on paper with grain and a shadow from one corner; without a ground, on nothing."""
    random = np.random.default_rng(seed + 100)
    height, width = mask.shape
    if ground is None:
        flat = np.broadcast_to(np.array(ink, np.float64), (height, width, 3))
        return np.dstack([flat, 255 * mask]).astype(np.uint8)
    depth = np.ndim(ink) and len(ink)
    ink, ground = (np.array(color, np.float64).reshape(1, 1, -1) for color in (ink, ground))
    shadow = np.linspace(0, 10, width) + np.linspace(0, 6, height)[:, None]
    grain = random.normal(0, 2.5, (height, width))
    image = ground + (ink - ground) * mask[:, :, None] - (shadow + grain)[:, :, None]
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    return pixels if depth else pixels[:, :, 0]


def _file(name: str, pixels: NDArray[np.uint8], shows: str, options: dict[str, Any]) -> Photograph:
    options = dict(options)
    image = Image.fromarray(pixels)
    if mode := options.pop("mode", None):
        image = image.convert(mode)
    if orientation := options.pop("exif", None):
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
        image = image.transpose(Image.Transpose.ROTATE_90)  # the camera was held otherwise
    kind = {"jpg": "JPEG"}.get(name.rsplit(".")[-1], name.rsplit(".")[-1].upper())
    file = io.BytesIO()
    image.save(file, kind, **options)
    return Photograph(name, file.getvalue(), shows)
