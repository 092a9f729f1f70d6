"""A reader of strips: fully convolutional, from one line of text to the logits of CTC.

The contrast is set by the network itself; then three strided convolutions and a residual one at
each resolution, a fold of the remaining rows into one, and residual convolutions along the line,
dilated, for what stands beside a character.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from simtool.data.labels import STRIPS

CHANNELS: Final = (16, 48, 80)
"""Of the maps at 1/2, at 1/4, and at 1/8 of the height by 1/4 of the width."""
LINE_CHANNELS: Final = 96
"""Of the one row that these are folded into."""
DILATIONS: Final = (1, 2, 4, 8)
_LEAST_SPREAD: Final = 4.0
"""Standard deviation in grey levels below which contrast is not raised further."""


class Normalise(nn.Module):
    """Each strip's mean to 0 and its standard deviation to 1, so far as it has any."""

    def forward(self, strips: Tensor) -> Tensor:
        """(N, 1, H, W) of any numeric type to float."""
        levels = strips.to(torch.get_default_dtype())
        pixels = levels.shape[2] * levels.shape[3]
        # Sums, because ONNX's mean over axes needs a later opset.
        centred = levels - levels.sum((2, 3), keepdim=True) / pixels
        variance = (centred * centred).sum((2, 3), keepdim=True) / pixels
        return centred / torch.sqrt(variance + _LEAST_SPREAD**2)


class Conv(nn.Module):
    """Convolution and batch normalisation; the latter is folded away for export."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        dilation: int = 1,
        *,
        fold: bool = False,
    ) -> None:
        """`dilation` is along the line; `fold` leaves the rows unpadded."""
        super().__init__()
        padding = (0 if fold else kernel[0] // 2, kernel[1] // 2 * dilation)
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding, dilation=(1, dilation), bias=False
        )
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """No activation."""
        out: Tensor = self.norm(self.conv(maps))
        return out


class Residual(nn.Module):
    """relu(x + conv(x))."""

    def __init__(self, channels: int, kernel: tuple[int, int], dilation: int = 1) -> None:
        """As many channels out as in."""
        super().__init__()
        self.body = Conv(channels, channels, kernel, dilation=dilation)

    def forward(self, maps: Tensor) -> Tensor:
        """Of the same shape."""
        return torch.relu(maps + self.body(maps))


class Reader(nn.Module):
    """Strips (N, 1, H, W), of any numeric type, to logits (N, W / 4, C); 274k weights.

    H is `STRIPS.height`, and C the characters of `STRIPS.alphabet` after the blank.
    """

    def __init__(self) -> None:
        """With random weights."""
        super().__init__()
        first, second, third = CHANNELS
        self.normalise = Normalise()
        self.trunk = nn.Sequential(
            OrderedDict(
                conv1=Conv(1, first, (5, 5), (2, 2)),
                relu1=nn.ReLU(),
                conv2=Conv(first, second, (3, 3), (2, 2)),
                relu2=nn.ReLU(),
                detail=Residual(second, (3, 3)),
                conv3=Conv(second, third, (3, 3), (2, 1)),
                relu3=nn.ReLU(),
                shape=Residual(third, (3, 3)),
                fold=Conv(third, LINE_CHANNELS, (STRIPS.height // 8, 1), fold=True),
                relu4=nn.ReLU(),
            )
        )
        self.line = nn.Sequential(*(Residual(LINE_CHANNELS, (1, 3), d) for d in DILATIONS))
        self.head = nn.Conv2d(LINE_CHANNELS, len(STRIPS.characters), 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(self.head.weight)
        # The trunk is faster so; of dilated bfloat16 convolutions the gradients would be NaN.
        self.trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, strips: Tensor) -> Tensor:
        """(N, T, C) float."""
        maps = self.trunk(self.normalise(strips))
        logits: Tensor = self.head(self.line(maps.contiguous()))
        return logits.squeeze(2).transpose(1, 2)


def folded(net: Reader) -> Reader:
    """A copy for inference: batch normalisation is part of the convolutions."""
    copied = copy.deepcopy(net).eval()
    for module in copied.modules():
        if isinstance(module, Conv):
            if not isinstance(module.norm, nn.BatchNorm2d):
                raise TypeError("the reader is folded already")
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()
    return copied
