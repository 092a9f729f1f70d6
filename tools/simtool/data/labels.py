"""What data sets and networks agree on: names of classes, the stride of labels, `IGNORE`."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from simrun.bundle.reader import ReaderMeta

IGNORE: Final = -100
"""Label of a position that does not count."""
STRIDE: Final = 4
"""Pixels between neighbouring labels of a scene, and cells of F of a network that learns from
scenes; cell (i, j) is centred on pixel (4 i, 4 j)."""

CHARACTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NO_TEXT: Final = "no text"
TEXT_CLASSES: Final = (NO_TEXT, "text")
"""Of a window of a scene with text."""
NOTHING: Final = "nothing"
"""The last class of a network that names things: none is there."""

STRIPS: Final = ReaderMeta(
    alphabet=CHARACTERS + " ",
    height=40,
    stride=4,
    threshold=0.0,
    margin=0.08,
    stretch=(1.75, 0.15, 1.5),
)
"""How strips are cut for a reader, and what it says: output i + 1 is character i, 0 the blank. The
threshold is chosen after the training."""


def fold(text: str) -> str:
    """Text as a reader says it: upper case, signs left out, words parted by single spaces."""
    return " ".join("".join(c for c in text.upper() if c in STRIPS.alphabet).split())


def encode(text: str) -> list[int]:
    """A reader's classes of a text. Raises ValueError where a character is none of its own."""
    return [STRIPS.alphabet.index(character) + 1 for character in text]


def least_steps(label: str) -> int:
    """Steps of output that CTC needs for a label: a blank parts a character from its like."""
    return len(label) + sum(a == b for a, b in pairwise(label))
