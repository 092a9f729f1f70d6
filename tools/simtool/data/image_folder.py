"""A folder of pictures, a sub-folder a class: read when needed, all brought to one size."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simrun.errors import SourceError
from simrun.files import in_one_line
from simrun.images.read import Image, Note, read_image, to_grey, to_rgb
from simrun.progress import progress
from simrun.sources.picture_files import counted_kinds, kind_of_member
from simtool.data.dataset import LabelledImages
from simtool.files import file_digest

log = logging.getLogger(__name__)

Channels = Literal["grey", "rgb"]
_HIDDEN: Final = (".", "__MACOSX")
"""Beginnings of folders that are no class: some programs leave them behind."""
_LISTED: Final = 5
"""Names given in a message."""


def channels_of(option: str | None) -> Channels | None:
    """The channels that `--channels` asks for, grey or rgb; None where it is not given."""
    if option is None:
        return None
    return "grey" if option == "grey" else "rgb"


def channels_named(count: int) -> Channels:
    """What images of 1 or 3 channels are called."""
    return "grey" if count == 1 else "rgb"


def class_folders(root: Path) -> list[str]:
    """Names of the sub-folders of a folder, sorted; hidden ones are none.

    Raises:
        SourceError: there is no such folder, or it cannot be read.
    """
    if not root.is_dir():
        raise SourceError(f"no data folder {root}; give one with a sub-folder a class")
    try:
        folders = [path.name for path in root.iterdir() if path.is_dir()]
    except OSError as error:
        raise SourceError(f"cannot read folder {root}: {error.strerror}") from error
    return sorted(name for name in folders if not name.startswith(_HIDDEN))


@dataclass(frozen=True)
class ImageFolder:
    """Pictures by class, in the order of their names."""

    root: Path
    classes: tuple[str, ...]
    """In the order of the network's outputs."""
    files: tuple[Path, ...]
    labels: NDArray[np.int64]
    """(N,)"""
    size: int
    """Side of the squares that the pictures become, in pixels."""
    channels: Channels

    @classmethod
    def open(
        cls, root: Path, size: int, channels: Channels, classes: Sequence[str] | None = None
    ) -> ImageFolder:
        """List a folder.

        Args:
            root: holds a sub-folder of pictures for each class.
            size: the shorter side of a picture is brought to it, and the middle cut out.
            channels: what the network takes.
            classes: names of the sub-folders in the order of the network's outputs; None takes
                the order of their names.

        Raises:
            SourceError: there is no such folder, fewer than two classes, or a class without
                pictures.
        """
        present = class_folders(root)
        names = tuple(classes) if classes is not None else tuple(present)
        if missing := [name for name in names if name not in present]:
            raise SourceError(
                f"{root} has no sub-folder for class {_some(missing)}; it has {_some(present)}"
            )
        if len(names) < 2:
            named = "--classes names" if classes is not None else f"{root} has"
            raise SourceError(
                f"{named} {len(names)} class folders ({_some(names)}); a classifier needs two or "
                f"more{': is it the folder above?' if classes is None else ''}"
            )
        by_class = [_pictures(root / name) for name in names]
        if empty := [name for name, files in zip(names, by_class, strict=True) if not files]:
            raise SourceError(f"{root} has no picture of class {_some(empty)}; add some")
        return cls(
            root=root,
            classes=names,
            files=tuple(path for files in by_class for path in files),
            labels=np.repeat(np.arange(len(names)), [len(files) for files in by_class]),
            size=size,
            channels=channels,
        )

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.files)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over names and contents of the files, size and channels."""
        digest = hashlib.sha256(f"{self.classes} {self.size} {self.channels}".encode())
        for path in self.files:
            digest.update(f"{path.relative_to(self.root).as_posix()}\n".encode())
            digest.update(file_digest(path))
        return digest.hexdigest()

    def subset(self, indices: NDArray[np.integer]) -> ImageFolder:
        """The pictures at these indices, of all classes."""
        files = tuple(self.files[i] for i in indices)
        return replace(self, files=files, labels=self.labels[indices])

    def readable(self) -> ImageFolder:
        """The pictures that can be read; what is left out, and why, is said.

        Raises:
            SourceError: a class is left without.
        """
        kept: list[int] = []
        bad: list[str] = []
        notes: Counter[Note] = Counter()
        with progress("pictures looked at", len(self)) as advance:
            for index, path in enumerate(self.files):
                try:
                    read_image(path, lambda _, note: notes.update([note]))
                    kept.append(index)
                except SourceError as error:
                    bad.append(in_one_line(str(error)))
                advance(1)
        self._say_left(bad, notes)
        folder = self.subset(np.array(kept, np.int64))
        if empty := [self.classes[i] for i in sorted({*self.labels} - {*folder.labels})]:
            raise SourceError(
                f"{self.root} has no picture of class {_some(empty)} that can be read; the first "
                f"that cannot: {bad[0]}"
            )
        return folder

    def _say_left(self, bad: Sequence[str], notes: Mapping[Note, int]) -> None:
        others = Counter(
            kind
            for name in self.classes
            for kind in map(kind_of_member, _members(self.root / name))
            if kind is not None
        )
        root = in_one_line(str(self.root))
        if others:
            log.info("%s: %d pictures; left alone: %s", root, len(self), counted_kinds(others))
        if bad:
            log.warning(
                "%s: left out, as they cannot be read: %d, the first: %s", root, len(bad), bad[0]
            )
        for note, count in notes.items():
            log.info("%s: %d pictures: %s", root, count, note)

    def tensors(self, indices: NDArray[np.integer]) -> tuple[Tensor, Tensor]:
        """Images (n, C, S, S) float32 in [0, 1], RGB or grey, and labels (n,) int64.

        Raises:
            SourceError: a picture cannot be read.
        """
        pictures = torch.from_numpy(self._pixels(indices))
        return pictures.to(torch.float32) / 255, torch.from_numpy(self.labels[indices])

    def labelled(self, indices: NDArray[np.integer], split: str) -> LabelledImages:
        """The pictures at these indices, in memory. Raises SourceError where one is damaged."""
        return LabelledImages(self._pixels(indices), self.labels[indices], self.classes, split)

    def _pixels(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """(n, C, S, S) uint8."""
        return np.stack([_fit(self._read(self.files[i]), self.size) for i in indices])

    def _read(self, path: Path) -> Image:
        image = read_image(path, lambda path, note: None)  # `readable` has counted them
        return to_grey(image) if self.channels == "grey" else to_rgb(image)


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in _members(folder) if kind_of_member(path) is None)


def _members(folder: Path) -> Iterator[Path]:
    """Everything below a folder but what is in hidden ones. Raises SourceError."""
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        raise SourceError(f"cannot read folder {folder}: {error.strerror}") from error
    for path in paths:
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(_HIDDEN):
            yield from _members(path)
        else:
            yield path


def _fit(image: Image, size: int) -> NDArray[np.uint8]:
    """The middle square, (C, size, size)."""
    height, width = image.shape[:2]
    scale = size / min(height, width)
    if scale != 1:
        shape = (max(size, round(width * scale)), max(size, round(height * scale)))
        mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, shape, interpolation=mode), np.uint8)
    top, left = (image.shape[0] - size) // 2, (image.shape[1] - size) // 2
    middle = image[top : top + size, left : left + size]
    # In memory as in name: networks that call view() take no other strides.
    return middle[None] if middle.ndim == 2 else np.ascontiguousarray(middle.transpose(2, 0, 1))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_LISTED]) or "none"
    return shown + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
