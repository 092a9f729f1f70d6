"""Network streams: RTSP and whatever else FFmpeg reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import cv2

from simrun.errors import SourceError, UsageError
from simrun.redact import ESCAPES, Reading, read_address
from simrun.sources.av_frames import AvReader, has_av
from simrun.sources.devices.base import Shot, Stream
from simrun.sources.devices.opencv import Capture, CaptureStream
from simrun.sources.filled import FilledCapture

SCHEMES: Final = frozenset({"rtsp", "rtsps", "http", "https", "rtmp", "udp", "tcp", "srt", "rtp"})

_OPEN_MS: Final = 10_000
_READ_MS: Final = 5_000
_OPTIONS_VARIABLE: Final = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_RTSP_OVER_TCP: Final = "rtsp_transport;tcp"


def _open_ffmpeg(url: str) -> Capture:
    # RTP over UDP loses packets without a word, which gives smeared pictures. OpenCV takes options
    # of FFmpeg from the environment only; what the user set there stays.
    os.environ.setdefault(_OPTIONS_VARIABLE, _RTSP_OVER_TCP)
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        _OPEN_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        _READ_MS,
    ]
    return cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)


def _options() -> dict[str, str]:
    """Options of FFmpeg, from the variable in which OpenCV has them: `name;value|name;value`."""
    text = os.environ.get(_OPTIONS_VARIABLE, _RTSP_OVER_TCP)
    pairs = (pair.partition(";") for pair in text.split("|") if pair)
    return {name: value for name, _, value in pairs}


class StreamDevice:
    """The stream behind a URL: by PyAV where it is installed, or else by OpenCV."""

    def __init__(self, url: str, *, open_capture: Callable[[str], Capture] | None = None) -> None:
        """Name the stream; nothing is opened yet.

        Args:
            url: what FFmpeg reads.
            open_capture: opens it as OpenCV does; None chooses.

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
        if self._open_capture is None and has_av():
            return self._open_av()
        capture = (self._open_capture or _open_ffmpeg)(self._url)
        if not capture.isOpened():
            capture.release()
            raise SourceError(self._nobody())
        return CaptureStream(FilledCapture(capture, self.name), self.name)

    def _open_av(self) -> Stream:
        try:
            limits_s = (_OPEN_MS / 1000, _READ_MS / 1000)
            return AvStream(AvReader(self._url, self.name, _options(), limits_s), self.name)
        except SourceError as error:
            why = str(error).rpartition(": ")[2]
            raise SourceError(f"{self._nobody()} ({why})") from error

    def _nobody(self) -> str:
        return (
            f"cannot open {self.name}: nobody answers there, the name or password is wrong, "
            f"or it is no video{self._advice}"
        )


class AvStream:
    """A `Stream` over PyAV."""

    def __init__(self, reader: AvReader, name: str) -> None:
        """Take over what is open."""
        self._reader, self._name = reader, name
        self._frames = iter(reader)
        self.rate = reader.rate
        width, height = reader.size
        at = f" at {self.rate:.3g} frames/s" if self.rate else ""
        self.description = f"{width}x{height} {reader.codec}{at}, time stamps of arrival"

    def read(self) -> Shot | None:
        """The next frame; None where the decoder found it damaged.

        Raises:
            SourceError: the stream ended or broke off.
        """
        frame = next(self._frames, None)
        if frame is None:
            raise SourceError(f"{self._name} ended")
        return None if frame.image is None else Shot(frame.image)

    def interrupt(self) -> None:
        """Nothing: reads have a limit of their own."""

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()


def is_url(spec: str) -> bool:
    """Whether it names a network stream."""
    scheme, mark, _ = spec.partition("://")
    return bool(mark) and scheme.lower() in SCHEMES


def is_http(spec: str) -> bool:
    """Whether it names something that is had by HTTP."""
    return spec.partition("://")[0].lower() in ("http", "https")
