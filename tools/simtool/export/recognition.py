"""What names a region in a bundle: a classifier of crops, or a reader of lines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simrun.bundle.load import CLASSIFIER_FILE, READER_FILE
from simrun.bundle.metadata import BundleMeta
from simrun.bundle.reader import ReaderMeta
from simtool.data.labels import STRIPS
from simtool.export.ablated_model import Networks
from simtool.export.heatmap_graph import ClassifierGraph
from simtool.export.optimize.compact import halved
from simtool.export.parity import ExportedGraph, compared, crop_shapes, strip_shapes
from simtool.export.to_onnx import classifier_to_onnx, reader_to_onnx
from simtool.nets.base import Classifier
from simtool.nets.reader import Reader

UNCALIBRATED: Final = 0.5
"""Threshold of a reader before `simtool calibrate --read` has chosen one."""


@dataclass(frozen=True)
class Labelling:
    """What a bundle says of its classifier or reader."""

    file: str
    """Of its graph."""
    classes: tuple[str, ...]
    """Of a classifier; a reader has none."""
    crop_size: int
    """Side of a classifier's crops in pixels."""
    reader: ReaderMeta | None = None
    """Of a reader."""


def labelling_of(nets: Networks, previous: BundleMeta | None) -> Labelling:
    """What is said of the networks' classifier or reader.

    Args:
        nets: what is exported.
        previous: of the bundle that is exported again; its reader keeps its threshold.
    """
    net = nets.recognition
    if isinstance(net, Classifier):
        return Labelling(CLASSIFIER_FILE, net.spec.shown, net.spec.crop_size)
    former = None if previous is None else previous.reader
    meta = replace(STRIPS, threshold=UNCALIBRATED if former is None else former.threshold)
    return Labelling(READER_FILE, (), nets.localizer.spec.crop_size, meta)


def export_recognition(
    net: Classifier | Reader, pictures: NDArray[np.uint8] | None = None
) -> ExportedGraph:
    """The graph of a classifier or a reader, its rounded weights stored as half floats.

    Args:
        net: with the weights that the file will hold; a reader with its batch norms folded.
        pictures: (N, C, H, W) of the data, a few: a classifier is compared on them too, if they
            are crops; they may be scenes, of which crops are parts.

    Raises:
        ModelError: it cannot be exported, or differs from PyTorch.
    """
    if isinstance(net, Reader):
        model = reader_to_onnx(net, STRIPS.height, len(STRIPS.characters))
        shapes = strip_shapes(STRIPS.height, STRIPS.least_width, STRIPS.greatest_width)
        return compared(halved(model), net, shapes)
    spec = net.spec
    graph = ClassifierGraph(net, labels=len(spec.shown))
    crop = (spec.channels, spec.crop_size, spec.crop_size)
    model = classifier_to_onnx(graph, crop, len(spec.shown))
    crops = pictures if pictures is not None and pictures.shape[1:] == crop else None
    return compared(halved(model), graph, crop_shapes(spec.crop_size, spec.channels), crops)
