"""How much regions flicker from frame to frame, with and without tracks, for several --hold.

    python -m benchmarks.accuracy.flicker CLIP|PICTURE|DATASET ... [--subset 20]

Clips are taken as they are, at their full rate and with every third frame alone, as a slower
computer sees them. A picture becomes a clip of 90 frames as of a camera held in the hand: it
drifts and trembles by some pixels, turns by up to a degree, brightens and darkens, and every frame
has noise of its own. Of an annotated data set SUBSET fully annotated pictures are taken, and their
text is followed: what is reported is judged too. scene-text runs on them all. Writes flicker.json
beside this file and the table of RESULTS.md.

Whether a region of one frame goes on in the next is judged by the overlap of what is reported,
whatever tracks say: an unbroken chain of such regions is an appearance. Frames before the greatest
hold are not counted, and appearances that touch an end of the clip are never short. A region is
true where its centre lies in an annotated text or that text's centre in it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.benchmark import Benchmark, heading, table
from benchmarks.harness.record import Record, Samples
from simrun.cli.run import load_localizer
from simrun.config.schema import Settings
from simrun.errors import SourceError
from simrun.images.read import IMAGE_SUFFIXES, Image, read_image
from simrun.localizer import Localizer
from simrun.result import Region, Result
from simrun.sources import BadFrame, Frame
from simrun.sources.registry import open_source
from simrun.tracking.association import Shapes, match
from simrun.tracking.tracker import Tracker
from simtool.data.annotations import Corners, TrueRegion, load_annotations

Affine = NDArray[np.float64]

HOLDS = (None, 0, 1, 2, 3, 5)
"""None: without a tracker."""
STEPS = (1, 3)
WARM_UP = 5
SHORT = 3
"""Appearances of fewer frames are short."""
FRAMES = 90
RATE = 30.0
TIMED_HOLD = 3


@dataclass
class Figures:
    """Counts over the frames of some clips."""

    frames: int = 0
    appearances: int = 0
    short: int = 0
    changes: int = 0
    """Appearances that began or ended, the clips' ends apart."""
    reported: int = 0
    held: int = 0
    """Of those reported, the ones that were not in the frame."""
    withheld: int = 0
    """Found by the localizer, not reported."""
    numbers: int = 0
    """Tracks reported."""
    switches: int = 0
    """Appearances that go on in the next frame under another number."""
    judged: int = 0
    """Reported in clips whose text is known."""
    true: int = 0
    """Of those, the ones that are text."""
    texts: int = 0
    """Texts in the frames of these clips, illegible ones apart."""
    texts_found: int = 0
    lengths: list[int] = field(default_factory=list)
    """Frames in which each track was reported; without tracks, of each appearance."""

    def __add__(self, other: Figures) -> Figures:
        """The sum over both; lists are joined."""
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return Figures(**sums)


@dataclass(frozen=True)
class Clip:
    """What the localizer said of a clip's frames."""

    results: list[Result] = field(default_factory=list)
    texts: list[list[TrueRegion]] = field(default_factory=list)
    """What there is to be read in each frame; empty where that is not known."""
    localizer_ms: list[float] = field(default_factory=list)
    tracker_ms: list[float] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--subset", type=int, default=20)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Localize every clip once, then track it in every way; sums over the clips."""
    localizer = load_localizer(Settings())
    clips = [localize(*one, localizer) for one in footage(options.paths, options.subset)]
    sums = {
        (step, hold): sum(
            (track(clip.results[::step], clip.texts[::step], hold) for clip in clips), Figures()
        )
        for step in STEPS
        for hold in HOLDS
    }
    return {
        "model": localizer.meta.name,
        "clips": len(clips),
        "localizer_ms": Samples(ms for clip in clips for ms in clip.localizer_ms),
        "tracker_ms": Samples(ms for clip in clips for ms in clip.tracker_ms),
        "ways": [
            {"step": step, "hold": hold, **asdict(one), "lengths": Samples(one.lengths)}
            for (step, hold), one in sums.items()
        ],
    }


def footage(
    paths: Sequence[Path], subset: int
) -> Iterator[tuple[Path, tuple[TrueRegion, ...] | None]]:
    """Clips and pictures, with their text where it is annotated in full."""
    for path in paths:
        if not path.is_dir():
            yield path, None
            continue
        dataset = load_annotations(path)
        full = tuple(image for image in dataset.images if image.exhaustive)
        dataset = replace(dataset, images=full).sample(subset)
        yield from ((dataset.path(image), image.regions) for image in dataset.images)


def localize(path: Path, texts: tuple[TrueRegion, ...] | None, localizer: Localizer) -> Clip:
    """Run a clip, or the hand-held clip of a picture; the tracker beside it for its time."""
    tracker, clip = Tracker(TIMED_HOLD), Clip()
    for frame, motion in frames_of(path):
        result = replace(localizer(frame.image), time_s=frame.time_s, heatmap=None)
        start = time.perf_counter()
        tracker(result)
        clip.tracker_ms.append((time.perf_counter() - start) * 1000)
        clip.localizer_ms.append(result.latency_ms.total)
        clip.results.append(result)
        if texts is not None:
            clip.texts.append([replace(text, quad=moved(text.quad, motion)) for text in texts])
    return clip


