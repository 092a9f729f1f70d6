"""Makes docs/own-classes.jpg: what a model of somebody's own classes finds on composed canvases.

python docs/make_own_classes.py MODEL CANVASES

MODEL is a bundle, CANVASES what `simtool compose` wrote. The first canvases in the order of their
names are shown, none picked: heatmap, regions and names as `simrun --save` draws them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from simrun import Localizer
from simrun.errors import SimError
from simrun.images.read import Image, read_image
from simrun.sinks.overlay import draw_overlay

ROWS, COLUMNS = 2, 3
TARGET: Final = Path(__file__).with_name("own-classes.jpg")


def main() -> None:
    """Write the picture beside this file; errors are one line."""
    parser = argparse.ArgumentParser(description="Draw what a model finds on composed canvases.")
    parser.add_argument("model", help="a bundle")
    parser.add_argument("canvases", type=Path, help="folder that `simtool compose` wrote")
    options = parser.parse_args()
    paths = sorted(options.canvases.glob("*.png"))[: ROWS * COLUMNS]
    if len(paths) < ROWS * COLUMNS:
        sys.exit(f"make_own_classes: {options.canvases} holds fewer than {ROWS * COLUMNS} canvases")
    try:
        picture = draw(Localizer.load(options.model), paths)
    except SimError as error:
        sys.exit(f"make_own_classes: {error}")
    cv2.imwrite(str(TARGET), picture, [cv2.IMWRITE_JPEG_QUALITY, 88])


def draw(localizer: Localizer, paths: list[Path]) -> Image:
    """Rows of the canvases with what was found in them."""
    drawn = [draw_overlay(image := read_image(path), localizer(image)) for path in paths]
    rows = [np.hstack(drawn[at : at + COLUMNS]) for at in range(0, len(drawn), COLUMNS)]
    return np.vstack(rows)


if __name__ == "__main__":
    main()
