"""Milliseconds on a Raspberry Pi 4 and 5, estimated from counted instructions: no board was used.

    python -m benchmarks.arm.estimate

Networks of published latency give each board's rate in instructions a second and core. Their
instructions are their multiplications times what `count.py` found a multiplication to cost in the
networks that it counted. A call's time is its instructions over the rate, on one core. What memory
takes is in the published latencies, and so in the rates; bytes are not counted on their own.

The rates of one board differ by as much as a factor of three, so an estimate is the geometric
middle of what they give, and its range is theirs. Peers are estimated in the same way: a ratio of
two of them is that of their instructions, and far surer than a time.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.console import one_line_errors
from benchmarks.harness.publish import replace_between, require_markers

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE.parent / "RESULTS.md"
MARKERS: Final = "estimate"
LANES: Final = 4
"""Multiplications of one SIMD instruction: float32 in 128 bits."""


@dataclass(frozen=True)
class Published:
    """A network's latency on a board, all four cores at work, as somebody published it."""

    board: str
    network: str
    engine: str
    gmac: float
    """Multiplications of a call in 1e9."""
    ms: float
    source: str

    def rate(self, per_mac: float) -> float:
        """Instructions in 1e9 a second and core, were the work shared without loss."""
        return self.gmac * per_mac / (self.ms / 1000 * CORES)


CORES: Final = 4
PUBLISHED: Final = (
    # Its multiplications are those of the count at 320x240, times 4.
    Published("Pi 4", "en PP-OCRv3 640x480", "OpenCV", 1.68, 323.5, "opencv_zoo benchmark"),
    Published("Pi 4", "MobileNetV1 224", "OpenCV", 0.569, 64.2, "opencv_zoo benchmark"),
    Published("Pi 4", "MobileNetV1 224", "ncnn", 0.569, 72.1, "Tencent/ncnn#3485"),
    Published("Pi 4", "ResNet-18 224", "ncnn", 1.82, 176.2, "Tencent/ncnn#3485"),
    Published("Pi 5", "YOLO11n 640", "ONNX Runtime", 3.25, 168.1, "ultralytics, Raspberry Pi"),
    Published("Pi 5", "YOLOX-Nano 416", "ONNX Runtime", 0.54, 46.9, "visionanalysis.org"),
    Published("Pi 5", "YOLOX-Tiny 416", "ONNX Runtime", 3.23, 106.4, "visionanalysis.org"),
    Published("Pi 5", "YOLOX-S 640", "ONNX Runtime", 13.4, 400.0, "visionanalysis.org"),
)
BOARDS: Final = ("Pi 4", "Pi 5")


@dataclass(frozen=True)
class Estimate:
    """Milliseconds of a call: the middle of what the published networks give, and their range."""

    middle: float
    least: float
    most: float


@one_line_errors("estimate")
def main() -> None:
    """Read the counts, estimate, and write the table."""
    require_markers(RESULTS, MARKERS)
    record = json.loads((HERE / "instructions.json").read_text(encoding="utf-8"))
    text = to_markdown(record)
    replace_between(RESULTS, MARKERS, text)
    print(text)


def instructions_per_mac(calls: Sequence[Mapping[str, Any]]) -> float:
    """Median over counted networks; nearly all of their SIMD instructions multiply."""
    parts = [call["stages"]["infer"] for call in calls]
    return float(statistics.median(part["total"] / (LANES * part["simd"]) for part in parts))


def estimate(millions: float, board: str, per_mac: float) -> Estimate:
    """Time of so many million instructions on one core of a board."""
    rates = [one.rate(per_mac) for one in PUBLISHED if one.board == board]
    times = [millions / rate for rate in rates]
    return Estimate(math.exp(statistics.fmean(map(math.log, times))), min(times), max(times))


def to_markdown(record: Mapping[str, Any]) -> str:
    """The command, the rates and the table."""
    calls = record["calls"]
    per_mac = instructions_per_mac(calls)
    lines = [
        "`python -m benchmarks.arm.estimate`",
        "",
        f"({record['date']}'s counts; {per_mac:.2f} instructions a multiplication, the median of "
        "the networks counted. An estimate, no board was used; one core.)",
        "",
        "| published | network | engine | ms on 4 cores | 1e9 instructions a second and core |",
        "|---|---|---|---|---|",
    ]
    for one in PUBLISHED:
        rate = f"{one.rate(per_mac):.2f}"
        where = f"{one.board}: {one.source}"
        lines.append(f"| {where} | {one.network} | {one.engine} | {one.ms:g} | {rate} |")
    heads = [f"{board}: ms (range)" for board in BOARDS]
    lines += ["", f"| detector | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for call in calls:
        guesses = [estimate(call["call"]["total"], board, per_mac) for board in BOARDS]
        cells = [f"{g.middle:.0f} ({g.least:.0f} to {g.most:.0f})" for g in guesses]
        lines.append(f"| {call['name']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
