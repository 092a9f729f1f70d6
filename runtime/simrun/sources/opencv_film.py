"""Frames of a film by OpenCV, for the base install: the picture, or an error."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from simrun.errors import SourceError
from simrun.images.read import Image
from simrun.sources.av_frames import AvFrame
from simrun.sources.filled import may_stay_unfilled, read_again, read_first, unfilled

_SAMPLES: Final = 32
"""Rows and columns of a picture that are compared before all of it is."""


class OpenCvReader:
    """The frames of a file, in the order in which they are shown."""

    def __init__(self, where: str, name: str) -> None:
        """Open it.

        Raises:
            SourceError: it is no video that OpenCV can decode.
        """
        self._where, self._name = where, name
        self._capture = cv2.VideoCapture(where, cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise SourceError(f"{name} is not a video that OpenCV can decode, or it is cut short")
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.length: int | None = count if count > 0 else None
        self.rate: float | None = rate if 0 < rate < 1000 else None
        self._check: _SecondLook | None = None

    def __iter__(self) -> Iterator[AvFrame]:
        """The frames, with their times.

        Raises:
            SourceError: OpenCV does not fill them, or failed.
        """
        try:
            image = read_first(self._read, self._name)
            index, before = 0, None
            while image is not None:
                if before is not None and may_stay_unfilled() and _alike(before, image):
                    self._look_again(index, image)
                yield AvFrame(image, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
                before, image, index = image, self._read(), index + 1
        except cv2.error as error:
            raise SourceError(f"{self._name}: OpenCV failed: {error.err or error}") from error

    def close(self) -> None:
        """Close the file."""
        self._capture.release()
        if self._check is not None:
            self._check.close()

    def _read(self) -> Image | None:
        ok, image = self._capture.read()
        # OpenCV makes a new array for each frame: it may be kept.
        return np.asarray(image, np.uint8) if ok and image is not None and image.size else None

    def _look_again(self, index: int, image: Image) -> None:
        """A frame that is the one before, bit by bit: is it a still scene, or was it not filled?

        Raises:
            SourceError: it was not filled.
        """
        if self._check is None:
            self._check = _SecondLook(self._where, self._name)
        again = self._check.frame(index)
        if again is not None and not np.array_equal(again, image):
            raise SourceError(f"frame {index}: {unfilled(self._name)}")


class _SecondLook:
    """The same film again, of which only the frames in question are made into pictures.

    What lies in its buffer is not the frame before, so that one that is not filled looks otherwise.
    """

    def __init__(self, where: str, name: str) -> None:
        self._name = name
        self._capture = cv2.VideoCapture(where, cv2.CAP_FFMPEG)
        self._index = -1
        self._made = -2

    def frame(self, index: int) -> Image | None:
        """The frame of this number; None right after one that was made: it tells nothing."""
        while self._index < index and self._capture.grab():
            self._index += 1
        if self._index != index or self._made == index - 1:
            self._made = index
            return None
        self._made = index
        return read_again(self._retrieve, self._name)

    def close(self) -> None:
        self._capture.release()

    def _retrieve(self) -> Image | None:
        ok, image = self._capture.retrieve()
        return np.asarray(image, np.uint8) if ok and image is not None else None


def _alike(one: Image, other: Image) -> bool:
    return _fingerprint(one) == _fingerprint(other) and np.array_equal(one, other)


def _fingerprint(image: Image) -> tuple[object, ...]:
    down, across = (max(1, side // _SAMPLES) for side in image.shape[:2])
    return image.shape, zlib.crc32(image[::down, ::across].tobytes())
