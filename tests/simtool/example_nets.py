"""Small networks of the kinds that people bring: each builds in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """A residual block that adds in place and uses one ReLU twice, as torchvision's does."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels == out
            else nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, channels: int = 3, classes: int = 4, width: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, 1, 1)
        self.layer1 = nn.Sequential(Block(width, width), Block(width, width))
        self.layer2 = nn.Sequential(Block(width, 2 * width, 2), Block(2 * width, 2 * width))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(F.relu(self.stem(x))))
        x = self.avgpool(x)
        return self.fc(x.view(x.size(0), -1))


class Branching(nn.Module):
    """Two branches behind one layer, and a third around it."""

    def __init__(self, channels: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 6, 3, 1, 1)
        self.left = nn.Conv2d(6, 4, 1)
        self.right = nn.Conv2d(6, 4, 3, 1, 1, groups=2)
        self.around = nn.Conv2d(channels, 4, 1)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(12, classes)

    def forward(self, x: Tensor) -> Tensor:
        f = torch.relu(self.stem(x))
        parts = [F.relu(self.left(f)), F.silu(self.right(f)), self.around(x)]
        return self.fc(self.drop(torch.cat(parts, 1).mean((2, 3))))


class Depthwise(nn.Module):
    """Separable convolutions with squeeze and excitation."""

    def __init__(self, channels: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU6(True)
        )
        self.depth = nn.Conv2d(6, 6, 3, 1, 1, groups=6)
        self.squeeze = nn.Conv2d(6, 6, 1)
        self.point = nn.Conv2d(6, 5, 1)
        self.fc = nn.Linear(5, classes)

    def forward(self, x: Tensor) -> Tensor:
        f = F.hardswish(self.depth(self.stem(x)))
        f = f * torch.sigmoid(self.squeeze(F.adaptive_avg_pool2d(f, 1)))
        return self.fc(torch.flatten(F.relu(self.point(f)).amax((2, 3)), 1))


class Vgg(nn.Module):
    """Convolutions and a head of fully connected layers, with dropout."""

    def __init__(self, channels: int = 3, classes: int = 4, side: int = 8) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2)),
            *(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2)),
        )
        self.classifier = nn.Sequential(
            *(nn.Linear(6 * (side // 4) ** 2, 9), nn.ReLU(True), nn.Dropout()),
            nn.Linear(9, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


class Untraceable(nn.Module):
    """Decides by a value of a tensor what to compute."""

    def __init__(self, channels: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 5, 3, padding=1)
        self.fc = nn.Linear(5, classes)

    def forward(self, x: Tensor) -> Tensor:
        f = torch.relu(self.conv(x))
        if float(f.sum()) < 0:
            f = -f
        return self.fc(f.mean((2, 3)))


class InPlace(nn.Module):
    """Writes in place on both sides of the second layer."""

    def __init__(self, write: Callable[[Tensor], object], used: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 5, 3, padding=1)
        self.conv2 = nn.Conv2d(5, 6, 3, stride=2, padding=1)
        self.fc = nn.Linear(6, 4)
        self.write = write
        self.used = used

    def forward(self, x: Tensor) -> Tensor:
        x = self.written(self.conv1(x))
        x = self.written(self.conv2(x))
        return self.fc(x.mean((2, 3)))

    def written(self, x: Tensor) -> Tensor:
        result = self.write(x)
        return result if self.used and isinstance(result, Tensor) else x


def _slice_to_zero(x: Tensor) -> None:
    x[:, 0] = 0


def _through_a_view(x: Tensor) -> None:
    x[:, :2].mul_(-3)


def _by_another_name(x: Tensor) -> None:
    y = x
    y += 1


def _through_data(x: Tensor) -> None:
    x.data.neg_()


IN_PLACE: Final[dict[str, Callable[[Tensor], object]]] = {
    "module": nn.ReLU(inplace=True),
    "hardtanh": nn.Hardtanh(-0.1, 0.1, inplace=True),
    "elu": nn.ELU(inplace=True),
    "leaky": nn.LeakyReLU(0.5, inplace=True),
    "sequence": nn.Sequential(nn.SiLU(inplace=True), nn.Dropout(0.5, inplace=True)),
    "method": lambda x: x.relu_(),
    "function": torch.relu_,
    "functional": lambda x: F.relu(x, inplace=True),
    "functional, by position": lambda x: F.elu(x, 1.0, True),
    "functional_": lambda x: F.leaky_relu_(x, 0.3),
    "add": lambda x: x.add_(1),
    "multiply": lambda x: x.mul_(-2),
    "clamp": lambda x: x.clamp_(max=0.1),
    "copy": lambda x: x.copy_(x.flip(1)),
    "zero": lambda x: x.zero_(),
    "fill": lambda x: x.masked_fill_(x < 0, 0.5),
    "out": lambda x: torch.add(x, 1, out=x),
    "slice": _slice_to_zero,
    "view": _through_a_view,
    "flat view": lambda x: x.view(x.size(0), -1).neg_(),
    "transposed": lambda x: x.transpose(1, 2).clamp_(min=0),
    "other name": _by_another_name,
    "data": _through_data,
    "chunk": lambda x: x.chunk(2, 1)[0].abs_(),
}
"""Ways of writing in place, as statements."""


def settled(model: nn.Module) -> nn.Module:
    """The model in evaluation mode, its batch norms having seen some data."""
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(16, 3, 8, 8))
    return model.eval()


def resnet() -> nn.Module:
    """A factory such as --model names."""
    return ResNet()


def untraceable() -> nn.Module:
    """A factory of a network that torch.fx cannot trace."""
    return Untraceable()
