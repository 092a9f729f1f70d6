"""The first layers of a graph in a form that costs less and gives the same.

A convolution of the image, ReLU and 2x2 pooling look at every pixel, then throw three quarters of
the answers away. Here the image is taken apart into four planes of half the size (space to depth),
and the convolution answers for the four places of a pooling window as four groups of channels,
whose maximum is the pooled answer. Its inputs are gathered at a quarter of the places.

It is linear, so it answers to the inverted image as well: conv(1 - x) = sum of weights - conv(x).
Both polarities share it; the one takes the greatest of the four answers, the other the least.

ReLU of an answer s and a bias b is max(s, -b) + b; of the inverted image's d - s it is
d - min(s, d). So the limit is one more thing to compare with, and the next convolution takes over
the constant.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import reduce
from typing import Final, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from simtool.export.heatmap_graph import LocalizerGraph

_OFFSETS: Final = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Rows and columns by which the places of a pooling window differ, and the planes of the image."""
_STEM: Final = 4
"""Layers that are replaced: convolution, ReLU, pooling, convolution."""


def with_space_to_depth(graph: LocalizerGraph) -> nn.Module:
    """The graph with its first layers rearranged where they allow it, else the graph itself."""
    return SpaceToDepthGraph(graph) if _begins_with_pooling(graph.trunk) else graph


def _begins_with_pooling(trunk: nn.Module) -> TypeGuard[nn.Sequential]:
    """Whether it begins with an unpadded odd convolution, ReLU, 2x2 pooling and another one."""
    if not isinstance(trunk, nn.Sequential) or len(trunk) < _STEM:
        return False
    conv, relu, pool, following = trunk[0], trunk[1], trunk[2], trunk[3]
    if not (isinstance(conv, nn.Conv2d) and isinstance(relu, nn.ReLU)):
        return False
    plain = (conv.stride, conv.padding, conv.dilation, conv.groups) == ((1, 1), (0, 0), (1, 1), 1)
    # An even kernel would need the last row of an image of odd height, which the planes lack.
    odd = conv.kernel_size[0] == conv.kernel_size[1] and conv.kernel_size[0] % 2 == 1
    # Where zeros pad the pooled answers, a constant is not the same everywhere.
    unpadded = isinstance(following, nn.Conv2d) and following.padding == (0, 0)
    return plain and odd and _halves(pool) and unpadded


def _halves(layer: nn.Module) -> bool:
    """Whether it is plain pooling over windows of 2x2 that do not overlap."""
    if not isinstance(layer, nn.MaxPool2d):
        return False
    windows = layer.kernel_size in (2, (2, 2)) and layer.stride in (2, (2, 2))
    return windows and layer.padding == 0 and layer.dilation == 1


