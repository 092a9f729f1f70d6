"""What is measured: one point is one detector on one frame, with one working size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from simrun.images.read import Image

OURS: Final = "scene-text"
PEER: Final = "PP-OCRv6 tiny"

SIZES: Final = ((160, 120), (320, 240), (640, 480), (1280, 720), (1920, 1080), (3840, 2160))
PAGE: Final = (1920, 1080)
LINES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)
PEER_LINES: Final = (1, 10, 50, 200, 500)
THREADS: Final = (1, 2, 4)
OWN_SIDE: Final = {OURS: 456, PEER: 640}
"""The side that each is shipped with."""

WORDS: Final = ("Milk", "Open", "Exit", "Cafe", "Door")
PITCH: Final = (92, 42)
"""Pixels from one word of a page to the next: far enough that neighbours are lines of their own."""


@dataclass(frozen=True)
class Point:
    """One measurement."""

    sweep: str
    """What is varied: the size of the `frame` at the detector's own side, the working `side` with
    it, the number of `lines`, or `threads`."""
    detector: str
    width: int
    height: int
    side: int
    lines: int
    threads: int = 1

    @property
    def work_pixels(self) -> int:
        """Pixels of the frame once it is shrunk to the side."""
        scale = min(1.0, self.side / max(self.width, self.height))
        return round(self.width * scale) * round(self.height * scale)

    def draw(self) -> Image:
        """The frame, (height, width, 3) BGR."""
        if self.sweep == "lines":
            return draw_page(self.lines, self.width, self.height)
        return draw_poster(self.lines, self.width, self.height)


def all_points(with_peer: bool) -> Iterator[Point]:
    """Every point of the measurement."""
    for detector in (OURS, PEER) if with_peer else (OURS,):
        own = OWN_SIDE[detector]
        for width, height in SIZES:
            yield Point("frame", detector, width, height, own, lines=5)
            yield Point("side", detector, width, height, max(width, height), lines=5)
        for lines in LINES if detector == OURS else PEER_LINES:
            yield Point("lines", detector, *PAGE, side=max(PAGE), lines=lines)
        for threads in THREADS:
            yield Point("threads", detector, 640, 480, own, 5, threads)
            yield Point("threads", detector, *PAGE, max(PAGE), 5, threads)


def draw_poster(lines: int, width: int, height: int) -> Image:
    """A few words one below the other, as large as the picture allows: the same at every size."""
    frame = _ground(width, height)
    step = height / (lines + 1)
    scale, thick = step / 60, max(1, round(step / 25))
    for i in range(lines):
        at = (round(width * 0.1), round(step * (i + 1)))
        _write(frame, WORDS[i % len(WORDS)], at, scale, thick)
    return frame


def draw_page(words: int, width: int, height: int) -> Image:
    """Words of one size, spread over a page in an order that does not change with their number.

    Raises:
        ValueError: there is no room for so many.
    """
    frame = _ground(width, height)
    columns, rows = width // PITCH[0], height // PITCH[1]
    if words > columns * rows:
        raise ValueError(f"{words} words do not fit on {width}x{height}: {columns * rows} do")
    places = np.random.default_rng(0).permutation(columns * rows)[:words]
    for i, place in enumerate(places):
        row, column = divmod(int(place), columns)
        at = (column * PITCH[0] + 8, row * PITCH[1] + 30)
        _write(frame, WORDS[i % len(WORDS)], at, 0.7, 2)
    return frame


def _ground(width: int, height: int) -> Image:
    return np.full((height, width, 3), 225, np.uint8)


def _write(frame: Image, word: str, at: tuple[int, int], scale: float, thick: int) -> None:
    cv2.putText(frame, word, at, cv2.FONT_HERSHEY_DUPLEX, scale, (30, 30, 30), thick, cv2.LINE_AA)
