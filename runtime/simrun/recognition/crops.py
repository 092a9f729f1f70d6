"""Regions cut out of a frame, turned upright, and taken apart into characters."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.images.read import Image
from simrun.result import Quad

_MARGIN: Final = 0.15
"""Share of its lesser side by which a region is widened before it is cut out."""
_MAX_CROP_HEIGHT: Final = 96
"""Crops are shrunk to this height: more pixels do not help a classifier of small crops."""
_MIN_CONTRAST: Final = 16
"""Grey levels between ink and ground below which there is nothing to read."""
_LEVELS: Final = 256
"""Grey levels of a pixel."""
_MAX_CHARACTERS: Final = 24
"""Characters read from one region."""
_GLYPH_SHARE: Final = 20 / 28
"""Share of the crop that the character fills: MNIST's 20 of 28 pixels."""


def _square_crop(frame: Image, quad: Quad, size: int) -> Image:
    """The square around a quad, with a margin, brought to (size, size[, 3]); edges go on."""
    corners = np.array(quad, np.float64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    side = float((high - low).max()) * (1 + 2 * _MARGIN) + 4.0
    start = (low + high) / 2 - side / 2
    scale = side / size
    matrix = np.array([[scale, 0, start[0] + scale / 2], [0, scale, start[1] + scale / 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(frame, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def rectify(image: Image, quad: Quad, max_height: int = _MAX_CROP_HEIGHT) -> Image:
    """Cut a quad out of a frame and turn it upright, with a margin.

    Args:
        image: the frame, (H, W) or (H, W, 3); the crop has as many channels.
        quad: a rectangle in any direction, in frame pixels; the frame's edge goes on outside.
        max_height: higher crops are shrunk to this many pixels.
    """
    corners = np.array(quad, np.float64)
    width = float(np.linalg.norm(corners[1] - corners[0]))
    height = float(np.linalg.norm(corners[3] - corners[0]))
    margin = _MARGIN * min(width, height) + 2.0
    scale = min(1.0, max_height / (height + 2 * margin))
    x_axis = (corners[1] - corners[0]) / max(width, 1e-6)
    y_axis = (corners[3] - corners[0]) / max(height, 1e-6)
    start = corners[0] - margin * (x_axis + y_axis)
    # Maps a pixel of the crop to the frame: columns are one crop pixel right, one down, the start.
    matrix = np.column_stack([x_axis / scale, y_axis / scale, start])
    size = (
        max(1, round((width + 2 * margin) * scale)),
        max(1, round((height + 2 * margin) * scale)),
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def character_crops(crop: Image, size: int) -> list[Image]:
    """Split an upright crop into characters, each (size, size) uint8, bright ink on 0.

    Empty where the crop has too little contrast to hold a character.
    """
    ink = _ink(crop)
    if ink is None:
        return []
    boxes = _character_boxes((ink > 127).astype(np.uint8))
    return [_centre(ink[y0:y1, x0:x1], size) for x0, y0, x1, y1 in boxes[:_MAX_CHARACTERS]]


def _ink(crop: Image) -> Image | None:
    """The crop with the ground at 0 and the ink at 255, whichever was brighter."""
    smooth = np.asarray(cv2.GaussianBlur(crop, (3, 3), 0), np.uint8)
    threshold, mask = cv2.threshold(smooth, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    # Grey levels are few: what is done for each of them need not be done for each pixel.
    # OpenCV 4 gives a column, OpenCV 5 a row.
    histogram = cv2.calcHist([smooth], [0], None, [_LEVELS], [0, _LEVELS])
    counts = np.asarray(histogram, np.float64).ravel()
    first_bright = int(threshold) + 1
    dark, bright = counts[:first_bright], counts[first_bright:]
    if not bright.any() or not dark.any():
        return None
    border = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    ground_is_bright = border.mean() > 0.5
    ground, ink = _median_level(dark), first_bright + _median_level(bright)
    if ink - ground < _MIN_CONTRAST:
        return None
    level = (np.arange(_LEVELS) - ground) / (ink - ground)
    if ground_is_bright:
        level = 1.0 - level
    table = (level.clip(0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.LUT(crop, table), np.uint8)


def _median_level(counts: NDArray[np.float64]) -> float:
    """Median of levels 0, 1, ... that occur so often; between two in the middle, their mean."""
    upto = counts.cumsum()
    middle = (upto[-1] - 1) // 2, upto[-1] // 2
    return float(upto.searchsorted(middle, side="right").mean())


def _character_boxes(mask: Image) -> list[tuple[int, int, int, int]]:
    """Boxes x0, y0, x1, y1 of the characters in a binary crop, from left to right.

    Parts above each other belong to one character; what touches the crop's border sideways or is
    much lower than the highest part is not a character of this region.
    """
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    sizes = [[int(v) for v in stats[i, :4]] for i in range(1, count)]
    parts = [(x, y, x + w, y + h) for x, y, w, h in sizes if w * h >= 4]
    if not parts:
        return []
    tallest = max(y1 - y0 for _, y0, _, y1 in parts)
    merged: list[tuple[int, int, int, int]] = []
    for part in sorted(parts):
        if merged and part[0] < merged[-1][2] - 0.3 * (part[2] - part[0]):
            last = merged[-1]
            merged[-1] = (
                last[0],
                min(last[1], part[1]),
                max(last[2], part[2]),
                max(last[3], part[3]),
            )
        else:
            merged.append(part)
    return [box for box in merged if box[3] - box[1] >= 0.45 * tallest]


def _centre(ink: Image, size: int) -> Image:
    """Scale a character into the middle share of a square and centre its mass, as MNIST does."""
    height, width = ink.shape
    inner = size * _GLYPH_SHARE
    scale = inner / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(ink, (w, h), interpolation=mode).astype(np.float32)
    mass = max(float(small.sum()), 1.0)
    centre_x = float((small.sum(axis=0) @ np.arange(w)) / mass)
    centre_y = float((small.sum(axis=1) @ np.arange(h)) / mass)
    left = min(max(round((size - 1) / 2 - centre_x), 0), size - w)
    top = min(max(round((size - 1) / 2 - centre_y), 0), size - h)
    square = np.zeros((size, size), np.uint8)
    square[top : top + h, left : left + w] = small.astype(np.uint8)
    return square
