"""How well a heatmap itself tells text from the rest, at every threshold, before any region.

Cells are compared with the annotated quads drawn on the heatmap's own grid. Every image weighs the
same; cells of ignored regions, and images annotated only in part, do not count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.result import Heatmap
from simrun.types import Floats
from simtool.data.annotations import AnnotatedImage, AnnotatedSet, Corners
from simtool.evaluation.evaluate import read_annotated

_BINS: Final = 2000


@dataclass(frozen=True)
class MapCurve:
    """Precision and recall of cells over thresholds."""

    thresholds: Floats
    """(T,) ascending: a cell is text where the map is above it."""
    precision: Floats
    recall: Floats

    @property
    def f1(self) -> Floats:
        """(T,) harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return np.divide(
            2 * self.precision * self.recall, total, out=np.zeros_like(total), where=total > 0
        )

    @property
    def best(self) -> tuple[float, float]:
        """Threshold of the highest F1, and that F1."""
        at = int(self.f1.argmax())
        return float(self.thresholds[at]), float(self.f1[at])


def map_curve(dataset: AnnotatedSet, compute: Callable[[NDArray[np.uint8]], Heatmap]) -> MapCurve:
    """The curve of a model over the fully annotated pictures of a data set.

    Args:
        dataset: annotated pictures.
        compute: a frame (H, W) or (H, W, 3) uint8 -> its heatmap; channels are maximised.

    Raises:
        SourceError: a picture cannot be read.
    """
    text, rest = [], []
    for image in dataset.images:
        if image.exhaustive:
            heatmap = compute(read_annotated(dataset.path(image), image))
            on_text, off_text = _split(heatmap, image)
            size = heatmap.values[0].size
            text.append((on_text, 1 / size))
            rest.append((off_text, 1 / size))
    values = np.concatenate([cells for cells, _ in text + rest])
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS)))
    hit, false = _above(text, edges), _above(rest, edges)
    total = sum(len(cells) * weight for cells, weight in text)
    found = hit + false
    return MapCurve(
        edges,
        np.divide(hit, found, out=np.zeros_like(hit), where=found > 0),
        hit / max(total, 1e-12),
    )


def _split(heatmap: Heatmap, image: AnnotatedImage) -> tuple[Floats, Floats]:
    """Map values of the cells on true text, and of those on neither true nor ignored text."""
    values = heatmap.values.max(axis=0)
    on_text = _cells_of([r.quad for r in image.regions if not r.ignore], heatmap)
    on_ignored = _cells_of([r.quad for r in image.regions if r.ignore], heatmap)
    return values[on_text].astype(np.float64), values[~on_text & ~on_ignored].astype(np.float64)


def _cells_of(quads: list[Corners], heatmap: Heatmap) -> NDArray[np.bool_]:
    """(h, w) whether a cell's centre lies in one of the quads."""
    mask = np.zeros(heatmap.values.shape[1:], np.uint8)
    for quad in quads:
        cells = (np.array(quad) - heatmap.origin) / heatmap.pitch
        cv2.fillPoly(mask, [np.round(cells).astype(np.int32)], (1,))
    return mask.astype(np.bool_)


def _above(parts: list[tuple[Floats, float]], thresholds: Floats) -> Floats:
    """(T,) weighted number of cells above each threshold."""
    total = np.zeros(len(thresholds))
    for cells, weight in parts:
        below = np.searchsorted(np.sort(cells), thresholds, side="right")
        total += (len(cells) - below) * weight
    return total
