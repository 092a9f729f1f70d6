"""Counted instructions become figures of a call and of its stages."""

from __future__ import annotations

import pytest

from benchmarks.arm.count import summarise
from benchmarks.harness.console import BenchmarkError


def test_counts_leave_out_what_lies_before_a_call() -> None:
    frame = [[9_000_000, 1, 1], [1_000_000, 0, 0], [6_000_000, 3_000_000, 0], [2_000_000, 0, 0]]
    rows = [*frame, [0, 0, 0], *frame, [0, 0, 0]]
    result = summarise({"name": "x", "side": 1, "bundle": "b"}, rows, photos=2)
    assert result["call"] == {"total": 9.0, "simd": 3.0}
    assert result["stages"]["infer"] == {"total": 6.0, "simd": 3.0}
    with pytest.raises(BenchmarkError, match="9 marks of x, not 10"):
        summarise({"name": "x", "side": 1}, rows[:-1], photos=2)
