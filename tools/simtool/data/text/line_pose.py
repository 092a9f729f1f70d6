"""How one line lies in its picture, and the quads by which it is cut out of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from simtool.data.text.canvas import Grey
from simtool.data.text.poses import onto, rectangle

Points = NDArray[np.float64]
"""(n, 2) as (x, y) in pixels."""


@dataclass(frozen=True, slots=True)
class LinePose:
    """A line of `size` seen a little aslant, in a picture just large enough for it."""

    size: tuple[int, int]
    """Width and height of the line before it is turned, in pixels."""
    matrix: NDArray[np.float64]
    """From the line to the picture, (3, 3)."""
    corners: Points
    """Of the line in the picture, clockwise from the top left of the text."""
    canvas: tuple[int, int]
    """Width and height of the picture in pixels."""

    @classmethod
    def pick(cls, w: int, h: int, rng: np.random.Generator) -> LinePose:
        """A random pose of a line of w x h pixels."""
        corners = rectangle(w, h).astype(np.float64) - [w / 2, h / 2]
        if rng.random() < 0.35:
            corners[:, 0] += corners[:, 1] * rng.normal(0, 0.22)
        if rng.random() < 0.5:
            corners[:, 1] *= 1 + corners[:, 0] / max(w, 1) * rng.uniform(-0.45, 0.45)
            corners[:, 1] += corners[:, 0] * np.clip(rng.normal(0, 0.05), -0.15, 0.15)
            corners[:, 0] *= rng.uniform(0.75, 1.0)
        angle = np.deg2rad(np.clip(rng.normal(0, 2.5 if rng.random() < 0.7 else 8), -20, 20))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        corners = corners @ turn
        pad = 0.75 * h + 2
        corners -= corners.min(0) - pad
        width, height = np.ceil(corners.max(0) + pad).astype(int)
        return cls((w, h), onto(corners, w, h), corners, (int(width), int(height)))

    def warp(self, ink: Grey, at: tuple[float, float] = (0.0, 0.0)) -> Grey:
        """Coverage of the picture by ink whose top left corner lies at a point of the line."""
        shift = np.array([[1, 0, at[0]], [0, 1, at[1]], [0, 0, 1]], np.float64)
        warped = cv2.warpPerspective(ink, self.matrix @ shift, self.canvas)
        return np.asarray(warped, np.uint8)


def loose_quad(corners: Points, rng: np.random.Generator) -> Points:
    """A quad around a line that is off as quads are, clockwise from the top left.

    Nearly half are upright and as people draw boxes, a quarter along the line, and the others as a
    localizer cuts: too high, too wide, seldom too narrow.
    """
    roll = rng.random()
    if roll < 0.45:
        low, high = corners.min(0), corners.max(0)
        height = high[1] - low[1]
        low = low - height * rng.normal(0.03, 0.05, 2)
        high = high + height * rng.normal(0.03, 0.05, 2)
        return np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    along = (corners[1] - corners[0]) + (corners[2] - corners[3])
    turn = np.deg2rad(rng.normal(0, 1.0 if roll < 0.7 else 3.0))
    x_axis = along / max(float(np.hypot(*along)), 1e-6)
    x_axis = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ x_axis
    y_axis = np.array([-x_axis[1], x_axis[0]])
    across, down = corners @ x_axis, corners @ y_axis
    height = float(np.ptp(down))
    if roll < 0.7:
        top, bottom, left, right = rng.normal(0.03, 0.05, 4) * height
    else:
        top, bottom = rng.uniform(-0.06, 0.35, 2) * height
        left, right = rng.uniform(-0.08, 0.6, 2) * height
    x0, x1 = across.min() - left, across.max() + right
    y0, y1 = down.min() - top, down.max() + bottom
    square = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    return np.asarray(square @ np.array([x_axis, y_axis]), np.float64)
