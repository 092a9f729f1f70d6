"""Where the processor time of a call goes: the share of each stage, for each model and side.

    python -m benchmarks.speed.call_cost DATASET --models mnist-lenet:640 scene-text:640,456,320

A call is a decoded frame made into regions; they are not read. All models take turns on each photo
in random order, on one thread of one process. A stage's cost is process-CPU time, so what else the
machine does hardly counts, except for what it takes from the caches. Medians over the photos are
written to call_cost.json beside this file and, as a table, to RESULTS.md.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort

from benchmarks.accuracy.peers.measure import read_colour
from benchmarks.accuracy.peers.ours import parse_ours, without_folders
from benchmarks.accuracy.peers.peers import machine
from benchmarks.harness.console import make_parser, one_line_errors
from benchmarks.harness.publish import RESULTS, publish, require_markers
from benchmarks.harness.quartiles import quartiles
from simrun import Localizer
from simrun.bundle.load import load_bundle
from simrun.result import Latency
from simtool.data.annotations import AnnotatedSet, load_annotations

HERE = Path(__file__).parent
STAGES = ("preprocess", "infer", "regions", "classify")
MARKERS = "call-cost"


@one_line_errors("call_cost")
def main() -> None:
    """Measure and write."""
    options = parse_arguments()
    require_markers(RESULTS, MARKERS)
    dataset = load_annotations(options.dataset).sample(options.photos)
    localizers = load(options.models)
    samples = measure(localizers, dataset)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command_line(options),
        "machine": machine(),
        "versions": {
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "onnxruntime": ort.__version__,
        },
        "photos": len(dataset.images),
        "unit": "process-CPU ms of a call; share: median over the photos of a stage's part in it",
        "calls": [
            {"name": name, "sha256": localizers[name].bundle.sha256, **summarise(latencies)}
            for name, latencies in samples.items()
        ],
    }
    text = to_markdown(record)
    publish(record, HERE / "call_cost.json", MARKERS, text)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("dataset", type=Path, help="folder of photos with annotations.json")
    parser.add_argument("--models", nargs="+", default=["scene-text"], metavar="NAME[:SIDES]")
    parser.add_argument("--photos", type=int, help="only that many photos, always the same ones")
    return parser.parse_args()


def load(models: Sequence[str]) -> dict[str, Localizer]:
    """Localizers that read nothing and tell the process's CPU time, by name and side."""
    localizers = {}
    for bundle, side in (pair for text in models for pair in parse_ours(text)):
        loaded = load_bundle(bundle)
        one = Localizer(loaded, side=side, classify=False, clock=time.process_time)
        localizers[f"{loaded.path.name} @ {one.side}"] = one
    return localizers


def measure(
    localizers: Mapping[str, Localizer], dataset: AnnotatedSet, seed: int = 0
) -> dict[str, list[Latency]]:
    """CPU time of every stage of every call, photo by photo, models in random order."""
    cv2.setNumThreads(1)
    order = random.Random(seed)
    samples: dict[str, list[Latency]] = {name: [] for name in localizers}
    # The first call of a session plans its memory.
    first = read_colour(dataset, dataset.images[0])
    for localizer in localizers.values():
        localizer(first)
    for image in dataset.images:
        frame = read_colour(dataset, image)
        for name in order.sample(list(localizers), len(localizers)):
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


def command_line(options: argparse.Namespace) -> str:
    """The command with the names of folders, not where they lie here."""
    words = ["python -m benchmarks.speed.call_cost", options.dataset.resolve().name]
    words += ["--models", *map(without_folders, options.models)]
    return " ".join([*words, *([f"--photos {options.photos}"] if options.photos else [])])


def to_markdown(record: Mapping[str, Any]) -> str:
    """The command and the table."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    lines = [
        f"`{record['command']}`",
        "",
        f"({record['date']}, {record['machine']['processor']}, one thread, {record['photos']} "
        f"photos, {versions}; process-CPU ms, medians, each stage with its share of the call; "
        "`call_cost.json` has quartiles. The stage `classify` only makes the result: nothing is "
        "read.)",
        "",
        "| model | call | " + " | ".join(STAGES) + " |",
        "|---" * (2 + len(STAGES)) + "|",
    ]
    for call in record["calls"]:
        stages = [call["stages"][stage] for stage in STAGES]
        cells = [f"{stage['median']:.2f} ({stage['share']:.1%})" for stage in stages]
        cells = [f"{call['total']['median']:.2f}", *cells]
        lines.append(f"| {call['name']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
