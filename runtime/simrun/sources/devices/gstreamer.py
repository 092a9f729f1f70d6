"""Frames of a GStreamer pipeline that ends in an appsink."""

from __future__ import annotations

from collections.abc import Callable

import cv2

from simrun.errors import SourceError, UsageError
from simrun.redact import PIPELINE, hide_pipeline
from simrun.sources.devices.base import DeviceUnusableError, Stream
from simrun.sources.devices.opencv import Capture, CaptureStream


def _open_gstreamer(pipeline: str) -> Capture:
    return cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)


def _has_gstreamer() -> bool:
    return bool(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))


class GstreamerDevice:
    """A pipeline, as `gst-launch-1.0` takes it."""

    def __init__(
        self,
        pipeline: str,
        *,
        open_capture: Callable[[str], Capture] = _open_gstreamer,
        has_gstreamer: Callable[[], bool] = _has_gstreamer,
    ) -> None:
        """Name the pipeline; nothing is started yet.

        Raises:
            UsageError: it has no appsink, where OpenCV takes the frames from.
        """
        if "appsink" not in pipeline:
            raise UsageError(
                f"the pipeline {hide_pipeline(pipeline)!r} has to end in an appsink: "
                "gst:videotestsrc ! videoconvert ! video/x-raw,format=BGR ! appsink drop=1"
            )
        self.name = f"{PIPELINE}{hide_pipeline(pipeline)}"
        self._pipeline = pipeline
        self._open_capture = open_capture
        self._has_gstreamer = has_gstreamer

    def open(self) -> Stream:
        """Start it.

        Raises:
            DeviceUnusableError: this OpenCV was built without GStreamer.
            SourceError: the pipeline does not start.
        """
        if not self._has_gstreamer():
            raise DeviceUnusableError(
                f"this OpenCV ({cv2.__version__}) has no GStreamer, no wheel of pip has; Debian's "
                "python3-opencv brings it: use a virtual environment with --system-site-packages "
                "and without opencv-python-headless"
            )
        capture = self._open_capture(self._pipeline)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"{self.name} does not start; try it with gst-launch-1.0 to see what is wrong"
            )
        return CaptureStream(capture, self.name)
