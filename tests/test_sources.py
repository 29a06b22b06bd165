"""Somebody's own pictures: recognised whatever they come as, divided, read; errors are said."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lenet import data
from lenet.data import DataError, idx_folder, picture_reading, sources
from lenet.data.picture_pixels import read_pixels
from lenet.data.preparation import Preparation, prepare

RED, GREEN = (200, 30, 30), (30, 200, 30)


def make_folder(root: Path, counts: dict[str, int], size: tuple[int, int] = (8, 6)) -> Path:
    """A folder with one sub-folder a class, of grey pictures that all differ."""
    number = 0
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for at in range(count):
            number += 1
            noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0]), np.uint8)
            Image.fromarray(noise).save(root / name / f"{at:03}.png")
    return root


def test_a_folder_with_a_sub_folder_a_class(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "own", {"cat": 10, "ant": 5})
    loaded = data.load(folder)
    assert loaded.name == "own"
    assert loaded.train.classes == ("ant", "cat")
    assert loaded.train.images.shape == (12, 1, 6, 8)  # a fifth of each class is held out
    assert np.bincount(loaded.test.labels).tolist() == [1, 2]
    assert loaded.val is None
    assert "a folder with one sub-folder a class: 2 classes, 15 pictures" in loaded.remarks[0]
    with Image.open(folder / "ant" / "000.png") as image:
        ant = np.asarray(image)
    everything = np.concatenate([loaded.train.images, loaded.test.images])
    assert (everything == ant).all((1, 2, 3)).sum() == 1
    again = data.load(folder)
    assert again.sha256 == loaded.sha256
    np.testing.assert_array_equal(again.test.images, loaded.test.images)


def test_parts_above_the_classes_are_kept(tmp_path: Path) -> None:
    for part, count in (("Training", 4), ("valid", 2), ("TEST", 3)):
        make_folder(tmp_path / part, {"a": count, "b": count})
    loaded = data.load(tmp_path)
    assert loaded.val is not None
    assert [len(s) for s in (loaded.train, loaded.val, loaded.test)] == [8, 4, 6]
    assert set(loaded.sha256) == {*data.FILES, *idx_folder.VAL_FILES}
    assert not any("no test part" in remark for remark in loaded.remarks)


def test_a_folder_in_a_folder_as_archives_unpack(tmp_path: Path) -> None:
    make_folder(tmp_path / "flowers" / "flowers", {"rose": 3, "tulip": 3})
    assert data.load(tmp_path / "flowers").train.classes == ("rose", "tulip")


def test_numbers_are_in_the_order_of_their_size(tmp_path: Path) -> None:
    make_folder(tmp_path, {"10": 2, "9": 2, "x": 2})
    assert data.load(tmp_path).train.classes == ("9", "10", "x")


def test_pictures_of_any_size_become_28_by_28_and_colours_stay(tmp_path: Path) -> None:
    for name, color in (("red", RED), ("green", GREEN)):
        (tmp_path / name).mkdir()
        for width in (30, 90, 200, 41, 55):
            Image.new("RGB", (width, 70), color).save(tmp_path / name / f"{width}.JPG", "JPEG")
    loaded = data.load(tmp_path)
    assert loaded.train.images.shape[1:] == (3, 28, 28)
    assert loaded.preparation is not None
    assert loaded.preparation.fit == "pad"
    means = [loaded.train.images[loaded.train.labels == c].mean((0, 2, 3)) for c in (0, 1)]
    np.testing.assert_allclose(means, [GREEN, RED], atol=4)


@pytest.mark.needs("links", "pipes")
def test_files_that_are_no_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": 6, "b": 6})
    whole = (folder / "a" / "000.png").read_bytes()
    (folder / "a" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "a" / "empty.jpg").write_bytes(b"")
    (folder / "b" / "drawing.svg").write_text("<svg/>")
    (folder / "b" / "notes.txt").write_text("mine")
    (folder / "b" / ".DS_Store").write_bytes(b"\0")
    (folder / "b" / "Thumbs.db").write_bytes(b"\0")
    (folder / ".git").mkdir()
    os.mkfifo(folder / "b" / "pipe.png")
    (folder / "b" / "nowhere.png").symlink_to(folder / "gone.png")
    found = sources.recognise(folder, sources.Asked())
    assert found is not None
    loaded = sources.read(found)
    assert len(loaded.train) + len(loaded.test) == 12
    why = dict(found.findings.unreadable)
    assert {*why} == {
        os.path.join("a", "cut.png"),
        os.path.join("a", "empty.jpg"),
        *(os.path.join("b", name) for name in ("drawing.svg", "notes.txt", "pipe.png")),
        os.path.join("b", "nowhere.png"),
    }
    assert "cut off or damaged" in why[os.path.join("a", "cut.png")]
    assert "SVG is not read here" in why[os.path.join("b", "drawing.svg")]
    assert "leads nowhere" in why[os.path.join("b", "nowhere.png")]
    assert any(remark.startswith("6 files are left out: ") for remark in loaded.remarks)


def test_pictures_of_every_mode_are_read(tmp_path: Path) -> None:
    grey = np.linspace(0, 255, 64).reshape(8, 8)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = Image.fromarray(grey.astype(np.uint8))
    for mode in ("1", "L", "P", "RGB", "RGBA", "LA"):
        one.convert(mode).save(tmp_path / "a" / f"{mode}.PNG")
    one.convert("CMYK").save(tmp_path / "a" / "cmyk.jpg")
    Image.fromarray((grey * 257).astype(np.uint16)).save(tmp_path / "a" / "bild-größe 16.png")
    frames = [Image.new("L", (8, 8), level) for level in (10, 200)]
    frames[0].save(tmp_path / "b" / "moving.gif", save_all=True, append_images=frames[1:])
    turned = Image.fromarray(grey.astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned.save(tmp_path / "b" / "turned.jpg", exif=exif, quality=100)
    found = sources.recognise(tmp_path, sources.Asked())
    assert found is not None
    assert found.shape == (1, 8, 8)
    loaded = sources.read(found)
    assert found.findings.unreadable == []
    assert len(loaded.train) + len(loaded.test) == 10
    everything = np.concatenate([loaded.train.images, loaded.test.images])[:, 0].astype(int)
    assert (np.abs(everything - grey[::-1, ::-1]).max((1, 2)) < 6).sum() == 1  # the turned one
    assert (everything == 10).all((1, 2)).sum() == 1  # the first frame
    assert (np.abs(everything - grey).max((1, 2)) < 6).sum() >= 6


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"a": 3}, "pictures of one class, a"),
        ({}, "lacks train-images"),
    ],
)
def test_folders_that_are_none(made: dict[str, int], said: str, tmp_path: Path) -> None:
    make_folder(tmp_path, made)
    with pytest.raises(DataError, match=said):
        data.load(tmp_path)


def test_pictures_without_folders_are_refused(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "one.png")
    with pytest.raises(DataError, match=r"holds 1 pictures and no folders.*folder with its name"):
        data.load(tmp_path)


def test_a_folder_without_a_readable_picture(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"none of the 2 files can be read as a picture: .*x\.png"):
        data.load(tmp_path)


@pytest.mark.needs("links")
def test_links_in_a_circle_end(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": 4, "b": 4})
    (folder / "a" / "again").symlink_to(folder, target_is_directory=True)
    found = sources.recognise(folder, sources.Asked())
    assert found is not None
    assert found.pictures == 8
    assert "a link to a folder" in dict(found.findings.unreadable)[os.path.join("a", "again")]


# --- tables ------------------------------------------------------------------------------------


def pixel_rows(count: int, size: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size), np.uint8)


def write_csv(path: Path, labels: list[object], pixels: np.ndarray, heading: bool = True) -> Path:
    rows = [f"{label},{','.join(map(str, row))}" for label, row in zip(labels, pixels, strict=True)]
    first = [",".join(["label", *(f"pixel{i}" for i in range(pixels.shape[1]))])]
    path.write_text("\n".join([*(first if heading else []), *rows]) + "\n")
    return path


@pytest.mark.parametrize("heading", [True, False])
def test_a_csv_file_of_pixels(heading: bool, tmp_path: Path) -> None:
    pixels = pixel_rows(10)
    path = write_csv(tmp_path / "digits.csv", [0, 3] * 5, pixels, heading)
    loaded = data.load(path)
    assert loaded.train.classes == ("0", "3")
    assert loaded.train.images.shape == (8, 1, 4, 4)
    everything = np.concatenate([loaded.train.images, loaded.test.images]).reshape(10, 16)
    assert sorted(map(bytes, everything)) == sorted(map(bytes, pixels))
    assert "is a CSV file of pixels: 2 classes, 10 pictures, 4×4 grey" in loaded.remarks[0]


def test_kaggles_folder_has_a_test_file_without_labels(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", list("ab") * 5, pixel_rows(10))
    (tmp_path / "test.csv").write_text("pixel0,pixel1\n1,2\n")
    loaded = data.load(tmp_path)
    assert len(loaded.train) == 8
    assert "test.csv has no labels, and is passed over" in loaded.remarks


def test_two_csv_files_are_the_two_parts(tmp_path: Path) -> None:
    write_csv(tmp_path / "fashion_train.csv", list("ab") * 5, pixel_rows(10))
    write_csv(tmp_path / "fashion_test.csv", list("ab") * 2, pixel_rows(4))
    loaded = data.load(tmp_path)
    assert (len(loaded.train), len(loaded.test)) == (10, 4)


def test_pixels_in_one_column_with_their_usage(tmp_path: Path) -> None:
    rows = [" ".join(map(str, row)) for row in pixel_rows(6)]
    use = ["Training"] * 4 + ["PublicTest", "PrivateTest"]
    lines = [f'{at % 2},"{row}",{use[at]}' for at, row in enumerate(rows)]
    (tmp_path / "faces.csv").write_text("emotion,pixels,Usage\n" + "\n".join(lines))
    loaded = data.load(tmp_path / "faces.csv")
    assert loaded.val is not None
    assert [len(s) for s in (loaded.train, loaded.val, loaded.test)] == [4, 1, 1]


@pytest.mark.parametrize("together", [True, False])
def test_colours_together_or_apart_are_told_by_the_pictures(together: bool, tmp_path: Path) -> None:
    ramp = np.arange(64, dtype=np.uint8).reshape(8, 8)
    colors = np.stack([ramp, 255 - ramp, ramp // 2 + 90])  # (3, 8, 8)
    row = (colors.transpose(1, 2, 0) if together else colors).reshape(1, -1)
    path = write_csv(tmp_path / "c.csv", ["a", "b"] * 2, np.repeat(row, 4, axis=0))
    images = data.load(path).train.images
    np.testing.assert_array_equal(images[0], colors)


def test_a_csv_file_of_paths(tmp_path: Path) -> None:
    make_folder(tmp_path, {"files": 8})
    rows = [f"files/{at:03}.png,{'ab'[at % 2]}" for at in range(8)]
    (tmp_path / "list.csv").write_text("path,label\n" + "\n".join(rows))
    loaded = data.load(tmp_path / "list.csv")
    assert loaded.train.classes == ("a", "b")
    assert len(loaded.train) + len(loaded.test) == 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("label,p0\n", "no picture below it"),
        ("name,p0,p1\nx,1,2\n", "no column is called label"),
        ("label,p0,p1,p2,p3\na,1,2,3,4\nb,1,2,3\n", "line 3 has 4 columns, the first has 5"),
        ("label,p0,p1,p2,p3\na,1,2,3,4\nb,1,2,x,3\n", "line 3 has 'x' where a pixel stands"),
        ("label,p0,p1,p2,p3\na,1,2,3,4\nb,1,2,900,3\n", "from 1 to 900"),
        ("label,p0,p1,p2,p3\na,1,2,3,4\nb,1,2,nan,3\n", "'nan' where a pixel stands|from nan"),
        ("label,p0,p1\na,1,2\nb,1,2\n", "2 pixels are no square picture"),
        ("label,path\na,/etc/passwd\n", "does not lie beside this file"),
        ("label,path\na,../x.png\n", "does not lie beside this file"),
        ("1,2,3\n", "has no heading"),
        ("label,p0\na,\0\n", "zero byte"),
    ],
)
def test_csv_files_that_are_wrong(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        data.load(path)
    assert "wrong.csv" in str(caught.value)


# --- NumPy's files -----------------------------------------------------------------------------


def test_npz_files_by_the_usual_names(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (12, 5, 5), np.uint8)
    y = np.arange(12) % 3
    np.savez(tmp_path / "keras.npz", x_train=x[:8], y_train=y[:8], x_test=x[8:], y_test=y[8:])
    loaded = data.load(tmp_path / "keras.npz")
    assert (len(loaded.train), len(loaded.test)) == (8, 4)
    np.testing.assert_array_equal(loaded.train.images[:, 0], x[:8])
    np.savez(
        tmp_path / "med.npz",
        **{f"{part}_images": x for part in ("train", "val", "test")},
        **{f"{part}_labels": y[:, None] for part in ("train", "val", "test")},
    )
    loaded = data.load(tmp_path / "med.npz")
    assert loaded.val is not None
    assert len(loaded.val) == 12
    np.savez(tmp_path / "one.npz", images=x, labels=np.array(list("zyx") * 4))
    loaded = data.load(tmp_path / "one.npz")
    assert loaded.train.classes == ("x", "y", "z")


def test_a_folder_of_npy_files(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (20, 36), np.uint8)  # rows of 6·6 pixels
    np.save(tmp_path / "images.npy", x)
    np.save(tmp_path / "labels.npy", np.arange(20) % 2 + 5)
    loaded = data.load(tmp_path)
    assert loaded.train.images.shape == (16, 1, 6, 6)
    assert loaded.train.classes == ("5", "6")
    assert not data.split.is_mapped(loaded.train.images)


def test_python_objects_are_never_read(tmp_path: Path) -> None:
    class Canary:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {tmp_path / 'sung'}",)

    np.savez(tmp_path / "bad.npz", images=np.array([Canary()], object), labels=np.array([0]))
    with pytest.raises(DataError, match="holds Python objects, which are not read"):
        data.load(tmp_path / "bad.npz")
    assert not (tmp_path / "sung").exists()


def test_an_npz_that_promises_too_much(tmp_path: Path) -> None:
    path = tmp_path / "cut.npz"
    np.savez(path, images=np.zeros((4, 3, 3), np.uint8), labels=np.arange(4))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"is no \.npz file, or is cut off"):
        data.load(path)
    np.savez(path, images=np.zeros((4, 3, 3), np.uint8))
    with pytest.raises(DataError, match="train part has no labels; there is images"):
        data.load(path)
    np.savez(path, images=np.zeros((4, 3, 3), np.uint8), labels=np.arange(3))
    with pytest.raises(DataError, match="4 pictures and 3 labels"):
        data.load(path)


def test_a_header_that_promises_the_sky_takes_no_memory(tmp_path: Path) -> None:
    made = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        made, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40, 28, 28)}
    )
    (tmp_path / "images.npy").write_bytes(made.getvalue())
    np.save(tmp_path / "labels.npy", np.arange(3))
    with pytest.raises(DataError, match=r"images\.npy: is damaged or cut off"):
        data.load(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photograph_is_read_no_finer_than_needed_and_looks_the_same(
    kind: str, tmp_path: Path
) -> None:
    small = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    photograph = Image.fromarray(small).resize((1600, 1200), Image.Resampling.BICUBIC)
    photograph.save(tmp_path / f"one.{kind}", kind)
    how = Preparation(3, 28, 28)
    found = picture_reading.Findings()
    ((made, good),) = picture_reading.read_pictures(
        [tmp_path / f"one.{kind}"], how, found, tmp_path
    )
    assert good.all()
    assert found.sizes == {"1600×1200": 1}
    whole = prepare(read_pixels(tmp_path / f"one.{kind}"), how)
    assert np.abs(made[0].astype(int) - whole).mean() < 1
    assert picture_reading._enough((1600, 1200), how) == 200
    assert picture_reading._enough((4000, 100), how) == 1024


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"size": 0}, "size is 0; it must be 1 to 1024"),
        ({"channels": 2}, "channels is 2; 1 is grey"),
        ({"fit": "digit"}, "fit is 'digit'; choose from crop, pad, stretch"),
    ],
)
def test_what_cannot_be_asked(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        sources.Asked(**asked)
