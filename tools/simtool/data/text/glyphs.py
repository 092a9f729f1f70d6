"""Characters as pictures: lines of text in freely licensed fonts, and lines of MNIST digits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from fontTools.ttLib import TTFont, TTLibError
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from simtool.data.labels import CHARACTERS, NO_TEXT

OTHER_CHARACTER: Final = len(CHARACTERS) + 1
CLASS_NAMES: Final = (NO_TEXT, *CHARACTERS, "other")
"""Training classes; index 0 is "no text", the last one any character outside 0-9, A-Z (case is
folded).
"""

_FONT_SUFFIXES = {".ttf", ".otf", ".ttc"}
_SYMBOLIC = (
    "symbol",
    "dingbat",
    "icon",
    "braille",
    "music",
    "math",
    "lohit",
    "d050000l",
    "dseg14",
    "weather",
)


def class_of(character: str) -> int:
    """Training class of one character, case folded: an index into `CLASS_NAMES`."""
    position = CHARACTERS.find(character.upper()) if character.isascii() else -1
    return position + 1 if position >= 0 else OTHER_CHARACTER


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a font file."""

    path: Path
    index: int
    codepoints: frozenset[int]

    def has(self, text: str) -> bool:
        """Whether the face draws every character of `text` (spaces aside)."""
        return all(ord(c) in self.codepoints for c in text if c != " ")


@dataclass(frozen=True, slots=True)
class Line:
    """A rendered line of text.

    Attributes:
        ink: (H, W) uint8 coverage, 0..255, cropped to the ink.
        cells: (n, 4) float32, a cell x0, y0, x1, y1 a character, in pixels of `ink`: its
            advance across, the ink of its word down.
        classes: (n,) int64, indices into `CLASS_NAMES`.
        words: (n,) int64, which word of the line a character belongs to.
    """

    ink: NDArray[np.uint8]
    cells: NDArray[np.float32]
    classes: NDArray[np.int64]
    words: NDArray[np.int64]


def find_faces(folder: Path, must_have: str) -> list[Face]:
    """Faces below `folder` that draw every character of `must_have`, in a fixed order."""
    faces = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in _FONT_SUFFIXES):
        if not path.is_file() or any(word in path.name.lower() for word in _SYMBOLIC):
            continue
        face = _read_face(path)
        if face is not None and face.has(must_have):
            faces.append(face)
    return faces


def _read_face(path: Path) -> Face | None:
    try:
        with TTFont(path, fontNumber=0, lazy=True) as font:
            codepoints = frozenset(font.getBestCmap() or ())
    except (TTLibError, AssertionError):
        return None
    return Face(path, 0, codepoints)


@lru_cache(maxsize=512)
def _sized(path: Path, index: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size, index=index, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=65536)
def _advance(path: Path, index: int, size: int, character: str) -> float:
    return _sized(path, index, size).getlength(character)


def render_line(face: Face, text: str, size: int, tracking: float = 0.0) -> Line | None:
    """Draw `text` on one line.

    Args:
        face: the font face.
        text: no line breaks; words are parted by single spaces.
        size: em size in pixels.
        tracking: extra space after each character, as a share of `size`.

    Returns:
        The line, or None where the face leaves no ink.
    """
    font = _sized(face.path, face.index, size)
    widths = np.array([_advance(face.path, face.index, size, c) for c in text])
    pitch = widths + tracking * size
    starts = np.concatenate([[0.0], np.cumsum(pitch)[:-1]]) + size
    picture = Image.new("L", (int(starts[-1] + widths[-1] + 2 * size), 3 * size))
    draw = ImageDraw.Draw(picture)
    if tracking:
        for x, c in zip(starts, text, strict=True):
            draw.text((x, size), c, fill=255, font=font)
    else:
        draw.text((size, size), text, fill=255, font=font)
    ends = starts + np.maximum(pitch, widths)
    return _crop(np.asarray(picture, np.uint8), text, starts, ends)


def _crop(
    canvas: NDArray[np.uint8],
    text: str,
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
) -> Line | None:
    x, y, w, h = cv2.boundingRect(canvas)
    if w < 2 or h < 3:
        return None
    drawn = np.array([c != " " for c in text])
    words = np.cumsum(~drawn)
    cells = np.empty((len(text), 4), np.float32)
    cells[:, 0], cells[:, 2] = (starts - x).clip(0, w), (ends - x).clip(0, w)
    for word in np.unique(words[drawn]):
        members = np.flatnonzero(drawn & (words == word))
        left, right = int(starts[members[0]]), int(ends[members[-1]]) + 1
        _, top, _, height = cv2.boundingRect(canvas[:, left:right])
        cells[members, 1], cells[members, 3] = top - y, top + height - y
    classes = np.array([class_of(c) for c in text])
    return Line(canvas[y : y + h, x : x + w].copy(), cells[drawn], classes[drawn], words[drawn])


def digit_line(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], height: int, overlap: float
) -> Line:
    """A line of MNIST digits side by side.

    Args:
        images: (n, 28, 28) uint8.
        labels: (n,) uint8, 0..9.
        height: of the digits' 20-pixel ink box, in pixels.
        overlap: share of a 28-pixel cell by which neighbours close up, 0..0.4.
    """
    step = round(28 * (1 - overlap))
    canvas = np.zeros((28, step * (len(images) - 1) + 28), np.uint8)
    for i, image in enumerate(images):
        part = canvas[:, i * step : i * step + 28]
        np.maximum(part, image, out=part)
    x, y, w, h = cv2.boundingRect(canvas)
    scale = height / 20.0
    ink = cv2.resize(
        canvas[y : y + h, x : x + w], None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC
    )
    centres = np.arange(len(images)) * step + 14.0 - x
    cells = np.zeros((len(images), 4), np.float32)
    cells[:, 0], cells[:, 2] = (centres - step / 2).clip(0, w), (centres + step / 2).clip(0, w)
    cells[:, 3] = h
    return Line(
        ink.astype(np.uint8),
        cells * scale,
        labels.astype(np.int64) + 1,
        np.zeros(len(images), np.int64),
    )
