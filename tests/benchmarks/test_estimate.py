"""The model of a board's milliseconds, by hand, and that it gives back what it was made from."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from benchmarks.arm import estimate as module
from benchmarks.arm.estimate import (
    CORES,
    PUBLISHED,
    Published,
    estimate,
    instructions_per_mac,
)

PER_MAC = 0.5
SLOW = Published("Pi 4", "net 1", "engine", gmac=4.0, ms=500.0, source="some")
FAST = Published("Pi 4", "net 2", "engine", gmac=4.0, ms=125.0, source="some")
OTHER = Published("Pi 5", "net 1", "engine", gmac=8.0, ms=62.5, source="more")


@pytest.fixture
def three_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 0.5 instructions a multiplication the Pi 4 does 1 or 4, the Pi 5 does 16 (in 1e9)."""
    monkeypatch.setattr(module, "PUBLISHED", (SLOW, FAST, OTHER))


def test_a_rate_is_the_instructions_over_the_time_of_all_cores() -> None:
    # 4e9 multiplications are 2e9 instructions, in 4 times half a second.
    assert SLOW.rate(PER_MAC) == 1.0
    assert FAST.rate(PER_MAC) == 4.0


@pytest.mark.usefixtures("three_published")
def test_an_estimate_is_the_geometric_middle_of_its_boards_rates() -> None:
    assert astuple(estimate(800.0, "Pi 4", PER_MAC)) == pytest.approx((400, 200, 800))
    assert astuple(estimate(800.0, "Pi 5", PER_MAC)) == pytest.approx((50, 50, 50))


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: f"{one.board} {one.network}")
def test_a_published_network_lies_in_the_range_of_its_board(one: Published) -> None:
    guess = estimate(one.gmac * 1000 * PER_MAC, one.board, PER_MAC)
    on_one_core = one.ms * CORES
    assert guess.least <= on_one_core * 1.0001
    assert on_one_core <= guess.most * 1.0001
    assert guess.least < guess.middle < guess.most


@pytest.mark.usefixtures("three_published")
def test_an_estimate_is_a_cell_with_its_range() -> None:
    assert str(estimate(800.0, "Pi 4", PER_MAC)) == "400 (200 to 800)"


def test_time_is_in_proportion_to_instructions() -> None:
    once, twice = (estimate(millions, "Pi 5", PER_MAC) for millions in (100, 200))
    assert twice.middle == pytest.approx(2 * once.middle)


def test_the_cost_of_a_multiplication_is_the_median_of_the_counts() -> None:
    counts = [(40.0, 20.0), (60.0, 10.0), (80.0, 20.0)]
    calls = [{"stages": {"infer": {"total": total, "simd": simd}}} for total, simd in counts]
    assert instructions_per_mac(calls) == 1.0
