"""A camera's other end: writes chosen pictures to a v4l2loopback device."""

from __future__ import annotations

import fcntl
import struct
import threading
import time
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np

WIDTH: Final = 640
HEIGHT: Final = 480
_S_FMT: Final = 0xC0D05605
"""VIDIOC_S_FMT on 64-bit machines."""
_VIDEO_OUTPUT: Final = 2
_FORMAT_BYTES: Final = 208

Format = Literal["MJPG", "YUYV"]


def draw_number(text: str, pixels: Format) -> bytes:
    """A 640x480 frame of bright digits on a dark wall."""
    luma = np.full((HEIGHT, WIDTH), 30, np.uint8)
    at = (150, 280)
    cv2.putText(luma, text, at, cv2.FONT_HERSHEY_DUPLEX, 3.0, 230, 7, cv2.LINE_AA)
    if pixels == "YUYV":
        return np.stack([luma, np.full_like(luma, 128)], axis=2).tobytes()
    half_colour = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR), half_colour)
    return data.tobytes()


class Feeder:
    """Writes the picture in `show` again and again, at a camera's pace."""

    def __init__(self, device: Path, rate: float, pixels: Format = "YUYV") -> None:
        """Set the device's format; nothing is written yet."""
        self._device = device.open("wb", buffering=0)
        self._pixels: Format = pixels
        fourcc, size = int.from_bytes(pixels.encode(), "little"), WIDTH * HEIGHT * 2
        row = WIDTH * 2 if pixels == "YUYV" else 0
        form = struct.pack("<12I", WIDTH, HEIGHT, fourcc, 1, row, size, 8, 0, 0, 0, 0, 0)
        request = struct.pack("<2I", _VIDEO_OUTPUT, 0) + form
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
        self._picture = draw_number(text, self._pixels)
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
