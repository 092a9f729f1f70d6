"""Crops of single characters, cut and normalised by the very code that reads regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.recognition.crops import character_crops
from simtool.data.labels import CHARACTERS
from simtool.data.text.glyphs import Face, render_line

SIDE: Final = 28
# A lower-case l is an upper-case I in most sans faces: no classifier of single crops can tell them.
DRAWN: Final = CHARACTERS + "abcdefghijkmnopqrstuvwxyz"

Grey = NDArray[np.uint8]
"""(H, W)."""


def glyph_crop(faces: Sequence[Face], rng: np.random.Generator) -> tuple[Grey, int]:
    """A random character of a random face: (28, 28) uint8 and its class, 0..35.

    It is turned, blurred and noisy, bright or dark, and drawn again where the runtime would not
    take it for one character.
    """
    while True:
        face = faces[int(rng.integers(len(faces)))]
        character = DRAWN[int(rng.integers(len(DRAWN)))]
        line = render_line(face, character, int(rng.integers(10, 44)))
        if line is None:
            continue
        crops = character_crops(_photographed(line.ink, rng), SIDE)
        if len(crops) == 1:
            return crops[0], CHARACTERS.index(character.upper())


def digit_crop(image: Grey) -> Grey:
    """An MNIST digit (28, 28) normalised like every crop; as it is where it falls to pieces."""
    crops = character_crops(np.pad(image, 2), SIDE)
    return crops[0] if len(crops) == 1 else image


def _photographed(ink: Grey, rng: np.random.Generator) -> Grey:
    """Coverage (h, w) as a grey picture with a margin."""
    top, bottom, left, right = (int(side) for side in rng.integers(2, 5, 4))
    ink = np.pad(ink, ((top, bottom), (left, right)))
    h, w = ink.shape
    turn = cv2.getRotationMatrix2D(
        (w / 2, h / 2), float(rng.normal(0, 5)), float(rng.uniform(0.9, 1.05))
    )
    turn[0, 1] += rng.normal(0, 0.1)
    cover = cv2.warpAffine(ink, turn, (w, h), flags=cv2.INTER_LINEAR).astype(np.float32) / 255
    shade = rng.uniform(40, 200) * (1 if rng.random() < 0.5 else -1)
    picture = (40 if shade > 0 else 215) + cover * shade
    if rng.random() < 0.6:
        soft = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 0.06 * h + 0.4))
        picture = np.asarray(soft, np.float64)
    picture = picture + rng.normal(0, rng.gamma(1.5, 3.0), picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)
