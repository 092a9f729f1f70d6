"""Makes the pictures of README and docs from what the runtime itself draws.

python docs/make_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from simrun import Localizer
from simrun.images.read import Image, read_image, to_bgr
from simrun.sinks.overlay import draw_overlay
from simrun.sources.demo import draw_scene

FOLDER = Path(__file__).parent
SAMPLES = FOLDER.parent / "runtime" / "simrun" / "samples"
TILE = (480, 360)
DEMO_MOMENT_S = 2.0


def tile(picture: Image) -> Image:
    """The picture at the size of a tile."""
    return np.asarray(cv2.resize(to_bgr(picture), TILE, interpolation=cv2.INTER_AREA), np.uint8)


def main() -> None:
    """Draw two frames, each beside what was found in it."""
    localizer = Localizer.load()
    frames = [draw_scene(DEMO_MOMENT_S), read_image(SAMPLES / "sign.jpg")]
    rows = [
        np.hstack([tile(frame), tile(draw_overlay(frame, localizer(frame)))]) for frame in frames
    ]
    cv2.imwrite(str(FOLDER / "result.jpg"), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
