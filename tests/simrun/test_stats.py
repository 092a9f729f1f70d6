"""Counts of a run."""

from __future__ import annotations

import pytest

from simrun.result import Latency, Result
from simrun.stats import WINDOW, RunStats, SourceStats

from .clock import Clock


def result(total_ms: float = 5.0) -> Result:
    return Result(640, 480, (), Latency(total=total_ms))


def test_nothing_yet() -> None:
    snapshot = RunStats(Clock()).snapshot()
    assert (snapshot.frames, snapshot.rate, snapshot.age_s, snapshot.source) == (0, 0.0, None, None)


def test_the_rate_counts_intervals_and_forgets_after_ten_seconds() -> None:
    clock = Clock()
    stats = RunStats(clock)
    for _ in range(11):
        stats.add(result())
        clock.now += 0.1
    assert stats.snapshot().rate == pytest.approx(10)
    assert stats.snapshot().age_s == pytest.approx(0.1)
    clock.now += 60
    assert stats.snapshot().rate == 0
    assert stats.snapshot().frames == 11


def test_latencies_are_those_of_the_last_frames() -> None:
    stats = RunStats(Clock())
    for number in range(WINDOW + 5):
        stats.add(result(float(number)))
    kept = stats.snapshot().latencies
    assert (len(kept), kept[0].total, kept[-1].total) == (WINDOW, 5, WINDOW + 4)
    assert stats.snapshot().busy_ms == sum(range(WINDOW + 5))


def test_a_live_source_is_asked_for_its_own_counts() -> None:
    stats = RunStats(Clock())
    stats.watch(lambda: SourceStats("open", captured=7))
    assert stats.snapshot().source == SourceStats("open", captured=7)
