"""Raspberry Pi ribbon-cable cameras by the program `rpicam-vid`, raw frames over a pipe.

It needs no Python package, so nothing can disagree with the NumPy of a virtual environment. The
first plane of YUV420 is the grey picture that the network wants: no colour is converted at all.
"""

from __future__ import annotations

import io
import logging
import shutil
import subprocess
import threading
from contextlib import suppress
from typing import Final

import numpy as np

from simrun.errors import SourceError
from simrun.sources.devices.base import DeviceUnusableError, Shot, Stream
from simrun.sources.options import DEFAULT_SIZE, Size, SourceOptions, require_even

_log = logging.getLogger(__name__)

PROGRAMS: Final = ("rpicam-vid", "libcamera-vid")
"""The present name and the one that Raspberry Pi OS used until 2023."""

_ALIGN: Final = 128
"""Widths are rounded up to a multiple of this. Rows are padded to a multiple of 64 bytes up to the
Raspberry Pi 4 and of 128 on the 5, and nothing in the stream tells which: without padding there is
nothing to guess, and no picture is sheared."""
_END_S: Final = 1.0
"""How long the program is given to end by itself."""
_LINE_BYTES: Final = 1000
"""What is kept of a line that the program logs."""


class RpicamDevice:
    """The first camera that `rpicam-vid` finds."""

    name = "rpicam"

    def __init__(self, options: SourceOptions) -> None:
        """Choose size and rate; nothing is started yet.

        Raises:
            UsageError: the size has an odd side.
        """
        asked = options.size or DEFAULT_SIZE
        require_even(asked)
        self._size = Size(-(-asked.width // _ALIGN) * _ALIGN, asked.height)
        self._fps = options.fps
        if self._size != asked:
            _log.info("rpicam gives widths of a multiple of %d: %s", _ALIGN, self._size)

    def open(self) -> Stream:
        """Start the program.

        Raises:
            DeviceUnusableError: it is not installed.
            SourceError: it cannot be started.
        """
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            raise DeviceUnusableError(
                "--camera rpicam needs rpicam-vid: sudo apt install rpicam-apps "
                "(rpicam-apps-lite without a desktop)"
            )
        command = [program, "--nopreview", "--timeout", "0", "--codec", "yuv420"]
        command += ["--width", str(self._size.width), "--height", str(self._size.height)]
        if self._fps is not None:
            command += ["--framerate", f"{self._fps:g}"]
        command += ["--flush", "--output", "-"]
        try:
            # Its own session: Ctrl-C is ours to handle, the program is ended by close().
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise SourceError(f"cannot start {program}: {error.strerror}") from error
        return RpicamStream(process, self._size, self._fps)


class RpicamStream:
    """A running `rpicam-vid`."""

    def __init__(self, process: subprocess.Popen[bytes], size: Size, fps: float | None) -> None:
        """Take over the process; `size` and `fps` are what it was asked for."""
        self._process = process
        self._size = size
        self.rate = fps
        at = f" at {fps:g} frames/s" if fps else ""
        self.description = f"{size} YUV420{at}, time stamps of arrival"
        assert isinstance(process.stdout, io.FileIO)
        assert isinstance(process.stderr, io.FileIO)
        self._frames = process.stdout
        self._errors = _LastLine(process.stderr)

    def read(self) -> Shot | None:
        """The next frame's grey plane, (H, W).

        Raises:
            SourceError: the program ended, perhaps in the middle of a frame.
        """
        rows = self._size.height * 3 // 2
        buffer = np.empty((rows, self._size.width), np.uint8)
        got = _read_into(self._frames, buffer.data.cast("B"))
        if got == buffer.nbytes:
            return Shot(buffer[: self._size.height])
        raise SourceError(self._why_it_ended(got, buffer.nbytes))

    def interrupt(self) -> None:
        """Kill the program, which ends a blocked read and frees the camera."""
        self._process.kill()

    def close(self) -> None:
        """End the program and wait for it, so that no zombie stays."""
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            # A process that is stuck in the kernel cannot be waited for; it is reaped later.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        self._frames.close()
        self._errors.close()

    def _why_it_ended(self, got: int, wanted: int) -> str:
        try:
            status = f"status {self._process.wait(_END_S)}"
        except subprocess.TimeoutExpired:
            status = "output closed"
        where = f" in the middle of a frame ({got} of {wanted} bytes)" if got else ""
        last = self._errors.last()
        return f"rpicam ended{where}, {status}{f': {last}' if last else ''}"


class _LastLine:
    """Reads a pipe so that it never fills, and keeps its last line."""

    def __init__(self, pipe: io.FileIO) -> None:
        self._pipe = pipe
        self._line = b""
        self._thread = threading.Thread(target=self._read, name="rpicam-log", daemon=True)
        self._thread.start()

    def last(self) -> str:
        """The last line that is not empty, once the pipe is closed at the other end."""
        self._thread.join(_END_S)
        return self._line.decode(errors="replace").strip()

    def close(self) -> None:
        """Close the pipe, unless a process that outlived its parent still writes to it."""
        self._thread.join(_END_S)
        if not self._thread.is_alive():
            self._pipe.close()

    def _read(self) -> None:
        for line in iter(lambda: self._pipe.readline(_LINE_BYTES), b""):
            if line.strip():
                self._line = line


def _read_into(pipe: io.FileIO, buffer: memoryview) -> int:
    """Fill the buffer; fewer bytes than it holds only at the end of the stream."""
    got = 0
    while got < len(buffer):
        count = pipe.readinto(buffer[got:])
        if not count:
            break
        got += count
    return got
