"""Choice of the two thresholds, the regions' rules and the working side on annotated photos.

The graph runs once a photo and side; the search then tries thresholds and rules on the kept
heatmaps. Each try moves one to three of them by a random amount and is kept where it is better: a
random search by coordinates, the same for the same seed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from simrun.bundle.metadata import BundleMeta
from simrun.errors import ModelError, UsageError
from simrun.localization.regions import RegionOptions, find_regions
from simrun.localizer import Localizer
from simrun.result import Heatmap
from simtool.data.annotations import ALL, AnnotatedSet, Corners
from simtool.evaluation.evaluate import read_annotated
from simtool.evaluation.text_metrics import Counts, Scores, Truth

log = logging.getLogger(__name__)

RANGES: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "map_threshold": (0.1, 0.9),
        "region_threshold": (0.1, 0.97),
        "seed_threshold": (0.1, 0.97),
        "min_area": (1, 12),
        "min_height": (0.0, 3.0),
        "valley": (0.0, 0.97),
        "valley_reach": (1, 3),
        "join_gap": (0.3, 2.5),
        "join_offset": (0.2, 0.9),
        "join_ratio": (0.3, 0.8),
        "grow_across": (1.0, 2.2),
        "grow_along": (0.0, 0.5),
    }
)
"""What is searched, and between which values."""
_WHOLE: Final = ("min_area", "valley_reach")
_STEP: Final = 0.12
"""Deviation of a move, as a share of the range."""
_PENALTY: Final = 4.0
"""Weight of what a figure falls short of its target; of `flagged`, twice that."""
OPERATING_POINT: Final = "operating_point"
"""Key of the record in a bundle's `export`."""
LEAST_PICTURES: Final = 10
_CLEAN: Final = "without text"
"""Takes the place of the data set's name for photos without text: they are counted apart."""


@dataclass(frozen=True)
class Targets:
    """What is to be reached: falling short counts more than going beyond."""

    px_f1: float = 0.70
    line_f1: float = 0.50
    cov50: float = 0.78
    worst_cov50: float = 0.80
    """In the data set that is covered least."""
    flagged: float = 0.04
    """At most."""
    clean_flagged: float = 0.02
    """At most, on the photos without text."""


@dataclass(frozen=True)
class Point:
    """Thresholds and rules at a working side, and what they reach."""

    side: int
    options: RegionOptions
    scores: Scores
    worst_cov50: float
    cpu_ms: float
    """Process-CPU time of a whole call without reading the text, median over the pictures."""
    clean_flagged: float | None = None
    """Share flagged of the photos without text; None where there are none."""

    def to_json(self) -> dict[str, Any]:
        """A row of the curve."""
        return {
            "side": self.side,
            **self.scores.to_json(),
            "worst_cov50": round(self.worst_cov50, 4),
            "cpu_ms": round(self.cpu_ms, 2),
            "clean_flagged": None if self.clean_flagged is None else round(self.clean_flagged, 4),
            "rules": asdict(self.options),
        }

    def merit(self, targets: Targets) -> float:
        """One number to climb: the figures, less what they fall short of their targets."""
        pairs = (
            (self.scores.px_f1, targets.px_f1),
            (self.scores.line_f1, targets.line_f1),
            (self.scores.cov50, targets.cov50),
            (self.worst_cov50, targets.worst_cov50),
        )
        short = sum(max(0.0, target - figure) for figure, target in pairs)
        above = max(0.0, self.scores.flagged - targets.flagged)
        above += max(0.0, (self.clean_flagged or 0.0) - targets.clean_flagged)
        return sum(figure for figure, _ in pairs) - _PENALTY * (short + 2 * above)


@dataclass(frozen=True)
class _Seen:
    """A photo and its heatmap at one side."""

    dataset: str
    truth: Truth
    heatmap: Heatmap


def search(
    load: Callable[[int], Localizer],
    dataset: AnnotatedSet,
    sides: Sequence[int],
    tries: int,
    targets: Targets,
    seed: int = 0,
    clean: AnnotatedSet | None = None,
) -> list[Point]:
    """The best point found at each side; each search starts from the former side's.

    Args:
        load: working side in pixels -> localizer that does not read.
        dataset: photos to choose on.
        sides: working sides in pixels.
        tries: points tried a side beside the start.
        targets: what the points are ranked by.
        seed: of the moves.
        clean: photos without any text, where nothing should be found.

    Raises:
        UsageError: there are too few photos, nothing to try, or text in `clean`.
        ModelError: the model finds nothing on them.
        SourceError: a photo cannot be read.
    """
    _refuse(dataset, sides, tries)
    _refuse_text(clean)
    points: list[Point] = []
    for side in sides:
        localizer = load(side)
        start = points[-1].options if points else localizer.region_options
        seen, cpu_ms = _look(localizer, dataset)
        if clean is not None:
            without_text, _ = _look(localizer, clean)
            seen += [replace(one, dataset=_CLEAN) for one in without_text]
        best = _climb(seen, start, (side, cpu_ms), tries, targets, seed)
        log.info("side %d: %s", side, best.scores.to_json())
        if best.scores.px_f1 <= 0 or best.scores.cov50 <= 0:
            raise ModelError(f"the model finds none of the text at side {side}; nothing is chosen")
        points.append(best)
    return points


