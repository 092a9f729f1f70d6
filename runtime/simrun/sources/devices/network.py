"""Network streams: RTSP, HTTP and whatever else the FFmpeg inside OpenCV reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import cv2

from simrun.errors import SourceError, UsageError
from simrun.redact import ESCAPES, Reading, read_address
from simrun.sources.devices.base import Stream
from simrun.sources.devices.opencv import Capture, CaptureStream

SCHEMES: Final = frozenset({"rtsp", "rtsps", "http", "https", "rtmp", "udp", "tcp", "srt", "rtp"})

_OPEN_MS: Final = 10_000
_READ_MS: Final = 5_000


def _open_ffmpeg(url: str) -> Capture:
    # RTP over UDP loses packets without a word, which gives smeared pictures. OpenCV takes options
    # of FFmpeg from the environment only; what the user set there stays.
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        _OPEN_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        _READ_MS,
    ]
    return cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)


class StreamDevice:
    """The stream behind a URL."""

    def __init__(self, url: str, *, open_capture: Callable[[str], Capture] = _open_ffmpeg) -> None:
        """Name the stream; nothing is opened yet.

        Raises:
            UsageError: the address cannot be taken apart: its password has a / ? or # in it.
        """
        address = read_address(url)
        if address is None or address.reading is Reading.WRONG:
            shown = "***" if address is None else address.shown()
            raise UsageError(f"not the address of a stream: {shown}; {ESCAPES}")
        self.name = address.shown()
        self._advice = f"; {ESCAPES}" if address.reading is Reading.UNSURE else ""
        self._url = url
        self._open_capture = open_capture

    def open(self) -> Stream:
        """Connect.

        Raises:
            SourceError: nobody answers, or what comes is no video.
        """
        capture = self._open_capture(self._url)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"cannot open {self.name}: nobody answers there, the name or password is wrong, "
                f"or it is no video{self._advice}"
            )
        return CaptureStream(capture, self.name)


def is_url(spec: str) -> bool:
    """Whether it names a network stream."""
    scheme, mark, _ = spec.partition("://")
    return bool(mark) and scheme.lower() in SCHEMES
