"""A bundle with the smallest reader that behaves like one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from simrun.bundle.load import METADATA_KEY, load_bundle
from simrun.bundle.reader import ReaderMeta
from simrun.result import Quad

HEIGHT: Final = 16
META: Final = ReaderMeta(
    alphabet="-|", height=HEIGHT, stride=4, threshold=0.9, least_width=16, greatest_width=400
)


def reader_graph(outputs: int = 3) -> bytes:
    """Strips (N, 1, 16, W) uint8 to logits (N, W / 4, outputs): what is brighter says more.

    Blocks of 16 x 4 pixels with a mean up to 0.3 say nothing, up to 0.6 `-`, above it `|`.
    """
    slopes, offsets = np.array([0.0, 22.5, 67.5]), np.array([0.0, -6.75, -33.75])
    weights = np.zeros((outputs, 1, HEIGHT, 4), np.float32)
    weights[:3] = (slopes / (HEIGHT * 4 * 255)).reshape(3, 1, 1, 1)
    bias = np.full(outputs, -99.0, np.float32)
    bias[:3] = offsets
    nodes = [
        helper.make_node("Cast", ["strips"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["floats", "weights", "bias"], ["maps"], strides=[HEIGHT, 4]),
        helper.make_node("Squeeze", ["maps", "rows"], ["lines"]),
        helper.make_node("Transpose", ["lines"], ["logits"], perm=[0, 2, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "reader",
        [helper.make_tensor_value_info("strips", TensorProto.UINT8, ["N", 1, HEIGHT, "W"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", "T", outputs])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(bias, "bias"),
            numpy_helper.from_array(np.array([2]), "rows"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def box(x: float, y: float, width: float, height: float = 16) -> Quad:
    """Upright, from its top left corner."""
    return ((x, y), (x + width, y), (x + width, y + height), (x, y + height))


def line(code: str) -> np.ndarray:
    """(16, 8 n) strip that the tiny reader reads as the code."""
    level = {"_": 0, "-": 125, "|": 255}
    return np.repeat(np.array([level[c] for c in code], np.uint8), 8)[None].repeat(16, axis=0)


def add_reader(folder: Path, meta: ReaderMeta = META, graph: bytes | None = None) -> Path:
    """Give the bundle in a folder a reader; it keeps its classifier."""
    path = folder / "model.json"
    files = json.loads(path.read_text())["files"]
    data = replace(load_bundle(folder).meta, reader=meta).to_json()
    model = onnx.load(folder / "localizer.onnx")
    helper.set_model_props(model, {METADATA_KEY: json.dumps(data)})
    onnx.save(model, folder / "localizer.onnx")
    (folder / "reader.onnx").write_bytes(graph or reader_graph())
    for name in ("localizer.onnx", "reader.onnx"):
        files[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(data | {"files": files}))
    return folder
