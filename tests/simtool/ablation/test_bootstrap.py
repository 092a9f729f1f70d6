"""How often images count in resamples and halvings: which numbers are drawn, and how many."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simtool.ablation.bootstrap import HALVINGS, half_members, poisson_counts


@pytest.mark.parametrize("resamples", [1, 7, 16, 17, 40])
def test_the_counts_of_an_image_do_not_depend_on_where_reading_starts(resamples: int) -> None:
    whole = poisson_counts(3, 0, 12, resamples)
    assert whole.shape == (12, resamples)
    np.testing.assert_array_equal(poisson_counts(3, 5, 4, resamples), whole[5:9])


def test_the_halves_of_an_image_do_not_depend_on_where_reading_starts() -> None:
    whole = half_members(3, 0, 12)
    assert whole.shape == (12, HALVINGS)
    np.testing.assert_array_equal(half_members(3, 5, 4), whole[5:9])


def test_images_resamples_and_seeds_draw_numbers_of_their_own() -> None:
    counts = poisson_counts(0, 0, 400, 40)
    assert not np.array_equal(counts, poisson_counts(1, 0, 400, 40))
    assert not np.array_equal(half_members(0, 0, 400), half_members(1, 0, 400))
    for drawn in (counts, half_members(0, 0, 400)):
        # Of equal rows or columns, one would be left.
        assert len(np.unique(drawn, axis=0)) == len(drawn)
        assert len(np.unique(drawn, axis=1).T) == len(drawn.T)


def test_counts_are_poissons_of_mean_1() -> None:
    counts = poisson_counts(0, 0, 2000, 500)
    for count in range(6):
        share = math.exp(-1) / math.factorial(count)
        spread = math.sqrt(share * (1 - share) / counts.size)
        assert (counts == count).mean() == pytest.approx(share, abs=4 * spread)
    assert counts.mean() == pytest.approx(1, abs=0.004)


def test_each_halving_takes_about_half_of_the_images() -> None:
    members = half_members(0, 0, 2000)
    assert set(np.unique(members)) == {0, 1}
    # Four times the spread of a share, 0.5 / sqrt(2000).
    np.testing.assert_allclose(members.mean(axis=0), 0.5, atol=0.045)


def test_counts_and_halves_are_unrelated() -> None:
    # A step of the generator each: were they of one stream, they would be of the same numbers.
    counts = poisson_counts(0, 0, 2000, 16).astype(np.float64)
    members = half_members(0, 0, 2000).astype(np.float64)
    together = np.corrcoef(counts, members, rowvar=False)[:16, 16:]
    # Five times the spread of a correlation of chance, 1 / sqrt(2000).
    assert np.abs(together).max() < 0.112


def test_a_step_of_the_generator_serves_16_resamples() -> None:
    many = poisson_counts(0, 0, 30, 16)
    np.testing.assert_array_equal(poisson_counts(0, 0, 30, 1), many[:, :1])
