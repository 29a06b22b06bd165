"""The stand-in for torchvision: its values, its data sets, its modules, new processes."""

import functools
import gzip
import json
import multiprocessing
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import (  # noqa: E402
    ConcatDataset,
    DataLoader,
    Dataset,
    Subset,
    random_split,
)

from lenet.tutorial import vision  # noqa: E402
from lenet.tutorial.vision import (  # noqa: E402
    batches,
    fakedata,
    folder,
    functional,
    idx_files,
    mnist,
    random_distortions,
    random_transforms,
    transforms,
    utils,
    v2,
)

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "scripts"))
import torchvision_values  # noqa: E402

sys.path.pop(0)
MEASURED = json.loads((HERE / "torchvision_values.json").read_text(encoding="utf-8"))
SAME_CPU = torch.backends.cpu.get_cpu_capability() == MEASURED["cpu"]


# ------------------------------------------------------------------- values of the transforms


class Gathered:
    """What `torchvision.transforms` gathers."""

    def __getattr__(self, name: str) -> Any:
        for part in (transforms, random_transforms, random_distortions):
            if hasattr(part, name):
                return getattr(part, name)
        raise AttributeError(name)


OTHER_TEXT = "supplied for input type"  # torchvision names the class numpy.dtype there


def comparable(result: Any) -> Any:
    """Without the bits of floats, where another kind of processor rounds in another order."""
    if isinstance(result, list):
        return [comparable(one) for one in result]
    text = str(result).split(OTHER_TEXT)[0]
    return text if SAME_CPU or not text.startswith("torch.float") else text.rpartition(" ")[0]


@pytest.mark.parametrize("case", torchvision_values.CASES)
def test_values_random_draws_reprs_and_errors_are_torchvisions(case: str) -> None:
    names = torchvision_values.names_of(Gathered(), v2, functional, utils)
    for kind, expected in MEASURED["values"][case].items():
        found = json.loads(json.dumps(torchvision_values.evaluate(case, kind, names)))
        assert comparable(found) == comparable(expected), kind


def test_a_transform_is_a_module_where_torchvisions_is() -> None:
    both = torch.nn.Sequential(transforms.Resize(20), transforms.CenterCrop(10))
    assert both(torch.rand(1, 28, 28)).shape == (1, 10, 10)
    assert not isinstance(transforms.ToTensor(), torch.nn.Module)
    assert pickle.loads(pickle.dumps(transforms.Resize(8))).size == 8


def test_pictures_are_saved_as_a_grid(tmp_path: Path) -> None:
    from PIL import Image

    utils.save_image(torch.linspace(0, 1, 5 * 16).view(5, 1, 4, 4), tmp_path / "g.png", nrow=3)
    with Image.open(tmp_path / "g.png") as picture:
        assert (picture.size, picture.mode) == ((3 * 6 + 2, 2 * 6 + 2), "RGB")
        assert picture.getpixel((2, 2)) == (0, 0, 0)


# --------------------------------------------------------------------------------- data sets


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch, small: Any) -> Any:
    """The MNIST family, made of the bundled pictures."""
    monkeypatch.setattr(mnist, "_load", lambda name: small)
    monkeypatch.setattr(mnist.data, "available", lambda name: True)  # type: ignore[attr-defined]
    return mnist


def scaled() -> Any:
    return transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])


def made(pictures: Any, **options: Any) -> Any:
    return pictures.MNIST("x", **{"transform": scaled(), **options})


def values(item: Any) -> Any:
    """An item in a form that can be compared."""
    if isinstance(item, tuple | list):
        return [values(one) for one in item]
    return (str(item.dtype), item.tolist()) if isinstance(item, torch.Tensor) else item


def same_as_one_by_one(several: Any, indices: Any = (5, 0, 99, 5)) -> list[Any]:
    """The batch of a DataLoader, found to be what the items are one by one."""
    indices = list(indices)
    alone = [several[index] for index in indices]
    loader = DataLoader(several, batch_sampler=[indices], collate_fn=lambda items: items)
    [together] = list(loader)
    assert values(together) == values(alone)
    return alone


def at_once(several: Any, indices: Any = (5, 0, 99, 5)) -> bool:
    """Whether a batch is made without asking for its items."""
    plain = batches.is_plain(several, mnist.MNIST.__getitem__)
    return plain and batches.at_once(several, indices) is not None


