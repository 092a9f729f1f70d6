"""Blocks that the fully convolutional networks are built of: each keeps channels and size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """A 3x3 convolution added to its input, then ReLU."""

    def __init__(self, conv: nn.Conv2d) -> None:
        """Wrap a convolution of stride 1 that pads as much as it reaches."""
        super().__init__()
        self.conv = conv
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        result: Tensor = self.relu(self.conv(maps) + maps)
        return result


class Context(nn.Module):
    """What stands around, added to the maps: dilated blocks at half the resolution, then ReLU.

    Two by two cells share an answer, so that a dilation reaches twice as far at a quarter of the
    cost.
    """

    def __init__(self, channels: int, inner: int, dilations: Sequence[int]) -> None:
        """Build it.

        Args:
            channels: of the maps.
            inner: channels at half the resolution.
            dilations: of the blocks there.
        """
        super().__init__()
        # The windows lie in the middle of the cells that share an answer; of an odd size the last
        # have no neighbour.
        self.pad = nn.ZeroPad2d((1, 2, 1, 2))
        self.halve = nn.Conv2d(channels, inner, 4, stride=2)
        self.relu = nn.ReLU()
        self.blocks = nn.Sequential(
            *(Residual(nn.Conv2d(inner, inner, 3, padding=d, dilation=d)) for d in dilations)
        )
        self.back = nn.Conv2d(inner, channels, 1)
        self.reach: Final = 2 + 2 * sum(dilations)
        """Cells that an answer may look at to either side: one side is a cell less."""

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        coarse = self.back(self.blocks(self.relu(self.halve(self.pad(maps)))))
        result: Tensor = self.relu(
            maps + functional.interpolate(coarse, maps.shape[2:], mode="nearest")
        )
        return result


def initialise(module: nn.Module) -> None:
    """He's normal weights; residual branches start at half strength, or their sums grow."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, Residual):
        with torch.no_grad():
            module.conv.weight.mul_(0.5)
