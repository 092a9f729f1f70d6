"""A video file as a source, read frame by frame."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from simrun.errors import SourceError
from simrun.sources.base import BadFrame, Frame

_COMPLETE: Final = 0.9
"""A container's own frame count is an estimate; below this share of it a clip counts as cut."""


class ClipSource:
    """Every frame of a video file, in order, at whatever pace they are taken."""

    live = False

    def __init__(self, path: Path) -> None:
        """Open the clip.

        Raises:
            SourceError: it is empty or no video that OpenCV can decode.
        """
        self.name = str(path)
        if path.stat().st_size == 0:
            raise SourceError(f"{path} is empty (0 bytes)")
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise SourceError(f"{path} is not a video that OpenCV can decode, or it is cut short")
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.length: int | None = count if count > 0 else None
        self.rate: float | None = rate if 0 < rate < 1000 else None

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        """The frames; a clip that ends early gives a last `BadFrame` that says so.

        Raises:
            SourceError: not one frame could be decoded.
        """
        index = 0
        while True:
            start = time.perf_counter()
            ok, image = self._capture.read()
            if not ok or image is None or image.size == 0:
                break
            seconds = time.perf_counter() - start
            time_s = index / self.rate if self.rate else 0.0
            yield Frame(np.asarray(image, np.uint8), index, time_s, capture_s=seconds)
            index += 1
        if index == 0:
            raise SourceError(f"{self.name} has no frame that can be decoded")
        if self.length and index < _COMPLETE * self.length:
            message = f"{self.name} ends after {index} of {self.length} frames: it is cut short"
            yield BadFrame(index, None, message)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()
