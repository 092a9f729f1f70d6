"""Post-processing of detectors that learnt a shrunken text map (differentiable binarization).

Such a network is trained on text polygons drawn in by a distance of area x (1 - r^2) / perimeter;
what it marks has to be grown back. For a rectangle, area x ratio / perimeter on every side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_CANDIDATES = 1000
"""Outlines looked at in one map: bounds the time spent on noise."""
_LEAST_SIDE = 3.0
"""Shorter side in map pixels below which a spot is noise, before it is grown."""
_LEAST_GROWN_SIDE = 5.0


@dataclass(frozen=True)
class DbOptions:
    """How a map becomes boxes."""

    map_threshold: float
    """A pixel belongs to text where the map is above it."""
    box_threshold: float
    """A box counts where the map's mean over it is at least this."""
    unclip_ratio: float
    """Distance that a box is grown by, in units of its area over its perimeter."""


def find_boxes(values: NDArray[np.float32], options: DbOptions) -> NDArray[np.float32]:
    """(n, 4, 2) corners (x, y) of the text boxes in a map, (h, w), in its pixels."""
    mask = (values > options.map_threshold).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    boxes = []
    for outline in outlines[:MAX_CANDIDATES]:
        rectangle = cv2.minAreaRect(outline)
        if min(rectangle[1]) < _LEAST_SIDE:
            continue
        if (
            mean_inside(values, np.asarray(cv2.boxPoints(rectangle), np.float32))
            < options.box_threshold
        ):
            continue
        grown = unclip(rectangle, options.unclip_ratio)
        if min(grown[1]) >= _LEAST_GROWN_SIDE:
            boxes.append(cv2.boxPoints(grown))
    return np.array(boxes, np.float32).reshape(-1, 4, 2)


def unclip(rectangle: Any, ratio: float) -> Any:  # noqa: ANN401 - OpenCV's rotated rectangle
    """A rotated rectangle (centre, size, degrees) grown on every side."""
    centre, (width, height), degrees = rectangle
    growth = 2 * ratio * width * height / (2 * (width + height))
    return centre, (width + growth, height + growth), degrees


def mean_inside(values: NDArray[np.float32], corners: NDArray[np.float32]) -> float:
    """Mean of a map over a quad, (4, 2) as (x, y), as far as the quad lies on the map."""
    height, width = values.shape
    low = np.floor(corners.min(axis=0)).astype(int).clip(0, (width - 1, height - 1))
    high = np.ceil(corners.max(axis=0)).astype(int).clip(0, (width - 1, height - 1))
    part = values[low[1] : high[1] + 1, low[0] : high[0] + 1]
    mask = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(mask, [(corners - low).astype(np.int32)], (1,))
    return float(cv2.mean(part, mask)[0])
