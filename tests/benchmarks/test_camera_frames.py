"""The table of what a camera's frame costs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.harness.record import quartiles
from benchmarks.speed.camera_frames import CASES, send, to_markdown, ways
from simrun.sources.options import Size


@pytest.mark.parametrize(("fourcc", "size", "noise"), CASES)
def test_both_ways_lead_to_the_same_picture(fourcc: str, size: Size, noise: int) -> None:
    colour, grey = (way(send(fourcc, size, noise, 0)) for way in ways(fourcc, size).values())
    assert colour.shape == grey.shape == (size.height, size.width)
    assert np.abs(colour.astype(int) - grey).max() <= 4


def test_a_row_has_times_counts_and_their_ratios() -> None:
    record = {
        "command": "python -m x",
        "date": "2026-01-02",
        "machine": {"processor": "a processor"},
        "core": "a core",
        "versions": {"opencv": "5.0"},
        "rows": [
            {
                "format": "MJPG",
                "size": "64x48",
                "noise": 8,
                "kib": 24.6,
                "cpu_ms": {"colour": quartiles([1, 2, 3]), "grey": quartiles([0.5, 0.5, 0.5])},
                "instructions": {"colour": 8.0, "grey": 2.0},
            }
        ],
    }
    text = to_markdown(record)
    assert "2026-01-02, a processor, opencv 5.0; CPU ms a frame, medians and quartiles of 3" in text
    times = "2.00 (1.50 to 2.50) | 0.50 (0.50 to 0.50) | 0.25"
    assert text.splitlines()[-1] == f"| MJPG 64x48, noise | 25 | {times} | 8.00 to 2.00 | 0.25 |"
