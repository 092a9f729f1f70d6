"""A folder of pictures, a sub-folder a class, read into cut-outs and checked on the way.

Pictures are read one at a time and kept small: memory does not grow with their size, and not
without bound with their number. Of each class every fifth picture, by the order of the files'
hashes, is held out: the same pictures give the same split wherever they lie, and a picture that is
there twice counts once, so that no copy of it is on the other side.
"""

from __future__ import annotations

import hashlib
import logging
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError
from simrun.images.read import IMAGE_SUFFIXES, read_image
from simrun.progress import progress
from simtool.data.image_folder import Channels, ImageFolder
from simtool.data.labels import NOTHING
from simtool.data.objects.cutout import Pixels, cut_out, in_channels, is_coloured
from simtool.data.subsampling import subsampling_step

log = logging.getLogger(__name__)

LEAST: Final = 10
"""Pictures of a class."""
HELD_OUT: Final = 5
"""One in so many is held out."""
_MOST: Final = 20_000
"""Pictures kept in all, and"""
_MOST_PER_CLASS: Final = 1000
"""of one class."""
_UNBALANCED: Final = 5
_MOST_PHOTOS: Final = 200
_PHOTO_SIDE: Final = 512
"""Longer side that background photos are shrunk to, in pixels."""
_LEAST_PHOTO: Final = 64
_LOOKED_AT: Final = 50
"""Pictures that decide between grey and colour."""


@dataclass(frozen=True, eq=False)
class CutOuts:
    """What was read."""

    classes: tuple[str, ...]
    images: Pixels = field(repr=False)
    """(N, SIDE, SIDE, C + 1); see `cutting.cut_out`."""
    labels: NDArray[np.int64] = field(repr=False)
    """(N,)"""
    held_out: NDArray[np.bool_] = field(repr=False)
    """(N,)"""


@dataclass
class _Skipped:
    """Why pictures are left out."""

    unreadable: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    copies: int = 0

    def warn(self, root: Path) -> None:
        if self.unreadable:
            log.warning(
                "%s: left out, as they cannot be read: %d, the first: %s",
                *(root, len(self.unreadable), self.unreadable[0]),
            )
        if self.empty:
            log.warning(
                "%s: left out, as they show nothing but ground: %d, the first: %s",
                *(root, len(self.empty), self.empty[0]),
            )
        if self.copies:
            log.warning("%s: left out, as copies of others: %d", root, self.copies)


