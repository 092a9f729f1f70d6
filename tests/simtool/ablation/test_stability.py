"""Rank correlation, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from simtool.ablation.stability import pairwise, spearman, split_half


def row(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(values, np.float64)


def test_only_the_order_counts() -> None:
    assert spearman(row(1, 2, 3), row(1, 10, 1000)) == pytest.approx(1)
    assert spearman(row(1, 2, 3), row(3, 2, -50)) == pytest.approx(-1)


def test_by_hand() -> None:
    # Ranks 1 2 3 4 and 2 1 4 3: 1 - 6 * (1 + 1 + 1 + 1) / (4 * 15).
    assert spearman(row(1, 2, 3, 4), row(20, 10, 40, 30)) == pytest.approx(0.6)


def test_equal_values_share_their_mean_rank() -> None:
    # Ranks 0 1 2 and 0.5 0.5 2: Pearson's 1.5 / sqrt(2 * 1.5).
    assert spearman(row(1, 2, 3), row(5, 5, 9)) == pytest.approx(np.sqrt(0.75))


def test_a_row_without_an_order_agrees_with_none() -> None:
    assert spearman(row(7, 7, 7), row(1, 2, 3)) == 0


def test_halves_are_compared_each_with_its_own() -> None:
    one = np.array([[1, 2, 3], [1, 2, 3]], np.float64)
    other = np.array([[1, 2, 3], [3, 2, 1]], np.float64)
    found = split_half(one, other)
    assert (found.mean, found.least, found.most) == pytest.approx((0, -1, 1))


def test_every_two_checkpoints_are_compared() -> None:
    found = pairwise([row(1, 2, 3), row(1, 2, 3), row(3, 2, 1)])
    assert (found.mean, found.least, found.most) == pytest.approx((-1 / 3, -1, 1))
