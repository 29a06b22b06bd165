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
        if cls.keeper is None:
            return
        from matplotlib import is_interactive

        if block or (block is None and not is_interactive()):
            cls.keeper.keep_open()
        else:  # the program goes on with the figures, as with `plt.ion()` and `plt.pause`
            cls.keeper.show_open()

    def show(self) -> None:
        self.pyplot_show()

    def destroy(self) -> None:
        if self.keeper is not None:
            self.keeper.closing(self.canvas.figure)


class FigureCanvas(FigureCanvasAgg):
    """Agg's canvas with our manager."""

    manager_class: Any = FigureManager

    def draw(self) -> None:
        if FigureManager.keeper is not None and self.figure.stale:
            FigureManager.keeper.drawn(self.figure)
        super().draw()  # type: ignore[no-untyped-call]

    def draw_idle(self, *_: Any, **__: Any) -> None:
        """Nothing: in interactive mode each change asks for it; files are drawn when they are
        written."""

    def start_event_loop(self, timeout: float = 0) -> None:
        """Nothing: `plt.pause` waits for a reader, and here is none."""
