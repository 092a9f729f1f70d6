"""From a heatmap to text lines: threshold, hotspots, lines, rotated quads.

Two thresholds, as in text detectors: `map_threshold` decides which cells belong to a hotspot,
`region_threshold` which hotspots are worth reporting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.float32]
"""(4, 2) corners (x, y) in heatmap cells, clockwise from the top left of the text."""

MAX_HOTSPOTS: Final = 500
"""Hotspots kept in one map, the strongest first: bounds the time spent on foliage and gravel."""
MIN_CELLS: Final = 4
"""Smaller hotspots are noise."""

_MAX_GAP: Final = 1.0
"""Two neighbours of a line are at most this many mean heights apart."""
_MIN_HEIGHT_RATIO: Final = 0.5
_MIN_OVERLAP: Final = 0.5
"""Neighbours overlap vertically by at least this share of the lower one's height."""
_MIN_ASPECT: Final = 2.5
"""Width over height from which a lone hotspot is a line of several characters."""
_MAX_TILT_DEGREES: Final = 60.0
"""A steeper lone hotspot is a tall character, such as 1, rather than a climbing line."""


@dataclass(frozen=True)
class RegionOptions:
    """How a heatmap becomes regions; lengths in cells of the heatmap."""

    map_threshold: float
    """A cell belongs to a hotspot where the map is above it."""
    region_threshold: float
    """A hotspot counts where the map's mean over it is at least this."""
    min_height: float = 0.0
    """A line that is lower, or a lone hotspot that is narrower, is not reported."""
    lines: float = 1.0
    """1: hotspots that stand side by side are a line of text; 0: each is a region of its own."""


@dataclass(frozen=True)
class Hotspot:
    """A connected set of cells above the map threshold."""

    outline: NDArray[np.float32]
    """(n, 2) corners (x, y) of the cells along its border."""
    score: float
    """Mean of the map over the hotspot's cells, clipped to 0..1."""
    cells: int
    """Number of cells: its area."""


@dataclass(frozen=True)
class TextLine:
    """Hotspots that stand side by side."""

    quad: Cells
    score: float
    """Mean of the map over the cells of all hotspots, clipped to 0..1."""


def find_lines(heatmap: NDArray[np.float32], options: RegionOptions) -> list[TextLine]:
    """Text lines of one heatmap channel, (h, w) float32, from top to bottom."""
    hotspots = find_hotspots(heatmap, options)
    groups = group_into_lines(hotspots) if options.lines else [[spot] for spot in hotspots]
    lines = [line for line in map(_line, groups) if _height(line.quad) >= options.min_height]
    return sorted(lines, key=lambda line: (float(line.quad[0, 1]), float(line.quad[0, 0])))


def find_hotspots(heatmap: NDArray[np.float32], options: RegionOptions) -> list[Hotspot]:
    """Connected sets of cells above `map_threshold` whose mean reaches `region_threshold`.

    At most `MAX_HOTSPOTS`, those with the largest sum of the map first.
    """
    mask = (heatmap > options.map_threshold).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    sizes = stats[:, cv2.CC_STAT_AREA]
    sums = np.bincount(labels.ravel(), heatmap.ravel(), minlength=count)
    means = sums / np.maximum(sizes, 1)
    good = (sizes >= MIN_CELLS) & (means >= options.region_threshold)
    good[0] = False
    order = np.flatnonzero(good)
    order = order[np.argsort(-sums[order], kind="stable")][:MAX_HOTSPOTS]
    return [
        Hotspot(
            outline=_outline(np.asarray(labels), stats[i], int(i)),
            score=min(1.0, float(means[i])),
            cells=int(sizes[i]),
        )
        for i in order
    ]


