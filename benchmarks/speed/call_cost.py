"""Where the processor time of a call goes: the share of each stage, for each model and side.

    python -m benchmarks.speed.call_cost DATASET --models mnist-lenet:640 scene-text:640,456,320

A call is a decoded frame made into regions; they are not read. All models take turns on each photo
in random order, on one thread of one process. A stage's cost is process-CPU time, so what else the
machine does hardly counts, except for what it takes from the caches. Medians over the photos are
written to call_cost.json beside this file and, as a table, to RESULTS.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2

from benchmarks.accuracy.peers.measure import read_colour
from benchmarks.accuracy.peers.ours import parse_ours
from benchmarks.harness.benchmark import Benchmark, heading, in_turns, table
from benchmarks.harness.record import Record, quartiles
from simrun import Localizer
from simrun.bundle.load import load_bundle
from simrun.result import Latency
from simtool.data.annotations import AnnotatedSet, load_annotations

STAGES: Final = ("preprocess", "infer", "regions", "classify")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("dataset", type=Path, help="folder of photos with annotations.json")
    parser.add_argument("--models", nargs="+", default=["scene-text"], metavar="NAME[:SIDES]")
    parser.add_argument("--photos", type=int, help="only that many photos, always the same ones")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The cost of each model's calls."""
    dataset = load_annotations(options.dataset).sample(options.photos)
    localizers = load(options.models)
    samples = run(localizers, dataset)
    return {
        "photos": len(dataset.images),
        "unit": "process-CPU ms of a call; share: median over the photos of a stage's part in it",
        "calls": [
            {"name": name, "sha256": localizers[name].bundle.sha256, **summarise(latencies)}
            for name, latencies in samples.items()
        ],
    }


def load(models: Sequence[str]) -> dict[str, Localizer]:
    """Localizers that read nothing and tell the process's CPU time, by name and side."""
    localizers = {}
    for bundle, side in (pair for text in models for pair in parse_ours(text)):
        loaded = load_bundle(bundle)
        one = Localizer(loaded, side=side, classify=False, clock=time.process_time)
        localizers[f"{loaded.path.name} @ {one.side}"] = one
    return localizers


def run(localizers: Mapping[str, Localizer], dataset: AnnotatedSet) -> dict[str, list[Latency]]:
    """CPU time of every stage of every call, photo by photo, models in random order."""
    cv2.setNumThreads(1)
    samples: dict[str, list[Latency]] = {name: [] for name in localizers}
    # The first call of a session plans its memory.
    first = read_colour(dataset, dataset.images[0])
    for localizer in localizers.values():
        localizer(first)
    for image, names in in_turns(list(localizers), dataset.images, "photo"):
        frame = read_colour(dataset, image)
        for name in names:
            samples[name].append(localizers[name](frame).latency_ms)
    return samples


def summarise(latencies: Sequence[Latency]) -> dict[str, Any]:
    """Quartiles of a call and of its stages, and each stage's share."""
    return {
        "total": quartiles([latency.total for latency in latencies]),
        "stages": {
            stage: quartiles([getattr(latency, stage) for latency in latencies])
            | {"share": _share([getattr(one, stage) / one.total for one in latencies])}
            for stage in STAGES
        },
    }


def _share(shares: Sequence[float]) -> float:
    return round(statistics.median(shares), 4)


def to_markdown(record: Record) -> str:
    """The command and the table."""
    note = (
        f"one thread, {record['photos']} photos, process-CPU ms, medians, each stage with its "
        "share of the call. The stage `classify` only makes the result: nothing is read"
    )
    rows = [
        [
            call["name"],
            f"{call['total']['median']:.2f}",
            *(f"{of['median']:.2f} ({of['share']:.1%})" for of in call["stages"].values()),
        ]
        for call in record["calls"]
    ]
    return f"{heading(record, note)}\n\n{table(('model', 'call', *STAGES), rows)}"


BENCHMARK: Final = Benchmark(measure, to_markdown, add_arguments, markers="call-cost")

if __name__ == "__main__":
    BENCHMARK.main()
