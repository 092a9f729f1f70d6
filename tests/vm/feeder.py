"""A camera's other end: writes chosen pictures to a v4l2loopback device."""

from __future__ import annotations

import fcntl
import struct
import threading
import time
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH: Final = 640
HEIGHT: Final = 480
_S_FMT: Final = 0xC0D05605
"""VIDIOC_S_FMT on 64-bit machines."""
_VIDEO_OUTPUT: Final = 2
_YUYV: Final = int.from_bytes(b"YUYV", "little")
_FORMAT_BYTES: Final = 208


def draw_number(text: str) -> NDArray[np.uint8]:
    """(480, 640, 2) YUYV picture of bright digits on a dark wall."""
    luma = np.full((HEIGHT, WIDTH), 30, np.uint8)
    at = (150, 280)
    cv2.putText(luma, text, at, cv2.FONT_HERSHEY_DUPLEX, 3.0, 230, 7, cv2.LINE_AA)
    return np.stack([luma, np.full_like(luma, 128)], axis=2)


class Feeder:
    """Writes the picture in `show` again and again, at a camera's pace."""

    def __init__(self, device: Path, rate: float) -> None:
        """Set the device's format; nothing is written yet."""
        self._device = device.open("wb", buffering=0)
        size = WIDTH * HEIGHT * 2
        pixels = struct.pack("<12I", WIDTH, HEIGHT, _YUYV, 1, WIDTH * 2, size, 8, 0, 0, 0, 0, 0)
        request = struct.pack("<2I", _VIDEO_OUTPUT, 0) + pixels
        fcntl.ioctl(self._device, _S_FMT, bytearray(request.ljust(_FORMAT_BYTES, b"\0")))
        self._interval_s = 1 / rate
        self._picture = b""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.shown: list[tuple[float, str]] = []
        """Every number with the moment from which it was shown."""
        self.written = 0

    def show(self, text: str) -> None:
        """Show a number from the next frame on; the first one starts the camera."""
        self._picture = draw_number(text).tobytes()
        self.shown.append((time.monotonic(), text))
        if not self._thread.is_alive():
            self._thread.start()

    def close(self) -> None:
        """Stop writing."""
        self._stop.set()
        self._thread.join()
        self._device.close()

    def _write(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._device.write(self._picture)
            self.written += 1
