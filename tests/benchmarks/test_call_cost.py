"""The arithmetic of the table of stages, on made-up times."""

from __future__ import annotations

from benchmarks.speed.call_cost import STAGES, load, summarise, to_markdown
from simrun.result import Latency


def test_a_share_is_the_median_of_shares_not_the_share_of_medians() -> None:
    latencies = [Latency(0, 1, 2, 1, 0, 4), Latency(0, 1, 6, 3, 0, 10), Latency(0, 2, 3, 15, 0, 20)]
    summary = summarise(latencies)
    assert summary["total"]["median"] == 10
    assert summary["stages"]["regions"]["median"] == 3
    assert summary["stages"]["regions"]["share"] == 0.3
    assert summary["stages"]["infer"]["share"] == 0.5
    assert set(summary["stages"]) == set(STAGES)


def test_the_table_has_a_row_for_each_model_and_a_share_for_each_stage() -> None:
    record = {
        "command": "python -m benchmarks.speed.call_cost photos",
        "date": "2026-01-01",
        "machine": {"processor": "a processor"},
        "versions": {"numpy": "2"},
        "photos": 1,
        "calls": [{"name": "net @ 320", **summarise([Latency(0, 1, 2, 1, 0, 4)])}],
    }
    row = to_markdown(record).splitlines()[-1]
    assert row == "| net @ 320 | 4.00 | 1.00 (25.0%) | 2.00 (50.0%) | 1.00 (25.0%) | 0.00 (0.0%) |"


def test_models_are_named_by_bundle_and_side() -> None:
    assert list(load(["scene-text:320,160"])) == ["scene-text @ 320", "scene-text @ 160"]
