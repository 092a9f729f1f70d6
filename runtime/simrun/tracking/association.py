"""Which region of a frame is which of an earlier one.

Two measures, one after the other. Where boxes overlap, their intersection over union tells. Where
they do not, because a small region moved by more than its own size between two frames, the nearest
region of about the same size within reach is taken. Pairs are formed greedily, best first: regions
of text hardly overlap one another, so that an optimal assignment would differ only where even the
better choice is a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simrun.result import Region
from simrun.types import Floats

_MIN_IOU: Final = 0.1
"""Boxes that overlap less are matched by distance, if at all."""
_MAX_RATIO: Final = 1.5
"""Regions matched by distance differ by at most this factor in length and in height."""


@dataclass(frozen=True)
class Shapes:
    """Place and size of n regions, in pixels."""

    boxes: Floats
    """(n, 4) axis-aligned hulls x0, y0, x1, y1."""
    sizes: Floats
    """(n, 2) length along the text and height across it."""
    channels: NDArray[np.object_]
    """(n,) names of the heatmap channels; regions of different channels never match."""

    @classmethod
    def of(cls, regions: Sequence[Region]) -> Shapes:
        """The shapes of some regions."""
        quads = np.array([region.quad for region in regions], np.float64).reshape(-1, 4, 2)
        boxes = np.concatenate([quads.min(axis=1), quads.max(axis=1)], axis=1)
        along, across = quads[:, 1] - quads[:, 0], quads[:, 3] - quads[:, 0]
        sizes = np.stack([np.hypot(*along.T), np.hypot(*across.T)], axis=1)
        channels = np.array([region.channel for region in regions], np.object_)
        return cls(boxes, sizes, channels)

    @property
    def centres(self) -> Floats:
        """(n, 2) middle of the boxes."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    def moved(self, shifts: Floats) -> Shapes:
        """The shapes after each moved by its row of `shifts`, (n, 2) pixels."""
        return Shapes(self.boxes + np.tile(shifts, 2), self.sizes, self.channels)

    def pick(self, which: NDArray[np.intp]) -> Shapes:
        """Those of some indices, in their order."""
        return Shapes(self.boxes[which], self.sizes[which], self.channels[which])


def match(expected: Shapes, seen: Shapes, reach: Floats) -> list[tuple[int, int]]:
    """Pair what is expected with what is seen; each takes part in one pair at most.

    Args:
        expected: m regions where they should be by now.
        seen: n regions of the frame.
        reach: (m,) greatest distance between the centres of boxes that do not overlap, in pixels.

    Returns:
        Pairs of an index into `expected` and one into `seen`, best first.
    """
    affinity = _affinity(expected, seen, reach)
    rows, columns = np.nonzero(affinity)
    order = np.argsort(-affinity[rows, columns], kind="stable")
    pairs: list[tuple[int, int]] = []
    free_rows, free_columns = set(range(affinity.shape[0])), set(range(affinity.shape[1]))
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row in free_rows and column in free_columns:
            free_rows.remove(row)
            free_columns.remove(column)
            pairs.append((row, column))
    return pairs


def _affinity(expected: Shapes, seen: Shapes, reach: Floats) -> Floats:
    """(m, n): over 1 for boxes that overlap, 0..1 for others within reach, 0 for no match."""
    common = _overlaps(expected.boxes, seen.boxes)
    union = _areas(expected.boxes)[:, None] + _areas(seen.boxes)[None] - common
    iou = common / np.maximum(union, 1e-9)
    dx, dy = (np.subtract.outer(*xy) for xy in zip(expected.centres.T, seen.centres.T, strict=True))
    nearness = 1 - np.hypot(dx, dy) / np.maximum(reach, 1e-9)[:, None]
    near = (nearness > 0) & _alike(expected.sizes, seen.sizes)
    same = np.asarray(np.equal.outer(expected.channels, seen.channels), np.bool_)
    affinity = np.where(iou >= _MIN_IOU, 1 + iou, np.where(near, nearness, 0.0))
    return np.asarray(affinity * same, np.float64)


def _alike(first: Floats, second: Floats) -> NDArray[np.bool_]:
    """(m, n) whether sizes (m, 2) and (n, 2) are about the same."""
    logs = zip(np.log(np.maximum(first, 1e-9)).T, np.log(np.maximum(second, 1e-9)).T, strict=True)
    along, across = (np.abs(np.subtract.outer(*pair)) <= np.log(_MAX_RATIO) for pair in logs)
    return np.asarray(along & across, np.bool_)


def _overlaps(first: Floats, second: Floats) -> Floats:
    """(m, n) area in square pixels that boxes (m, 4) and (n, 4) have in common."""
    # Plane by plane: an innermost axis of length two is slow.
    width, height = (
        np.minimum.outer(first[:, axis + 2], second[:, axis + 2])
        - np.maximum.outer(first[:, axis], second[:, axis])
        for axis in (0, 1)
    )
    return np.asarray(np.maximum(width, 0) * np.maximum(height, 0), np.float64)


def _areas(boxes: Floats) -> Floats:
    """(n,) areas of boxes (n, 4) in square pixels."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1], np.float64)