def test_a_data_set_has_torchvisions_attributes(pictures: Any, small: Any) -> None:
    train = pictures.FashionMNIST("anywhere", train=True, download=True)
    assert len(train) == len(small.train)
    assert (train.data.shape, str(train.data.dtype)) == ((10_000, 28, 28), "torch.uint8")
    assert (train.targets.shape, str(train.targets.dtype)) == ((10_000,), "torch.int64")
    picture, label = train[5]
    assert (picture.mode, picture.size, type(label)) == ("L", (28, 28), int)
    assert (np.asarray(picture) == small.train.images[5, 0]).all()
    assert label == small.train.labels[5]
    assert train.classes[0] == "T-shirt/top"
    assert train.class_to_idx["Ankle boot"] == 9
    assert pictures.MNIST("x").classes[3] == "3 - three"
    assert len(pictures.FashionMNIST("x", train=False)) == len(small.test)
    assert (train.targets == 6).sum() == (small.train.labels == 6).sum()
    assert train.raw_folder == os.path.join("anywhere", "FashionMNIST", "raw")
    with pytest.warns(UserWarning, match="train_labels has been renamed targets"):
        assert train.train_labels is train.targets
    with pytest.raises(IndexError):
        _ = train[len(train)]
    assert repr(made(pictures)) == (
        "Dataset MNIST\n    Number of datapoints: 10000\n    Root location: x\n    Split: Train\n"
        "    StandardTransform\nTransform: Compose(\n               ToTensor()\n"
        "               Normalize(mean=(0.1307,), std=(0.3081,))\n           )"
    )
    loader = DataLoader(train)
    assert loader.dataset is train
    assert not hasattr(train, "__getitems__")  # torchvision's has none


def test_usual_transforms_are_done_at_once(pictures: Any) -> None:
    t = transforms
    for transform in (
        t.ToTensor(),
        scaled(),
        t.Compose([t.Resize(32), t.ToTensor(), t.Normalize([0.5], [0.5])]),
        t.Compose([t.Resize((40, 20)), t.Resize(14, interpolation=0), t.ToTensor()]),
        t.Compose([t.Compose([t.Resize(30)]), t.Compose([t.ToTensor()])]),
    ):
        several = made(pictures, transform=transform, target_transform=lambda y: -y)
        assert at_once(several)
        same_as_one_by_one(several)


def test_other_transforms_are_done_one_by_one(pictures: Any) -> None:
    class Twice(transforms.ToTensor):
        def __call__(self, pic: Any) -> Any:
            return super().__call__(pic) * 2

    class Shifted(transforms.Normalize):
        def forward(self, tensor: Any) -> Any:
            return tensor + 1

    own_forward = transforms.Normalize(0.5, 0.5)
    own_forward.forward = lambda tensor: tensor * 3  # type: ignore[method-assign]
    hooked = transforms.Normalize(0.5, 0.5)
    hooked.register_forward_hook(lambda module, given, result: result + 7)
    tensor = transforms.ToTensor()
    flat, wide = torch.rand(28, 28) + 1, torch.rand(4, 1, 1, 1) + 1
    for transform in (
        lambda picture: np.asarray(picture).mean(),
        transforms.Compose([tensor, lambda x: x * 2]),
        transforms.Compose([tensor, functools.partial(torch.mul, other=2)]),
        transforms.Compose([random_transforms.RandomCrop(28), tensor]),
        Twice(),
        transforms.Compose([tensor, Shifted(0.5, 0.5)]),
        transforms.Compose([tensor, own_forward]),
        transforms.Compose([tensor, hooked]),
        transforms.Compose([tensor, transforms.Normalize(flat, flat)]),
    ):
        several = made(pictures, transform=transform)
        assert not at_once(several)
        same_as_one_by_one(several)
    # a mean for each of four pictures would fit a batch of four; it fits none of the pictures
    several = made(
        pictures, transform=transforms.Compose([tensor, transforms.Normalize(wide, wide)])
    )
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        next(iter(DataLoader(several, 4)))
    bare = made(pictures, transform=None)
    [items] = DataLoader(bare, batch_sampler=[[1, 2]], collate_fn=lambda items: items)
    assert [(type(x).__name__, y) for x, y in items] == [
        ("Image", label) for label in bare.targets[1:3].tolist()
    ]


