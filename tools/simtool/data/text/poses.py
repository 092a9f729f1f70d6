"""Rectangles seen at an angle. Points are (x, y) in pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def random_pose(rng: np.random.Generator, w: int, h: int, steep: float) -> NDArray[np.float64]:
    """Corners (4, 2) of a w x h rectangle in a random pose, about the origin."""
    corners = (rectangle(w, h) - [w / 2, h / 2]).astype(np.float64)
    if rng.random() < 0.4:
        corners[:, 0] += corners[:, 1] * rng.normal(0, 0.2)
    if rng.random() < 0.5:
        corners[:, 1] *= 1 + corners[:, 0] / max(w, 1) * rng.uniform(-steep, steep) * 2
        corners[:, 1] += corners[:, 0] * rng.normal(0, 0.1)
        corners[:, 0] *= rng.uniform(0.65, 1.0)
    roll = rng.random()
    spread = 3.0 if roll < 0.5 else 12.0 if roll < 0.82 else 45.0
    angle = np.deg2rad(
        rng.normal(0, spread) if roll < 0.95 else rng.choice([-90.0, 90.0]) + rng.normal(0, 4)
    )
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray(corners @ turn, np.float64)


def expanded(corners: NDArray[np.float64], h: int, w: int, pad: float) -> NDArray[np.float64]:
    """Corners (4, 2) of an h x w rectangle moved outwards by about `pad` pixels of it."""
    centre = corners.mean(0)
    out = centre + (corners - centre) * (1 + 2 * pad / max(min(h, w), 1.0))
    return np.asarray(out, np.float64)


def rectangle(w: int, h: int) -> NDArray[np.float32]:
    """Corners (4, 2) from the origin, clockwise from the top left."""
    return np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)


def onto(corners: NDArray[np.float64], w: int, h: int) -> NDArray[np.float64]:
    """The perspective transform (3, 3) that takes a w x h rectangle to four corners."""
    matrix = cv2.getPerspectiveTransform(rectangle(w, h), corners.astype(np.float32))
    return np.asarray(matrix, np.float64)
