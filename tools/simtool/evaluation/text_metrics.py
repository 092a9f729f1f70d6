"""How well predicted text regions fit the annotated ones.

All figures are fractions, 0 to 1. An image annotated only in part counts for cov50 alone.

px P/R/F1   precision, recall and their harmonic mean over pixels: the union of the predicted quads
            against the union of the true ones. Pixels of ignored regions do not count; every
            image weighs the same.
line F1     words are joined into lines, by one rule on both sides; lines are matched one to one
            where the intersection over union of their axis-aligned hulls is at least 0.5.
cov50       share of the true regions that are covered by predicted quads to at least one half.
flagged     share of the text-free area that lies under predicted quads, mean over images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.types import Mask
from simtool.data.annotations import ALL, AnnotatedImage, Corners, hull

"""(h, w)."""
Boxes = NDArray[np.float32]
"""(N, 4): x0, y0, x1, y1 in pixels."""

KINDS: Final = ("quad", "aabb")
"""Predictions as they are, and their axis-aligned hulls."""

FIGURES: Final = MappingProxyType(
    {
        "px_precision": "px_P",
        "px_recall": "px_R",
        "px_f1": "px_F1",
        "line_f1": "line_F1",
        "cov50": "cov50",
        "flagged": "flagged",
        "images": "images",
    }
)
"""Field of `Scores` -> its name in files and tables, in the order of the columns."""

_MASK_SIDE: Final = 1000.0
"""Longer side of the masks in pixels: larger images are scored shrunk."""
_MATCH_IOU: Final = 0.5
_COVERED: Final = 0.5
_LEVEL_DEGREES: Final = 15.0
"""Regions tilted more than this are lines of their own: hulls of neighbours would overlap."""
_ON_IGNORED: Final = 0.5
_ON_TRUE: Final = 0.4


@dataclass(frozen=True)
class Counts:
    """What one image, or several added up, contribute to the figures."""

    hit: float = 0.0
    """Text under predictions; this and the next two in shares of the image's area."""
    false: float = 0.0
    """Predictions on text-free ground."""
    missed: float = 0.0
    """Text under no prediction."""
    flagged: float = 0.0
    """Share of the text-free area under predictions."""
    lines: int = 0
    predicted_lines: int = 0
    matched_lines: int = 0
    regions: int = 0
    covered: int = 0
    """Regions covered to at least one half."""
    images: int = 0
    """Images annotated in full."""

    def __add__(self, other: Counts) -> Counts:
        """Field by field."""
        names = [f.name for f in fields(self)]
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True)
class Scores:
    """The figures, each 0 to 1; 0 where there is nothing to measure."""

    px_precision: float
    px_recall: float
    px_f1: float
    line_f1: float
    cov50: float
    flagged: float
    images: int
    """Images annotated in full: those behind all figures but cov50."""

    @classmethod
    def of(cls, counts: Counts) -> Scores:
        """The figures that these counts come to."""
        precision = _ratio(counts.hit, counts.hit + counts.false)
        recall = _ratio(counts.hit, counts.hit + counts.missed)
        line_precision = _ratio(counts.matched_lines, counts.predicted_lines)
        line_recall = _ratio(counts.matched_lines, counts.lines)
        return cls(
            px_precision=precision,
            px_recall=recall,
            px_f1=_f1(precision, recall),
            line_f1=_f1(line_precision, line_recall),
            cov50=_ratio(counts.covered, counts.regions),
            flagged=_ratio(counts.flagged, counts.images),
            images=counts.images,
        )

    def to_json(self) -> dict[str, float | int]:
        """The figures to four decimals, by the names of `FIGURES`."""
        values = asdict(self)
        return {name: round(values[key], 4) for key, name in FIGURES.items()}


def score(
    images: Sequence[AnnotatedImage], predictions: Mapping[str, Sequence[Corners]]
) -> dict[str, dict[str, Scores]]:
    """Scores by data set, `all` first, then by name, and by kind (`quad`, `aabb`).

    Args:
        images: what is there.
        predictions: predicted quads by base name of the image; a name left out has none.
    """
    names = [ALL, *sorted({image.dataset for image in images})]
    totals = {name: dict.fromkeys(KINDS, Counts()) for name in names}
    for image in images:
        quads = predictions.get(image.name, ())
        for kind, counts in count_image(image, quads).items():
            for name in (ALL, image.dataset):
                totals[name][kind] += counts
    return {
        name: {kind: Scores.of(counts) for kind, counts in kinds.items()}
        for name, kinds in totals.items()
    }


def count_image(image: AnnotatedImage, quads: Sequence[Corners]) -> dict[str, Counts]:
    """What an image contributes, by kind of prediction."""
    truth = Truth(image)
    return {"quad": truth.compare(quads), "aabb": truth.compare([_hull_quad(q) for q in quads])}


