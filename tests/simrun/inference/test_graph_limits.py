"""Graphs that might never end, or that are not all in their file, are refused before they load."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from simrun.errors import ModelError
from simrun.inference.graph_limits import MAX_NODES, check_graph
from simrun.inference.session import Engine, EngineConfig
from tests.conftest import STROKES

GRAPH = (STROKES / "localizer.onnx").read_bytes()


def graph_of(
    *nodes: onnx.NodeProto, tensors: tuple[onnx.TensorProto, ...] = (), name: str = "g"
) -> onnx.GraphProto:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    return helper.make_graph(list(nodes), name, [value], [out], initializer=list(tensors))


def model_of(*nodes: onnx.NodeProto, tensors: tuple[onnx.TensorProto, ...] = ()) -> bytes:
    model = helper.make_model(
        graph_of(*nodes, tensors=tensors),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.x", 1)],
        ir_version=8,
    )
    return bytes(model.SerializeToString())


def endless_loop() -> bytes:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("Identity", ["a"], ["b"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, [1]),
        ],
    )
    return model_of(helper.make_node("Loop", ["", "", "x"], ["y"], body=body))


def branch() -> bytes:
    then = graph_of(helper.make_node("Identity", ["x"], ["y"]))
    return model_of(helper.make_node("If", ["x"], ["y"], then_branch=then, else_branch=then))


def external(place: str) -> bytes:
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "w")
    onnx.external_data_helper.set_external_data(tensor, "/etc/passwd")
    if place == "initializer":
        return model_of(helper.make_node("Add", ["x", "w"], ["y"]), tensors=(tensor,))
    return model_of(helper.make_node("Constant", [], ["y"], value=tensor))


def function() -> bytes:
    model = onnx.load_from_string(model_of(helper.make_node("Identity", ["x"], ["y"])))
    model.functions.append(
        helper.make_function(
            "com.x",
            "F",
            ["a"],
            ["b"],
            [helper.make_node("Identity", ["a"], ["b"])],
            [helper.make_opsetid("", 17)],
        )
    )
    return bytes(model.SerializeToString())


def many() -> bytes:
    names = ["x", *(f"t{i}" for i in range(200_000)), "y"]
    return model_of(*(helper.make_node("Relu", [a], [b]) for a, b in pairwise(names)))


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (endless_loop, "the operator Loop"),
        (branch, "the operator If"),
        (
            lambda: model_of(helper.make_node("Scan", ["x"], ["y"], num_scan_inputs=1)),
            "the operator Scan",
        ),
        (
            lambda: model_of(helper.make_node("SequenceMap", ["x"], ["y"])),
            "the operator SequenceMap",
        ),
        (
            lambda: model_of(helper.make_node("Foo", ["x"], ["y"], domain="com.x")),
            "operators of the domain 'com.x'",
        ),
        (
            lambda: model_of(
                helper.make_node("New", ["x"], ["y"], body=graph_of(), domain="ai.onnx")
            ),
            "a graph within a node",
        ),
        (lambda: external("initializer"), "weights in other files"),
        (lambda: external("constant"), "weights in other files"),
        (function, "functions of its own"),
        (many, f"more than {MAX_NODES} nodes"),
        # A second graph field is merged into the first one by who reads the file.
        (lambda: GRAPH + endless_loop(), "the operator Loop"),
    ],
)
def test_a_graph_that_might_never_end_is_refused(make: Callable[[], bytes], found: str) -> None:
    with pytest.raises(ModelError, match=found) as caught:
        Engine(make(), EngineConfig(), what="localizer.onnx")
    assert str(caught.value).startswith("localizer.onnx has ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "damaged", [GRAPH[:-7], b"\x3a\xff", b"\x0b", b"\xff" * 12, b"\x38\x01", GRAPH + b"\x3a\x7f"]
)
def test_what_is_no_graph_is_refused(damaged: bytes) -> None:
    with pytest.raises(ModelError, match=r"cannot load x\.onnx: it is no ONNX file, or is damaged"):
        check_graph(damaged, "x.onnx")


def test_the_shipped_graphs_pass() -> None:
    for path in Path("models").glob("*/*.onnx"):
        check_graph(path.read_bytes(), path.name)
