"""A signal ends a run between two frames."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from simrun.run.signals import LastResort, Stopped, StopSignals


@pytest.fixture(autouse=True)
def _signals_as_a_terminal_leaves_them() -> Iterator[None]:
    """The tests may run below nohup, which ignores SIGHUP for all its children."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


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


TERM, INT, HUP = (bytes([number]) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))


@pytest.mark.parametrize(
    ("script", "ended_s"),
    [
        # Seconds and bytes; after these nothing comes, for ever.
        ([(5, TERM)], 23),
        ([(5, TERM), (8, TERM)], 10),
        ([(5, TERM + INT)], 7),
        ([(5, TERM), (22, TERM)], 23),
        ([(5, TERM), (8, INT), (9, INT)], 10),
        ([(5, TERM), (8, HUP)], 23),
        # The process is over in time, or was never asked to end.
        ([(5, TERM), (20, b"")], None),
        ([(5, HUP), (500, b"")], None),
        ([(5, TERM), (8, TERM), (9, b"")], None),
    ],
)
def test_a_process_that_does_not_end_is_ended(
    script: list[tuple[float, bytes]], ended_s: float | None
) -> None:
    now_s = 0.0
    ends: list[tuple[int, float]] = []

    def receive(timeout_s: float | None) -> bytes | None:
        nonlocal now_s
        until_s = float("inf") if timeout_s is None else now_s + timeout_s
        if script and script[0][0] <= until_s:
            now_s, got = script.pop(0)
            return got
        now_s = until_s
        return None

    LastResort(
        [signal.SIGTERM, signal.SIGINT],
        grace_s=18,
        again_s=2,
        end=lambda number: ends.append((number, now_s)),
        clock=lambda: now_s,
    ).watch(receive)
    assert [when for _, when in ends] == ([] if ended_s is None else [ended_s])


STUCK = """
import ctypes, signal, sys
from simrun.run import signals
class Session:  # stands for a call into ONNX Runtime that never returns
    def run(self):
        libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
        libc.pthread_mutex_lock(mutex)
        while True:
            try:
                print("stuck", flush=True)
                libc.pthread_mutex_lock(mutex)
            except signals.Stopped:  # it came before the call
                pass
signals.GRACE_S, signals.AGAIN_S = map(float, sys.argv[1:])
with signals.StopSignals() as stop:
    for item in stop.guard([1]):
        Session().run()
"""


@pytest.mark.parametrize(
    ("signals", "limits"),
    # Two of a kind might arrive as one.
    [([signal.SIGTERM], "0.1 600"), ([signal.SIGINT, signal.SIGTERM], "600 0.1")],
)
def test_a_call_that_never_returns_does_not_keep_the_process(
    signals: list[signal.Signals], limits: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, *limits.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stuck\n"
        for one in signals:
            process.send_signal(one)
        _, err = process.communicate(timeout=60)
    assert process.returncode in (130, 143)
    assert err == "simrun: ended in the middle of a frame, which does not end by itself\n"
