"""What a frame gave, and its JSON."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from simrun.result import STAGES, Heatmap, Latency, Region, Result

LEANING = ((3.0, 2.04), (9.96, 5.0), (7.0, 12.0), (0.0, 9.0))


def test_the_box_is_the_hull_of_a_leaning_quad() -> None:
    assert Region(LEANING, 0.5).box == (0.0, 2.04, 9.96, 12.0)


def test_a_region_is_rounded_and_names_its_map_where_there_are_several() -> None:
    region = Region(LEANING, 0.87654, "42", 0.12346, track=3, channel="digits")
    assert region.to_json() == {
        "quad": [[3.0, 2.0], [10.0, 5.0], [7.0, 12.0], [0.0, 9.0]],
        "box": [0.0, 2.0, 10.0, 12.0],
        "score": 0.8765,
        "label": "42",
        "label_score": 0.1235,
        "track": 3,
        "channel": "digits",
    }
    assert "channel" not in replace(region, channel=None).to_json()


def test_only_a_held_region_says_so() -> None:
    assert Region(LEANING, 0.5, held=True).to_json()["held"] is True
    assert "held" not in Region(LEANING, 0.5).to_json()


def test_the_total_includes_the_capture() -> None:
    latency = Latency(infer=3.0, total=4.0).after_capture(0.25)
    assert latency == Latency(capture=250.0, infer=3.0, total=254.0)


def test_latencies_are_told_to_a_microsecond_and_are_zero_before_a_frame() -> None:
    assert Latency(infer=1.23456).to_json()["infer"] == 1.235
    assert Latency().to_json() == dict.fromkeys(STAGES, 0.0)


def test_a_time_is_told_to_a_tenth_of_a_millisecond() -> None:
    assert Result(4, 4, (), Latency(), time_s=1.234567).to_json()["time_s"] == 1.2346


def test_a_moment_is_told_in_local_time_with_its_distance_from_utc(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    told = Result(4, 4, (), Latency(), taken_s=1_796_037_301.25).to_json()["time"]
    monkeypatch.undo()
    time.tzset()
    assert told == "2026-11-30T17:00:01.250+05:45"
    assert Result(4, 4, (), Latency()).to_json()["time"] is None


def test_results_are_the_same_whatever_map_is_kept_with_them() -> None:
    bare = Result(4, 4, (Region(LEANING, 0.5),), Latency())
    kept = replace(bare, heatmap=Heatmap(np.zeros((1, 2, 2), np.float32), 2.0, 0.5))
    assert kept == bare
    assert "array" not in repr(kept)
