"""How often a classifier is right, overall and per class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from simtool.data import LabelledImages
from simtool.data.labels import IGNORE
from simtool.data.tensors import to_tensors
from simtool.distributed import ALONE, Peers
from simtool.nets.layers import evaluating

_PIXELS_AT_ONCE: Final = 2**21
"""Bounds the memory."""


@dataclass(frozen=True)
class Accuracy:
    """Fractions of images, or labelled positions, classified rightly, 0 to 1."""

    overall: float
    per_class: tuple[float | None, ...]
    """None for a class without any."""


def measure_accuracy(
    net: nn.Module, data: LabelledImages, batch: int = 1000, peers: Peers = ALONE
) -> Accuracy:
    """Classify every image, or every labelled position of them, shared by the processes.

    In evaluation mode, which is restored.
    """
    batch = max(1, min(batch, _PIXELS_AT_ONCE // (data.images.shape[2] * data.images.shape[3])))
    counts = torch.zeros(len(data.classes), dtype=torch.float64)
    mine = peers.part(len(data))
    with evaluating(net), torch.inference_mode():
        for start in range(mine.start, mine.stop, batch):
            images, labels = to_tensors(data, np.arange(start, min(start + batch, mine.stop)))
            hits = labels[net(images).argmax(1) == labels]
            counts += torch.bincount(hits, minlength=len(counts))
    right = peers.reduce_sum(counts).numpy()
    counted = data.labels[data.labels != IGNORE]
    totals = np.bincount(counted, minlength=len(right))
    return Accuracy(
        overall=float(right.sum() / len(counted)),
        per_class=tuple(float(r / n) if n else None for r, n in zip(right, totals, strict=True)),
    )
