"""V4L2 cameras, `/dev/videoN`: USB cameras and whatever else has a plain driver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2

from simrun.errors import SourceError
from simrun.sources.decode import find_decoder
from simrun.sources.devices.base import Decode, DeviceUnusableError, Stream
from simrun.sources.devices.discovery import RIBBON_DRIVERS
from simrun.sources.devices.opencv import Capture, CaptureStream, read_fourcc, read_size
from simrun.sources.options import SourceOptions

_SYSFS: Final = Path("/sys/class/video4linux")

_FORMATS: Final = ("MJPG", "YUYV")
"""Asked for in this order. Raw YUYV, the usual default, fills a USB 2 bus at 640x480; where there
is no MJPG it still is what grey pictures are made of at the lowest cost."""
_BUFFERS: Final = 2
"""Frames that the driver queues: one fills while the other is read. With a single one the camera
skips every second frame; more make no difference, since the capture thread never falls behind."""


def _open_v4l2(path: str) -> Capture:
    # The backend is forced: left to choose, OpenCV may take GStreamer, which ignores the format.
    return cv2.VideoCapture(path, cv2.CAP_V4L2)


class V4l2Device:
    """The camera behind a device file."""

    def __init__(
        self,
        path: str,
        options: SourceOptions,
        *,
        open_capture: Callable[[str], Capture] = _open_v4l2,
        sysfs: Path = _SYSFS,
    ) -> None:
        """Name the camera; nothing is opened yet.

        Args:
            path: `/dev/videoN`, or a link to it.
            options: `size` and `fps` are asked for; without `colour` pictures may come grey.
            open_capture: opens a device file.
            sysfs: where the kernel tells the devices' names.
        """
        self.name = path
        self._options = options
        self._open_capture = open_capture
        self._sysfs = sysfs

    def open(self) -> Stream:
        """Open it and ask for MJPG, or else YUYV.

        The driver may choose otherwise; the log says what.

        Raises:
            DeviceUnusableError: it is no camera that V4L2 alone can drive.
            SourceError: it is not there, not ours to open, or in use.
        """
        _check_access(self.name)
        title = self._title()
        if title.startswith(RIBBON_DRIVERS):
            raise DeviceUnusableError(
                f"{self.name} is a Raspberry Pi ribbon-cable camera ({title}), which V4L2 alone "
                "does not drive; use --camera rpicam"
            )
        capture = self._open_capture(self.name)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"{self.name}{f' ({title})' if title else ''} gives no video: it is in use by "
                "another program, or it is no camera"
            )
        self._ask(capture)
        decode = _take_over_decoding(capture, colour=self._options.colour)
        return CaptureStream(capture, self.name, stamp_s=_stamp_s, decode=decode)

    def _ask(self, capture: Capture) -> None:
        # The format comes first: it decides which sizes and rates there are. What OpenCV says of
        # success means that there is some format.
        for fourcc in _FORMATS:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc))
            if read_fourcc(capture) == fourcc:
                break
        if self._options.size is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._options.size.width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._options.size.height)
        if self._options.fps is not None:
            capture.set(cv2.CAP_PROP_FPS, self._options.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, _BUFFERS)

    def _title(self) -> str:
        """The kernel's name for the device, empty where it tells none."""
        try:
            return (self._sysfs / Path(self.name).resolve().name / "name").read_text().strip()
        except OSError:
            return ""


def _take_over_decoding(capture: Capture, *, colour: bool) -> Decode | None:
    """Have OpenCV hand over what the camera sends, where we can make pictures of it.

    OpenCV would convert every frame to BGR, also those that nobody takes, and fill what is missing
    of a broken JPEG with the frame before. OpenCV 4 cuts up to three bytes off a JPEG that is
    hardly longer than the one before: one of some thousands, which counts as bad.
    """
    decode = find_decoder(read_fourcc(capture), read_size(capture), colour=colour)
    if decode is None:
        return None
    capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
    return decode if capture.get(cv2.CAP_PROP_CONVERT_RGB) == 0 else None


def _stamp_s(capture: Capture) -> float | None:
    """The kernel's time stamp of the last frame.

    For V4L2, OpenCV gives the buffer's own time stamp as the position in milliseconds, and the
    kernel takes it from CLOCK_MONOTONIC.
    """
    stamp_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
    return stamp_ms / 1000 if stamp_ms > 0 else None


def _check_access(device: str) -> None:
    """Open and close the device file: the kernel says more about what is wrong than OpenCV does.

    Raises:
        SourceError: it is not there, or not ours to open.
    """
    try:
        Path(device).open("rb").close()
    except FileNotFoundError:
        others = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*")))
        raise SourceError(f"no camera {device}; there is {others or 'none at all'}") from None
    except PermissionError:
        raise SourceError(
            f"no permission for {device}: add yourself to the group 'video' "
            "(sudo usermod -aG video $USER) and log in again"
        ) from None
    except OSError as error:
        raise SourceError(f"cannot open {device}: {error.strerror}") from error
