"""What data sets and networks agree on: names of classes, the stride of labels, `IGNORE`."""

from __future__ import annotations

from typing import Final

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
