"""`torchvision.datasets.mnist`: MNIST and the data sets that have its form.

Files under `root`, where torchvision keeps them (ROOT/MNIST/raw), are the user's own and are read
as torchvision reads them. Where there are none, MNIST and Fashion-MNIST come from `lenet.data`, so
that `root` stays empty; the others are downloaded to `root`.
"""

from __future__ import annotations

import os
import string
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

import torch

from lenet import data
from lenet.tutorial.vision import batches
from lenet.tutorial.vision.dataset import Transform, VisionDataset
from lenet.tutorial.vision.functional import picture_of
from lenet.tutorial.vision.idx_files import (
    fetch,
    is_there,
    read_idx,
    read_image_file,
    read_label_file,
)

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# By the MD5 of their packed files, which a subclass with files of its own replaces.
_MNIST_MD5 = (
    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "d53e105ee54ea40749a09fcbcd1e9432",
    "9fb629c4189551a2d022fa330f9573f3",
    "ec29112dd5afa0611ce80d1b7f02629c",
)
_FASHION_MD5 = (
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
)
_KMNIST_MD5 = (
    "bdb82020997e1d708af4cf47b453dcf7",
    "e144d726b3acfaa3e44228e80efcd344",
    "5c965bf0a639b31b8f53240b1b52f4d7",
    "7320c461ea6c1c855c0b718fb2a4b134",
)
_OURS = {_MNIST_MD5: "mnist", _FASHION_MD5: "fashion-mnist"}


def _resources(md5s: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"{file}.gz", md5) for file, md5 in zip(data.FILES, md5s, strict=True)]


@lru_cache(maxsize=2)
def _load(name: str) -> data.Dataset:
    return data.load(name)


