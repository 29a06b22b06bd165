"""The fixed codes of the 1998 output layer: what each unit measures the distance to.

LeCun et al. 1998, section II.B: +1 is ink, -1 is ground. Ten classes on 84 units get digits drawn
on 7×12 pixels; the paper shows its own drawings in figure 3, these are drawn anew in that manner.
Any other number of classes or units gets codes at random with equal chances for -1 and +1, which
the paper names as another choice. They are a function of the layer alone: no file holds them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lenet.network.hashing import hash32
from lenet.network.layers import RBF

WIDTH, HEIGHT = 7, 12  # of a drawn digit
DIGITS = (
    """
    .......
    ..###..
    .#...#.
    #.....#
    #.....#
    #.....#
    #.....#
    #.....#
    .#...#.
    ..###..
    .......
    .......
    """,
    """
    .......
    ...#...
    ..##...
    .#.#...
    ...#...
    ...#...
    ...#...
    ...#...
    ...#...
    .#####.
    .......
    .......
    """,
    """
    .......
    .#####.
    #.....#
    ......#
    .....#.
    ....#..
    ...#...
    ..#....
    .#.....
    #######
    .......
    .......
    """,
    """
    .......
    #######
    .....#.
    ....#..
    ...##..
    .....#.
    ......#
    ......#
    #.....#
    .#####.
    .......
    .......
    """,
    """
    .......
    ....##.
    ...#.#.
    ..#..#.
    .#...#.
    #....#.
    #######
    .....#.
    .....#.
    ....###
    .......
    .......
    """,
    """
    .......
    #######
    #......
    #......
    #.###..
    ##...#.
    ......#
    ......#
    #....#.
    .####..
    .......
    .......
    """,
    """
    .......
    ..####.
    .#.....
    #......
    #.###..
    ##...#.
    #.....#
    #.....#
    .#...#.
    ..###..
    .......
    .......
    """,
    """
    .......
    #######
    #.....#
    .....#.
    .....#.
    ....#..
    ....#..
    ...#...
    ...#...
    ..#....
    .......
    .......
    """,
    """
    .......
    .#####.
    #.....#
    #.....#
    .#####.
    #.....#
    #.....#
    #.....#
    #.....#
    .#####.
    .......
    .......
    """,
    """
    .......
    ..###..
    .#...#.
    #.....#
    #.....#
    .#...##
    ..###.#
    ......#
    .....#.
    .####..
    .......
    .......
    """,
)


def codes(layer: RBF) -> NDArray[np.float32]:
    """The code of each class, (out_features, in_features), of -1 and +1.

    >>> codes(RBF(84, 10)).shape, codes(RBF(3, 2)).tolist()
    ((10, 84), [[-1.0, -1.0, -1.0], [-1.0, 1.0, -1.0]])
    """
    if (layer.in_features, layer.out_features) == (WIDTH * HEIGHT, len(DIGITS)):
        drawn = np.array([[sign == "#" for sign in "".join(one.split())] for one in DIGITS])
    else:
        classes = hash32(np.arange(layer.out_features, dtype=np.uint32))[:, None]
        units = np.arange(layer.in_features, dtype=np.uint32) * np.uint32(0x9E3779B9)
        drawn = hash32(classes + units) >= 2**31
    return np.where(drawn, 1, -1).astype(np.float32)


def codes_as_text(layer: RBF) -> tuple[str, ...]:
    """The code of each class as a text of + and -.

    >>> codes_as_text(RBF(3, 2))
    ('---', '-+-')
    """
    return tuple("".join("+" if sign > 0 else "-" for sign in code) for code in codes(layer))
