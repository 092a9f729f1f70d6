"""The files of a bundle: its graphs, and the metadata that stands in one and beside both."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import onnx

from simrun.bundle.load import (
    CLASSIFIER_FILE,
    LOCALIZER_FILE,
    METADATA_FILE,
    METADATA_KEY,
    READER_FILE,
    Bundle,
    sha256_hex,
)
from simrun.bundle.metadata import BundleMeta
from simrun.errors import ModelError, OutputError
from simrun.files import output_errors
from simtool.evaluation.calibrate import OPERATING_POINT
from simtool.evaluation.calibrate_reading import READING_POINT
from simtool.export.ablated_model import AblatedModel
from simtool.files import json_bytes, write_folder
from simtool.runs.checkpoint import CHECKPOINT_FILE, CLASSIFIER_CHECKPOINT, READER_CHECKPOINT
from simtool.runs.folder import ABLATION_FILE

_log = logging.getLogger(__name__)

MODEL_CARD: Final = "README.md"

_POINT_FIELDS: Final = (
    *("weighting", "export", "polarity", "channels", "static_size", "side", "scales"),
    *("map_threshold", "region_threshold", "regions"),
)
"""What the curve depends on."""


def bundle_files(
    meta: BundleMeta, localizer: onnx.ModelProto, recognition: Mapping[str, bytes]
) -> dict[str, bytes]:
    """What `simrun` reads, by file name: the graphs, and model.json with their hashes.

    Args:
        meta: of the bundle.
        localizer: image -> heatmap.
        recognition: the graphs that say what a region is, by file name.
    """
    graphs = {LOCALIZER_FILE: localizer_file(meta, localizer), **recognition}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in graphs.items()}
    return {**graphs, METADATA_FILE: json_bytes({**meta.to_json(), "files": hashes})}


def origin_files(ablated: AblatedModel) -> dict[str, bytes]:
    """What a bundle carries to be exported again from, by file name."""
    checkpoints = {CHECKPOINT_FILE: ablated.checkpoint}
    if ablated.classifier is not None:
        checkpoints[CLASSIFIER_CHECKPOINT] = ablated.classifier
    if ablated.reader is not None:
        checkpoints[READER_CHECKPOINT] = ablated.reader
    return {
        **{name: replace(c, optimizer={}).to_bytes() for name, c in checkpoints.items()},
        ABLATION_FILE: json_bytes(ablated.ablation.to_json()),
    }


def localizer_file(meta: BundleMeta, localizer: onnx.ModelProto) -> bytes:
    """The localizer with the metadata embedded."""
    del localizer.metadata_props[:]
    localizer.metadata_props.add(key=METADATA_KEY, value=json.dumps(meta.to_json()))
    content: bytes = localizer.SerializeToString(deterministic=True)
    return content


def bundle_in_memory(meta: BundleMeta, localizer: onnx.ModelProto) -> Bundle:
    """A bundle of a localizer alone, as it would be read back."""
    content = localizer_file(meta, localizer)
    # As it is read from the graph: lists in the place of tuples.
    stored = BundleMeta.from_json(json.loads(json.dumps(meta.to_json())))
    return Bundle(Path(meta.name), stored, content, None, sha256_hex(content))


def kept_card(target: Path) -> dict[str, bytes]:
    """What stays of a bundle that is replaced: its card. Raises OutputError."""
    card = target / MODEL_CARD
    if card.is_symlink():
        raise OutputError(f"{card} is a link and is not kept; put the file itself there")
    with output_errors(str(target)):
        return {MODEL_CARD: card.read_bytes()} if card.is_file() else {}


def write_with_metadata(bundle: Bundle, meta: BundleMeta, target: Path, overwrite: bool) -> None:
    """Write a verified bundle to `target` with other metadata; its other files come along.

    Raises:
        OutputError: `target` is not empty, or cannot be written.
    """
    localizer = onnx.load_model_from_string(bundle.localizer)
    graphs = {CLASSIFIER_FILE: bundle.classifier, READER_FILE: bundle.reader}
    recognition = {name: graph for name, graph in graphs.items() if graph is not None}
    contents = _files_in(bundle.path) | bundle_files(meta, localizer, recognition)
    write_folder(target, contents, mark=METADATA_FILE, overwrite=overwrite)


def _files_in(folder: Path) -> dict[str, bytes]:
    """Contents by name. Raises ModelError for a link: what it leads to is no part of a bundle."""
    with output_errors(str(folder)):
        paths = sorted(folder.iterdir())
        if links := [path.name for path in paths if path.is_symlink()]:
            raise ModelError(
                f"{folder / links[0]} is a link and is not copied; put the file itself there"
            )
        return {path.name: path.read_bytes() for path in paths if path.is_file()}


def keep_points(meta: BundleMeta, previous: BundleMeta | None) -> BundleMeta:
    """Metadata of a bundle that is exported again, with the records of how its points were chosen.

    They go where what they were chosen for, the map and what is made of it, is another one.
    """
    former = {} if previous is None else previous.export
    records = {k: former[k] for k in (OPERATING_POINT, READING_POINT) if k in former}
    if previous is None or not records:
        return meta
    kept = replace(meta, export={**meta.export, **records})
    if all(_as_json(kept, name) == _as_json(previous, name) for name in _POINT_FIELDS):
        return kept
    _log.info("not the map and thresholds that were calibrated: the record of that is dropped")
    return meta


def _as_json(meta: BundleMeta, name: str) -> str:
    return json.dumps(meta.to_json()[name], sort_keys=True)
