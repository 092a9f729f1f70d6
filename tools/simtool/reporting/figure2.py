"""The paper's Figure 2: a picture, its heatmap H, the thresholded mask, and the authors' own mask.

The authors' masks are files `<picture>_thresh*` beside the picture. They are smaller by a margin
that is the same on both sides: that of their network's unpadded convolutions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError
from simrun.images.read import Image, read_image, to_bgr, to_grey
from simrun.localizer import Localizer
from simrun.sinks.overlay import heat_over_frame
from simrun.sources.picture_files import pictures_in
from simrun.types import Mask
from simtool.data.annotations import ANNOTATIONS_FILE, AnnotatedImage, Corners, load_annotations

OURS: Final = "ours"
MATCHED: Final = "ours, same size"
THEIRS: Final = "the authors'"
_MARK: Final = "_thresh"
"""What the name of an authors' mask has after the picture's."""


@dataclass(frozen=True)
class MaskScore:
    """How a mask fits the annotated boxes; fractions, 0 to 1."""

    precision: float
    """Share of the mask that lies in boxes; 0 for an empty mask."""
    recall: float
    """Share of the boxes under the mask: below 1 for a perfect mask of strokes."""
    share: float
    """Share of the picture under the mask."""

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True)
class Figure2Row:
    """One row of Figure 2."""

    name: str
    image: Image
    """(H, W, 3) BGR."""
    heat: NDArray[np.float32]
    """(H, W) H at the picture's resolution; the maximum over channels."""
    masks: Mapping[str, Mask]
    """By whose they are: `OURS`, and where theirs was found, `MATCHED` and `THEIRS`."""
    boxes: tuple[Corners, ...]
    """Annotated text."""
    scores: Mapping[str, MaskScore]
    """By whose mask; empty where the picture is not annotated."""


def list_pictures(folder: Path) -> list[Path]:
    """Pictures of a folder but for the authors' masks.

    Raises:
        SourceError: there is none, or the folder cannot be read.
    """
    found = [path for path in pictures_in(folder) if _MARK not in path.stem]
    if not found:
        raise SourceError(f"no pictures in {folder} but masks (*{_MARK}*)")
    return found


def find_annotations(folder: Path) -> dict[str, AnnotatedImage]:
    """Annotations of a folder's pictures, by base name, from the folder or the one above it.

    Raises:
        SourceError: there is such a file, and it is damaged.
    """
    for place in (folder, folder.parent):
        if (place / ANNOTATIONS_FILE).is_file():
            return {image.name: image for image in load_annotations(place).images}
    return {}


def compare(path: Path, localizer: Localizer, annotated: AnnotatedImage | None) -> Figure2Row:
    """Everything about one picture.

    Raises:
        SourceError: the picture or the authors' mask cannot be read, or does not fit.
    """
    image = read_image(path)
    heatmap = localizer(image).heatmap
    if heatmap is None:
        raise SourceError(f"{path} gave no heatmap")
    heat = heat_over_frame(heatmap, image.shape[:2])
    masks = {OURS: heat > localizer.region_options.map_threshold}
    reference = _find_reference(path)
    if reference is not None:
        theirs = _read_reference(reference, image.shape[:2])
        masks |= {MATCHED: keep_hottest(heat, int(theirs.sum())), THEIRS: theirs}
    scores = {}
    if annotated is not None:
        text, valid = _truth(annotated, image.shape[:2])
        scores = {name: score_mask(mask, text, valid) for name, mask in masks.items()}
    regions = annotated.regions if annotated else ()
    boxes = tuple(region.quad for region in regions if not region.ignore)
    return Figure2Row(path.name, to_bgr(image), heat, masks, boxes, scores)


def mean_scores(comparisons: Iterable[Figure2Row], name: str) -> MaskScore | None:
    """Mean over the pictures that have a score by that name; None where none has."""
    rows = [c.scores[name] for c in comparisons if name in c.scores]
    if not rows:
        return None
    means = np.mean([(row.precision, row.recall, row.share) for row in rows], axis=0)
    return MaskScore(*(float(mean) for mean in means))


def keep_hottest(heat: NDArray[np.float32], count: int) -> Mask:
    """The `count` hottest pixels; of equal ones the first in reading order."""
    order = np.argsort(-heat, axis=None, kind="stable")
    mask = np.zeros(heat.size, np.bool_)
    mask[order[:count]] = True
    return mask.reshape(heat.shape)


def score_mask(mask: Mask, text: Mask, valid: Mask) -> MaskScore:
    """Precision and recall of a mask against text pixels, where `valid`."""
    hits = int((mask & text).sum())
    marked, there = int((mask & valid).sum()), int(text.sum())
    return MaskScore(
        precision=hits / marked if marked else 0.0,
        recall=hits / there if there else 0.0,
        share=float(mask.mean()),
    )


def _truth(annotated: AnnotatedImage, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    """Pixels of text, and those that count: ignored regions do not, unless text covers them."""
    if shape != (annotated.height, annotated.width):
        raise SourceError(
            f"{annotated.file} is {shape[1]}x{shape[0]} pixels, its annotations are for "
            f"{annotated.width}x{annotated.height}; correct one of them"
        )
    text = _fill((r.quad for r in annotated.regions if not r.ignore), shape)
    ignored = _fill((r.quad for r in annotated.regions if r.ignore), shape)
    return text, text | ~ignored


def _fill(quads: Iterable[Corners], shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, np.uint8)
    for quad in quads:
        cv2.fillPoly(mask, [np.round(np.array(quad)).astype(np.int32)], (1,))
    return mask.astype(np.bool_)


def _find_reference(path: Path) -> Path | None:
    return next(iter(sorted(path.parent.glob(f"{path.stem}{_MARK}*"))), None)


def _read_reference(path: Path, shape: tuple[int, ...]) -> Mask:
    """The authors' mask laid over the picture, false in the margin.

    Raises:
        SourceError: it cannot be read, or its margins are not the same on all sides.
    """
    mask = to_grey(read_image(path)) > 127
    missing = {size - own for size, own in zip(shape, mask.shape, strict=True)}
    margin = min(missing) // 2
    if missing != {2 * margin} or margin < 0:
        raise SourceError(
            f"{path} is {mask.shape[1]}x{mask.shape[0]} pixels and does not fit its picture of "
            f"{shape[1]}x{shape[0]} with even margins"
        )
    return np.pad(mask, margin)
