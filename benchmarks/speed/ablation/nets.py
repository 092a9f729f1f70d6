"""The networks of the benchmark: freshly initialised, since speed does not depend on training."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut (He et al., arXiv 1512.03385)."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        """Halve the picture where `stride` is 2."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, out, H / stride, W / stride)."""
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += self.shortcut(x)
        answer: Tensor = self.relu(out)
        return answer


def resnet(filters: int = 512, classes: int = 100) -> nn.Module:
    """ResNet-18's layers: by default 512 filters at 7x7 for 224x224 pixels."""
    torch.manual_seed(0)
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    stages: list[nn.Module] = []
    channels = 64
    for out, stride in ((64, 1), (128, 2), (256, 2), (filters, 2)):
        stages += [Block(channels, out, stride), Block(out, out, 1)]
        channels = out
    body = nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), *stages)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(filters, classes))
    net = nn.Sequential()
    net.add_module("body", body)
    net.add_module("head", head)
    return net.eval()


def vgg(filters: int = 512, classes: int = 100) -> nn.Module:
    """A VGG of one convolution a stage, with a wide head: by default 512 filters at 7x7."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels = 3
    for out in (32, 64, 128, 256, filters):
        layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        channels = out
    head = nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(filters * 7 * 7, 1024), nn.ReLU(inplace=True), nn.Dropout()),
        *(nn.Linear(1024, 1024), nn.ReLU(inplace=True), nn.Dropout()),
        nn.Linear(1024, classes),
    )
    net = nn.Sequential()
    net.add_module("body", nn.Sequential(*layers))
    net.add_module("head", head)
    return net.eval()
