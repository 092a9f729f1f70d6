"""Export of a trained and ablated network as a bundle that `simrun` runs."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import nn

from simrun.bundle.load import CLASSIFIER_FILE, LOCALIZER_FILE, METADATA_FILE
from simrun.bundle.metadata import BundleMeta
from simrun.errors import ModelError, UsageError
from simrun.files import output_errors
from simtool.data import LabelledImages
from simtool.data.subsampling import subsampling_step
from simtool.export.ablated_model import AblatedModel
from simtool.export.bundle_graphs import export_classifier, export_localizer, localizer_to_onnx
from simtool.export.formats import WITHOUT_SPACE_TO_DEPTH, Graph, convert, require_format
from simtool.export.geometry import Geometry, check_geometry, probe_geometry, trunk_geometry
from simtool.export.heatmap_graph import LocalizerGraph, Polarity, Pool, transform_trunk
from simtool.export.heatmap_scale import Calibration, calibrate
from simtool.export.int8.compare import PrecisionComparison
from simtool.export.int8.export import Samples, to_int8
from simtool.export.optimize.fold import optimized
from simtool.export.optimize.half import round_trunk, round_weights
from simtool.export.presets import ExportOptions
from simtool.export.to_onnx import IR_VERSION
from simtool.export.writer import bundle_files, keep_point
from simtool.files import check_target, json_bytes, write_folder
from simtool.nets.base import Classifier, NetSpec, Padding
from simtool.runs.checkpoint import CHECKPOINT_FILE, CLASSIFIER_CHECKPOINT
from simtool.runs.folder import ABLATION_FILE
from simtool.weighting.weigh import Weighting, weigh

log = logging.getLogger(__name__)

MODEL_CARD: Final = "README.md"
_COMPARED: Final = 16
"""Pictures of the data that graphs are compared with PyTorch on, beside random ones."""


@dataclass(frozen=True)
class Report:
    """What an export made."""

    meta: BundleMeta
    weighting: Weighting
    localizer_difference: float
    """Largest absolute difference between graph, in single precision, and PyTorch."""
    classifier_difference: float
    sizes: dict[str, int]
    """File name -> bytes."""
    format_differences: dict[str, float]
    """Format -> largest absolute difference between it and the ONNX graphs."""
    comparison: PrecisionComparison | None
    """Of int8 with single precision, where that was asked for."""


def export_bundle(
    ablated: AblatedModel,
    options: ExportOptions,
    target: Path,
    load: Callable[[str], LabelledImages],
    overwrite: bool = False,
) -> Report:
    """Write the bundle `target`, whole or not at all.

    Args:
        ablated: the network and its ablation.
        options: how.
        target: the folder; its name is the model's.
        load: gives the split of that name of the training data. It is called only where the
            bundle that is exported again does not hold the calibration already.
        overwrite: replace a bundle that is there; its README.md is kept.

    Raises:
        OutputError: `target` is not empty, or cannot be written.
        UsageError: the weighting or its options are impossible, or a format's converter is missing.
        ModelError: the network cannot be exported, the graph differs from PyTorch, or a format from
            the graph.
        SourceError: the data that the calibration needs, or pictures for int8, cannot be read.
    """
    for name in options.formats:
        require_format(name, int8=options.int8 is not None)
    samples = None if options.int8 is None else Samples.open(options.int8)
    check_target(target, mark=METADATA_FILE, overwrite=overwrite)
    kept = _kept_files(target)
    built = build_localizer(ablated, options, load)
    shown = built.pictures if options.static_size is None else None
    localizer = export_localizer(
        built.graph, built.spec, options.static_size, built.smallest, pictures=shown
    )
    reader = _reader(ablated)
    classifier = export_classifier(reader, None if ablated.classifier else built.pictures)
    graph, comparison = localizer.model, None
    meta = _metadata(target.resolve().name, ablated, options, built, reader.spec, graph)
    if samples is not None:
        graph, meta, comparison = to_int8(graph, _with_residuals(built, options), meta, samples)
    meta = keep_point(meta, ablated.previous)
    contents = kept | _contents(meta, graph, classifier.model, ablated)
    graphs = (
        Graph(Path(LOCALIZER_FILE).stem, contents[LOCALIZER_FILE], localizer.shapes),
        Graph(Path(CLASSIFIER_FILE).stem, contents[CLASSIFIER_FILE], classifier.shapes),
    )
    converted, differences = _convert(graphs, built, options)
    contents |= converted
    write_folder(target, contents, mark=METADATA_FILE, overwrite=overwrite)
    log.info("%s: graph and PyTorch differ by at most %.1e", target, localizer.difference)
    return Report(
        meta=meta,
        weighting=built.weighting,
        localizer_difference=localizer.difference,
        classifier_difference=classifier.difference,
        sizes={name: len(content) for name, content in contents.items()},
        format_differences=differences,
        comparison=comparison,
    )


def _kept_files(target: Path) -> dict[str, bytes]:
    """What stays of a bundle that is replaced: its card. Raises OutputError."""
    card = target / MODEL_CARD
    with output_errors(str(target)):
        return {MODEL_CARD: card.read_bytes()} if card.is_file() else {}


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
    ablated: AblatedModel, options: ExportOptions, load: Callable[[str], LabelledImages]
) -> BuiltLocalizer:
    """Weigh, transform and calibrate. Arguments and errors as `export_bundle`."""
    net = ablated.checkpoint.build()
    spec = net.spec
    if spec.half_trunk:
        round_trunk(net.export_trunk())
    weighting = _weigh(ablated, options, spec)
    padding = options.padding or spec.export_padding
    trunk = transform_trunk(net.export_trunk(), options.pool, padding)
    geometry = _geometry(trunk, spec.channels)
    _check_static(options.static_size, geometry)
    calibration = _known_calibration(ablated, weighting, options.pool, padding)
    pictures = None
    if calibration is None:
        data = load(ablated.ablation.split)
        pictures = data.images[:: subsampling_step(len(data), _COMPARED)]
        calibration = calibrate(trunk, weighting, data, spec.background)
    # A network that was trained on both polarities answers to both in one run.
    polarity: Polarity = "bright" if spec.both_polarities else options.polarity
    graph = LocalizerGraph(trunk, calibration.readout(weighting), polarity)
    return BuiltLocalizer(graph, spec, weighting, padding, geometry, calibration, pictures)


def _weigh(ablated: AblatedModel, options: ExportOptions, spec: NetSpec) -> Weighting:
    """The filters' weights, of the shown classes alone. Raises UsageError."""
    if spec.both_polarities and options.polarity != "both":
        raise UsageError(f"'{spec.name}' answers to both polarities; leave --polarity out")
    weights = replace(options.weights, background=spec.contrast)
    weighting = weigh(ablated.ablation, options.weighting, weights)
    return weighting.first_rows(len(spec.shown)) if weighting.per_class else weighting


