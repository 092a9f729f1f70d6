"""What a camera's frame costs until the network can have it: by way of colour, or straight to grey.

    bash benchmarks/arm/setup.sh FOLDER                   # once
    python -m benchmarks.speed.camera_frames FOLDER

The demo scene as MJPG (4:2:2), without and with the noise of a sensor, and as YUYV, at two sizes;
both ways in turns, frame by frame, and the instructions of both on an emulated Cortex-A72. What
OpenCV's own conversion of a camera's frame takes on top, a copy of the colour picture, is not
counted. Quartiles are written to camera_frames.json beside this file and, as a table, to
RESULTS.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.arm.calls import GUEST, count_calls, mark_calls
from benchmarks.arm.emulator import CORES, Emulator
from benchmarks.harness.benchmark import Benchmark, heading, in_turns, table
from benchmarks.harness.record import Record, Samples, spread
from simrun.images.read import Image, to_grey
from simrun.sources.decode import find_decoder
from simrun.sources.demo import draw_scene
from simrun.sources.options import Size

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


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Time and instructions of every case."""
    cv2.setNumThreads(1)
    counts = count_calls(Emulator(options.emulator, BOARD), "benchmarks.speed.camera_frames")
    rows = [
        {"format": fourcc, "size": str(size), "noise": noise, **time_ways(fourcc, size, noise)}
        for fourcc, size, noise in CASES
    ]
    return {
        "core": CORES[BOARD],
        "unit": "ms of process-CPU time a frame; millions of arm64 instructions",
        "rows": [row | cost for row, cost in zip(rows, by_case(counts), strict=True)],
    }


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


def time_ways(fourcc: str, size: Size, noise: int) -> dict[str, Any]:
    """CPU ms of every call, by the way, in turns."""
    both = ways(fourcc, size)
    frames = [send(fourcc, size, noise, moment) for moment in range(MOMENTS)]
    samples = {name: Samples() for name in both}
    for i, (frame, names) in enumerate(in_turns(list(both), frames * (1 + ROUNDS), "frame")):
        for name in names:
            start = time.process_time()
            both[name](frame)
            if i >= MOMENTS:  # the first round finds its memory
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


def to_markdown(record: Record) -> str:
    """The table of a record."""
    note = (
        f"CPU ms a frame, medians and quartiles of "
        f"{record['rows'][0]['cpu_ms']['grey']['n']} in turns; millions of instructions on an "
        f"emulated {record['core']}"
    )
    heads = ["frame", "KiB", "by way of colour", "straight to grey", "ratio"]
    rows = table([*heads, "instructions", "ratio"], map(_cells, record["rows"]))
    return f"{heading(record, note)}\n\n{rows}"


def _cells(row: Record) -> list[str]:
    colour, grey = (row["cpu_ms"][way] for way in ("colour", "grey"))
    cost = row["instructions"]
    return [
        f"{row['format']} {row['size']}{', noise' if row['noise'] else ''}",
        f"{row['kib']:.0f}",
        spread(colour),
        spread(grey),
        f"{grey['median'] / colour['median']:.2f}",
        f"{cost['colour']:.2f} to {cost['grey']:.2f}",
        f"{cost['grey'] / cost['colour']:.2f}",
    ]


BENCHMARK: Final = Benchmark(
    __file__,
    __doc__,
    measure,
    to_markdown,
    lambda parser: parser.add_argument("emulator", type=Path, help="folder that setup.sh filled"),
    markers="camera-frames",
)

if __name__ == "__main__":
    if sys.argv[1:] == [GUEST]:
        cv2.setNumThreads(1)
        mark_calls(marked_calls())
    else:
        BENCHMARK.main()
