"""The two graphs of a bundle as ONNX, each compared with the PyTorch module it is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from simtool.export.heatmap_graph import ClassifierGraph, LocalizerGraph
from simtool.export.optimize.fold import optimized
from simtool.export.optimize.half import halved
from simtool.export.optimize.tie import tie_negatives
from simtool.export.parity import Shape, check_parity, crop_shapes, image_shapes
from simtool.export.to_onnx import Port, to_onnx
from simtool.nets.base import Classifier, NetSpec

_EXAMPLE: Final = (2, 61, 83)
"""Batch, height and width of the exporter's example: all different, none 0 or 1."""


@dataclass(frozen=True)
class ExportedGraph:
    """A graph that gives what PyTorch gives."""

    model: onnx.ModelProto
    shapes: Sequence[Shape]
    """Inputs (N, C, H, W) that it was compared at."""
    difference: float
    """Largest from PyTorch; see `simtool.export.parity.check_parity`."""


def export_localizer(
    graph: LocalizerGraph,
    spec: NetSpec,
    static: tuple[int, int] | None,
    smallest: int,
    space_to_depth: bool = True,
    pictures: NDArray[np.uint8] | None = None,
) -> ExportedGraph:
    """Image -> heatmap, in its cheapest form.

    Args:
        graph: to be exported.
        spec: of its network.
        static: (H, W) of the only image size; None where any size goes.
        smallest: side of the smallest image to compare at, in pixels.
        space_to_depth: as `simtool.export.optimize.fold.optimized` takes it.
        pictures: (N, C, H, W) of the data, a few, to compare on as well.

    Raises:
        ModelError: it cannot be exported, or differs from PyTorch.
    """
    cheapest = optimized(graph, space_to_depth=space_to_depth)
    model = halved(tie_negatives(localizer_to_onnx(cheapest, spec, static)))
    shapes = image_shapes(smallest, spec.channels, static)
    worst = check_parity(model.SerializeToString(), graph, shapes, pictures)
    return ExportedGraph(model, shapes, worst)


def localizer_to_onnx(
    graph: nn.Module, spec: NetSpec, static: tuple[int, int] | None
) -> onnx.ModelProto:
    """Image -> heatmap, not compared. Raises ModelError where it cannot be exported."""
    batch, height, width = _EXAMPLE if static is None else (1, *static)
    example = torch.zeros(batch, spec.channels, height, width, dtype=torch.uint8)
    with torch.inference_mode():
        rows, h, w = graph(example).shape[1:]
    if static is None:
        source = Port("image", ("N", spec.channels, "H", "W"))
        result = Port("heatmap", ("N", rows, "h", "w"))
    else:
        source = Port("image", (1, spec.channels, *static))
        result = Port("heatmap", (1, rows, h, w))
    return to_onnx(graph, example, source, result)


def export_classifier(
    reader: Classifier, pictures: NDArray[np.uint8] | None = None
) -> ExportedGraph:
    """Crops -> logits, rounded weights stored as half floats.

    Args:
        reader: the network.
        pictures: (N, C, S, S) of the data, a few, to compare on beside random ones.

    Raises:
        ModelError: it cannot be exported, or differs from PyTorch.
    """
    spec = reader.spec
    graph = ClassifierGraph(reader, labels=len(spec.shown))
    shape = (spec.channels, spec.crop_size, spec.crop_size)
    crops, logits = Port("crops", ("N", *shape)), Port("logits", ("N", len(spec.shown)))
    model = halved(to_onnx(graph, torch.zeros(2, *shape, dtype=torch.uint8), crops, logits))
    shapes = crop_shapes(spec.crop_size, spec.channels)
    worst = check_parity(model.SerializeToString(), graph, shapes, pictures)
    return ExportedGraph(model, shapes, worst)
