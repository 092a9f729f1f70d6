"""The labels of what was drawn: cores of characters, their surroundings, the gaps between lines."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from simtool.data.labels import IGNORE, STRIDE
from simtool.data.text.blocks import Block
from simtool.data.text.canvas import Canvas


def label(canvas: Canvas, block: Block, warp: NDArray[np.float64]) -> None:
    """Mark lines as not counting, then gaps as "no text", then cores with their classes."""
    wholes = [
        np.concatenate([line.cells[:, :2].min(0), line.cells[:, 2:].max(0)]) for line in block.lines
    ]
    for whole in wholes:
        fill(canvas.labels, moved(grown(whole, canvas.config.border), warp), IGNORE)
    for upper, lower in pairwise(wholes):
        middle = (upper[3] + lower[1]) / 2
        strip = np.array(
            [min(upper[0], lower[0]), middle, max(upper[2], lower[2]), middle], np.float32
        )
        fill(canvas.labels, moved(grown(strip, 1.0), warp), 0)
    for line, whole in zip(block.lines, wholes, strict=True):
        outer = moved(grown(whole, 1.0), warp)
        side = float(np.linalg.norm(outer[3] - outer[0]))
        if side < canvas.config.unreadable_height:
            fill(canvas.labels, outer, IGNORE)
            continue
        for cell, label in zip(line.cells, line.classes, strict=True):
            core = moved(grown(cell, canvas.config.core), warp)
            fill(canvas.labels, core, int(label))
            fill(canvas.heights, core, side)


def grown(cell: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """`cell` (x0, y0, x1, y1) with its height scaled by `share` about its middle."""
    x0, y0, x1, y1 = cell
    middle, half = (y0 + y1) / 2, (y1 - y0) / 2 * share
    return np.array(
        [[x0, middle - half], [x1, middle - half], [x1, middle + half], [x0, middle + half]],
        np.float32,
    )


def moved(points: NDArray[np.float32], warp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (n, 2) after a perspective transform (3, 3)."""
    return np.asarray(cv2.perspectiveTransform(points[None], warp)[0], np.float64)


def fill(
    grid: NDArray[np.uint8] | NDArray[np.int8] | NDArray[np.float32],
    points: NDArray[np.float64],
    value: float,
) -> None:
    """Fill a polygon in pixels of the scene into a grid: cell (i, j) is pixel (4 i, 4 j)."""
    cells = np.clip((points - 0.5) / STRIDE, -1000, 1000)
    cv2.fillConvexPoly(grid, np.round(cells * 16).astype(np.int32), value, cv2.LINE_8, 4)


def claim(canvas: Canvas, hull: NDArray[np.float64]) -> bool:
    """Take the place of a polygon for what is drawn there; False where it is taken or outside."""
    spot = np.zeros_like(canvas.taken)
    fill(spot, hull, 1)
    if not spot.any() or (spot & canvas.taken).any():
        return False
    canvas.taken |= spot
    return True
