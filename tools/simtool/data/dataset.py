"""What every data set hands on: labelled images of one size, and where they came from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError
from simtool.data.labels import IGNORE


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """One named split of a data set.

    Raises:
        SourceError: shapes, types or labels do not fit together.
    """

    images: NDArray[np.uint8] = field(repr=False)
    """(N, C, H, W) uint8."""
    labels: NDArray[np.int64] = field(repr=False)
    """(N,) int64, indices into `classes`; or (N, h, w), a label a position, `IGNORE` where none."""
    classes: tuple[str, ...]
    split: str

    def __post_init__(self) -> None:
        """Check images and labels against each other."""
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise SourceError(
                f"images are {self.images.dtype} of shape {self.images.shape}; "
                "they must be uint8 of shape (N, C, H, W)"
            )
        if self.labels.ndim not in (1, 3) or len(self.labels) != len(self.images):
            raise SourceError(
                f"split '{self.split}' has {len(self.images)} images, {len(self.labels)} labels; "
                "the two files do not belong together"
            )
        if len(self.images) == 0:
            raise SourceError(f"split '{self.split}' is empty; check the data folder")
        counted = self.labels[self.labels != IGNORE] if self.dense else self.labels
        low, high = int(counted.min(initial=0)), int(counted.max(initial=0))
        if low < 0 or high >= len(self.classes):
            raise SourceError(
                f"split '{self.split}' has labels {low} to {high}; "
                f"{len(self.classes)} classes allow 0 to {len(self.classes) - 1}"
            )

    @property
    def dense(self) -> bool:
        """Whether every position of an image has a label of its own."""
        return self.labels.ndim == 3

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over shape, pixels and labels: the identity of the data in every record."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(self.images.tobytes())
        digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()

    def subset(self, indices: NDArray[np.integer] | slice) -> LabelledImages:
        """The images at these indices, as a split of the same name."""
        return LabelledImages(self.images[indices], self.labels[indices], self.classes, self.split)


@dataclass(frozen=True)
class Variant:
    """What a network that is made for the data at hand takes from them."""

    classes: tuple[str, ...]
    """The background, last, included."""
    channels: int
