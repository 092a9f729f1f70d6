"""A built-in animated scene with moving text: everything can be tried without a camera."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from simrun.errors import SourceError
from simrun.images.read import Image
from simrun.sources.base import BadFrame, Frame
from simrun.sources.devices.base import Shot
from simrun.sources.live.clock import Clock, SystemClock

WIDTH: Final = 640
HEIGHT: Final = 480
RATE: Final = 30.0
LENGTH: Final = 150
"""Frames: five seconds."""


class DemoSource:
    """Five seconds of numbers that drift over a dark wall and a bright plate."""

    name = "demo"
    live = False
    length: int | None = LENGTH
    rate: float | None = RATE

    def __init__(self) -> None:
        """Start at the first frame."""
        self._closed = False

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        """The frames, the same ones every time."""
        for index in range(LENGTH):
            if self._closed:
                return
            yield Frame(draw_scene(index / RATE), index, index / RATE)

    def close(self) -> None:
        """End the iteration."""
        self._closed = True


class DemoDevice:
    """The scene as a camera: it never ends, and it comes at its own pace."""

    name = "demo"

    def open(self) -> DemoStream:
        """Start at the first frame."""
        return DemoStream(SystemClock())


class DemoStream:
    """The scene, a frame each thirtieth of a second."""

    description = f"the demo scene, {WIDTH}x{HEIGHT}, {RATE:g} frames/s"
    rate: float | None = RATE

    def __init__(self, clock: Clock) -> None:
        """Start now."""
        self._clock = clock
        self._closed = threading.Event()
        self._start_s = clock.now()
        self._index = 0

    def read(self) -> Shot:
        """Wait for the next frame's moment and draw it.

        Raises:
            SourceError: it was closed.
        """
        due_s = self._start_s + self._index / RATE
        self._clock.pause(self._closed, max(0.0, due_s - self._clock.now()))
        if self._closed.is_set():
            raise SourceError("demo was closed")
        self._index += 1
        return Shot(draw_scene(due_s - self._start_s), due_s)

    def interrupt(self) -> None:
        """End the wait for the next frame."""
        self._closed.set()

    def close(self) -> None:
        """Nothing is held."""
        self._closed.set()


def draw_scene(time_s: float) -> Image:
    """(480, 640, 3) BGR picture of the scene at a moment."""
    scene = _wall()
    x = 60 + 220 * (0.5 - 0.5 * math.cos(time_s * 1.2))
    _write(scene, "2031", (x, 120), 2.2, (235, 235, 235))
    cv2.rectangle(scene, (330, 300), (590, 410), (215, 225, 225), cv2.FILLED)
    _write(scene, f"{int(time_s * 10) % 100:02d}", (400, 380), 2.0, (30, 30, 30))
    y = 300 + 60 * math.sin(time_s * 1.7)
    _write(scene, "7", (120, y), 2.6, (120, 230, 250))
    return scene


def _wall() -> Image:
    shade = np.linspace(25, 70, WIDTH, dtype=np.float32) + np.linspace(0, 25, HEIGHT)[:, None]
    return np.repeat(shade.astype(np.uint8)[:, :, None], 3, axis=2)


def _write(
    scene: Image, text: str, at: tuple[float, float], size: float, colour: tuple[int, int, int]
) -> None:
    where = (round(at[0]), round(at[1]))
    cv2.putText(
        scene, text, where, cv2.FONT_HERSHEY_DUPLEX, size, colour, round(size * 2.4), cv2.LINE_AA
    )
