"""The graphs of a bundle as ONNX, each compared with the PyTorch module it is made from."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from simtool.export.localizer import BuiltLocalizer
from simtool.export.optimize.compact import halved, tie_negatives
from simtool.export.optimize.fold import optimized
from simtool.export.parity import ExportedGraph, compared, image_shapes
from simtool.export.recognition import export_recognition
from simtool.export.to_onnx import localizer_to_onnx
from simtool.nets.base import Classifier
from simtool.nets.reader import Reader


@dataclass(frozen=True)
class Wanted:
    """What graphs a bundle needs."""

    static: tuple[int, int] | None = None
    """(H, W) of the only image size; None where any size goes."""
    plain: bool = False
    """A localizer without `simtool.export.optimize.space_to_depth`, too."""
    unfolded: bool = False
    """A localizer with residual blocks as they were trained, for weights of 8 bits, too."""


@dataclass(frozen=True)
class BundleGraphs:
    """The graphs of a bundle, and other forms of the localizer where they were wanted."""

    localizer: ExportedGraph
    """Image -> heatmap, in its cheapest form."""
    recognition: ExportedGraph
    """Crops or strips -> logits, rounded weights stored as half floats."""
    plain: ExportedGraph | None
    """As `Wanted.plain`."""
    unfolded: onnx.ModelProto | None
    """As `Wanted.unfolded`; not compared."""


def export_graphs(
    built: BuiltLocalizer, recognition: Classifier | Reader, wanted: Wanted
) -> BundleGraphs:
    """Every graph of a bundle.

    Args:
        built: the graph from image to H.
        recognition: the network that classifies crops or reads strips.
        wanted: what graphs are needed.

    Raises:
        ModelError: one cannot be exported, or differs from PyTorch.
    """
    static = wanted.static
    forms = {"cheapest": optimized(built.graph)}
    if wanted.plain:
        forms["plain"] = optimized(built.graph, space_to_depth=False)
    if wanted.unfolded:
        forms["unfolded"] = optimized(built.graph, fold_residuals=False)
    models = {
        name: localizer_to_onnx(form, built.spec.channels, static) for name, form in forms.items()
    }
    unfolded = models.pop("unfolded", None)
    shapes = image_shapes(built.smallest, built.spec.channels, static)
    pictures = built.pictures if static is None else None
    localizers = {
        name: compared(halved(tie_negatives(model)), built.graph, shapes, pictures)
        for name, model in models.items()
    }
    read = export_recognition(recognition, built.pictures)
    return BundleGraphs(localizers["cheapest"], read, localizers.get("plain"), unfolded)
