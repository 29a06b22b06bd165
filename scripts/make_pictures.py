"""The pictures of docs/pictures that commands draw, but for those of the lab and of the lessons.

    LENET_DATA=folder-of-data-sets python scripts/make_pictures.py [FOLDER-OF-RUNS]

Three trainings, minutes on two cores; a folder that has them already is used again. What the text
beside a picture says of it is compared by hand.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import lenet
from lenet.engines.warping import MOVES, warp
from lenet.training import recipes
from lenet.training.augmentation import draw_changes

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "pictures"
RUNS = {
    "clothes": ("d2l",),
    "digits": ("mnist-adamw", "--epochs", "5", "--seed", "1"),
    "photos": ("quickstart", "--data", "fashion-mnist-small", "--val", "0.1"),
}
SHOWN = (9, 8, 4, 3, 6, 0)  # articles of Fashion-MNIST, as photographs
WIDEST = 880  # pixels


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        runs = Path(sys.argv[1] if len(sys.argv) > 1 else temporary).resolve()
        for name, options in RUNS.items():
            if not (runs / name / "model.safetensors").exists():
                _lenet("train", *options, "--out", str(runs / name))
        made = Path(temporary)
        clothes, digits, photos = (str(runs / name) for name in RUNS)
        _lenet("inspect", digits, "--kernels", "--features", "17", "--out", str(made))
        _lenet("evaluate", clothes, "--confusion", "--mistakes", "12", "--out", str(made))
        _lenet("evaluate", photos, "--calibration", "--out", str(made))
        shots = _photographs()
        for shot in shots:
            (made / shot.name).write_bytes(shot.content)
        show = str(made / "predict.png")
        names = [shot.name for shot in shots]
        _lenet("predict", photos, *names, "--show", "--out", show, folder=made)
        (made / "features-17.png").rename(made / "features.png")
        (made / "features-17-003.png").rename(made / "features-003.png")
        warped().save(made / "warped.png")
        for path in sorted(made.glob("*.png")):
            if (OUT / path.name).exists():
                _smaller(path).save(OUT / path.name, optimize=True)
                print(f"{(OUT / path.name).stat().st_size:>8,}  {OUT / path.name}")


def _lenet(*words: str, folder: Path | None = None) -> None:
    subprocess.run([sys.executable, "-m", "lenet", *words], check=True, cwd=folder)


def _photographs() -> list[Any]:
    sys.path.insert(0, str(ROOT / "tests"))
    import photographs  # beside the tests, not in a package

    return [photographs.article(label) for label in SHOWN]


def _smaller(path: Path) -> Image.Image:
    """The picture as wide as a document shows it."""
    with Image.open(path) as image:
        shown = image.convert("RGB")
    width = min(shown.width, WIDEST if path.stem != "predict" else 1180)
    height = round(shown.height * width / shown.width)
    return shown.resize((width, height), Image.Resampling.LANCZOS)


def warped() -> Image.Image:
    """A row of digits as they are, and four rows as an epoch of small-mnist shows them."""
    images = lenet.load_data("mnist").train.images[:14]
    augmentation = recipes.load("small-mnist").settings.augmentation
    random = np.random.default_rng(0)
    rows = [images]
    for _ in range(4):
        changes = draw_changes(random, augmentation, len(images), images.shape[2:])
        assert changes is not None
        rows.append(warp(images, changes[:, MOVES:]))
    whole = np.concatenate([np.concatenate(list(row[:, 0]), axis=1) for row in rows])
    return Image.fromarray(whole).resize(
        (2 * whole.shape[1], 2 * whole.shape[0]), Image.Resampling.NEAREST
    )


if __name__ == "__main__":
    main()
