"""A V4L2 camera as a source: the latest frame wins.

Drivers queue a few frames and hand them out in order, so a reader that is slower than the camera
sees the past. One thread therefore reads as fast as the camera delivers and keeps only the newest
frame; the iteration takes it from there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np

from simrun.errors import SourceError
from simrun.images import Image
from simrun.sources.base import BadFrame, Frame

_log = logging.getLogger(__name__)

_MAX_FAILURES: Final = 30
"""Reads in a row that may fail before the camera counts as gone."""


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that is used."""

    def isOpened(self) -> bool: ...  # noqa: D102, N802 - OpenCV's name
    def read(self) -> tuple[bool, Any]: ...  # noqa: D102
    def set(self, prop: int, value: float) -> bool: ...  # noqa: D102
    def get(self, prop: int) -> float: ...  # noqa: D102
    def release(self) -> None: ...  # noqa: D102


def _open_v4l2(index: int) -> Capture:
    # The backend is forced: left to choose, OpenCV may take GStreamer, which ignores the format.
    return cv2.VideoCapture(index, cv2.CAP_V4L2)


class LatestSlot:
    """Holds the newest frame only; taking it empties the slot."""

    def __init__(self) -> None:
        """Start empty and open."""
        self._condition = threading.Condition()
        self._item: tuple[Image, int, float] | None = None
        self._end: SourceError | None = None
        self._closed = False

    def put(self, image: Image, index: int, moment: float) -> None:
        """Replace whatever lies there."""
        with self._condition:
            self._item = (image, index, moment)
            self._condition.notify_all()

    def close(self, error: SourceError | None = None) -> None:
        """End the taking side, with an error where there is one."""
        with self._condition:
            self._closed = True
            self._end = self._end or error
            self._condition.notify_all()

    def take(self, timeout_s: float) -> tuple[Image, int, float] | None:
        """Wait for the next frame; None once the slot is closed.

        Raises:
            SourceError: the camera failed.
            TimeoutError: no frame came in `timeout_s` seconds.
        """
        with self._condition:
            there = self._condition.wait_for(lambda: self._item or self._closed, timeout_s)
            if self._item is not None and not self._closed:
                item, self._item = self._item, None
                return item
            if self._end is not None:
                raise self._end
            if not there:
                raise TimeoutError
            return None


class CameraSource:
    """Frames of `/dev/video<index>`, always the newest."""

    live = True
    length: int | None = None

    def __init__(
        self,
        index: int,
        *,
        open_capture: Callable[[int], Capture] = _open_v4l2,
        stall_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the camera and start reading.

        Args:
            index: N of `/dev/videoN`.
            open_capture: opens the device.
            stall_s: seconds without a frame after which the camera counts as hung.
            clock: seconds, monotonic.

        Raises:
            SourceError: there is no such camera, or it cannot be opened.
        """
        self.name = f"/dev/video{index}"
        self._clock = clock
        self._stall_s = stall_s
        self._capture = open_capture(index)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(_why_not(self.name))
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self.rate: float | None = self._negotiated_rate()
        self._slot = LatestSlot()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="capture", daemon=True)
        self._start = clock()
        self._thread.start()

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        """The newest frame each time; numbers are skipped where frames were dropped.

        Raises:
            SourceError: the camera was unplugged or hangs.
        """
        while True:
            try:
                item = self._slot.take(self._stall_s)
            except TimeoutError:
                raise SourceError(
                    f"{self.name} gave no frame for {self._stall_s:g} s; plug it in again"
                ) from None
            if item is None:
                return
            image, index, moment = item
            now = self._clock()
            yield Frame(image, index, moment - self._start, capture_s=now - moment)

    def close(self) -> None:
        """Stop reading and let go of the device."""
        self._stop.set()
        self._slot.close()
        self._thread.join(timeout=2.0)

    def _read(self) -> None:
        index = failures = 0
        while not self._stop.is_set():
            ok, image = self._capture.read()
            if ok and image is not None and image.size:
                self._slot.put(np.asarray(image, np.uint8), index, self._clock())
                index, failures = index + 1, 0
                continue
            failures += 1
            if failures >= _MAX_FAILURES:
                self._slot.close(
                    SourceError(f"{self.name} stopped giving frames; is it plugged in?")
                )
                break
        self._capture.release()

    def _negotiated_rate(self) -> float | None:
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        fourcc = "".join(chr(code >> shift & 0xFF) for shift in (0, 8, 16, 24))
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        width, height = (
            int(self._capture.get(prop))
            for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        _log.info("%s: %dx%d %s at %.3g frames/s", self.name, width, height, fourcc, rate)
        return rate if 0 < rate < 1000 else None


def _why_not(device: str) -> str:
    path = Path(device)
    if not path.exists():
        others = sorted(str(p) for p in Path("/dev").glob("video*"))
        return f"no camera {device}; there is {', '.join(others) or 'none at all'}"
    try:
        path.open("rb").close()
    except PermissionError:
        return f"no permission for {device}: add yourself to the group 'video' and log in again"
    except OSError as error:
        return f"cannot open {device}: {error.strerror}"
    return (
        f"{device} gives no video to OpenCV: it is in use by another program, or it is a Raspberry "
        "Pi ribbon-cable camera, which V4L2 alone does not drive"
    )
