"""The graphs of a bundle as PyTorch modules: image to H, and crops to logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Polarity = Literal["bright", "dark", "both"]


@dataclass(frozen=True)
class Readout:
    """H = (w F - bias) / scale, a row of w a channel."""

    weights: Tensor
    """(channels, K)"""
    bias: Tensor
    """(channels,)"""
    scale: Tensor
    """(channels,), above 0"""
    squash: bool = False
    """Whether a sigmoid follows, so that H lies between 0 and 1."""


class LocalizerGraph(nn.Module):
    """Image (N, C, H, W) uint8 -> heatmap (N, channels, h, w) float32.

    Without the sigmoid H is left unclipped: it is the paper's weighted sum up to an affine, 1 at
    the strong responses of the training data, and clipping would only hide how far above that a
    place is. A sigmoid is monotonous: it moves no threshold's region, but means over regions.
    """

    unit: Tensor | None
    """What a pixel is multiplied by before the trunk; None where its weights hold that."""

    def __init__(self, trunk: nn.Module, readout: Readout, polarity: Polarity) -> None:
        """Fold weights, bias and scale into a final 1x1 convolution.

        Args:
            trunk: as `simtool.export.trunk.transform_trunk` made it.
            readout: weights and affine.
            polarity: `bright` or `dark` text, or the greater answer of `both`.
        """
        super().__init__()
        self.trunk = trunk
        self.polarity = polarity
        self.squash = readout.squash
        rows, filters = readout.weights.shape
        self.readout = nn.Conv2d(filters, rows, kernel_size=1)
        folded = readout.weights / readout.scale[:, None]
        with torch.no_grad():
            self.readout.weight.copy_(folded[:, :, None, None])
            self.readout.bias.copy_(-readout.bias / readout.scale)  # type: ignore[union-attr]
        self.register_buffer("unit", torch.tensor(1 / 255))
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """The heatmap."""
        pixels = image.to(self.readout.weight.dtype)
        scaled = pixels if self.unit is None else pixels * self.unit
        if self.polarity == "bright":
            return self.respond(scaled)
        if self.polarity == "dark":
            return self.respond(1 - scaled)
        return torch.maximum(self.respond(scaled), self.respond(1 - scaled))

    def respond(self, scaled: Tensor) -> Tensor:
        """H of bright text in an image (N, C, H, W) in [0, 1]."""
        heatmap: Tensor = self.readout(self.trunk(scaled))
        return torch.sigmoid(heatmap) if self.squash else heatmap


class ClassifierGraph(nn.Module):
    """Crops (N, C, S, S) uint8 -> logits (N, classes) float32."""

    unit: Tensor

    def __init__(self, net: nn.Module, labels: int) -> None:
        """Put the scaling to [0, 1] before a classifier; keep the first `labels` logits."""
        super().__init__()
        self.net = net
        self.labels = labels
        self.register_buffer("unit", torch.tensor(1 / 255))
        self.eval()

    def forward(self, crops: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.net(crops.to(torch.float32) * self.unit)
        if logits.ndim == 4:  # of every window of the crop: the middle one looks at all of it
            logits = logits[:, :, logits.shape[2] // 2, logits.shape[3] // 2]
        # A slice that keeps all would still be a node of the graph.
        return logits if logits.shape[1] == self.labels else logits[:, : self.labels]
