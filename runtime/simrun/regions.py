"""From a heatmap to text regions: threshold, split, join into lines, box.

Two thresholds, as in text detectors: `map_threshold` decides which cells are text,
`region_threshold` which regions are worth reporting. Everything works on whole arrays, and the
number of components is bounded, so that foliage costs no more than a page of text.

Coordinates are the heatmap's own: cell (row i, column j) has its centre at x = j, y = i and
reaches half a cell to each side.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.errors import ModelError
from simrun.lines import Parts, box_groups, join_parts

Floats = NDArray[np.float64]
Labels = NDArray[np.int32]

MAX_COMPONENTS: Final = 512
"""Components looked at in one map, the largest: the bound on the work."""

_LONG: Final = 3.0
"""Ratio of the variances along and across from which a component has a direction of its own."""


@dataclass(frozen=True)
class RegionOptions:
    """How a heatmap becomes regions; lengths in cells of the heatmap.

    The defaults of the rules leave components as they are and join neighbours of one line.
    """

    map_threshold: float
    """Cells above it are text."""
    region_threshold: float
    """Regions whose cells have a lower mean are not reported."""
    seed_threshold: float = 0.0
    """Components without a cell above it are dropped, and those with several such parts are
    divided among them; below `map_threshold` it does nothing."""
    min_area: float = 4.0
    """Smaller components are dropped before lines are formed, in cells."""
    min_height: float = 0.0
    """Regions that are lower, or narrower, are not reported."""
    lines: float = 1.0
    """1: components that stand side by side are a line of text; 0: each is a region by itself."""
    valley: float = 0.0
    """A cell lower than this share of the heights both above and below it parts two lines that
    touch; 0 parts nothing."""
    valley_reach: float = 2.0
    """How many cells above and below are looked at for that."""
    join_gap: float = 1.0
    """Components of one line are at most this many mean heights apart,"""
    join_offset: float = 0.45
    """at most this many mean heights out of line,"""
    join_ratio: float = 0.5
    """and the lower one has at least this share of their mean height."""
    grow_across: float = 1.0
    """Height of a region over the height of its cells."""
    grow_along: float = 0.0
    """What each end of a region gains, over its height."""

    @classmethod
    def from_rules(
        cls, map_threshold: float, region_threshold: float, rules: dict[str, float]
    ) -> RegionOptions:
        """The two thresholds and the rules that a bundle carries.

        Raises:
            ModelError: a rule is not known or negative.
        """
        if unknown := sorted(rules.keys() - RULES):
            raise ModelError(
                f"bundle field 'regions' has unknown rules: {', '.join(unknown)}; update similarnet"
            )
        if negative := sorted(name for name, value in rules.items() if not value >= 0):
            raise ModelError(f"bundle field 'regions' has negative rules: {', '.join(negative)}")
        return cls(map_threshold, region_threshold, **rules)


RULES: Final = frozenset(field.name for field in fields(RegionOptions)) - {
    "map_threshold",
    "region_threshold",
}


@dataclass(frozen=True)
class TextLine:
    """A line of text in a heatmap."""

    quad: NDArray[np.float32]
    """(4, 2) corners (x, y) in cells, clockwise from the top left of the text; they may reach
    outside the map."""
    score: float
    """Mean of the map over the line's cells, clipped to 0..1."""