def test_what_is_reassigned_is_used(pictures: Any) -> None:
    several = made(pictures)
    labels = several.targets
    for targets in (
        [3] * len(labels),
        [str(label) for label in labels.tolist()],
        np.arange(len(labels)) % 3,
        labels.float() + 0.9,
        labels.double() - 0.5,
        labels > 4,
        labels[:, None],
        dict(enumerate(labels.tolist())),
        torch.cat((torch.zeros(5_000), torch.ones(5_000))),
    ):
        several.targets = targets
        found = same_as_one_by_one(several)
        assert [type(label) for _, label in found] == [int] * 4
        assert [label for _, label in found] == [int(targets[i]) for i in (5, 0, 99, 5)]
    several.targets = labels
    original = several.data
    for data in (
        original.flip(2).transpose(1, 2),
        original[:, 4:24, 2:20],
        original > 100,
        list(original),
        original[..., None].repeat(1, 1, 1, 3),
        original.float(),
    ):
        several.data = data
        same_as_one_by_one(several)
    several.data = original[:200]
    several.targets = labels[:200].float()
    assert len(several) == 200
    several.transform = transforms.ToTensor()
    several.transforms = lambda picture, label: (0, 0)  # MNIST does not look at it, nor do we
    several.target_transform = functools.partial(torch.tensor, dtype=torch.float32)
    assert same_as_one_by_one(several)[0][1].dtype == torch.float32


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda several: {"targets": several.targets[:2]}, IndexError),
        (lambda several: {"targets": several.targets + torch.nan}, ValueError),
        (lambda several: {"data": several.data.numpy()}, AttributeError),
    ],
)
def test_errors_are_those_of_one_item(pictures: Any, wrong: Any, error: type[Exception]) -> None:
    several = made(pictures)
    vars(several).update(wrong(several))
    with pytest.raises(error):
        next(iter(DataLoader(several, 4)))


def test_a_target_transform_is_called_once_a_label(pictures: Any) -> None:
    seen: list[int] = []
    several = made(pictures, target_transform=lambda label: (seen.append(label), len(seen))[1])
    _, labels = next(iter(DataLoader(several, 4)))
    assert labels.tolist() == [1, 2, 3, 4]
    assert seen == several.targets[:4].tolist()


def test_what_a_subclass_overrides_is_used(pictures: Any) -> None:
    class Parity(pictures.MNIST):  # type: ignore[misc]
        def __getitem__(self, index: Any) -> Any:
            image, digit = super().__getitem__(index)
            return image, digit % 2

    class Moved(pictures.MNIST):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            return value + 1 if name == "targets" else value

    class Blank(pictures.MNIST):  # type: ignore[misc]
        transform = property(lambda self: lambda picture: torch.zeros(1), lambda self, value: None)

    class Batches(pictures.MNIST):  # type: ignore[misc]
        def __getitems__(self, indices: Any) -> Any:
            return [(torch.tensor(index), -index) for index in indices]

    class Letters(pictures.MNIST):  # type: ignore[misc]
        classes = list("abcdefghij")  # noqa: RUF012

    plain = made(pictures).targets
    parity = Parity("x", transform=scaled())
    assert {label for _, label in same_as_one_by_one(parity)} <= {0, 1}
    part, _ = random_split(parity, [100, len(parity) - 100])
    assert max(int(labels.max()) for _, labels in DataLoader(part, 50)) == 1
    both = ConcatDataset([Subset(parity, [1]), made(pictures)])
    assert same_as_one_by_one(both, [0, 1, 9])[0][1] == plain[1] % 2
    moved = same_as_one_by_one(Moved("x", transform=scaled()))
    assert [label for _, label in moved] == [int(plain[i]) + 1 for i in (5, 0, 99, 5)]
    assert same_as_one_by_one(Blank("x", transform=scaled()))[0][0].tolist() == [0]
    images, labels = next(iter(DataLoader(Batches("x"), 3)))
    assert (images.tolist(), labels.tolist()) == ([0, 1, 2], [0, -1, -2])
    letters = Letters("x", transform=scaled())
    assert letters.class_to_idx["c"] == 2
    assert at_once(letters)


