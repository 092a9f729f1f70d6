"""`python -m benchmarks.speed.growth`: every point in a process of its own, in turns."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.benchmark import ROOT, Benchmark, in_turns
from benchmarks.harness.record import Samples
from benchmarks.speed.growth.points import Point, all_points
from benchmarks.speed.growth.report import draw, to_markdown
from simrun.bundle.load import load_bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument(
        "--peers", type=Path, help="folder that benchmarks.accuracy.peers.fetch filled"
    )
    parser.add_argument("--rounds", type=int, default=2)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All points in random turns, several rounds."""
    points = list(all_points(options.peers is not None))
    runs: dict[Point, list[dict[str, Any]]] = {point: [] for point in points}
    for _, order in in_turns(points, range(options.rounds)):
        for point in order:
            runs[point].append(_run(point, options.peers))
    return {
        "model_sha256": load_bundle(points[0].detector).sha256,
        "rounds": options.rounds,
        "points": [{**asdict(p), "pixels": p.work_pixels, **_merge(runs[p])} for p in points],
    }


def _run(point: Point, peers: Path | None) -> dict[str, Any]:
    """The samples of one process."""
    program = ["-m", "benchmarks.speed.growth.point", json.dumps(asdict(point))]
    command = [sys.executable, *program, *([str(peers)] if peers else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    samples: dict[str, Any] = json.loads(done.stdout)
    return samples


def _merge(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All rounds of a point: times in ms, median peak memory in MiB."""
    stages = [stage for run in runs for stage in run["stages_cpu_ms"]]
    return {
        "found": runs[0]["found"],
        "cpu_ms": Samples(x for run in runs for x in run["cpu_ms"]),
        "wall_ms": Samples(x for run in runs for x in run["wall_ms"]),
        "stages_cpu_ms": {
            name: round(statistics.median(stage[name] for stage in stages), 4)
            for name in (stages[0] if stages else ())
        },
        "start_mib": statistics.median(run["start_mib"] for run in runs),
        "peak_mib": statistics.median(run["peak_mib"] for run in runs),
    }


BENCHMARK: Final = Benchmark(
    measure, to_markdown, add_arguments, markers="growth", plot=("growth.png", draw)
)

if __name__ == "__main__":
    BENCHMARK.main()
