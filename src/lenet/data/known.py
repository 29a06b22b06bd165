"""The data sets that have a name from the beginning: their hashes, mirrors and licences.

Sources: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits"; H. Xiao,
K. Rasul, R. Vollgraf, "Fashion-MNIST", arXiv:1708.07747.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from lenet.data.idx_folder import FILES

BUNDLED: Final = Path(__file__).with_name("datasets") / "fashion-mnist-small"


@dataclass(frozen=True, eq=False)
class Known:
    """What is known beforehand about a data set with a name."""

    name: str
    classes: tuple[str, ...]
    licence: str
    sha256: Mapping[str, str]  # of FILES, decompressed
    mirrors: tuple[str, ...]  # addresses at which FILES lie with `.gz` added
    download_bytes: int


_FASHION_CLASSES: Final = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
_FASHION_LICENCE: Final = "MIT, Copyright 2017 Zalando SE"


def _hashes(*sha256: str) -> Mapping[str, str]:
    return MappingProxyType(dict(zip(FILES, sha256, strict=True)))


KNOWN: Final[Mapping[str, Known]] = MappingProxyType(
    {
        "fashion-mnist": Known(
            "fashion-mnist",
            _FASHION_CLASSES,
            _FASHION_LICENCE,
            _hashes(
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
            (
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
            ),
            30_878_645,
        ),
        "mnist": Known(
            "mnist",
            tuple("0123456789"),
            "CC BY-SA 3.0, Yann LeCun, Corinna Cortes, Christopher Burges",
            _hashes(
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist",
                "https://storage.googleapis.com/cvdf-datasets/mnist",
            ),
            11_594_722,
        ),
        # Made from fashion-mnist by scripts/make_bundled_data.py; comes with the package.
        "fashion-mnist-small": Known(
            "fashion-mnist-small",
            _FASHION_CLASSES,
            _FASHION_LICENCE,
            _hashes(
                "98e7770917579140c254c16bfc44d2ea54daef3773797258e8f05598ee3b958a",
                "3590f8eb444dca2ad294ae69a9b7d395df1f8e15b3c74892b1e329027b7024f6",
                "20bd1066a36b81f2f5d3b77fb060a67eaef3f88fbd60e094306a8d8c1395a36a",
                "8df04a80abad89cbe22a19e3f9a1cfa7ab8bf03467bfaf485c85268519eeeb3d",
            ),
            (),
            0,
        ),
    }
)
