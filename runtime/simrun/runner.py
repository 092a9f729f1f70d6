"""The main loop: every frame of a source through the localizer into the sinks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from simrun.pipeline import Localizer
from simrun.result import Result
from simrun.sinks import Sink
from simrun.sources import BadFrame, Frame, Source

_log = logging.getLogger(__name__)


@dataclass
class Tally:
    """What a run came to."""

    frames: int = 0
    bad: int = 0
    regions: int = 0
    busy_ms: float = 0.0
    """Sum of the frames' total latencies."""


def run(
    source: Source,
    localizer: Localizer,
    sinks: Sequence[Sink],
    *,
    max_frames: int | None = None,
    on_frame: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Process frames until the source ends, or `max_frames` of them.

    A frame that cannot be read is logged, given to the sinks as such, and passed over. Source and
    sinks are closed in every case, so that what was written is complete.

    Args:
        source: where the frames come from.
        localizer: what finds the text.
        sinks: where the results go.
        max_frames: stop after this many good frames.
        on_frame: called after each frame, for a display of progress.

    Raises:
        SourceError: the source failed for good.
        OutputError: a sink failed.
    """
    tally = Tally()
    try:
        for frame in source:
            _process(frame, localizer, sinks, tally)
            on_frame(tally)
            if max_frames is not None and tally.frames >= max_frames:
                break
    finally:
        source.close()
        _close_all(sinks)
    return tally


def _process(
    frame: Frame | BadFrame, localizer: Localizer, sinks: Sequence[Sink], tally: Tally
) -> None:
    if isinstance(frame, BadFrame):
        tally.bad += 1
        _log.error("%s", frame.error)
        for sink in sinks:
            sink.write_bad(frame)
        return
    result = _with_origin(localizer(frame.image), frame)
    tally.frames += 1
    tally.regions += len(result.regions)
    tally.busy_ms += result.latency_ms.total
    for sink in sinks:
        sink.write(frame, result)


def _with_origin(result: Result, frame: Frame) -> Result:
    capture_ms = frame.capture_s * 1000
    latency = replace(
        result.latency_ms, capture=capture_ms, total=result.latency_ms.total + capture_ms
    )
    return replace(
        result, frame=frame.index, file=frame.file, time_s=frame.time_s, latency_ms=latency
    )


def _close_all(sinks: Sequence[Sink]) -> None:
    """Close every sink, also when one of them fails; the first failure is raised."""
    failure: Exception | None = None
    for sink in sinks:
        try:
            sink.close()
        except Exception as error:  # noqa: BLE001 - re-raised below, once all are closed
            failure = failure or error
    if failure is not None:
        raise failure
