"""What a run has come to so far: counts, latencies, rate. Safe to read from any thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    # Only the names: importing them here would load numpy for `simrun --help`.
    from simrun.result import Latency, Result

WINDOW: Final = 600
"""Frames whose latencies are kept."""

_RATE_S: Final = 10.0
"""Seconds over which the rate is taken."""


class State(StrEnum):
    """Where a live source stands."""

    OPENING = "opening"
    """It was never open yet."""
    OPEN = "open"
    """Frames come."""
    WAITING = "waiting"
    """Frames came, and will again once the device is back."""
    FAILED = "failed"
    """It was given up."""
    CLOSED = "closed"
    """Nobody wants frames any more."""


@dataclass(frozen=True)
class SourceStats:
    """Counts of a live source since its start."""

    state: str
    """One of `State`."""
    captured: int = 0
    """Frames that the device gave; one may turn out bad when it is taken and decoded."""
    skipped: int = 0
    """Captured, but replaced by a newer one before anybody took them."""
    bad: int = 0
    """Empty or corrupt; never passed on."""
    stalls: int = 0
    """Times that no frame, or the same frame for too long, made the source open again."""
    reconnects: int = 0
    """Times that the device came back after an outage."""
    hung: int = 0
    """Capture threads that are stuck in the driver now."""
    description: str = ""
    """What was agreed on with the device when it was opened last: size, format, rate."""
    error: str | None = None
    """Why no frames come, while none come."""


@dataclass(frozen=True)
class OutputState:
    """How one output is doing."""

    name: str
    trouble: str | None
    """Why it is down, if it is."""
    missed: int = 0
    """Results that it did not get, since the start."""


@dataclass(frozen=True)
class StatsSnapshot:
    """The state of a run at one moment."""

    uptime_s: float
    frames: int
    """Processed, since the start."""
    bad: int
    """Could not be read."""
    regions: int
    lost_sinks: int
    """Times that an output went down."""
    busy_ms: float
    """Sum of the frames' total latencies."""
    rate: float
    """Processed frames per second over the last ten seconds."""
    age_s: float | None
    """Seconds since the last processed frame; None before the first."""
    latencies: tuple[Latency, ...]
    """Of the last `WINDOW` frames, oldest first."""
    source: SourceStats | None
    """Counts of a live source; None for files."""
    outputs: tuple[OutputState, ...] = ()


class RunStats:
    """Counts what the main loop does."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start at zero; `clock` gives seconds, monotonic."""
        self._clock = clock
        self._lock = threading.Lock()
        self._start = clock()
        self._frames = self._bad = self._regions = self._lost_sinks = 0
        self._busy_ms = 0.0
        self._moments: deque[float] = deque(maxlen=WINDOW)
        self._latencies: deque[Latency] = deque(maxlen=WINDOW)
        self._source: Callable[[], SourceStats | None] = lambda: None
        self._outputs: Callable[[], tuple[OutputState, ...]] = tuple

    def watch(self, source: Callable[[], SourceStats | None]) -> None:
        """Ask this function for the source's own counts from now on."""
        with self._lock:
            self._source = source

    def watch_outputs(self, outputs: Callable[[], tuple[OutputState, ...]]) -> None:
        """Ask this function for the state of the outputs from now on."""
        self._outputs = outputs

    @property
    def frames(self) -> int:
        """Processed so far."""
        return self._frames

    def add(self, result: Result) -> None:
        """Count a processed frame."""
        with self._lock:
            self._frames += 1
            self._regions += len(result.regions)
            self._busy_ms += result.latency_ms.total
            self._moments.append(self._clock())
            self._latencies.append(result.latency_ms)

    def add_bad(self) -> None:
        """Count a frame that could not be read."""
        with self._lock:
            self._bad += 1

    def add_lost_sink(self) -> None:
        """Count that an output went down."""
        with self._lock:
            self._lost_sinks += 1

    def snapshot(self) -> StatsSnapshot:
        """Everything at this moment."""
        with self._lock:
            now, source = self._clock(), self._source
            snapshot = StatsSnapshot(
                uptime_s=now - self._start,
                frames=self._frames,
                bad=self._bad,
                regions=self._regions,
                lost_sinks=self._lost_sinks,
                busy_ms=self._busy_ms,
                rate=self._rate(now),
                age_s=now - self._moments[-1] if self._moments else None,
                latencies=tuple(self._latencies),
                source=None,
            )
        # Asked outside the lock: the source has a lock of its own.
        return replace(snapshot, source=source(), outputs=self._outputs())

    def _rate(self, now: float) -> float:
        """Intervals between frames over their span: n frames have n - 1 of them."""
        recent = [moment for moment in self._moments if now - moment <= _RATE_S]
        if len(recent) < 2 or recent[-1] == recent[0]:
            return 0.0
        return (len(recent) - 1) / (recent[-1] - recent[0])
