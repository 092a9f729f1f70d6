"""Makes docs/own-classes.jpg: what a model of somebody's own classes finds on composed canvases.

python docs/make_own_classes.py MODEL CANVASES

MODEL is a bundle, CANVASES what `simtool compose` wrote. The first canvases in the order of their
names are shown, none picked: heatmap, regions and names as `simrun --save` draws them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from simrun import Localizer
from simrun.images import read_image
from simrun.overlay import draw_overlay

ROWS, COLUMNS = 2, 3


def main() -> None:
    """Write the picture beside this file."""
    model, canvases = sys.argv[1], Path(sys.argv[2])
    localizer = Localizer.load(model)
    paths = sorted(canvases.glob("*.png"))[: ROWS * COLUMNS]
    drawn = [draw_overlay(image := read_image(path), localizer(image)) for path in paths]
    rows = [np.hstack(drawn[at : at + COLUMNS]) for at in range(0, len(drawn), COLUMNS)]
    target = Path(__file__).with_name("own-classes.jpg")
    cv2.imwrite(str(target), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
