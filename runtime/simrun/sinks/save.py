"""Overlays for people: one picture a frame, or a clip."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from simrun.errors import OutputError
from simrun.files import Existing, WriteLock, output_errors, refuse_unless_told
from simrun.images.jpeg import encode_jpeg
from simrun.images.read import Image
from simrun.result import Result
from simrun.sinks.base import Sink, StreamInfo
from simrun.sinks.names import start_prefix
from simrun.sinks.overlay import draw_overlay
from simrun.sinks.rotation import Rotation, Rotator
from simrun.sources.base import BadFrame, Frame

_CLIP_CODECS: Final = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
_DEFAULT_RATE: Final = 25.0
_JPEG_QUALITY: Final = 90
_LONGEST_STEM: Final = 200
"""Bytes of a source's name that the name of its overlay begins with."""
_RESERVE_BYTES: Final = 6 << 20
"""Space that is left free: up to 5 MB of a clip are in memory until it is completed."""


def is_lost_when_killed(target: str) -> bool:
    """Whether nothing of a clip can be read unless it is completed: its index comes last."""
    return Path(target).suffix.lower() == ".mp4"


def open_save(
    target: str,
    info: StreamInfo,
    existing: Existing = Existing.REFUSE,
    rotation: Rotation | None = None,
) -> Sink:
    """A clip where the name ends like one, otherwise a folder of pictures.

    Raises:
        OutputError: the target is taken or cannot be written.
    """
    path = Path(target)
    if path.suffix.lower() in _CLIP_CODECS:
        return ClipSink(path, info.rate or _DEFAULT_RATE, existing, rotation)
    return PictureSink(path, existing, rotation, started_s=info.started_s)


class PictureSink:
    """A JPEG a frame: `<picture>.jpg`, or `frame-000017.jpg` for frames without a file.

    A run that goes on with a folder puts its start in front, `20261130T181502Z-frame-000017.jpg`.
    """

    def __init__(
        self,
        folder: Path,
        existing: Existing = Existing.REFUSE,
        rotation: Rotation | None = None,
        *,
        started_s: float = 0.0,
    ) -> None:
        """Make the folder.

        Args:
            folder: where the pictures go.
            existing: what becomes of pictures of an earlier run; with `OVERWRITE` they give way to
                new ones of the same name.
            rotation: when the folder is set aside for a new one.
            started_s: when the run began, in seconds since 1970, for the names.

        Raises:
            OutputError: it is not empty, or cannot be made.
        """
        refuse_unless_told(folder, existing)
        self._folder, self._rotator = folder, Rotator(folder, rotation)
        self._lock = WriteLock()
        with output_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.take(folder)
            _clean(folder)
            append = existing is Existing.APPEND
            self._prefix = start_prefix(folder, started_s) if append else ""
            self._bytes = _bytes_in(folder) if rotation else 0
            self._rotator.begun(folder.stat().st_mtime if self._bytes else None)
        self._used: set[str] = set()

    def write(self, frame: Frame, result: Result) -> None:
        """Write one picture, complete or not at all."""
        # Only names of files can come twice; a camera's frames would fill memory over the months.
        name = self._unused(Path(frame.file).stem) if frame.file else f"frame-{frame.index:06d}"
        picture = draw_overlay(frame.image, result)
        data = encode_jpeg(picture, _JPEG_QUALITY)
        path = self._folder / f"{self._prefix}{name}.jpg"
        part = path.with_name(f"{path.name}.part")
        with output_errors(str(path)):
            self._make_room(len(data))
            try:
                part.write_bytes(data)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        self._bytes += len(data)

    def write_bad(self, frame: BadFrame) -> None:
        """There is nothing to draw."""

    def close(self) -> None:
        """Let others have the folder; every picture is complete already."""
        self._lock.free()

    def _make_room(self, size: int) -> None:
        """Set the folder aside if that is due; make one where it is missing."""
        if self._bytes and self._rotator.is_due(self._bytes + size):
            self._rotator.rotate()
            self._bytes = 0
            self._rotator.begun()
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True)
            self._lock.take(self._folder)

    def _unused(self, stem: str) -> str:
        # A name may have 255 bytes; beside it go a start, a number and the suffixes.
        stem = stem.encode()[:_LONGEST_STEM].decode(errors="ignore")
        name, number = stem, 1
        while name in self._used:
            number += 1
            name = f"{stem}-{number}"
        self._used.add(name)
        return name