def test_a_wrapper_that_passes_attributes_on_keeps_its_own_items(pictures: Any) -> None:
    class Wrapper(Dataset[Any]):
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            if name == "inner":
                raise AttributeError(name)
            return getattr(self.inner, name)

        def __len__(self) -> int:
            return len(self.inner)

        def __getitem__(self, index: Any) -> Any:
            image, label = self.inner[index]
            return -image, label + 100

    wrapped = Wrapper(made(pictures))
    assert all(label >= 100 for _, label in same_as_one_by_one(wrapped))
    assert all(label >= 100 for _, label in same_as_one_by_one(Subset(wrapped, range(4, 200))))


@pytest.mark.parametrize(
    ("owner", "name", "instead"),
    [
        (mnist.MNIST, "__getitem__", lambda self, index: (torch.tensor(index), index)),
        (transforms.ToTensor, "__call__", lambda self, picture: torch.ones(1, 3, 2)),
        (transforms.Normalize, "forward", lambda self, tensor: tensor * 0),
        (functional, "to_tensor", lambda picture: torch.ones(1, 2, 2)),
        (functional, "normalize", lambda tensor, *rest: tensor * 0 + 3),
    ],
)
def test_what_is_replaced_for_all_is_used(
    pictures: Any, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, instead: Any
) -> None:
    several = made(pictures)
    before = values(several[0])
    monkeypatch.setattr(owner, name, instead)
    assert values(same_as_one_by_one(several)) != before


def test_hooks_of_all_modules_are_called(pictures: Any) -> None:
    handle = torch.nn.modules.module.register_module_forward_hook(lambda *given: given[2] + 7)
    try:
        found = same_as_one_by_one(made(pictures))
    finally:
        handle.remove()
    assert found[0][0].min() > 6


def test_indices_of_any_kind(pictures: Any) -> None:
    several = made(pictures)
    for indices in (
        np.where(several.targets == 6)[0][:4],
        torch.where(several.targets == 6)[0][:4],
        [-1, -2, 0],
        [np.int64(3), 4],
    ):
        same_as_one_by_one(several, indices)
    with pytest.raises(IndexError):
        next(iter(DataLoader(Subset(several, [1, 20_000]), 2)))


def test_a_data_loader_gives_batches(pictures: Any) -> None:
    data = made(pictures, transform=transforms.ToTensor())
    x, y = next(iter(DataLoader(data, batch_size=7, shuffle=True)))
    assert (x.shape, x.dtype, y.shape, y.dtype) == (
        *((7, 1, 28, 28), torch.float32, (7,)),
        torch.int64,
    )
    assert 0 <= x.min() < x.max() <= 1
    first, _ = random_split(data, [9_000, 1_000])
    assert next(iter(DataLoader(Subset(first, [0, 1]), batch_size=2)))[0].shape == (2, 1, 28, 28)


# ---------------------------------------------------------------------------- files under root


