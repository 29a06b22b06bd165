"""Write tests/torchvision_values.json: what torchvision itself gives, for tests/test_vision.py.

Needs torchvision, which the tests do not: `pip install torch torchvision` in an environment of its
own, then

    python scripts/torchvision_values.py

Every entry of CASES is evaluated in tests/test_vision.py once more, with LeNet's stand-in. A value
is kept as its type, shape, mean and a checksum of its bytes; an error as its type and text. The
last bits of floats are those of the kind of processor that is noted.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image

TARGET = Path(__file__).resolve().parents[1] / "tests" / "torchvision_values.json"

# An expression of T (torchvision.transforms), V (its v2), F (its functional) and `utils`; it gives
# a transform, which is then applied to each kind of picture.
PIXELS = {
    "grey": lambda rng: Image.fromarray(rng.integers(0, 256, (28, 28), np.uint8)),
    "colour": lambda rng: Image.fromarray(rng.integers(0, 256, (20, 31, 3), np.uint8)),
    "floats": lambda rng: torch.from_numpy(rng.random((1, 28, 28), np.float32)),
    "bytes": lambda rng: torch.from_numpy(rng.integers(0, 256, (3, 20, 31), np.uint8)),
    "batch": lambda rng: torch.from_numpy(rng.random((2, 3, 12, 15), np.float32)),
    "array": lambda rng: rng.integers(0, 256, (14, 10, 3), np.uint8),
}
CASES = [
    "T.ToTensor()",
    "T.PILToTensor()",
    "T.ToPILImage()",
    'T.ToPILImage("L")',
    'T.ToPILImage(mode="F")',
    'T.ToPILImage("RGB")',
    "T.ConvertImageDtype(torch.float64)",
    "T.ConvertImageDtype(torch.uint8)",
    "T.ConvertImageDtype(torch.int16)",
    "T.ConvertImageDtype(torch.int64)",
    "T.Normalize((0.1307,), (0.3081,))",
    "T.Normalize([0.5, 0.4, 0.3], [0.1, 0.2, 0.3])",
    "T.Normalize(0.5, 0.5)",
    "T.Normalize((0.5,), (0.0,))",
    "T.Resize(32)",
    "T.Resize((32, 32), interpolation=2)",
    "T.Resize((9, 40), T.InterpolationMode.NEAREST)",
    "T.Resize([17], interpolation=T.InterpolationMode.BICUBIC)",
    "T.Resize((40, 11), 1)",
    "T.Resize(24, max_size=26)",
    "T.Resize(24, max_size=20)",
    "T.Resize((24, 20), max_size=50)",
    "T.Resize((10, 12), antialias=None)",
    "T.Resize((14, 9), T.InterpolationMode.NEAREST_EXACT)",
    'T.Resize("24")',
    "T.Resize((1, 2, 3))",
    "T.Resize(28)",
    "T.CenterCrop(20)",
    "T.CenterCrop((10, 13))",
    "T.CenterCrop([40])",
    "T.CenterCrop((33, 7))",
    "T.CenterCrop((1, 2, 3))",
    "T.Pad(2)",
    "T.Pad((1, 3), fill=7)",
    'T.Pad([1, 2, 3, 4], padding_mode="edge")',
    'T.Pad(3, padding_mode="reflect")',
    'T.Pad((2, 1), padding_mode="symmetric")',
    'T.Pad((-2, 1, -3, 2), padding_mode="edge")',
    'T.Pad((-2, 1, 3, -1), padding_mode="symmetric")',
    "T.Pad(2, fill=(1, 2, 3))",
    "T.Pad((1, 2, 3))",
    'T.Pad("2")',
    'T.Pad(1, padding_mode="wrap")',
    "T.FiveCrop(8)",
    "T.FiveCrop(80)",
    "T.TenCrop((8, 9))",
    "T.TenCrop(8, vertical_flip=True)",
    "T.Grayscale()",
    "T.Grayscale(3)",
    "T.Lambda(lambda x: x)",
    "T.Lambda(3)",
    "lambda x: T.LinearTransformation(torch.eye(4) + 1, torch.ones(4))(x[..., :1, :2, :2].clone())",
    "T.Compose([T.Resize(20), T.CenterCrop(18)])",
    "T.RandomCrop(16)",
    "T.RandomCrop(28, padding=4)",
    "T.RandomCrop((30, 33), pad_if_needed=True, fill=9)",
    'T.RandomCrop(28, padding=(2, 4), padding_mode="reflect")',
    "T.RandomCrop((12, 28))",
    "T.RandomCrop(60)",
    "T.RandomHorizontalFlip()",
    "T.RandomHorizontalFlip(p=1)",
    "T.RandomVerticalFlip()",
    "T.RandomVerticalFlip(1.0)",
    "T.RandomGrayscale(p=0.6)",
    "T.RandomInvert(1)",
    "T.RandomPosterize(3, p=1)",
    "T.RandomSolarize(0.5, p=1)",
    "T.RandomAdjustSharpness(2.5, p=1)",
    "T.RandomAutocontrast(1)",
    "T.RandomEqualize(1)",
    "T.RandomRotation(15)",
    "T.RandomRotation((-90, 30), T.InterpolationMode.BILINEAR)",
    "T.RandomRotation(45, expand=True)",
    "T.RandomRotation(45, interpolation=2, expand=True, fill=5)",
    "T.RandomRotation(30, center=(3, 4), fill=100)",
    "T.RandomRotation(90, T.InterpolationMode.BICUBIC)",
    "T.RandomRotation(-3)",
    "T.RandomRotation((1, 2, 3))",
    "T.RandomRotation(10, fill=(1, 2, 3))",
    'T.RandomRotation(10, fill="1")',
    "T.RandomAffine(10)",
    "T.RandomAffine(0, translate=(0.1, 0.1))",
    "T.RandomAffine((-5, 5), translate=(0.2, 0.3), scale=(0.7, 1.3), shear=10)",
    "T.RandomAffine(20, shear=(-5, 5, -10, 10), interpolation=2, fill=3)",
    "T.RandomAffine(20, scale=(0.5, 2), center=(0, 0))",
    "T.RandomAffine(20, translate=(2, 0))",
    "T.RandomAffine(20, scale=(0, 1))",
    "T.RandomPerspective(p=1)",
    "T.RandomPerspective(0.3, 0.8, T.InterpolationMode.NEAREST, fill=2)",
    "T.RandomResizedCrop(24)",
    "T.RandomResizedCrop((10, 20), scale=(0.5, 0.9), ratio=(1, 1))",
    "T.RandomResizedCrop(16, ratio=(5.0, 6.0))",
    "T.RandomResizedCrop(16, scale=(0.9, 1), ratio=(0.1, 0.2))",
    "T.RandomErasing(p=1)",
    'T.RandomErasing(0.7, scale=(0.1, 0.2), value="random")',
    "T.RandomErasing(1, value=(1, 2, 3))",
    'T.RandomErasing(value="noise")',
    "T.RandomErasing(p=2)",
    "T.RandomApply([T.RandomRotation(10), T.RandomHorizontalFlip()], p=0.7)",
    "T.RandomChoice([T.RandomRotation(10), T.RandomHorizontalFlip()])",
    "T.RandomChoice([T.RandomRotation(10), T.RandomHorizontalFlip(1)], p=[0.1, 0.9])",
    "T.RandomOrder([T.RandomRotation(10), T.RandomHorizontalFlip(), T.RandomVerticalFlip()])",
    "T.ColorJitter(0.5, 0.4, 0.3, 0.2)",
    "T.ColorJitter(brightness=(0.5, 1.5))",
    "T.ColorJitter(hue=0.5)",
    "T.ColorJitter(hue=0.6)",
    "T.ColorJitter(brightness=-1)",
    "T.GaussianBlur(3)",
    "T.GaussianBlur((5, 3), sigma=0.7)",
    "T.GaussianBlur(4)",
    "T.ElasticTransform(alpha=30.0, sigma=3.0)",
    "T.ElasticTransform(alpha=1)",
    "lambda x: F.to_tensor(x)",
    "lambda x: F.rotate(x, 30)",
    'lambda x: F.rotate(x, "30")',
    "lambda x: F.affine(x, 10, (2, 3), 1.1, (3, 4))",
    "lambda x: F.affine(x, 10, [2, 3], 0, 0)",
    "lambda x: F.affine(x, 10, [2, 3, 4], 1, 0)",
    "lambda x: F.crop(x, -2, 3, 30, 40)",
    "lambda x: F.crop(x, 5, 3, 6, 7)",
    "lambda x: F.resized_crop(x, 1, 2, 10, 11, (20, 21))",
    "lambda x: F.hflip(F.vflip(x))",
    "lambda x: F.get_dimensions(x)",
    "lambda x: F.get_image_size(x)",
    "lambda x: F.get_image_num_channels(x)",
    "lambda x: F.adjust_gamma(x, 0.7, 1.1)",
    "lambda x: F.adjust_gamma(x, -1)",
    "lambda x: F.adjust_hue(x, 0.25)",
    "lambda x: F.adjust_hue(x, 0.75)",
    "lambda x: F.adjust_brightness(x, 1.7)",
    "lambda x: F.adjust_contrast(x, 0.2)",
    "lambda x: F.adjust_saturation(x, 3)",
    "lambda x: F.to_grayscale(x, 3)",
    "lambda x: F.rgb_to_grayscale(x, 2)",
    "lambda x: F.posterize(x, 9)",
    "lambda x: F.erase(x, 1, 2, 3, 4, torch.tensor(5.0))",
    'lambda x: F.resize(x, 10, interpolation="bilinear")',
    "lambda x: F.pad(x, [1, 2])",
    "lambda x: F.normalize(x, [0.5], [0.5])",
    "lambda x: utils.make_grid(x)",
    "lambda x: utils.make_grid([x] * 5, nrow=2, padding=1, pad_value=0.5)",
    "lambda x: utils.make_grid([x, 2 * x], normalize=True, scale_each=True)",
    "lambda x: utils.make_grid([x, 2 * x], normalize=True, value_range=(0, 1))",
    "lambda x: utils.make_grid(x, normalize=True)",
    "lambda x: V.Compose([V.ToImage(), V.ToDtype(torch.float32, scale=True)])(x)",
    "lambda x: V.Compose([V.ToImage(), V.ToDtype(torch.float, True), V.Normalize([0], [2])])(x)",
    "lambda x: V.ToImage()(x)",
    "lambda x: V.ToDtype(torch.float32)(x)",
    "lambda x: V.ToDtype(torch.uint8, scale=True)(x)",
    "lambda x: V.ToTensor()(x)",
    "lambda x: V.Identity()(x)",
    "lambda x: V.PILToTensor()(V.ToPILImage()(V.ToImage()(x)))",
    "lambda x: V.CenterCrop(15)(V.ToImage()(x))",
    "lambda x: V.RandomHorizontalFlip()(V.ToImage()(x))",
    "lambda x: V.RandomVerticalFlip(0.3)(V.ToImage()(x))",
    "lambda x: V.Compose([])",
]


def described(value: Any) -> Any:
    """The value's type, shape and checksum; of several, a list."""
    if isinstance(value, tuple | list):
        return [described(one) for one in value]
    if isinstance(value, Image.Image):
        array = np.asarray(value)
        kind = f"picture {value.mode}"
    elif isinstance(value, torch.Tensor):
        array = value.numpy()
        kind = str(value.dtype)
    elif isinstance(value, np.ndarray):
        array, kind = value, f"array {value.dtype}"
    else:
        return repr(value)
    summary = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
    return f"{kind} {array.shape} mean {array.mean():.4g} {summary}"


