"""Free photos and photographic textures without text: the backgrounds of training scenes.

`photos.txt` beside this file lists the pictures, each looked at by eye and found to hold no
writing. The very pictures that the project keeps aside as a test (`HELD_OUT`) never get in.
"""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError

log = logging.getLogger(__name__)

LONGEST_SIDE = 1400
SMALLEST_SIDE = 48
HELD_OUT = (
    *(f"mate/nature/{name}.jpg" for name in ("Dune", "LadyBird", "RainDrops", "TwoWings", "Wood")),
    *(f"skimage/data/{name}.png" for name in ("brick", "chelsea", "coffee", "grass", "gravel")),
    "sklearn/datasets/images/flower.jpg",
)


def load_photos(data_dir: Path) -> list[NDArray[np.uint8]]:
    """Every listed photo below `data_dir`, grey, longest side <= 1400 pixels.

    Decoding takes about a minute the first time; the result is kept in `data_dir/photos.npz`.

    Returns:
        Arrays of shape (H, W) uint8, in the order of the list.

    Raises:
        SourceError: none of the listed photos is there, or the list names a picture that is kept
            aside as a test.
    """
    cache = data_dir / "photos.npz"
    if cache.is_file():
        with np.load(cache) as stored:
            return [stored[key] for key in stored.files]
    listed = Path(__file__).with_name("photos.txt").read_text(encoding="utf-8").split("\n")
    paths = [data_dir / "photo" / line for line in listed if line]
    if held := [p.name for p in paths if p.as_posix().endswith(HELD_OUT)]:
        raise SourceError(f"held-out pictures in photos.txt: {', '.join(held)}; take them out")
    loaded = [(p, _read_grey(p)) for p in paths]
    photos = [image for _, image in loaded if image is not None]
    if not photos:
        raise SourceError(
            f"no photo below {data_dir}; run 'simtool fetch scene-text --out {data_dir}'"
        )
    for path in (p for p, image in loaded if image is None):
        log.warning("photo left out (missing, unreadable or too small): %s", path)
    np.savez(cache, *photos)
    return photos


def _read_grey(path: Path) -> NDArray[np.uint8] | None:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        return None
    scale = LONGEST_SIDE / max(image.shape)
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return image.astype(np.uint8) if min(image.shape) >= SMALLEST_SIDE else None
