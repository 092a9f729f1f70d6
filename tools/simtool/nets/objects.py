"""`things`: where things of the user's own classes are, on whole scenes at once.

The trunk looks at a window of 65 x 65 pixels around every fourth pixel and ends in ReLU maps F; the
head says, from F at that place alone, which class has the core of a thing there, or "nothing". The
answer at the middle of a crop names the crop.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from torch import nn

from simtool.data.dataset import Variant
from simtool.data.labels import NOTHING
from simtool.nets.base import NetSpec, SplitNet
from simtool.nets.blocks import Residual, initialise

CROP: Final = 65
"""Side of a crop: the receptive field."""
_CHANNELS: Final = (16, 24, 24)
_DILATIONS: Final = (1, 2, 2, 1)
"""Of the blocks; small ones last, so that no grid is left in F."""


def things(variant: Variant) -> SplitNet:
    """The network for these classes; about 28k weights.

    The trunk maps (N, C, H, W) to (N, 24, ceil(H / 4), ceil(W / 4)); the linear head maps that to
    logits (N, classes, h, w).
    """
    first, second, last = _CHANNELS
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(variant.channels, first, 5, stride=2, padding=2),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(first, second, 3, stride=2, padding=1),
        relu2=nn.ReLU(),
        conv3=nn.Conv2d(second, last, 3, padding=1),
        relu3=nn.ReLU(),
    )
    for number, dilation in enumerate(_DILATIONS, 1):
        conv = nn.Conv2d(last, last, 3, padding=dilation, dilation=dilation)
        layers[f"block{number}"] = Residual(conv)
    spec = NetSpec(
        name="things",
        classes=variant.classes,
        layer=f"trunk.block{len(_DILATIONS)}",
        crop_size=CROP,
        channels=variant.channels,
        target="thing",
        export_padding="same",
        background=NOTHING,
        both_polarities=True,
    )
    head = nn.Sequential(nn.Conv2d(last, len(variant.classes), 1))
    net = SplitNet(spec, nn.Sequential(layers), head)
    net.apply(initialise)
    return net
