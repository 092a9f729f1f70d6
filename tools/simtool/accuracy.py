"""How often a classifier is right, overall and per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from simtool.data import LabelledImages
from simtool.distributed import ALONE, Peers
from simtool.layers import evaluating


@dataclass(frozen=True)
class Accuracy:
    """Fractions of images classified rightly, 0 to 1."""

    overall: float
    per_class: tuple[float | None, ...]
    """None for a class without images."""


def to_tensors(data: LabelledImages, indices: np.ndarray) -> tuple[Tensor, Tensor]:
    """Images (n, C, H, W) float32 in [0, 1] and labels (n,) int64 at these indices."""
    images = torch.from_numpy(data.images[indices]).to(torch.float32) / 255
    return images, torch.from_numpy(data.labels[indices])


def measure_accuracy(
    net: nn.Module, data: LabelledImages, batch: int = 1000, peers: Peers = ALONE
) -> Accuracy:
    """Classify every image, shared by the processes; in evaluation mode, which is restored."""
    counts = torch.zeros(len(data.classes), dtype=torch.float64)
    mine = peers.part(len(data))
    with evaluating(net), torch.inference_mode():
        for start in range(mine.start, mine.stop, batch):
            images, labels = to_tensors(data, np.arange(start, min(start + batch, mine.stop)))
            hits = labels[net(images).argmax(1) == labels]
            counts += torch.bincount(hits, minlength=len(counts))
    right = peers.reduce_sum(counts).numpy()
    totals = np.bincount(data.labels, minlength=len(right))
    return Accuracy(
        overall=float(right.sum() / len(data)),
        per_class=tuple(float(r / n) if n else None for r, n in zip(right, totals, strict=True)),
    )