class MNIST(VisionDataset):
    """Handwritten digits, 28×28 and grey: (PIL picture or what the transform makes, int)."""

    mirrors: ClassVar[list[str]] = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    resources: ClassVar[Any] = _resources(_MNIST_MD5)
    training_file = "training.pt"
    test_file = "test.pt"
    classes: list[str] = [f"{number} - {word}" for number, word in enumerate(_DIGITS)]  # noqa: RUF012

    def __init__(
        self,
        root: Any,
        train: bool = True,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
    ) -> None:
        """Raises RuntimeError, as torchvision does, where nothing is here and nothing may be
        downloaded or could be."""
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        self.data: Any  # (n, 28, 28) uint8
        self.targets: Any  # (n,) int64
        if self._check_legacy_exist():
            self.data, self.targets = self._load_legacy_data()
            return
        if download:
            self.download()
        if not self._check_exists() and not self._comes_with_lenet(download):
            raise RuntimeError("Dataset not found. You can use download=True to download it")
        self.data, self.targets = self._load_data()

    # ----------------------------------------------------------------------------- its files

    @property
    def raw_folder(self) -> str:
        """Where the files are looked for."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def processed_folder(self) -> str:
        """Where torchvision before 0.9 kept tensors."""
        return os.path.join(self.root, type(self).__name__, "processed")

    def _check_legacy_exist(self) -> bool:
        files = (self.training_file, self.test_file)
        return all(os.path.isfile(os.path.join(self.processed_folder, file)) for file in files)

    def _load_legacy_data(self) -> Any:
        file = self.training_file if self.train else self.test_file
        return torch.load(os.path.join(self.processed_folder, file), weights_only=True)

    def _files(self) -> list[str]:
        """The paths of all the files, unpacked."""
        names = [os.path.splitext(os.path.basename(url))[0] for url, _ in self.resources]
        return [os.path.join(self.raw_folder, name) for name in names]

    def _check_exists(self) -> bool:
        return bool(self.resources) and all(is_there(path) for path in self._files())

    def _ours(self) -> str | None:
        """The name of LeNet's data set with these checksums, or None."""
        return _OURS.get(tuple(md5 for _, md5 in self.resources))

    def _comes_with_lenet(self, download: bool) -> bool:
        """Whether the pictures are LeNet's; files of the user's are not passed over in silence."""
        name = self._ours()
        if name is None or not (download or data.available(name)):
            return False
        paths = self._files()
        lacking = [os.path.basename(path) for path in paths if not is_there(path)]
        if len(lacking) < len(paths):
            text = f"{self.raw_folder} lacks {', '.join(lacking)}"
            if not download:
                raise RuntimeError(
                    f"Dataset not found. {text}; add it, or use download=True, which leaves the "
                    f"other files alone and takes the pictures of {name} itself"
                )
            warnings.warn(
                f"{text}, so the other files there are not used: these are the pictures of "
                f"{name} itself",
                stacklevel=3,
            )
        return True

    def _load_data(self) -> tuple[Any, Any]:
        name = None if self._check_exists() else self._ours()
        if name is not None:
            loaded = _load(name)
            split = loaded.train if self.train else loaded.test
            images = torch.from_numpy(split.images[:, 0].copy())
            return images, torch.from_numpy(split.labels.copy())
        part = "train" if self.train else "t10k"
        images = read_image_file(os.path.join(self.raw_folder, f"{part}-images-idx3-ubyte"))
        labels = read_label_file(os.path.join(self.raw_folder, f"{part}-labels-idx1-ubyte"))
        return images, labels

    def download(self) -> None:
        """Fetch the files that are not here, into LeNet's cache or `raw_folder`.

        Raises RuntimeError where no mirror sends the right bytes.
        """
        if self._check_exists():
            return
        name = self._ours()
        if name is not None:
            try:
                _load(name)
            except data.DataNotFoundError as error:
                raise RuntimeError(str(error)) from None
            return
        fetch(self.resources, self.mirrors, self.raw_folder)

    # -------------------------------------------------------------------------- its pictures

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class."""
        return {label: number for number, label in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        grey, target = self.data[index], int(self.targets[index])
        picture: Any = picture_of(grey.numpy(), "L")
        if self.transform is not None:
            picture = self.transform(picture)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return picture, target

    @property
    def __getitems__(self) -> Any:
        """A batch of pictures at once, for PyTorch's DataLoader and Subset.

        Raises AttributeError for anyone else, as torchvision's has no such method: a wrapper that
        passes attributes on would otherwise lose its own `__getitem__`.
        """
        if not batches.asked_by_pytorch():
            raise AttributeError(f"{type(self).__name__!r} object has no attribute '__getitems__'")
        return self._batch

    def _batch(self, indices: Sequence[Any]) -> list[tuple[Any, Any]]:
        """The pictures of a batch, each equal to `self[index]`."""
        found = batches.at_once(self, indices) if batches.is_plain(self, _GETITEM) else None
        return [self[index] for index in indices] if found is None else found

    @property
    def train_labels(self) -> Any:
        """`targets`, by its old name."""
        return self._renamed("train_labels", "targets")

    @property
    def test_labels(self) -> Any:
        """`targets`, by its old name."""
        return self._renamed("test_labels", "targets")

    @property
    def train_data(self) -> Any:
        """`data`, by its old name."""
        return self._renamed("train_data", "data")

    @property
    def test_data(self) -> Any:
        """`data`, by its old name."""
        return self._renamed("test_data", "data")

    def _renamed(self, old: str, new: str) -> Any:
        warnings.warn(f"{old} has been renamed {new}", stacklevel=3)
        return getattr(self, new)

    def extra_repr(self) -> str:
        """Which part it is."""
        return f"Split: {'Train' if self.train is True else 'Test'}"


_GETITEM = MNIST.__getitem__  # as it was, lest somebody replace the class's


class FashionMNIST(MNIST):
    """Pictures of clothes in MNIST's form."""

    mirrors: ClassVar[list[str]] = [
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ]
    resources: ClassVar[Any] = _resources(_FASHION_MD5)
    classes = [  # noqa: RUF012
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ]


class KMNIST(MNIST):
    """Cursive Japanese characters in MNIST's form."""

    mirrors: ClassVar[list[str]] = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources: ClassVar[Any] = _resources(_KMNIST_MD5)
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]  # noqa: RUF012


