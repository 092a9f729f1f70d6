"""Fewer of many."""

from __future__ import annotations

import pytest

from simtool.data.subsampling import subsampling_step


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 128, 129, 1000])
def test_the_least_step_that_keeps_no_more(count: int) -> None:
    step = subsampling_step(count, 64)
    assert len(range(0, count, step)) <= 64
    assert step == 1 or len(range(0, count, step - 1)) > 64
