"""Raspberry Pi ribbon-cable cameras by the Python package picamera2."""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np

from simrun.errors import SourceError
from simrun.sources.devices.base import DeviceUnusableError, Shot, Stream
from simrun.sources.options import DEFAULT_SIZE, Size, SourceOptions, require_even

_HELP: Final = (
    "sudo apt install python3-picamera2, and make the virtual environment with "
    "--system-site-packages; or use --camera rpicam, which needs no Python package"
)


class PicamDevice:
    """The first camera that libcamera finds."""

    name = "picam"

    def __init__(self, options: SourceOptions) -> None:
        """Choose size and rate; nothing is imported yet.

        Raises:
            UsageError: the size has an odd side.
        """
        self._size = options.size or DEFAULT_SIZE
        self._fps = options.fps
        require_even(self._size)

    def open(self) -> Stream:
        """Start the camera.

        Raises:
            DeviceUnusableError: picamera2 cannot be imported.
            SourceError: there is no camera, or it is in use.
        """
        picamera2 = _import_picamera2()
        if not picamera2.Picamera2.global_camera_info():
            raise SourceError(
                "picam: libcamera finds no camera; check the ribbon cable and "
                "rpicam-hello --list-cameras"
            )
        try:
            camera = picamera2.Picamera2()
        except (RuntimeError, IndexError) as error:
            raise SourceError(
                f"picam cannot be opened, perhaps another program uses it: {_one_line(error)}"
            ) from error
        try:
            return PicamStream(camera, self._size, self._fps)
        except (RuntimeError, ValueError) as error:
            camera.close()
            raise SourceError(f"picam cannot give {self._size}: {_one_line(error)}") from error


class PicamStream:
    """A running camera."""

    def __init__(self, camera: Any, size: Size, fps: float | None) -> None:  # noqa: ANN401
        """Start a `Picamera2` with its low-resolution stream in YUV420."""
        pixels = (size.width, size.height)
        camera.configure(
            camera.create_video_configuration(
                main={"size": pixels},
                lores={"size": pixels, "format": "YUV420"},
                controls={} if fps is None else {"FrameRate": fps},
            )
        )
        self._camera = camera
        self.rate = fps
        # The camera may round the size; what it then gives is what counts.
        self._size = Size(*camera.camera_configuration()["lores"]["size"])
        at = f" at {fps:g} frames/s" if fps else ""
        self.description = f"{self._size} YUV420{at}, time stamps of the sensor"
        camera.start()

    def read(self) -> Shot | None:
        """The next frame's grey plane, (H, W).

        Raises:
            SourceError: the camera failed.
        """
        try:
            request = self._camera.capture_request()
        except RuntimeError as error:
            raise SourceError(f"picam failed: {_one_line(error)}") from error
        try:
            plane = np.asarray(request.make_array("lores"), np.uint8)
            stamp_ns = request.get_metadata().get("SensorTimestamp")
        finally:
            request.release()
        stamp_s = None if stamp_ns is None else stamp_ns / 1e9 - _suspended_s()
        # Rows are padded, and the two colour planes lie below.
        grey = np.ascontiguousarray(plane[: self._size.height, : self._size.width])
        return Shot(grey, stamp_s)

    def interrupt(self) -> None:
        """Nothing: the camera belongs to the thread that reads from it."""

    def close(self) -> None:
        """Stop the camera and let go of it."""
        self._camera.stop()
        self._camera.close()


def _suspended_s() -> float:
    """The sensor's clock goes on while the machine sleeps, the monotonic one does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


def _import_picamera2() -> Any:  # noqa: ANN401 - a module without types
    try:
        import picamera2
    except ModuleNotFoundError as error:
        # picamera2 itself, or libcamera, which only apt installs.
        raise DeviceUnusableError(
            f"--camera picam finds no module {error.name}: {_HELP}"
        ) from error
    except ValueError as error:
        if "numpy.dtype size changed" not in str(error):
            raise
        raise DeviceUnusableError(
            "picamera2 of apt was built for another NumPy than the one in this virtual "
            f"environment ({np.__version__}): use --camera rpicam, which needs no Python package"
        ) from error
    except ImportError as error:
        raise DeviceUnusableError(
            f"picamera2 cannot be imported ({_one_line(error)}): {_HELP}"
        ) from error
    return picamera2


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
