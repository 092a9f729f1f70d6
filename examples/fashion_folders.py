"""Write five classes of Fashion-MNIST into a folder a class, as somebody's own pictures would lie.

python examples/fashion_folders.py /usr/share/datasets/fashion-mnist OUT [--count 500]

The data are in Debian's package dataset-fashion-mnist (Zalando SE, MIT licence).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from simtool.data.mnist import parse_idx, read_raw

CLASSES = {"t-shirt": 0, "trousers": 1, "dress": 3, "bag": 8, "boot": 9}
"""Five of the ten; shirt, coat and pullover are hard to tell apart in 28x28 pixels."""


def main() -> None:
    """Write the first `--count` pictures of each class as PNG files of 28x28 pixels."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=500)
    options = parser.parse_args()
    files = [options.data / f"train-{part}-ubyte.gz" for part in ("images-idx3", "labels-idx1")]
    images = parse_idx(read_raw(files[0]), 3, str(files[0]))
    labels = parse_idx(read_raw(files[1]), 1, str(files[1]))
    for name, index in CLASSES.items():
        folder = options.out / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in np.flatnonzero(labels == index)[: options.count]:
            cv2.imwrite(str(folder / f"{number:05}.png"), images[number])


if __name__ == "__main__":
    main()
