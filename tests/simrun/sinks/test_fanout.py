"""Outputs that fail, hang and come back, among others that go on."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simrun.errors import OutputError, OutputGoneError
from simrun.files import Existing
from simrun.result import Latency, Result
from simrun.sinks.base import Output, Sink
from simrun.sinks.fanout import Outlets
from simrun.sinks.line_file import LineFile
from simrun.sources import BadFrame, Frame
from simrun.stats import OutputState
from tests.simrun.clock import Clock

FRAME = Frame(np.zeros((4, 4), np.uint8), 0, 0.0)
RESULT = Result(4, 4, (), Latency())
DEADLINE_S = 20.0


class FakeSink:
    """Counts what it gets; fails at writes of these numbers, or at its close."""

    def __init__(
        self,
        *,
        fail_at: tuple[int, ...] = (),
        fail_close: bool = False,
        error: type[OutputError] = OutputError,
    ) -> None:
        self.writes = self.closes = self.reopens = 0
        self.fail_at, self.fail_close, self.error = fail_at, fail_close, error

    def write(self, frame: Frame, result: Result) -> None:
        self.writes += 1
        if self.writes in self.fail_at:
            raise self.error("disk full")

    def write_bad(self, frame: BadFrame) -> None:
        self.writes += 1

    def reopen(self) -> None:
        self.reopens += 1

    def close(self) -> None:
        self.closes += 1
        if self.fail_close:
            raise OutputError("cannot complete")


class HangingSink(FakeSink):
    """Takes nothing until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def write(self, frame: Frame, result: Result) -> None:
        assert self.go_on.wait(DEADLINE_S)
        super().write(frame, result)


def named(*sinks: Sink, threaded: bool = True) -> list[Output]:
    return [Output("abc"[number], sink, threaded) for number, sink in enumerate(sinks)]


def write(outlets: Outlets, count: int) -> None:
    for _ in range(count):
        outlets.write(FRAME, RESULT)


@pytest.fixture(params=[True, False], ids=["threaded", "direct"])
def threaded(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_one_that_fails_is_tried_again_later_and_later_while_the_others_go_on(
    caplog: pytest.LogCaptureFixture, threaded: bool
) -> None:
    good, bad = FakeSink(), FakeSink(fail_at=(2, 3))
    clock, losses = Clock(), list[int]()
    outlets = Outlets(
        named(bad, good, threaded=threaded), clock=clock, on_loss=lambda: losses.append(1)
    )
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            outlets.write(FRAME, RESULT)
            clock.now += 0.25
        with pytest.raises(OutputError, match="1 of 2 outputs failed"):
            outlets.close()
    # The second frame failed, and after a second the third try did; the one after two more is good.
    assert (good.writes, losses) == (20, [1])
    missed = 20 - (bad.writes - 2)
    assert 11 <= missed <= 14
    assert caplog.messages == [
        "disk full",
        f"a is written again; it missed {missed} results",
        f"a has missed {missed} results",
    ]
    assert (good.closes, bad.closes) == (1, 1)


def test_waits_double_up_to_a_minute() -> None:
    sink, clock = FakeSink(fail_at=tuple(range(1000))), Clock()
    outlets = Outlets(named(sink, threaded=False), live=True, clock=clock)
    tries, before = [], 0
    for second in range(300):
        outlets.write(FRAME, RESULT)
        if sink.writes > before:
            before = sink.writes
            tries.append(second)
        clock.now += 1
    assert tries == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]


def test_one_that_works_now_and_then_is_tried_ever_more_seldom() -> None:
    sink, clock = FakeSink(fail_at=tuple(range(1, 1000, 2))), Clock()
    outlets = Outlets(named(sink, threaded=False), live=True, clock=clock)
    for _ in range(100):
        outlets.write(FRAME, RESULT)
        clock.now += 1
    assert sink.writes < 15
    clock.now += 200
    sink.fail_at = (sink.writes + 2,)
    for _ in range(3):
        outlets.write(FRAME, RESULT)
    clock.now += 1
    outlets.write(FRAME, RESULT)
    assert outlets.states()[0].trouble is None


def test_the_state_tells_what_is_down_and_that_it_is_back() -> None:
    sink, clock = FakeSink(fail_at=(1,)), Clock()
    outlets = Outlets(named(sink, threaded=False), live=True, clock=clock)
    outlets.write(FRAME, RESULT)
    assert outlets.states() == (OutputState("a", "disk full", missed=1),)
    clock.now += 1
    outlets.write(FRAME, RESULT)
    assert outlets.states() == (OutputState("a", None, missed=1),)


def test_the_only_one_failing_ends_a_run_over_files_with_its_own_words(threaded: bool) -> None:
    sink = FakeSink(fail_at=(1,), fail_close=True)
    outlets = Outlets(named(sink, threaded=threaded))
    with pytest.raises(OutputError, match="disk full"):
        write(outlets, 2)
    outlets.close()
    assert (sink.writes, sink.closes) == (1, 1)


def test_a_frame_that_could_not_be_read_goes_to_every_output() -> None:
    sinks = [FakeSink(), FakeSink()]
    outlets = Outlets(named(*sinks))
    outlets.write_bad(BadFrame(1, None, "torn"))
    outlets.close()
    assert [sink.writes for sink in sinks] == [1, 1]


