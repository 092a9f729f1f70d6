"""Tiny networks and data: everything here runs in milliseconds."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from simtool.ablation.measure import AblationOptions, Provenance, ablate_cut
from simtool.ablation.partition.choose import cut_network
from simtool.ablation.record import AblationRecord
from simtool.data import LabelledImages
from simtool.data.mnist import CLASSES


def tiny_trunk(filters: int = 5) -> nn.Sequential:
    """Three layers up to the maps F."""
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, filters, 3, padding=1), nn.ReLU()
    )


def tiny_head(filters: int = 5, classes: int = 4) -> nn.Sequential:
    """Average pooling and a linear layer: the head that CAM is defined for."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(filters, classes))


class Halves(nn.Module):
    """A network of two halves, to be ablated where they meet, at "trunk"."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.trunk(images))


def ablate_halves(
    trunk: nn.Module,
    head: nn.Module,
    batches: list[tuple[Tensor, Tensor]],
    provenance: Provenance,
    options: AblationOptions,
) -> AblationRecord:
    """The ablation of the maps between two halves."""
    example = batches[0][0][:2] if batches else torch.zeros(2, 1, 8, 9)
    with torch.inference_mode():
        cut = cut_network(Halves(trunk, head).eval(), "trunk", example, provenance.layer)
    return ablate_cut(cut, batches, provenance, options)


def digits(samples: int, split: str = "train", seed: int = 0) -> LabelledImages:
    """Images (N, 1, 28, 28) of ten easily told classes: a bright row whose place is the class."""
    random = np.random.default_rng(seed)
    labels = np.arange(samples) % 10
    images = random.integers(0, 30, (samples, 1, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[0, 3 + 2 * label : 5 + 2 * label, 6:22] = 255
    return LabelledImages(images, labels.astype(np.int64), CLASSES, split)


def write_idx(folder: Path, data: LabelledImages, prefix: str) -> None:
    """The two IDX files of a split."""
    folder.mkdir(parents=True, exist_ok=True)
    count, _, height, width = data.images.shape
    header = struct.pack(">4I", 2051, count, height, width)
    images = header + data.images.tobytes()
    labels = struct.pack(">2I", 2049, count) + data.labels.astype(np.uint8).tobytes()
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(images)
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(labels)