class SpaceToDepthGraph(nn.Module):
    """Image (N, C, H, W) uint8 -> heatmap, as the graph that it is made from."""

    floor: Tensor
    ceiling: Tensor
    bright_bias: Tensor
    dark_bias: Tensor

    def __init__(self, graph: LocalizerGraph) -> None:
        """Take over the layers after the pooling; the convolution before it is arranged anew."""
        super().__init__()
        trunk = graph.trunk
        assert _begins_with_pooling(trunk)
        conv, following = trunk[0], trunk[_STEM - 1]
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(following, nn.Conv2d)
        self.polarity = graph.polarity
        self.squash = graph.squash
        self.following = following
        self.rest = nn.Sequential(OrderedDict(list(trunk.named_children())[_STEM:]))
        self.readout = graph.readout
        with torch.no_grad():
            unit = 1.0 if graph.unit is None else float(graph.unit)
            self.first = _convolution(unit * _window_weights(conv.weight))
            bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
            inverted = bias + conv.weight.sum(dim=(1, 2, 3))
            self.register_buffer("floor", -bias[:, None, None])
            self.register_buffer("ceiling", inverted[:, None, None])
            self.register_buffer("bright_bias", _answer_to(following, bias))
            self.register_buffer("dark_bias", _answer_to(following, inverted))
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """The heatmap."""
        responses = self.first(_planes(image, self.first.weight.dtype))
        # Sizes, since a number of parts is not in the opset that is exported.
        answers = responses.split([responses.shape[1] // len(_OFFSETS)] * len(_OFFSETS), dim=1)
        weights = self.following.weight
        maps = []
        if self.polarity != "dark":
            greatest = reduce(torch.maximum, (*answers, self.floor))
            maps.append(self._finish(greatest, weights, self.bright_bias))
        if self.polarity != "bright":
            least = reduce(torch.minimum, (*answers, self.ceiling))
            maps.append(self._finish(least, -weights, self.dark_bias))
        return reduce(torch.maximum, maps)

    def _finish(self, pooled: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        conv = self.following
        maps = F.conv2d(pooled, weights, bias, conv.stride, 0, conv.dilation, conv.groups)
        heatmap: Tensor = self.readout(self.rest(maps))
        return torch.sigmoid(heatmap) if self.squash else heatmap


def _answer_to(conv: nn.Conv2d, values: Tensor) -> Tensor:
    """(F,) what an unpadded convolution gives where each input channel has one value, (C,)."""
    field = [d * (k - 1) + 1 for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    constant = values[None, :, None, None].expand(1, -1, *field)
    answer: Tensor = conv(constant)
    return answer.flatten()


def _planes(image: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, C, H, W) from space to depth, (N, 4 C, H // 2, W // 2).

    A last row or column that has no pair is left out: the pooling leaves it out, too.
    """
    count, channels, height, width = image.shape
    shape = (count, len(_OFFSETS) * channels, height // 2, width // 2)
    if torch.onnx.is_in_onnx_export():
        return _planes_in_onnx(image, dtype, shape)
    even = image[:, :, : 2 * shape[2], : 2 * shape[3]].to(dtype)
    return torch.cat([even[:, :, down::2, right::2] for down, right in _OFFSETS], dim=1)


def _planes_in_onnx(image: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """The same in ONNX's operators: PyTorch's are exported as several times as many."""
    symbolic = torch.onnx.ops.symbolic
    count, channels, height, width = image.shape
    two = torch.tensor([2])
    sizes = symbolic("Shape", (image,), {"start": 2}, dtype=torch.int64, shape=(2,))
    halves = symbolic("Div", (sizes, two), dtype=torch.int64, shape=(2,))
    ends = symbolic("Mul", (halves, two), dtype=torch.int64, shape=(2,))
    begins, axes = torch.tensor([0, 0]), torch.tensor([2, 3])
    even_shape = (count, channels, height // 2 * 2, width // 2 * 2)
    even = symbolic("Slice", (image, begins, ends, axes), dtype=image.dtype, shape=even_shape)
    planes: Tensor = symbolic(
        "SpaceToDepth", (even.to(dtype),), {"blocksize": 2}, dtype=dtype, shape=shape
    )
    return planes


def _convolution(weights: Tensor) -> nn.Conv2d:
    """An unpadded convolution with these weights and no bias."""
    outputs, inputs, height, width = weights.shape
    layer = nn.Conv2d(inputs, outputs, (height, width), bias=False)
    layer.weight.copy_(weights)
    return layer


def _window_weights(weights: Tensor) -> Tensor:
    """(F, C, k, k) on the image -> (4 F, 4 C, (k + 1) / 2, (k + 1) / 2) on its planes."""
    filters, channels, size, _ = weights.shape
    half = (size + 1) // 2
    rearranged = torch.zeros(len(_OFFSETS), filters, len(_OFFSETS), channels, half, half)
    for place, (down, right) in enumerate(_OFFSETS):
        for row in range(size):
            for column in range(size):
                y, x = row + down, column + right
                plane = _OFFSETS.index((y % 2, x % 2))
                rearranged[place, :, plane, :, y // 2, x // 2] = weights[:, :, row, column]
    return rearranged.flatten(2, 3).flatten(0, 1)
