"""Text detectors that learn nothing, as textbooks give them, on a shrunken grey frame.

Both are settled on the dev photos: of the variants tried, those with the best pixel F1.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.peers.detector import Card, Frame, Quads

Boxes = NDArray[np.float32]
"""(n, 4): x0, y0, x1, y1 in pixels."""


@dataclass(frozen=True)
class MserOptions:
    """How extremal regions are chosen and joined."""

    delta: int = 12
    """Grey levels that a region has to stay much the same over."""
    least_area: int = 20
    """In pixels of the shrunken frame."""
    max_variation: float = 0.5
    min_diversity: float = 0.0
    """OpenCV's own 0.2 drops characters together with what they stand on."""
    least_members: int = 3
    """Fewer characters side by side are no line."""


class Mser:
    """Maximally stable extremal regions of a character's shape, joined into lines."""

    def __init__(self, side: int, options: MserOptions | None = None) -> None:
        """Detect at this longer side in pixels."""
        self._options = options or MserOptions()
        self.card = Card("MSER", side, asdict(self._options))

    def detect(self, frame: Frame) -> Quads:
        """Lines of one frame."""
        grey, scale = shrink_grey(frame, self.card.side)
        o = self._options
        # A character seldom takes more than a twentieth of a frame.
        limits = (o.least_area, grey.size // 20)
        finder = cv2.MSER.create(o.delta, *limits, o.max_variation, o.min_diversity)
        _, found = finder.detectRegions(grey)
        boxes = np.array(found, np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        characters = boxes[_like_characters(boxes)]
        return to_quads(join_boxes(characters, o.least_members) / scale)


@dataclass(frozen=True)
class GradientOptions:
    """Which components of the gradient count, and how they are joined."""

    least_filled: float
    """Share of a component's upright box that the strong gradient has to fill."""
    least_aspect: float
    """Width over height."""
    least_members: int
    """Fewer components side by side are no line."""
    least_height: int = 4
    """In pixels of the shrunken frame."""


class Gradient:
    """Morphological gradient, Otsu's threshold, closing along the line, components."""

    _CLOSING = (3, 1)

    def __init__(self, side: int, options: GradientOptions) -> None:
        """Detect at this longer side in pixels."""
        self._options = options
        self.card = Card("morphological gradient", side, asdict(options))

    def detect(self, frame: Frame) -> Quads:
        """Lines of one frame."""
        grey, scale = shrink_grey(frame, self.card.side)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        edges = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, disc)
        _, mask = cv2.threshold(edges, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        bar = cv2.getStructuringElement(cv2.MORPH_RECT, self._CLOSING)
        joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, bar)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
        filled = np.bincount(labels.ravel(), mask.ravel() > 0, minlength=len(stats))
        x, y, w, h = stats[:, :4].T
        o = self._options
        good = (
            (filled >= o.least_filled * w * h) & (h >= o.least_height) & (w >= o.least_aspect * h)
        )
        good[0] = False
        boxes = np.stack([x, y, x + w, y + h], axis=1)[good].astype(np.float32)
        return to_quads(join_boxes(boxes, o.least_members) / scale)


def shrink_grey(frame: Frame, side: int) -> tuple[NDArray[np.uint8], float]:
    """The grey frame with its longer side at most `side`, and its scale."""
    scale = min(1.0, side / max(frame.shape[:2]))
    grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
    if scale == 1:
        return grey, scale
    # Averaging by a whole factor is cheap, by any other dear; bilinear skips pixels below a half.
    whole = (1 / scale).is_integer()
    method = cv2.INTER_AREA if whole else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, None, None, scale, scale, method), np.uint8), scale


def join_boxes(boxes: Boxes, least: int) -> Boxes:
    """Hulls of groups of at least `least` boxes that stand side by side and are alike in height."""
    x0, y0, x1, y1 = boxes.T
    height = y1 - y0
    low, high = np.minimum(height[:, None], height), np.maximum(height[:, None], height)
    overlap = np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0)
    gap = np.maximum(x0[:, None], x0) - np.minimum(x1[:, None], x1)
    near = (overlap >= 0.6 * low) & (low >= 0.5 * high) & (gap <= 0.8 * low)
    hulls = []
    left = np.ones(len(boxes), bool)
    while left.any():
        members = np.zeros(len(boxes), bool)
        front = np.zeros(len(boxes), bool)
        front[np.argmax(left)] = True
        while front.any():
            members |= front
            front = near[front].any(axis=0) & ~members
        left &= ~members
        if _places(boxes[members]) >= least:
            group = boxes[members]
            hulls.append([*group[:, :2].min(axis=0), *group[:, 2:].max(axis=0)])
    return np.array(hulls, np.float32).reshape(-1, 4)


def to_quads(boxes: Boxes) -> Quads:
    """Upright boxes as quads, clockwise from the top left."""
    return [((x0, y0), (x1, y0), (x1, y1), (x0, y1)) for x0, y0, x1, y1 in boxes.tolist()]


def _places(group: Boxes) -> int:
    """Characters in a line: one stable region often holds others, which take no place of their own.

    Counted as the boxes that start right of the centre of the one counted before.
    """
    count, reach = 0, -np.inf
    for x0, _, x1, _ in group[np.argsort(group[:, 0])]:
        if x0 >= reach:
            count, reach = count + 1, (x0 + x1) / 2
    return count


def _like_characters(boxes: Boxes) -> NDArray[np.bool_]:
    """Whether boxes could hold one character."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return np.asarray((height >= 6) & (width <= 2 * height) & (height <= 10 * width))
