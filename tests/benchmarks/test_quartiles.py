"""Median and quartiles of few samples."""

from __future__ import annotations

from benchmarks.quartiles import quartiles


def test_the_median_does_not_follow_one_slow_call() -> None:
    assert quartiles([1, 2, 3, 4, 1000])["median"] == 3
    assert quartiles([7])["median"] == 7
