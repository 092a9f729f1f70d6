"""Milliseconds on a Raspberry Pi 4 and 5, estimated from counted instructions: no board was used.

Networks of published latency give each board's rate in instructions a second and core. Their
instructions are their multiplications times what `count` found a multiplication to cost in the
networks that it counted. A call's time is its instructions over the rate, on one core. What memory
takes is in the published latencies, and so in the rates; bytes are not counted on their own. The
published networks ran on four cores, as if those shared the work without loss, so that one core is
rather faster than this.

The rates of one board differ by as much as a factor of three, so an estimate is the geometric
middle of what they give, and its range is theirs. Peers are estimated in the same way: a ratio of
two of them is that of their instructions, and far surer than a time.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

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

    def __str__(self) -> str:
        """As a table's cell."""
        return f"{self.middle:.0f} ({self.least:.0f} to {self.most:.0f})"


def instructions_per_mac(calls: Sequence[Mapping[str, Any]]) -> float:
    """Median over counted networks; nearly all of their SIMD instructions multiply."""
    parts = [call["stages"]["infer"] for call in calls]
    return float(statistics.median(part["total"] / (LANES * part["simd"]) for part in parts))


def estimate(millions: float, board: str, per_mac: float) -> Estimate:
    """Time of so many million instructions on one core of a board."""
    rates = [one.rate(per_mac) for one in PUBLISHED if one.board == board]
    times = [millions / rate for rate in rates]
    return Estimate(math.exp(statistics.fmean(map(math.log, times))), min(times), max(times))
