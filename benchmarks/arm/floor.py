"""The least SIMD instructions on arm64 that a network of ours could take.

A SIMD instruction multiplies four float32, so a network cannot take fewer of them than a quarter of
its multiplications. Those are counted on the network as it was trained, run in PyTorch. Networks
whose polarities share one first convolution come below that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.arm.estimate import LANES
from simrun.bundle.load import Bundle, load_bundle
from simrun.localization.preprocess import prepare
from simtool.export.ablated_model import open_ablated
from simtool.export.trunk import transform_trunk


def least_simd(bundle: str, side: int, frame: tuple[int, int]) -> float:
    """Millions of instructions of a bundle's network for frames of (width, height) pixels."""
    width, height = frame
    size = prepare(np.zeros((height, width), np.uint8), side).image.shape[2:]
    return multiplications(load_bundle(bundle), size) / LANES / 1e6


def multiplications(bundle: Bundle, size: tuple[int, ...]) -> int:
    """Of all convolutions for an image (h, w), as trained, with the readout; twice for both
    polarities where the network does not answer to both.
    """
    net = open_ablated(bundle.path).checkpoint.build()
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
