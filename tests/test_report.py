"""What is said of a data set: counts, balance, and pictures that are there twice."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lenet import data
from lenet.data import Split, report
from lenet.data.duplicates import find_duplicates, perceptual_bits
from lenet.data.picture_reading import Findings


def split_of(images: np.ndarray, labels: np.ndarray) -> Split:
    return Split(images, labels.astype(np.int64), ("a", "b"), "made up")


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    """Smooth pictures (60, 1, 28, 28) that differ."""
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (60, 7, 7), np.uint8)
    made = [Image.fromarray(one).resize((28, 28), Image.Resampling.BICUBIC) for one in small]
    return np.stack([np.asarray(one) for one in made])[:, None]


def test_duplicates_within_across_and_nearly(photographs: np.ndarray) -> None:
    labels = np.arange(60) % 2
    train = photographs[:40].copy()
    train[7] = train[3]
    test = photographs[40:].copy()
    test[0] = train[10]  # the same bytes
    brighter = train[11].astype(int) + 4  # another photograph of the same
    test[1] = np.clip(brighter, 0, 255).astype(np.uint8)
    test[2] = np.roll(train[12], 9, axis=2)  # something else
    found = find_duplicates(split_of(train, labels[:40]), {"test": split_of(test, labels[40:])})
    assert (found.within_train, found.exact_across, found.near_across) == (1, 1, 1)
    assert {(pair.first[1], pair.second[1]) for pair in found.pairs} == {(10, 0), (11, 1)}
    assert found.compared == {"train": 40, "test": 20}
    assert found.contradictory == 0


def test_the_same_picture_with_two_labels_is_told(photographs: np.ndarray) -> None:
    train = photographs[:10].copy()
    train[1] = train[0]
    found = find_duplicates(split_of(train, np.arange(10) % 2), {})
    assert found.contradictory == 1
    assert found.pairs[0].labels == (0, 1)


def test_bits_change_little_with_light_and_noise(photographs: np.ndarray) -> None:
    noise = np.random.default_rng(1).integers(-3, 4, photographs.shape)
    changed = np.clip(photographs * 0.9 + noise, 0, 255).astype(np.uint8)
    bits = perceptual_bits(photographs)
    assert bits.shape == (60, 64)
    differ = (64 - (bits * perceptual_bits(changed)).sum(1)) / 2
    assert differ.mean() < 3
    others = (64 - (bits * np.roll(bits, 1, axis=0)).sum(1)) / 2
    assert others.mean() > 20


@pytest.mark.slow
def test_fashion_mnist_has_few_near_duplicates(full_data: None) -> None:
    whole = data.load("fashion-mnist")
    found = find_duplicates(whole.train, {"test": whole.test})
    assert found.within_train == found.exact_across == 0
    assert 0 < found.near_across < 200


def test_a_report_says_what_deserves_a_look(photographs: np.ndarray) -> None:
    labels = np.array([0] * 36 + [1] * 4)
    loaded = data.Dataset(
        "mine",
        split_of(photographs[:40], labels),
        split_of(photographs[30:50], np.arange(20) % 2),
        "here",
        "not stated",
        {},
        bundled=False,
    )
    findings = Findings()
    findings.sizes.update({"28×28": 60})
    findings.unreadable += [("a/x.png", "cut off")]
    made = report.make_report(loaded, findings)
    assert made.counts == {"train": [36, 4], "test": [10, 10]}
    said = "\n".join(report.remarks(made))
    assert "classes are unequal: 36 training pictures of a, 4 of b" in said
    assert "10 held-out pictures are among the training pictures, too" in said
    assert "of these pairs have two different labels" in said
    assert "1 file is left out:\n  a/x.png: cut off" in said
    written = json.loads(json.dumps(report.to_dict(made)))
    assert report.from_dict(written) == made


def test_a_report_that_is_none_is_passed_over(tmp_path: Path, small: data.Dataset) -> None:
    import dataclasses

    for text in ("", "[]", "{}", '{"name": 1}', '{"duplicates": {"pairs": [1]}}'):
        (tmp_path / "report.json").write_text(text)
        assert data.kept_report(dataclasses.replace(small, source=str(tmp_path))) is None