class ClipSink:
    """A video of all frames at the size of the first, in the file that has the name.

    A clip cannot be gone on with: one that is there when another begins is set aside under a
    number, `clip.000001.mkv`. Matroska and AVI can be read at any time, up to the last seconds; of
    an mp4 that was never completed nothing can.
    """

    def __init__(
        self,
        path: Path,
        rate: float,
        existing: Existing = Existing.REFUSE,
        rotation: Rotation | None = None,
    ) -> None:
        """Take note of where the clip goes; the first frame makes it.

        Args:
            path: of the clip; its suffix is one of .mkv, .avi and .mp4.
            rate: frames per second.
            existing: what becomes of a clip that is there.
            rotation: when a clip is completed and set aside for a new one.

        Raises:
            OutputError: the file is there already and is to be kept, or its folder cannot be made.
        """
        refuse_unless_told(path, existing)
        with output_errors(str(path.parent)):
            path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise OutputError(f"cannot write {path}: no permission for the folder")
        self._path, self._rate = path, rate
        self._rotator = Rotator(path, rotation)
        self._replace = existing is Existing.OVERWRITE
        self._lock = WriteLock()
        self._writer: cv2.VideoWriter | None = None
        self._there: os.stat_result | None = None
        self._size = (0, 0)
        self._written = 0

    def write(self, frame: Frame, result: Result) -> None:
        """Append one frame, fitted into the clip's size.

        Raises:
            OutputError: the disk is full or read only; what was written before is complete.
        """
        picture = draw_overlay(frame.image, result)
        with output_errors(str(self._path)):
            self._finish_if_due()
        writer = self._writer or self._open(picture)
        writer.write(_fit(picture, self._size))
        self._written += 1

    def write_bad(self, frame: BadFrame) -> None:
        """There is nothing to draw: no frame is invented."""

    def reopen(self) -> None:
        """Complete the clip; the next frame begins another."""
        self.close()

    def close(self) -> None:
        """Complete the clip.

        Raises:
            OutputError: not all that was written reads back; what does is kept.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        self._lock.free()
        if self._has_its_name() and not _is_complete(self._path, self._written):
            # OpenCV does not say that a write failed.
            raise OutputError(
                f"not all of {self._written} frames reached {self._path}; what did is kept; is the "
                "disk full?"
            )

    def _finish_if_due(self) -> None:
        """Complete the clip where it cannot or must not go on."""
        if reason := _why_no_room(self._path.parent):
            self.close()
            raise OutputError(f"cannot write {self._path}: {reason}")
        if self._writer is None:
            return
        if not self._has_its_name() or self._rotator.is_due(self._path.stat().st_size):
            self.close()

    def _has_its_name(self) -> bool:
        """Whether the clip in the making still has its name: others may rename or delete it."""
        try:
            return self._there is not None and os.path.samestat(self._there, self._path.stat())
        except FileNotFoundError:
            return False

    def _open(self, picture: Image) -> cv2.VideoWriter:
        # Codecs with subsampled colour want even sides.
        self._size = (max(2, picture.shape[1] // 2 * 2), max(2, picture.shape[0] // 2 * 2))
        with output_errors(str(self._path)):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists():
                self._lock.take(self._path)
                if not self._replace:
                    self._rotator.rotate()
        fourcc = cv2.VideoWriter.fourcc(*_CLIP_CODECS[self._path.suffix.lower()])
        writer = cv2.VideoWriter(str(self._path), fourcc, self._rate, self._size)
        if not writer.isOpened():
            raise OutputError(f"OpenCV cannot write {self._path}: no encoder, or no space")
        with output_errors(str(self._path)):
            self._lock.take(self._path)
        self._there, self._replace, self._written = self._path.stat(), False, 0
        self._rotator.begun()
        self._writer = writer
        return writer


def _clean(folder: Path) -> None:
    """Delete what a run that was killed left of a picture."""
    for part in folder.glob("*.jpg.part"):
        part.unlink()


def _bytes_in(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())


def _why_no_room(folder: Path) -> str | None:
    """Why a clip cannot go on, if it cannot: OpenCV does not say so itself."""
    disk = os.statvfs(folder)
    if disk.f_flag & os.ST_RDONLY:
        return "its file system is read only"
    if disk.f_bavail * disk.f_frsize < _RESERVE_BYTES:
        return f"less than {_RESERVE_BYTES >> 20} MiB are free, which completing it may take"
    return None


def _is_complete(path: Path, frames: int) -> bool:
    """Whether a clip holds that many frames and its last one can be decoded."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened() or int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) != frames:
            return False
        capture.set(cv2.CAP_PROP_POS_FRAMES, frames - 1)
        return bool(capture.read()[0])
    finally:
        capture.release()


def _fit(picture: Image, size: tuple[int, int]) -> Image:
    """Shrink a picture into (width, height) and centre it on black."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    scale = min(1.0, size[0] / width, size[1] / height)
    w, h = max(1, int(width * scale)), max(1, int(height * scale))
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = (size[0] - w) // 2, (size[1] - h) // 2
    canvas[top : top + h, left : left + w] = cv2.resize(
        picture, (w, h), interpolation=cv2.INTER_AREA
    )
    return canvas
