"""Weights that a graph has with both signs, stored once in its file."""

from __future__ import annotations

import copy
from typing import Any

import onnx
from numpy.typing import NDArray

from simtool.export.to_onnx import is_large, put_in_front


def tie_negatives(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with each large tensor that is the negative of another made from that one.

    No value changes: a Neg turns the sign, which ONNX Runtime does once, when it loads the graph.
    """
    smaller = copy.deepcopy(model)
    graph = smaller.graph
    negs = sum(node.op_type == "Neg" for node in graph.node)
    stored: dict[bytes, str] = {}
    turned: dict[str, onnx.NodeProto] = {}
    for tensor in filter(is_large, list(graph.initializer)):
        values = onnx.numpy_helper.to_array(tensor)
        positive = stored.get(_key(-values))
        if positive is None:
            stored[_key(values)] = tensor.name
            continue
        name = f"neg_{negs + len(turned) + 1}"
        turned[tensor.name] = onnx.helper.make_node("Neg", [positive], [name], name=name)
        graph.initializer.remove(tensor)
    put_in_front(smaller, turned)
    return smaller


def _key(values: NDArray[Any]) -> bytes:
    return repr(values.shape).encode() + values.tobytes()
