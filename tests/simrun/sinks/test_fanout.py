"""One failing output among several."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from simrun.errors import OutputError
from simrun.result import Latency, Result
from simrun.sinks.fanout import Outlets
from simrun.sources import BadFrame, Frame

FRAME = Frame(np.zeros((4, 4), np.uint8), 0, 0.0)
RESULT = Result(4, 4, (), Latency())


class FakeSink:
    """Counts what it gets; fails at the write or close of a number."""

    def __init__(self, *, fail_at: int = 99, fail_close: bool = False) -> None:
        self.writes = self.closes = 0
        self.fail_at, self.fail_close = fail_at, fail_close

    def write(self, frame: Frame, result: Result) -> None:
        self.writes += 1
        if self.writes == self.fail_at:
            raise OutputError("disk full")

    def write_bad(self, frame: BadFrame) -> None:
        self.writes += 1

    def close(self) -> None:
        self.closes += 1
        if self.fail_close:
            raise OutputError("cannot complete")


def test_one_that_fails_is_closed_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    good, bad = FakeSink(), FakeSink(fail_at=2)
    losses: list[int] = []
    outlets = Outlets([bad, good], on_loss=lambda: losses.append(1))
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            outlets.write(FRAME, RESULT)
    assert (good.writes, bad.writes, bad.closes, losses) == (3, 2, 1, [1])
    assert caplog.messages == ["disk full"]
    with pytest.raises(OutputError, match="1 of 2 outputs failed"):
        outlets.close()
    assert (good.closes, bad.closes) == (1, 1)


def test_the_only_one_failing_ends_the_run_with_its_own_words() -> None:
    sink = FakeSink(fail_at=1, fail_close=True)
    outlets = Outlets([sink])
    with pytest.raises(OutputError, match="disk full"):
        outlets.write(FRAME, RESULT)
    outlets.close()
    assert sink.closes == 1


def test_a_frame_that_could_not_be_read_goes_to_every_output() -> None:
    sinks = [FakeSink(), FakeSink()]
    Outlets(sinks).write_bad(BadFrame(1, None, "torn"))
    assert [sink.writes for sink in sinks] == [1, 1]


def test_when_the_last_of_several_fails_the_run_ends() -> None:
    outlets = Outlets([FakeSink(fail_at=1), FakeSink(fail_at=1)])
    with pytest.raises(OutputError, match="2 of 2 outputs failed"):
        outlets.write(FRAME, RESULT)


def test_every_output_is_completed_although_one_cannot_be() -> None:
    sinks = [FakeSink(), FakeSink(fail_close=True), FakeSink()]
    with pytest.raises(OutputError, match="1 of 3"):
        Outlets(sinks).close()
    assert [sink.closes for sink in sinks] == [1, 1, 1]
