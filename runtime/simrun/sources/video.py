"""A video file as a source, read frame by frame."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from simrun.errors import SourceError
from simrun.files import in_one_line
from simrun.redact import hide_address
from simrun.sources.av_frames import AvReader, has_av
from simrun.sources.base import BadFrame, Frame
from simrun.sources.film_end import missing_bytes

if TYPE_CHECKING:
    from simrun.sources.opencv_film import OpenCvReader

_log = logging.getLogger(__name__)

_FILE_ONLY: Final = {"protocol_whitelist": "file"}
"""A playlist under the name of a film opens nothing else."""
_HTTP_ONLY: Final = {"protocol_whitelist": "http,https,tcp,tls", "reconnect": "1"}
_TIMEOUT_S: Final = (10.0, 10.0)


class ClipSource:
    """Every frame of a video file, in order, at whatever pace they are taken.

    PyAV reads it where it is installed, or else OpenCV.
    """

    live = False

    def __init__(self, path: Path) -> None:
        """Open the clip.

        Raises:
            SourceError: it is empty or no video that can be decoded.
        """
        name = in_one_line(str(path))
        try:
            if path.stat().st_size == 0:
                raise SourceError(f"{name} is empty (0 bytes)")
            missing = missing_bytes(path)
            self._file: BinaryIO | None = path.open("rb")
        except OSError as error:
            raise SourceError(f"cannot read {name}: {error.strerror}") from error
        try:
            self._take(_open_reader(_where(path, self._file.fileno()), name), name, missing)
        except SourceError as error:
            self._file.close()
            raise SourceError(f"{error}{_cut_short(missing)}") from error

    @classmethod
    def at_url(cls, url: str) -> ClipSource:
        """The film at an address: it plays once, and no frame is dropped.

        Raises:
            SourceError: nobody answers, or it is no video that can be decoded.
        """
        source = cls.__new__(cls)
        source._file = None
        name = hide_address(url)
        source._take(_open_reader(url, name, remote=True), name, 0)
        return source

    def _take(self, reader: AvReader | OpenCvReader, name: str, missing: int) -> None:
        self._reader, self._missing = reader, missing
        self.name = name
        self.length: int | None = reader.length
        self.rate: float | None = reader.rate

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        """The frames; a damaged one, and the end of a film that is cut short, are a `BadFrame`.

        Raises:
            SourceError: not one frame could be decoded.
        """
        times = Timeline(self.rate)
        index = good = 0
        frames = iter(self._reader)
        error = ""
        while True:
            start = time.perf_counter()
            try:
                frame = next(frames, None)
            except SourceError as failure:
                error = str(failure)
                break
            if frame is None:
                break
            if frame.image is None:
                yield BadFrame(index, None, f"{self.name}, frame {index}: {frame.error}")
            else:
                seconds = time.perf_counter() - start
                yield Frame(frame.image, index, times.at(frame.time_s), capture_s=seconds)
                good += 1
            index += 1
        if good == 0:
            raise SourceError(
                error or f"{self.name} has no frame that can be decoded{_cut_short(self._missing)}"
            )
        if error or self._missing:
            end = error or f"{self.name} ends after {index} frames"
            yield BadFrame(index, None, f"{end}{_cut_short(self._missing)}")

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        if self._file is not None:
            self._file.close()


class Timeline:
    """Times that go up, from those of a container, which may be missing or start again."""

    def __init__(self, rate: float | None) -> None:
        """Where there is no time, frames are `1 / rate` seconds apart."""
        self._step_s = 1 / rate if rate else 0.0
        self._offset_s: float | None = None
        self._last_s: float | None = None

    def at(self, time_s: float | None) -> float:
        """Seconds since the first frame, of the next one."""
        due_s = 0.0 if self._last_s is None else self._last_s + self._step_s
        if time_s is None or not -_AGES_S < time_s < _AGES_S:
            self._last_s = due_s
            return due_s
        if self._offset_s is None:
            self._offset_s = due_s - time_s
        moment_s = time_s + self._offset_s
        if self._last_s is not None and moment_s <= self._last_s:
            # Recordings that were put behind one another start again.
            self._offset_s, moment_s = due_s - time_s, due_s
        self._last_s = moment_s
        return moment_s


_AGES_S: Final = 1e9
"""No film is so long; a number that is none is not smaller either."""


def _where(path: Path, descriptor: int) -> str:
    """The file as FFmpeg takes it: absolute, since a colon in a name would make it a URL."""
    where = os.path.abspath(path)  # noqa: PTH100 - resolving links would change what is shown
    try:
        where.encode("utf-8")
    except UnicodeEncodeError:
        # Neither OpenCV nor PyAV takes bytes; OpenCV dies of them.
        return f"/proc/self/fd/{descriptor}"
    return where


def _cut_short(missing: int) -> str:
    return f": it is cut short, {missing} bytes are missing" if missing else ""


def _open_reader(where: str, name: str, *, remote: bool = False) -> AvReader | OpenCvReader:
    if has_av():
        if remote:
            return AvReader(where, name, _HTTP_ONLY, _TIMEOUT_S)
        return AvReader(where, name, _FILE_ONLY)
    from simrun.sources.opencv_film import OpenCvReader

    reader = OpenCvReader(where, name)
    _log.warning(
        "%s is read by OpenCV, which stretches frames where a film changes its size and does not "
        "say so; pip install 'similarnet[video]' reads it as it is",
        name,
    )
    return reader
