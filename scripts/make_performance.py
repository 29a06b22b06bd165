"""The plot of docs/performance.md, from a measurement on this machine.

    LENET_DATA=folder-of-data-sets python scripts/make_performance.py [--seconds 0.3] [--rounds 5]

Measures ``lenet bench --scale`` into bench/results/scale.json, points that are there already left
as they are (remove the file to begin anew), and draws docs/pictures/growth.svg. Let nothing else
run meanwhile.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lenet.benchmark import scale
from lenet.drawing import figures

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    results = scale.measure(
        ROOT / "bench" / "results" / "scale.json",
        seconds=arguments.seconds,
        rounds=arguments.rounds,
        tell=lambda done, what: print(f"{done}: {what}", flush=True),
    )
    print(figures.save(scale.figure(results), ROOT / "docs" / "pictures" / "growth.svg"))


if __name__ == "__main__":
    main()