def put(folder_: Path, name: str, array: Any, *, packed: bool = False, kind: int = 8) -> Path:
    folder_.mkdir(parents=True, exist_ok=True)
    content = bytes((0, 0, kind, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    content += array.tobytes()
    path = folder_ / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def own_files(raw: Path, **options: Any) -> None:
    for part, n in (("train", 40), ("t10k", 20)):
        put(raw, f"{part}-images-idx3-ubyte", np.full((n, 9, 7), 200, np.uint8), **options)
        put(raw, f"{part}-labels-idx1-ubyte", np.arange(n, dtype=np.uint8) % 3, **options)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("download", [False, True])
def test_files_under_root_are_the_users_own(
    pictures: Any, tmp_path: Path, packed: bool, download: bool
) -> None:
    own_files(tmp_path / "MNIST" / "raw", packed=packed)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for train, n in ((True, 40), (False, 20)):
        own = pictures.MNIST(str(tmp_path), train=train, download=download)
        assert (own.data.shape, own.data.unique().tolist()) == ((n, 9, 7), [200])
        assert own.targets.tolist() == [i % 3 for i in range(n)]
        assert own.targets.dtype == torch.int64
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert len(pictures.FashionMNIST(tmp_path)) == 10_000  # another folder


def test_a_subclass_has_a_folder_of_its_name(pictures: Any, tmp_path: Path) -> None:
    class Mine(pictures.MNIST):  # type: ignore[misc]
        pass

    own_files(tmp_path / "Mine" / "raw")
    assert len(Mine(tmp_path)) == 40
    assert len(pictures.MNIST(tmp_path)) == 10_000


def test_a_part_of_the_files_is_not_passed_over_in_silence(pictures: Any, tmp_path: Path) -> None:
    own_files(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(RuntimeError, match=r"Dataset not found\..*lacks t10k-labels-idx1-ubyte"):
        pictures.MNIST(tmp_path)
    with pytest.warns(UserWarning, match="the other files there are not used"):
        assert len(pictures.MNIST(tmp_path, download=True)) == 10_000
    assert len(list((tmp_path / "MNIST" / "raw").iterdir())) == 3


def test_files_are_checked(pictures: Any, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    own_files(raw)
    images = raw / "train-images-idx3-ubyte"
    good = images.read_bytes()
    for content, error, text in (
        (good[:-1], ValueError, "its header promises shape"),
        (good + b"x", ValueError, "its header promises shape"),
        (b"<html>", ValueError, "is not an IDX file"),
        (b"", ValueError, "is not an IDX file"),
        (b"\0\0\x08\x04" + good[4:], ValueError, "has 4 dimensions"),
        (b"\0\0\x08\x02" + good[4:12] + bytes(360), ValueError, "x should have 3 dimension"),
        (b"\0\0\x09\x03" + good[4:], TypeError, "should be of dtype torch.uint8"),
    ):
        images.write_bytes(content)
        with pytest.raises(error, match=text):
            pictures.MNIST(tmp_path)


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx_files, "MAX_BYTES", 1000)
    put(tmp_path, "bomb", np.zeros((40, 28, 28), np.uint8), packed=True)
    with pytest.raises(ValueError, match="holds more than 1,000 bytes"):
        idx_files.read_image_file(str(tmp_path / "bomb"))


def test_tensors_of_an_old_torchvision_are_read(pictures: Any, tmp_path: Path) -> None:
    old = tmp_path / "MNIST" / "processed"
    old.mkdir(parents=True)
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(3, 28, 28, dtype=torch.uint8), torch.tensor([7, 8, 9])), old / name)
    assert pictures.MNIST(tmp_path).targets.tolist() == [7, 8, 9]


def test_a_missing_data_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mnist.data, "available", lambda name: False)  # type: ignore[attr-defined]
    text = "Dataset not found. You can use download=True to download it"
    for make in (mnist.MNIST, mnist.KMNIST, mnist.QMNIST):
        with pytest.raises(RuntimeError, match=text):
            make(tmp_path)
    with pytest.raises(RuntimeError, match="put emnist-letters-train-images-idx3-ubyte"):
        mnist.EMNIST(tmp_path, split="letters", download=True)
    with pytest.raises(ValueError, match="Unknown value 'letter' for argument split"):
        mnist.EMNIST(tmp_path, split="letter")

    def nothing(name: str) -> None:
        raise mnist.data.DataNotFoundError("no mirror")  # type: ignore[attr-defined]

    monkeypatch.setattr(mnist, "_load", nothing)
    with pytest.raises(RuntimeError, match="no mirror"):
        mnist.MNIST(tmp_path, download=True)


def test_another_data_set_is_downloaded_to_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    own_files(tmp_path / "mirror", packed=True)
    files = [f"{name}.gz" for name in mnist.data.FILES]  # type: ignore[attr-defined]
    sent = {name: (tmp_path / "mirror" / name).read_bytes() for name in files}

    class Mine(mnist.MNIST):
        mirrors = ["http://first/", "http://second/"]  # noqa: RUF012
        resources = [  # noqa: RUF012
            (name, hashlib.md5(content).hexdigest()) for name, content in sent.items()
        ]

    def from_mirrors(bases: Any, file: str, accept: Any, *rest: Any) -> Any:
        assert bases == ["http://first/", "http://second/"]
        with pytest.raises(ValueError, match="wrong bytes: MD5"):
            accept(b"others")
        return accept(sent[file]), []

    monkeypatch.setattr(idx_files, "from_mirrors", from_mirrors)
    assert len(Mine(tmp_path / "root", download=True)) == 40
    assert sorted(path.name for path in (tmp_path / "root" / "Mine" / "raw").iterdir()) == sorted(
        files
    )
    monkeypatch.setattr(idx_files, "from_mirrors", lambda *given: (None, ["first: refused"]))
    with pytest.raises(RuntimeError, match=r"Error downloading train-images-idx3-ubyte.gz:\nfirst"):
        Mine(tmp_path / "other", download=True)


