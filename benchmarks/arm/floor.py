"""How far our networks' SIMD instructions on arm64 are above the least that could be.

    python -m benchmarks.arm.floor

A SIMD instruction multiplies four float32, so a network cannot take fewer of them than a quarter of
its multiplications. Those are counted on the network as it was trained, run in PyTorch at the
working size of the frames of `count.py`; the instructions are those of instructions.json, which
must be of the shipped bundles. Writes a table to benchmarks/RESULTS.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.arm.count import FRAME_SIZE, HERE
from benchmarks.arm.estimate import LANES
from benchmarks.harness.console import BenchmarkError, one_line_errors
from benchmarks.harness.publish import RESULTS, replace_between, require_markers
from simrun.bundle.load import Bundle, load_bundle
from simrun.localization.preprocess import prepare
from simtool.export.heatmap_graph import transform_trunk
from simtool.export.origin import open_origin

MARKERS: Final = "floor"


@one_line_errors("floor")
def main() -> None:
    """Count the multiplications, and write the table."""
    require_markers(RESULTS, MARKERS)
    record = json.loads((HERE / "instructions.json").read_text(encoding="utf-8"))
    rows = [to_row(call) for call in record["calls"] if call["ours"]]
    text = "\n".join(
        [
            "`python -m benchmarks.arm.floor`",
            "",
            f"({record['date']}'s counts, {record['core']}; millions, of the network alone)",
            "",
            "| network | working size | instructions | SIMD | multiplications / 4 "
            "| SIMD over that |",
            "|---|---|---|---|---|---|",
            *rows,
        ]
    )
    replace_between(RESULTS, MARKERS, text)
    print(text)


def to_row(call: Mapping[str, Any]) -> str:
    """A line of the table.

    Raises:
        BenchmarkError: the counts are of another bundle than the shipped one.
    """
    bundle = load_bundle(call["name"].split(" @ ")[0])
    if bundle.sha256 != call["sha256"]:
        raise BenchmarkError(
            f"the counts of {call['name']} are of another bundle; run count.py again"
        )
    width, height = FRAME_SIZE
    size = prepare(np.zeros((height, width), np.uint8), call["side"]).image.shape[2:]
    counts, least = call["stages"]["infer"], multiplications(bundle, size) / LANES / 1e6
    return (
        f"| {call['name']} | {size[1]}x{size[0]} | {counts['total']:.1f} | {counts['simd']:.1f} "
        f"| {least:.1f} | {counts['simd'] / least:.2f} |"
    )


def multiplications(bundle: Bundle, size: tuple[int, ...]) -> int:
    """Of all convolutions for an image (h, w), as trained, with the readout; twice for both
    polarities where the network does not answer to both.
    """
    net = open_origin(bundle.path).checkpoint.build()
    made = bundle.meta.export
    trunk = transform_trunk(net.export_trunk(), made["pool"], made["padding"])
    total: int = 0

    def add(layer: nn.Module, inputs: Any, output: Tensor) -> None:  # noqa: ANN401 - PyTorch's hook
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        total += output.numel() * layer.weight[0].numel()

    for layer in trunk.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(add)
    with torch.inference_mode():
        maps = trunk(torch.zeros(1, net.spec.channels, *size))
    total += maps.numel() * len(bundle.meta.heatmap_channels)
    runs: int = 2 if bundle.meta.polarity == "both" and not net.spec.both_polarities else 1
    return int(runs * total)


if __name__ == "__main__":
    main()
