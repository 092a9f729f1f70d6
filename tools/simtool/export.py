"""Export of a trained and ablated network as a bundle that `simrun` runs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import onnx
import torch
from torch import nn

from simrun.bundle import (
    CLASSIFIER_FILE,
    LOCALIZER_FILE,
    METADATA_FILE,
    METADATA_KEY,
    BundleMeta,
)
from simrun.errors import ModelError, UsageError
from simrun.outputs import output_errors
from simtool.calibration import Calibration, calibrate
from simtool.data import LabelledImages
from simtool.files import json_bytes
from simtool.folders import check_target, write_folder
from simtool.folding import lean
from simtool.formats import Graph, convert, require_format
from simtool.graph import (
    ClassifierGraph,
    Geometry,
    LocalizerGraph,
    Polarity,
    Pool,
    check_geometry,
    transform_trunk,
    trunk_geometry,
)
from simtool.half_precision import halved, round_weights
from simtool.int8 import Samples, to_int8
from simtool.int8_comparison import Comparison
from simtool.nets.base import Classifier, NetSpec, Padding
from simtool.onnx_file import IR_VERSION, Port, embed, to_onnx
from simtool.operating_point import keep_point
from simtool.origin import Origin
from simtool.parity import Shape, check_parity, crop_shapes, image_shapes
from simtool.probing import probe_geometry
from simtool.run import ABLATION_FILE, CHECKPOINT_FILE, READER_FILE
from simtool.weighting import Weighting, WeightingOptions, weigh

log = logging.getLogger(__name__)

MODEL_CARD: Final = "README.md"
_EXAMPLE: Final = (2, 61, 83)
"""Batch, height and width of the exporter's example: all different, none 0 or 1."""


@dataclass(frozen=True)
class ExportOptions:
    """How a bundle is made."""

    weighting: str = "signed"
    weights: WeightingOptions = field(default_factory=WeightingOptions)
    pool: Pool = "keep"
    padding: Padding | None = None
    """None takes the network's own choice."""
    polarity: Polarity = "both"
    static_size: tuple[int, int] | None = None
    """(H, W) of the only image size; the batch is 1 then."""
    side: int = 640
    scales: tuple[float, ...] = (1.0,)
    map_threshold: float = 0.5
    region_threshold: float = 0.5
    regions: Mapping[str, float] = field(default_factory=dict)
    """Rules of the regions step; see `simrun.regions.RegionOptions`."""
    formats: tuple[str, ...] = ()
    """Of `simtool.formats`, to write the graphs in as well."""
    int8: Path | None = None
    """Folder of pictures to quantize the localizer's inner convolutions with."""


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
    comparison: Comparison | None
    """Of int8 with single precision, where that was asked for."""


