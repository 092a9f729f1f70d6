"""What it costs to shrink a frame: by halving, as the runtime does, against averages over blocks.

    bash benchmarks/arm/setup.sh FOLDER                   # once
    python -m benchmarks.arm.shrinking FOLDER

A grey frame of 1280x960, by whole factors, on an emulated Cortex-A72. Writes a table to
benchmarks/RESULTS.md.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.arm.emulator import Emulator
from benchmarks.console import BenchmarkError, make_parser, one_line_errors
from benchmarks.markers import replace_between, require_markers
from simrun.images import Image
from simrun.localize import prepare

RESULTS: Final = Path(__file__).parents[1] / "RESULTS.md"
MARKERS: Final = "shrinking"
HEIGHT, WIDTH = 960, 1280
FACTORS: Final = (2, 3, 4, 5, 8)
GUEST: Final = "--guest"
"""Argument of the run inside the emulated Python."""


@one_line_errors("shrinking")
def main() -> None:
    """Count and write."""
    cv2.setNumThreads(1)
    if sys.argv[1:] == [GUEST]:
        run_marked()
        return
    parser = make_parser(__doc__)
    parser.add_argument("emulator", type=Path, help="folder that setup.sh filled")
    emulator: Path = parser.parse_args().emulator
    require_markers(RESULTS, MARKERS)
    counts = count(emulator)
    lines = [
        "`python -m benchmarks.arm.shrinking FOLDER`",
        "",
        f"(a grey frame of {WIDTH}x{HEIGHT}; millions of instructions on a Cortex-A72)",
        "",
        "| by | blocks averaged | halved, then bilinear |",
        "|---|---|---|",
    ]
    for factor in FACTORS:
        cells = [f"{counts[way, factor]:.2f}" for way in WAYS]
        lines.append(f"| {factor} | {' | '.join(cells)} |")
    replace_between(RESULTS, MARKERS, "\n".join(lines))
    print("\n".join(lines))


def average_blocks(frame: Image, factor: int) -> Image:
    """The mean of every block of so many pixels squared."""
    height, width = HEIGHT // factor, WIDTH // factor
    whole = frame[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def halve(frame: Image, factor: int) -> Image:
    """The runtime's way, with its padding to a working size."""
    return prepare(frame, WIDTH // factor).image


WAYS: Final[dict[str, Callable[[Image, int], Image]]] = {"blocks": average_blocks, "halves": halve}
Cost = dict[tuple[str, int], float]


def make_frame() -> Image:
    """Pixels at random: what they show does not matter."""
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)


def run_marked() -> None:
    """In the emulated Python: a mark before and after the second call of each way."""
    frame = make_frame()
    for factor in FACTORS:
        for way in WAYS.values():
            way(frame, factor)
            os.getppid()
            way(frame, factor)
            os.getppid()


def count(folder: Path) -> Cost:
    """Millions of instructions of each way and factor.

    Raises:
        BenchmarkError: the emulated run fails.
    """
    with tempfile.TemporaryDirectory() as work:
        marks = Path(work) / "marks.txt"
        done = Emulator(folder, "pi4").run("-m", "benchmarks.arm.shrinking", GUEST, marks=marks)
        if done.returncode:
            raise BenchmarkError(f"the emulated run failed ({done.returncode})")
        rows = [int(line.split()[0]) for line in marks.read_text().splitlines()]
    calls = [(way, factor) for factor in FACTORS for way in WAYS]
    return {call: row / 1e6 for call, row in zip(calls, rows[1::2], strict=True)}


if __name__ == "__main__":
    main()
