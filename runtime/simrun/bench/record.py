"""The record of a measurement: every sample and all its circumstances, as JSON."""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime as ort

import simrun
from simrun.bench.measure import Sample, Series, WayToRun, busy_ms, periods_taken
from simrun.diagnostics.machine import Machine
from simrun.errors import UsageError
from simrun.files import output_errors
from simrun.inference.threads import ThreadProbe
from simrun.localizer import Localizer
from simrun.result import STAGES

SCHEMA: Final = "simrun-bench/1"

_NUMBERS: Final = re.compile(r"\[\s+((?:-?[\d.e+-]+,?\s+)+)\]")

_STATE: Final = frozenset(
    {"available_mb", "temperature_c", "clock_mhz", "governor", "throttled", "throttling"}
)
"""What may change while it is measured; the rest of a `Machine` does not."""

JITTER: Final = "mean difference between successive frames"


@dataclass(frozen=True)
class Conditions:
    """What the samples do not tell."""

    before: Machine
    """The computer before the first sample."""
    after: Machine
    """The computer after the last one."""
    load: tuple[float, float]
    """Processes that wanted a core in the last minute, before and after."""
    peak_memory_mib: float | None
    warmup: int
    """Frames of each series before the first sample."""
    probes: Mapping[int, ThreadProbe]
    """How `--threads auto` chose, by side."""


def make_record(
    localizer: Localizer, series: Sequence[Series], conditions: Conditions
) -> dict[str, Any]:
    """The JSON object of a measurement.

    Args:
        localizer: one of those that ran; they share model, provider and what they do.
        series: each with at least one sample.
        conditions: the rest.
    """
    live = series[0].feed.live
    return {
        "schema": SCHEMA,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": {
            "name": localizer.meta.name,
            "sha256": localizer.bundle.sha256,
            "classify": localizer.classifies,
        },
        "source": _source(series[0]),
        "session": {"provider": localizer.provider},
        "versions": _versions(),
        "machine": {
            name: value for name, value in conditions.before.to_json().items() if name not in _STATE
        },
        "state": {
            "before": _state(conditions.before, conditions.load[0]),
            "after": _state(conditions.after, conditions.load[1]),
        },
        "memory": {
            "peak_mib": conditions.peak_memory_mib,
            "configurations_in_process": len({(s.kind.side, s.kind.threads) for s in series}),
        },
        "warmup": conditions.warmup,
        "threads_auto": {str(side): _probe(probe) for side, probe in conditions.probes.items()},
        "jitter": JITTER,
        "results": [_result(one, live) for one in series],
    }


def to_text(record: Mapping[str, Any]) -> str:
    """The record as a JSON document, lists of numbers on one line each."""
    text = json.dumps(record, indent=1, ensure_ascii=False)
    return _NUMBERS.sub(lambda found: "[" + " ".join(found[1].split()) + "]", text) + "\n"


def write_record(record: Mapping[str, Any], target: str) -> None:
    """Write the record to a file, or to standard output for `-`.

    Raises:
        OutputError: it cannot be written.
    """
    with output_errors("standard output" if target == "-" else target):
        if target == "-":
            sys.stdout.write(to_text(record))
            sys.stdout.flush()
        else:
            Path(target).write_text(to_text(record), encoding="utf-8")


def read_record(path: str) -> dict[str, Any]:
    """A record of an earlier measurement.

    Raises:
        UsageError: the file cannot be read, or is no such record.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--compare {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"--compare {path} is no JSON: {error}") from error
    schema = record.get("schema") if isinstance(record, dict) else None
    if not isinstance(record, dict) or schema != SCHEMA:
        raise UsageError(
            f"--compare {path} has the schema {schema!r}, not {SCHEMA!r}; "
            "name a file that 'simrun bench --json' wrote"
        )
    return record


def public_name(source: str) -> str:
    """What a record that is passed on may tell of a source: no folder, address or password."""
    kind, colon, _ = source.partition(":")
    if colon and "/" not in kind:
        return kind  # a URL's scheme, or `gst`
    return Path(source).name or source


def _source(one: Series) -> dict[str, Any]:
    width, height = one.frame_size
    name = public_name(one.feed.name)
    return {"name": name, "live": one.feed.live, "width": width, "height": height}


def _result(one: Series, live: bool) -> dict[str, Any]:
    """What a kind of run came to, and every sample."""
    figures = summarise(one.samples, one.kind, live)
    return {**asdict(one.kind), **figures, "samples": columns(one.samples)}


def _state(machine: Machine, load: float) -> dict[str, Any]:
    values = {name: value for name, value in machine.to_json().items() if name in _STATE}
    return {**values, "load": round(load, 2)}


def _probe(probe: ThreadProbe) -> dict[str, Any]:
    times = {str(n): [round(one * 1000, 4) for one in times] for n, times in probe.times_s.items()}
    return {"chosen": probe.threads, "times_ms": times}


def _versions() -> dict[str, str]:
    return {
        "simrun": simrun.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "onnxruntime": ort.__version__,
    }


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


def summarise(samples: Sequence[Sample], kind: WayToRun, live: bool) -> dict[str, Any]:
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