def evaluate(case: str, kind: str, names: dict[str, Any]) -> Any:
    """What the case gives for three pictures of the kind, from fixed seeds; or its error."""
    rng = np.random.default_rng(0)
    torch.manual_seed(1)
    random.seed(2)
    results: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            transform = eval(case, dict(names))
            if "lambda" not in case:
                results.append(repr(transform)[:200])
            results += [described(transform(PIXELS[kind](rng))) for _ in range(3)]
        except Exception as error:
            results.append(f"{type(error).__name__}: {error}")
    results.append(torch.rand(1).item())  # as many random numbers were drawn
    return results


def names_of(T: Any, V: ModuleType, F: ModuleType, utils: ModuleType) -> dict[str, Any]:
    """What the cases may use."""
    return {"T": T, "V": V, "F": F, "utils": utils, "torch": torch}


def values(names: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every case with every kind of picture."""
    return {case: {kind: evaluate(case, kind, names) for kind in PIXELS} for case in CASES}


def main() -> None:
    """Write the file."""
    import torchvision
    from torchvision import transforms, utils
    from torchvision.transforms import functional, v2

    found = values(names_of(transforms, v2, functional, utils))
    head = {
        "torchvision": torchvision.__version__,
        "torch": torch.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    lines = [f"{json.dumps(case)}: {json.dumps(by_kind)}" for case, by_kind in found.items()]
    text = json.dumps(head)[:-1] + ', "values": {\n' + ",\n".join(lines) + "\n}}\n"
    TARGET.write_text(text, encoding="utf-8")
    print(f"{len(found)} cases, {len(PIXELS)} kinds of pictures: {TARGET}", file=sys.stderr)


if __name__ == "__main__":
    main()
