"""A graph's file at half the size: weights stored as half floats, single precision to compute.

What does nothing but read crops is rounded. What the heatmap is made of, the trunk, keeps its
precision, unless its network asks for the smaller file (`NetSpec.half_trunk`). Rounding is done
before the export, so that PyTorch and the graph have the same numbers to compare by. In the file
the rounded weights are half floats, and a Cast widens them: ONNX Runtime does that once, when it
loads the graph. Small tensors stay as they are: rounding them would save next to nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from simtool.export.optimize.fold import identity_taps
from simtool.export.to_onnx import FEWEST, is_large, put_in_front
from simtool.nets.blocks import Residual

_LARGEST: Final = torch.finfo(torch.float16).max
"""65504; what is beyond it would become infinite."""


def round_weights(net: nn.Module, spared: nn.Module | None = None) -> None:
    """Round a network's larger parameters to the nearest half float, in place.

    Args:
        net: what it has in float32 is rounded, unless that reaches beyond the half floats, 65504.
        spared: a part of it whose weights stay.
    """
    for weight in large_weights(net, spared):
        _round(weight, torch.zeros(()))


def round_trunk(trunk: nn.Module) -> None:
    """Round a trunk's larger weights, in place, so that half floats hold those of its folded graph.

    There a residual block's convolution adds the block's input (`simtool.export.optimize.fold`):
    the sum of both is what is rounded.
    """
    blocks = [module for module in trunk.modules() if isinstance(module, Residual)]
    taps = {id(block.conv.weight): identity_taps(block.conv) for block in blocks}
    for weight in large_weights(trunk):
        _round(weight, taps.get(id(weight), torch.zeros(())))


def _round(weight: Tensor, added: Tensor) -> None:
    """Change the weight to where its sum with `added` is a half float, if any is large enough."""
    with torch.no_grad():
        whole = weight + added
        if float(whole.abs().max()) <= _LARGEST:
            weight.copy_(whole.to(torch.float16).to(torch.float32) - added)


def large_weights(net: nn.Module, spared: nn.Module | None = None) -> Iterator[nn.Parameter]:
    """The parameters in float32 that are worth rounding, without those of a part."""
    kept = set() if spared is None else set(spared.parameters())
    for weight in net.parameters():
        if weight not in kept and weight.dtype == torch.float32 and weight.numel() >= FEWEST:
            yield weight


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with the weights that half floats hold exactly stored as such.

    No value changes: what `round_weights` has spared, and half floats do not hold, stays.
    """
    smaller = copy.deepcopy(model)
    graph = smaller.graph
    casts = sum(node.op_type == "Cast" for node in graph.node)
    widened: dict[str, onnx.NodeProto] = {}
    for tensor in graph.initializer:
        half = _exact_half(tensor)
        if half is not None:
            widened[tensor.name] = _widen(tensor.name, f"cast_{casts + len(widened) + 1}")
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, tensor.name))
    put_in_front(smaller, widened)
    return smaller


def _exact_half(tensor: onnx.TensorProto) -> NDArray[np.float16] | None:
    """The tensor as half floats; None where it is small, not of float32, or would change."""
    if not is_large(tensor):
        return None
    values = onnx.numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else None


def _widen(weight: str, name: str) -> onnx.NodeProto:
    return onnx.helper.make_node("Cast", [weight], [name], name=name, to=onnx.TensorProto.FLOAT)