def test_emnist_and_qmnist_are_read_from_root(tmp_path: Path) -> None:
    raw = tmp_path / "EMNIST" / "raw"
    put(raw, "emnist-letters-train-images-idx3-ubyte", np.zeros((5, 28, 28), np.uint8), packed=True)
    put(raw, "emnist-letters-train-labels-idx1-ubyte", np.arange(5, dtype=np.uint8))
    letters = mnist.EMNIST(tmp_path, "letters", download=True)
    assert (len(letters), letters[3][1], letters.classes[:2]) == (5, 3, ["N/A", "a"])
    raw = tmp_path / "QMNIST" / "raw"
    put(raw, "qmnist-test-images-idx3-ubyte", np.zeros((9, 28, 28), np.uint8))
    labels = np.arange(9 * 8).reshape(9, 8).astype(">i4")
    put(raw, "qmnist-test-labels-idx2-int", labels, kind=12)
    assert [mnist.QMNIST(tmp_path, train=False)[i][1] for i in range(3)] == [0, 8, 16]
    full = mnist.QMNIST(tmp_path, what="test10k", compat=False)
    assert full[1][1].tolist() == list(range(8, 16))


def test_pictures_in_folders(tmp_path: Path) -> None:
    from PIL import Image

    for name, level in (("cat/b.png", 20), ("cat/a.PNG", 10), ("dog/x/y.bmp", 30)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 5), level).save(tmp_path / name)
    (tmp_path / "dog" / "notes.txt").write_text("no picture", encoding="utf-8")
    several = folder.ImageFolder(str(tmp_path), transform=transforms.ToTensor())
    assert (several.classes, several.class_to_idx) == (["cat", "dog"], {"cat": 0, "dog": 1})
    assert [Path(path).name for path, _ in several.imgs] == ["a.PNG", "b.png", "y.bmp"]
    assert several.targets == [0, 0, 1]
    images, labels = next(iter(DataLoader(several, 3)))
    assert (images.shape, labels.tolist()) == ((3, 3, 5, 6), [0, 0, 1])
    assert (images[:, 0, 0, 0] * 255).round().tolist() == [10, 20, 30]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no valid file for the classes empty"):
        folder.ImageFolder(tmp_path)
    assert len(folder.ImageFolder(tmp_path, allow_empty=True)) == 3
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder"):
        folder.ImageFolder(tmp_path / "empty")


def test_fake_data_are_torchvisions() -> None:
    several = fakedata.FakeData(10, (3, 8, 8), transform=transforms.ToTensor())
    image, label = several[4]
    assert (round(float(image.sum()), 3), label) == (91.631, 8)  # measured with torchvision 0.29.1
    with pytest.raises(IndexError):
        _ = several[10]


