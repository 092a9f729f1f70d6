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

from simrun.bundle.metadata import BundleMeta, Task
from simrun.errors import ModelError
from simrun.localization.lines import Parts, Points, box_groups, join_parts, principal_axis
from simrun.types import Floats, Mask

Indices = NDArray[np.intp]
Labels = NDArray[np.int32]

MAX_COMPONENTS: Final = 512
"""Components looked at in one map, the largest: the bound on the work."""

LARGEST_RULE: Final = 10_000.0
"""Greatest value of any rule: more cells than a map has on a side."""

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
    task: Task = Task.TEXT
    """Of text, components that stand side by side are a line; an object is a region by itself."""

    @classmethod
    def of(cls, meta: BundleMeta) -> RegionOptions:
        """The task, the two thresholds and the rules that a bundle carries.

        Raises:
            ModelError: a rule is not known, negative or absurdly large.
        """
        rules = dict(meta.regions)
        if unknown := sorted(rules.keys() - RULES):
            raise ModelError(
                f"bundle field 'regions' has unknown rules: {', '.join(unknown)}; update similarnet"
            )
        if wrong := sorted(name for name, value in rules.items() if not 0 <= value <= LARGEST_RULE):
            raise ModelError(
                f"bundle field 'regions' has rules outside 0 to {LARGEST_RULE:g}: "
                f"{', '.join(wrong)}"
            )
        return cls(meta.map_threshold, meta.region_threshold, **rules, task=meta.task)


RULES: Final = frozenset(field.name for field in fields(RegionOptions)) - {
    "map_threshold",
    "region_threshold",
    "task",
}


@dataclass(frozen=True)
class TextLine:
    """A line of text, or a thing by itself, in a heatmap."""

    quad: NDArray[np.float32]
    """(4, 2) corners (x, y) in cells, clockwise from the top left of the text; they may reach
    outside the map."""
    score: float
    """Mean of the map over the line's cells, clipped to 0..1."""


def find_regions(heatmap: NDArray[np.float32], options: RegionOptions) -> list[TextLine]:
    """Text lines of one heatmap channel, (h, w) float32, best first."""
    mask = heatmap > options.map_threshold
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return []
    window = np.s_[top : top + height, left : left + width]
    parts = _measure(heatmap[window], mask[window], options)
    if len(parts.area) == 0:
        return []
    groups = np.arange(len(parts.area))
    if options.task is Task.TEXT and len(parts.area) > 1:
        groups = join_parts(
            parts, gap=options.join_gap, offset=options.join_offset, ratio=options.join_ratio
        )
    boxes = box_groups(
        parts, groups, grow_across=options.grow_across, grow_along=options.grow_along
    )
    good = (boxes.score >= options.region_threshold) & (boxes.least_side >= options.min_height)
    chosen = good.nonzero()[0]
    chosen = chosen[(-boxes.score[chosen]).argsort(kind="stable")]
    quads = (boxes.quad[chosen] + (left, top)).astype(np.float32)
    scores = np.minimum(boxes.score[chosen], 1.0).tolist()
    return [TextLine(quad, score) for quad, score in zip(quads, scores, strict=True)]


def _measure(heatmap: NDArray[np.float32], mask: Mask, options: RegionOptions) -> Parts:
    """Moments of every component, read as those of a filled rectangle."""
    # From here on only the cells of the mask are looked at, as lists: they are few.
    cells = mask.ravel().nonzero()[0]
    # bincount wants these types and would convert at every call.
    labels = _components(heatmap, mask, cells, options).astype(np.intp)
    y, x = (each.astype(np.float64) for each in np.divmod(cells, mask.shape[1]))
    area = np.bincount(labels)
    area[0] = 0
    kept = (area >= max(1.0, options.min_area)).nonzero()[0]
    if len(kept) > MAX_COMPONENTS:
        kept = kept[(-area[kept]).argsort(kind="stable")[:MAX_COMPONENTS]]
    size = area[kept].astype(np.float64)
    values = (x, y, x * x, y * y, x * y, heatmap.take(cells))
    sums = np.array([np.bincount(labels, each) for each in values])
    x, y, xx, yy, xy, score = sums[:, kept] / size
    # A cell is a square, not a point: it adds 1/12 to the variance along each axis.
    moments = xx - x * x + 1 / 12, yy - y * y + 1 / 12, xy - x * y
    return _rectangles(size, score, x + 1j * y, moments)


def _components(
    heatmap: NDArray[np.float32], mask: Mask, cells: Indices, options: RegionOptions
) -> Labels:
    """(n,) number of the component that each of the mask's cells belongs to, 0 for none.

    Seeds are connected cells above the seed threshold, less the valleys between lines. A cell
    above the map threshold belongs to the nearest seed, unless its component has none: lines that
    touch at the lower threshold stay apart where they are apart at the higher one.
    """
    if options.seed_threshold <= options.map_threshold and options.valley <= 0:
        return _connected(mask).take(cells)
    core = heatmap > max(options.map_threshold, options.seed_threshold)
    if options.valley > 0:
        core &= ~_valleys(heatmap, options.valley, int(options.valley_reach))
    seeds = _connected(core).take(cells)
    seeded = seeds.nonzero()[0]
    if len(seeded) in (0, len(cells)):
        return seeds
    components = _connected(mask).take(cells)
    _, seed_cells = cv2.distanceTransformWithLabels(
        (~core).view(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.asarray(seed_cells, np.int32).take(cells)
    # Cells of seeds are numbered from 1, and so are components: no more of either than cells.
    owner, has_seed = np.zeros((2, len(cells) + 1), np.int32)
    owner[nearest.take(seeded)] = seeds.take(seeded)
    has_seed[components.take(seeded)] = 1
    return owner.take(nearest) * has_seed.take(components)


def _connected(mask: Mask) -> Labels:
    """(h, w) number of the component that a cell belongs to, from 1; 0 outside."""
    _, labels = cv2.connectedComponentsWithAlgorithm(
        mask.view(np.uint8), connectivity=4, ltype=cv2.CV_32S, ccltype=cv2.CCL_SAUF
    )
    return np.asarray(labels, np.int32)


def _valleys(heatmap: NDArray[np.float32], share: float, reach: int) -> Mask:
    """Cells that lie between higher ones above and below."""
    height, width = heatmap.shape
    reach = max(1, min(reach, height))
    padded = np.zeros((height + 2 * reach, width), np.float32)
    padded[reach : reach + height] = heatmap
    # Row i of crest is the highest of padded rows i to i + reach - 1: those above row i of the map.
    rows = height + reach + 1
    crest = padded[:rows]
    for shift in range(1, reach):
        crest = np.maximum(crest, padded[shift : shift + rows])
    return np.asarray(heatmap < share * np.minimum(crest[:height], crest[reach + 1 :]), np.bool_)


def _rectangles(area: Floats, score: Floats, centre: Points, moments: tuple[Floats, ...]) -> Parts:
    """Components as rectangles of the same second moments."""
    xx, yy, xy = moments
    moment = xx - yy + 2j * xy
    middle, spread = (xx + yy) / 2, np.abs(moment) / 2
    along, across = middle + spread, np.maximum(middle - spread, 1 / 12)
    # The direction of a blob hardly longer than high says nothing: it is taken as upright.
    squat = along < _LONG * across
    return Parts(
        area=area,
        score=score,
        centre=centre,
        direction=np.where(squat, 1, principal_axis(moment)),
        half_length=np.sqrt(3 * np.where(squat, xx, along)),
        half_height=np.sqrt(3 * np.where(squat, yy, across)),
        squat=squat,
    )
