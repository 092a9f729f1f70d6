"""What a camera's frame costs until the network can have it: by way of colour, or straight to grey.

    bash benchmarks/arm/setup.sh FOLDER                   # once
    python -m benchmarks.speed.camera_frames FOLDER

The demo scene as MJPG (4:2:2), without and with the noise of a sensor, and as YUYV, at two sizes;
both ways in turns, frame by frame, and the instructions of both on an emulated Cortex-A72. What
OpenCV's own conversion of a camera's frame takes on top, a copy of the colour picture, is not
counted. Every sample is written to camera_frames.json beside this file and, as a table, to
RESULTS.md.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.arm.calls import GUEST, count_calls, mark_calls
from benchmarks.arm.emulator import CORES, Emulator
from benchmarks.harness.console import make_parser, one_line_errors
from benchmarks.harness.publish import RESULTS, publish, require_markers
from benchmarks.harness.quartiles import spread
from simrun.diagnostics.machine import read_machine
from simrun.images.read import Image, to_grey
from simrun.sources.decode import find_decoder
from simrun.sources.demo import draw_scene
from simrun.sources.options import Size

HERE: Final = Path(__file__).parent
MARKERS: Final = "camera-frames"
NOISE: Final = 4
QUALITY: Final = 85
"""Of the JPEGs; it makes files about as large as cameras make them."""
SIZES: Final = (Size(640, 480), Size(1280, 720))
CASES: Final = tuple(
    (fourcc, size, noise)
    for fourcc, noise in (("MJPG", 0), ("MJPG", NOISE), ("YUYV", 0))
    for size in SIZES
)
"""Format, size, and standard deviation of the noise in levels of 256."""
MOMENTS: Final = 8
ROUNDS: Final = 40
BOARD: Final = "pi4"

Way = Callable[[NDArray[np.uint8]], Image]


@one_line_errors("camera_frames")
def main() -> None:
    """Measure, count and write."""
    cv2.setNumThreads(1)
    if sys.argv[1:] == [GUEST]:
        mark_calls(marked_calls())
        return
    parser = make_parser(__doc__)
    parser.add_argument("emulator", type=Path, help="folder that setup.sh filled")
    emulator: Path = parser.parse_args().emulator
    require_markers(RESULTS, MARKERS)
    counts = count_calls(Emulator(emulator, BOARD), "benchmarks.speed.camera_frames")
    rows = [
        {"format": fourcc, "size": str(size), "noise": noise, **measure(fourcc, size, noise)}
        for fourcc, size, noise in CASES
    ]
    machine = read_machine()
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": machine.cpu or machine.architecture,
        "core": CORES[BOARD],
        "opencv": cv2.__version__,
        "unit": "ms of process-CPU time a frame, every sample; millions of arm64 instructions",
        "rows": [row | cost for row, cost in zip(rows, by_case(counts), strict=True)],
    }
    publish(record, HERE / "camera_frames.json", MARKERS, to_markdown(record))


def ways(fourcc: str, size: Size) -> dict[str, Way]:
    """Both ways from what the camera sends to a grey picture."""
    colour = find_decoder(fourcc, size, colour=True)
    grey = find_decoder(fourcc, size, colour=False)
    assert colour is not None
    assert grey is not None
    return {"colour": lambda data: to_grey(colour(data)), "grey": grey}


def send(fourcc: str, size: Size, noise: int, moment: int) -> NDArray[np.uint8]:
    """The scene at a moment as OpenCV gives a camera's buffer."""
    scene = cv2.resize(draw_scene(0.4 * moment), (size.width, size.height))
    grain = np.random.default_rng(moment).normal(0, noise, scene.shape)
    scene = np.clip(scene + np.rint(grain), 0, 255).astype(np.uint8)
    if fourcc == "YUYV":
        return np.asarray(cv2.cvtColor(scene, cv2.COLOR_BGR2YUV_YUYV), np.uint8)
    how = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422]
    how += [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    return np.asarray(cv2.imencode(".jpg", scene, how)[1], np.uint8).reshape(1, -1)


def measure(fourcc: str, size: Size, noise: int) -> dict[str, Any]:
    """CPU ms of every call, by the way, in turns."""
    both = ways(fourcc, size)
    frames = [send(fourcc, size, noise, moment) for moment in range(MOMENTS)]
    samples: dict[str, list[float]] = {name: [] for name in both}
    for i in range(ROUNDS + 1):
        for frame in frames:
            for name, way in both.items():
                start = time.process_time()
                way(frame)
                if i:  # the first round finds its memory
                    samples[name].append(round((time.process_time() - start) * 1000, 4))
    kib = sum(frame.nbytes for frame in frames) / MOMENTS / 1024
    return {"kib": round(kib, 1), "cpu_ms": samples}


def marked_calls() -> Iterator[Callable[[], Image]]:
    """Each way of each case, on one frame."""
    for fourcc, size, noise in CASES:
        frame = send(fourcc, size, noise, 0)
        yield from (partial(way, frame) for way in ways(fourcc, size).values())


def by_case(counts: Sequence[float]) -> list[dict[str, Any]]:
    """The counts of `marked_calls`, for each case by the way."""
    rest = iter(counts)
    return [
        {"instructions": {name: round(next(rest), 3) for name in ways(fourcc, size)}}
        for fourcc, size, _ in CASES
    ]


def to_markdown(record: dict[str, Any]) -> str:
    """The table of a record."""
    lines = [
        f"`python -m benchmarks.speed.camera_frames FOLDER` ({record['date']}, "
        f"{record['processor']}, OpenCV {record['opencv']}; "
        f"CPU ms a frame, medians and quartiles of "
        f"{len(record['rows'][0]['cpu_ms']['grey'])} in turns; millions of instructions on an "
        f"emulated {record['core']})",
        "",
        "| frame | KiB | by way of colour | straight to grey | ratio | instructions | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += map(_row, record["rows"])
    return "\n".join(lines)


def _row(row: dict[str, Any]) -> str:
    colour, grey = (row["cpu_ms"][way] for way in ("colour", "grey"))
    cost = row["instructions"]
    cells = [
        f"{row['format']} {row['size']}{', noise' if row['noise'] else ''}",
        f"{row['kib']:.0f}",
        spread(colour),
        spread(grey),
        f"{statistics.median(grey) / statistics.median(colour):.2f}",
        f"{cost['colour']:.2f} to {cost['grey']:.2f}",
        f"{cost['grey'] / cost['colour']:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
