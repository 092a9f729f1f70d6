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

import copy
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor, nn

from simrun.errors import ModelError, UsageError
from simtool.nets.base import Padding
from simtool.nets.blocks import Context, Residual

Pool = Literal["keep", "drop", "atrous"]
Polarity = Literal["bright", "dark", "both"]

_POINTWISE: Final = (nn.ReLU, nn.Identity, nn.BatchNorm2d, nn.Dropout, nn.Dropout2d)
"""Layers that look at one position at a time."""

_PROBES: Final = 32
"""Images probed at once: bounds the memory."""


@dataclass(frozen=True)
class Geometry:
    """Where a heatmap cell looks: the same on both axes, in pixels of the working image."""

    stride: int
    """Between neighbouring cells."""
    offset: float
    """Centre of cell 0; pixel 0 has its centre at 0."""
    receptive_field: int
    """Side of the square that a cell sees."""


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


def trunk_geometry(trunk: nn.Sequential) -> Geometry:
    """Stride, offset and receptive field, from the layers.

    Raises:
        ModelError: a layer is not one that this is defined for.
    """
    stride, offset, field = 1, 0.0, 1
    for name, child in trunk.named_children():
        if isinstance(child, _POINTWISE):
            continue
        if isinstance(child, Context):
            field += 2 * child.reach * stride
            continue
        layer = child.conv if isinstance(child, Residual) else child
        if not isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            raise _unknown(name, layer)
        reach = (_square(name, layer.kernel_size) - 1) * _square(name, layer.dilation)
        offset += (reach / 2 - _square(name, layer.padding)) * stride
        field += reach * stride
        stride *= _square(name, layer.stride)
    return Geometry(stride, offset, field)


def check_geometry(trunk: nn.Sequential, channels: int, geometry: Geometry) -> None:
    """Probe the layers with a bright line one pixel wide, moved over the image, and compare.

    A copy of the trunk with all weights 1 and no biases answers wherever the line is seen. It is
    moved along both axes; the cell in the middle must see it exactly where it should. What its
    neighbour sees counts too: where maps are halved on the way, each sees less to one side.

    Raises:
        ModelError: it does not.
    """
    probe = _all_ones(trunk)
    size = 2 * geometry.receptive_field + geometry.stride
    with torch.inference_mode():
        shape = probe(torch.zeros(1, channels, size, size)).shape
        cell = shape[-1] // 2
        centre = geometry.offset + cell * geometry.stride
        half = (geometry.receptive_field - 1) / 2
        expected = [x for x in range(size) if abs(x - centre) <= half]
        lines = torch.eye(size).view(size, 1, 1, size).expand(-1, channels, size, -1)
        for axis in (3, 2):
            answers = [
                probe(part if axis == 3 else part.transpose(2, 3)).sum(1).select(4 - axis, cell)
                for part in torch.split(lines, _PROBES)
            ]
            pairs = torch.cat(answers)[:, cell : cell + 2].nonzero().tolist()
            seen = sorted({line - neighbour * geometry.stride for line, neighbour in pairs})
            if seen != expected:
                raise ModelError(
                    f"cell {cell} should see pixels {expected[0]} to {expected[-1]} and sees "
                    f"{seen[:1]} to {seen[-1:]}; the trunk's geometry is not understood"
                )


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


def _all_ones(trunk: nn.Sequential) -> nn.Sequential:
    """A copy whose answer is positive exactly where it sees something bright."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in trunk.named_children():
        if isinstance(layer, nn.Conv2d | Residual | Context):
            layers[name] = copy.deepcopy(layer).apply(_set_ones)
        elif isinstance(layer, nn.MaxPool2d):
            layers[name] = layer
    return nn.Sequential(layers).eval()


def _set_ones(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.ones_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _square(name: str, value: object) -> int:
    """The one number of a setting that must be the same on both axes."""
    if isinstance(value, int):
        return value
    if isinstance(value, tuple) and len(set(value)) == 1 and isinstance(value[0], int):
        return value[0]
    raise ModelError(f"layer '{name}' has the setting {value!r}; both axes need the same number")


def _unknown(name: str, layer: nn.Module) -> ModelError:
    return ModelError(
        f"layer '{name}' is a {type(layer).__name__}; a trunk is exported as a sequence of Conv2d, "
        "MaxPool2d, ReLU, BatchNorm2d, Dropout, Residual and Context"
    )
