"""Tells frames that OpenCV hands over without having filled them.

From the FFmpeg of OpenCV 4.13 and 5 on, swscale refuses interlaced frames. OpenCV does not look:
what it hands over is memory as it was, the frame before or something of this process. Memory that
is new can be given a colour (glibc's M_PERTURB), and then tells that nobody wrote to it.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import cv2

from simrun.errors import SourceError
from simrun.images.read import Image
from simrun.sources.devices.base import DeviceUnusableError
from simrun.sources.devices.opencv import Capture

ADVICE: Final = "pip install 'similarnet[video]' reads it"

_M_PERTURB: Final = -6
_REFUSING_SWSCALE: Final = 7
"""From this version on frames may stay unfilled; 6 is known to fill them all."""


@functools.cache
def may_stay_unfilled() -> bool:
    """Whether this OpenCV has an FFmpeg that refuses frames."""
    found = re.search(r"swscale:\s+YES \((\d+)", cv2.getBuildInformation())
    return found is None or int(found[1]) >= _REFUSING_SWSCALE


def read_first(read: Callable[[], Image | None], name: str) -> Image | None:
    """The first frame of a capture that is new, if it was filled.

    Raises:
        SourceError: nothing was written to it, or that cannot be told on this system.
    """
    if not may_stay_unfilled():
        return read()
    image = _read_coloured(read, name)
    if image is not None and is_unwritten(image):
        raise SourceError(unfilled(name))
    return image


def read_again(read: Callable[[], Image | None], name: str) -> Image | None:
    """A frame of a second capture, in coloured memory if it is that one's first."""
    return _read_coloured(read, name)


class FilledCapture:
    """A capture of OpenCV whose first frame was looked at: of an interlaced stream it is memory."""

    def __init__(self, capture: Capture, name: str) -> None:
        """Take over the capture."""
        self._capture, self._name = capture, name
        self._looked = False

    def read(self) -> tuple[bool, Any]:
        """Whether a frame came, and the frame.

        Raises:
            DeviceUnusableError: OpenCV does not fill the frames of this stream.
        """
        if self._looked:
            return self._capture.read()
        self._looked = True
        try:
            image = read_first(lambda: self._capture.read()[1], self._name)
        except SourceError as error:
            raise DeviceUnusableError(str(error)) from error
        return image is not None, image

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Whether frames can be read."""
        return self._capture.isOpened()

    def set(self, prop: int, value: float) -> bool:
        """Ask for a property."""
        return self._capture.set(prop, value)

    def get(self, prop: int) -> float:
        """A property."""
        return self._capture.get(prop)

    def release(self) -> None:
        """Let go of the stream."""
        self._capture.release()


def is_unwritten(image: Image) -> bool:
    """Whether all of it has the colour of new memory."""
    return bool((image == _COLOUR).all())


def unfilled(name: str) -> str:
    """What to tell of a frame that was not filled."""
    return (
        f"{name} has interlaced frames, which OpenCV {cv2.__version__} does not give out; {ADVICE}"
    )


_COLOUR: Final = 0xA5


def _read_coloured(read: Callable[[], Image | None], name: str) -> Image | None:
    with _coloured_memory(name):
        return read()


@contextmanager
def _coloured_memory(name: str) -> Iterator[None]:
    """New memory has one colour.

    Raises:
        SourceError: this system's C library cannot do that.
    """
    if platform.libc_ver()[0] != "glibc":
        raise SourceError(
            f"{name}: whether OpenCV {cv2.__version__} fills its frames cannot be told on this "
            f"system; {ADVICE}"
        )
    library = ctypes.CDLL(None)
    library.mallopt(_M_PERTURB, _COLOUR ^ 0xFF)
    try:
        yield
    finally:
        library.mallopt(_M_PERTURB, 0)
