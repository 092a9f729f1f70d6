"""The whole way of one frame: heatmap, regions, labels."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simrun.bundle.load import (
    CLASSIFIER_FILE,
    LOCALIZER_FILE,
    READER_FILE,
    Bundle,
    load_bundle,
    verify_embedded,
)
from simrun.bundle.metadata import Task
from simrun.errors import ModelError, UsageError, brief
from simrun.images.read import Image, check_frame, to_channels
from simrun.inference.providers import Provider, available_providers
from simrun.inference.session import Engine, EngineConfig
from simrun.inference.threads import ThreadProbe, probe_threads
from simrun.localization.heatmap import compute_heatmap
from simrun.localization.preprocess import prepare
from simrun.localization.regions import RegionOptions, TextLine, find_regions
from simrun.recognition.classify import label_regions, read_regions
from simrun.result import Heatmap, Latency, Quad, Reading, Region, Result

if TYPE_CHECKING:
    from simrun.recognition.memory import RememberingReader
    from simrun.recognition.reader import LineReader

_log = logging.getLogger(__name__)

DEFAULT_MODEL = "scene-text"

_AROUND = 1.0
"""How far around quads a frame is looked at to read them, in lengths of the longest side."""


class Localizer:
    """Finds and reads text in frames. Not thread-safe: one localizer, one thread."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        side: int | None = None,
        classify: bool = True,
        pattern: str | None = None,
        words: Sequence[str] | None = None,
        engine_config: EngineConfig | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Load the graphs of a bundle.

        Args:
            bundle: a verified bundle.
            side: longest side of the working image in pixels; None takes the model's own.
            classify: read the regions that were found.
            pattern: regular expression; only texts that match it as a whole are read.
            words: only these are read.
            engine_config: threads and provider.
            clock: seconds, monotonic.

        Raises:
            UsageError: `side` is out of range, the provider is not there or runs nothing, or the
                pattern or the words are none, or the model has no reader for them.
            ModelError: a graph does not load, is not ours or does not match its metadata.
        """
        require_side(side)
        config = engine_config or EngineConfig()
        self.bundle = bundle
        self.meta = bundle.meta
        self.side = side or bundle.meta.side
        self.threads = config.threads
        self._clock = clock
        self.region_options = RegionOptions.of(bundle.meta)
        """Thresholds and rules in force; may be replaced between frames."""
        self._localizer = Engine(bundle.localizer, config, what=LOCALIZER_FILE)
        verify_embedded(bundle, self._localizer.custom_metadata)
        _tell_elsewhere(self._localizer)
        if config.provider is None:
            _tell_others(self._localizer.provider)
        self._classifier: Engine | None = None
        self._reader: LineReader | None = None
        self._remembering: RememberingReader | None = None
        self.reading_threshold = bundle.meta.reader.threshold if bundle.meta.reader else 0.0
        """Least probability of a reading that becomes a label; may be replaced between frames."""
        if classify:
            self._open_recognition(config)
        if pattern is not None or words is not None:
            self._restrict(pattern, words)

    @classmethod
    def load(
        cls,
        name_or_dir: str | os.PathLike[str] = DEFAULT_MODEL,
        side: int | None = None,
        threads: int | None = 1,
        provider: str | None = None,
        *,
        classify: bool = True,
        pattern: str | None = None,
        words: Sequence[str] | None = None,
    ) -> Localizer:
        """Load a shipped model by name, or the bundle in a folder. Raises as the constructor.

        `threads` None takes the number that a short probe finds the fastest.
        """
        bundle = load_bundle(name_or_dir)
        if threads is None:
            require_side(side)
            threads = choose_threads(bundle, side or bundle.meta.side, provider).threads
        config = EngineConfig(threads=threads, provider=provider)
        return cls(
            bundle,
            side=side,
            classify=classify,
            pattern=pattern,
            words=words,
            engine_config=config,
        )

    @property
    def provider(self) -> str:
        """Execution provider that really runs the graph."""
        return self._localizer.provider.ort_name

    @property
    def classifies(self) -> bool:
        """Whether the regions that are found are read."""
        return self._reader is not None or self._classifier is not None

    @property
    def reads_lines(self) -> bool:
        """Whether a reader reads whole lines, and knows how sure it is."""
        return self._reader is not None

    def follow_frames(self) -> None:
        """From now on frames follow one another: what a reader read and did not change stays read.

        Without, each frame is read anew, whatever came before.
        """
        if self._reader is not None:
            from simrun.recognition.memory import RememberingReader

            self._remembering = RememberingReader(self._reader)

    def __call__(self, frame: Image) -> Result:
        """Localize and read the text of one frame.

        Args:
            frame: (H, W) grey or (H, W, 3) BGR, uint8.

        Raises:
            SourceError: the frame is not such an array.
        """
        frame = check_frame(frame)
        start = self._clock()
        seen = to_channels(frame, self.meta.channels)
        working = prepare(seen, self.side, self.meta.static_size)
        prepared = self._clock()
        heatmap = compute_heatmap(self._localizer, self.meta, working)
        inferred = self._clock()
        found = self._find(heatmap)
        grouped = self._clock()
        regions = self._read(seen, found, heatmap)
        end = self._clock()
        return Result(
            width=frame.shape[1],
            height=frame.shape[0],
            regions=regions,
            latency_ms=_latency(start, prepared, inferred, grouped, end),
            heatmap=heatmap,
        )

    def read(self, frame: Image, quads: Sequence[Quad]) -> list[Reading]:
        """Read regions that are known already: what each most likely says, however unlikely.

        The labels of a frame come about in the same way, but that a model with a reader looks
        beyond the ends of what was found, and leaves out what is less probable than its threshold.

        Args:
            frame: (H, W) grey or (H, W, 3) BGR, uint8.
            quads: four corners (x, y) each, in pixels of the frame, clockwise from the top left of
                the text.

        Returns:
            A reading for each quad, in their order.

        Raises:
            SourceError: the frame is not such an array.
            UsageError: a quad is none, or lies outside of the frame; or nothing is read, by the
                arguments or for want of a graph that reads.
        """
        if not self.classifies:
            raise UsageError(
                f"{self.meta.name} was loaded without what reads regions; give classify=True, or a "
                "model that has a reader or a classifier"
            )
        frame = check_frame(frame)
        checked = [_in_frame(frame, quad) for quad in quads]
        part, moved = _part_around(frame, checked)
        return self._recognize(to_channels(part, self.meta.channels), moved)

    def _find(self, heatmap: Heatmap) -> list[tuple[str | None, TextLine]]:
        names: tuple[str | None, ...] = self.meta.heatmap_channels
        planes = heatmap.values
        if len(planes) == 1:
            names = (None,)
        elif self.meta.task is Task.OBJECTS:
            # A thing answers in the maps of all classes that are like it, and is one thing.
            names, planes = (None,), planes.max(axis=0, keepdims=True)
        return [
            (name, line)
            for name, plane in zip(names, planes, strict=True)
            for line in find_regions(plane, self.region_options)
        ]

    def _read(
        self, seen: Image, found: list[tuple[str | None, TextLine]], heatmap: Heatmap
    ) -> tuple[Region, ...]:
        quads = _quads([line.quad for _, line in found], heatmap)
        readings = self._recognize_found(seen, quads)
        least = self.reading_threshold
        return tuple(
            _labelled(Region(quad=quad, score=line.score, channel=channel), reading, least)
            for (channel, line), quad, reading in zip(found, quads, readings, strict=True)
        )

    def _recognize_found(self, seen: Image, quads: Sequence[Quad]) -> list[Reading]:
        """What each region of the heatmap says."""
        if self._remembering is not None:
            return self._remembering.read(seen, quads)
        if self._reader is not None:
            return self._reader.read_found(seen, quads)
        return self._recognize(seen, quads)

    def _recognize(self, seen: Image, quads: Sequence[Quad]) -> list[Reading]:
        """What each region says: by lines, by characters, or by the thing that it is."""
        if self._reader is not None:
            return self._reader.read(seen, quads)
        if self._classifier is None:
            return [Reading("", 0.0)] * len(quads)
        read = read_regions if self.meta.task is Task.TEXT else label_regions
        return read(self._classifier, self.meta.classes, self.meta.crop_size, seen, quads)

    def _open_recognition(self, config: EngineConfig) -> None:
        """Load the bundle's reader, or else its classifier, if it has either."""
        bundle = self.bundle
        graph, what = bundle.classifier, CLASSIFIER_FILE
        if bundle.reader is not None:
            graph, what = bundle.reader, READER_FILE
        if graph is None:
            return
        if self._localizer.provider.fixed_size:  # crops and strips come in batches of any size
            config = replace(config, provider=None)
            _log.info("%s runs on the CPU: its batches are of any size", what)
        engine = Engine(graph, config, what=what)
        _tell_elsewhere(engine)
        if what == CLASSIFIER_FILE:
            self._check_classes(engine)
            self._classifier = engine
        elif self.meta.reader is not None:
            from simrun.recognition.reader import LineReader  # only where a bundle has one

            self._reader = LineReader(engine, self.meta.reader)

    def _restrict(self, pattern: str | None, words: Sequence[str] | None) -> None:
        """Let only some texts be read."""
        option = "--words" if pattern is None else "--pattern"
        if pattern is not None and words is not None:
            raise UsageError("--pattern and --words both say what may be read; give one of them")
        if self._reader is None:
            raise UsageError(
                f"{option} is for models with a reader of lines that is in use; {self.meta.name} "
                "has none, or classification is off"
            )
        self._reader.restrict(pattern, words)

    def _check_classes(self, classifier: Engine) -> None:
        size = self.meta.crop_size
        logits = classifier.run(np.zeros((1, self.meta.channels, size, size), np.uint8))
        if logits.shape != (1, len(self.meta.classes)):
            raise ModelError(
                f"{CLASSIFIER_FILE} gives {logits.shape[-1] if logits.ndim else 0} classes, the "
                f"bundle names {len(self.meta.classes)}; export the model again"
            )


