"""The text of `/metrics`, read by Prometheus' own parser."""

from __future__ import annotations

import math
import mmap
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from simrun.result import Latency, Result
from simrun.sinks.web import metrics
from simrun.sinks.web.metrics import LatencyHistogram, PageCounts, write_metrics
from simrun.stats import RunStats, SourceStats
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
    return read(write_metrics(INFO, stats.snapshot(), latencies, PageCounts(2, 1, 5, 9)))


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
    ((labels, value),) = measured()["simrun_info"].items()
    assert labels[-1] == INFO.source
    assert value == 1


def test_resident_memory_is_counted_in_pages_and_left_out_where_it_is_not_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    statm = tmp_path / "statm"
    monkeypatch.setattr(metrics, "Path", lambda _: statm)
    assert "process_resident_memory_bytes" not in measured()
    statm.write_text("900 25 7 1 0 300 0\n")
    assert measured()["process_resident_memory_bytes"] == {(): 25 * mmap.PAGESIZE}


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


def test_the_ends_of_the_buckets_are_those_that_dashboards_know() -> None:
    found = measured()["simrun_stage_seconds_bucket"]
    ends = [le for stage, le in found if stage == "infer"]
    assert ends[-1] == "+Inf"
    milliseconds = [1000 * float(le) for le in ends[:-1]]
    assert milliseconds == pytest.approx([1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500])


def test_every_frame_counts_once_however_often_somebody_asks() -> None:
    latencies = LatencyHistogram()
    for _ in range(3):
        latencies.add(Latency(total=2.0))
        list(latencies.samples())
    totals = {end: v for end, labels, v in latencies.samples() if labels["stage"] == "total"}
    assert totals["_count"] == 3
    assert totals["_sum"] == pytest.approx(0.006)


def test_frames_do_not_pile_up_while_nobody_asks() -> None:
    latencies = LatencyHistogram()
    for _ in range(1000):
        latencies.add(Latency(total=2.0))
    assert len(latencies._uncounted) < 100
    assert [v for end, _, v in latencies.samples() if end == "_count"] == [1000] * 6


def test_before_the_first_frame_and_without_a_live_source() -> None:
    found = read(
        write_metrics(INFO, RunStats().snapshot(), LatencyHistogram(), PageCounts(0, 0, 0, 0))
    )
    assert "simrun_last_frame_age_seconds" not in found
    assert "simrun_source_up" not in found
