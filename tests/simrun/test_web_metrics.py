"""The text of `/metrics`, read by Prometheus' own parser."""

from __future__ import annotations

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from simrun.result import Latency, Result
from simrun.sources import SourceStats
from simrun.stats import RunStats
from simrun.web.metrics import LatencyHistogram, PageCounts, write_metrics
from tests.simrun.clock import Clock
from tests.simrun.web import INFO


def read(text: bytes) -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by name and label values."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation, family.name
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def measured() -> dict[str, dict[tuple[str, ...], float]]:
    clock, latencies = Clock(), LatencyHistogram()
    stats = RunStats(clock)
    stats.watch(lambda: SourceStats("open", 9, 4, 1, 2, 3, 1))
    for total in (0.5, 1.0, 40.0, 9000.0):
        latency = Latency(infer=total / 2, total=total)
        latencies.add(latency)
        stats.add(Result(64, 48, (), latency))
        clock.now += 0.5
    return read(write_metrics(INFO, stats.snapshot(), latencies, PageCounts(2, 1, 5)))


def test_counters_and_gauges() -> None:
    found = measured()
    assert found["simrun_frames_total"] == {(): 4}
    assert found["simrun_last_frame_age_seconds"] == {(): 0.5}
    assert found["simrun_frame_rate"] == {(): 2}
    assert [found[f"simrun_source_{name}_total"][()] for name in ("captured", "skipped")] == [9, 4]
    assert [found[f"simrun_source_{n}_total"][()] for n in ("bad", "stalls", "reconnects")] == [
        1,
        2,
        3,
    ]
    assert (found["simrun_source_up"], found["simrun_source_hung_threads"]) == ({(): 1}, {(): 1})
    assert found["simrun_page_clients"] == {("stream",): 2, ("events",): 1}
    assert found["simrun_page_refused_total"] == {(): 5}
    assert found["process_cpu_seconds_total"][()] > 0


def test_label_values_survive_quotes() -> None:
    (labels,) = measured()["simrun_info"]
    assert labels[-1] == INFO.source


def test_the_histogram_is_cumulative_in_seconds() -> None:
    found = measured()
    buckets = {
        float(le): count
        for (stage, le), count in found["simrun_stage_seconds_bucket"].items()
        if stage == "total"
    }
    assert list(buckets) == sorted(buckets)
    assert (buckets[0.001], buckets[0.025], buckets[0.05], buckets[2.5]) == (2, 2, 3, 3)
    assert buckets[math.inf] == found["simrun_stage_seconds_count"][("total",)] == 4
    assert found["simrun_stage_seconds_sum"][("total",)] == pytest.approx(9.0415)


def test_before_the_first_frame_and_without_a_live_source() -> None:
    found = read(
        write_metrics(INFO, RunStats().snapshot(), LatencyHistogram(), PageCounts(0, 0, 0))
    )
    assert "simrun_last_frame_age_seconds" not in found
    assert "simrun_source_up" not in found
