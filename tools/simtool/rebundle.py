"""A bundle with other metadata: the graphs stay as they are, but for the localizer's record."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import onnx

from simrun.bundle import CLASSIFIER_FILE, LOCALIZER_FILE, METADATA_FILE, METADATA_KEY, Bundle
from simrun.bundle import BundleMeta as Meta
from simrun.outputs import output_errors
from simtool.files import json_bytes
from simtool.folders import write_folder
from simtool.onnx_file import embed


def write_with_metadata(bundle: Bundle, meta: Meta, target: Path, overwrite: bool) -> None:
    """Write a verified bundle to `target` with other metadata; its other files come along.

    Raises:
        OutputError: `target` is not empty, or cannot be written.
    """
    localizer = onnx.load_model_from_string(bundle.localizer)
    written = {LOCALIZER_FILE: embed(localizer, METADATA_KEY, json.dumps(meta.to_json()))}
    if bundle.classifier is not None:
        written[CLASSIFIER_FILE] = bundle.classifier
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in written.items()}
    contents = {
        **_other_files(bundle.path),
        **written,
        METADATA_FILE: json_bytes({**meta.to_json(), "files": hashes}),
    }
    write_folder(target, contents, mark=METADATA_FILE, overwrite=overwrite)


def _other_files(folder: Path) -> dict[str, bytes]:
    with output_errors(str(folder)):
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
