"""A graph's file in less room: the same numbers, stored once, and as half floats where they fit.

What half floats hold exactly is stored as such, and a Cast widens it: single precision to compute.
What stands there with both signs is stored once, and a Neg turns it. ONNX Runtime does either once,
when it loads the graph.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

FEWEST: Final = 1024
"""Numbers in a tensor that is worth storing in less room."""


def tie_negatives(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with each large tensor that is the negative of another made from that one.

    No value changes: a Neg turns the sign, which ONNX Runtime does once, when it loads the graph.
    """
    smaller = copy.deepcopy(model)
    graph = smaller.graph
    negs = sum(node.op_type == "Neg" for node in graph.node)
    stored: dict[bytes, str] = {}
    turned: dict[str, onnx.NodeProto] = {}
    for tensor in filter(_is_large, list(graph.initializer)):
        values = onnx.numpy_helper.to_array(tensor)
        positive = stored.get(_key(-values))
        if positive is None:
            stored[_key(values)] = tensor.name
            continue
        name = f"neg_{negs + len(turned) + 1}"
        turned[tensor.name] = onnx.helper.make_node("Neg", [positive], [name], name=name)
        graph.initializer.remove(tensor)
    _put_in_front(smaller, turned)
    return smaller


def _key(values: NDArray[Any]) -> bytes:
    return repr(values.shape).encode() + values.tobytes()


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with the weights that half floats hold exactly stored as such.

    No value changes: what half floats do not hold stays.
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
    _put_in_front(smaller, widened)
    return smaller


def _exact_half(tensor: onnx.TensorProto) -> NDArray[np.float16] | None:
    """The tensor as half floats; None where it is small, not of float32, or would change."""
    if not _is_large(tensor):
        return None
    values = onnx.numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else None


def _widen(weight: str, name: str) -> onnx.NodeProto:
    return onnx.helper.make_node("Cast", [weight], [name], name=name, to=onnx.TensorProto.FLOAT)


def _is_large(tensor: onnx.TensorProto) -> bool:
    """Whether it holds float32 numbers enough to be worth storing in less room."""
    return tensor.data_type == onnx.TensorProto.FLOAT and math.prod(tensor.dims) >= FEWEST


def _put_in_front(model: onnx.ModelProto, made: Mapping[str, onnx.NodeProto]) -> None:
    """Give the graph, in place, nodes that make the weights other nodes read; checked.

    Args:
        model: its nodes read the first output of the new ones from now on.
        made: the new nodes, by the name of the weight that each takes the place of.
    """
    graph = model.graph
    for node in graph.node:
        node.input[:] = [made[name].output[0] if name in made else name for name in node.input]
    nodes = [*made.values(), *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
