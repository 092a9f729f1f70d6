"""Which operations of a graph leave filters apart, and which mix them linearly.

Behind the ablated layer a graph often goes on filter by filter: activation, pooling, batch norm,
an addition, flattening. Such a stretch is computed once with all maps and once with all of them
at the baseline; the blocked filter's part of the result is that of the second. The first
operation that mixes the filters is often linear, a convolution or a fully connected layer; what
blocking a filter changes of its output is its weights for that filter times the filter's change.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import fx, nn

Shapes = Mapping[fx.Node, tuple[int, ...]]

_MODULES: Final = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU),
    *(nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus),
    *(nn.Identity, nn.Dropout, nn.Dropout2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.Flatten),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ZeroPad2d),
)
_FUNCTIONS: Final = frozenset(
    {
        *(F.relu, F.relu6, F.leaky_relu, F.elu, F.gelu, F.silu, F.hardswish, F.hardsigmoid),
        *(F.dropout, F.dropout2d, F.max_pool2d, F.avg_pool2d),
        *(F.adaptive_avg_pool2d, F.adaptive_max_pool2d),
        *(torch.relu, torch.sigmoid, torch.tanh, torch.flatten, torch.squeeze),
        *(operator.add, operator.sub, operator.mul, operator.truediv),
        *(torch.add, torch.sub, torch.mul, torch.div, torch.mean),
    }
)
_METHODS: Final = frozenset(
    {
        *("relu", "sigmoid", "tanh", "flatten", "view", "reshape", "squeeze", "contiguous"),
        *("mean", "add", "sub", "mul", "div"),
    }
)


@dataclass(frozen=True)
class Stretch:
    """The nodes behind the maps by what they do to filters; what is in none of them is the rest."""

    apart: frozenset[fx.Node]
    """Each channel of the value depends on the same channel of the maps alone."""
    sizes: frozenset[fx.Node]
    """Numbers: sizes of values in `apart`, the same whichever filter is blocked."""
    mixing: tuple[fx.Node, ...]
    """Linear in a value in `apart`: a convolution without groups or a fully connected layer."""


def find_stretch(suffix: fx.GraphModule, maps: fx.Node, shapes: Shapes) -> Stretch:
    """Sort the nodes of a graph whose input `maps` is (N, K, h, w)."""
    filters = shapes[maps][1]
    apart, sizes, mixing = {maps}, set[fx.Node](), []
    dependent = {maps}
    for node in suffix.graph.nodes:
        sources = [source for source in node.all_input_nodes if source in dependent]
        if not sources or node.op == "output":
            continue
        dependent.add(node)
        if not all(source in apart or source in sizes for source in sources):
            continue
        if _is_size(node):
            sizes.add(node)
        elif _is_apart(suffix, node, filters, shapes):
            apart.add(node)
        elif _is_mixing(suffix, node, filters, shapes) and sources[0] in apart:
            mixing.append(node)
    return Stretch(frozenset(apart), frozenset(sizes), tuple(mixing))


def _is_size(node: fx.Node) -> bool:
    if node.op == "call_method":
        return node.target in ("size", "dim")
    if node.target is getattr:
        return node.args[1] in ("shape", "ndim")
    arithmetic = (operator.getitem, operator.mul, operator.add, operator.floordiv)
    return node.target in arithmetic and all(_is_size(n) for n in node.all_input_nodes)


def _is_apart(suffix: fx.GraphModule, node: fx.Node, filters: int, shapes: Shapes) -> bool:
    shape = shapes.get(node)
    if shape is None or len(shape) < 2 or shape[1] % filters:
        return False
    if len(shape) > 2 and shape[1] != filters:
        return False
    if node.op == "call_module":
        module = suffix.get_submodule(str(node.target))
        depthwise = isinstance(module, nn.Conv2d) and (
            module.groups == module.in_channels == module.out_channels == filters
        )
        return depthwise or type(module) in _MODULES
    if node.target in ("mean", torch.mean):
        return _keeps_channels(node, len(shapes[node.all_input_nodes[0]]))
    known = _FUNCTIONS if node.op == "call_function" else _METHODS
    return node.target in known


def _keeps_channels(mean: fx.Node, rank: int) -> bool:
    """Whether a mean is over positions alone."""
    given: Any = mean.args[1] if len(mean.args) > 1 else mean.kwargs.get("dim")
    dims = (given,) if isinstance(given, int) else given
    return bool(dims) and all(isinstance(d, int) and d % rank >= 2 for d in dims)


def _is_mixing(suffix: fx.GraphModule, node: fx.Node, filters: int, shapes: Shapes) -> bool:
    if node.op != "call_module" or len(node.all_input_nodes) != 1:
        return False
    module = suffix.get_submodule(str(node.target))
    shape = shapes[node.all_input_nodes[0]]
    if isinstance(module, nn.Conv2d):
        plain = module.groups == 1 and module.padding_mode == "zeros"
        return plain and len(shape) == 4 and shape[1] == filters
    return isinstance(module, nn.Linear) and len(shape) == 2
