"""A camera that fails every few seconds, each time in another way, for the soak.

Only the device is made up: what opens it again, and reads it in a thread of its own, is simrun's.
"""

from __future__ import annotations

import itertools
import random
import threading
from enum import Enum, auto
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError
from simrun.images.jpeg import encode_jpeg
from simrun.sources.decode import find_decoder
from simrun.sources.demo import draw_scene
from simrun.sources.devices.base import Decode, Shot
from simrun.sources.live.clock import SystemClock
from simrun.sources.live.reconnect import CEILING_S, LiveSource
from simrun.sources.options import Size, SourceOptions

SIZE: Final = Size(1920, 1080)
_RATE: Final = 25.0
_PICTURES: Final = 8
_MOST_READS: Final = 75
"""Frames before a failure, at most: three seconds of them."""
_MOST_REFUSALS: Final = 2
"""Times that opening fails after it, at most."""
_LONGEST_PAUSE_S: Final = 0.3
"""What simrun's longest wait before another try is shortened to, and the others in proportion."""
_BAD_RATE: Final = 100.0
"""Frames a second that are none: simrun waits for many of them."""
_OPTIONS: Final = SourceOptions(stall_s=1.0, frozen_s=1.0)
_QUALITY: Final = 90


class Failure(Enum):
    """What becomes of a camera that was open."""

    UNPLUGGED = auto()
    """Reading fails."""
    EMPTY = auto()
    """Frames come without a picture."""
    DAMAGED = auto()
    """Frames come that cannot be decoded."""
    STALLED = auto()
    """No frame comes, and reading does not end."""
    FROZEN = auto()
    """The same picture comes again and again."""


class HastyClock(SystemClock):
    """The machine's time; only pauses between two tries are shorter."""

    def pause(self, stop: threading.Event, seconds: float) -> None:
        """Wait for the event, at most `_LONGEST_PAUSE_S`."""
        super().pause(stop, seconds * _LONGEST_PAUSE_S / CEILING_S)


class FlappingDevice:
    """Motion JPEG of 1920x1080, 25 frames a second; each opening ends in the next `Failure`."""

    name = "flapping"

    def __init__(self) -> None:
        """Draw and encode the pictures, once."""
        decode = find_decoder("MJPG", SIZE, colour=True)
        assert decode is not None
        self.decode: Decode = decode
        self.pictures = itertools.cycle([_jpeg(number / 2) for number in range(_PICTURES)])
        self.steady = threading.Event()
        """While it is set, what is open does not begin to fail, and no picture comes twice."""
        self._random = random.Random(1)
        self._failures = itertools.cycle(Failure)
        self._refusals = 0

    def open(self) -> FlappingStream:
        """Open it, unless it is not there just now.

        Raises:
            SourceError: it is not there.
        """
        if self._refusals:
            self._refusals -= 1
            raise SourceError(f"{self.name} is not there")
        self._refusals = self._random.randint(0, _MOST_REFUSALS)
        return FlappingStream(self, next(self._failures), self._random.randint(1, _MOST_READS))


class FlappingStream:
    """One opening of the device."""

    description = f"{SIZE} MJPG, {_RATE:g} frames/s"

    def __init__(self, device: FlappingDevice, failure: Failure, reads: int) -> None:
        """Fail in this way after so many frames."""
        self.rate: float | None = _RATE
        self._device = device
        self._failure = failure
        self._left = reads
        self._failing = False
        self._picture = next(device.pictures)
        self._interrupted = threading.Event()

    def read(self) -> Shot | None:
        """The next frame at its time, or what the failure makes of it.

        Raises:
            SourceError: it was unplugged.
        """
        self._failing = self._failing or (self._left <= 0 and not self._device.steady.is_set())
        self._left -= 1
        if self._failing and self._failure is not Failure.FROZEN:
            self._interrupted.wait(1 / _BAD_RATE)
            return self._fail()
        self._interrupted.wait(1 / _RATE)
        # The live source keeps a picture to compare with: of frozen ones, one more than of others.
        if not self._failing or self._device.steady.is_set():
            self._picture = next(self._device.pictures)
        return Shot(self._picture, decode=self._device.decode)

    def interrupt(self) -> None:
        """End a read that hangs."""
        self._interrupted.set()

    def close(self) -> None:
        """Nothing is held."""

    def _fail(self) -> Shot | None:
        if self._failure is Failure.UNPLUGGED:
            raise SourceError(f"{self._device.name} was unplugged")
        if self._failure is Failure.DAMAGED:
            return Shot(np.zeros(1000, np.uint8), decode=self._device.decode)
        if self._failure is Failure.STALLED:
            self._interrupted.wait()
        return None


def open_flapping(device: FlappingDevice) -> LiveSource:
    """The live source over it, with stalls and frozen pictures told after a second."""
    return LiveSource(device, _OPTIONS, clock=HastyClock(), random=random.Random(1))


def _jpeg(time_s: float) -> NDArray[np.uint8]:
    scene = cv2.resize(draw_scene(time_s), (SIZE.width, SIZE.height))
    return np.frombuffer(encode_jpeg(np.asarray(scene, np.uint8), _QUALITY), np.uint8)
