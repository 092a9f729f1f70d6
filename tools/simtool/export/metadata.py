"""What a bundle says of itself: metadata out of what it was made of."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

from simrun.bundle.metadata import BundleMeta
from simtool.ablation.record import AblationRecord
from simtool.export.ablated_model import Provenance
from simtool.export.localizer import BuiltLocalizer
from simtool.export.presets import ExportOptions
from simtool.export.recognition import Labelling
from simtool.export.to_onnx import IR_VERSION


def bundle_metadata(
    name: str,
    built: BuiltLocalizer,
    labelling: Labelling,
    provenance: Provenance,
    ablation: AblationRecord,
    options: ExportOptions,
    opset: int,
) -> BundleMeta:
    """Everything that the bundle says of itself. Raises ModelError for impossible values."""
    spec, geometry, weighting = built.spec, built.geometry, built.weighting
    return BundleMeta(
        name=name,
        task=options.task,
        classes=labelling.classes,
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
        crop_size=labelling.crop_size,
        static_size=options.static_size,
        channels=spec.channels,
        reader=labelling.reader,
        weighting=weighting.to_json(),
        ablation=_ablation_summary(ablation),
        accuracy=provenance.accuracy,
        training=provenance.training,
        export={
            "pool": options.pool,
            "padding": built.padding,
            "calibration": built.calibration.to_json(),
            "opset": opset,
            "ir_version": IR_VERSION,
        },
        versions=_versions(),
    )


def _ablation_summary(record: AblationRecord) -> dict[str, Any]:
    """E and e_i, and what they were measured on; the whole is in ablation.json."""
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
