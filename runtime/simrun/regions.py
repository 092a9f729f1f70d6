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


@dataclass(frozen=True)
class Hotspot:
    """A connected set of cells above the map threshold."""

    quad: Cells
    score: float
    """Mean of the map over the hotspot's cells, clipped to 0..1."""
    cells: int
    """Number of cells: its area."""


@dataclass(frozen=True)
class TextLine:
    """Hotspots that stand side by side, in reading order."""

    quad: Cells
    score: float
    """Mean of the map over the cells of all hotspots, clipped to 0..1."""
    hotspots: tuple[Hotspot, ...]


def find_lines(
    heatmap: NDArray[np.float32], *, map_threshold: float, region_threshold: float
) -> list[TextLine]:
    """Text lines of one heatmap channel, from top to bottom.

    Args:
        heatmap: (h, w) float32.
        map_threshold: a cell belongs to a hotspot where the map is above it.
        region_threshold: a hotspot counts where the map's mean over it is at least this.
    """
    hotspots = find_hotspots(
        heatmap, map_threshold=map_threshold, region_threshold=region_threshold
    )
    lines = [_line(group) for group in group_into_lines(hotspots)]
    return sorted(lines, key=lambda line: (float(line.quad[0, 1]), float(line.quad[0, 0])))


def find_hotspots(
    heatmap: NDArray[np.float32], *, map_threshold: float, region_threshold: float
) -> list[Hotspot]:
    """Connected sets of cells above `map_threshold` whose mean reaches `region_threshold`.

    At most `MAX_HOTSPOTS`, those with the largest sum of the map first.
    """
    mask = (heatmap > map_threshold).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    sizes = stats[:, cv2.CC_STAT_AREA]
    sums = np.bincount(labels.ravel(), heatmap.ravel(), minlength=count)
    means = sums / np.maximum(sizes, 1)
    good = (sizes >= MIN_CELLS) & (means >= region_threshold)
    good[0] = False
    order = np.flatnonzero(good)
    order = order[np.argsort(-sums[order], kind="stable")][:MAX_HOTSPOTS]
    return [
        Hotspot(
            quad=_component_quad(np.asarray(labels), stats[i], int(i)),
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
    hulls = np.array([[*spot.quad.min(axis=0), *spot.quad.max(axis=0)] for spot in hotspots])
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


def upright_quad(points: NDArray[np.floating], *, along: float | None = None) -> Cells:
    """Smallest rotated rectangle around points, clockwise from the top left of the text.

    Args:
        points: (n, 2) as (x, y).
        along: direction of the text in radians; None takes the edge nearest to horizontal.
    """
    corners = cv2.boxPoints(cv2.minAreaRect(np.asarray(points, np.float32)))
    edges = np.roll(corners, -1, axis=0) - corners
    angles = np.arctan2(edges[:, 1], edges[:, 0])
    # boxPoints goes clockwise on the screen, so each edge could be the top one: the right one is
    # that which runs most nearly in the direction of reading.
    first = int(np.argmax(np.cos(angles - (along or 0.0))))
    return np.asarray(np.roll(corners, -first, axis=0), np.float32)


def _component_quad(labels: NDArray[Any], stat: NDArray[Any], label: int) -> Cells:
    """Rotated rectangle around the whole cells of a component."""
    x, y, w, h = (int(v) for v in stat[:4])
    part = (labels[y : y + h, x : x + w] == label).astype(np.uint8)
    outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    centres = np.concatenate(outlines)[:, 0] + np.array([x, y], np.float32)
    # Contours run through cell centres; the cells reach half a cell further.
    half = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], np.float32)
    return upright_quad((centres[:, None] + half).reshape(-1, 2))


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


def _line(group: list[Hotspot]) -> TextLine:
    if len(group) == 1:
        (spot,) = group
        return TextLine(spot.quad, spot.score, (spot,))
    points = np.concatenate([spot.quad for spot in group])
    along = _direction(np.array([spot.quad.mean(axis=0) for spot in group]))
    forward = np.array([math.cos(along), math.sin(along)])
    ordered = sorted(group, key=lambda spot: float(spot.quad.mean(axis=0) @ forward))
    cells = sum(spot.cells for spot in group)
    score = sum(spot.score * spot.cells for spot in group) / cells
    return TextLine(upright_quad(points, along=along), score, tuple(ordered))


def _direction(centres: NDArray[np.float32]) -> float:
    """Angle in radians, -pi/2 to pi/2, of the line through the hotspots' centres."""
    spread = centres - centres.mean(axis=0)
    _, _, axes = np.linalg.svd(spread, full_matrices=False)
    dx, dy = axes[0] if axes[0][0] >= 0 else -axes[0]
    return math.atan2(float(dy), float(dx))
