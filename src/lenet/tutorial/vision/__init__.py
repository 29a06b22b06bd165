"""What tutorials use of torchvision, for where it is not installed.

Modules, names, values and random draws are torchvision's; the code is our own. `MODULES` says
which of torchvision's modules is which of ours:

- `dataset`, `mnist` with `idx_files` and `batches`, `folder`, `fakedata`: data sets; MNIST and
  Fashion-MNIST come from `lenet.data`, and a batch of them is made at once where that gives the
  same;
- `transforms`, `random_transforms`, `random_distortions`; `functional` with `geometry`, `warping`
  and `colour`: what is done to pictures, PIL's or tensors; `v2`: a few by their new names;
- `utils`: grids of pictures.
"""

VERSION = "0.29.1"  # whose values these are

MODULES = {
    "torchvision.datasets.fakedata": "fakedata",
    "torchvision.datasets.folder": "folder",
    "torchvision.datasets.mnist": "mnist",
    "torchvision.datasets.vision": "dataset",
    "torchvision.transforms.functional": "functional",
    "torchvision.transforms.v2": "v2",
    "torchvision.utils": "utils",
}
DATASETS = {
    "dataset": ("VisionDataset",),
    "fakedata": ("FakeData",),
    "folder": ("DatasetFolder", "ImageFolder"),
    "mnist": ("EMNIST", "FashionMNIST", "KMNIST", "MNIST", "QMNIST"),
}
TRANSFORMS = {
    "transforms": (
        *("CenterCrop", "Compose", "ConvertImageDtype", "FiveCrop", "Grayscale"),
        *("InterpolationMode", "Lambda", "LinearTransformation", "Normalize", "PILToTensor"),
        *("Pad", "Resize", "TenCrop", "ToPILImage", "ToTensor"),
    ),
    "random_transforms": (
        *("RandomAdjustSharpness", "RandomApply", "RandomAutocontrast", "RandomChoice"),
        *("RandomCrop", "RandomEqualize", "RandomErasing", "RandomGrayscale"),
        *("RandomHorizontalFlip", "RandomInvert", "RandomOrder", "RandomPosterize"),
        *("RandomResizedCrop", "RandomSolarize", "RandomVerticalFlip"),
    ),
    "random_distortions": (
        *("ColorJitter", "ElasticTransform", "GaussianBlur", "RandomAffine"),
        *("RandomPerspective", "RandomRotation"),
    ),
}
