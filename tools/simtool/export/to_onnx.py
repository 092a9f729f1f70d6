"""A PyTorch module as one clean ONNX file: opset 17 or 18, IR 8, no stack traces."""

from __future__ import annotations

import io
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Final

import onnx
import torch
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from simrun.errors import ModelError, first_line

OPSET: Final = 17
_OPSETS: Final = (OPSET, 18)
"""18 where the exporter cannot lower an operator, such as a mean over axes, to 17."""
IR_VERSION: Final = 8
_NOISY: Final = ("torch.onnx", "torch.export", "torch.fx", "onnxscript", "onnx_ir")


_EXAMPLE_WIDTH: Final = 88
"""Of a strip of the exporter's example."""


@dataclass(frozen=True)
class Port:
    """A graph's input or output: its name and its axes, a name each where symbolic."""

    name: str
    axes: tuple[str | int, ...]


_EXAMPLE: Final = (2, 61, 83)
"""Batch, height and width of the exporter's example: all different, none 0 or 1."""


def localizer_to_onnx(
    graph: nn.Module, channels: int, static: tuple[int, int] | None
) -> onnx.ModelProto:
    """Image (N, channels, H, W) uint8 -> heatmap (N, K, h, w).

    Args:
        graph: in evaluation mode.
        channels: of the image.
        static: (H, W) of the only image size, one image a time; None where any goes.

    Raises:
        ModelError: it cannot be exported.
    """
    batch, height, width = _EXAMPLE if static is None else (1, *static)
    example = torch.zeros(batch, channels, height, width, dtype=torch.uint8)
    with torch.inference_mode():
        rows, h, w = graph(example).shape[1:]
    if static is None:
        source = Port("image", ("N", channels, "H", "W"))
        result = Port("heatmap", ("N", rows, "h", "w"))
    else:
        source = Port("image", (1, channels, *static))
        result = Port("heatmap", (1, rows, h, w))
    return to_onnx(graph, example, source, result)


def classifier_to_onnx(
    graph: nn.Module, crop: tuple[int, int, int], labels: int
) -> onnx.ModelProto:
    """Crops (N, *crop) uint8 -> logits (N, labels). Raises ModelError where it cannot be."""
    crops, logits = Port("crops", ("N", *crop)), Port("logits", ("N", labels))
    return to_onnx(graph, torch.zeros(2, *crop, dtype=torch.uint8), crops, logits)


def reader_to_onnx(graph: nn.Module, height: int, outputs: int) -> onnx.ModelProto:
    """Strips (N, 1, height, W) uint8 -> logits (N, T, outputs). Raises ModelError as the others."""
    strips, logits = Port("strips", ("N", 1, height, "W")), Port("logits", ("N", "T", outputs))
    example = torch.zeros(2, 1, height, _EXAMPLE_WIDTH, dtype=torch.uint8)
    return to_onnx(graph, example, strips, logits)


def to_onnx(module: nn.Module, example: Tensor, source: Port, result: Port) -> onnx.ModelProto:
    """Export a module of one input and one output.

    Args:
        module: in evaluation mode.
        example: an input; sizes of symbolic axes must be 2 or more, all different, or the exporter
            takes them for constants.
        source: the input; an axis given by name becomes symbolic.
        result: the output.

    Raises:
        ModelError: the module cannot be exported, or fixes a size that should be symbolic.
    """
    symbolic = {
        axis: torch.export.Dim.DYNAMIC
        for axis, size in enumerate(source.axes)
        if isinstance(size, str)
    }
    try:
        # Nothing is trained here, and what writes in place may not be differentiable.
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                external_data=False,
                dynamic_shapes=(symbolic,),
                input_names=[source.name],
                output_names=[result.name],
                verbose=False,
            )
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"the network cannot be exported: {_reason(error)}") from error
    if program is None:
        raise ModelError("the network cannot be exported: the exporter gave no graph")
    return _clean(program.model_proto, source, result)