def group_into_lines(hotspots: list[Hotspot]) -> list[list[Hotspot]]:
    """Group hotspots that stand side by side: similar height, close, at the same level.

    The relation is transitive, so a line may climb as long as neighbours overlap.
    """
    if not hotspots:
        return []
    hulls = np.array([[*s.outline.min(axis=0), *s.outline.max(axis=0)] for s in hotspots])
    near = _neighbours(hulls)
    unseen = set(range(len(hotspots)))
    groups: list[list[Hotspot]] = []
    while unseen:
        todo, members = [unseen.pop()], []
        while todo:
            i = todo.pop()
            members.append(i)
            new = unseen.intersection(np.flatnonzero(near[i]).tolist())
            unseen -= new
            todo += new
        groups.append([hotspots[i] for i in members])
    return groups


def quad_along(points: NDArray[np.floating], angle: float) -> Cells:
    """Smallest rectangle around points with its top edge in a given direction.

    Args:
        points: (n, 2) as (x, y).
        angle: direction of reading in radians, positive clockwise on the screen.
    """
    right = np.array([math.cos(angle), math.sin(angle)])
    down = np.array([-right[1], right[0]])
    x, y = points @ right, points @ down
    corners = [(x.min(), y.min()), (x.max(), y.min()), (x.max(), y.max()), (x.min(), y.max())]
    return np.array([u * right + v * down for u, v in corners], np.float32)


def _outline(labels: NDArray[Any], stat: NDArray[Any], label: int) -> NDArray[np.float32]:
    """Corners of the cells along a component's border, (n, 2)."""
    x, y, w, h = (int(v) for v in stat[:4])
    part = (labels[y : y + h, x : x + w] == label).astype(np.uint8)
    outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    centres = np.concatenate(outlines)[:, 0] + np.array([x, y], np.float32)
    # Contours run through cell centres; the cells reach half a cell further.
    half = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], np.float32)
    return np.asarray((centres[:, None] + half).reshape(-1, 2), np.float32)


def _neighbours(hulls: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n, n) whether two hulls x0, y0, x1, y1 are neighbours in a line."""
    x0, y0, x1, y1 = hulls.T
    heights = y1 - y0
    overlap = np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0)
    low, high = np.minimum(heights[:, None], heights), np.maximum(heights[:, None], heights)
    gap = np.maximum(x0[:, None], x0) - np.minimum(x1[:, None], x1)
    near: NDArray[np.bool_] = (
        (overlap >= _MIN_OVERLAP * low)
        & (low >= _MIN_HEIGHT_RATIO * high)
        & (gap <= _MAX_GAP * (heights[:, None] + heights) / 2)
    )
    return near


def _height(quad: Cells) -> float:
    """The lesser side of a quad."""
    sides = quad[1] - quad[0], quad[3] - quad[0]
    return min(float(np.hypot(*side)) for side in sides)


def _line(group: list[Hotspot]) -> TextLine:
    points = np.concatenate([spot.outline for spot in group])
    cells = sum(spot.cells for spot in group)
    score = sum(spot.score * spot.cells for spot in group) / cells
    return TextLine(quad_along(points, _direction(group, points)), score)


def _direction(group: list[Hotspot], points: NDArray[np.float32]) -> float:
    """Direction of reading in radians, -pi/2 to pi/2.

    The line through the hotspots' centres; of a single hotspot its longer side, if it is clearly
    longer and rather level. A lone character has no direction of its own: it is taken as upright.
    """
    if len(group) > 1:
        centres = np.array([spot.outline.mean(axis=0) for spot in group])
        _, _, axes = np.linalg.svd(centres - centres.mean(axis=0), full_matrices=False)
        dx, dy = axes[0] if axes[0][0] >= 0 else -axes[0]
        return math.atan2(float(dy), float(dx))
    _, (width, height), degrees = cv2.minAreaRect(points)
    if width < height:
        width, height, degrees = height, width, degrees + 90
    level = (degrees + 90) % 180 - 90
    if width < _MIN_ASPECT * height or abs(level) > _MAX_TILT_DEGREES:
        return 0.0
    return math.radians(level)
