"""The bundled subset of Fashion-MNIST, made from the whole: 10,000 + 2,000 pictures.

    LENET_DATA=folder-of-data-sets python scripts/make_bundled_data.py [output folder]

1,000 training pictures a class are drawn from the training set, 200 test pictures a class from
the test set, by `lenet.data.subset` with seed 2017; both keep the order of the originals. The four
files are 5.2 MB in all (9.4 MB decompressed), which is most of the package's size. The same zlib
gives the same files byte for byte (made with 1.2.13); another may pack the same pictures
differently, and `lenet.data` verifies the decompressed bytes.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet import data
from lenet.data import idx

SEED = 2017
TRAIN_COUNT = 10_000
TEST_COUNT = 2_000
LICENSE = """\
The MIT License (MIT)

Copyright © 2017 Zalando SE, https://tech.zalando.com

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def draw() -> dict[str, NDArray[np.uint8]]:
    """The array of each file."""
    whole = data.load("fashion-mnist", progress=True)
    train = data.subset(whole.train, TRAIN_COUNT, SEED)
    test = data.subset(whole.test, TEST_COUNT, SEED)
    labels = [split.labels.astype(np.uint8) for split in (train, test)]
    arrays = (train.images[:, 0], labels[0], test.images[:, 0], labels[1])
    return dict(zip(data.FILES, arrays, strict=True))


def make(folder: Path) -> None:
    """Nothing; the four files and the licence are in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, array in draw().items():
        idx.write_idx(folder / f"{file}.gz", array)
    (folder / "LICENSE").write_text(LICENSE, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else data.BUNDLED
    make(output)
    for path in sorted(output.iterdir()):
        print(f"{path.stat().st_size:>10,}  {path}")
