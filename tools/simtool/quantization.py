"""A localizer's inner convolutions in 8 bits, as ONNX Runtime runs them fastest.

What reads the picture and what writes H stay in single precision: both are thin, so that there is
little to gain, and their steps would show in H at once. Between them stand pairs of QuantizeLinear
and DequantizeLinear, from which a runtime makes integer arithmetic (QDQ).

Values between layers are unsigned bytes, weights signed ones of seven bits, a scale for each
filter. Seven, because x86 processors without VNNI add the products of two bytes in 16 bits and cut
the sum off: 2 x 255 x 64 fits, 2 x 255 x 127 does not. So every processor comes to the same sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import TensorsData

from simrun.errors import UsageError

WEIGHT_BITS: Final = 7


@dataclass(frozen=True)
class Range:
    """Least and greatest value of a tensor; 0 lies between them."""

    low: float = 0.0
    high: float = 0.0

    def including(self, values: NDArray[np.float32]) -> Range:
        """The range of these values too."""
        return Range(min(self.low, float(values.min())), max(self.high, float(values.max())))


def quantize(model: onnx.ModelProto, inputs: Iterable[NDArray[np.uint8]]) -> onnx.ModelProto:
    """The model with its inner convolutions in 8 bits.

    Args:
        model: image -> heatmap, as `simtool.onnx_file` makes it.
        inputs: pictures (1, C, H, W) that stand for all that the network will see: what lies beyond
            the values that they lead to is cut off.

    Raises:
        UsageError: it has no inner convolution.
    """
    convolutions = inner_convolutions(model.graph)
    if not convolutions:
        raise UsageError(
            "--int8 has nothing to do: no convolution of this network lies between the one that "
            "reads the picture and the one that writes the heatmap; leave it out"
        )
    ranges = measure_ranges(model, inputs)
    for node in convolutions:
        ranges[node.output[0]] = _useful_range(model.graph, node.output[0], ranges)
    quantizer = QDQQuantizer(
        # The quantizer works in place.
        onnx.shape_inference.infer_shapes(model),
        per_channel=True,
        reduce_range=True,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, _as_arrays(ranges)),
        nodes_to_quantize=[node.name for node in convolutions],
        nodes_to_exclude=[],
        op_types_to_quantize=["Conv"],
        extra_options={},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    quantized: onnx.ModelProto = quantizer.model.model
    quantized.producer_name, quantized.producer_version = model.producer_name, ""
    del quantized.graph.value_info[:]
    onnx.checker.check_model(quantized)
    return quantized


def inner_convolutions(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Those that have another convolution both before and behind them, on some way through."""
    after = _reached(graph.node)
    before = _reached([_reversed(node) for node in reversed(graph.node)])
    return [node for node in graph.node if node.name in after & before]


def measure_ranges(model: onnx.ModelProto, inputs: Iterable[NDArray[np.uint8]]) -> dict[str, Range]:
    """The range of every value that a node gives, over all inputs (1, C, H, W)."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    shown = {port.name for port in model.graph.output}
    names = [name for node in model.graph.node for name in node.output]
    watched.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in shown)
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    source = session.get_inputs()[0].name
    ranges = dict.fromkeys(names, Range())
    for image in inputs:
        for name, values in zip(names, session.run(names, {source: image}), strict=True):
            ranges[name] = ranges[name].including(values)
    return ranges


def _reached(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Names of the convolutions that a value from another convolution comes to, in this order."""
    touched: set[str] = set()
    names = set()
    for node in nodes:
        comes = not touched.isdisjoint(node.input)
        if node.op_type == "Conv" and comes:
            names.add(node.name)
        if node.op_type == "Conv" or comes:
            touched.update(node.output)
    return names


def _reversed(node: onnx.NodeProto) -> onnx.NodeProto:
    return onnx.NodeProto(
        name=node.name, op_type=node.op_type, input=node.output, output=node.input
    )


def _useful_range(graph: onnx.GraphProto, value: str, ranges: Mapping[str, Range]) -> Range:
    """The range of a convolution's result without what a ReLU behind it makes 0 in any case.

    Most results are far below 0: without them the steps between the others are half as large.
    """
    whole = ranges[value]
    user = _only_user(graph, value)
    if user is None:
        return whole
    if user.op_type == "Relu":
        return Range(0.0, whole.high)
    relu = _only_user(graph, user.output[0])
    if user.op_type != "Add" or relu is None or relu.op_type != "Relu":
        return whole
    # What is added, in a residual block, raises it by no more than this.
    raised = sum(ranges[name].high for name in user.input if name != value and name in ranges)
    constant = any(name not in ranges for name in user.input)
    return whole if constant else Range(max(whole.low, -raised), whole.high)


def _only_user(graph: onnx.GraphProto, value: str) -> onnx.NodeProto | None:
    """The node that takes a value, where one alone does and the value is not given out."""
    users = [node for node in graph.node if value in node.input]
    given_out = any(port.name == value for port in graph.output)
    return users[0] if len(users) == 1 and not given_out else None


def _as_arrays(ranges: Mapping[str, Range]) -> dict[str, Sequence[NDArray[np.float32]]]:
    return {
        name: (np.array(r.low, np.float32), np.array(r.high, np.float32))
        for name, r in ranges.items()
    }
