"""Pointing game and IoU of class-specific maps on canvases whose boxes are known.

A class's map is interpolated bilinearly between the centres of its cells, to whole pixels, and
smoothed by the mean over 7x7 pixels. It ends at the outermost cells' centres: nothing is known
beyond, and at its rim the mean is over the pixels that are there.

pointing  the brightest pixel of the smoothed map of a class is inside the class's box
          (Zhang et al., arXiv 1608.00507, without their tolerance of 15 pixels)
IoU       of the box, filled, and the pixels whose smoothed map, stretched to 0..1, is at least a
          given share; a share a method, chosen on other canvases (Choe et al., arXiv 2001.07437)

A map that is the same everywhere points nowhere: it is a miss with IoU 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from simrun.result import Heatmap
from simrun.types import Floats
from simtool.data.canvases import DigitCanvas

SMOOTHING: Final = 7
"""Side of the square that is averaged, in pixels; odd."""

_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class PixelMaps:
    """Smoothed maps of all classes on whole pixels."""

    values: Floats
    """(C, h, w)"""
    top: int
    """Row of the picture that is row 0 here."""
    left: int
    """Column of the picture that is column 0 here."""

    def peak(self, channel: int) -> tuple[int, int] | None:
        """Pixel (x, y) of the picture where the map of a class is highest; None where flat."""
        plane = self.values[channel]
        if _span(plane) == 0:
            return None
        y, x = np.unravel_index(plane.argmax(), plane.shape)
        return self.left + int(x), self.top + int(y)

    def stretched(self, channel: int) -> Floats:
        """(h, w) map of a class brought to 0..1; 0 where flat."""
        plane = self.values[channel]
        span = _span(plane)
        return (plane - plane.min()) / span if span > 0 else np.zeros_like(plane)


@dataclass(frozen=True)
class PointingScore:
    """Sums over canvases, by class."""

    hits: Floats
    """(C,) peaks inside a box of their class."""
    overlaps: Floats
    """(C,) sum of IoUs."""
    present: Floats
    """(C,) boxes."""

    @property
    def accuracy(self) -> float:
        """Hits over boxes, all classes together, 0 to 1."""
        return float(self.hits.sum() / self.present.sum())

    @property
    def accuracy_per_class(self) -> tuple[float | None, ...]:
        """The same by class; None for a class that never occurs."""
        return tuple(
            float(h / n) if n else None for h, n in zip(self.hits, self.present, strict=True)
        )

    @property
    def mean_iou(self) -> float:
        """Mean IoU over boxes, 0 to 1."""
        return float(self.overlaps.sum() / self.present.sum())


def pixel_maps(heatmap: Heatmap, size: tuple[int, int]) -> PixelMaps:
    """Interpolate and smooth the maps of a picture of `size` (H, W) pixels."""
    rows, top = _to_pixels(heatmap, heatmap.values.shape[1], size[0])
    columns, left = _to_pixels(heatmap, heatmap.values.shape[2], size[1])
    return PixelMaps(rows @ heatmap.values.astype(np.float64) @ columns.T, top, left)


def score_maps(
    maps: Iterable[tuple[DigitCanvas, PixelMaps]], classes: int, share: float
) -> PointingScore:
    """Score the maps of the classes that are on each canvas.

    Args:
        maps: canvases, and the maps of each; a canvas has a class once at most.
        classes: C.
        share: of the stretched map from which a pixel counts as the class, 0 to 1.
    """
    hits, overlaps, present = np.zeros(classes), np.zeros(classes), np.zeros(classes)
    for canvas, pixels in maps:
        for label, box in zip(canvas.labels, canvas.boxes, strict=True):
            present[label] += 1
            hits[label] += _inside(pixels.peak(label), box)
            overlaps[label] += _iou(pixels, label, box, share)
    return PointingScore(hits, overlaps, present)


def best_share(
    maps: Sequence[tuple[DigitCanvas, PixelMaps]], classes: int, shares: Sequence[float]
) -> float:
    """The share of the highest mean IoU, for canvases that are not the ones to be scored."""
    return max(shares, key=lambda share: score_maps(maps, classes, share).mean_iou)


def _to_pixels(heatmap: Heatmap, cells: int, pixels: int) -> tuple[Floats, int]:
    """Matrix (n, cells) from cells to smoothed pixels along one axis, and the first pixel."""
    last_centre = heatmap.origin + heatmap.pitch * (cells - 1)
    first = max(0, math.ceil(heatmap.origin))
    last = min(pixels - 1, math.floor(last_centre))
    at = (np.arange(first, last + 1) - heatmap.origin) / heatmap.pitch
    interpolation = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(cells)))
    index = np.arange(len(at))
    box = (np.abs(index[:, None] - index) <= SMOOTHING // 2).astype(np.float64)
    return box / box.sum(axis=1, keepdims=True) @ interpolation, first


def _span(plane: Floats) -> float:
    """Greatest minus least value; 0 where they differ by rounding alone."""
    span = float(plane.max() - plane.min())
    return span if span > _ROUNDING * float(np.abs(plane).max()) else 0.0


def _inside(point: tuple[int, int] | None, box: Floats) -> bool:
    """Whether a pixel (x, y) is one of the box x0, y0, x1, y1, ends not included."""
    return point is not None and box[0] <= point[0] < box[2] and box[1] <= point[1] < box[3]


def _iou(pixels: PixelMaps, label: int, box: Floats, share: float) -> float:
    plane = pixels.stretched(label)
    if not plane.any():
        return 0.0
    mask = plane >= share
    x0, y0, x1, y1 = (int(v) for v in box)
    rows = slice(max(0, y0 - pixels.top), max(0, y1 - pixels.top))
    columns = slice(max(0, x0 - pixels.left), max(0, x1 - pixels.left))
    common = int(mask[rows, columns].sum())
    area = (x1 - x0) * (y1 - y0)
    return common / (int(mask.sum()) + area - common)
