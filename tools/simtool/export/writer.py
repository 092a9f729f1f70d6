"""The files of a bundle: its graphs, and the metadata that stands in one and beside both."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

import onnx

from simrun.bundle.load import CLASSIFIER_FILE, LOCALIZER_FILE, METADATA_FILE, METADATA_KEY, Bundle
from simrun.bundle.metadata import BundleMeta
from simrun.files import output_errors
from simtool.evaluation.calibrate import OPERATING_POINT
from simtool.export.to_onnx import embed
from simtool.files import json_bytes, write_folder

_log = logging.getLogger(__name__)

_POINT_FIELDS: Final = (
    *("weighting", "export", "polarity", "channels", "static_size", "side", "scales"),
    *("map_threshold", "region_threshold", "regions"),
)
"""What the curve depends on."""


def bundle_files(
    meta: BundleMeta, localizer: onnx.ModelProto, classifier: bytes | None
) -> dict[str, bytes]:
    """What `simrun` reads, by file name: the graphs, and model.json with their hashes.

    Args:
        meta: of the bundle.
        localizer: image -> heatmap.
        classifier: crops -> logits, as a file; None where nothing is read.
    """
    graphs = {LOCALIZER_FILE: localizer_file(meta, localizer)}
    if classifier is not None:
        graphs[CLASSIFIER_FILE] = classifier
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in graphs.items()}
    return {**graphs, METADATA_FILE: json_bytes({**meta.to_json(), "files": hashes})}


def localizer_file(meta: BundleMeta, localizer: onnx.ModelProto) -> bytes:
    """The localizer with the metadata embedded."""
    return embed(localizer, METADATA_KEY, json.dumps(meta.to_json()))


def write_with_metadata(bundle: Bundle, meta: BundleMeta, target: Path, overwrite: bool) -> None:
    """Write a verified bundle to `target` with other metadata; its other files come along.

    Raises:
        OutputError: `target` is not empty, or cannot be written.
    """
    localizer = onnx.load_model_from_string(bundle.localizer)
    contents = _files_in(bundle.path) | bundle_files(meta, localizer, bundle.classifier)
    write_folder(target, contents, mark=METADATA_FILE, overwrite=overwrite)


def _files_in(folder: Path) -> dict[str, bytes]:
    with output_errors(str(folder)):
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def keep_point(meta: BundleMeta, previous: BundleMeta | None) -> BundleMeta:
    """Metadata of a bundle that is exported again, with the record of how its point was chosen.

    The record goes where the map or what is made of it is another one.
    """
    record = None if previous is None else previous.export.get(OPERATING_POINT)
    if previous is None or record is None:
        return meta
    kept = replace(meta, export={**meta.export, OPERATING_POINT: record})
    if all(_as_json(kept, name) == _as_json(previous, name) for name in _POINT_FIELDS):
        return kept
    _log.info("not the map and thresholds that were calibrated: the record of that is dropped")
    return meta


def _as_json(meta: BundleMeta, name: str) -> str:
    return json.dumps(meta.to_json()[name], sort_keys=True)
