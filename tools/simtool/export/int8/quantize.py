"""A localizer's inner convolutions in 8 bits, as ONNX Runtime runs them fastest.

What reads the picture and what writes H stay in single precision: both are thin, so that there is
little to gain, and their steps would show in H at once. Between them stand pairs of QuantizeLinear
and DequantizeLinear, from which a runtime makes integer arithmetic (QDQ).

Values between layers are unsigned bytes, weights signed ones of seven bits, a scale for each
filter. Seven, because x86 processors without VNNI add the products of two bytes in 16 bits and cut
the sum off: 2 x 255 x 64 fits, 2 x 255 x 127 does not. So every processor comes to the same sums.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx.numpy_helper import from_array, to_array
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import TensorsData

from simrun.errors import UsageError
from simrun.types import Singles

WEIGHT_BITS: Final = 7
_LARGEST_WEIGHT: Final = 2 ** (WEIGHT_BITS - 1)


@dataclass(frozen=True)
class Values:
    """What goes from one layer to the next, averaged over pictures."""

    low: float
    """The least in a picture, or 0."""
    high: float
    """The greatest in a picture, or 0."""
    means: Singles
    """(C,) of the channels."""


def quantize(model: onnx.ModelProto, inputs: Iterable[NDArray[np.uint8]]) -> onnx.ModelProto:
    """The model with its inner convolutions in 8 bits.

    Args:
        model: image -> heatmap, as `simtool.export.to_onnx` makes it.
        inputs: pictures (1, C, H, W) of the kind that the network will see. Values beyond the
            range of an average one are cut off; a strange one does not widen the steps for all.

    Raises:
        UsageError: it has no inner convolution.
    """
    convolutions = inner_convolutions(model.graph)
    if not convolutions:
        raise UsageError(
            "--int8 has nothing to do: no convolution of this network lies between the one that "
            "reads the picture and the one that writes the heatmap; leave it out"
        )
    values = measure_values(model, inputs)
    quantizer = QDQQuantizer(
        onnx.shape_inference.infer_shapes(_with_shifted_biases(model, values)),
        per_channel=True,
        reduce_range=True,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, _ranges(model.graph, values)),
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


def measure_values(
    model: onnx.ModelProto, inputs: Iterable[NDArray[np.uint8]]
) -> dict[str, Values]:
    """What goes into, comes out of and is added to the inner convolutions, by name."""
    names = _around(model.graph)
    shown = {port.name for port in model.graph.output}
    watched = copy.deepcopy(model)
    watched.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in shown)
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    source = session.get_inputs()[0].name
    seen: dict[str, list[Values]] = {name: [] for name in names}
    for image in inputs:
        for name, found in zip(names, session.run(names, {source: image}), strict=True):
            low, high = min(0.0, float(found.min())), max(0.0, float(found.max()))
            seen[name].append(Values(low, high, found.mean(axis=(0, 2, 3))))
    return {name: _average(each) for name, each in seen.items()}


def _average(each: Sequence[Values]) -> Values:
    return Values(
        float(np.mean([one.low for one in each])),
        float(np.mean([one.high for one in each])),
        np.mean([one.means for one in each], axis=0, dtype=np.float32),
    )


def _around(graph: onnx.GraphProto) -> list[str]:
    """Values that inner convolutions take and give, and what is added to those."""
    given = [output for node in graph.node for output in node.output]
    wanted = set()
    for node in inner_convolutions(graph):
        wanted |= {node.input[0], node.output[0]}
        user = _only_user(graph, node.output[0])
        if user is not None and user.op_type == "Add":
            wanted |= set(user.input)
    return [name for name in given if name in wanted]


def _with_shifted_biases(model: onnx.ModelProto, values: Mapping[str, Values]) -> onnx.ModelProto:
    """A copy whose inner convolutions give on average what they gave, once weights are rounded."""
    shifted = copy.deepcopy(model)
    known = {tensor.name: to_array(tensor) for tensor in model.graph.initializer}
    for node in inner_convolutions(shifted.graph):
        weights = known[node.input[1]]
        filters, channels = weights.shape[:2]
        # Those of a group see the channels of their group alone.
        means = values[node.input[0]].means.reshape(-1, channels)
        means = np.repeat(means, filters // len(means), axis=0)
        shift = (_rounding_error(weights).sum(axis=(2, 3)) * means).sum(axis=1)
        bias = known[node.input[2]] if len(node.input) > 2 else np.zeros(filters, np.float32)
        # Two convolutions may share a bias, and see different values.
        name = f"{node.name}_bias"
        shifted.graph.initializer.append(from_array((bias - shift).astype(np.float32), name))
        node.input[2:] = [name]
    return shifted


def _rounding_error(weights: Singles) -> Singles:
    """How much larger (F, C, h, w) become when they are rounded to steps of each filter's own."""
    steps = np.abs(weights).max(axis=(1, 2, 3), keepdims=True) / _LARGEST_WEIGHT
    steps = np.where(steps > 0, steps, 1)
    return np.asarray(np.round(weights / steps) * steps - weights, np.float32)


def _ranges(graph: onnx.GraphProto, values: Mapping[str, Values]) -> dict[str, Sequence[Singles]]:
    """Least and greatest value of all that is quantized."""
    lows = {name: known.low for name, known in values.items()}
    for node in inner_convolutions(graph):
        lows[node.output[0]] = _useful_low(graph, node.output[0], values)
    return {
        name: (np.array(lows[name], np.float32), np.array(known.high, np.float32))
        for name, known in values.items()
    }


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


def _useful_low(graph: onnx.GraphProto, value: str, values: Mapping[str, Values]) -> float:
    """The least that a convolution gives which no ReLU behind it makes 0 in any case.

    Most results are far below 0: without them the steps between the others are half as large.
    """
    low = values[value].low
    user = _only_user(graph, value)
    if user is None:
        return low
    if user.op_type == "Relu":
        return 0.0
    relu = _only_user(graph, user.output[0])
    added = [name for name in user.input if name != value]
    # A residual block; what it adds lifts the result by so much at most.
    if user.op_type == "Add" and relu is not None and relu.op_type == "Relu":
        known = [values[name].high for name in added if name in values]
        return max(low, -known[0]) if len(known) == 1 else low
    return low


def _only_user(graph: onnx.GraphProto, value: str) -> onnx.NodeProto | None:
    """The node that takes a value, where one alone does and the value is not given out."""
    users = [node for node in graph.node if value in node.input]
    given_out = any(port.name == value for port in graph.output)
    return users[0] if len(users) == 1 and not given_out else None
