"""Choice of a reader's threshold: below it, a reading is no label.

Every other picture with transcribed words and all pictures without text choose it; the other
pictures say what it is worth.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from simrun.bundle.metadata import BundleMeta
from simrun.errors import ModelError, UsageError
from simrun.localizer import Localizer
from simrun.progress import Advance
from simtool.data.annotations import AnnotatedImage, AnnotatedSet
from simtool.evaluation.evaluate import read_annotated
from simtool.evaluation.reading_metrics import ReadingCounts, ReadRegion, count_readings, is_counted

log = logging.getLogger(__name__)

READING_POINT: Final = "reading_point"
"""Key of the record in a bundle's `export`."""
TRIED: Final = tuple(round(float(at), 2) for at in np.arange(0.0, 1.0, 0.02))
_SHOWN: Final = 5
"""Of so many points of the curve one is shown and recorded."""
LEAST_PICTURES: Final = 10
"""In each half."""


@dataclass(frozen=True)
class ReadingTargets:
    """What the threshold has to keep and to reach; the greatest one that does is taken."""

    kept: float = 1.0
    """Share of the words read without a threshold that must still be read."""
    precision: float = 0.6
    """At least."""
    labelled: float = 0.5
    """At most, of the regions on pictures without text."""


@dataclass(frozen=True)
class ReadPicture:
    """A picture, and all readings of the regions found on it, however improbable."""

    image: AnnotatedImage
    regions: tuple[ReadRegion, ...]

    def count(self, threshold: float) -> ReadingCounts:
        """What it contributes where less probable readings are no labels."""
        kept = [
            one if (one.score or 0.0) >= threshold else replace(one, label=None)
            for one in self.regions
        ]
        return count_readings(self.image, kept)


@dataclass(frozen=True)
class ReadingPoint:
    """A threshold and what it reaches."""

    threshold: float
    counts: ReadingCounts

    def reaches(self, targets: ReadingTargets) -> bool:
        """Whether it is precise enough, and silent enough where there is no text."""
        within = self.counts.labelled <= targets.labelled * self.counts.regions
        return within and (self.counts.precision or 0.0) >= targets.precision

    def to_json(self) -> dict[str, Any]:
        """A row of the curve."""
        return {"threshold": self.threshold, **self.counts.to_json()}


@dataclass(frozen=True)
class ReadingChoice:
    """The threshold, by one half, and on the other."""

    curve: tuple[ReadingPoint, ...]
    chosen: ReadingPoint
    """On what chose it."""
    held_out: ReadingPoint
    """On the other half."""

    def table(self) -> str:
        """The curve, some points of it, as a Markdown table."""
        names = ("covered", "token", "substr", "precision", "labelled_without_text")
        rows = [*self.curve[::_SHOWN], self.chosen, self.held_out]
        lines = [f"| threshold | {' | '.join(names)} |".replace("_", " "), "|---" * 6 + "|"]
        for point in rows:
            figures = point.counts.to_json()
            shown = ("-" if figures[name] is None else f"{figures[name]:g}" for name in names)
            note = " (chosen)" if point is self.chosen else ""
            note = " (the other half)" if point is self.held_out else note
            lines.append(f"| {point.threshold:g}{note} | {' | '.join(shown)} |")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The record of the bundle."""
        return {
            "chosen": self.chosen.to_json(),
            "held_out": self.held_out.to_json(),
            "curve": [point.to_json() for point in self.curve[::_SHOWN]],
        }


def read_pictures(
    localizer: Localizer, dataset: AnnotatedSet, advance: Advance = lambda _: None
) -> list[ReadPicture]:
    """Localize and read each picture of a set; the localizer's reader loses its threshold.

    Raises:
        SourceError: a picture cannot be read.
        ModelError: the model has no reader.
    """
    localizer.meta = _thresholded(localizer.meta, 0.0)
    pictures = []
    for image in dataset.images:
        frame = read_annotated(dataset.path(image), image)
        found = localizer(frame).regions
        regions = tuple(ReadRegion(one.quad, one.label, one.label_score) for one in found)
        pictures.append(ReadPicture(image, regions))
        advance(1)
    return pictures


def choose_threshold(
    pictures: Sequence[ReadPicture], clean: Sequence[ReadPicture], targets: ReadingTargets
) -> ReadingChoice:
    """The greatest threshold that costs no word, or few, on one half.

    Args:
        pictures: with transcribed words; others do not count.
        clean: without text.
        targets: what it has to keep and to reach.

    Raises:
        UsageError: there are too few pictures, or none without text.
        ModelError: it does not reach the targets.
    """
    worded = [one for one in pictures if any(map(is_counted, one.image.regions))]
    halves = worded[::2], worded[1::2]
    if min(map(len, halves)) < LEAST_PICTURES:
        raise UsageError(
            f"{len(worded)} pictures have transcribed words; at least {2 * LEAST_PICTURES} are "
            "needed to choose a threshold"
        )
    if any(one.image.regions for one in clean) or not clean:
        raise UsageError("--clean must be a folder of annotated photos, none of them with text")
    curve = [_point([*halves[0], *clean], at) for at in TRIED]
    least = targets.kept * curve[0].counts.token
    chosen = [point for point in curve if point.counts.token >= least][-1]
    if not chosen.reaches(targets):
        found = chosen.counts
        raise ModelError(
            f"threshold {chosen.threshold:g} has a precision of {found.precision or 0:.2f} and "
            f"labels {found.labelled} of {found.regions} regions on photos without text; "
            f"{targets.precision} and at most {targets.labelled:g} of them are wanted"
        )
    return ReadingChoice(tuple(curve), chosen, _point(halves[1], chosen.threshold))


def _point(pictures: Sequence[ReadPicture], threshold: float) -> ReadingPoint:
    counts = sum((one.count(threshold) for one in pictures), ReadingCounts())
    return ReadingPoint(threshold, counts)


def with_threshold(
    meta: BundleMeta, choice: ReadingChoice, record: Mapping[str, Any]
) -> BundleMeta:
    """Metadata with the chosen threshold, and the curve it is from. Raises ModelError."""
    chosen = _thresholded(meta, choice.chosen.threshold)
    point = {**record, **choice.to_json()}
    return replace(chosen, export={**meta.export, READING_POINT: point})


def _thresholded(meta: BundleMeta, threshold: float) -> BundleMeta:
    if meta.reader is None:
        raise ModelError(f"{meta.name} has no reader; export it with --reader first")
    return replace(meta, reader=replace(meta.reader, threshold=threshold))
