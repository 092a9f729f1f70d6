"""A small classifier of single characters, for the hotspots that a localizer found."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from torch import nn

from simtool.data.labels import CHARACTERS
from simtool.nets.base import NetSpec, SplitNet

SPEC: Final = NetSpec(
    name="characters",
    classes=tuple(CHARACTERS),
    layer="trunk.relu3",
    crop_size=28,
    export_padding="same",
)


def characters() -> SplitNet:
    """Crops (N, 1, 28, 28) of bright ink on dark -> logits (N, 36); 23.7k weights, 95 KB."""
    trunk = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, 5, stride=2, padding=2),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(16, 24, 3, padding=1),
            relu2=nn.ReLU(),
            conv3=nn.Conv2d(24, 32, 3, stride=2, padding=1),
            relu3=nn.ReLU(),
        )
    )
    head = nn.Sequential(
        OrderedDict(
            narrow=nn.Conv2d(32, 7, 1),
            relu4=nn.ReLU(),
            flatten=nn.Flatten(),
            linear=nn.Linear(7 * 7 * 7, len(CHARACTERS)),
        )
    )
    return SplitNet(SPEC, trunk, head)
