"""What a network makes of a picture: the engine's numbers, tutorial 003's figure, the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lenet.data import Dataset
from lenet.data.preparation import Preparation, prepare, usual
from lenet.drawing.text_width import cells
from lenet.looking import feature_maps
from lenet.looking.feature_maps import (
    Features,
    Picture,
    PictureError,
    features,
    find_picture,
    picture_from_file,
    to_json,
    to_text,
)
from lenet.network import zoo
from lenet.network.architecture import Network
from lenet.network.layers import Conv2d, Flatten, Linear
from lenet.network.parameters import initialize

LENET = zoo.build("lenet")
WEIGHTS = initialize(LENET, "xavier", 0)


@pytest.fixture
def seen(small: Dataset) -> Features:
    return features(LENET, WEIGHTS, find_picture(17, LENET, small.test))


def save(path: Path, pixels: Any, mode: str) -> Path:
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(path)
    return path


# --- what every layer makes of it --------------------------------------------------------------


def test_every_layer_is_there_as_pytorch_computes_it(seen: Features) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    F = torch.nn.functional
    weights = {name: torch.from_numpy(array) for name, array in WEIGHTS.items()}
    x = torch.from_numpy(seen.picture.pixels[None] / np.float32(255))
    first = F.conv2d(x, weights["0.weight"], weights["0.bias"], padding=2)
    pooled = F.avg_pool2d(torch.sigmoid(first), 2)
    second = F.conv2d(pooled, weights["3.weight"], weights["3.bias"])
    assert [values.shape for values in seen.outputs] == [r.output_shape for r in seen.layers]
    np.testing.assert_allclose(seen.outputs[0], first[0], atol=1e-5)
    np.testing.assert_allclose(seen.outputs[3], second[0], atol=1e-5)
    np.testing.assert_allclose(
        seen.probabilities, torch.softmax(torch.from_numpy(seen.outputs[-1]), 0), atol=1e-6
    )


def test_tutorial_003s_figure_is_its_own_computation(seen: Features) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    F = torch.nn.functional
    weights = {name: torch.from_numpy(array) for name, array in WEIGHTS.items()}
    x = torch.from_numpy(seen.picture.pixels[None] / np.float32(255))
    feature1 = F.conv2d(x, weights["0.weight"], weights["0.bias"], padding=2)
    feature2 = F.conv2d(feature1, weights["3.weight"], weights["3.bias"])
    assert seen.shortcut is not None
    np.testing.assert_allclose(seen.shortcut.first, feature1[0].sum(0), atol=1e-4)
    np.testing.assert_allclose(seen.shortcut.second, feature2[0].sum(0), atol=1e-4)
    np.testing.assert_allclose(seen.shortcut.passed_on, seen.outputs[2].sum(0))
    np.testing.assert_allclose(seen.shortcut.really, seen.outputs[3].sum(0))
    assert seen.shortcut.second.shape == (24, 24)
    assert seen.shortcut.really.shape == (10, 10)
    assert seen.shortcut.between == ("Sigmoid", "AvgPool2d")


@pytest.mark.parametrize("channels", [1, 3])
def test_the_shortcut_takes_what_the_first_layer_sees(channels: int) -> None:
    """Normalization, stride and padding included: where nothing lies between, it is the network."""
    from lenet.network.architecture import Normalization

    layers = (
        *(Conv2d(channels, 4, 3, 2, 1), Conv2d(4, 5, 2, 2, 1), Flatten()),
        Linear(5 * 3 * 4, 2),
    )
    normal = Normalization((0.3,) * channels, (0.7,) * channels)
    network = Network("plain", (channels, 9, 11), layers, ("a", "b"), normal)
    pixels = np.random.default_rng(0).integers(0, 256, network.input_shape, np.uint8)
    found = features(network, initialize(network, "torch", 0), Picture(pixels, "0", "it", None))
    assert found.shortcut is not None
    np.testing.assert_allclose(found.shortcut.second, found.shortcut.really, atol=1e-5)
    assert "both rows are the same" in to_text(found)


def test_one_convolution_has_no_shortcut() -> None:
    network = Network("one", (1, 3, 3), (Conv2d(1, 2, 3), Flatten()), ("a", "b"))
    pixels = np.zeros((1, 3, 3), np.uint8)
    found = features(network, initialize(network, "torch", 0), Picture(pixels, "0", "it", None))
    assert found.shortcut is None
    assert "003" not in to_text(found)
    with pytest.raises(PictureError, match="no second convolution"):
        found.shortcut_figure()


# --- pictures ----------------------------------------------------------------------------------


def test_a_number_is_an_index_into_the_test_pictures(small: Dataset) -> None:
    for what in (17, "17"):
        picture = find_picture(what, LENET, small.test)
        assert np.array_equal(picture.pixels, small.test.images[17])
        assert picture.label == small.test.labels[17]
        assert picture.source == f"test picture 17 ({small.test.classes[picture.label]})"


def test_a_class_and_a_number_are_the_n_th_of_the_class(small: Dataset) -> None:
    picture = find_picture("ankle boot:2", LENET, small.test)
    third = np.flatnonzero(small.test.labels == 9)[2]
    assert np.array_equal(picture.pixels, small.test.images[third])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("2000", "no test picture 2000: they go from 0 to 1999"),
        ("-1", "no test picture -1"),
        ("boot:0", "no class 'boot'.*choose from t-shirt, trouser"),
        ("dress:5000", "pictures of this class, numbered from 0"),
        ("dress.png", "no such file; give a picture's file, its number"),
    ],
)
def test_a_picture_that_is_not_there(small: Dataset, what: str, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        find_picture(what, LENET, small.test)


def test_numbers_without_a_run(small: Dataset) -> None:
    with pytest.raises(PictureError, match="Only a run has test pictures"):
        find_picture(3, LENET, None)


def test_a_file_of_the_right_size_stays_as_it_is(tmp_path: Path, small: Dataset) -> None:
    path = save(tmp_path / "boot.png", small.test.images[0, 0], "L")
    picture = find_picture(str(path), LENET, None)
    assert np.array_equal(picture.pixels, small.test.images[0])
    assert (picture.name, picture.label) == ("boot", None)
    assert picture.source == "boot.png (made grey and 28×28)"


def test_a_larger_file_is_prepared_as_the_network_s_own_pictures(tmp_path: Path) -> None:
    pixels = np.full((300, 400), 230, np.uint8)  # a dark bar on paper: a one
    pixels[50:250, 180:220] = 20
    path = save(tmp_path / "one.png", pixels, "L")
    picture = find_picture(str(path), LENET, None)
    assert np.array_equal(picture.pixels, prepare(pixels, usual((1, 28, 28), LENET.classes)))
    plain = picture_from_file(path, Preparation(1, 28, 28, "stretch"))
    assert plain.pixels[0, 0, 0] == 230
    with pytest.raises(PictureError, match=r"grey\.png: nothing stands out from the ground"):
        find_picture(str(save(tmp_path / "grey.png", np.full((9, 9), 99), "L")), LENET, None)


def test_a_picture_that_came_out_blank_or_light_is_remarked(tmp_path: Path, small: Dataset) -> None:
    light = save(tmp_path / "light.png", 255 - small.test.images[0, 0], "L")
    seen = features(LENET, WEIGHTS, find_picture(str(light), LENET, None))
    lines = to_text(seen).splitlines()
    assert lines[1].startswith("note: its ground is light")
    assert max(map(len, lines)) <= 80
    assert to_json(seen)["remark"].endswith("exchange light and dark in it")
    blank = save(tmp_path / "blank.png", np.full((28, 28), 3), "L")
    assert find_picture(str(blank), LENET, None).remark.startswith("it came out blank")
    own = save(tmp_path / "own.png", small.test.images[0, 0], "L")
    seen = features(LENET, WEIGHTS, find_picture(str(own), LENET, None))
    assert "note:" not in to_text(seen)
    assert "remark" not in to_json(seen)


def test_three_channels_stay_in_order(tmp_path: Path) -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[..., 1] = 90
    path = save(tmp_path / "green.png", pixels, "RGB")
    picture = picture_from_file(path, Preparation(3, 32, 32))
    assert [int(channel.max()) for channel in picture.pixels] == [0, 90, 0]
    assert picture.source == "green.png (made RGB and 32×32)"


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    path = tmp_path / "no.png"
    path.write_bytes(b"no picture")
    how = usual((1, 28, 28), LENET.classes)
    with pytest.raises(PictureError, match="not a picture that LeNet reads"):
        picture_from_file(path, how)
    whole = save(tmp_path / "cut.png", np.zeros((64, 64)), "L").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PictureError, match="cannot be read"):
        picture_from_file(tmp_path / "cut.png", how)


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(PictureError, match="it is 1×9×9; network 'lenet' takes 1×28×28"):
        features(LENET, WEIGHTS, Picture(np.zeros((1, 9, 9), np.uint8), "0", "it", None))


# --- what is shown -----------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_text_fits_and_says_what_003_leaves_out(small: Dataset, language: str) -> None:
    picture = find_picture(17, LENET, small.test)
    found = features(LENET, WEIGHTS, picture, language)  # type: ignore[arg-type]
    text = to_text(found)
    assert max(map(cells, text.splitlines())) <= 80
    between = "Sigmoid、AvgPool2d" if language == "zh" else "Sigmoid, AvgPool2d"
    for word in (between, "10×10", "24×24", "conv2(conv1(x))", "003"):
        assert word in text
    assert ("教程" in text) == (language == "zh")
    assert "#" in to_text(found, ascii_only=True)


def test_of_many_classes_the_likeliest_are_shown() -> None:
    network = zoo.build("lenet", classes=100)
    picture = Picture(np.zeros((1, 28, 28), np.uint8), "0", "it", None)
    found = features(network, initialize(network, "torch", 0), picture)
    lines = to_text(found).split("\n\n")[2].splitlines()
    assert len(lines) == 20
    assert lines[0].split()[0] == str(found.predicted)


def test_json_has_every_number(seen: Features) -> None:
    values = feature_maps.to_json(seen)
    assert len(values["layers"]) == 12
    assert np.array_equal(np.array(values["layers"][3]["values"], np.float32), seen.outputs[3])
    assert sum(values["probabilities"].values()) == pytest.approx(1)
    assert values["label"] == seen.network.classes[seen.picture.label or 0]
