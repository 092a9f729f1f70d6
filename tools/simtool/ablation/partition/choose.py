"""Choosing how to cut a network, and proving on the spot that the cut computes the same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from simrun.errors import ModelError
from simtool.ablation.partition.graph import Cut, GraphCut, HookCut
from simtool.nets.layers import find_layer
from simtool.nets.tracing import (
    UntraceableError,
    check_writes,
    descendants,
    extract,
    layer_node,
    output_node,
    outside_inputs,
    trace,
)

log = logging.getLogger(__name__)

_TOLERANCE: Final = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Largest difference of maps or logits, in units of the largest one, that rounding may account
for."""
_PLANNED: Final = 2
"""Images that a cut is planned with, and compared with the network at once: bounds the memory."""


def cut_network(model: nn.Module, layer: str, example: Tensor, title: str | None = None) -> Cut:
    """Cut a network at a layer, the fastest way that gives what a hook gives.

    Args:
        model: in evaluation mode.
        layer: name of a module in it.
        example: images (N, C, H, W) of the size to come, two or more, on the model's device; the
            cut is compared with the network on every one.
        title: what messages call the layer, where that is not its name.

    Raises:
        UsageError: there is no such layer.
        ModelError: the layer gives no maps, or is not called, or blocking it has no effect on
            anything.
    """
    title = title or layer
    by_hook = HookCut(model, find_layer(model, layer), title)
    _check_called(by_hook, example)
    try:
        cut = _graph_cut(model, layer, title, example[:_PLANNED])
        for images in torch.split(example, _PLANNED):
            _check_same(cut, by_hook, images)
    except UntraceableError as error:
        log.warning(
            "the network cannot be cut at '%s' (%s): the whole of it runs once per filter, which "
            "is exact but slow; a forward() without decisions on values of tensors is faster",
            title,
            error,
        )
        return by_hook
    return cut


def _graph_cut(model: nn.Module, layer: str, title: str, example: Tensor) -> Cut:
    """Raises UntraceableError where there is no such graph."""
    traced = trace(model, layer)
    check_writes(traced, example)
    inputs = [node for node in traced.graph.nodes if node.op == "placeholder"][:1]
    node = layer_node(traced, layer)
    behind = descendants(node)
    output = output_node(traced)
    if output not in behind:
        raise UntraceableError("its output does not depend on the layer")
    around = [n for n in outside_inputs(traced, behind) if n is not node]
    prefix = extract(traced, inputs, [node, *around])
    suffix = extract(traced, [node, *around], [output])
    stackable = _all_by_image(_around(prefix, example), len(example))
    return GraphCut(prefix, suffix, title, stackable, example)


def _around(prefix: Callable[[Tensor], tuple[Any, ...]], example: Tensor) -> tuple[Any, ...]:
    """What leads around the layer, for a few images."""
    with torch.inference_mode():
        return prefix(example)[1:]


def _all_by_image(values: tuple[Any, ...], images: int) -> bool:
    """Whether every value is a tensor with a row for each image."""
    return all(isinstance(v, Tensor) and v.ndim > 0 and v.shape[0] == images for v in values)


def _check_called(by_hook: HookCut, example: Tensor) -> None:
    """Raise ModelError where the layer is not called for an image, or gives no maps."""
    with torch.inference_mode():
        try:
            by_hook.run(example[:1])
        except IndexError as error:
            raise ModelError(
                f"layer '{by_hook.layer}' is not called for an image; name another with --layer"
            ) from error


def _check_same(cut: Cut, untouched: HookCut, images: Tensor) -> None:
    """Compare a cut with the network itself: maps, and logits with all and without some filters.

    Raises:
        UntraceableError: they differ, so that the graph is not the network.
    """
    with torch.inference_mode():
        ours, theirs = cut.run(images), untouched.run(images)
        count = theirs.maps.shape[1]
        chosen = sorted({0, count // 2, count - 1})
        pairs = [("logits", ours.logits, theirs.logits)]
        for i in chosen:
            filters = range(i, i + 1)
            pairs.append(("logits", ours.without(filters)[0], theirs.without(filters)[0]))
        # Last: what comes behind the layer has had its chance to write into them.
        pairs.append(("maps", ours.maps, theirs.maps))
    allowed = _TOLERANCE.get(images.dtype, 1e-2)
    for what, own, other in pairs:
        if own.shape != other.shape:
            raise UntraceableError(
                f"the graph gives {what} {tuple(own.shape)}, not {tuple(other.shape)}"
            )
        unit = float(torch.nan_to_num(other.abs(), 0, 0, 0).max())
        worst = float(torch.nan_to_num(own - other).abs().max())
        if worst > allowed * unit:
            raise UntraceableError(f"the graph's {what} differ from the network's by {worst:.1e}")