def _reason(error: BaseException) -> str:
    """What lies below the exporter's error, which is all advice, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, GuardOnDataDependentSymNode):
        return "its forward() decides by values of tensors"
    return first_line(error)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which tells of its own workings on every channel there is."""
    levels = {name: logging.getLogger(name).level for name in _NOISY}
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for name in _NOISY:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def _clean(model: onnx.ModelProto, source: Port, result: Port) -> onnx.ModelProto:
    """Own names, no stack traces; checked.

    Raises:
        ModelError: the graph is not valid, or not of the opset asked for.
    """
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    opset = opsets.get("", 0)
    if opset not in _OPSETS:
        raise ModelError(f"the exporter gave opset {opsets}, not {OPSET}; check its version")
    clean = onnx.ModelProto(
        ir_version=IR_VERSION, producer_name="similarnet", graph=_clean_graph(model.graph)
    )
    clean.opset_import.add(domain="", version=opset)
    _set_axes(clean.graph.input[0], source)
    _set_axes(clean.graph.output[0], result)
    try:
        onnx.checker.check_model(clean, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"the exported graph is not valid: {first_line(error)}") from error
    return clean


def _clean_graph(graph: onnx.GraphProto) -> onnx.GraphProto:
    """Nodes, weights and ports alone, nodes named by what they do: `conv_1`, `relu_1`, ...

    A value has the name of its node, with a number where that has several.
    """
    ports = {port.name for port in (*graph.input, *graph.output)}
    weights = {tensor.name for tensor in graph.initializer}
    numbers: Counter[str] = Counter()
    renamed: dict[str, str] = {}
    clean = onnx.GraphProto(name="similarnet")
    for node in graph.node:
        kind = node.op_type.lower()
        numbers[kind] += 1
        name = f"{kind}_{numbers[kind]}"
        for i, output in enumerate(node.output):
            own = name if len(node.output) == 1 else f"{name}_{i + 1}"
            renamed[output] = output if output in ports else own
        inputs = [renamed.get(i, i) for i in node.input]
        outputs = [renamed[o] for o in node.output]
        clean.node.append(
            onnx.NodeProto(
                name=name,
                op_type=node.op_type,
                domain=node.domain,
                input=inputs,
                output=outputs,
                attribute=[_bare_attribute(a) for a in node.attribute],
            )
        )
    used = {name for node in clean.node for name in node.input}
    for tensor in graph.initializer:
        if tensor.name in used & weights:
            copy = clean.initializer.add()
            copy.CopyFrom(tensor)
            copy.ClearField("doc_string")
            del copy.metadata_props[:]
    clean.input.extend(_bare_port(port) for port in graph.input)
    clean.output.extend(_bare_port(port) for port in graph.output)
    return clean


def _bare_attribute(attribute: onnx.AttributeProto) -> onnx.AttributeProto:
    copy = onnx.AttributeProto()
    copy.CopyFrom(attribute)
    copy.ClearField("doc_string")
    return copy


def _bare_port(port: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    return onnx.ValueInfoProto(name=port.name, type=port.type)


def _set_axes(port: onnx.ValueInfoProto, wanted: Port) -> None:
    """Name the symbolic axes.

    Raises:
        ModelError: the exporter fixed an axis that should be symbolic.
    """
    axes = port.type.tensor_type.shape.dim
    if len(axes) != len(wanted.axes):
        raise ModelError(f"'{port.name}' has {len(axes)} axes in the graph, not {wanted.axes}")
    for axis, size in zip(axes, wanted.axes, strict=True):
        if isinstance(size, str):
            if axis.HasField("dim_value"):
                raise ModelError(
                    f"the network fixes axis {size} of '{port.name}' to {axis.dim_value}; export "
                    "it with --static, or make it fully convolutional"
                )
            axis.dim_param = size
        else:
            axis.dim_value = size
