"""The forms that a trunk can be exported in.

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
from typing import Final, Literal

from torch import nn

from simrun.errors import ModelError, UsageError
from simtool.nets.base import Padding
from simtool.nets.blocks import Context, Residual

Pool = Literal["keep", "drop", "atrous"]

POINTWISE: Final = (nn.ReLU, nn.Identity, nn.BatchNorm2d, nn.Dropout, nn.Dropout2d)
"""Layers that look at one position at a time."""


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
            dilation *= square(name, layer.stride) if pool == "atrous" else 1
        elif isinstance(layer, nn.MaxPool2d):
            _check_pool(name, layer)
            if pool == "keep":
                layers[name] = layer
            elif pool == "atrous":
                kernel = square(name, layer.kernel_size)
                layers[name] = nn.MaxPool2d(kernel, stride=1, dilation=dilation)
                dilation *= square(name, layer.stride)
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
        elif isinstance(layer, POINTWISE):
            layers[name] = layer
        else:
            raise unknown_layer(name, layer)
    return nn.Sequential(layers).eval()


def _convolution(
    name: str, layer: nn.Conv2d, dilation: int, pool: Pool, padding: Padding
) -> nn.Conv2d:
    """The convolution, dilated by that factor, with or without padding; same weights."""
    widened = square(name, layer.dilation) * dilation
    made = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        kernel_size=square(name, layer.kernel_size),
        stride=1 if pool == "atrous" else square(name, layer.stride),
        padding=0 if padding == "valid" else square(name, layer.padding) * dilation,
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


def square(name: str, value: object) -> int:
    """The one number of a setting that must be the same on both axes."""
    if isinstance(value, int):
        return value
    if isinstance(value, tuple) and len(set(value)) == 1 and isinstance(value[0], int):
        return value[0]
    raise ModelError(f"layer '{name}' has the setting {value!r}; both axes need the same number")


def unknown_layer(name: str, layer: nn.Module) -> ModelError:
    """What is raised of a layer that none of the forms is defined for."""
    return ModelError(
        f"layer '{name}' is a {type(layer).__name__}; a trunk is exported as a sequence of Conv2d, "
        "MaxPool2d, ReLU, BatchNorm2d, Dropout, Residual and Context"
    )