def export_bundle(
    origin: Origin,
    options: ExportOptions,
    target: Path,
    load: Callable[[str], LabelledImages],
    overwrite: bool = False,
) -> Report:
    """Write the bundle `target`, whole or not at all.

    Args:
        origin: the network and its ablation.
        options: how.
        target: the folder; its name is the model's.
        load: gives the split of that name of the training data. It is called only where the
            origin does not hold the calibration already.
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
    net = origin.checkpoint.build()
    spec = net.spec
    if spec.both_polarities and options.polarity != "both":
        raise UsageError(f"'{spec.name}' answers to both polarities; leave --polarity out")
    weights = replace(options.weights, background=spec.contrast)
    weighting = weigh(origin.ablation, options.weighting, weights)
    if weighting.per_class:
        weighting = weighting.first_rows(len(spec.shown))
    padding = options.padding or net.spec.export_padding
    trunk = transform_trunk(net.export_trunk(), options.pool, padding)
    geometry = _geometry(trunk, net.spec.channels)
    _check_static(options.static_size, geometry)
    calibration = _known_calibration(origin, weighting, options.pool, padding)
    if calibration is None:
        calibration = calibrate(trunk, weighting, load(origin.ablation.split), spec.background)
    # A network that was trained on both polarities answers to both in one run.
    polarity: Polarity = "bright" if spec.both_polarities else options.polarity
    graph = LocalizerGraph(trunk, calibration.readout(weighting), polarity)

    localizer = _localizer(lean(graph), net.spec, options.static_size)
    smallest = geometry.receptive_field
    if padding == "same":  # what pads takes smaller images too, and deep networks see very far
        smallest = min(smallest, net.spec.crop_size)
    shapes = image_shapes(smallest, net.spec.channels, options.static_size)
    difference = check_parity(localizer.SerializeToString(), graph, shapes)
    reader = _reader(origin)
    classifier_graph = ClassifierGraph(reader, labels=len(reader.spec.shown))
    classifier = _classifier(classifier_graph, reader.spec)
    crops = crop_shapes(reader.spec.crop_size, reader.spec.channels)
    crop_difference = check_parity(classifier.SerializeToString(), classifier_graph, crops)

    made = {
        "pool": options.pool,
        "padding": padding,
        "calibration": calibration.to_json(),
        "opset": localizer.opset_import[0].version,
    }
    meta = _metadata(
        target.resolve().name, net, reader.spec, origin, options, weighting, geometry, made
    )
    comparison = None
    if samples is not None:
        summing = _localizer(lean(graph, fold_sums=False), net.spec, options.static_size)
        localizer, meta, comparison = to_int8(localizer, summing, meta, samples)
    meta = keep_point(meta, origin.previous)
    contents = kept | _contents(meta, localizer, classifier, origin)
    differences = {}
    for name in options.formats:
        files, differences[name] = convert(name, _graphs(contents, shapes, crops))
        contents |= files
    write_folder(target, contents, mark=METADATA_FILE, overwrite=overwrite)
    sizes = {name: len(content) for name, content in contents.items()}
    log.info("%s: graph and PyTorch differ by at most %.1e", target, difference)
    return Report(meta, weighting, difference, crop_difference, sizes, differences, comparison)


def with_defaults(previous: BundleMeta | None) -> ExportOptions:
    """The options of the bundle that is exported again, or the built-in ones."""
    if previous is None:
        return ExportOptions()
    used, made = previous.weighting, previous.export
    weights = WeightingOptions(
        criterion=used["criterion"],
        temperature=used["temperature"] or 1.0,
        standardise=used["standardise"],
        per_class=used["per_class"],
    )
    return ExportOptions(
        weighting=used["method"],
        weights=weights,
        pool=made["pool"],
        padding=made["padding"],
        polarity=previous.polarity,  # type: ignore[arg-type]  # validated by BundleMeta
        side=previous.side,
        scales=previous.scales,
        map_threshold=previous.map_threshold,
        region_threshold=previous.region_threshold,
        regions=previous.regions,
    )


def override(options: ExportOptions, given: dict[str, Any]) -> ExportOptions:
    """The options with those replaced that the user gave, that is, are not None."""
    return replace(options, **{name: value for name, value in given.items() if value is not None})


def _kept_files(target: Path) -> dict[str, bytes]:
    """What stays of a bundle that is replaced: its card. Raises OutputError."""
    card = target / MODEL_CARD
    with output_errors(str(target)):
        return {MODEL_CARD: card.read_bytes()} if card.is_file() else {}


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
    origin: Origin, weighting: Weighting, pool: Pool, padding: Padding
) -> Calibration | None:
    """The calibration that the origin bundle was made with, where it holds for this export too."""
    if origin.previous is None:
        return None
    made = origin.previous.export
    same_form = made.get("pool") == pool and made.get("padding") == padding
    same_weights = dict(origin.previous.weighting) == json.loads(json.dumps(weighting.to_json()))
    if not (same_form and same_weights):
        return None
    return Calibration.from_json(made["calibration"])


def _reader(origin: Origin) -> Classifier:
    """The network that reads crops: the origin's classifier, or the localizer's own; as stored.

    Raises:
        ModelError: there is none, and the localizer's network takes no crops.
    """
    reader = (origin.classifier or origin.checkpoint).build()
    if len(reader.spec.shown) < 2:
        raise ModelError(
            f"'{reader.spec.name}' reads no characters; give a run of 'simtool train characters' "
            "with --classifier"
        )
    round_weights(reader, spared=None if origin.classifier else reader.export_trunk())
    return reader


def _localizer(graph: nn.Module, spec: NetSpec, static: tuple[int, int] | None) -> onnx.ModelProto:
    """Image -> heatmap. Raises ModelError where it cannot be exported."""
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


def _classifier(graph: ClassifierGraph, spec: NetSpec) -> onnx.ModelProto:
    """Crops -> logits. Raises ModelError where it cannot be exported."""
    shape = (spec.channels, spec.crop_size, spec.crop_size)
    crops, logits = Port("crops", ("N", *shape)), Port("logits", ("N", len(spec.shown)))
    return halved(to_onnx(graph, torch.zeros(2, *shape, dtype=torch.uint8), crops, logits))


def _metadata(
    name: str,
    net: Classifier,
    reader: NetSpec,
    origin: Origin,
    options: ExportOptions,
    weighting: Weighting,
    geometry: Geometry,
    made: dict[str, Any],
) -> BundleMeta:
    """Everything that the bundle says of itself. Raises ModelError for impossible values."""
    spec = net.spec
    return BundleMeta(
        name=name,
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
        ablation=_ablation_summary(origin),
        accuracy=origin.accuracy,
        training=origin.training,
        export={**made, "ir_version": IR_VERSION},
        versions=_versions(),
    )


def _ablation_summary(origin: Origin) -> dict[str, Any]:
    """E and e_i, and what they were measured on; the whole is in ablation.json."""
    record = origin.ablation
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
    meta: BundleMeta, localizer: onnx.ModelProto, classifier: onnx.ModelProto, origin: Origin
) -> dict[str, bytes]:
    """The files of the bundle."""
    graphs = {
        LOCALIZER_FILE: embed(localizer, METADATA_KEY, json.dumps(meta.to_json())),
        CLASSIFIER_FILE: classifier.SerializeToString(deterministic=True),
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in graphs.items()}
    checkpoints = {CHECKPOINT_FILE: origin.checkpoint}
    if origin.classifier is not None:
        checkpoints[READER_FILE] = origin.classifier
    return {
        **graphs,
        METADATA_FILE: json_bytes({**meta.to_json(), "files": hashes}),
        **{name: replace(c, optimizer={}).to_bytes() for name, c in checkpoints.items()},
        ABLATION_FILE: json_bytes(origin.ablation.to_json()),
    }


def _graphs(
    contents: Mapping[str, bytes], shapes: Sequence[Shape], crops: Sequence[Shape]
) -> tuple[Graph, Graph]:
    """The bundle's two graphs, and the shapes to compare other formats of them at."""
    return (
        Graph(Path(LOCALIZER_FILE).stem, contents[LOCALIZER_FILE], shapes),
        Graph(Path(CLASSIFIER_FILE).stem, contents[CLASSIFIER_FILE], crops),
    )
