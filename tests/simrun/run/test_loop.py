"""The main loop over scripted sources, a scripted localizer and scripted outputs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from simrun.errors import OutputError, SourceError
from simrun.images.read import Image
from simrun.localizer import Localizer
from simrun.result import Latency, Result
from simrun.run.loop import run
from simrun.sinks.registry import Output
from simrun.sources import BadFrame, Frame
from simrun.stats import OutputState, RunStats, SourceStats

IMAGE: Image = np.zeros((48, 64), np.uint8)
BAD = BadFrame(1, "b.png", "b.png is empty (0 bytes)")


def localize(image: Image) -> Result:
    """What a localizer gives, which knows nothing of where the frame is from."""
    height, width = image.shape
    return Result(width, height, (), Latency(infer=3.0, total=4.0))


LOCALIZER = cast(Localizer, localize)


def frame(index: int) -> Frame:
    return Frame(IMAGE, index, index / 4, file=f"{index}.png", capture_s=0.5)


class FakeSource:
    """Gives what it was given, then ends or fails."""

    name, live, length, rate = "fake", False, None, None

    def __init__(
        self,
        frames: Sequence[Frame | BadFrame],
        failure: SourceError | None = None,
        close_failure: SourceError | None = None,
    ) -> None:
        self.frames, self.failure, self.close_failure = frames, failure, close_failure
        self.taken = self.closes = 0

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        for one in self.frames:
            self.taken += 1
            yield one
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        self.closes += 1
        if self.close_failure is not None:
            raise self.close_failure


class CountedSource(FakeSource):
    """A live one."""

    def stats(self) -> SourceStats:
        return SourceStats("open", captured=self.taken)


def outputs(*sinks: FakeSink) -> list[Output]:
    return [Output(f"fake {number}", sink) for number, sink in enumerate(sinks)]


class FakeSink:
    """Keeps what it gets."""

    def __init__(self, failure: OutputError | None = None) -> None:
        self.failure = failure
        self.results: list[Result] = []
        self.bad: list[BadFrame] = []
        self.closes = 0

    def write(self, frame: Frame, result: Result) -> None:
        if self.failure is not None:
            raise self.failure
        self.results.append(result)

    def write_bad(self, frame: BadFrame) -> None:
        self.bad.append(frame)

    def close(self) -> None:
        self.closes += 1


def test_a_result_tells_the_frame_that_it_is_of() -> None:
    sink = FakeSink()
    run(FakeSource([frame(7)]), LOCALIZER, outputs(sink), wall_clock=lambda: 1000.0)
    latency = Latency(capture=500.0, infer=3.0, total=504.0)
    # It was taken before it was handed over.
    assert sink.results == [Result(64, 48, (), latency, 7, "7.png", 1.75, 999.5)]


def test_what_is_tracked_is_what_is_written_and_counted() -> None:
    sink, stats = FakeSink(), RunStats()
    slow = Latency(total=99.0)
    run(
        FakeSource([frame(0)]),
        LOCALIZER,
        outputs(sink),
        track=lambda result: replace(result, latency_ms=slow),
        stats=stats,
    )
    assert [result.latency_ms for result in sink.results] == [slow]
    assert stats.snapshot().latencies == (slow,)


def test_a_frame_that_cannot_be_read_is_told_and_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = FakeSink()
    with caplog.at_level(logging.ERROR):
        stats = run(
            FakeSource([frame(0), BAD, frame(2)]),
            LOCALIZER,
            outputs(sink),
            wall_clock=lambda: 1000.0,
        )
    assert [result.frame for result in sink.results] == [0, 2]
    assert sink.bad == [replace(BAD, taken_s=1000.0)]
    assert caplog.messages == [BAD.error]
    assert (stats.snapshot().frames, stats.snapshot().bad) == (2, 1)


def test_the_most_frames_are_good_ones_and_no_more_is_taken() -> None:
    source = FakeSource([BAD, frame(1), BAD, frame(3), frame(4)])
    stats = run(source, LOCALIZER, outputs(FakeSink()), max_frames=2)
    assert (stats.frames, source.taken, source.closes) == (2, 4, 1)


def test_the_display_is_told_after_every_frame_the_bad_ones_too() -> None:
    seen: list[tuple[int, int]] = []

    def show(stats: RunStats) -> None:
        seen.append((stats.snapshot().frames, stats.snapshot().bad))

    run(FakeSource([frame(0), BAD, frame(2)]), LOCALIZER, outputs(FakeSink()), on_frame=show)
    assert seen == [(1, 0), (1, 1), (2, 1)]


def test_the_counts_that_are_given_are_those_that_come_back() -> None:
    stats = RunStats()
    assert run(FakeSource([frame(0)]), LOCALIZER, outputs(FakeSink()), stats=stats) is stats
    assert stats.frames == 1


def test_the_counts_of_a_live_source_are_part_of_the_run() -> None:
    stats = run(CountedSource([frame(0), frame(1)]), LOCALIZER, outputs(FakeSink()))
    assert stats.snapshot().source == SourceStats("open", captured=2)
    assert run(FakeSource([frame(0)]), LOCALIZER, outputs(FakeSink())).snapshot().source is None


def test_an_output_that_fails_is_counted_and_named() -> None:
    stats = RunStats()
    sinks = outputs(FakeSink(OutputError("disk full")), FakeSink())
    with pytest.raises(OutputError, match="1 of 2 outputs failed"):
        run(FakeSource([frame(0)]), LOCALIZER, sinks, stats=stats)
    snapshot = stats.snapshot()
    assert snapshot.lost_sinks == 1
    assert snapshot.outputs == (
        OutputState("fake 0", "disk full", missed=1),
        OutputState("fake 1", None),
    )


def test_files_are_opened_anew_before_the_next_frame_when_that_is_asked_for() -> None:
    class Reopened(FakeSink):
        def reopen(self) -> None:
            self.seen = len(self.results)

    sink = Reopened()
    asked = iter([False, False, True, False])
    run(
        FakeSource([*map(frame, range(4))]), LOCALIZER, outputs(sink), reopening=lambda: next(asked)
    )
    assert (sink.seen, len(sink.results)) == (2, 4)


@pytest.mark.parametrize(
    ("source", "sink", "message"),
    [
        (FakeSource([frame(0)], SourceError("unplugged")), FakeSink(), "unplugged"),
        (FakeSource([frame(0)]), FakeSink(OutputError("disk full")), "disk full"),
        (FakeSource([], close_failure=SourceError("stuck")), FakeSink(), "stuck"),
    ],
)
def test_whatever_fails_source_and_outputs_are_closed(
    source: FakeSource, sink: FakeSink, message: str
) -> None:
    with pytest.raises((SourceError, OutputError), match=message):
        run(source, LOCALIZER, outputs(sink))
    assert (source.closes, sink.closes) == (1, 1)
