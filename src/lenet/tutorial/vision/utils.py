"""`torchvision.utils`: many pictures as one, and pictures as files."""

from __future__ import annotations

import math
from typing import Any

import torch
from PIL import Image
from torch import Tensor

__all__ = ["make_grid", "save_image"]


@torch.no_grad()
def make_grid(
    tensor: Tensor | list[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """The pictures (n, channels, rows, columns) side by side, `nrow` in a row, with borders.

    One channel becomes three. `normalize` brings the values of all (`scale_each`: of each) to 0
    to 1, from `value_range` or from their own least and largest.
    """
    if isinstance(tensor, list):
        for one in tensor:
            if not isinstance(one, Tensor):
                raise TypeError(
                    f"tensor or list of tensors expected, got a list containing {type(one)}"
                )
        batch = torch.stack(tensor, dim=0)
    elif isinstance(tensor, Tensor):
        batch = tensor
    else:
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    if batch.dim() == 2:
        batch = batch.unsqueeze(0)
    if batch.dim() == 3:
        batch = batch.unsqueeze(0)
    if batch.dim() == 4 and batch.size(1) == 1:
        batch = torch.cat([batch] * 3, 1)
    if normalize is True:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError(
                "value_range has to be a tuple (min, max) if specified. min and max are numbers"
            )
        batch = batch.clone()
        for part in batch if scale_each is True else [batch]:
            low, high = value_range or (float(part.min()), float(part.max()))
            part.clamp_(min=low, max=high).sub_(low).div_(max(high - low, 1e-5))
    n, channels, rows, columns = batch.shape[:4]
    if n == 1:
        return batch.squeeze(0)
    across = min(nrow, n)
    height, width = int(rows + padding), int(columns + padding)
    down = math.ceil(n / across)
    shape = (channels, height * down + padding, width * across + padding)
    grid = batch.new_full(shape, pad_value)
    for number, picture in enumerate(batch):
        y, x = divmod(number, across)
        top, left = y * height + padding, x * width + padding
        grid[:, top : top + rows, left : left + columns].copy_(picture)
    return grid


@torch.no_grad()
def save_image(
    tensor: Tensor | list[Tensor], fp: Any, format: str | None = None, **kwargs: Any
) -> None:
    """Write `make_grid` of the pictures (0 to 1) to a file; `kwargs` are make_grid's."""
    grid = make_grid(tensor, **kwargs)
    values = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to("cpu", torch.uint8)
    Image.fromarray(values.numpy()).save(fp, format=format)
