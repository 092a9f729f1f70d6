"""Counts of a run in the text format of Prometheus, version 0.0.4."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simrun.result import STAGES, Latency
from simrun.sinks.base import StreamInfo
from simrun.stats import SourceStats, State, StatsSnapshot
from simrun.version import __version__

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

BOUNDS_MS: Final = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)
"""Upper ends of the histogram's buckets."""
_BATCH: Final = 64

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]
"""Suffix to the metric's name, labels, value."""


class LatencyHistogram:
    """Counts latencies by stage and bucket since the start; safe from any thread."""

    def __init__(self) -> None:
        """All zero."""
        self._lock = threading.Lock()
        self._uncounted: list[Latency] = []
        self._counts = {stage: [0] * (len(BOUNDS_MS) + 1) for stage in STAGES}
        self._sums_ms = dict.fromkeys(STAGES, 0.0)

    def add(self, latency: Latency) -> None:
        """Count one frame."""
        with self._lock:
            self._uncounted.append(latency)
            # In batches: this runs in the thread of the run, between two frames, where code that
            # is not in the processor's caches costs twenty times as much as in a loop.
            if len(self._uncounted) >= _BATCH:
                self._count()

    def samples(self) -> Iterator[Sample]:
        """Buckets, sum and count of every stage, in seconds."""
        with self._lock:
            self._count()
            counts = {stage: tuple(count) for stage, count in self._counts.items()}
            sums_ms = dict(self._sums_ms)
        for stage in STAGES:
            below = 0
            for bound, count in zip((*BOUNDS_MS, float("inf")), counts[stage], strict=True):
                below += count
                yield "_bucket", {"stage": stage, "le": _number(bound / 1000)}, below
            yield "_sum", {"stage": stage}, sums_ms[stage] / 1000
            yield "_count", {"stage": stage}, below

    def _count(self) -> None:
        for latency in self._uncounted:
            for stage, value in vars(latency).items():
                self._counts[stage][bisect_left(BOUNDS_MS, value)] += 1
                self._sums_ms[stage] += value
        self._uncounted.clear()


@dataclass(frozen=True)
class PageCounts:
    """What the page itself is doing."""

    streams: int
    """Clients that watch the picture."""
    listeners: int
    """Clients that follow the events."""
    refused: int
    """Requests and connections turned away because there were too many, since the start."""
    wrong_tokens: int
    """Requests with a wrong token, since the start."""


def write_metrics(
    info: StreamInfo, now: StatsSnapshot, latencies: LatencyHistogram, page: PageCounts
) -> bytes:
    """The page `/metrics`."""
    lines: list[str] = []
    for name, kind, text, samples in (
        *_about_run(info, now),
        *(_about_source(now.source) if now.source else ()),
        (
            "simrun_stage_seconds",
            "histogram",
            "Time spent on a frame, by stage.",
            latencies.samples(),
        ),
        *_about_page(page),
        *_about_process(),
    ):
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        lines += [
            f"{name}{end}{_labels(labels)} {_number(value)}" for end, labels, value in samples
        ]
    return ("\n".join(lines) + "\n").encode()


Metric = tuple[str, str, str, Iterable[Sample]]
"""Name, type, help, samples."""


def _about_run(info: StreamInfo, now: StatsSnapshot) -> Iterator[Metric]:
    about = {
        "version": __version__,
        "model": info.model,
        "model_sha256": info.model_sha256,
        "source": info.source,
    }
    yield "simrun_info", "gauge", "What runs.", [("", about, 1)]
    yield _one("simrun_uptime_seconds", "gauge", "Time since the start.", now.uptime_s)
    yield _one("simrun_frames_total", "counter", "Frames processed.", now.frames)
    yield _one("simrun_bad_frames_total", "counter", "Frames that could not be read.", now.bad)
    yield _one("simrun_regions_total", "counter", "Regions found.", now.regions)
    text = "Times that an output went down."
    yield _one("simrun_lost_outputs_total", "counter", text, now.lost_sinks)
    up: list[Sample] = [("", {"output": o.name}, float(o.trouble is None)) for o in now.outputs]
    yield "simrun_output_up", "gauge", "Whether an output takes results.", up
    missed: list[Sample] = [("", {"output": o.name}, o.missed) for o in now.outputs]
    yield "simrun_output_missed_total", "counter", "Results that it did not get.", missed
    yield _one("simrun_frame_rate", "gauge", "Frames per second, over ten seconds.", now.rate)
    if now.age_s is not None:
        text = "Time since the last processed frame."
        yield _one("simrun_last_frame_age_seconds", "gauge", text, now.age_s)


def _about_source(source: SourceStats) -> Iterator[Metric]:
    up = float(source.state == State.OPEN)
    yield _one("simrun_source_up", "gauge", "Whether the device is open.", up)
    hung = "Capture threads that are stuck in the driver."
    yield _one("simrun_source_hung_threads", "gauge", hung, source.hung)
    for name, text, value in (
        ("captured", "Frames that the device gave.", source.captured),
        ("skipped", "Frames replaced by a newer one before their turn.", source.skipped),
        ("bad", "Frames that came empty or corrupt.", source.bad),
        ("stalls", "Times that no frame came for too long.", source.stalls),
        ("reconnects", "Times that the device was opened again.", source.reconnects),
    ):
        yield _one(f"simrun_source_{name}_total", "counter", text, value)


def _about_page(page: PageCounts) -> Iterator[Metric]:
    clients: list[Sample] = [
        ("", {"kind": "stream"}, page.streams),
        ("", {"kind": "events"}, page.listeners),
    ]
    yield "simrun_page_clients", "gauge", "Clients that are watching.", clients
    yield _one("simrun_page_refused_total", "counter", "Turned away: too many.", page.refused)
    wrong = "Requests with a wrong token."
    yield _one("simrun_page_wrong_tokens_total", "counter", wrong, page.wrong_tokens)


def _about_process() -> Iterator[Metric]:
    """Under the names that Prometheus' own clients use."""
    busy = time.process_time()
    yield _one("process_cpu_seconds_total", "counter", "Processor time spent.", busy)
    memory = Path("/proc/self/statm")
    if memory.exists():
        resident = int(memory.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        yield _one("process_resident_memory_bytes", "gauge", "Resident memory.", resident)


def _one(name: str, kind: str, text: str, value: float) -> Metric:
    return name, kind, text, [("", {}, value)]


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(float(value)).removesuffix(".0")
