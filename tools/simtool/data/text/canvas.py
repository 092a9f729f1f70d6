"""A scene in the making: its picture, its labels, and what it is made of.

Lengths are pixels of the scene; points are (x, y).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simtool.data.labels import STRIDE
from simtool.data.text.glyphs import Face

MAX_TEXT_HEIGHT: Final = 130.0

Grey = NDArray[np.uint8]
"""(H, W)."""


@dataclass(frozen=True, slots=True)
class SceneConfig:
    """How scenes are made. Lengths in pixels of the scene.

    Attributes:
        size: side of the square scene, a multiple of 4.
        min_text_height / max_text_height: ink height of a line, drawn log-uniformly.
        unreadable_height: lines lower than this are drawn but count neither way.
        no_text: share of scenes without any text.
        cjk: share of text blocks in Chinese characters.
        mnist: share of text blocks in handwritten digits.
        core: share of a character's height, about its middle, that is labelled with its class.
        border: share of a line's height that does not count where it is no core; the middle
            between two lines is "no text" all the same, so that lines one above the other stay
            apart in the map.
        icons: share of scenes with pictograms of their own ("no text"); half as many lines begin
            with one.
    """

    size: int = 256
    min_text_height: float = 6.0
    max_text_height: float = MAX_TEXT_HEIGHT
    unreadable_height: float = 6.5
    no_text: float = 0.15
    cjk: float = 0.3
    mnist: float = 0.06
    core: float = 0.45
    border: float = 0.9
    icons: float = 0.35


@dataclass(frozen=True, slots=True)
class TextScene:
    """A scene.

    Attributes:
        image: (size, size) uint8.
        labels: (size / 4, size / 4) int8; cell (i, j) tells about pixel (4 i, 4 j): a class
            index of `glyphs.CLASS_NAMES` (0 is "no text"), or
            `labels.IGNORE`.
        heights: the same shape, float16: height of the text labelled there in pixels, 0 elsewhere.
    """

    image: Grey
    labels: NDArray[np.int8]
    heights: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class SceneMaterials:
    """What scenes are made of: fonts by package, words, digits, photos, a font of pictograms."""

    latin: Sequence[Sequence[Face]]
    cjk: Sequence[Face]
    words: Sequence[str]
    digits: NDArray[np.uint8]
    digit_labels: NDArray[np.uint8]
    photos: Sequence[Grey]
    icons: Face
    hanzi: str = field(default_factory=lambda: common_hanzi())


def common_hanzi() -> str:
    """The 3755 most common Chinese characters: level one of GB 2312, rows 16 to 55."""
    pairs = [bytes((row, cell)) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF)]
    return b"".join(pairs).decode("gb2312", errors="ignore")


class Canvas:
    """A scene in the making."""

    def __init__(self, image: NDArray[np.float32], config: SceneConfig) -> None:
        """Start from a background (size, size) float32; nothing is labelled as text yet."""
        cells = config.size // STRIDE
        self.image = image
        self.config = config
        self.labels = np.zeros((cells, cells), np.int8)
        self.heights = np.zeros((cells, cells), np.float32)
        self.taken = np.zeros((cells, cells), np.uint8)
