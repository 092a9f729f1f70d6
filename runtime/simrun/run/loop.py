"""The main loop: every frame of a source through the localizer into the sinks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from simrun.localizer import Localizer
from simrun.result import Result
from simrun.sinks.fanout import Outlets
from simrun.sinks.registry import Output
from simrun.sources import BadFrame, Counted, Frame, Source
from simrun.stats import RunStats

_log = logging.getLogger(__name__)

Frames = Iterable[Frame | BadFrame]


def _as_they_are(frames: Frames) -> Frames:
    return frames


def _unchanged(result: Result) -> Result:
    return result


def run(
    source: Source,
    localizer: Localizer,
    outputs: Sequence[Output],
    *,
    track: Callable[[Result], Result] = _unchanged,
    stats: RunStats | None = None,
    max_frames: int | None = None,
    guard: Callable[[Frames], Frames] = _as_they_are,
    on_frame: Callable[[RunStats], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
    reopening: Callable[[], bool] = lambda: False,
    wall_clock: Callable[[], float] = time.time,
) -> RunStats:
    """Process frames until the source ends, or `max_frames` of them.

    A frame that cannot be read is logged, given to the sinks as such, and passed over. A sink that
    fails is tried again; where it is the only one and the frames are from files, the run ends.
    Source and sinks are closed in every case, so that what was written is complete.

    Args:
        source: where the frames come from.
        localizer: what finds the text.
        outputs: where the results go.
        track: gives the regions their identity over frames.
        stats: counts; new ones if not given.
        max_frames: stop after this many good frames.
        guard: wraps the frames, to end the run between two of them: `StopSignals.guard`.
        on_frame: called after each frame, for a display of progress.
        stopping: whether the run was asked to end: no output is waited for any longer then.
        reopening: whether files are to be opened anew; asked before each frame.
        wall_clock: seconds since 1970.

    Raises:
        SourceError: the source failed for good.
        OutputError: a sink failed.
    """
    stats = stats or RunStats()
    if isinstance(source, Counted):
        stats.watch(source.stats)
    outlets = Outlets(outputs, live=source.live, on_loss=stats.add_lost_sink, stopping=stopping)
    stats.watch_outputs(outlets.states)
    done = 0
    try:
        for frame in guard(source):
            now_s = wall_clock()
            if reopening():
                outlets.reopen()
            if isinstance(frame, BadFrame):
                frame = replace(frame, taken_s=now_s)
                _log.error("%s", frame.error)
                stats.add_bad()
                outlets.write_bad(frame)
            else:
                result = track(_with_origin(localizer(frame.image), frame, now_s))
                stats.add(result)
                outlets.write(frame, result)
                done += 1
            on_frame(stats)
            if done == max_frames:
                break
    finally:
        try:
            source.close()
        finally:
            outlets.close()
    return stats


def _with_origin(result: Result, frame: Frame, now_s: float) -> Result:
    return replace(
        result,
        frame=frame.index,
        file=frame.file,
        time_s=frame.time_s,
        taken_s=now_s - frame.capture_s,
        latency_ms=result.latency_ms.after_capture(frame.capture_s),
    )
