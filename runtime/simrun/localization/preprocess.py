"""A frame as the network takes it: grey or colour, shrunk to the working side, padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from simrun.images.read import Image

_SIZE_STEP: Final = 8
"""Working sizes are multiples of this: few enough for ONNX Runtime's memory to settle, and a common
frame, 480x360 say, needs no padding at all."""
_HALF: Final = 0.5 + 1e-9
"""Scales up to it are one half or less, whatever their last digits are."""


@dataclass(frozen=True)
class Working:
    """A frame made ready for the graph."""

    image: Image
    """(1, C, h, w) uint8, h and w multiples of 8."""
    scale: float
    """Working pixels per frame pixel."""
    content: tuple[int, int]
    """(height, width) of the part of `image` that shows the frame; the rest repeats its edge."""


def prepare(image: Image, side: int, static_size: tuple[int, int] | None = None) -> Working:
    """Shrink a frame so that its longer side is at most `side`, and pad it to a working size.

    Small frames are not enlarged. The aspect ratio is kept; what is missing to a working size is
    filled with the last row and column, so that no edge appears there.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        side: longest side of the working image in pixels.
        static_size: (H, W) where the graph takes one size only.
    """
    height, width = image.shape[:2]
    if static_size is None:
        scale = min(1.0, side / max(height, width))
    else:
        scale = min(static_size[0] / height, static_size[1] / width)
    shrunk = image if scale == 1.0 else _shrink(image, scale)
    h, w = shrunk.shape[:2]
    full_h, full_w = static_size or (_round_up(h), _round_up(w))
    canvas = shrunk
    if (h, w) != (full_h, full_w):
        bottom, right = full_h - h, full_w - w
        border = cv2.copyMakeBorder(shrunk, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        canvas = np.asarray(border, np.uint8)
    channels = canvas[None] if canvas.ndim == 2 else canvas.transpose(2, 0, 1)
    return Working(np.ascontiguousarray(channels[None], np.uint8), scale, (h, w))


def _shrink(image: Image, scale: float) -> Image:
    """Shrink an image by a factor, without skipping pixels.

    Bilinear interpolation alone skips pixels below one half, and thin strokes would come and go. So
    the image is halved as long as it can be, and the rest is bilinear: averages over blocks of
    another size than 2x2 cost up to ten times as much.
    """
    rounds_up = True
    while scale <= _HALF and min(image.shape[:2]) > 1:
        image = _halve(image, rounds_up)
        # In turns, or the picture would get brighter each time.
        rounds_up = not rounds_up
        scale *= 2
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return image if size == (width, height) else np.asarray(cv2.resize(image, size), np.uint8)


def _halve(image: Image, rounds_up: bool) -> Image:
    """Averages of 2x2 pixels; a last row or column that has no pair is dropped."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    pairs = image[: 2 * height, : 2 * width]
    if not rounds_up:  # OpenCV rounds one half up: of the negative, down
        pairs = np.asarray(cv2.bitwise_not(pairs), np.uint8)
    halved = cv2.resize(pairs, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(halved if rounds_up else cv2.bitwise_not(halved), np.uint8)


def _round_up(size: int) -> int:
    return -(-size // _SIZE_STEP) * _SIZE_STEP
