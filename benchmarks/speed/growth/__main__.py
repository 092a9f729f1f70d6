"""`python -m benchmarks.speed.growth`: every point in a process of its own, in turns."""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.console import make_parser, one_line_errors
from benchmarks.harness.publish import replace_between, require_markers
from benchmarks.harness.quartiles import quartiles
from benchmarks.speed.growth.points import Point, all_points
from benchmarks.speed.growth.report import draw, to_markdown
from simrun.bench.record import to_text
from simrun.bundle.load import load_bundle
from simrun.diagnostics.machine import read_machine

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
RESULTS: Final = HERE.parents[1] / "RESULTS.md"

_SAMPLED: Final = ("cpu_ms", "wall_ms", "peak_mib")


@one_line_errors("growth")
def main() -> None:
    """Measure, and write the JSON, the plot and the tables of RESULTS.md."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--peers", type=Path, help="folder that benchmarks.accuracy.peers.fetch filled"
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="only write again what is measured")
    options = parser.parse_args()
    require_markers(RESULTS, "growth")
    if options.report:
        record = json.loads((HERE / "growth.json").read_text(encoding="utf-8"))
    else:
        record = measure(list(all_points(options.peers is not None)), options.rounds, options.peers)
        (HERE / "growth.json").write_text(to_text(record), encoding="utf-8")
    draw(record, HERE / "growth.png")
    replace_between(RESULTS, "growth", to_markdown(record))


def measure(points: Sequence[Point], rounds: int, peers: Path | None) -> dict[str, Any]:
    """All points in random turns, several rounds."""
    order = random.Random(0)
    runs: dict[Point, list[dict[str, Any]]] = {point: [] for point in points}
    begin, load, machine = time.monotonic(), os.getloadavg(), read_machine()
    for number in range(rounds):
        for point in order.sample(points, len(points)):
            runs[point].append(_run(point, peers))
        passed = time.monotonic() - begin
        print(f"growth: round {number + 1} of {rounds}, {passed:.0f} s", file=sys.stderr)
    return {
        "schema": "growth/1",
        "command": "python -m benchmarks.speed.growth" + (" --peers FOLDER" if peers else ""),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"processor": machine.cpu, "cores": machine.cores},
        "load": [round(load[0], 1), round(os.getloadavg()[0], 1)],
        "python": platform.python_version(),
        "versions": {
            name: version(name) for name in ("onnxruntime", "opencv-python-headless", "numpy")
        },
        "model_sha256": load_bundle(points[0].detector).sha256,
        "rounds": rounds,
        "points": [{**asdict(p), "pixels": p.work_pixels, **_merge(runs[p])} for p in points],
    }


def _run(point: Point, peers: Path | None) -> dict[str, Any]:
    """The samples of one process."""
    module = "benchmarks.speed.growth.point"
    folder = [str(peers)] if peers else []
    done = subprocess.run(
        [sys.executable, "-m", module, json.dumps(asdict(point)), *folder],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    samples: dict[str, Any] = json.loads(done.stdout)
    return samples


def _merge(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All rounds of a point: quartiles of times in ms, median peak memory in MiB."""
    stages = [stage for run in runs for stage in run["stages_cpu_ms"]]
    return {
        "found": runs[0]["found"],
        "cpu_ms": quartiles([x for run in runs for x in run["cpu_ms"]]),
        "wall_ms": quartiles([x for run in runs for x in run["wall_ms"]]),
        "stages_cpu_ms": {
            name: round(statistics.median(stage[name] for stage in stages), 4)
            for name in (stages[0] if stages else ())
        },
        "start_mib": statistics.median(run["start_mib"] for run in runs),
        "peak_mib": statistics.median(run["peak_mib"] for run in runs),
        "samples": {name: [run[name] for run in runs] for name in _SAMPLED},
    }


if __name__ == "__main__":
    main()