class Truth:
    """The true regions of one image, made ready for comparisons."""

    def __init__(self, image: AnnotatedImage) -> None:
        """Draw the regions, at most 1000 pixels a side."""
        longer = max(image.width, image.height)
        self._scale = min(1.0, _MASK_SIDE / longer)
        self._shape = tuple(
            max(1, round(size * self._scale)) for size in (image.height, image.width)
        )
        self._exhaustive = image.exhaustive
        self._quads = [r.quad for r in image.regions if not r.ignore]
        ignored = [r.quad for r in image.regions if r.ignore]
        self._ignored_boxes = _hulls(ignored)
        self._parts = [self._fill([quad]) for quad in self._quads]
        self._text = self._fill(self._quads)
        self._free = ~self._text & ~self._fill(ignored)
        """Where a prediction is a false alarm."""

    def compare(self, quads: Sequence[Corners]) -> Counts:
        """What these predictions contribute."""
        predicted = self._fill(quads)
        coverage = Counts(
            regions=len(self._parts),
            covered=sum(_is_covered(part, predicted) for part in self._parts),
        )
        if not self._exhaustive:
            return coverage
        return coverage + self._compare_pixels(predicted) + self._compare_lines(quads)

    def _compare_pixels(self, predicted: Mask) -> Counts:
        area = float(predicted.size)
        false = int((predicted & self._free).sum())
        return Counts(
            hit=int((self._text & predicted).sum()) / area,
            false=false / area,
            missed=int((self._text & ~predicted).sum()) / area,
            flagged=false / max(1, int(self._free.sum())),
            images=1,
        )

    def _compare_lines(self, quads: Sequence[Corners]) -> Counts:
        boxes = self._without_ignored(_hulls(quads))
        level = [quad for quad in self._quads if _tilt(quad) <= _LEVEL_DEGREES]
        tilted = [quad for quad in self._quads if _tilt(quad) > _LEVEL_DEGREES]
        true = np.concatenate([join_lines(_hulls(level)), _hulls(tilted)])
        predicted = join_lines(boxes)
        return Counts(
            lines=len(true),
            predicted_lines=len(predicted),
            matched_lines=count_matches(true, predicted),
        )

    def _without_ignored(self, boxes: Boxes) -> Boxes:
        """Predictions but for those that lie on ignored text and on no other."""
        area = _areas(boxes).clip(1)
        on_ignored = _largest(_intersections(boxes, self._ignored_boxes)) / area
        on_true = _largest(_intersections(boxes, _hulls(self._quads))) / area
        dropped = (on_ignored >= _ON_IGNORED) & (on_true < _ON_TRUE)
        return np.asarray(boxes[~dropped], np.float32)

    def _fill(self, quads: Iterable[Corners]) -> Mask:
        mask = np.zeros(self._shape, np.uint8)
        for quad in quads:
            corners = np.round(np.array(quad) * self._scale).astype(np.int32)
            cv2.fillPoly(mask, [corners], (1,))
        return mask.astype(np.bool_)


def join_lines(boxes: Boxes) -> Boxes:
    """Hulls of the groups of boxes that form lines.

    Two boxes belong together where they overlap vertically by at least half of the lower one's
    height, the lower is at least half as high as the higher, and the gap between them is at most
    their mean height. Neighbours of neighbours belong together too.
    """
    height = boxes[:, 3] - boxes[:, 1]
    low = np.minimum(height[:, None], height)
    high = np.maximum(height[:, None], height)
    overlap = np.minimum(boxes[:, None, 3], boxes[:, 3]) - np.maximum(
        boxes[:, None, 1], boxes[:, 1]
    )
    gap = np.maximum(boxes[:, None, 0], boxes[:, 0]) - np.minimum(boxes[:, None, 2], boxes[:, 2])
    joined = (overlap >= 0.5 * low) & (low >= 0.5 * high) & (gap <= (height[:, None] + height) / 2)
    groups = [boxes[members] for members in _components(joined)]
    hulls = [[*group[:, :2].min(0), *group[:, 2:].max(0)] for group in groups]
    return np.array(hulls, np.float32).reshape(-1, 4)


def count_matches(true: Boxes, predicted: Boxes) -> int:
    """Pairs, best first, of boxes with an intersection over union of at least 0.5."""
    if not len(true) or not len(predicted):
        return 0
    shared = _intersections(true, predicted)
    # The small term keeps two empty boxes from dividing by zero.
    iou = shared / (_areas(true)[:, None] + _areas(predicted) - shared + 1e-9)
    matched = 0
    while True:
        i, j = np.unravel_index(int(iou.argmax()), iou.shape)
        if iou[i, j] < _MATCH_IOU:
            return matched
        matched += 1
        iou[i] = -1
        iou[:, j] = -1


def _components(joined: Mask) -> list[list[int]]:
    """Connected components of a symmetric (N, N) relation, each a list of indices."""
    left = set(range(len(joined)))
    components = []
    while left:
        members, front = [], [min(left)]
        left.remove(front[0])
        while front:
            member = front.pop()
            members.append(member)
            near = left.intersection(np.flatnonzero(joined[member]).tolist())
            left -= near
            front += near
        components.append(members)
    return components


def _is_covered(part: Mask, predicted: Mask) -> bool:
    area = int(part.sum())
    return area > 0 and int((part & predicted).sum()) >= _COVERED * area


def _tilt(quad: Corners) -> float:
    """Angle between the first side and the nearer axis, 0 to 45 degrees."""
    (x0, y0), (x1, y1) = quad[:2]
    degrees = abs(math.degrees(math.atan2(y1 - y0, x1 - x0))) % 90
    return min(degrees, 90 - degrees)


def _hull_quad(quad: Corners) -> Corners:
    x0, y0, x1, y1 = hull(quad)
    return (x0, y0), (x1, y0), (x1, y1), (x0, y1)


def _hulls(quads: Sequence[Corners]) -> Boxes:
    return np.array([hull(quad) for quad in quads], np.float32).reshape(-1, 4)


def _intersections(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """(len(a), len(b)) areas of intersection."""
    width = np.minimum(a[:, None, 2], b[:, 2]) - np.maximum(a[:, None, 0], b[:, 0])
    height = np.minimum(a[:, None, 3], b[:, 3]) - np.maximum(a[:, None, 1], b[:, 1])
    return np.asarray(width.clip(0) * height.clip(0), np.float32)


def _areas(boxes: Boxes) -> NDArray[np.float32]:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), np.float32)


def _largest(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest value of each row, 0 for a row without values."""
    return np.asarray(values.max(axis=1, initial=0), np.float32)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _f1(precision: float, recall: float) -> float:
    return _ratio(2 * precision * recall, precision + recall)
