"""The metadata of a bundle: what the runtime must know of a model, and the model's record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Final

from simrun.bundle.reader import ReaderMeta
from simrun.bundle.values import is_number, is_text
from simrun.errors import ModelError, brief

SCHEMA: Final = "similarnet-bundle/2"
_FIRST_SCHEMA: Final = "similarnet-bundle/1"
"""Still read. It had no task; a rule of the regions, `lines`, stood in its place."""

_POLARITIES: Final = ("bright", "dark", "both")
_MOST_SCALES: Final = 16
"""An octave apart, a side of 16384 pixels has ten."""


class Task(StrEnum):
    """What a model finds."""

    TEXT = "text"
    """Lines of characters, read by strips where there is a reader, else each by itself."""
    OBJECTS = "objects"
    """Things that stand by themselves, each named as a whole."""


@dataclass(frozen=True)
class BundleMeta:
    """What the runtime must know of a model, and the record of how the model came about.

    The first block is read and validated by the runtime; the mappings at the end are a record for
    people and are passed through as they are.
    """

    name: str
    """Name of the model, for instance `mnist-lenet`."""
    task: Task
    """What it finds: how its heatmap becomes regions, and how they are read."""
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
    """Rules of the regions step beside the two thresholds; see
    `simrun.localization.regions.RegionOptions`."""
    static_size: tuple[int, int] | None = None
    """(H, W) of the only image size that the graph takes; None where any size goes."""
    channels: int = 1
    """Channels of the input image: 1 for grey, 3 for RGB."""
    reader: ReaderMeta | None = None
    """How `reader.onnx` is used; None where the bundle has none."""

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
        grey = self.channels == 1 or self.task is not Task.TEXT
        self._require("channels", grey, "1 where the task is text")
        text = self.reader is None or self.task is Task.TEXT
        self._require("task", text, "text where there is a reader")
        self._require("region_threshold", 0 <= self.region_threshold <= 1, "0 to 1")
        self._require("map_threshold", 0 < self.map_threshold < float("inf"), "above 0")
        self._require("heatmap_channels", len(self.heatmap_channels) >= 1, "at least one name")
        self._require("classes", len(set(self.classes)) == len(self.classes), "distinct labels")
        self._require(
            "scales",
            1 <= len(self.scales) <= _MOST_SCALES and all(0 < s <= 1 for s in self.scales),
            f"1 to {_MOST_SCALES} factors above 0 and at most 1",
        )

    def _require(self, name: str, ok: bool, wanted: str) -> None:
        if not ok:
            raise ModelError(
                f"bundle field '{name}' is {brief(getattr(self, name))}; it must be {wanted}"
            )

    @property
    def vocabulary(self) -> str:
        """What regions are read as or named by, in words."""
        if self.reader is not None:
            return f"lines of {len(self.reader.alphabet)} characters"
        if not self.classes:
            return "no classes"
        return f"{len(self.classes)} classes ({self.classes[0]}..{self.classes[-1]})"

    @property
    def smallest_side(self) -> int:
        """Side of the smallest image that the graph takes, in pixels."""
        # A graph that pads its convolutions has its first cell at pixel 0 and takes any size.
        return self.receptive_field if self.offset > 0 else 1

    def to_json(self) -> dict[str, Any]:
        """The metadata as a JSON object: what is embedded in the graph."""
        data = {"schema": SCHEMA, **json.loads(json.dumps(asdict(self)))}
        if self.reader is None:
            del data["reader"]
        return data

    @classmethod
    def from_json(cls, data: object) -> BundleMeta:
        """Read the metadata from a JSON object.

        Raises:
            ModelError: it is not an object of a schema that is known, a field is missing,
                unknown or of the wrong type, or a value is out of range.
        """
        if not isinstance(data, dict):
            raise ModelError(f"bundle metadata is a JSON {type(data).__name__}, not an object")
        schema = data.get("schema")
        if schema not in (SCHEMA, _FIRST_SCHEMA):
            raise ModelError(
                f"bundle schema is {brief(schema)}, this version reads {SCHEMA!r}; export it again"
            )
        values = {key: value for key, value in data.items() if key not in ("schema", "files")}
        if schema == _FIRST_SCHEMA:
            values = _with_task(values)
        known = {f.name for f in fields(cls)}
        required = {f.name for f in fields(cls) if f.default is f.default_factory is MISSING}
        if missing := sorted(required - values.keys()):
            raise ModelError(f"bundle metadata lacks {', '.join(missing)}; export the model again")
        if unknown := sorted(values.keys() - known):
            names = ", ".join(brief(name)[1:-1] for name in unknown[:5])
            raise ModelError(f"bundle metadata has unknown fields: {names}; update similarnet")
        return cls(**{key: _typed(key, value) for key, value in values.items()})


def _with_task(values: dict[str, Any]) -> dict[str, Any]:
    """Fields of the first schema with the task that followed from them.

    What was in colour, or did not stand in lines, was named as a whole.
    """
    if "task" in values:
        raise ModelError(f"bundle field 'task' is none of {_FIRST_SCHEMA}; export the model again")
    regions, lines = values.get("regions"), 1.0
    if isinstance(regions, dict) and is_number(regions.get("lines")) and regions["lines"] >= 0:
        lines = regions["lines"]
        regions = {rule: value for rule, value in regions.items() if rule != "lines"}
        values = values | {"regions": regions}
    is_text = values.get("channels", 1) == 1 and lines > 0
    return values | {"task": Task.TEXT if is_text else Task.OBJECTS}


_RECORDS: Final = frozenset({"weighting", "ablation", "accuracy", "training", "export", "versions"})
_INTS: Final = frozenset({"stride", "receptive_field", "side", "crop_size", "channels"})
_FLOATS: Final = frozenset({"offset", "map_threshold", "region_threshold"})
_STRINGS: Final = frozenset({"name", "layer", "polarity"})
_STRING_LISTS: Final = frozenset({"classes", "heatmap_channels"})


def _typed(name: str, value: object) -> Any:  # noqa: ANN401 - the dataclass field says which type
    """Turn a JSON value into the type of the field `name`, or say what it is instead."""
    if name in _INTS and is_number(value) and isinstance(value, int):
        return value
    if name in _FLOATS and is_number(value):
        return float(value)  # type: ignore[arg-type]
    if name in _STRINGS and is_text(value):
        return value
    if name == "task" and isinstance(value, str):
        return _task(value)
    if isinstance(value, list):
        if name in _STRING_LISTS and all(map(is_text, value)):
            return tuple(value)
        if name == "scales" and all(map(is_number, value)):
            return tuple(float(x) for x in value)
        if name == "static_size" and len(value) == 2 and all(type(x) is int for x in value):
            return tuple(value)
    if name == "regions" and isinstance(value, dict) and all(map(is_number, value.values())):
        return {str(key): float(number) for key, number in value.items()}
    if name == "reader" and isinstance(value, dict):
        return ReaderMeta.from_json(value)
    if name == "static_size" and value is None:
        return None
    if name in _RECORDS and isinstance(value, dict):
        return value
    raise ModelError(f"bundle field '{name}' has the wrong type: {brief(value)}")


def _task(value: str) -> Task:
    try:
        return Task(value)
    except ValueError:
        raise ModelError(
            f"bundle field 'task' is {brief(value)}; this version knows {', '.join(Task)}: update "
            "similarnet, or export the model again"
        ) from None
