"""The model bundle: a folder `models/<name>/` that `simtool export` writes and `simrun` runs.

A bundle holds `localizer.onnx`, `model.json` and, where regions are to be read, `reader.onnx` for
whole lines or `classifier.onnx` for single characters and things.
`model.json` is the metadata for people; the same object, without `files`, is embedded in
`localizer.onnx` under the metadata key `similarnet`, so that the two cannot drift apart unseen.
A bundle that does not verify is refused.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from simrun.bundle.metadata import BundleMeta
from simrun.errors import ModelError, brief, did_you_mean
from simrun.files import read_regular

METADATA_KEY: Final = "similarnet"
LOCALIZER_FILE: Final = "localizer.onnx"
CLASSIFIER_FILE: Final = "classifier.onnx"
READER_FILE: Final = "reader.onnx"
METADATA_FILE: Final = "model.json"

_MOST_JSON: Final = 16 << 20
_MOST_GRAPH: Final = 1 << 30
"""Bytes of the files; the largest networks for small computers have a tenth."""
_MOST_NESTED: Final = 20
"""Levels of lists and objects that metadata may have; what `simtool export` writes has six."""

_BUILT_IN: Final = ("_sha2", "_sha256")
"""CPython's own modules, from 3.12 on and before; other builds may lack both."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, read into memory: what was hashed is what is run."""

    path: Path
    meta: BundleMeta
    localizer: bytes
    """The ONNX graph image -> heatmap."""
    classifier: bytes | None
    """The ONNX graph crops -> logits, where the bundle has one."""
    sha256: str
    """SHA-256 of `localizer.onnx`: the identity of the model in every result."""
    reader: bytes | None = None
    """The ONNX graph strips -> logits, where the bundle has one; then `meta.reader` is there."""


def load_bundle(name_or_dir: str | os.PathLike[str]) -> Bundle:
    """Read and verify the bundle of that name, or in that folder.

    Raises:
        ModelError: there is none, a file is missing, or a file is not the one that was exported.
    """
    path = find_bundle(name_or_dir)
    data = _read_metadata(path / METADATA_FILE)
    meta = BundleMeta.from_json(data)
    files = data.get("files")
    if not isinstance(files, dict) or LOCALIZER_FILE not in files:
        raise ModelError(f"{path / METADATA_FILE} lists no hash of {LOCALIZER_FILE}; export again")
    if (READER_FILE in files) != (meta.reader is not None):
        raise ModelError(
            f"{path / METADATA_FILE} must have both a field 'reader' and a hash of {READER_FILE}, "
            "or neither; export the model again"
        )
    contents = {name: _read_verified(path, name, digest) for name, digest in files.items()}
    return Bundle(
        path=path,
        meta=meta,
        localizer=contents[LOCALIZER_FILE],
        classifier=contents.get(CLASSIFIER_FILE),
        sha256=files[LOCALIZER_FILE],
        reader=contents.get(READER_FILE),
    )


def verify_embedded(bundle: Bundle, custom_metadata: Mapping[str, str]) -> None:
    """Check the metadata embedded in the graph against `model.json`.

    Raises:
        ModelError: the graph is not one that `simtool export` made, or `model.json` was changed.
    """
    embedded = custom_metadata.get(METADATA_KEY)
    if embedded is None:
        raise ModelError(
            f"{bundle.path / LOCALIZER_FILE} has no '{METADATA_KEY}' metadata: it was not made by "
            "'simtool export'"
        )
    data = _parse(embedded, f"the metadata inside {LOCALIZER_FILE}")
    if BundleMeta.from_json(data) != bundle.meta:
        raise ModelError(
            f"{bundle.path / METADATA_FILE} differs from the metadata inside {LOCALIZER_FILE}; "
            "restore it or export the model again"
        )


def _model_folders() -> list[Path]:
    """Folders searched for models by name: the installed package's, then a source checkout's."""
    here = Path(__file__).resolve().parents[1]
    checkout = here.parent.parent
    candidates = [here / "models"]
    if (checkout / "pyproject.toml").is_file():
        candidates.append(checkout / "models")
    return [folder for folder in candidates if folder.is_dir()]


def list_models() -> list[Path]:
    """Folders of the models that are found by name, sorted by name."""
    found = {
        path.parent.name: path.parent
        for folder in reversed(_model_folders())
        for path in folder.glob(f"*/{METADATA_FILE}")
    }
    return [found[name] for name in sorted(found)]


def find_bundle(name_or_dir: str | os.PathLike[str]) -> Path:
    """The folder of a bundle given by folder or by name.

    Raises:
        ModelError: there is no such folder or name; near names are suggested.
    """
    path = Path(name_or_dir)
    if (path / METADATA_FILE).is_file():
        return path
    if path.is_dir():
        raise ModelError(f"{path} is not a model bundle: it has no {METADATA_FILE}")
    models = {model.name: model for model in list_models()}
    name = str(name_or_dir)
    if name in models:
        return models[name]
    hint = did_you_mean(name, models)
    raise ModelError(f"no model '{name}': neither a folder nor a shipped name; {hint}")


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        text = read_regular(path, _MOST_JSON).decode()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    data = _parse(text, str(path))
    if not isinstance(data, dict):
        raise ModelError(f"{path} holds a JSON {type(data).__name__}, not an object")
    return data


def _parse(text: str, what: str) -> object:
    """JSON of a depth that is safe to work with."""
    try:
        data: object = json.loads(text)
        too_deep = _is_deep(data)
    # Beside bad JSON: numbers of more digits than Python reads.
    except ValueError as error:
        raise ModelError(f"cannot read {what}: {error}") from error
    except RecursionError:
        too_deep = True
    if too_deep:
        raise ModelError(f"cannot read {what}: it is nested deeper than {_MOST_NESTED} levels")
    return data


def _is_deep(value: object, levels: int = _MOST_NESTED) -> bool:
    """Whether lists and objects are nested deeper than code that walks through them can follow."""
    if isinstance(value, dict):
        value = list(value.values())
    return isinstance(value, list) and (
        levels == 0 or any(_is_deep(inner, levels - 1) for inner in value)
    )


def _read_verified(folder: Path, name: str, digest: object) -> bytes:
    # The whole name: a bundle has no business outside its folder.
    if name not in (LOCALIZER_FILE, CLASSIFIER_FILE, READER_FILE):
        raise ModelError(f"bundle lists an unknown file {brief(name)}; a newer similarnet made it")
    path = folder / name
    try:
        content = read_regular(path, _MOST_GRAPH)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; export the model again") from error
    actual = sha256_hex(content)
    if actual != digest:
        raise ModelError(
            f"{path} does not verify: its SHA-256 is {actual}, model.json says {brief(digest)}; "
            "the file is damaged or was replaced, export the model again"
        )
    return content


def sha256_hex(content: bytes) -> str:
    """SHA-256 of some bytes, as 64 hexadecimal digits.

    `hashlib` loads OpenSSL for it: 3.5 MB that stay resident, on a board of 512 MB, to hash half a
    megabyte once. So what `hashlib` itself falls back on comes first here.
    """
    for name in _BUILT_IN:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return str(module.sha256(content).hexdigest())
    import hashlib

    return hashlib.sha256(content).hexdigest()
