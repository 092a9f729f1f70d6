"""The graphs of a bundle as ONNX, each compared with the PyTorch module it is made from."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from simtool.export.heatmap_graph import ClassifierGraph
from simtool.export.localizer import BuiltLocalizer
from simtool.export.optimize.compact import halved, tie_negatives
from simtool.export.optimize.fold import optimized
from simtool.export.parity import ExportedGraph, compared, crop_shapes, image_shapes
from simtool.export.to_onnx import classifier_to_onnx, localizer_to_onnx
from simtool.nets.base import Classifier


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
    classifier: ExportedGraph
    """Crops -> logits, rounded weights stored as half floats."""
    plain: ExportedGraph | None
    """As `Wanted.plain`."""
    unfolded: onnx.ModelProto | None
    """As `Wanted.unfolded`; not compared."""


def export_graphs(built: BuiltLocalizer, reader: Classifier, wanted: Wanted) -> BundleGraphs:
    """Every graph of a bundle.

    Args:
        built: the graph from image to H.
        reader: the network that reads crops.
        wanted: what graphs are needed.

    Raises:
        ModelError: one cannot be exported, or differs from PyTorch.
    """
    spec, static = reader.spec, wanted.static
    crop = (spec.channels, spec.crop_size, spec.crop_size)
    forms = {"cheapest": optimized(built.graph)}
    if wanted.plain:
        forms["plain"] = optimized(built.graph, space_to_depth=False)
    if wanted.unfolded:
        forms["unfolded"] = optimized(built.graph, fold_residuals=False)
    reading = ClassifierGraph(reader, labels=len(spec.shown))
    models = {
        name: localizer_to_onnx(form, built.spec.channels, static) for name, form in forms.items()
    }
    crop_model = classifier_to_onnx(reading, crop, len(spec.shown))
    unfolded = models.pop("unfolded", None)
    shapes = image_shapes(built.smallest, built.spec.channels, static)
    pictures = built.pictures if static is None else None
    localizers = {
        name: compared(halved(tie_negatives(model)), built.graph, shapes, pictures)
        for name, model in models.items()
    }
    # Pictures of the data may be scenes, of which crops are parts.
    seen = built.pictures
    crops = seen if seen is not None and seen.shape[1:] == crop else None
    read = compared(halved(crop_model), reading, crop_shapes(spec.crop_size, spec.channels), crops)
    return BundleGraphs(localizers["cheapest"], read, localizers.get("plain"), unfolded)