def test_when_the_readers_of_all_have_left_the_run_ends(threaded: bool) -> None:
    gone = [FakeSink(fail_at=(n,), error=OutputGoneError) for n in (1, 2)]
    outlets = Outlets(named(*gone, threaded=threaded), live=True)
    with pytest.raises(OutputError, match="2 of 2 outputs failed"):
        write(outlets, 4)
    assert [sink.writes for sink in gone] == [1, 2]


def test_every_output_is_completed_although_one_cannot_be() -> None:
    sinks = [FakeSink(), FakeSink(fail_close=True), FakeSink()]
    with pytest.raises(OutputError, match="1 of 3"):
        Outlets(named(*sinks)).close()
    assert [sink.closes for sink in sinks] == [1, 1, 1]


def test_one_that_hangs_holds_up_neither_the_others_nor_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hanging, good = HangingSink(), FakeSink()
    outlets = Outlets(named(hanging, good), patience_s=0.01, stopping=lambda: True)
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            outlets.write(FRAME, RESULT)
        assert outlets.states()[0].trouble == (
            "it takes nothing; its reader has stopped, or the disk hangs"
        )
        with pytest.raises(OutputError, match="1 of 2 outputs failed"):
            outlets.close()
    hanging.go_on.set()
    assert (good.writes, good.closes, hanging.closes) == (5, 1, 0)
    assert [message.partition(";")[0] for message in caplog.messages] == [
        "a is given up for now: it takes nothing",
        "a is left behind as it is: it takes nothing",
        "a has missed 4 results",
    ]


def test_one_that_hung_goes_on_with_the_frame_that_it_hung_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hanging = HangingSink()
    outlets = Outlets(named(hanging, FakeSink()), patience_s=0.01)
    for _ in range(3):
        outlets.write(FRAME, RESULT)
    hanging.go_on.set()
    with caplog.at_level(logging.INFO), pytest.raises(OutputError, match="1 of 2"):
        outlets.close()
    assert (hanging.writes, hanging.closes) == (1, 1)
    assert caplog.messages[1:] == [
        "a is written again; it missed 2 results",
        "a has missed 2 results",
    ]


def test_the_only_output_of_files_is_waited_for_until_the_end_is_asked_for() -> None:
    hanging, asked = HangingSink(), list[int]()

    def stopping() -> bool:
        asked.append(1)
        return len(asked) > 3

    clock = Clock()
    outlets = Outlets(named(hanging), stopping=stopping, clock=clock)
    outlets.write(FRAME, RESULT)
    waits = list[float]()
    worker = outlets._outlets[0].worker
    plain: Callable[[float], bool] = worker.wait

    def wait(timeout_s: float) -> bool:
        waits.append(timeout_s)
        clock.now += timeout_s
        return plain(0.0)

    worker.wait = wait  # type: ignore[method-assign]
    outlets.write(FRAME, RESULT)
    hanging.go_on.set()
    # Looks every half second; asked at the fourth, it waits two seconds more.
    assert waits == [0.5] * 8
    assert outlets.states()[0].missed == 1


def test_files_are_opened_anew_by_those_that_have_any(threaded: bool) -> None:
    class Plain:
        write = write_bad = close = lambda *_: None

    sink = FakeSink()
    outlets = Outlets(named(sink, Plain(), threaded=threaded))
    outlets.write(FRAME, RESULT)
    outlets.reopen()
    for _ in range(2):
        outlets.write(FRAME, RESULT)
    outlets.close()
    assert (sink.writes, sink.reopens) == (3, 1)


def test_a_fault_that_is_none_of_the_outputs_ends_the_run(threaded: bool) -> None:
    class Faulty(FakeSink):
        def write(self, frame: Frame, result: Result) -> None:
            raise ZeroDivisionError

    outlets = Outlets(named(Faulty(), threaded=threaded))
    with pytest.raises(ZeroDivisionError):
        write(outlets, 2)


class LineSink(FakeSink):
    """A line a frame."""

    def __init__(self, lines: LineFile) -> None:
        super().__init__()
        self.lines = lines

    def write(self, frame: Frame, result: Result) -> None:
        super().write(frame, result)
        self.lines.write(b"%060000d\n" % self.writes)


@pytest.mark.parametrize("reader", [True, False], ids=["stopped", "none"])
def test_a_pipe_that_nobody_reads_is_passed_over(tmp_path: Path, reader: bool) -> None:
    target = tmp_path / "pipe"
    os.mkfifo(target)
    end = os.open(target, os.O_RDONLY | os.O_NONBLOCK) if reader else None
    blocked, good = LineSink(LineFile(str(target), Existing.REFUSE, lambda _: b"")), FakeSink()
    outlets = Outlets(named(blocked, good), live=True, patience_s=0.01)
    write(outlets, 50)
    assert outlets.states()[0].trouble is not None
    with pytest.raises(OutputError, match="1 of 2 outputs failed"):
        outlets.close()
    assert good.writes == 50
    assert blocked.writes < 5
    # The thread that was left behind may end.
    os.close(os.open(target, os.O_RDONLY | os.O_NONBLOCK) if end is None else end)
