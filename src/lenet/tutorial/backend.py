"""A matplotlib backend whose `show` keeps the figures as files (`module://lenet.tutorial.backend`).

It draws as Agg does; the runner gives it its keeper. Outside `lenet run` it shows nothing.
"""

from __future__ import annotations

from typing import Any

from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lenet.tutorial.pictures import Keeper


class FigureManager(FigureManagerBase):
    """What `plt.show()` and `figure.show()` ask."""

    keeper: Keeper | None = None  # of the one program that runs in this process

    @classmethod
    def pyplot_show(cls, *, block: bool | None = None) -> None:
        if cls.keeper is not None:
            cls.keeper.keep_open()

    def show(self) -> None:
        self.pyplot_show()


class FigureCanvas(FigureCanvasAgg):
    """Agg's canvas with our manager."""

    manager_class: Any = FigureManager
