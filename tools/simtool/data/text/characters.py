"""The data of the character classifier: glyphs of free fonts and MNIST digits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError
from simtool.data.dataset import LabelledImages
from simtool.data.labels import CHARACTERS
from simtool.data.text.crops import digit_crop, glyph_crop
from simtool.data.text.glyphs import Face
from simtool.data.text.material import latin_packages, load_digits

GLYPHS: Final = {"train": 90_000, "test": 8_000}
DIGITS: Final = {"train": 12_000, "test": 0}
HELD_OUT: Final = 6
"""Every sixth font package is seen by the test alone."""


def load_characters(split: str, folder: Path | None) -> LabelledImages:
    """Crops (N, 1, 28, 28) of 36 classes, made anew each time: a minute for `train`.

    Args:
        split: `train`, or `test`: glyphs of font packages that `train` has none of.
        folder: the material.

    Raises:
        SourceError: unknown split, or no material.
    """
    if split not in GLYPHS:
        raise SourceError(f"characters has no split '{split}'; it has {', '.join(GLYPHS)}")
    if folder is None:
        raise SourceError(
            "characters need fonts: run 'simtool fetch scene-text --out MATERIAL', then give "
            "--data MATERIAL"
        )
    packages = latin_packages(folder)
    held_out = split == "test"
    faces = [
        face
        for number, package in enumerate(packages)
        if (number % HELD_OUT == 0) is held_out
        for face in package
    ]
    crops, labels = glyphs(faces, GLYPHS[split], int(held_out))
    if DIGITS[split]:
        digits = load_digits(folder, "train").subset(slice(DIGITS[split]))
        crops = np.concatenate([crops, np.stack([digit_crop(i[0]) for i in digits.images])])
        labels = np.concatenate([labels, digits.labels])
    return LabelledImages(crops[:, np.newaxis], labels, tuple(CHARACTERS), split)


def glyphs(
    faces: Sequence[Face], count: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`count` random glyph crops (count, 28, 28) and their classes (count,)."""
    rng = np.random.default_rng(seed)
    made = [glyph_crop(faces, rng) for _ in range(count)]
    return np.stack([crop for crop, _ in made]), np.array([label for _, label in made], np.int64)
