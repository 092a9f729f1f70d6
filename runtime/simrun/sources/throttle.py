"""Fewer frames than a source has: at most so many a second, or every Nth."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator

from simrun.sources.base import BadFrame, Counted, Frame, Source
from simrun.sources.live.clock import Clock, SystemClock
from simrun.sources.options import SourceOptions
from simrun.stats import SourceStats

_log = logging.getLogger(__name__)


def paced(source: Source, options: SourceOptions) -> Source:
    """The source with the stride and the rate limit that were asked for, or itself."""
    if options.stride > 1:
        source = StrideSource(source, options.stride)
    if options.max_fps is None:
        return source
    if not source.live:
        _log.info("%s is read frame by frame: --max-fps has no effect on it", source.name)
        return source
    return PacedSource(source, options.max_fps)


class StrideSource:
    """Frames at least N apart: every Nth of a file, and of a live source if none is dropped."""

    def __init__(self, source: Source, stride: int) -> None:
        """Take every `stride`-th frame of a source."""
        self.name, self.live = source.name, source.live
        self.length = None if source.length is None else math.ceil(source.length / stride)
        self.rate = None if source.rate is None else source.rate / stride
        self._source = source
        self._stride = stride

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        """The frames; one that cannot be read is always told."""
        due = 0
        for frame in self._source:
            if isinstance(frame, BadFrame):
                yield frame
            elif frame.index >= due:
                due = frame.index + self._stride
                yield frame

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def stats(self) -> SourceStats | None:
        """The source's own counts."""
        return _stats_of(self._source)


class PacedSource:
    """Waits before it takes the next frame of a live source, which then is the newest."""

    def __init__(self, source: Source, max_fps: float, *, clock: Clock | None = None) -> None:
        """Take at most `max_fps` frames a second."""
        self.name, self.live, self.length = source.name, source.live, source.length
        self.rate: float | None = max_fps if source.rate is None else min(source.rate, max_fps)
        self._source = source
        self._period_s = 1 / max_fps
        self._clock = clock or SystemClock()
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        """The frames, a period apart on average; time that was lost is not made up for."""
        frames = iter(self._source)
        due_s = self._clock.now()
        while not self._closed.is_set():
            now_s = self._clock.now()
            if due_s > now_s:
                self._clock.pause(self._closed, due_s - now_s)
            due_s = max(due_s, now_s) + self._period_s
            try:
                yield next(frames)
            except StopIteration:
                return

    def close(self) -> None:
        """Close the source."""
        self._closed.set()
        self._source.close()

    def stats(self) -> SourceStats | None:
        """The source's own counts."""
        return _stats_of(self._source)


def _stats_of(source: Source) -> SourceStats | None:
    return source.stats() if isinstance(source, Counted) else None
