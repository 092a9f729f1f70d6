"""What graphs keep in memory, by the arena they have."""

from __future__ import annotations

import sys

import pytest

from benchmarks import arena


def test_a_row_has_both_moments_of_each_model() -> None:
    rows = {"one a graph": {"scene-text": (4.84, 11.7), "mnist-lenet": (25.8, 51.66)}}
    record = {
        "date": "2026-11-23",
        "machine": {"processor": "a CPU"},
        "onnxruntime": "1.32.0",
        "rows": rows,
    }
    table = arena.to_markdown(record).splitlines()
    assert table[-1] == "| one a graph | 4.8 / 11.7 | 25.8 / 51.7 |"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_both_graphs_run_and_many_sizes_take_more_than_one() -> None:
    first, last = arena.in_new_process(arena.OWN, "scene-text", 456)
    assert 1 < first < last
