"""The geometry of any trunk, found by following gradients from a heatmap cell to the image.

The weights are replaced by positive ones and pooling by averages, so that the gradient of a cell
is above 0 at exactly the pixels that it sees. Values of the network play no part.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from simrun.errors import ModelError, UsageError, first_line
from simtool.export.trunk import POINTWISE, square, unknown_layer
from simtool.nets.blocks import Context, Residual
from simtool.nets.layer_output import LayerOutput

_FIRST_LENGTH: Final = 64
_MOST_LENGTH: Final = 2048
"""Pixels of the longest probe: what sees further is taken to see everything."""

_PROBES: Final = 32
"""Images probed at once: bounds the memory."""


def geometry_of(trunk: nn.Module, channels: int) -> Geometry:
    """By the layers, and confirmed, for a sequence; else by probing.

    Args:
        trunk: images (N, channels, H, W) -> maps (N, K, h, w).
        channels: of the image.

    Raises:
        ModelError: as `probe_geometry`, `trunk_geometry` and `check_geometry`.
    """
    if not isinstance(trunk, nn.Sequential):
        return probe_geometry(trunk, channels)
    geometry = trunk_geometry(trunk)
    check_geometry(trunk, channels, geometry)
    return geometry


def probe_geometry(trunk: nn.Module, channels: int) -> Geometry:
    """Stride, offset and receptive field of a trunk of any form.

    Args:
        trunk: images (N, channels, H, W) -> maps (N, K, h, w).
        channels: of the image.

    Raises:
        ModelError: the trunk fixes its size, sees the whole image, differs between the axes or
            cannot be followed.
    """
    positive = _positive(trunk)
    length = _FIRST_LENGTH
    while length <= _MOST_LENGTH:
        found = [_along(positive, channels, length, axis) for axis in (2, 3)]
        if found[0] is not None and found[1] is not None:
            if found[0] != found[1]:
                raise ModelError(
                    f"the trunk differs between the axes: {found[0]} down and {found[1]} across; "
                    "only square strides and kernels can be exported"
                )
            return found[0]
        length *= 2
    raise ModelError(
        f"a cell of the layer sees more than {_MOST_LENGTH} pixels, or the whole image (global "
        "pooling on the way): it cannot be exported for images of any size; name an earlier layer"
    )


def _along(positive: nn.Module, channels: int, length: int, axis: int) -> Geometry | None:
    """Geometry on one axis; None where the image is too short to tell."""
    shape = [1, channels, _FIRST_LENGTH, _FIRST_LENGTH]
    shape[axis] = length
    image = torch.ones(shape, dtype=torch.float64, requires_grad=True)
    try:
        with _Averages():
            maps: Tensor = positive(image.clone())  # which may be written to
    except RuntimeError as error:
        raise ModelError(
            f"the network does not take images of {shape[2]}x{shape[3]} ({first_line(error)}): it "
            "fixes its size; make the part up to the layer fully convolutional"
        ) from error
    cells = maps.shape[axis]
    if cells < 3:
        return None
    middle = cells // 2
    spans = [_seen(maps, image, axis, cell) for cell in (middle, middle + 1)]
    (first, last), (next_first, next_last) = spans
    if first <= 0 or next_last >= length - 1:
        return None
    stride, field = next_first - first, last - first + 1
    if next_last - last != stride or stride < 1:
        raise ModelError(f"neighbouring cells see pixels {spans}; the trunk is not regular")
    return Geometry(stride, (first + last) / 2 - stride * middle, field)


def _seen(maps: Tensor, image: Tensor, axis: int, cell: int) -> tuple[int, int]:
    """First and last pixel along the axis that a row or column of cells sees."""
    (gradient,) = torch.autograd.grad(maps.select(axis, cell).sum(), image, retain_graph=True)
    others = [other for other in range(4) if other != axis]
    seen = gradient.abs().sum(others).nonzero().flatten()
    if not len(seen):
        raise ModelError("the trunk cannot be followed: a cell of the layer answers to no pixel")
    return int(seen[0]), int(seen[-1])


def _positive(trunk: nn.Module) -> nn.Module:
    """A copy in float64 whose answer rises with every pixel that it sees."""
    if isinstance(trunk, LayerOutput):
        return trunk.over(_positive(trunk.network))
    twin = copy.deepcopy(trunk).double().eval()
    with torch.no_grad():
        for module in twin.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
            for name, value in module.named_parameters(recurse=False):
                fan_in = value[0].numel() if value.ndim > 1 else 1
                value.fill_(0.0 if name == "bias" else 1.0 / fan_in)
    return twin


class _Averages(TorchFunctionMode):
    """Averages in the place of maxima: a maximum hides all but one pixel."""

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401 - PyTorch's own signature
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the operation returns
        """Call a function of PyTorch's."""
        given = dict(kwargs or {})
        if func not in (F.max_pool2d, torch.max_pool2d):
            return func(*args, **given)
        names = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode")
        given |= dict(zip(names, args, strict=False))
        if given.get("dilation", 1) not in (1, (1, 1)):
            raise ModelError("the trunk has a max-pooling with dilation, which is not followed")
        return F.avg_pool2d(
            *(given["input"], given["kernel_size"], given.get("stride"), given.get("padding", 0)),
            ceil_mode=given.get("ceil_mode", False),
        )


@dataclass(frozen=True)
class Geometry:
    """Where a heatmap cell looks: the same on both axes, in pixels of the working image."""

    stride: int
    """Between neighbouring cells."""
    offset: float
    """Centre of cell 0; pixel 0 has its centre at 0."""
    receptive_field: int
    """Side of the square that a cell sees."""


def trunk_geometry(trunk: nn.Sequential) -> Geometry:
    """Stride, offset and receptive field, from the layers.

    Raises:
        ModelError: a layer is not one that this is defined for.
    """
    stride, offset, field = 1, 0.0, 1
    for name, child in trunk.named_children():
        if isinstance(child, POINTWISE):
            continue
        if isinstance(child, Context):
            field += 2 * child.reach * stride
            continue
        layer = child.conv if isinstance(child, Residual) else child
        if not isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            raise unknown_layer(name, layer)
        reach = (square(name, layer.kernel_size) - 1) * square(name, layer.dilation)
        offset += (reach / 2 - square(name, layer.padding)) * stride
        field += reach * stride
        stride *= square(name, layer.stride)
    return Geometry(stride, offset, field)


def check_static(size: tuple[int, int] | None, geometry: Geometry) -> None:
    """Raise UsageError where the only image size (H, W) is smaller than what a cell sees."""
    if size is not None and min(size) < geometry.receptive_field:
        raise UsageError(
            f"--static {size[0]}x{size[1]} is smaller than the receptive field, "
            f"{geometry.receptive_field} pixels; give a larger size"
        )


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
