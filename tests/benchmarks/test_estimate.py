"""The model of a board's milliseconds gives back what it was made from."""

from __future__ import annotations

import pytest

from benchmarks.arm.estimate import CORES, PUBLISHED, Published, estimate, instructions_per_mac

PER_MAC = 0.5


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: f"{one.board} {one.network}")
def test_a_published_network_lies_in_the_range_of_its_board(one: Published) -> None:
    guess = estimate(one.gmac * 1000 * PER_MAC, one.board, PER_MAC)
    on_one_core = one.ms * CORES
    assert guess.least <= on_one_core * 1.0001
    assert on_one_core <= guess.most * 1.0001
    assert guess.least < guess.middle < guess.most


def test_time_is_in_proportion_to_instructions() -> None:
    once, twice = (estimate(millions, "Pi 5", PER_MAC) for millions in (100, 200))
    assert twice.middle == pytest.approx(2 * once.middle)


def test_the_cost_of_a_multiplication_is_the_median_of_the_counts() -> None:
    counts = [(40.0, 20.0), (60.0, 10.0), (80.0, 20.0)]
    calls = [{"stages": {"infer": {"total": total, "simd": simd}}} for total, simd in counts]
    assert instructions_per_mac(calls) == 1.0
