"""What OpenCV's own threads cost and gain beside a network on one.

    python -m benchmarks.opencv_threads

Frames of the demo at three sizes through the default model, read and all; OpenCV has one thread and
one for each core in turns, frame by frame. Medians of wall and process-CPU time are written to
opencv_threads.json beside this file and, as a table, to RESULTS.md.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from benchmarks.console import make_parser, one_line_errors
from benchmarks.markers import RESULTS, publish, require_markers
from benchmarks.peers.peers import machine
from benchmarks.quartiles import spread
from simrun import Localizer
from simrun.images import Image
from simrun.sources.demo import draw_scene
from simrun.threads import limit_opencv, usable_cores

HERE: Final = Path(__file__).parent
MARKERS: Final = "opencv-threads"
SIZES: Final = ((640, 480), (1920, 1080), (3840, 2160))
MOMENTS: Final = 8
ROUNDS: Final = 20


@one_line_errors("opencv_threads")
def main() -> None:
    """Measure and write."""
    make_parser(__doc__).parse_args()
    require_markers(RESULTS, MARKERS)
    counts = (1, max(2, usable_cores()))
    rows = [{"frame": size, **measure(size, counts)} for size in SIZES]
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "opencv": cv2.__version__,
        "model_sha256": Localizer.load().bundle.sha256,
        "threads": counts,
        "unit": "ms a frame; every sample of wall and process-CPU time",
        "rows": rows,
    }
    publish(record, HERE / "opencv_threads.json", MARKERS, to_markdown(record))


def measure(size: tuple[int, int], counts: Sequence[int]) -> dict[str, Any]:
    """Wall and CPU ms of every call, by the number of OpenCV's threads, in turns."""
    localizer = Localizer.load()
    scenes = (draw_scene(0.4 * moment) for moment in range(MOMENTS))
    frames = [np.asarray(cv2.resize(scene, size), np.uint8) for scene in scenes]
    samples: dict[str, Any] = {str(n): {"wall_ms": [], "cpu_ms": []} for n in counts}
    for i in range(ROUNDS + 1):
        for frame in frames:
            for n in counts:
                wall, cpu = _call(localizer, frame, n)
                if i:  # the first round plans memory
                    samples[str(n)]["wall_ms"].append(round(wall, 3))
                    samples[str(n)]["cpu_ms"].append(round(cpu, 3))
    return samples


def _call(localizer: Localizer, frame: Image, threads: int) -> tuple[float, float]:
    limit_opencv(threads)
    wall, cpu = time.perf_counter(), time.process_time()
    localizer(frame)
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


def to_markdown(record: dict[str, Any]) -> str:
    """The table of a record."""
    processor = record["machine"]["processor"]
    lines = [
        f"`python -m benchmarks.opencv_threads` ({record['date']}, {processor}, OpenCV "
        f"{record['opencv']}; medians and quartiles of {ROUNDS * MOMENTS} frames, in turns)",
        "",
        "| frame | OpenCV's threads | wall ms | CPU ms |",
        "|---|---|---|---|",
    ]
    for row in record["rows"]:
        width, height = row["frame"]
        for n in map(str, record["threads"]):
            times = (spread(row[n][key]) for key in ("wall_ms", "cpu_ms"))
            lines.append(f"| {width}x{height} | {n} | {' | '.join(times)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
