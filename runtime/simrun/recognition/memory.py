"""What was read a moment ago: a region that did not change is not read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.images.read import Image
from simrun.recognition.reader import LineReader
from simrun.recognition.strips import cut_strip
from simrun.result import Quad, Reading

_SAME_PLACE: Final = 0.15
"""Heights by which a corner may be off, for the region to be in the same place."""
_BLOCK: Final = 4
"""Pixels of a strip, across and down, that are compared as one: their noise evens out."""
_CHANGED: Final = 0.2
"""Share of a strip's contrast by which a block that shows another stroke changes at least."""
_LEAST_CHANGE: Final = 4.0
"""Grey levels that noise and rounding change a block by, whatever the contrast."""
_KEPT_FRAMES: Final = 5
"""Frames for which a region that is not found is remembered."""


@dataclass
class _Known:
    """A region that was read."""

    corners: NDArray[np.float64]
    """Those of `quad`, (4, 2) in frame pixels."""
    quad: Quad
    blocks: NDArray[np.float32]
    """Its picture, as `_blocks` gives it."""
    limit: float
    """Grey levels by which a block has to change for the picture to count as changed."""
    reading: Reading
    missed: int = 0
    """Frames since it was found."""

    @classmethod
    def of(cls, quad: Quad, strip: Image, reading: Reading) -> _Known:
        """A region that was just read, and its strip."""
        blocks = _blocks(strip)
        return cls(np.array(quad), quad, blocks, _limit(blocks), reading)


class RememberingReader:
    """Reads regions of frames that follow one another.

    Where a region is in the place of one that was read, the same piece of the frame is cut out as
    then. If that looks as it did, the reading is still good. What it is compared with is what was
    read, not the last frame: a slow change adds up and is noticed.
    """

    def __init__(self, reader: LineReader) -> None:
        """Remember nothing yet."""
        self._reader = reader
        self._known: list[_Known] = []

    def read(self, frame: Image, quads: Sequence[Quad]) -> list[Reading]:
        """As `LineReader.read_found`; regions that did not change have their last reading."""
        found = [self._unchanged(frame, quad) for quad in quads]
        new = [quad for quad, known in zip(quads, found, strict=True) if known is None]
        strips = [cut_strip(frame, quad, self._reader.meta) for quad in new]
        fresh = map(_Known.of, new, strips, self._reader.read_found(frame, new))
        current = [next(fresh) if known is None else known for known in found]
        self._remember(current)
        return [known.reading for known in current]

    def _unchanged(self, frame: Image, quad: Quad) -> _Known | None:
        """The region in this place that was read and looks as it did, if there is one."""
        corners = np.array(quad)
        reach = _SAME_PLACE * float(np.hypot(*(corners[3] - corners[0])))
        for known in self._known:
            if np.abs(known.corners - corners).max() <= reach:
                now = _blocks(cut_strip(frame, known.quad, self._reader.meta))
                if _looks_the_same(known, now):
                    return known
        return None

    def _remember(self, current: list[_Known]) -> None:
        """Keep what was found now, and for a few frames what was not."""
        seen = {id(known) for known in current}
        for known in self._known:
            known.missed = 0 if id(known) in seen else known.missed + 1
        lost = [k for k in self._known if id(k) not in seen and k.missed <= _KEPT_FRAMES]
        self._known = [*{id(known): known for known in current}.values(), *lost]


def _blocks(strip: Image) -> NDArray[np.float32]:
    """Means of a strip's blocks, (height / 4, W / 4) in grey levels."""
    height, width = strip.shape
    size = max(1, width // _BLOCK), max(1, height // _BLOCK)
    small = cv2.resize(strip, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _limit(blocks: NDArray[np.float32]) -> float:
    """Grey levels by which a block has to change for the strip to count as changed."""
    levels = np.sort(blocks, axis=None)
    tail = len(levels) // 20
    return max(_LEAST_CHANGE, _CHANGED * float(levels[-1 - tail] - levels[tail]))


def _looks_the_same(known: _Known, now: NDArray[np.float32]) -> bool:
    """Whether no block changed by as much as another stroke would change it.

    Light that changes everywhere alike is none. Where noise alone changes blocks by that much, they
    count as changed: reading again is never wrong.
    """
    change = (now - known.blocks).ravel()
    middle = len(change) // 2
    change -= np.partition(change, middle)[middle]
    return bool(max(-change.min(), change.max()) <= known.limit)
