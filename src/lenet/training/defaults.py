"""What a training takes where nothing was said: recipe, pictures, and settings for few pictures."""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from lenet import data
from lenet.training.recipes import Recipe

RECIPE: Final = "quickstart"  # learns in its first epoch, on any pictures
FULL: Final = "fashion-mnist"
COMES_WITH_IT: Final = "fashion-mnist-small"
PATIENCE_S: Final = 3.0  # you named no data: you would rather begin than wait for a network

FEW: Final = 5_000  # training pictures; below it the number of epochs is fitted, too
LEAST_BATCHES: Final = 10  # an epoch
LEAST_STEPS: Final = 600  # a run


def choose_data(
    data_dir: str | os.PathLike[str] | None = None, *, progress: bool = False
) -> tuple[str, str]:
    """The data set for a training that names none, and the line that says why it is this one.

    Fashion-MNIST where it is here or can be downloaded now, else the pictures that come with the
    program. Raises DataError where files are here but damaged.
    """
    if folder := data.find(FULL, data_dir):
        return FULL, f"you named no recipe: this is {RECIPE}, on {FULL} from {folder}"
    try:
        folder = data.fetch(FULL, progress=progress, patience_s=PATIENCE_S)
    except data.DataNotFoundError as error:
        why = f" ({error.summary})" if error.summary else ""
        return COMES_WITH_IT, (
            f"{FULL} is not here and could not be downloaded{why}: "
            f"{RECIPE} takes the pictures that come with the program"
        )
    return FULL, f"you named no recipe: this is {RECIPE}, on {FULL}, downloaded to {folder}"


def fit_to_few(recipe: Recipe, given: Collection[str], examples: int) -> tuple[Recipe, list[str]]:
    """The recipe with settings that can work for so many pictures, and a line for each change.

    What is in ``given``, the keys that somebody chose, stays as it is. The rules, measured on
    subsets of MNIST and Fashion-MNIST (docs/recipes.md): a batch is at most a tenth of the
    pictures, and a run on fewer than 5,000 pictures has at least 600 steps.
    """
    remarks = []
    settings = recipe.settings
    size, largest = settings.batch_size, max(1, examples // LEAST_BATCHES)
    if size > largest and "batch_size" in given:
        steps = math.ceil(examples / size)
        remarks.append(
            f"batches of {size:,} make {steps:,} step{'s' if steps > 1 else ''} an epoch of "
            f"{examples:,} training pictures: {_power_of_two(largest)} would be usual"
        )
    elif size > largest:
        settings = replace(settings, batch_size=_power_of_two(largest))
        remarks.append(
            f"batches of {settings.batch_size:,} in place of {size:,}: there are only "
            f"{examples:,} training pictures (batch_size is yours to set)"
        )
    if examples < FEW and "epochs" not in given:
        usual = min(settings.batch_size, _power_of_two(largest))
        least = math.ceil(LEAST_STEPS / math.ceil(examples / usual))
        if least > settings.epochs:
            remarks.append(
                f"{least:,} epochs in place of {settings.epochs:,}: with {examples:,} training "
                f"pictures it takes so many to make {LEAST_STEPS} steps (epochs is yours to set)"
            )
            settings = replace(settings, epochs=least)
    return replace(recipe, settings=settings), remarks


def _power_of_two(most: int) -> int:
    """The largest power of two that is not above ``most``."""
    return 1 << (most.bit_length() - 1)