def choose(points: Sequence[Point], targets: Targets, most_ms: float | None) -> Point:
    """The point of the highest merit among those that cost at most `most_ms`.

    Raises:
        UsageError: all cost more.
    """
    within = [point for point in points if most_ms is None or point.cpu_ms <= most_ms]
    if not within:
        cheapest = min(point.cpu_ms for point in points)
        raise UsageError(f"--max-ms is {most_ms}; the cheapest side given costs {cheapest:.1f} ms")
    return max(within, key=lambda point: point.merit(targets))


def _refuse(dataset: AnnotatedSet, sides: Sequence[int], tries: int) -> None:
    whole = [image for image in dataset.images if image.exhaustive]
    if len(whole) < LEAST_PICTURES or not any(image.regions for image in whole):
        raise UsageError(
            f"{dataset.folder} has {len(whole)} fully annotated pictures; at least "
            f"{LEAST_PICTURES}, some of them with text, are needed to choose on"
        )
    if not sides or tries < 0:
        raise UsageError(f"{len(sides)} sides and {tries} tries; give at least one side")


def _refuse_text(clean: AnnotatedSet | None) -> None:
    for image in clean.images if clean is not None else ():
        if image.regions:
            raise UsageError(f"{image.file} has text marked; --clean is for photos without any")


def _look(localizer: Localizer, dataset: AnnotatedSet) -> tuple[list[_Seen], float]:
    """Every photo's heatmap, and the median CPU ms of a call."""
    seen, times = [], []
    for image in dataset.images:
        frame = read_annotated(dataset.path(image), image)
        started = time.process_time()
        result = localizer(frame)
        times.append(time.process_time() - started)
        if result.heatmap is None:
            raise ModelError("the localizer keeps no heatmap")
        seen.append(_Seen(image.dataset, Truth(image), result.heatmap))
    return seen, float(np.median(times) * 1000)


def _climb(
    seen: Sequence[_Seen],
    start: RegionOptions,
    at: tuple[int, float],
    tries: int,
    targets: Targets,
    seed: int,
) -> Point:
    """The best of `tries` moves, at a side and its CPU ms."""
    random = np.random.default_rng(seed)
    best = _measure(seen, start, at)
    for _ in range(tries):
        tried = _measure(seen, _moved(random, best.options), at)
        if tried.merit(targets) > best.merit(targets):
            best = tried
    return best


def _moved(random: np.random.Generator, options: RegionOptions) -> RegionOptions:
    """One to three of the rules moved, within their ranges."""
    names = random.choice(list(RANGES), int(random.integers(1, 4)), replace=False)
    moved: dict[str, Any] = {}
    for name in names:
        low, high = RANGES[name]
        step = random.normal(0, _STEP) * (high - low)
        value = float(np.clip(getattr(options, name) + step, low, high))
        moved[str(name)] = float(round(value)) if name in _WHOLE else round(value, 3)
    return replace(options, **moved)


def _measure(seen: Sequence[_Seen], options: RegionOptions, at: tuple[int, float]) -> Point:
    totals: dict[str, Counts] = {}
    for one in seen:
        counts = one.truth.compare(quads_of(one.heatmap, options))
        for name in (_CLEAN,) if one.dataset == _CLEAN else (ALL, one.dataset):
            totals[name] = totals.get(name, Counts()) + counts
    scores = {name: Scores.of(counts) for name, counts in totals.items()}
    sets = [scores[n].cov50 for n, counts in totals.items() if n != ALL and counts.regions]
    clean = scores[_CLEAN].flagged if _CLEAN in scores else None
    return Point(at[0], options, scores[ALL], min(sets, default=0.0), at[1], clean)


def quads_of(heatmap: Heatmap, options: RegionOptions) -> list[Corners]:
    """Regions of all channels of a heatmap, as corners in frame pixels."""
    return [
        tuple((float(x), float(y)) for x, y in heatmap.to_frame(region.quad))
        for plane in heatmap.values
        for region in find_regions(plane, options)
    ]


def with_point(
    meta: BundleMeta, chosen: Point, points: Sequence[Point], record: Mapping[str, Any]
) -> BundleMeta:
    """Metadata with the chosen thresholds, rules and side, and the curve they are from."""
    rules = asdict(chosen.options)
    del rules["task"]  # the model's own, which no search moves
    thresholds = {name: rules.pop(name) for name in ("map_threshold", "region_threshold")}
    curve = {**record, "chosen": chosen.side, "curve": [point.to_json() for point in points]}
    return replace(
        meta,
        side=chosen.side,
        **thresholds,
        regions={name: float(value) for name, value in rules.items()},
        export={**meta.export, OPERATING_POINT: curve},
    )
