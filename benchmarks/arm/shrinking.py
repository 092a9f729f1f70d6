"""What it costs to shrink a frame: by halving, as the runtime does, against averages over blocks.

    bash benchmarks/arm/setup.sh FOLDER                   # once
    python -m benchmarks.arm.shrinking FOLDER

A grey frame of 1280x960, by whole factors, on an emulated Cortex-A72. Writes a table to
benchmarks/RESULTS.md.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.arm.calls import GUEST, count_calls, mark_calls
from benchmarks.arm.emulator import Emulator
from benchmarks.harness.console import make_parser, one_line_errors
from benchmarks.harness.publish import replace_between, require_markers
from simrun.images.read import Image
from simrun.localization.preprocess import prepare

RESULTS: Final = Path(__file__).parents[1] / "RESULTS.md"
MARKERS: Final = "shrinking"
HEIGHT, WIDTH = 960, 1280
FACTORS: Final = (2, 3, 4, 5, 8)


@one_line_errors("shrinking")
def main() -> None:
    """Count and write."""
    cv2.setNumThreads(1)
    if sys.argv[1:] == [GUEST]:
        mark_calls(partial(way, make_frame(), factor) for factor, way in CALLS)
        return
    parser = make_parser(__doc__)
    parser.add_argument("emulator", type=Path, help="folder that setup.sh filled")
    emulator: Path = parser.parse_args().emulator
    require_markers(RESULTS, MARKERS)
    counts = count_calls(Emulator(emulator, "pi4"), "benchmarks.arm.shrinking")
    cost = dict(zip(CALLS, counts, strict=True))
    lines = [
        "`python -m benchmarks.arm.shrinking FOLDER`",
        "",
        f"(a grey frame of {WIDTH}x{HEIGHT}; millions of instructions on a Cortex-A72)",
        "",
        "| by | blocks averaged | halved, then bilinear |",
        "|---|---|---|",
    ]
    for factor in FACTORS:
        cells = [f"{cost[factor, way]:.2f}" for way in WAYS]
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


WAYS: Final = (average_blocks, halve)
CALLS: Final = tuple((factor, way) for factor in FACTORS for way in WAYS)


def make_frame() -> Image:
    """Pixels at random: what they show does not matter."""
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)


if __name__ == "__main__":
    main()
