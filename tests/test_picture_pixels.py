"""Files as pixels: every mode that Pillow has, upright, small, eight bits a channel."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lenet.data import picture_pixels
from lenet.data.picture_files import PictureFileError
from lenet.data.picture_pixels import pixels_of_file, read_pixels


def through(image: Image.Image, kind: str, **options: Any) -> NDArray[np.uint8]:
    """The pixels of a picture that was saved and read."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return pixels_of_file(file, "it")


RAMP = np.tile(np.arange(256, dtype=np.uint8), (4, 1))


def test_grey_stays_grey_and_colours_stay_colours() -> None:
    np.testing.assert_array_equal(through(Image.fromarray(RAMP), "PNG"), RAMP)
    colors = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(through(Image.fromarray(colors), "PNG"), colors)
    rgba = np.random.default_rng(0).integers(0, 256, (9, 7, 4), dtype=np.uint8)
    np.testing.assert_array_equal(through(Image.fromarray(rgba), "PNG"), rgba)


def test_one_bit_a_pixel() -> None:
    made = through(Image.fromarray(RAMP > 127), "PNG")
    assert made.tolist() == ((RAMP > 127) * 255).tolist()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_ramp_of_16_bits_keeps_256_levels(kind: str) -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    made = through(Image.fromarray(ramp), kind)
    assert len(np.unique(made)) == 256
    assert (np.diff(made.ravel().astype(int)) >= 0).all()
    assert made[0, 0] == 0
    assert made[-1, -1] == 255


def test_numbers_of_32_bits_are_read_where_their_range_is_a_picture_s() -> None:
    shares = np.linspace(0, 1, 50, dtype=np.float32).reshape(5, 10)
    assert through(Image.fromarray(shares), "TIFF").max() == 255
    assert through(Image.fromarray(shares * 200), "TIFF").max() == 200
    whole = np.arange(50, dtype=np.int32).reshape(5, 10) * 1000
    assert through(Image.fromarray(whole), "TIFF").max() == 191
    for wrong in (shares * 1e9, shares - 5, shares * np.nan):
        with pytest.raises(PictureFileError, match="its values go from"):
            through(Image.fromarray(wrong), "TIFF")


def test_cmyk_and_palettes_with_opacity() -> None:
    red = Image.new("RGB", (20, 20), (255, 0, 0))
    made = through(red.convert("CMYK"), "JPEG", quality=95)
    assert made.shape == (20, 20, 3)
    assert made[10, 10, 0] > 240
    assert made[10, 10, 1] < 20
    palette = red.convert("P")
    with_hole = through(palette, "PNG", transparency=palette.getpixel((0, 0)))
    assert with_hole.shape == (20, 20, 4)
    assert with_hole[..., 3].max() == 0
    assert through(palette, "PNG")[3, 3].tolist() == [255, 0, 0]


def test_of_an_animation_the_first_picture() -> None:
    first, second = (Image.new("L", (12, 9), shade) for shade in (10, 200))
    made = through(first, "GIF", save_all=True, append_images=[second])
    assert made.reshape(9, 12, -1)[..., 0].max() == 10


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_stand_upright(kind: str, orientation: int) -> None:
    random = np.random.default_rng(orientation)
    blocks = random.integers(0, 256, (3, 5), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"JPEG": {"quality": 100}, "WEBP": {"lossless": True}}.get(kind, {})
    made = through(Image.fromarray(blocks).convert("RGB"), kind, exif=exif, **lossless)
    expected = Image.fromarray(blocks)
    turned = Image.new("L", expected.size)
    turned.paste(expected)
    turned.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(turned))
    assert made.shape[:2] == upright.shape
    assert np.abs(made[..., 0].astype(int) - upright).max() <= 6


def test_a_damaged_exif_block_says_nothing() -> None:
    made = through(Image.new("RGB", (8, 6)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\1\2")
    assert made.shape == (6, 8, 3)


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "L"), ("PNG", "RGBA"), ("JPEG", "RGB")])
def test_a_large_picture_becomes_means_of_blocks(kind: str, mode: str) -> None:
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (80, 130), dtype=np.uint8)
    image = Image.fromarray(small.repeat(20, 0).repeat(20, 1)).convert(mode)  # 2600×1600
    made = through(image, kind)
    assert made.shape[:2] == (534, 867)  # a third, rounded up
    grey = made.reshape(534, 867, -1)[..., 0].astype(float)
    exact = np.asarray(image.convert("L").reduce(3)).astype(float)
    assert np.abs(grey - exact).mean() < 1


def test_a_block_that_is_partly_transparent_has_the_colour_of_what_is_there() -> None:
    image = np.zeros((10, 2048, 4), np.uint8)
    image[:, ::2] = (200, 100, 50, 255)
    made = through(Image.fromarray(image), "PNG")
    assert made.shape == (5, 1024, 4)
    assert np.abs(made.astype(int) - [200, 100, 50, 128]).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_the_smallest_and_the_thinnest(size: tuple[int, int]) -> None:
    made = through(Image.new("RGB", size, (9, 8, 7)), "PNG")
    assert max(made.shape[:2]) <= picture_pixels.SIDE
    assert made[0, 0].tolist() == [9, 8, 7]


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_what_is_no_picture_is_refused_by_its_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    path.write_bytes(content)
    with pytest.raises(PictureFileError, match=r"digit\.png: "):
        read_pixels(path)


def test_a_folder_and_nothing_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.png"):
        with pytest.raises(PictureFileError, match=str(path)):
            read_pixels(path)
