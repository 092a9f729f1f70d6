"""From a network and its ablation to the graph of H: weighed, transformed and scaled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simrun.bundle.metadata import BundleMeta
from simrun.errors import UsageError
from simtool.ablation.record import AblationRecord
from simtool.data import LabelledImages
from simtool.data.subsampling import subsampling_step
from simtool.export.geometry import Geometry, check_static, geometry_of
from simtool.export.heatmap_graph import LocalizerGraph, Polarity
from simtool.export.heatmap_scale import Calibration, calibrate, known_calibration
from simtool.export.presets import ExportOptions
from simtool.export.trunk import transform_trunk
from simtool.nets.base import Classifier, NetSpec, Padding
from simtool.weighting.weigh import Weighting, weigh

_COMPARED: Final = 16
"""Pictures of the data that graphs are compared with PyTorch on, beside random ones."""


@dataclass(frozen=True)
class BuiltLocalizer:
    """The graph from image to H, and what it was made of."""

    graph: LocalizerGraph
    """With the layers as they were trained: nothing of `simtool.export.optimize` is done yet."""
    spec: NetSpec
    weighting: Weighting
    padding: Padding
    geometry: Geometry
    calibration: Calibration
    pictures: NDArray[np.uint8] | None
    """(N, C, S, S), a few of the data, where it was read."""

    @property
    def smallest(self) -> int:
        """Side of the smallest image that it is compared with PyTorch at, in pixels."""
        if self.padding == "same":  # takes smaller images too, and deep networks see very far
            return min(self.geometry.receptive_field, self.spec.crop_size)
        return self.geometry.receptive_field


def build_localizer(
    net: Classifier,
    record: AblationRecord,
    options: ExportOptions,
    load: Callable[[str], LabelledImages],
    previous: BundleMeta | None = None,
) -> BuiltLocalizer:
    """Weigh, transform and calibrate.

    Args:
        net: to be exported; its weights are shared.
        record: its ablation.
        options: how.
        load: gives the split of that name of the training data. It is called only where `previous`
            does not hold the calibration already.
        previous: metadata of the bundle that is exported again, where there is one.

    Raises:
        UsageError: the weighting or its options are impossible, or do not go with the network.
        ModelError: the trunk cannot be transformed, or H does not answer to the data.
        SourceError: the data that the calibration needs cannot be read.
    """
    spec = net.spec
    if spec.both_polarities and options.polarity != "both":
        raise UsageError(f"'{spec.name}' answers to both polarities; leave --polarity out")
    weights = replace(options.weights, background=spec.contrast)
    weighting = weigh(record, options.weighting, weights)
    if weighting.per_class:
        weighting = weighting.first_rows(len(spec.shown))
    padding = options.padding or spec.export_padding
    trunk = transform_trunk(net.export_trunk(), options.pool, padding)
    geometry = geometry_of(trunk, spec.channels)
    check_static(options.static_size, geometry)
    calibration = known_calibration(previous, weighting, options.pool, padding)
    pictures = None
    if calibration is None:
        data = load(record.split)
        pictures = data.images[:: subsampling_step(len(data), _COMPARED)]
        calibration = calibrate(trunk, weighting, data, spec.background)
    # A network that was trained on both polarities answers to both in one run.
    polarity: Polarity = "bright" if spec.both_polarities else options.polarity
    graph = LocalizerGraph(trunk, calibration.readout(weighting), polarity)
    return BuiltLocalizer(graph, spec, weighting, padding, geometry, calibration, pictures)
