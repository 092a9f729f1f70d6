"""Strips: upright grey pictures of one line of text each, all of one height, for a reader.

The same cut serves training and running: what the network sees must not differ between the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.bundle.reader import ReaderMeta
from simrun.images.read import Image
from simrun.result import Quad

_FINEST: Final = 4
"""Largest factor by which a strip is cut out larger than it is wanted, and then averaged."""
_FARTHEST: Final = 1e6
"""Pixels from the frame's corner beyond which a corner of a region is drawn nearer."""
_WARP: Final = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
_BATCH: Final = 16
"""Strips that are read at once, at most."""
_BATCH_COLUMNS: Final = 3200
"""Columns that are read at once, at most, but for a single strip of more."""
_PADDED_SHARE: Final = 8
"""Widths are rounded up by no more than this part of them, or to the step."""


def cut_strip(image: Image, quad: Quad, meta: ReaderMeta) -> Image:
    """Cut a quad out of a frame, with the margin, turn it upright and bring it to one height.

    Args:
        image: the frame, (H, W) or (H, W, 3) uint8; the strip has as many channels.
        quad: corners (x, y) in frame pixels, clockwise from the top left of the text; opposite
            sides are taken as parallel. The frame's edge goes on outside.
        meta: height, margin, stretch and widths of the strips.

    Returns:
        (height, W[, 3]) uint8, `padded_width` wide: its own last column is repeated up to there.
    """
    (x0, y0), (x1, y1), _, (x3, y3) = [(_near(x), _near(y)) for x, y in quad]
    width, height = max(math.hypot(x1 - x0, y1 - y0), 1.0), max(math.hypot(x3 - x0, y3 - y0), 1.0)
    margin = meta.margin * height
    full_width, full_height = width + 2 * margin, height + 2 * margin
    columns = strip_columns(full_width / full_height, meta)
    finer = min(max(round(full_height / meta.height), 1), _FINEST)
    size = columns * finer, meta.height * finer
    # Steps in the frame from one pixel of the strip to the next, to the right and down.
    right, down = full_width / size[0] / width, full_height / size[1] / height
    ax, ay = (x1 - x0) * right, (y1 - y0) * right
    bx, by = (x3 - x0) * down, (y3 - y0) * down
    # Half a step in from the corner is the first pixel's middle.
    left, above = 0.5 - margin / (right * width), 0.5 - margin / (down * height)
    start = x0 + ax * left + bx * above, y0 + ay * left + by * above
    matrix = np.array([[ax, bx, start[0]], [ay, by, start[1]]])
    strip = cv2.warpAffine(image, matrix, size, flags=_WARP, borderMode=cv2.BORDER_REPLICATE)
    if finer > 1:
        strip = cv2.resize(strip, (columns, meta.height), interpolation=cv2.INTER_AREA)
    missing = padded_width(columns, meta) - columns
    if missing:
        strip = cv2.copyMakeBorder(strip, 0, 0, 0, missing, cv2.BORDER_REPLICATE)
    return np.asarray(strip, np.uint8)


def _near(coordinate: float) -> float:
    """Within what OpenCV can count with."""
    return min(max(coordinate, -_FARTHEST), _FARTHEST)


def resized(quad: Quad, ends: float, across: float) -> Quad:
    """The quad longer at each end and higher above and below, by shares of its height."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = quad
    dx, dy = (x3 - x0) * across, (y3 - y0) * across
    share = math.hypot(x3 - x0, y3 - y0) * ends / max(math.hypot(x1 - x0, y1 - y0), 1e-6)
    ex, ey = (x1 - x0) * share, (y1 - y0) * share
    return (
        (x0 - ex - dx, y0 - ey - dy),
        (x1 + ex - dx, y1 + ey - dy),
        (x2 + ex + dx, y2 + ey + dy),
        (x3 - ex + dx, y3 - ey + dy),
    )


def strip_columns(aspect: float, meta: ReaderMeta) -> int:
    """Columns of a strip, before it is padded, that is `aspect` times as wide as it is high."""
    base, slope, most = meta.stretch
    stretch = min(max(base - slope * aspect, 1.0), most)
    least = max(1, meta.least_width // 2)
    return int(min(max(round(aspect * stretch * meta.height), least), meta.greatest_width))


def padded_width(columns: int, meta: ReaderMeta) -> int:
    """The width that a strip of so many columns is padded to.

    It depends on the strip alone, so that a reading does not depend on what is read beside it. The
    steps grow with the width: strips of like width have the same, and are read together.
    """
    step = meta.width_step
    while step * 2 * _PADDED_SHARE <= columns:
        step *= 2
    return max(meta.least_width, -(-columns // step) * step)


def batches(strips: Sequence[Image]) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Batches (N, 1, height, W) of strips of the same width, of bounded size.

    A page has hundreds of lines; in one batch they would take memory that ONNX Runtime keeps.

    Yields:
        The indices of the strips in a batch, and the batch.
    """
    order = sorted(range(len(strips)), key=lambda i: strips[i].shape[1])
    at = 0
    while at < len(order):
        width = strips[order[at]].shape[1]
        most = min(_BATCH, max(1, _BATCH_COLUMNS // width))
        some = [i for i in order[at : at + most] if strips[i].shape[1] == width]
        yield some, np.stack([strips[i] for i in some])[:, np.newaxis]
        at += len(some)
