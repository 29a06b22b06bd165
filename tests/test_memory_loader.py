"""The loader from memory: a DataLoader's batches, values and order, and PIL's resizing."""

import time

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

import torch
from torch.utils.data import DataLoader, Subset

from lenet.d2l.memory_loader import MemoryDataset, MemoryLoader, resized
from lenet.data import Dataset, Split


def part(split: Split, count: int) -> Split:
    return Split(split.images[:count], split.labels[:count], split.classes, "the first")


def take(loader: object, count: int) -> list[list[torch.Tensor]]:
    """Batches of two iterations at once, and one more."""
    first, second = iter(loader), iter(loader)  # type: ignore[call-overload]
    batches = [batch for _ in range(count) for batch in (next(first), next(second))]
    return batches + list(loader)  # type: ignore[call-overload]


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_and_generator_are_those_of_a_dataloader(small: Dataset, shuffle: bool) -> None:
    split = part(small.train, 1000)
    loader = MemoryLoader(split, 64, shuffle=shuffle)
    theirs = DataLoader(MemoryDataset(split), 64, shuffle=shuffle)
    results = []
    for source in (loader, theirs):
        torch.manual_seed(7)
        results.append((take(source, 3), torch.rand(2)))
    (ours, our_next), (others, their_next) = results
    assert len(ours) == len(others) == 6 + 16
    for ours_, others_ in zip(ours, others, strict=True):
        assert type(ours_) is type(others_)
        assert all(torch.equal(a, b) for a, b in zip(ours_, others_, strict=True))
    assert torch.equal(our_next, their_next)


def test_each_epoch_has_every_picture_once_in_an_order_of_its_own(small: Dataset) -> None:
    split = part(small.train, 1000)
    loader = MemoryLoader(split, 64, shuffle=True)
    torch.manual_seed(0)
    orders = [loader.draw_order() for _ in range(2)]
    torch.manual_seed(0)
    labels = [torch.cat([y for _, y in loader]) for _ in range(2)]
    for order, seen in zip(orders, labels, strict=True):
        assert torch.equal(order.sort().values, torch.arange(1000))
        assert torch.equal(seen, torch.from_numpy(split.labels)[order])
    assert not torch.equal(*orders)


def test_a_batch_is_what_totensor_gives(small: Dataset) -> None:
    loader = MemoryLoader(part(small.train, 300), 256, shuffle=False)
    assert len(loader) == 2
    (X, y), (rest, _) = loader
    assert X.shape == (256, 1, 28, 28)
    assert rest.shape == (44, 1, 28, 28)
    assert X.dtype == torch.float32
    assert y.dtype == torch.int64
    assert X.is_contiguous()
    expected = small.train.images[:256].astype(np.float32) / np.float32(255)
    assert np.array_equal(X.numpy(), expected)
    X.zero_()  # whoever changes a batch changes no data
    assert np.array_equal(next(iter(loader))[0].numpy(), expected)


def test_the_dataset_is_indexed_like_torchvisions(small: Dataset) -> None:
    dataset = MemoryLoader(part(small.train, 50), 8, shuffle=True).dataset
    picture, label = dataset[3]
    assert len(dataset) == 50
    assert picture.shape == (1, 28, 28)
    assert label == small.train.labels[3]
    assert type(label) is int
    assert torch.equal(dataset[-1][0], dataset[49][0])
    assert torch.equal(dataset.data, torch.from_numpy(small.train.images[:50, 0]))
    assert dataset.classes[9] == "ankle boot"
    with pytest.raises(IndexError, match="index 50 is out of range: there are 50 pictures"):
        dataset[50]
    assert len([*dataset]) == 50  # IndexError ends it
    batches = DataLoader(Subset(dataset, range(20)), 8)  # type: ignore[arg-type]
    assert [len(y) for _, y in batches] == [8, 8, 4]


@pytest.mark.parametrize(
    "size", [1, 5, 14, 20, 27, 28, 32, 49, 63, 64, 96, 126, 224, (14, 20), (20, 45), (45, 20)]
)
def test_resizing_is_pils_to_the_last_bit(small: Dataset, size: int | tuple[int, int]) -> None:
    images = small.train.images[:24]
    height, width = (size, size) if isinstance(size, int) else size
    loader = MemoryLoader(part(small.train, 24), 24, shuffle=False, resize=size)
    expected = [
        np.asarray(Image.fromarray(i).resize((width, height), Image.Resampling.BILINEAR))
        for i in images[:, 0]
    ]
    ((X, _),) = loader
    assert X.is_contiguous()
    assert np.array_equal(loader.dataset.pictures(torch.arange(24)).numpy()[:, 0], expected)
    assert np.array_equal(X.numpy()[:, 0], np.array(expected, np.float32) / np.float32(255))


def test_channels_are_resized_each_by_itself() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 10, 20), np.uint8)
    both = resized(images, 15, 30)
    assert both.shape == (3, 2, 15, 30)
    assert np.array_equal(both[:, 1:], resized(images[:, 1:].copy(), 15, 30))
    split = Split(images, np.zeros(3, np.int64), ("a",), "noise")
    assert MemoryDataset(split, 15).shape == (2, 15, 30)  # a single number is the shorter side
    assert MemoryDataset(split, 0).shape == MemoryDataset(split).shape == (2, 10, 20)


def test_what_is_refused(small: Dataset) -> None:
    with pytest.raises(ValueError, match="batch_size is 0, must be at least 1"):
        MemoryLoader(small.train, 0, shuffle=True)
    with pytest.raises(ValueError, match=r"resize is \(1, 2, 3\)"):
        MemoryLoader(small.train, 8, shuffle=True, resize=(1, 2, 3))
    with pytest.raises(ValueError, match="resize is -4"):
        MemoryLoader(small.train, 8, shuffle=True, resize=-4)


def test_read_only_pictures_are_taken_without_a_warning(small: Dataset) -> None:
    images = small.train.images[:8].copy()
    images.flags.writeable = False
    split = Split(images, small.train.labels[:8], small.train.classes, "read only")
    ((X, _),) = MemoryLoader(split, 8, shuffle=True)
    assert X.shape == (8, 1, 28, 28)


def test_it_is_several_times_as_fast_as_a_dataloader(small: Dataset) -> None:
    """By the processor's time of one thread, which others at work here do not change."""

    def best_s(source: object) -> float:
        times = []
        for _ in range(3):
            started = time.process_time()
            assert sum(len(y) for _, y in source) == 2000  # type: ignore[attr-defined]
            times.append(time.process_time() - started)
        return min(times)

    split = part(small.train, 2000)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        theirs = best_s(DataLoader(MemoryDataset(split), 256, shuffle=True))
        assert best_s(MemoryLoader(split, 256, shuffle=True)) < theirs / 4
    finally:
        torch.set_num_threads(threads)


def test_what_a_dataloader_says_of_itself(small: Dataset) -> None:
    loader = MemoryLoader(small.test, 32, shuffle=False)
    assert (loader.batch_size, loader.num_workers, loader.drop_last) == (32, 0, False)