def frames_of(path: Path) -> Iterator[tuple[Frame, Affine]]:
    """The frames of a clip, or those of a picture in an unsteady hand, each with its motion."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        for index, (image, motion) in enumerate(hand_held(read_image(path))):
            yield Frame(image, index, index / RATE), motion
        return
    for frame in open_source(str(path)):
        if isinstance(frame, BadFrame):
            raise SourceError(frame.error)
        yield frame, np.eye(2, 3)


def moved(quad: Corners, motion: Affine) -> Corners:
    """Corners after an affine motion, (2, 3)."""
    return tuple((float(x), float(y)) for x, y in np.array(quad) @ motion[:, :2].T + motion[:, 2])


def hand_held(picture: Image) -> Iterator[tuple[Image, Affine]]:
    """Frames of a picture as an unsteady hand would film it; the same ones every time."""
    random = np.random.default_rng(0)
    height, width = picture.shape[:2]
    drift, turn = np.zeros(2), 0.0
    for index in range(FRAMES):
        drift = 0.95 * drift + random.normal(0, 0.003 * width, 2)
        turn = 0.9 * turn + random.normal(0, 0.15)
        shift = drift + random.normal(0, 0.0005 * width, 2)
        matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.0), np.float64)
        matrix[:, 2] += shift
        view = cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
        light = 1 + 0.05 * np.sin(index / 7)
        noise = random.normal(0, 4, view.shape)
        yield np.clip(view * light + noise, 0, 255).astype(np.uint8), matrix


def track(
    results: Sequence[Result], texts: Sequence[list[TrueRegion]], hold: int | None
) -> Figures:
    """Count what one way of tracking makes of a clip."""
    tracker = Tracker(hold) if hold is not None else None
    outputs = [(tracker(result) if tracker else result).regions for result in results][WARM_UP:]
    found = sum(len(result.regions) for result in results[WARM_UP:])
    chains = appearances(outputs)
    last = len(outputs) - 1
    inner = [c for c in chains if c[0][0] > 0 and c[-1][0] < last]
    numbers = Counter(region.track for regions in outputs for region in regions)
    reported, held = numbers.total(), sum(r.held for regions in outputs for r in regions)
    return judge(outputs, texts[WARM_UP:]) + Figures(
        frames=len(outputs),
        appearances=len(chains),
        short=sum(len(chain) < SHORT for chain in inner),
        changes=sum((c[0][0] > 0) + (c[-1][0] < last) for c in chains),
        reported=reported,
        held=held,
        withheld=found - (reported - held),
        numbers=0 if hold is None else len(numbers),
        switches=sum(a.track != b.track for c in chains for (_, a), (_, b) in pairwise(c)),
        lengths=[len(chain) for chain in chains] if hold is None else list(numbers.values()),
    )


def judge(outputs: Sequence[Sequence[Region]], texts: Sequence[list[TrueRegion]]) -> Figures:
    """Count what is text of what is reported, and what is reported of the text."""
    figures = Figures()
    for regions, there in zip(outputs, texts, strict=False):
        flat = [is_hit(region.quad, text.quad) for region in regions for text in there]
        hits = np.array(flat, np.bool_).reshape(len(regions), len(there))
        legible = np.array([not text.ignore for text in there], np.bool_)
        figures.judged += len(regions)
        figures.true += int(np.count_nonzero(hits.any(axis=1)))
        figures.texts += int(legible.sum())
        figures.texts_found += int(np.count_nonzero(hits[:, legible].any(axis=0)))
    return figures


def is_hit(first: Corners, second: Corners) -> bool:
    """Whether the centre of one of two quads lies in the other."""
    quads = [np.array(quad, np.float32) for quad in (first, second)]
    pairs = (quads, quads[::-1])
    return any(cv2.pointPolygonTest(a, b.mean(axis=0).tolist(), False) >= 0 for a, b in pairs)


def appearances(outputs: Sequence[Sequence[Region]]) -> list[list[tuple[int, Region]]]:
    """Chains of regions that overlap from frame to frame, each with its frame's index."""
    chains: list[list[tuple[int, Region]]] = []
    before: list[list[tuple[int, Region]]] = []
    for index, regions in enumerate(outputs):
        shapes = Shapes.of([chain[-1][1] for chain in before])
        pairs = {j: i for i, j in match(shapes, Shapes.of(regions), np.zeros(len(before)))}
        now = [before[pairs[j]] if j in pairs else [] for j in range(len(regions))]
        chains += [chain for chain in now if not chain]
        for chain, region in zip(now, regions, strict=True):
            chain.append((index, region))
        before = now
    return chains


def to_markdown(record: Record) -> str:
    """One row a step and hold."""
    heads = ["frames", "hold", "changes a frame", "short", "median frames", "numbers", "switches"]
    heads += ["withheld", "held", "precision", "recall"]
    tracker, localizer = (record[name]["median"] for name in ("tracker_ms", "localizer_ms"))
    note = heading(
        record,
        f"{record['model']}, {record['clips']} clips; the tracker takes {tracker:.2f} ms a frame, "
        f"the localizer {localizer:.1f}",
    )
    return f"{note}\n\n{table(heads, map(_cells, record['ways']))}"


def _cells(way: Record) -> list[object]:
    found = way["reported"] - way["held"] + way["withheld"]
    return [
        "all" if way["step"] == 1 else f"1 of {way['step']}",
        "no tracks" if way["hold"] is None else way["hold"],
        f"{way['changes'] / way['frames']:.3f}",
        f"{way['short']} of {way['appearances']}",
        f"{way['lengths']['median']:g}",
        way["numbers"] or "-",
        way["switches"],
        f"{way['withheld'] / found:.1%}",
        f"{way['held'] / way['reported']:.1%}",
        f"{way['true'] / max(1, way['judged']):.3f}",
        f"{way['texts_found'] / max(1, way['texts']):.3f}",
    ]


BENCHMARK: Final = Benchmark(measure, to_markdown, add_arguments, markers="flicker")

if __name__ == "__main__":
    BENCHMARK.main()
