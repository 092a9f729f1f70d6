"""Samples of a run: configurations in turns, back to back or at a given rate.

Every kind of run has its turn of a few frames, again and again, so that a machine that slows down
or gets busy does so for all alike.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from simrun.errors import SourceError
from simrun.images.read import Image
from simrun.inference.threads import limit_opencv
from simrun.result import Latency, Result
from simrun.sources import BadFrame, Frame, Source

TURN: Final = 10
"""Frames in a row that are counted before the next kind of run has its turn."""
SETTLE: Final = 2
"""Frames at the start of a turn that are not counted: another kind had the caches before."""


@dataclass(frozen=True)
class WayToRun:
    """One of the ways to run that are measured beside each other."""

    side: int
    """Working side in pixels."""
    threads: int
    paced_fps: float | None = None
    """Frames per second that are offered; None where the next follows at once."""

    def describe(self) -> str:
        """The kind in words."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        mode = "back to back" if self.paced_fps is None else f"paced {self.paced_fps:g}/s"
        return f"side {self.side}, {threads}, {mode}"


@dataclass(frozen=True)
class Sample:
    """What one frame cost."""

    latency: Latency
    """Wall time by stage, milliseconds; the total includes the capture."""
    cpu_ms: float
    """CPU time of the whole process from preprocessing to the labels, all threads."""
    found: int
    """Regions."""


@dataclass(frozen=True)
class Clocks:
    """Time as the measurement sees it, in seconds."""

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.process_time
    wait: Callable[[float], None] = time.sleep


class Feed:
    """Frames without end: a source that ends is opened again."""

    def __init__(self, open_source: Callable[[], Source]) -> None:
        """Open the source. Raises SourceError as it does."""
        self._open = open_source
        self._source = open_source()
        self._frames: Iterator[Frame | BadFrame] = iter(self._source)
        self.name = self._source.name
        self.live = self._source.live

    def take(self) -> Frame:
        """The next frame.

        Raises:
            SourceError: a frame cannot be read, or there is none.
        """
        frame = next(self._frames, None) or self._again()
        if isinstance(frame, BadFrame):
            raise SourceError(f"{frame.error}; a measurement needs frames that can all be read")
        return frame

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _again(self) -> Frame | BadFrame:
        if self.live:
            raise SourceError(f"{self.name} stopped giving frames")
        self._source.close()
        self._source = self._open()
        self._frames = iter(self._source)
        frame = next(self._frames, None)
        if frame is None:
            raise SourceError(f"{self.name} has no frames")
        return frame


@dataclass
class Series:
    """All samples of one kind of run."""

    kind: WayToRun
    localizer: Callable[[Image], Result]
    feed: Feed
    clocks: Clocks = field(default_factory=Clocks)
    samples: list[Sample] = field(default_factory=list)
    elapsed_s: float = 0.0
    """Wall time of the counted turns."""
    frame_size: tuple[int, int] = (0, 0)
    """(width, height) of the last frame."""

    def warm_up(self, frames: int) -> None:
        """Process frames that are not counted, without pauses."""
        limit_opencv(self.kind.threads)
        for _ in range(frames):
            self._process(self.feed.take())

    def turn(self, settle: int, frames: int) -> None:
        """Process a few frames in a row, of which the first are not counted."""
        limit_opencv(self.kind.threads)
        self._frames(settle)
        start = self.clocks.wall()
        self.samples += self._frames(frames)
        self.elapsed_s += self.clocks.wall() - start

    def _frames(self, count: int) -> list[Sample]:
        if self.kind.paced_fps is None:
            return [self._process(self.feed.take()) for _ in range(count)]
        return self._paced(count, 1 / self.kind.paced_fps)

    def _paced(self, count: int, period_s: float) -> list[Sample]:
        """A frame each period; one that takes longer costs the periods that it runs into."""
        samples = []
        due = self.clocks.wall()
        for _ in range(count):
            # A file's frame is ready before it is due; a camera's is the latest when it is.
            ready = None if self.feed.live else self.feed.take()
            early_s = due - self.clocks.wall()
            if early_s > 0:
                self.clocks.wait(early_s)
            else:
                due = self.clocks.wall()
            sample = self._process(ready or self.feed.take())
            samples.append(sample)
            due += period_s * periods_taken(busy_ms(sample, self.feed.live), period_s)
        return samples

    def _process(self, frame: Frame) -> Sample:
        start = self.clocks.cpu()
        result = self.localizer(frame.image)
        cpu_ms = (self.clocks.cpu() - start) * 1000
        self.frame_size = (result.width, result.height)
        latency = result.latency_ms.after_capture(frame.capture_s)
        return Sample(latency, cpu_ms, len(result.regions))


def busy_ms(sample: Sample, live: bool) -> float:
    """Milliseconds that a frame keeps the main loop busy.

    A file is read in the loop; a camera is read by a thread of its own, and its `capture` is the
    age of the frame. The loop decodes what the camera sent, which is a part of that age.
    """
    return sample.latency.total - sample.latency.capture if live else sample.latency.total


def periods_taken(busy: float, period_s: float) -> int:
    """Periods until the next frame can be taken, at least 1, for a frame of `busy` ms."""
    # To a nanosecond: a frame that takes a period exactly is in time.
    return max(1, math.ceil(round(busy / 1000 / period_s, 9)))


def measure(
    series: Sequence[Series],
    *,
    frames: int | None,
    seconds: float | None,
    warmup: int,
    on_turn: Callable[[float], None] = lambda _: None,
) -> None:
    """Take the samples of all series, in turns.

    Args:
        series: filled by this.
        frames: samples of each; None where `seconds` counts.
        seconds: wall time of each.
        warmup: frames of each before, not counted.
        on_turn: told the share done after every turn, 0 to 1.
    """
    for one in series:
        one.warm_up(warmup)
    settle = SETTLE if len(series) > 1 else 0
    while unfinished := [one for one in series if _share(one, frames, seconds) < 1]:
        for one in unfinished:
            one.turn(settle, min(TURN, frames - len(one.samples)) if frames else TURN)
            on_turn(sum(_share(one, frames, seconds) for one in series) / len(series))


def _share(one: Series, frames: int | None, seconds: float | None) -> float:
    if frames is not None:
        return min(1.0, len(one.samples) / frames)
    return min(1.0, one.elapsed_s / (seconds or 1.0))
