"""A folder of pictures, a sub-folder a class: read when needed, all brought to one size."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simrun.errors import SourceError
from simrun.images.read import IMAGE_SUFFIXES, Image, read_image, to_grey, to_rgb
from simtool.data.dataset import LabelledImages
from simtool.files import file_digest

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
        if not root.is_dir():
            raise SourceError(f"no data folder {root}; give one with a sub-folder a class")
        folders = [path.name for path in root.iterdir() if path.is_dir()]
        present = sorted(name for name in folders if not name.startswith(_HIDDEN))
        names = tuple(classes) if classes is not None else tuple(present)
        if missing := [name for name in names if name not in present]:
            raise SourceError(
                f"{root} has no sub-folder for class {_some(missing)}; it has {_some(present)}"
            )
        if len(names) < 2:
            raise SourceError(
                f"{root} has {len(names)} class folders ({_some(present)}); a classifier needs "
                "two or more: is it the folder above?"
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
        image = read_image(path)
        return to_grey(image) if self.channels == "grey" else to_rgb(image)


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)


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
