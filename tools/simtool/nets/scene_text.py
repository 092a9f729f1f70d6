"""`scene-text`: a small classifier of windows, applied to whole scenes at once.

The trunk looks at a window of 225 x 225 pixels around every fourth pixel and ends in ReLU maps F;
the head says, from F at that place alone, whether text stands there. F is what the ablation blocks,
filter by filter, and what the exported localizer sums up.

Strokes are told at every fourth pixel, what stands around them at every eighth: that costs a sixth
less than six dilated blocks of one resolution, and finds more.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from torch import nn

from simtool.data.labels import NO_TEXT, STRIDE, TEXT_CLASSES
from simtool.nets.base import NetSpec, SplitNet
from simtool.nets.blocks import Context, Residual, initialise

CHANNELS: Final = 16
"""Of the maps at every fourth pixel."""
CONTEXT_CHANNELS: Final = 24
"""Of those at every eighth."""
DILATIONS: Final = (1, 2, 4, 4, 1)
"""Of the blocks there. They grow by no more than a factor of two and end in a small one: a large
dilation last leaves a grid of its own period in F."""

SPEC: Final = NetSpec(
    name="scene-text",
    classes=TEXT_CLASSES,
    layer="trunk.detail",
    crop_size=9 + 2 * STRIDE * (3 + 2 * sum(DILATIONS)),
    export_padding="same",
    background=NO_TEXT,
    both_polarities=True,
    half_trunk=True,
)


def scene_text(hidden: tuple[int, ...] = ()) -> SplitNet:
    """The network: 37.7k weights, 0.27 GMAC at 640x480.

    The trunk maps (N, 1, H, W) to (N, 16, ceil(H / 4), ceil(W / 4)); the head maps that to logits
    (N, 2, h, w). A classifier of single windows would take crops of the
    receptive field, 225 pixels.

    Args:
        hidden: widths of the head's hidden 1x1 layers; none makes the head linear.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(1, CHANNELS, 5, stride=2, padding=2),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1),
        relu2=nn.ReLU(),
        context=Context(CHANNELS, CONTEXT_CHANNELS, DILATIONS),
        detail=Residual(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)),
    )
    net = SplitNet(SPEC, nn.Sequential(layers), make_head(hidden, len(SPEC.classes)))
    net.apply(initialise)
    return net


def make_head(hidden: tuple[int, ...], classes: int) -> nn.Sequential:
    """1x1 convolutions from F to logits (N, classes, h, w)."""
    layers: list[nn.Module] = []
    width = CHANNELS
    for out in hidden:
        layers += [nn.Conv2d(width, out, 1), nn.ReLU()]
        width = out
    return nn.Sequential(*layers, nn.Conv2d(width, classes, 1))
