"""`torchvision.datasets.folder`: your own pictures, a folder a class."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from lenet.tutorial.vision.dataset import Transform, VisionDataset

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
Extensions = str | tuple[str, ...] | None
Valid = Callable[[str], bool] | None


def has_file_allowed_extension(filename: str, extensions: str | tuple[str, ...]) -> bool:
    """Whether the name ends with one of them, in capitals or not."""
    return filename.lower().endswith(extensions if isinstance(extensions, str) else (*extensions,))


def is_image_file(filename: str) -> bool:
    """Whether the name is one of a picture."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: Any) -> tuple[list[str], dict[str, int]]:
    """The names of the folders in it, sorted, and the number of each."""
    with os.scandir(directory) as entries:
        classes = sorted(entry.name for entry in entries if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
    return classes, {name: number for number, name in enumerate(classes)}


def make_dataset(
    directory: Any,
    class_to_idx: Mapping[str, int] | None = None,
    extensions: Extensions = None,
    is_valid_file: Valid = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """(path, class) of each file, by class and then by path.

    Raises FileNotFoundError for a class without files, unless `allow_empty`.
    """
    directory = os.path.expanduser(directory)
    if class_to_idx is None:
        class_to_idx = find_classes(directory)[1]
    elif not class_to_idx:
        raise ValueError("'class_to_index' must have at least one entry to collect any samples.")
    if (extensions is None) == (is_valid_file is None):
        raise ValueError(
            "Both extensions and is_valid_file cannot be None or not None at the same time"
        )
    samples: list[tuple[str, int]] = []
    empty = []
    for name in sorted(class_to_idx):
        before = len(samples)
        for folder, _, files in sorted(os.walk(os.path.join(directory, name), followlinks=True)):
            for file in sorted(files):
                path = os.path.join(folder, file)
                if (
                    is_valid_file(path)
                    if is_valid_file is not None
                    else extensions is not None and has_file_allowed_extension(path, extensions)
                ):
                    samples.append((path, class_to_idx[name]))
        if len(samples) == before:
            empty.append(name)
    if empty and not allow_empty:
        text = f"Found no valid file for the classes {', '.join(empty)}. "
        if extensions is not None:
            several = extensions if isinstance(extensions, str) else ", ".join(extensions)
            text += f"Supported extensions are: {several}"
        raise FileNotFoundError(text)
    return samples


def pil_loader(path: Any) -> Image.Image:
    """The picture in a file, in RGB."""
    with open(path, "rb") as stream:
        return Image.open(stream).convert("RGB")


def default_loader(path: Any) -> Any:
    """`pil_loader`."""
    return pil_loader(path)


class DatasetFolder(VisionDataset):
    """Files in folders, a folder a class, opened by `loader`."""

    def __init__(
        self,
        root: Any,
        loader: Callable[[str], Any],
        extensions: Extensions = None,
        transform: Transform = None,
        target_transform: Transform = None,
        is_valid_file: Valid = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.samples = self.make_dataset(
            self.root,
            class_to_idx=self.class_to_idx,
            extensions=extensions,
            is_valid_file=is_valid_file,
            allow_empty=allow_empty,
        )
        self.loader = loader
        self.extensions = extensions
        self.targets = [target for _, target in self.samples]

    @staticmethod
    def make_dataset(
        directory: Any,
        class_to_idx: Mapping[str, int],
        extensions: Extensions = None,
        is_valid_file: Valid = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """(path, class) of each file; a subclass may find them in another way."""
        if class_to_idx is None:
            raise ValueError("The class_to_idx parameter cannot be None.")
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory: Any) -> tuple[list[str], dict[str, int]]:
        """The classes and their numbers; a subclass may choose others."""
        return find_classes(directory)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        path, target = self.samples[index]
        sample = self.loader(path)
        if self.transform is not None:
            sample = self.transform(sample)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return sample, target

    def __len__(self) -> int:
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Pictures in folders, a folder a class."""

    def __init__(
        self,
        root: Any,
        transform: Transform = None,
        target_transform: Transform = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Valid = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(
            root,
            loader,
            IMG_EXTENSIONS if is_valid_file is None else None,
            transform=transform,
            target_transform=target_transform,
            is_valid_file=is_valid_file,
            allow_empty=allow_empty,
        )
        self.imgs = self.samples
