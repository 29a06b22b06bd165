"""Pictures from files: six formats, each whole or refused; nothing is given to another program."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from lenet.data.picture_files import FORMATS, PictureFileError, decoded, open_picture

EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 10 10
%%EndComments
(canary) (w) file closefile
showpage
"""


@pytest.mark.parametrize("kind", FORMATS)
def test_the_six_formats_are_read_whatever_their_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.xyz"
    Image.new("RGB", (5, 4), (255, 0, 0)).save(path, kind)
    with open_picture(path) as image:
        assert image.size == (5, 4)
        red, green, _ = image.convert("RGB").getpixel((2, 2))  # type: ignore[misc]
        assert red > 240
        assert green < 15


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "PCX", "SGI", "DDS", "EPS", "PDF"])
def test_another_format_is_refused_under_any_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGB", (16, 16)).save(path, kind)
    with (
        pytest.raises(PictureFileError, match=r"picture\.png: not a picture that LeNet reads"),
        open_picture(path) as image,
    ):
        image.load()


def test_an_eps_reaches_no_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    def started(*command: object, **options: object) -> None:
        raise AssertionError(command)

    monkeypatch.setattr(subprocess, "Popen", started)
    (tmp_path / "digit.png").write_bytes(EPS)
    with (
        pytest.raises(PictureFileError, match="save it as PNG, JPEG, GIF, BMP, TIFF or WEBP"),
        open_picture(tmp_path / "digit.png") as image,
    ):
        image.load()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_that_is_cut_off_is_refused(kind: str) -> None:
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 100).convert("RGB").save(whole, kind)
    content = whole.getvalue()
    for length in (0, 3, 20, len(content) // 2):
        with (
            pytest.raises(PictureFileError, match=r"^it: "),
            decoded(io.BytesIO(content[:length]), "it") as image,
        ):
            image.load()


def test_too_many_pixels_are_refused_by_the_header_alone(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (10_000, 10_000)).save(path)
    with (
        pytest.raises(PictureFileError, match=r"10000×10000 pixels are too many|too many pixels"),
        open_picture(path),
    ):
        pass


@pytest.mark.skipif(os.name == "nt", reason="no pipes there")
def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for name, said in (("pipe.png", "a pipe"), ("", "a folder"), ("none.png", "No such file")):
        with pytest.raises(PictureFileError, match=said), open_picture(tmp_path / name):
            pass