def _geometry(trunk: nn.Module, channels: int) -> Geometry:
    """By the layers, and confirmed, for a sequence; else by probing. Raises ModelError."""
    if not isinstance(trunk, nn.Sequential):
        return probe_geometry(trunk, channels)
    geometry = trunk_geometry(trunk)
    check_geometry(trunk, channels, geometry)
    return geometry


def _check_static(size: tuple[int, int] | None, geometry: Geometry) -> None:
    if size is not None and min(size) < geometry.receptive_field:
        raise UsageError(
            f"--static {size[0]}x{size[1]} is smaller than the receptive field, "
            f"{geometry.receptive_field} pixels; give a larger size"
        )


def _known_calibration(
    ablated: AblatedModel, weighting: Weighting, pool: Pool, padding: Padding
) -> Calibration | None:
    """The calibration that the bundle was made with before, where it holds for this export too."""
    if ablated.previous is None:
        return None
    made = ablated.previous.export
    same_form = made.get("pool") == pool and made.get("padding") == padding
    same_weights = dict(ablated.previous.weighting) == json.loads(json.dumps(weighting.to_json()))
    if not (same_form and same_weights):
        return None
    return Calibration.from_json(made["calibration"])


def _with_residuals(built: BuiltLocalizer, options: ExportOptions) -> onnx.ModelProto:
    """The localizer with residual blocks left as they are, for weights of 8 bits."""
    plain = optimized(built.graph, fold_residuals=False)
    return localizer_to_onnx(plain, built.spec, options.static_size)