class EMNIST(MNIST):
    """Handwritten letters and digits in MNIST's form; `split` says which."""

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    resources: ClassVar[Any] = []
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    _merged_classes = frozenset("cijklmopsuvwxyz")  # small letters that look like capitals
    _all_classes = frozenset(string.digits + string.ascii_letters)
    classes_split_dict: ClassVar[dict[str, list[str]]] = {
        "byclass": sorted(_all_classes),
        "bymerge": sorted(_all_classes - _merged_classes),
        "balanced": sorted(_all_classes - _merged_classes),
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": [*string.digits],
        "mnist": [*string.digits],
    }

    def __init__(self, root: Any, split: str, **kwargs: Any) -> None:
        self.split = _one_of(split, "split", self.splits)
        self.training_file = f"training_{split}.pt"
        self.test_file = f"test_{split}.pt"
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[self.split]

    @property
    def images_file(self) -> str:
        """The path of the pictures."""
        return os.path.join(self.raw_folder, f"{self._prefix()}-images-idx3-ubyte")

    @property
    def labels_file(self) -> str:
        """The path of the labels."""
        return os.path.join(self.raw_folder, f"{self._prefix()}-labels-idx1-ubyte")

    def _prefix(self) -> str:
        return f"emnist-{self.split}-{'train' if self.train else 'test'}"

    def _check_exists(self) -> bool:
        return is_there(self.images_file) and is_there(self.labels_file)

    def _load_data(self) -> tuple[Any, Any]:
        return read_image_file(self.images_file), read_label_file(self.labels_file)

    def download(self) -> None:
        """Nothing where the files are here; else RuntimeError, which says where to put them."""
        if not self._check_exists():
            raise RuntimeError(
                f"EMNIST is one archive of 0.6 GB, which is not downloaded for you: take "
                f"{self.url} and put {os.path.basename(self.images_file)}.gz and "
                f"{os.path.basename(self.labels_file)}.gz out of it into {self.raw_folder}"
            )


class QMNIST(MNIST):
    """MNIST reconstructed, with 60,000 pictures to test on; `what` says which part."""

    _address = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"
    subsets: ClassVar[dict[str, str]] = {
        "train": "train",
        "test": "test",
        "test10k": "test",
        "test50k": "test",
        "nist": "nist",
    }
    resources: ClassVar[Any] = {
        "train": [
            (f"{_address}qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
            (f"{_address}qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ],
        "test": [
            (f"{_address}qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
            (f"{_address}qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
        ],
        "nist": [
            (f"{_address}xnist-images-idx3-ubyte.xz", "7f124b3b8ab81486c9d8c2749c17f834"),
            (f"{_address}xnist-labels-idx2-int.xz", "5ed0e788978e45d4a8bd4b7caec3d79d"),
        ],
    }

    def __init__(
        self,
        root: Any,
        what: str | None = None,
        compat: bool = True,
        train: bool = True,
        **kwargs: Any,
    ) -> None:
        if what is None:
            what = "train" if train else "test"
        self.what = _one_of(what, "what", tuple(self.subsets))
        self.compat = compat
        self.training_file = self.test_file = self.data_file = f"{what}.pt"
        super().__init__(root, train, **kwargs)

    def _ours(self) -> str | None:
        return None

    def _files(self) -> list[str]:
        urls = [url for url, _ in self.resources[self.subsets[self.what]]]
        names = [os.path.splitext(os.path.basename(url))[0] for url in urls]
        return [os.path.join(self.raw_folder, name) for name in names]

    @property
    def images_file(self) -> str:
        """The path of the pictures."""
        return self._files()[0]

    @property
    def labels_file(self) -> str:
        """The path of the labels."""
        return self._files()[1]

    def _load_data(self) -> tuple[Any, Any]:
        images, labels = read_image_file(self.images_file), read_idx(self.labels_file).long()
        if labels.ndim != 2:
            raise ValueError(f"targets should have 2 dimensions instead of {labels.ndim}")
        part = {"test10k": slice(10_000), "test50k": slice(10_000, None)}.get(
            self.what, slice(None)
        )
        return images[part].clone(), labels[part].clone()

    def download(self) -> None:
        """Fetch the files that are not here. Raises RuntimeError where they do not come right."""
        if self._check_exists():
            return
        if self.what == "nist":
            raise RuntimeError(
                f"QMNIST's part 'nist' is not unpacked for you: put {self.images_file} and its "
                "labels there"
            )
        fetch(self.resources[self.subsets[self.what]], [""], self.raw_folder)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        picture: Any = picture_of(self.data[index].numpy(), "L")
        target: Any = self.targets[index]
        if self.transform is not None:
            picture = self.transform(picture)
        if self.compat:
            target = int(target[0])
        if self.target_transform is not None:
            target = self.target_transform(target)
        return picture, target

    def extra_repr(self) -> str:
        """Which part it is."""
        return f"Split: {self.what}"


def _one_of(value: Any, name: str, known: Sequence[str]) -> str:
    if not isinstance(value, str):
        raise ValueError(f"Expected type str for argument {name}, but got type {type(value)}.")
    if value not in known:
        raise ValueError(
            f"Unknown value '{value}' for argument {name}. Valid values are "
            f"{{{', '.join(map(repr, known))}}}."
        )
    return value
