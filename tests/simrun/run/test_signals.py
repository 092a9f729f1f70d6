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


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
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


def test_a_hangup_asks_a_service_for_its_files_to_be_opened_anew() -> None:
    with StopSignals(reopen_on_hangup=True) as signals:
        done = []
        for item in signals.guard(range(3)):
            if item == 1:
                signal.raise_signal(signal.SIGHUP)
            done.append((item, signals.reopening()))
        assert done == [(0, False), (1, True), (2, False)]
        assert not signals.stopping()


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it
    try:
        assert worked_until(signal.SIGHUP) == ([0, 1, 2, 3, 4], 0)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_end_that_was_asked_for_can_be_seen() -> None:
    with StopSignals() as signals:
        assert not signals.stopping()
        signal.raise_signal(signal.SIGTERM)
        assert signals.stopping()
