"""A network's weights rounded to half floats, so that its file takes half the room.

What does nothing but read crops is rounded. What the heatmap is made of, the trunk, keeps its
precision, unless its network asks for the smaller file (`NetSpec.half_trunk`). Rounding is done
before the export, so that PyTorch and the graph have the same numbers to compare by;
`simtool.export.optimize.compact` stores them as half floats. Small tensors stay as they are:
rounding them would save next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn

from simtool.export.optimize.compact import FEWEST
from simtool.export.optimize.fold import identity_taps
from simtool.nets.blocks import Residual

_LARGEST: Final = torch.finfo(torch.float16).max
"""65504; what is beyond it would become infinite."""


def round_weights(net: nn.Module, spared: nn.Module | None = None) -> None:
    """Round a network's larger parameters to the nearest half float, in place.

    Args:
        net: what it has in float32 is rounded, unless that reaches beyond the half floats, 65504.
        spared: a part of it whose weights stay.
    """
    for weight in _large_weights(net, spared):
        _round(weight, torch.zeros(()))


def shorten_weights(net: nn.Module, bits: int) -> None:
    """Round a network's larger parameters to so many bits of a half float's mantissa, in place.

    The file is as large as with all ten; it compresses better, as in a wheel.
    """
    for weight in _large_weights(net):
        with torch.no_grad():
            mantissa, exponent = torch.frexp(weight)
            scale = 2.0 ** (bits + 1)  # the leading 1, which is not stored
            weight.copy_(torch.ldexp(torch.round(mantissa * scale) / scale, exponent))
    round_weights(net)


def round_trunk(trunk: nn.Module) -> None:
    """Round a trunk's larger weights, in place, so that half floats hold those of its folded graph.

    There a residual block's convolution adds the block's input (`simtool.export.optimize.fold`):
    the sum of both is what is rounded.
    """
    blocks = [module for module in trunk.modules() if isinstance(module, Residual)]
    taps = {id(block.conv.weight): identity_taps(block.conv) for block in blocks}
    for weight in _large_weights(trunk):
        _round(weight, taps.get(id(weight), torch.zeros(())))


def _round(weight: Tensor, added: Tensor) -> None:
    """Change the weight to where its sum with `added` is a half float, if any is large enough."""
    with torch.no_grad():
        whole = weight + added
        if float(whole.abs().max()) <= _LARGEST:
            weight.copy_(whole.to(torch.float16).to(torch.float32) - added)


def _large_weights(net: nn.Module, spared: nn.Module | None = None) -> Iterator[nn.Parameter]:
    """The parameters in float32 that are worth rounding, without those of a part."""
    kept = set() if spared is None else set(spared.parameters())
    for weight in net.parameters():
        if weight not in kept and weight.dtype == torch.float32 and weight.numel() >= FEWEST:
            yield weight
