"""The graph from image to H as a PyTorch module, and its geometry.

A trunk that is a plain sequence of layers can be exported in other ways than it was trained:

    pool keep    as trained: the heatmap is as coarse as the strides make it
    pool drop    pooling layers left out: full resolution, other features (the authors' deployment)
    pool atrous  pooling at every pixel, the convolutions after it dilated: full resolution with
                 the values of `keep` on shifted images, stitched together

    padding valid  no convolution pads: no false edges along the frame's border
    padding same   as trained
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from simrun.errors import ModelError, UsageError
from simtool.export.geometry import _POINTWISE, _square, _unknown
from simtool.nets.base import Padding
from simtool.nets.blocks import Context, Residual

Pool = Literal["keep", "drop", "atrous"]
Polarity = Literal["bright", "dark", "both"]


def transform_trunk(trunk: nn.Module, pool: Pool, padding: Padding) -> nn.Module:
    """The trunk in another form, sharing its weights.

    What is no plain sequence of layers has one form alone: as it was trained.

    Raises:
        ModelError: a layer is not one that this is defined for.
        UsageError: another form is asked for of what is no sequence.
    """
    if not isinstance(trunk, nn.Sequential):
        if (pool, padding) != ("keep", "same"):
            raise UsageError(
                f"--pool {pool} --padding {padding} is for networks that are a plain sequence of "
                "layers; this one is exported as it was trained, --pool keep --padding same"
            )
        return trunk.eval()
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    dilation = 1
    for name, layer in trunk.named_children():
        if isinstance(layer, nn.Conv2d):
            layers[name] = _convolution(name, layer, dilation, pool, padding)
            dilation *= _square(name, layer.stride) if pool == "atrous" else 1
        elif isinstance(layer, nn.MaxPool2d):
            _check_pool(name, layer)
            if pool == "keep":
                layers[name] = layer
            elif pool == "atrous":
                kernel = _square(name, layer.kernel_size)
                layers[name] = nn.MaxPool2d(kernel, stride=1, dilation=dilation)
                dilation *= _square(name, layer.stride)
        elif isinstance(layer, Residual):
            if padding == "valid":
                raise ModelError(
                    f"block '{name}' adds its input to a convolution, which has to keep the size; "
                    "export with --padding same"
                )
            layers[name] = Residual(_convolution(name, layer.conv, dilation, pool, padding))
        elif isinstance(layer, Context):
            _check_context(name, pool, padding)
            layers[name] = layer
        elif isinstance(layer, _POINTWISE):
            layers[name] = layer
        else:
            raise _unknown(name, layer)
    return nn.Sequential(layers).eval()


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
            trunk: as `transform_trunk` made it.
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


def _convolution(
    name: str, layer: nn.Conv2d, dilation: int, pool: Pool, padding: Padding
) -> nn.Conv2d:
    """The convolution, dilated by that factor, with or without padding; same weights."""
    widened = _square(name, layer.dilation) * dilation
    made = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        kernel_size=_square(name, layer.kernel_size),
        stride=1 if pool == "atrous" else _square(name, layer.stride),
        padding=0 if padding == "valid" else _square(name, layer.padding) * dilation,
        dilation=widened,
        groups=layer.groups,
        bias=layer.bias is not None,
        device="meta",
    )
    made.weight = layer.weight
    made.bias = layer.bias
    return made


def _check_context(name: str, pool: Pool, padding: Padding) -> None:
    if pool == "atrous" or padding == "valid":
        raise ModelError(
            f"block '{name}' adds maps of half the resolution, which only fit as they were "
            "trained; export with --pool keep --padding same"
        )


def _check_pool(name: str, layer: nn.MaxPool2d) -> None:
    if layer.padding != 0 or layer.ceil_mode or layer.dilation != 1:
        raise ModelError(
            f"pooling layer '{name}' has padding, dilation or ceil_mode, which exported graphs "
            "get wrong at some sizes; train without them"
        )
