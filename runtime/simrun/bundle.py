"""The model bundle: a folder `models/<name>/` that `simtool export` writes and `simrun` runs.

A bundle holds `localizer.onnx`, `model.json` and, where regions are to be read, `classifier.onnx`.
`model.json` is the metadata for people; the same object, without `files`, is embedded in
`localizer.onnx` under the metadata key `similarnet`, so that the two cannot drift apart unseen.
A bundle that does not verify is refused.
"""

from __future__ import annotations

import difflib
import json
import os
import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from simrun.digest import sha256_hex
from simrun.errors import ModelError

SCHEMA: Final = "similarnet-bundle/1"
METADATA_KEY: Final = "similarnet"
LOCALIZER_FILE: Final = "localizer.onnx"
CLASSIFIER_FILE: Final = "classifier.onnx"
METADATA_FILE: Final = "model.json"

_POLARITIES: Final = ("bright", "dark", "both")
_MOST_NESTED: Final = 20
"""Levels of lists and objects that metadata may have; what `simtool export` writes has six."""
_LARGEST: Final = 1e9
"""Greatest number, without its sign, in a field that the runtime works with."""


@dataclass(frozen=True)
class BundleMeta:
    """What the runtime must know of a model, and the record of how the model came about.

    The first block is read and validated by the runtime; the mappings at the end are a record for
    people and are passed through as they are.
    """

    name: str
    """Name of the model, for instance `mnist-lenet`."""
    classes: tuple[str, ...]
    """Label of each output of `classifier.onnx`, in order."""
    heatmap_channels: tuple[str, ...]
    """What each channel of the heatmap responds to: one entry, or one per class."""
    layer: str
    """Name of the layer whose response is ablated and exported."""
    stride: int
    """Pixels of the working image between two neighbouring cells of the heatmap."""
    offset: float
    """Working-image coordinate of the centre of heatmap cell 0, in pixels, on both axes."""
    receptive_field: int
    """Side of the square of working-image pixels that one heatmap cell sees."""
    polarity: str
    """Text that the graph responds to: `bright` on dark, `dark` on bright, or `both`."""
    side: int
    """Working side: the longer side of the image given to the network, in pixels."""
    scales: tuple[float, ...]
    """Image pyramid: factors of the working side, the first being the finest."""
    map_threshold: float
    """Heatmap value from which a cell belongs to a hotspot."""
    region_threshold: float
    """Least mean heatmap value of a hotspot that is reported, 0 to 1."""
    crop_size: int
    """Side S of the crops that `classifier.onnx` takes, in pixels."""
    regions: Mapping[str, float] = field(default_factory=dict)
    """Rules of the regions step beside the two thresholds; see `simrun.regions.RegionOptions`."""
    static_size: tuple[int, int] | None = None
    """(H, W) of the only image size that the graph takes; None where any size goes."""
    channels: int = 1
    """Channels of the input image: 1 for grey, 3 for RGB."""

    weighting: Mapping[str, Any] = field(default_factory=dict)
    ablation: Mapping[str, Any] = field(default_factory=dict)
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    export: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse values that the runtime could not work with.

        Raises:
            ModelError: a field has an impossible value; the message names field and value.
        """
        self._require("stride", 1 <= self.stride <= 1024, "1 to 1024")
        self._require("receptive_field", 1 <= self.receptive_field <= 4096, "1 to 4096")
        self._require("offset", abs(self.offset) <= 4096, "-4096 to 4096")
        self._require(
            "static_size",
            self.static_size is None or all(8 <= size <= 4096 for size in self.static_size),
            "null or two sizes of 8 to 4096",
        )
        self._require("polarity", self.polarity in _POLARITIES, f"one of {', '.join(_POLARITIES)}")
        self._require("side", 32 <= self.side <= 16384, "32 to 16384")
        self._require("crop_size", 8 <= self.crop_size <= 512, "8 to 512")
        self._require("channels", self.channels in (1, 3), "1 or 3")
        self._require("region_threshold", 0 <= self.region_threshold <= 1, "0 to 1")
        self._require("map_threshold", 0 < self.map_threshold < float("inf"), "above 0")
        self._require("heatmap_channels", len(self.heatmap_channels) >= 1, "at least one name")
        self._require("classes", len(set(self.classes)) == len(self.classes), "distinct labels")
        self._require(
            "scales",
            len(self.scales) >= 1 and all(0 < s <= 1 for s in self.scales),
            "factors above 0 and at most 1",
        )

    def _require(self, name: str, ok: bool, wanted: str) -> None:
        if not ok:
            raise ModelError(
                f"bundle field '{name}' is {_short(getattr(self, name))}; it must be {wanted}"
            )

    def to_json(self) -> dict[str, Any]:
        """The metadata as a JSON object: what is embedded in the graph."""
        return {"schema": SCHEMA, **json.loads(json.dumps(asdict(self)))}

    @classmethod
    def from_json(cls, data: object) -> BundleMeta:
        """Read the metadata from a JSON object.

        Raises:
            ModelError: it is not an object of schema `similarnet-bundle/1`, a field is missing,
                unknown or of the wrong type, or a value is out of range.
        """
        if not isinstance(data, dict):
            raise ModelError(f"bundle metadata is a JSON {type(data).__name__}, not an object")
        schema = data.get("schema")
        if schema != SCHEMA:
            raise ModelError(
                f"bundle schema is {_short(schema)}, this version reads {SCHEMA!r}; export it again"
            )
        values = {key: value for key, value in data.items() if key not in ("schema", "files")}
        known = {f.name for f in fields(cls)}
        required = {f.name for f in fields(cls) if f.default is f.default_factory is MISSING}
        if missing := sorted(required - values.keys()):
            raise ModelError(f"bundle metadata lacks {', '.join(missing)}; export the model again")
        if unknown := sorted(values.keys() - known):
            names = ", ".join(_short(name)[1:-1] for name in unknown[:5])
            raise ModelError(f"bundle metadata has unknown fields: {names}; update similarnet")
        return cls(**{key: _typed(key, value) for key, value in values.items()})


_RECORDS: Final = frozenset({"weighting", "ablation", "accuracy", "training", "export", "versions"})
_INTS: Final = frozenset({"stride", "receptive_field", "side", "crop_size", "channels"})
_FLOATS: Final = frozenset({"offset", "map_threshold", "region_threshold"})
_STRINGS: Final = frozenset({"name", "layer", "polarity"})
_STRING_LISTS: Final = frozenset({"classes", "heatmap_channels"})


def _typed(name: str, value: object) -> Any:  # noqa: ANN401 - the dataclass field says which type
    """Turn a JSON value into the type of the field `name`, or say what it is instead."""
    if name in _INTS and _is_number(value) and isinstance(value, int):
        return value
    if name in _FLOATS and _is_number(value):
        return float(value)  # type: ignore[arg-type]
    if name in _STRINGS and _is_text(value):
        return value
    if isinstance(value, list):
        if name in _STRING_LISTS and all(map(_is_text, value)):
            return tuple(value)
        if name == "scales" and all(map(_is_number, value)):
            return tuple(float(x) for x in value)
        if name == "static_size" and len(value) == 2 and all(type(x) is int for x in value):
            return tuple(value)
    if name == "regions" and isinstance(value, dict) and all(map(_is_number, value.values())):
        return {str(key): float(number) for key, number in value.items()}
    if name == "static_size" and value is None:
        return None
    if name in _RECORDS and isinstance(value, dict):
        return value
    raise ModelError(f"bundle field '{name}' has the wrong type: {_short(value)}")


def _is_number(value: object) -> bool:
    """Whether it is a number of a size to work with; NaN and infinities are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_text(value: object) -> bool:
    """Whether it is a string that can be written out; JSON allows half of a surrogate pair."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_deep(value: object, levels: int = _MOST_NESTED) -> bool:
    """Whether lists and objects are nested deeper than code that walks through them can follow."""
    if isinstance(value, dict):
        value = list(value.values())
    return isinstance(value, list) and (
        levels == 0 or any(_is_deep(inner, levels - 1) for inner in value)
    )


def _short(value: object) -> str:
    """The value for a message: one line of printable ASCII, cut where it is long."""
    brief = reprlib.Repr()
    brief.maxstring = brief.maxother = 60
    return brief.repr(value).encode("ascii", "backslashreplace").decode()


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
    contents = {name: _read_verified(path, name, digest) for name, digest in files.items()}
    return Bundle(
        path=path,
        meta=meta,
        localizer=contents[LOCALIZER_FILE],
        classifier=contents.get(CLASSIFIER_FILE),
        sha256=files[LOCALIZER_FILE],
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
    if _parse(embedded, f"the metadata inside {LOCALIZER_FILE}") != bundle.meta.to_json():
        raise ModelError(
            f"{bundle.path / METADATA_FILE} differs from the metadata inside {LOCALIZER_FILE}; "
            "restore it or export the model again"
        )


def _model_folders() -> list[Path]:
    """Folders searched for models by name: the installed package's, then a source checkout's."""
    here = Path(__file__).resolve().parent
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
    near = difflib.get_close_matches(name, models, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(models) or 'none'}"
    raise ModelError(f"no model '{name}': neither a folder nor a shipped name; {hint}")


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
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


def _read_verified(folder: Path, name: str, digest: object) -> bytes:
    # The whole name: a bundle has no business outside its folder.
    if name not in (LOCALIZER_FILE, CLASSIFIER_FILE):
        raise ModelError(f"bundle lists an unknown file {_short(name)}; a newer similarnet made it")
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; export the model again") from error
    actual = sha256_hex(content)
    if actual != digest:
        raise ModelError(
            f"{path} does not verify: its SHA-256 is {actual}, model.json says {_short(digest)}; "
            "the file is damaged or was replaced, export the model again"
        )
    return content
