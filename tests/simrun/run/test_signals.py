"""A signal ends a run between two frames."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from simrun.run.signals import Stopped, StopSignals


def worked_until(*signals: signal.Signals) -> tuple[list[int], int]:
    """Work on five items, with signals while the second is in work: those done, exit code."""
    done: list[int] = []
    code = 0
    with StopSignals() as stop:
        try:
            for item in stop.guard(range(5)):
                if item == 1:
                    for one in signals:
                        signal.raise_signal(one)
                done.append(item)
        except Stopped as stopped:
            code = stopped.exit_code
    return done, code


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_work_is_held_back_until_the_item_is_done(
    signum: signal.Signals, code: int
) -> None:
    assert worked_until(signum) == ([0, 1], code)


def test_a_second_signal_is_not_held_back() -> None:
    assert worked_until(signal.SIGINT, signal.SIGINT) == ([0], 130)


def test_a_signal_while_waiting_ends_the_wait() -> None:
    def forever() -> Iterator[int]:
        yield 1
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("the wait went on")

    with StopSignals() as signals, pytest.raises(Stopped):
        list(signals.guard(forever()))


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) is before
