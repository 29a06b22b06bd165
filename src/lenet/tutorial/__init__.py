"""Running other people's tutorials as they stand: their cells, in a process of its own."""

from lenet.tutorial.cells import Block, Tutorial, TutorialError, lost, read
from lenet.tutorial.process import Result, child_environment, figures_folder, run
from lenet.tutorial.record import Output
from lenet.tutorial.tabs import summary as other_frameworks

__all__ = [
    "Block",
    "Output",
    "Result",
    "Tutorial",
    "TutorialError",
    "child_environment",
    "figures_folder",
    "lost",
    "other_frameworks",
    "read",
    "run",
]
