"""Median and quartiles, of few samples too."""

from __future__ import annotations

from benchmarks.harness.quartiles import quartiles, spread


def test_quartiles_by_hand() -> None:
    assert quartiles([5, 1, 4, 2, 3]) == {"lower": 2, "median": 3, "upper": 4}
    assert quartiles([7]) == {"lower": 7, "median": 7, "upper": 7}
    assert spread([5, 1, 4, 2, 3]) == "3.00 (2.00 to 4.00)"


def test_the_median_does_not_follow_one_slow_call() -> None:
    assert quartiles([1, 2, 3, 4, 1000])["median"] == 3