def read_cutouts(root: Path, channels: Channels | None) -> tuple[CutOuts, Channels]:
    """Read a folder of classes, and whether it is grey or in colour where that is not given.

    Raises:
        SourceError: there is no such folder, it has fewer than two classes, two of them have the
            same name but for case, one is called "nothing", or one has too few pictures.
    """
    listing = ImageFolder.open(root, size=1, channels="grey")
    classes = _checked_names(listing.classes)
    _warn_strangers(root)
    channels = channels or _channels(listing.files)
    skipped = _Skipped()
    images: list[Pixels] = []
    labels: list[int] = []
    held_out: list[bool] = []
    with progress("pictures read", len(listing)) as advance:
        for index in range(len(classes)):
            paths = [listing.files[i] for i in np.flatnonzero(listing.labels == index)]
            kept = _spread(paths, min(_MOST_PER_CLASS, _MOST // len(classes)))
            found = _read_class(kept, channels, skipped)
            advance(len(paths))
            images += found
            labels += [index] * len(found)
            held_out += [number % HELD_OUT == 0 for number in range(len(found))]
    skipped.warn(root)
    _check_counts(root, classes, labels)
    array = np.stack(images)
    return CutOuts(classes, array, np.array(labels), np.array(held_out)), channels


def read_photos(root: Path, channels: Channels) -> list[Pixels]:
    """Background photos, (H, W, C) uint8, at most 200, the longer side at most 512 pixels.

    Raises:
        SourceError: there is no such folder, or no photo in it can be used.
    """
    if not root.is_dir():
        raise SourceError(f"no folder of backgrounds {root}; give one with photos, or leave it out")
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    photos, bad = [], []
    for path in _spread(paths, _MOST_PHOTOS):
        try:
            photo = in_channels(read_image(path), channels)
        except SourceError as error:
            bad.append(str(error))
            continue
        scale = min(1.0, _PHOTO_SIDE / max(photo.shape[:2]))
        if scale < 1:
            photo = np.asarray(
                cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            )
        if min(photo.shape[:2]) >= _LEAST_PHOTO:
            photos.append(photo.reshape(*photo.shape[:2], -1))
    if bad:
        log.warning("%s: %d photos cannot be read; the first: %s", root, len(bad), bad[0])
    if not photos:
        raise SourceError(
            f"{root} has no photo of at least {_LEAST_PHOTO} pixels a side; add some, or leave "
            "--background out"
        )
    return photos


def _read_class(paths: Sequence[Path], channels: Channels, skipped: _Skipped) -> list[Pixels]:
    """Cut-outs of one class, in the order of their files' hashes."""
    found: dict[str, Pixels] = {}
    for path in paths:
        try:
            picture = cut_out(path, channels)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except (SourceError, OSError) as error:
            skipped.unreadable.append(str(error))
            continue
        if picture is None:
            skipped.empty.append(str(path))
        elif digest in found:
            skipped.copies += 1
        else:
            found[digest] = picture
    return [found[digest] for digest in sorted(found)]


def _spread(paths: Sequence[Path], most: int) -> list[Path]:
    """At most so many, evenly from the whole."""
    if len(paths) <= most:
        return list(paths)
    log.info("%s: %d of %d pictures are used", paths[0].parent, most, len(paths))
    return [paths[i * len(paths) // most] for i in range(most)]


def _channels(paths: Sequence[Path]) -> Channels:
    """Colour where one in ten pictures has any."""
    coloured, read = 0, 0
    for path in paths[:: subsampling_step(len(paths), _LOOKED_AT)]:
        try:
            coloured += is_coloured(path)
        except SourceError:
            continue  # counted when all are read
        read += 1
    channels: Channels = "rgb" if coloured > read / 10 else "grey"
    log.info("%d of %d pictures looked at have colours: taken as %s", coloured, read, channels)
    return channels


def _checked_names(folders: Sequence[str]) -> tuple[str, ...]:
    """Names of the classes. Raises SourceError where two are the same or one is reserved."""
    names = tuple(unicodedata.normalize("NFC", folder) for folder in folders)
    (_, count), *_ = Counter(name.casefold() for name in names).most_common(1)
    if count > 1:
        alike = [n for n in names if sum(n.casefold() == m.casefold() for m in names) > 1]
        raise SourceError(f"class folders {', '.join(alike)} have one name; rename or join them")
    if reserved := [name for name in names if name.casefold() == NOTHING]:
        raise SourceError(
            f"a class folder is called '{reserved[0]}', which is the name for places without a "
            "thing; rename it, or give its pictures with --background"
        )
    if broken := [name for name in names if not name.isprintable()]:
        raise SourceError(f"class folder {broken[0]!r} has unprintable letters; rename it")
    return names


def _warn_strangers(root: Path) -> None:
    inside = [p for p in root.rglob("*") if p.is_file() and not p.name.startswith(".")]
    strange = [p for p in inside if p.suffix.lower() not in IMAGE_SUFFIXES or p.parent == root]
    if strange:
        log.warning(
            "%s: %d files are no pictures in a class folder and are left out; the first: %s",
            *(root, len(strange), strange[0].relative_to(root)),
        )


def _check_counts(root: Path, classes: Sequence[str], labels: Sequence[int]) -> None:
    counts = np.bincount(labels, minlength=len(classes))
    if counts.min() < LEAST:
        few = [f"'{c}' has {n}" for c, n in zip(classes, counts, strict=True) if n < LEAST]
        raise SourceError(
            f"{root}: {', '.join(few[:5])} usable pictures; every class needs {LEAST} or more, and "
            "some hundreds are better"
        )
    if counts.max() > _UNBALANCED * counts.min():
        least, most = int(counts.argmin()), int(counts.argmax())
        log.warning(
            "%s: '%s' has %d pictures and '%s' %d; all classes are shown equally often, but what "
            "is shown of the small one repeats itself",
            *(root, classes[least], counts[least], classes[most], counts[most]),
        )
