"""A localizer in 8 bits beside the same in single precision: cost, size and what they find."""

from __future__ import annotations

import logging
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from simrun.bundle.load import Bundle
from simrun.images.read import Image, read_image
from simrun.localizer import Localizer
from simrun.result import Quad, Result
from simtool.data.annotations import AnnotatedImage, TrueRegion
from simtool.evaluation.evaluate import read_annotated
from simtool.evaluation.text_metrics import Counts, Scores, count_image

log = logging.getLogger(__name__)

_TIMED_CALLS: Final = 40


@dataclass(frozen=True)
class SamplePicture:
    """A picture's file, and where it is annotated the text in it."""

    path: Path
    truth: AnnotatedImage | None = None

    def read(self) -> Image:
        """The picture. Raises SourceError where that cannot be, or annotations do not fit it."""
        if self.truth is None:
            return read_image(self.path)
        return read_annotated(self.path, self.truth)


@dataclass(frozen=True)
class Form:
    """A localizer in one precision."""

    size: int
    """Bytes of its file."""
    cpu_ms: float
    """CPU milliseconds of the network on a picture, median."""
    regions: int
    """Found in all pictures together."""
    px_f1: float | None
    """On annotated pictures."""

    def to_json(self) -> dict[str, float | int | None]:
        """The figures, rounded as far as they mean something."""
        px_f1 = None if self.px_f1 is None else round(self.px_f1, 4)
        return {
            "bytes": self.size,
            "cpu_ms": round(self.cpu_ms, 3),
            "regions": self.regions,
            "px_F1": px_f1,
        }


@dataclass(frozen=True)
class PrecisionComparison:
    """int8 beside single precision, on the pictures held out, one thread on this machine."""

    pictures: int
    single: Form
    int8: Form
    time_ratio: tuple[float, float, float]
    """Quartiles of int8's time over that of single precision on the same picture."""
    largest_difference: float
    """Of any value of H."""
    mean_difference: float
    agreement: float | None
    """px F1 of int8's regions if those of single precision were the truth; None without any."""

    @property
    def saves_time(self) -> bool:
        """Whether int8 was faster in three of four calls."""
        return self.time_ratio[2] < 1

    def to_json(self) -> dict[str, Any]:
        """The record for people."""
        return {
            "pictures": self.pictures,
            "single": self.single.to_json(),
            "int8": self.int8.to_json(),
            "time_ratio": [round(ratio, 3) for ratio in self.time_ratio],
            "machine": platform.machine(),
            "onnxruntime": onnxruntime.__version__,
            "heatmap_difference": {
                "largest": round(self.largest_difference, 4),
                "mean": round(self.mean_difference, 5),
            },
            "regions_agree_px_F1": None if self.agreement is None else round(self.agreement, 4),
        }


def compare(single: Bundle, int8: Bundle, pictures: Sequence[SamplePicture]) -> PrecisionComparison:
    """Run two bundles that differ in precision alone, in turns; both are told side by side.

    Raises:
        SourceError: a picture cannot be read.
    """
    runs = [Localizer(bundle, classify=False, clock=time.process_time) for bundle in (single, int8)]
    turns = -(-_TIMED_CALLS // len(pictures))
    times: list[tuple[float, ...]] = []
    difference, agreement = _Difference(), Counts()
    tallies = [_Tally(), _Tally()]
    for picture in pictures:
        image = picture.read()
        # The first call at a size plans its memory.
        results = [run(image) for run in runs]
        times += [tuple(run(image).latency_ms.infer for run in runs) for _ in range(turns)]
        difference.add(*results)
        agreement += _agreement(*results)
        for tally, result in zip(tallies, results, strict=True):
            tally.add(picture, result)
    sizes = [len(bundle.localizer) for bundle in (single, int8)]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    forms = [tally.form(*known) for tally, *known in zip(tallies, sizes, medians, strict=True)]
    comparison = PrecisionComparison(
        pictures=len(pictures),
        single=forms[0],
        int8=forms[1],
        time_ratio=_ratio([(pair[0], pair[1]) for pair in times]),
        largest_difference=difference.largest,
        mean_difference=difference.total / difference.cells,
        agreement=Scores.of(agreement).px_f1 if any(form.regions for form in forms) else None,
    )
    _tell(comparison)
    return comparison


def _tell(comparison: PrecisionComparison) -> None:
    """The two side by side, and whether anything was won."""
    log.info("%s", side_by_side(comparison))
    if not comparison.saves_time:
        log.warning(
            "int8 saves no time on this machine (%.2f of single precision's); another processor "
            "may differ, 'simrun bench' tells",
            comparison.time_ratio[1],
        )


class _Difference:
    """How far the heatmaps are from each other."""

    def __init__(self) -> None:
        self.largest = 0.0
        self.total = 0.0
        self.cells = 0

    def add(self, single: Result, int8: Result) -> None:
        assert single.heatmap is not None
        assert int8.heatmap is not None
        values = np.abs(single.heatmap.values - int8.heatmap.values)
        self.largest = max(self.largest, float(values.max()))
        self.total += float(values.sum(dtype=np.float64))
        self.cells += values.size


class _Tally:
    """What one localizer finds, and its scores."""

    def __init__(self) -> None:
        self._regions = 0
        self._scored = Counts()

    def add(self, picture: SamplePicture, result: Result) -> None:
        quads = _quads(result)
        self._regions += len(quads)
        if picture.truth is not None:
            self._scored += count_image(picture.truth, quads)["quad"]

    def form(self, size: int, cpu_ms: float) -> Form:
        px_f1 = Scores.of(self._scored).px_f1 if self._scored.images else None
        return Form(size, cpu_ms, self._regions, px_f1)


def _agreement(single: Result, int8: Result) -> Counts:
    """int8's regions against those of single precision as the truth."""
    regions = tuple(TrueRegion(quad) for quad in _quads(single))
    expected = AnnotatedImage("", single.width, single.height, regions, dataset="")
    return count_image(expected, _quads(int8))["quad"]


def _quads(result: Result) -> list[Quad]:
    return [region.quad for region in result.regions]


def _ratio(times: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Quartiles of the second over the first."""
    # A clock of coarse ticks may see no time at all in a tiny network.
    ratios = [b / a for a, b in times if a > 0] or [1.0]
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return float(low), float(middle), float(high)


def side_by_side(comparison: PrecisionComparison) -> str:
    """A Markdown table, and a line on how far the two are from each other."""
    single, int8 = comparison.single, comparison.int8
    rows = [
        f"| {comparison.pictures} pictures held out | single precision | int8 |",
        "|---|---|---|",
        f"| network, CPU ms | {single.cpu_ms:.2f} | {int8.cpu_ms:.2f} |",
        f"| file, bytes | {single.size} | {int8.size} |",
        f"| regions | {single.regions} | {int8.regions} |",
    ]
    if single.px_f1 is not None and int8.px_f1 is not None:
        rows.append(f"| px F1 | {single.px_f1:.3f} | {int8.px_f1:.3f} |")
    low, middle, high = comparison.time_ratio
    agreement = comparison.agreement
    same = "none found" if agreement is None else f"px F1 {agreement:.3f} of one against the other"
    return "\n".join(
        [
            *rows,
            "",
            f"time {middle:.2f} ({low:.2f} to {high:.2f}) on this machine, {platform.machine()} "
            f"with ONNX Runtime {onnxruntime.__version__}, one thread; H differs by at most "
            f"{comparison.largest_difference:.3f}, by {comparison.mean_difference:.4f} on average; "
            f"regions: {same}",
        ]
    )
