"""Forty-odd files of a stranger's, of every kind: each answered or refused, with little memory."""

import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

MOST_GROWTH = 300_000_000  # bytes


def shoe(size: tuple[int, int] = (120, 160)) -> Image.Image:
    """A dark wedge on a light ground."""
    rows, columns = np.indices(size)
    inside = (rows > size[0] * 0.3) & (rows < size[0] * 0.8) & (columns > rows / 2)
    inside &= columns < size[1] * 0.8
    return Image.fromarray(np.where(inside, 60, 235).astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def png(width: int, height: int, *chunks: bytes, depth: int = 1) -> bytes:
    """A PNG that is all one colour, however large, with these chunks before its pixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width * depth + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    end = chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + end


def turned(orientation: Any) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def good_files() -> Iterator[tuple[str, bytes]]:
    """What is a picture of something, by its name."""
    grey = shoe()
    color = Image.merge("RGB", (grey, grey.point(lambda v: v // 2 + 100), grey))
    wide = np.asarray(grey).astype(np.uint16) * 257
    clear = grey.copy().convert("LA")
    clear.putalpha(grey.point(lambda v: 255 if v < 100 else 0))
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        yield f"grey.{kind.lower()}", saved(grey, kind)
        yield f"color.{kind.lower()}", saved(color, kind)
    yield "cmyk.jpg", saved(color.convert("CMYK"), "JPEG")
    yield "cmyk.tif", saved(color.convert("CMYK"), "TIFF")
    yield "lab.tif", saved(color.convert("LAB"), "TIFF")
    yield "16-bit.png", saved(Image.fromarray(wide), "PNG")
    yield "16-bit.tif", saved(Image.fromarray(wide), "TIFF")
    yield "32-bit.tif", saved(Image.fromarray(wide.astype(np.int32)), "TIFF")
    yield "float.tif", saved(Image.fromarray((wide / 65535).astype(np.float32)), "TIFF")
    yield "one-bit.png", saved(grey.convert("1"), "PNG")
    yield "one-bit.tif", saved(grey.convert("1"), "TIFF", compression="group4")
    yield "grey-alpha.png", saved(clear, "PNG")
    yield "alpha.webp", saved(clear.convert("RGBA"), "WEBP")
    yield "palette.png", saved(color.convert("P"), "PNG")
    yield "palette-alpha.png", saved(color.convert("P"), "PNG", transparency=bytes(range(256)))
    yield "one-colour-clear.png", saved(color, "PNG", transparency=(235, 217, 235))
    for orientation in (3, 6, 8):
        yield f"turned-{orientation}.jpg", saved(color, "JPEG", exif=turned(orientation))
    yield "turned-99.jpg", saved(color, "JPEG", exif=turned(99))
    yield "damaged-exif.jpg", saved(color, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\1\2")
    yield "progressive.jpg", saved(color, "JPEG", progressive=True)
    yield "interlaced.gif", saved(grey, "GIF", interlace=True)
    yield "animated.gif", saved(grey, "GIF", save_all=True, append_images=[grey.rotate(90)])
    yield "animated.png", saved(grey, "PNG", save_all=True, append_images=[grey.rotate(90)])
    yield "animated.webp", saved(color, "WEBP", save_all=True, append_images=[color.rotate(9)])
    yield "pages.tif", saved(grey, "TIFF", save_all=True, append_images=[grey.rotate(90)])
    yield "wrong-name.png", saved(grey, "JPEG")
    large = grey.resize((8000, 6000), Image.Resampling.NEAREST)  # 48 million pixels
    yield "large.jpg", saved(large, "JPEG")
    yield "large.png", saved(large.convert("P"), "PNG", compress_level=1)
    yield "thin.png", saved(shoe((30, 9000)), "PNG")


def bad_files() -> Iterator[tuple[str, bytes, str]]:
    """What is none, and a part of what is said about it."""
    whole = saved(shoe().convert("RGB"), "PNG")
    yield "empty.png", b"", "not a picture"
    yield "blank.png", png(50, 50), "nothing stands out"
    yield "one-pixel.png", png(1, 1), "nothing stands out"
    yield "huge.png", png(20_000, 20_000), "too many"
    yield "hugest.png", png(2**31 - 1, 2), "too many"
    yield "text-bomb.png", png(8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 28)))), "."
    yield "truncated.png", whole[: len(whole) // 2], "cut off or damaged"
    yield "truncated.jpg", saved(shoe(), "JPEG")[:700], "cut off or damaged"
    yield "wrong-sum.png", whole[:45] + b"\0\0\0\0" + whole[49:], "cut off or damaged"
    yield "vector.png", b"<svg xmlns='http://www.w3.org/2000/svg'><text>x</text></svg>", "not a"
    yield (
        "post.png",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "not a picture",
    )
    yield "stars.png", b"SIMPLE  =                    T" + b" " * 2850, "not a picture"
    yield "page.png", b"<!doctype html><title>404</title>", "not a picture"
    yield "pickle.png", b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06system\x93.", "not a"
    nan = Image.fromarray(np.full((20, 20), np.nan, np.float32))
    yield "nan.tif", saved(nan, "TIFF"), "its values go from"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("stranger")
    for name, content in good_files():
        (where / name).write_bytes(content)
    for name, content, _ in bad_files():
        (where / name).write_bytes(content)
    return where


def predicted(run: Path, *named: str) -> tuple[dict[str, Any], int]:
    """The answers by the files' names, and the most bytes that the process ever had."""
    script = (
        "import resource, sys; from lenet import cli; code = cli.run(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, code, file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, "predict", str(run), *named, "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    size, code = map(int, result.stderr.splitlines()[-1].split())
    answers = json.loads(result.stdout)
    assert code == any("error" in answer for answer in answers)
    unit = 1 if sys.platform == "darwin" else 1024
    return {Path(answer["picture"]).name: answer for answer in answers}, size * unit


@pytest.mark.slow
def test_each_is_answered_or_refused_and_the_memory_stays_small(
    calibrated_run: Path, folder: Path
) -> None:
    _, before = predicted(calibrated_run, str(folder / "grey.png"))
    answers, after = predicted(calibrated_run, str(folder))
    good = [name for name, _ in good_files()]
    bad = {name: said for name, _, said in bad_files()}
    assert len(good) + len(bad) > 45
    assert answers.keys() == {*good, *bad}
    for name in good:
        assert "classes" in answers[name], answers[name]
    for name, said in bad.items():
        assert said in answers[name].get("error", ""), answers[name]
        assert answers[name]["error"].isprintable()
        assert len(answers[name]["error"]) < 300
    assert after - before < MOST_GROWTH, (before, after)
    # one picture in many files is one picture
    same = ("grey.png", "grey.bmp", "grey.tiff", "16-bit.png", "16-bit.tif", "32-bit.tif")
    ranked = [[each["class"] for each in answers[name]["classes"]] for name in same]
    assert ranked == [ranked[0]] * len(same)