def find_regions(heatmap: NDArray[np.float32], options: RegionOptions) -> list[TextLine]:
    """Text lines of one heatmap channel, (h, w) float32, best first."""
    mask = (heatmap > options.map_threshold).view(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return []
    inside = np.ascontiguousarray(heatmap[top : top + height, left : left + width])
    parts = _measure(inside, _components(inside, options), options)
    if len(parts.area) == 0:
        return []
    groups = np.arange(len(parts.area))
    if options.lines and len(parts.area) > 1:
        groups = join_parts(
            parts, gap=options.join_gap, offset=options.join_offset, ratio=options.join_ratio
        )
    quads, scores = box_groups(
        parts, groups, grow_across=options.grow_across, grow_along=options.grow_along
    )
    sides = np.hypot(*np.moveaxis(quads[:, [1, 3]] - quads[:, [0]], 2, 0)).min(axis=1)
    good = (scores >= options.region_threshold) & (sides >= options.min_height)
    order = np.flatnonzero(good)[np.argsort(-scores[good], kind="stable")]
    quads += (left, top)
    return [TextLine(quads[i].astype(np.float32), min(1.0, float(scores[i]))) for i in order]


def _components(heatmap: NDArray[np.float32], options: RegionOptions) -> Labels:
    """(h, w) number of the component that a cell belongs to, 0 for none.

    Seeds are connected cells above the seed threshold, less the valleys between lines. A cell
    above the map threshold belongs to the nearest seed, unless its component has none: lines that
    touch at the lower threshold stay apart where they are apart at the higher one.
    """
    mask = heatmap > options.map_threshold
    core = heatmap > max(options.map_threshold, options.seed_threshold)
    if options.valley > 0:
        core &= ~_valleys(heatmap, options.valley, int(options.valley_reach))
    count, seeds = cv2.connectedComponents(core.view(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    if count == 1 or np.array_equal(core, mask):
        return np.asarray(seeds, np.int32)
    _, whole = cv2.connectedComponents(mask.view(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    seeded = np.zeros(int(whole.max()) + 1, np.bool_)
    seeded[whole[core]] = True
    seeded[0] = False
    _, nearest = cv2.distanceTransformWithLabels(
        (~core).view(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(nearest.max()) + 1, np.int32)
    owner[nearest[core]] = seeds[core]
    return np.where(seeded[whole], owner[nearest], 0).astype(np.int32)


def _valleys(heatmap: NDArray[np.float32], share: float, reach: int) -> NDArray[np.bool_]:
    """Cells that lie between higher ones above and below."""
    kernel = np.ones((max(1, reach), 1), np.uint8)
    above = cv2.dilate(heatmap, kernel, anchor=(0, len(kernel) - 1))
    below = cv2.dilate(heatmap, kernel, anchor=(0, 0))
    rim = np.zeros_like(heatmap)
    rim[1:-1] = np.minimum(above[:-2], below[2:])
    return np.asarray(heatmap < share * rim, np.bool_)


def _measure(heatmap: NDArray[np.float32], labels: Labels, options: RegionOptions) -> Parts:
    """Moments of every component, read as those of a filled rectangle."""
    flat = np.flatnonzero(labels)
    # bincount wants this type and would convert at every call.
    which = labels.ravel()[flat].astype(np.intp)
    rows, columns = np.divmod(flat, labels.shape[1])
    area = np.bincount(which)
    kept = np.flatnonzero(area >= max(1.0, options.min_area))
    if len(kept) > MAX_COMPONENTS:
        kept = kept[np.argsort(-area[kept], kind="stable")[:MAX_COMPONENTS]]

    def mean(values: NDArray[np.generic]) -> Floats:
        return np.asarray(np.bincount(which, values, len(area))[kept] / area[kept], np.float64)

    x, y = mean(columns), mean(rows)
    # A cell is a square, not a point: it adds 1/12 to the variance along each axis.
    xx = mean(columns * columns) - x * x + 1 / 12
    yy = mean(rows * rows) - y * y + 1 / 12
    xy = mean(columns * rows) - x * y
    size = area[kept].astype(np.float64)
    return _rectangles(size, mean(heatmap.ravel()[flat]), (x, y), (xx, yy, xy))


def _rectangles(
    area: Floats, score: Floats, centre: tuple[Floats, Floats], moments: tuple[Floats, ...]
) -> Parts:
    """Components as rectangles of the same second moments."""
    xx, yy, xy = moments
    middle, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    along, across = middle + spread, np.maximum(middle - spread, 1 / 12)
    # The direction of a blob hardly longer than high says nothing: it is taken as upright.
    squat = along < _LONG * across
    angle = np.where(squat, 0.0, 0.5 * np.arctan2(2 * xy, xx - yy))
    return Parts(
        area=area,
        score=score,
        x=centre[0],
        y=centre[1],
        angle=angle,
        half_length=np.sqrt(3 * np.where(squat, xx, along)),
        half_height=np.sqrt(3 * np.where(squat, yy, across)),
        squat=squat,
    )
