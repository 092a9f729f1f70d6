"""Counted instructions become figures of a call and of its stages."""

from __future__ import annotations

import pytest

from benchmarks.arm.count import summarise, to_markdown
from benchmarks.harness.console import BenchmarkError


def test_counts_leave_out_what_lies_before_a_call() -> None:
    frame = [[9_000_000, 1, 1], [1_000_000, 0, 0], [6_000_000, 3_000_000, 0], [2_000_000, 0, 0]]
    rows = [*frame, [0, 0, 0], *frame, [0, 0, 0]]
    result = summarise({"name": "x", "side": 1, "bundle": "b"}, rows, photos=2)
    assert result["call"] == {"total": 9.0, "simd": 3.0}
    assert result["stages"]["infer"] == {"total": 6.0, "simd": 3.0}
    with pytest.raises(BenchmarkError, match="9 marks of x, not 10"):
        summarise({"name": "x", "side": 1}, rows[:-1], photos=2)


def test_a_row_has_counts_the_least_that_could_be_and_estimates() -> None:
    part = {"total": 100.0, "simd": 50.0}
    stages = dict.fromkeys(("preprocess", "infer", "regions"), part)
    ours = {"name": "a @ 640", "ours": True, "call": part, "stages": stages, "least_simd": 40.0}
    peer = {"name": "PP-OCRv6 tiny @ 640", "ours": False, "call": part, "stages": stages}
    record = {
        "command": "python -m x",
        "date": "2026-01-02",
        "core": "a core",
        "wheels": ["numpy-2"],
        "unit": "u",
        "calls": [ours, peer],
    }
    *_, first, second = to_markdown(record).splitlines()
    cells = [cell.strip() for cell in first.split("|")[1:-1]]
    assert cells[:7] == ["a @ 640", "100.0 (50.0)", "1.00", *["100.0 (50.0)"] * 3, "1.25"]
    assert [cell.count(" to ") for cell in cells[7:]] == [1, 1]
    assert second.split("|")[7].strip() == "-"