# ------------------------------------------------------------------- modules, new processes


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that runs a tutorial in a folder of its own, and gives what it printed."""
    monkeypatch.chdir(tmp_path)

    def run_(text: str, *arguments: str) -> str:
        (tmp_path / "t.py").write_text(text, encoding="utf-8")
        own_files(tmp_path / "data" / "MNIST" / "raw")
        command = [sys.executable, "-m", "lenet", "run", "t.py", "--", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("torchvision is not installed") == 1
        return done.stdout

    return run_


SPELLINGS = """\
import inspect
import torch
import torchvision
import torchvision.transforms as transforms
import torchvision.transforms.functional as TF
import torchvision.utils as vutils
from torchvision import datasets
from torchvision.datasets import mnist, ImageFolder, DatasetFolder
from torchvision.datasets.folder import IMG_EXTENSIONS, default_loader
from torchvision.datasets.mnist import MNIST, read_image_file
from torchvision.datasets.vision import StandardTransform, VisionDataset
from torchvision.transforms import *
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import to_pil_image
from torchvision.transforms.transforms import RandomRotation
from torchvision.utils import make_grid, save_image
from torchvision.version import __version__
from torchvision.transforms import v2
import torchvision.transforms.v2 as T2
assert v2.ToDtype is T2.ToDtype
assert torchvision.__version__ == __version__ and int(__version__.split(".")[1]) >= 28
assert datasets.MNIST is mnist.MNIST is MNIST and ToTensor is transforms.ToTensor
assert torchvision.transforms.transforms.ToTensor is ToTensor
assert torchvision.utils.make_grid is make_grid and TF.to_pil_image is to_pil_image
assert torchvision.get_image_backend() == "PIL"
inspect.getmembers(torchvision), inspect.getmembers(transforms), dir(datasets)
ds = MNIST("data", transform=Compose([Resize((32, 32), interpolation=2), ToTensor()]))
print(ds[0][0].shape)
TF.to_tensor = lambda picture: torch.zeros(2)
print(ds[0][0].shape, next(iter(torch.utils.data.DataLoader(ds, 3)))[0].shape)
for wrong in ("datasets.CIFAR10", "torchvision.transforms.AutoAugment", "torchvision.models",
              "v2.RandomRotation"):
    try:
        eval(wrong)
    except AttributeError as error:
        print(error)
for wrong in ("from torchvision.datasets import CIFAR10", "import torchvision.models",
              "from torchvision.transforms.functional_tensor import resize"):
    try:
        exec(wrong)
    except ImportError as error:
        print(error)
"""


@pytest.mark.slow
def test_all_spellings_of_its_modules(run: Any) -> None:
    lines = run(SPELLINGS).splitlines()
    assert lines[:2] == ["torch.Size([1, 32, 32])", "torch.Size([2]) torch.Size([3, 2])"]
    begin = "LeNet's stand-in for torchvision has no torchvision."
    missing = (
        *("datasets.CIFAR10", "transforms.AutoAugment", "models", "transforms.v2.RandomRotation"),
        *("datasets.CIFAR10", "models", "transforms.functional_tensor"),
    )
    assert [line.split(";")[0] for line in lines[2:]] == [begin + name for name in missing]
    assert all(line.endswith("; pip install torchvision has the others") for line in lines[2:])
    assert "RandomRotation" in lines[3]


CHILDREN = """\
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import torch
from torch.utils.data import DataLoader
import torchvision
from torchvision import transforms
from d2l import torch as d2l

class Parity(torchvision.datasets.MNIST):
    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image, label % 2

def loaded(way):
    return way, "torchvision" in sys.modules, d2l.__name__, torchvision.datasets.MNIST.__name__

def spawned(rank, folder):
    open(f"{folder}/rank{rank}", "w").write(torchvision.__version__)

def main():
    for way in sys.argv[1:]:
        ds = Parity("data", transform=transforms.ToTensor(), download=True)
        loader = DataLoader(ds, batch_size=10, num_workers=1, multiprocessing_context=way)
        print(way, sorted({int(label) for _, labels in loader for label in labels}))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(way)) as pool:
        print(*pool.submit(loaded, way).result())
    torch.multiprocessing.spawn(spawned, args=("data",), nprocs=1)
    print(open("data/rank0").read())

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
def test_new_processes_find_the_stand_ins(run: Any, tmp_path: Path) -> None:
    own_files(tmp_path / "data" / "Parity" / "raw")
    ways = [way for way in multiprocessing.get_all_start_methods() if way != "fork"]
    lines = run(CHILDREN, *ways).splitlines()
    assert lines[: len(ways)] == [f"{way} [0, 1]" for way in ways]
    assert lines[len(ways)] == f"{ways[-1]} True lenet.d2l MNIST"
    assert lines[-1] == f"{vision.VERSION}+lenet"


@pytest.mark.slow
def test_a_torchvision_that_is_installed_is_used(in_tmp: Path) -> None:
    (in_tmp / "torchvision.py").write_text("datasets = 'the real one'\n", encoding="utf-8")
    (in_tmp / "t.py").write_text(
        "from torchvision import datasets\nprint(datasets)\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "lenet", "run", "t.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "the real one\n"
    assert "not installed" not in done.stderr
