"""The whole way of one frame: heatmap, regions, labels."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simrun.bundle.load import CLASSIFIER_FILE, LOCALIZER_FILE, Bundle, load_bundle, verify_embedded
from simrun.bundle.metadata import Task
from simrun.errors import ModelError, UsageError
from simrun.images.read import Image, check_frame, to_channels
from simrun.inference.providers import Provider, available_providers
from simrun.inference.session import Engine, EngineConfig
from simrun.inference.threads import ThreadProbe, probe_threads
from simrun.localization.heatmap import compute_heatmap
from simrun.localization.preprocess import prepare
from simrun.localization.regions import RegionOptions, TextLine, find_regions
from simrun.recognition.classify import Reading, label_regions, read_regions
from simrun.result import Heatmap, Latency, Quad, Region, Result

_log = logging.getLogger(__name__)

DEFAULT_MODEL = "scene-text"


class Localizer:
    """Finds and reads text in frames. Not thread-safe: one localizer, one thread."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        side: int | None = None,
        classify: bool = True,
        engine_config: EngineConfig | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Load the graphs of a bundle.

        Args:
            bundle: a verified bundle.
            side: longest side of the working image in pixels; None takes the model's own.
            classify: read the regions that were found.
            engine_config: threads and provider.
            clock: seconds, monotonic.

        Raises:
            UsageError: `side` is out of range, or the provider is not there or runs nothing.
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
        if classify and bundle.classifier is not None:
            if self._localizer.provider.fixed_size:  # crops come in batches of any size
                config = replace(config, provider=None)
                _log.info("%s runs on the CPU: its batches are of any size", CLASSIFIER_FILE)
            self._classifier = Engine(bundle.classifier, config, what=CLASSIFIER_FILE)
            _tell_elsewhere(self._classifier)
            self._check_classes(self._classifier)

    @classmethod
    def load(
        cls,
        name_or_dir: str | os.PathLike[str] = DEFAULT_MODEL,
        side: int | None = None,
        threads: int | None = 1,
        provider: str | None = None,
        *,
        classify: bool = True,
    ) -> Localizer:
        """Load a shipped model by name, or the bundle in a folder. Raises as the constructor.

        `threads` None takes the number that a short probe finds the fastest.
        """
        bundle = load_bundle(name_or_dir)
        if threads is None:
            require_side(side)
            threads = choose_threads(bundle, side or bundle.meta.side, provider).threads
        config = EngineConfig(threads=threads, provider=provider)
        return cls(bundle, side=side, classify=classify, engine_config=config)

    @property
    def provider(self) -> str:
        """Execution provider that really runs the graph."""
        return self._localizer.provider.ort_name

    @property
    def classifies(self) -> bool:
        """Whether the regions that are found are read."""
        return self._classifier is not None

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
        readings: list[Reading] = [Reading("", ())] * len(quads)
        if self._classifier is not None:
            read = read_regions if self.meta.task is Task.TEXT else label_regions
            readings = read(self._classifier, self.meta.classes, self.meta.crop_size, seen, quads)
        return tuple(
            Region(
                quad=quad,
                score=line.score,
                label=reading.text or None,
                label_score=float(np.mean(reading.probabilities)) if reading.text else None,
                channel=channel,
            )
            for (channel, line), quad, reading in zip(found, quads, readings, strict=True)
        )

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
    corners = heatmap.to_frame(np.array(cells)).tolist()
    return [
        ((x0, y0), (x1, y1), (x2, y2), (x3, y3))
        for (x0, y0), (x1, y1), (x2, y2), (x3, y3) in corners
    ]


def _latency(*moments: float) -> Latency:
    """Stages from the moments between them, in seconds."""
    preprocess, infer, regions, classify = ((b - a) * 1000 for a, b in pairwise(moments))
    total = (moments[-1] - moments[0]) * 1000
    return Latency(0.0, preprocess, infer, regions, classify, total)