def require_side(side: int | None) -> None:
    """Raise UsageError where a working side is out of range; None, the model's own, is not."""
    if side is not None and not 32 <= side <= 16384:
        raise UsageError(f"--side is {side}; it must be 32 to 16384 pixels")


def choose_threads(bundle: Bundle, side: int, provider: str | None = None) -> ThreadProbe:
    """How many threads pay: the localizer on an empty 4:3 picture, its longer side `side` pixels.

    Raises:
        UsageError: the provider is not there.
        ModelError: the graph does not load or run.
    """
    meta = bundle.meta
    shape = (round(side * 3 / 4), side) + ((meta.channels,) if meta.channels > 1 else ())
    batch = prepare(np.zeros(shape, np.uint8), side, meta.static_size).image
    return probe_threads(bundle.localizer, batch, provider, what=LOCALIZER_FILE)


def _tell_elsewhere(engine: Engine) -> None:
    """Say which operators do not run where they were asked to."""
    if engine.elsewhere:
        _log.warning(
            "--provider %s leaves operators of %s to the CPU, %s",
            engine.provider.name,
            engine.what,
            engine.elsewhere,
        )


def _tell_others(used: Provider) -> None:
    """Say what there is beside the default."""
    others = ", ".join(provider.name for provider in available_providers() if provider != used)
    if others:
        _log.info("running on the CPU; ONNX Runtime has %s too: --provider NAME", others)


