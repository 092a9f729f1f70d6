"""Operations of a graph folded into the weights of its convolutions: less to do, the same answers.

A residual block adds its input to a convolution of it. The sum is one convolution, with 1 more on
the middle tap of each channel's own filter, and the maps need not be read a second time.

An image is scaled to [0, 1] before the first convolution. Weights that are as much smaller do the
same; zeros that pad the image stay zeros.
"""

from __future__ import annotations

import copy
from collections import OrderedDict

import torch
from torch import Tensor, nn

from simtool.export.heatmap_graph import LocalizerGraph
from simtool.export.optimize.space_to_depth import with_space_to_depth
from simtool.nets.blocks import Context, Residual


def optimized(
    graph: LocalizerGraph, fold_residuals: bool = True, space_to_depth: bool = True
) -> nn.Module:
    """The graph in the cheapest form that its layers allow; the graph itself stays as it is.

    Args:
        graph: image -> heatmap.
        fold_residuals: into their convolutions; not for weights of 8 bits, to which a 1 leaves few
            steps.
        space_to_depth: the first layers; not for converters that lack the operators
            (`simtool.export.optimize.space_to_depth`).
    """
    folded = copy.deepcopy(graph)
    if fold_residuals:
        _fold_residuals(folded)
    rearranged = with_space_to_depth(folded) if space_to_depth else folded
    if rearranged is folded:  # the rearranged layers hold the scaling already
        _fold_scaling(folded)
    return rearranged


def _fold_residuals(graph: LocalizerGraph) -> None:
    """Make each residual block of the trunk a convolution and ReLU, where it can be one."""
    if isinstance(graph.trunk, nn.Sequential):
        graph.trunk = _folded_layers(graph.trunk)


def _folded_layers(layers: nn.Sequential) -> nn.Sequential:
    named = layers.named_children()
    return nn.Sequential(OrderedDict((name, _folded(layer)) for name, layer in named)).eval()


def _folded(layer: nn.Module) -> nn.Module:
    """The layer, or a block's one convolution, changed in place, and ReLU."""
    if isinstance(layer, Context):
        layer.blocks = _folded_layers(layer.blocks)
        return layer
    if not (isinstance(layer, Residual) and _has_middle(layer.conv)):
        return layer
    conv = layer.conv
    with torch.no_grad():
        conv.weight += identity_taps(conv)
    return nn.Sequential(OrderedDict(conv=conv, relu=layer.relu))


def identity_taps(conv: nn.Conv2d) -> Tensor:
    """What a residual block's sum adds to the weights of its convolution, in their shape.

    1 on the middle tap of each channel's own filter; nothing where the sum cannot be folded.
    """
    taps = torch.zeros_like(conv.weight)
    if _has_middle(conv):
        rows, columns = conv.kernel_size
        taps[:, :, rows // 2, columns // 2] = torch.eye(conv.out_channels)
    return taps


def _has_middle(conv: nn.Conv2d) -> bool:
    """Whether each filter has a tap that looks at its own channel where it answers."""
    odd = all(size % 2 == 1 for size in conv.kernel_size)
    reach = tuple(
        width * (size // 2) for width, size in zip(conv.dilation, conv.kernel_size, strict=True)
    )
    return odd and conv.groups == 1 and conv.stride == (1, 1) and conv.padding == reach


def _fold_scaling(graph: LocalizerGraph) -> None:
    """Make the first convolution take pixels, 0 to 255, where it can.

    An inverted image is padded with zeros only after it was scaled and inverted.
    """
    trunk = graph.trunk
    first = trunk[0] if isinstance(trunk, nn.Sequential) and len(trunk) else None
    if graph.polarity == "bright" and graph.unit is not None and isinstance(first, nn.Conv2d):
        with torch.no_grad():
            first.weight *= graph.unit
        graph.unit = None
