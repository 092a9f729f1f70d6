"""Photos with text boxes drawn by people: `annotations.json` and the pictures beside it.

    {"images": [{"file", "width", "height", "dataset", "exhaustive",
                 "regions": [{"quad": [[x, y] * 4], "text": str | null, "ignore": bool}]}]}

Coordinates are pixels of the file as stored, x to the right, y down. `dataset` (default: the
folder's name), `exhaustive` (true), `text` (null) and `ignore` (false) may be left out; further
fields are left alone.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from simrun.errors import SourceError, UsageError
from simtool.files import file_digest, parse_json

ANNOTATIONS_FILE: Final = "annotations.json"
ALL: Final = "all"
"""Name under which the scores of all data sets together stand."""
_MAX_COORDINATE: Final = 1e6

Corners = tuple[tuple[float, float], ...]
"""Four corners (x, y) in pixels of the file as stored."""


@dataclass(frozen=True)
class TrueRegion:
    """A word or line of text."""

    quad: Corners
    text: str | None = None
    ignore: bool = False
    """Neither a miss nor, when hit, a false alarm: illegible or not worth finding."""


@dataclass(frozen=True)
class AnnotatedImage:
    """A picture and the text in it."""

    file: str
    """Path below the data set's folder."""
    width: int
    height: int
    regions: tuple[TrueRegion, ...]
    dataset: str
    """The set it belongs to, for scores by set."""
    exhaustive: bool = True
    """Whether all of its text is annotated; where not, only cov50 is measured on it."""

    @property
    def name(self) -> str:
        """Base name: what predictions are matched by."""
        return Path(self.file).name


@dataclass(frozen=True)
class AnnotatedSet:
    """A folder of annotated pictures."""

    folder: Path
    images: tuple[AnnotatedImage, ...]
    """By file name."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def path(self, image: AnnotatedImage) -> Path:
        """The picture's file."""
        return self.folder / image.file

    def sample(self, count: int | None) -> AnnotatedSet:
        """`count` of the pictures, always the same ones; None or more than there are takes all.

        Raises:
            UsageError: `count` is below 1.
        """
        if count is None or count >= len(self.images):
            return self
        if count < 1:
            raise UsageError(f"--subset is {count}; it must be at least 1 picture")
        return replace(self, images=tuple(random.Random(0).sample(self.images, count)))

    def sha256(self) -> str:
        """Hash of the annotations and of every picture in this set.

        Raises:
            SourceError: a file cannot be read.
        """
        paths = [self.folder / ANNOTATIONS_FILE, *(self.path(image) for image in self.images)]
        digest = hashlib.sha256()
        for path in paths:
            digest.update(file_digest(path))
        return digest.hexdigest()


def load_annotations(folder: Path) -> AnnotatedSet:
    """Read and check the annotations of a folder; the pictures must be there, unread as yet.

    Raises:
        SourceError: the annotations are missing, damaged or empty, two pictures share a base
            name, or pictures are missing.
    """
    path = folder / ANNOTATIONS_FILE
    try:
        data = parse_json(path)
    except OSError as error:
        raise SourceError(
            f"cannot read {path}: {error.strerror or error}; name a folder with annotated pictures"
        ) from error
    except ValueError as error:
        raise SourceError(f"{path} is not JSON ({error}); restore it") from error
    records = data.get("images") if isinstance(data, dict) else None
    if not isinstance(records, list) or not records:
        raise SourceError(f"{path} has no list 'images' with pictures in it; restore it")
    default = folder.resolve().name
    images = [_image(record, f"{path}: image {i}", default) for i, record in enumerate(records)]
    annotated = AnnotatedSet(folder, tuple(sorted(images, key=lambda image: image.file)))
    _refuse_shared_names(annotated.images, path)
    _refuse_missing_files(annotated)
    return annotated


def hull(quad: Sequence[Sequence[float]]) -> tuple[float, float, float, float]:
    """Axis-aligned hull x0, y0, x1, y1 of some corners (x, y), in their pixels."""
    xs, ys = zip(*quad, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def parse_quad(value: object, where: str) -> Corners:
    """Four corners from JSON.

    Raises:
        SourceError: it is not a list of four pairs of finite numbers of a picture's magnitude.
    """
    try:
        quad = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        quad = np.empty(0)
    if quad.shape != (4, 2) or not (np.abs(quad) <= _MAX_COORDINATE).all():
        raise SourceError(f"{where}: quad is {str(value)[:60]}, not four corners [x, y] in pixels")
    return tuple((float(x), float(y)) for x, y in quad)


def _image(record: object, where: str, default: str) -> AnnotatedImage:
    if not isinstance(record, dict):
        raise SourceError(f"{where} is {str(record)[:60]}, not an object")
    file, regions = record.get("file"), record.get("regions")
    if not isinstance(file, str) or not Path(file).name:
        raise SourceError(f"{where}: 'file' is {file!r}, not a file name")
    if Path(file).is_absolute() or ".." in Path(file).parts:
        raise SourceError(f"{where}: 'file' is {file!r}; it must be a path below the data's folder")
    where = f"{where} ({file})"
    size = [record.get(key) for key in ("width", "height")]
    if not all(type(v) is int and v >= 1 for v in size):
        raise SourceError(f"{where}: width and height are {size}, not whole pixels")
    if not isinstance(regions, list):
        raise SourceError(f"{where}: 'regions' is missing or not a list")
    dataset = record.get("dataset", default)
    if not isinstance(dataset, str) or dataset == ALL:
        raise SourceError(f"{where}: 'dataset' is {dataset!r}; it must be a name other than {ALL}")
    return AnnotatedImage(
        file=file,
        width=record["width"],
        height=record["height"],
        regions=tuple(_region(r, f"{where}, region {i}") for i, r in enumerate(regions)),
        dataset=dataset,
        exhaustive=_flag(record, "exhaustive", True, where),
    )


def _region(record: object, where: str) -> TrueRegion:
    if not isinstance(record, dict):
        raise SourceError(f"{where} is {str(record)[:60]}, not an object")
    text = record.get("text")
    if text is not None and not isinstance(text, str):
        raise SourceError(f"{where}: 'text' is {text!r}, neither a string nor null")
    quad = parse_quad(record.get("quad"), where)
    return TrueRegion(quad, text, _flag(record, "ignore", False, where))


def _flag(record: Mapping[str, Any], key: str, default: bool, where: str) -> bool:
    value = record.get(key, default)
    if not isinstance(value, bool):
        raise SourceError(f"{where}: '{key}' is {value!r}, neither true nor false")
    return value


def _refuse_shared_names(images: Sequence[AnnotatedImage], path: Path) -> None:
    """Predictions are matched by base name: it has to be unique."""
    (name, count), *_ = Counter(image.name for image in images).most_common(1)
    if count > 1:
        raise SourceError(f"{path} has {count} pictures named {name}; base names must differ")


def _refuse_missing_files(annotated: AnnotatedSet) -> None:
    missing = [image.file for image in annotated.images if not annotated.path(image).is_file()]
    if missing:
        raise SourceError(
            f"{len(missing)} of {len(annotated.images)} pictures are missing from "
            f"{annotated.folder} (first: {missing[0]}); restore them"
        )