def _quads(cells: list[NDArray[np.float32]], heatmap: Heatmap) -> list[Quad]:
    return [_quad(corners) for corners in heatmap.to_frame(np.array(cells)).tolist()]


def _labelled(region: Region, reading: Reading, least: float) -> Region:
    """The region with the reading as its label, if it is probable enough."""
    if not reading.text or reading.probability < least:
        return region
    return replace(region, label=reading.text, label_score=reading.probability)


def _in_frame(frame: Image, quad: Quad) -> Quad:
    """The quad as it was given. Raises UsageError where nothing of it is in the frame."""
    height, width = frame.shape[:2]
    try:
        corners = np.asarray(quad, np.float64)
    except (TypeError, ValueError):
        corners = np.empty(0)
    if corners.shape != (4, 2) or not np.isfinite(corners).all():
        raise UsageError(f"a region is {brief(quad)}; it must be four corners (x, y)")
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    if right < 0 or bottom < 0 or left > width or top > height:
        raise UsageError(
            f"a region lies outside of the frame of {width}x{height}: x {left:.0f} to {right:.0f}, "
            f"y {top:.0f} to {bottom:.0f}"
        )
    return quad


def _part_around(frame: Image, quads: Sequence[Quad]) -> tuple[Image, list[Quad]]:
    """As much of the frame as the quads are read from, and the quads in it.

    A large frame in colour takes longer to turn grey than a word takes to be read.
    """
    if not quads:
        return frame, []
    corners = np.asarray(quads, np.float64)
    sizes = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    reach = _AROUND * float(sizes.max()) + 4
    low = np.maximum(np.floor(corners.min(axis=(0, 1)) - reach), 0).astype(int)
    high = np.ceil(corners.max(axis=(0, 1)) + reach)
    x, y = np.minimum(low, (frame.shape[1] - 1, frame.shape[0] - 1)).tolist()
    right, bottom = np.minimum(high, (frame.shape[1], frame.shape[0])).astype(int).tolist()
    part = frame[y : max(bottom, y + 1), x : max(right, x + 1)]
    return part, [_quad(quad) for quad in (corners - (x, y)).tolist()]


def _quad(corners: list[list[float]]) -> Quad:
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
    return (x0, y0), (x1, y1), (x2, y2), (x3, y3)


def _latency(*moments: float) -> Latency:
    """Stages from the moments between them, in seconds."""
    preprocess, infer, regions, classify = ((b - a) * 1000 for a, b in pairwise(moments))
    total = (moments[-1] - moments[0]) * 1000
    return Latency(0.0, preprocess, infer, regions, classify, total)
