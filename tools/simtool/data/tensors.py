"""Pictures and labels as tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from simtool.data import LabelledImages


def to_tensors(data: LabelledImages, indices: np.ndarray) -> tuple[Tensor, Tensor]:
    """Images (n, C, H, W) float32 in [0, 1] and labels (n,) int64 at these indices."""
    images = torch.from_numpy(data.images[indices]).to(torch.float32) / 255
    return images, torch.from_numpy(data.labels[indices])
