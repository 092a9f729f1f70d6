"""The figures that samples come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from simrun.bench.measure import Kind, Sample, busy_ms, periods_taken
from simrun.result import STAGES

JITTER: Final = "mean difference between successive frames"


def columns(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Every sample: milliseconds by stage, CPU milliseconds, number of regions."""
    stages = {
        stage: [round(getattr(sample.latency, stage), 4) for sample in samples] for stage in STAGES
    }
    cpu = [round(sample.cpu_ms, 4) for sample in samples]
    return {**stages, "cpu": cpu, "found": [sample.found for sample in samples]}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Percentiles, mean and jitter of times in milliseconds, to a microsecond.

    Jitter is the mean absolute difference between one frame and the next: a frame that holds more
    than the one before counts little, a machine that stumbles counts.
    """
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    steps = np.abs(np.diff(values))
    jitter = steps.mean() if len(steps) else 0.0
    figures = {"p50": p50, "p95": p95, "p99": p99, "mean": np.mean(values), "jitter": jitter}
    return {name: round(float(value), 3) for name, value in figures.items()}


def summarise(samples: Sequence[Sample], kind: Kind, live: bool) -> dict[str, Any]:
    """All figures of one kind of run.

    Args:
        samples: in the order they were taken, at least one.
        kind: says whether the frames were paced.
        live: the source is a camera.
    """
    table = columns(samples)
    busy = [busy_ms(sample, live) for sample in samples]
    period_s = 1 / kind.paced_fps if kind.paced_fps else None
    return {
        "frames": len(samples),
        "stages_ms": {stage: spread(table[stage]) for stage in STAGES},
        "cpu_ms": spread(table["cpu"]),
        "found": round(float(np.mean(table["found"])), 2),
        "frames_per_s": None if period_s else round(1000 * len(busy) / max(sum(busy), 1e-9), 2),
        "missed": missed_share(busy, period_s) if period_s else None,
    }


def missed_share(busy: Sequence[float], period_s: float) -> float:
    """Share of the periods that ended without the result of the frame that was due in them.

    A frame that takes two and a half periods misses three: its own, and the two whose frames it
    keeps from being taken.
    """
    periods = [periods_taken(one, period_s) for one in busy]
    late = sum(count for count in periods if count > 1)
    return round(late / sum(periods), 4)
