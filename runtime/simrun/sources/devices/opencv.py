"""What the sources that read through OpenCV share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import cv2
import numpy as np

from simrun.errors import SourceError
from simrun.sources.devices.base import Decode, Shot
from simrun.sources.options import Size


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that is used."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Whether frames can be read."""
        ...

    def read(self) -> tuple[bool, Any]:
        """Whether a frame came, and the frame."""
        ...

    def set(self, prop: int, value: float) -> bool:
        """Ask for a property; whether OpenCV took it."""
        ...

    def get(self, prop: int) -> float:
        """A property; 0 where there is none."""
        ...

    def release(self) -> None:
        """Let go of the device."""
        ...


class CaptureStream:
    """A `Stream` over a capture of OpenCV that is open."""

    def __init__(
        self,
        capture: Capture,
        name: str,
        *,
        stamp_s: Callable[[Capture], float | None] | None = None,
        decode: Decode | None = None,
    ) -> None:
        """Take over the capture.

        Args:
            capture: gives the frames.
            name: of the device, for messages.
            stamp_s: reads the last frame's own time from the capture.
            decode: makes pictures of the frames, where OpenCV does not.
        """
        self._capture = capture
        self._name = name
        self._stamp_s = stamp_s
        self._decode = decode
        self.rate = _rate(capture)
        stamps = "arrival" if stamp_s is None else "the driver"
        self.description = f"{_negotiated(capture)}, time stamps of {stamps}"

    def read(self) -> Shot | None:
        """The next frame; None where OpenCV gives none or an empty one.

        Raises:
            SourceError: OpenCV failed.
        """
        try:
            ok, image = self._capture.read()
        except cv2.error as error:
            raise SourceError(f"{self._name}: OpenCV failed: {error.err or error}") from error
        if not ok or image is None or image.size == 0:
            return None
        stamp_s = self._stamp_s(self._capture) if self._stamp_s is not None else None
        # OpenCV makes a new array for each frame: it may be kept.
        return Shot(np.asarray(image), stamp_s, self._decode)

    def interrupt(self) -> None:
        """Nothing: a capture must not be released while another thread reads from it."""

    def close(self) -> None:
        """Release the capture."""
        self._capture.release()


def _rate(capture: Capture) -> float | None:
    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if 0 < rate < 1000 else None


def read_size(capture: Capture) -> Size:
    """The size agreed on."""
    width, height = (
        int(capture.get(prop)) for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    )
    return Size(width, height)


def read_fourcc(capture: Capture) -> str:
    """The format agreed on, `MJPG` say; empty where OpenCV knows none."""
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    fourcc = "".join(chr(code >> shift & 0xFF) for shift in (0, 8, 16, 24))
    return fourcc.strip() if fourcc.isprintable() else ""


def _negotiated(capture: Capture) -> str:
    """Size, format and rate, as far as they are known."""
    parts = filter(None, (str(read_size(capture)), read_fourcc(capture)))
    rate = _rate(capture)
    return " ".join(parts) + (f" at {rate:.3g} frames/s" if rate else "")
