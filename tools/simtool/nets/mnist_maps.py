"""Small fully convolutional networks for class-specific maps: one cell of F sees one digit."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from torch import Tensor, nn

from simtool.data.labels import NOTHING
from simtool.nets.base import NetSpec, SplitNet

SPEC: Final = NetSpec(
    name="maps",
    classes=(*"0123456789", NOTHING),
    layer="trunk.relu5",
    crop_size=33,
    background=NOTHING,
    subtract_background=False,
)
_CHANNELS: Final = (12, 16, 16, 16, 24)
"""Of the five convolutions: few, so that a bundle stays small."""
_HIDDEN: Final = 32


class CellAverage(nn.Module):
    """Logits of the cells, (N, C, h, w), averaged to those of the image, (N, C)."""

    def forward(self, cells: Tensor) -> Tensor:
        """The mean over cells."""
        # Not .mean(): opset 17, which the bundles keep to, cannot express what it is exported as.
        return cells.sum((2, 3)) / (cells.shape[2] * cells.shape[3])


def maps() -> SplitNet:
    """Five convolutions, stride 4, receptive field 33, a linear head on averaged maps.

    No convolution pads: an image of 33x33, MNIST's 28 pixels and a little of what is around,
    gives a single cell, and a larger one the answers of all its windows.
    """
    head = nn.Sequential(
        OrderedDict(
            read=nn.Conv2d(_CHANNELS[-1], len(SPEC.classes), 1),
            average=CellAverage(),
        )
    )
    return SplitNet(SPEC, _trunk(), head)


def maps_deep() -> SplitNet:
    """The same with a hidden layer in the head: the case that CAM is not defined for."""
    head = nn.Sequential(
        OrderedDict(
            hidden=nn.Conv2d(_CHANNELS[-1], _HIDDEN, 1),
            relu=nn.ReLU(),
            read=nn.Conv2d(_HIDDEN, len(SPEC.classes), 1),
            average=CellAverage(),
        )
    )
    return SplitNet(replace(SPEC, name="maps-deep"), _trunk(), head)


def _trunk() -> nn.Sequential:
    """Strided instead of pooled; (N, 1, H, W) -> (N, 24, (H - 33) // 4 + 1, (W - 33) // 4 + 1)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before = 1
    for number, channels in enumerate(_CHANNELS, start=1):
        kernel, stride = (5, 2) if number == 1 else (3, 2 if number == 2 else 1)
        layers[f"conv{number}"] = nn.Conv2d(before, channels, kernel, stride=stride)
        layers[f"relu{number}"] = nn.ReLU()
        before = channels
    return nn.Sequential(layers)
