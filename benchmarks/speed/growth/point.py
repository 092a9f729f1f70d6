"""Measure one point in a process of its own, so that its memory is its own too.

python -m benchmarks.speed.growth.point POINT.json-as-text [PEERS-FOLDER]
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.accuracy.peers.detector import Card
from benchmarks.accuracy.peers.ppocr import RECIPES, PpOcr, find_model, open_session
from benchmarks.harness.console import BenchmarkError, one_line_errors
from benchmarks.speed.growth.points import OURS, PEER, Point
from simrun.bundle.load import load_bundle
from simrun.diagnostics.machine import read_peak_memory_mib
from simrun.images.read import Image
from simrun.inference.session import EngineConfig
from simrun.inference.threads import limit_opencv
from simrun.localizer import Localizer
from simrun.result import Latency

WARMUP: Final = 1
MOST: Final = 15
LEAST: Final = 3
BUDGET_S: Final = 0.6

Call = Callable[[Image], tuple[int, Latency | None]]
"""Number of regions of a frame, and CPU time by stage where it is known."""


@one_line_errors("growth.point")
def main() -> None:
    """Print the samples of the point as JSON."""
    point = Point(**json.loads(sys.argv[1]))
    peers = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    limit_opencv(point.threads)
    frame = point.draw()
    before = read_peak_memory_mib()
    call = _ours(point) if point.detector == OURS else _peer(point, peers)
    samples = _sample(call, frame)
    print(json.dumps({**samples, "start_mib": before, "peak_mib": read_peak_memory_mib()}))


def _ours(point: Point) -> Call:
    # Stages by the CPU's clock: what else the machine does is not in them.
    localizer = Localizer(
        load_bundle(OURS),
        side=point.side,
        engine_config=EngineConfig(point.threads),
        clock=time.process_time,
    )

    def call(frame: Image) -> tuple[int, Latency]:
        result = localizer(frame)
        return len(result.regions), result.latency_ms

    return call


def _peer(point: Point, folder: Path | None) -> Call:
    if folder is None:
        raise BenchmarkError(f"{PEER} needs the folder with its model")
    (recipe,) = (recipe for recipe in RECIPES if recipe.family == PEER)
    session = open_session(find_model(recipe, folder).read_bytes(), point.threads)
    detector = PpOcr(Card(PEER, point.side), recipe.options, session)
    return lambda frame: (len(detector.detect(frame)), None)


def _sample(call: Call, frame: Image) -> dict[str, Any]:
    """Times of several calls, milliseconds."""
    for _ in range(WARMUP):
        call(frame)
    cpu: list[float] = []
    wall, stages = [], []
    begin = time.perf_counter()
    while len(cpu) < LEAST or (len(cpu) < MOST and time.perf_counter() - begin < BUDGET_S):
        start, cpu_start = time.perf_counter(), time.process_time()
        found, latency = call(frame)
        cpu.append(round((time.process_time() - cpu_start) * 1000, 3))
        wall.append(round((time.perf_counter() - start) * 1000, 3))
        if latency is not None:
            stages.append(latency.to_json())
    return {"found": found, "cpu_ms": cpu, "wall_ms": wall, "stages_cpu_ms": stages}


if __name__ == "__main__":
    main()
