"""Weights that a graph has with both signs, stored once in its file."""

from __future__ import annotations

import copy
import math
from typing import Final

import numpy as np
import onnx

FEWEST: Final = 1024
"""Numbers in a tensor that is worth storing once."""


def tie_negatives(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with each large tensor that is the negative of another made from that one.

    No value changes: a Neg turns the sign, which ONNX Runtime does once, when it loads the graph.
    """
    smaller = copy.deepcopy(model)
    graph = smaller.graph
    stored: dict[bytes, str] = {}
    turned: list[onnx.NodeProto] = []
    negs = sum(node.op_type == "Neg" for node in graph.node)
    for tensor in list(graph.initializer):
        if tensor.data_type != onnx.TensorProto.FLOAT or math.prod(tensor.dims) < FEWEST:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        positive = stored.get(_key(-values))
        if positive is None:
            stored[_key(values)] = tensor.name
            continue
        name = f"neg_{negs + len(turned) + 1}"
        turned.append(onnx.helper.make_node("Neg", [positive], [name], name=name))
        for node in graph.node:
            node.input[:] = [name if i == tensor.name else i for i in node.input]
        graph.initializer.remove(tensor)
    nodes = turned + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(smaller, full_check=True)
    return smaller


def _key(values: np.ndarray) -> bytes:
    return repr(values.shape).encode() + values.tobytes()