def _reader(ablated: AblatedModel) -> Classifier:
    """The network that reads crops: that of another run, or the localizer's own; as stored.

    Raises:
        ModelError: there is none, and the localizer's network takes no crops.
    """
    reader = (ablated.classifier or ablated.checkpoint).build()
    if len(reader.spec.shown) < 2:
        raise ModelError(
            f"'{reader.spec.name}' reads no characters; give a run of 'simtool train characters' "
            "with --classifier"
        )
    round_weights(reader, spared=None if ablated.classifier else reader.export_trunk())
    return reader


def _metadata(
    name: str,
    ablated: AblatedModel,
    options: ExportOptions,
    built: BuiltLocalizer,
    reader: NetSpec,
    graph: onnx.ModelProto,
) -> BundleMeta:
    """Everything that the bundle says of itself. Raises ModelError for impossible values."""
    spec, geometry, weighting = built.spec, built.geometry, built.weighting
    return BundleMeta(
        name=name,
        task=options.task,
        classes=reader.shown,
        heatmap_channels=spec.shown if weighting.per_class else (spec.target,),
        layer=spec.layer,
        stride=geometry.stride,
        offset=geometry.offset,
        receptive_field=geometry.receptive_field,
        polarity=options.polarity,
        side=options.side,
        scales=options.scales,
        map_threshold=options.map_threshold,
        region_threshold=options.region_threshold,
        regions=options.regions,
        crop_size=reader.crop_size,
        static_size=options.static_size,
        channels=spec.channels,
        weighting=weighting.to_json(),
        ablation=_ablation_summary(ablated),
        accuracy=ablated.accuracy,
        training=ablated.training,
        export={
            "pool": options.pool,
            "padding": built.padding,
            "calibration": built.calibration.to_json(),
            "opset": graph.opset_import[0].version,
            "ir_version": IR_VERSION,
        },
        versions=_versions(),
    )


def _ablation_summary(ablated: AblatedModel) -> dict[str, Any]:
    """E and e_i, and what they were measured on; the whole is in ablation.json."""
    record = ablated.ablation
    summary: dict[str, Any] = {
        "layer": record.layer,
        "baseline": record.baseline,
        "split": record.split,
        "samples": record.samples,
        "seed": record.seed,
        "data_sha256": record.data_sha256,
        "checkpoint_sha256": record.checkpoint_sha256,
    }
    for name, measured in record.criteria.items():
        summary[name] = {"E": measured.base, "e_i": measured.ablated}
    return summary


def _versions() -> dict[str, str]:
    packages = ("similarnet", "torch", "onnx", "onnxscript")
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout, not installed
            found[package] = "source"
    return {"python": platform.python_version(), **found}


def _contents(
    meta: BundleMeta, localizer: onnx.ModelProto, classifier: onnx.ModelProto, ablated: AblatedModel
) -> dict[str, bytes]:
    """The files that `simrun` reads, and those to export the bundle again from."""
    checkpoints = {CHECKPOINT_FILE: ablated.checkpoint}
    if ablated.classifier is not None:
        checkpoints[CLASSIFIER_CHECKPOINT] = ablated.classifier
    return {
        **bundle_files(meta, localizer, classifier.SerializeToString(deterministic=True)),
        **{name: replace(c, optimizer={}).to_bytes() for name, c in checkpoints.items()},
        ABLATION_FILE: json_bytes(ablated.ablation.to_json()),
    }


def _convert(
    graphs: tuple[Graph, Graph], built: BuiltLocalizer, options: ExportOptions
) -> tuple[dict[str, bytes], dict[str, float]]:
    """The bundle's graphs in other formats by file name, and by format how far those are off.

    Raises:
        ModelError: a graph cannot be converted, or differs.
    """
    localizer, classifier = graphs
    converted: dict[str, bytes] = {}
    differences = {}
    for name in options.formats:
        readable = localizer
        if name in WITHOUT_SPACE_TO_DEPTH:
            plain = export_localizer(
                built.graph, built.spec, options.static_size, built.smallest, space_to_depth=False
            )
            readable = replace(localizer, content=plain.model.SerializeToString())
        files, differences[name] = convert(name, (readable, classifier))
        converted |= files
    return converted, differences
