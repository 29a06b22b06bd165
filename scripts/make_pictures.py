"""The pictures of docs/pictures that commands draw, but for those of the lab and of the lessons.

    LENET_DATA=folder-of-data-sets python scripts/make_pictures.py [--only NAME] [FOLDER-OF-RUNS]

Three trainings, a sweep, and the labels of MNIST judged: some ten minutes on two cores. A folder
that has the runs already is used again. The report of the sweep needs Playwright and Chromium. What
the text beside a picture says of it is compared by hand.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import lenet
from lenet.engines.warping import MOVES, warp
from lenet.language.asked import language_of
from lenet.training import recipes
from lenet.training.augmentation import draw_changes

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "pictures"
RUNS = {
    "clothes": ("d2l",),
    "digits": ("mnist-adamw", "--epochs", "5", "--seed", "1"),
    "photos": ("quickstart", "--data", "fashion-mnist-small", "--val", "0.1"),
}
OWN = {"bag": "包", "sneaker": "运动鞋", "trouser": "裤子"}  # the folders of own pictures
SHOWN = (9, 8, 4, 3, 6, 0)  # articles of Fashion-MNIST, as photographs
WIDEST = 880  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of docs/ that commands draw.")
    parser.add_argument("runs", nargs="?", type=Path, help="a folder for the runs that are drawn")
    parser.add_argument("--only", action="append", choices=list(MADE), help="else all")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        runs, made = (asked.runs or Path(temporary, "runs")).resolve(), Path(temporary, "made")
        made.mkdir()
        for name in asked.only or MADE:
            MADE[name](runs, made)
        _keep(made, OUT)
        os.environ["LC_ALL"] = "zh_CN.UTF-8"
        made = Path(temporary, "chinese")
        made.mkdir()
        for name in set(asked.only or MADE) & IN_CHINESE:
            MADE[name](runs, made)
        _keep(made, OUT / "zh")


def _keep(made: Path, out: Path) -> None:
    """Replace those pictures that documents show."""
    for path in sorted(made.iterdir()):
        kept = out / path.name
        if not kept.exists():
            continue
        if path.suffix == ".png":
            _smaller(path).save(kept, optimize=True)
        else:
            kept.write_bytes(path.read_bytes())
        print(f"{kept.stat().st_size:>8,}  {kept}")


def _trained(runs: Path, name: str) -> str:
    if not (runs / name / "model.safetensors").exists():
        _lenet("train", *RUNS[name], "--out", str(runs / name))
    return str(runs / name)


def clothes(runs: Path, made: Path) -> None:
    trained = _trained(runs, "clothes")
    _lenet("evaluate", trained, "--confusion", "--mistakes", "12", "--out", str(made))


def digits(runs: Path, made: Path) -> None:
    trained = _trained(runs, "digits")
    _lenet("inspect", trained, "--kernels", "--features", "17", "--out", str(made))
    (made / "features-17.png").rename(made / "features.png")
    (made / "features-17-003.png").rename(made / "features-003.png")


def photos(runs: Path, made: Path) -> None:
    trained = _trained(runs, "photos")
    _lenet("evaluate", trained, "--calibration", "--out", str(made))
    shots = _photographs()
    for shot in shots:
        (made / shot.name).write_bytes(shot.content)
    show = str(made / "predict.png")
    names = [shot.name for shot in shots]
    _lenet("predict", trained, *names, "--show", "--out", show, folder=made)


def by_hand(runs: Path, made: Path) -> None:
    numbers = ("--size", "4x4")
    _lenet("explain", "conv", *numbers, "--out", str(made / "convolution.gif"))
    window = ("--window", "3", "--padding", "1", "--stride", "2")
    _lenet("explain", "pool", *numbers, *window, "--out", str(made / "pooling.gif"))


def diagrams(runs: Path, made: Path) -> None:
    for network, name in (("lenet", "diagram"), ("lenet5", "diagram-lenet5")):
        _lenet("inspect", network, "--diagram", "--out", str(made / f"{name}.svg"))


def own_pictures(runs: Path, made: Path) -> None:
    pictures = lenet.load_data("fashion-mnist-small").train
    chinese = language_of(os.environ) == "zh"
    whole = "衣物" if chinese else "clothes"
    with tempfile.TemporaryDirectory() as folder:
        for name, in_chinese in OWN.items():
            classes = Path(folder, whole, in_chinese if chinese else name)
            classes.mkdir(parents=True)
            of_class = pictures.images[pictures.labels == pictures.classes.index(name)]
            for number, image in enumerate(of_class[:67, 0]):
                Image.fromarray(image).save(classes / f"{number:03}.png")
        out = str(made / "data.png")
        _lenet("data", "report", f"./{whole}", "--out", out, folder=Path(folder))


def learning_rate(runs: Path, made: Path) -> None:
    out = str(made / "learning-rate.svg")
    _lenet("find-lr", "quickstart", "--data", "fashion-mnist-small", "--out", out)


def doubt(runs: Path, made: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _lenet("data", "doubt", "mnist", "--part", "test", "--out", folder)
        (made / "doubt.png").write_bytes((Path(folder) / "doubt.png").read_bytes())


def sweep(runs: Path, made: Path) -> None:
    """The head of the report that docs/sweep.md names."""
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(ROOT / "tests" / "web"))
    from chromium import launch_options

    folder = runs / "sweep"
    if (folder / "report.html").exists():
        _lenet("sweep", "--resume", str(folder))  # writes the report anew, in today's language
    else:
        settings = ("--epochs", "4", "--seeds", "3", "--least", "2")
        data = ("--data", "fashion-mnist-small", "--out", str(folder))
        _lenet("ablate", "quickstart", *settings, *data)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**(launch_options() or {}))
        page = browser.new_page(viewport={"width": 1060, "height": 1040})
        page.goto((folder / "report.html").as_uri())
        page.screenshot(path=made / "sweep-report.png")
        browser.close()


def augmented(runs: Path, made: Path) -> None:
    warped().save(made / "warped.png")


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


MADE: dict[str, Callable[[Path, Path], None]] = {
    "clothes": clothes,
    "digits": digits,
    "photos": photos,
    "by-hand": by_hand,
    "diagrams": diagrams,
    "own-pictures": own_pictures,
    "learning-rate": learning_rate,
    "doubt": doubt,
    "sweep": sweep,
    "augmented": augmented,
}
IN_CHINESE = {  # whose words follow the environment
    "clothes",
    "digits",
    "photos",
    "by-hand",
    "own-pictures",
    "learning-rate",
    "doubt",
    "sweep",
}


if __name__ == "__main__":
    main()
