"""Overlays for people: one picture a frame, or a clip."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from simrun.errors import OutputError
from simrun.files import output_errors, refuse_existing
from simrun.images.jpeg import encode_jpeg
from simrun.images.read import Image
from simrun.result import Result
from simrun.sinks.base import Sink, StreamInfo
from simrun.sinks.overlay import draw_overlay
from simrun.sources.base import BadFrame, Frame

_CLIP_CODECS: Final = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
_DEFAULT_RATE: Final = 25.0
_JPEG_QUALITY: Final = 90


def open_save(target: str, info: StreamInfo, *, overwrite: bool = False) -> Sink:
    """A clip where the name ends like one, otherwise a folder of pictures.

    Raises:
        OutputError: the target is taken or cannot be written.
    """
    if Path(target).suffix.lower() in _CLIP_CODECS:
        return ClipSink(Path(target), info.rate or _DEFAULT_RATE, overwrite=overwrite)
    return PictureSink(Path(target), overwrite=overwrite)


class PictureSink:
    """A JPEG a frame: `<picture>.jpg`, or `frame-000017.jpg` for frames without a file."""

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        """Make the folder.

        Raises:
            OutputError: it is not empty, or cannot be made.
        """
        refuse_existing(folder, overwrite=overwrite)
        with output_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._used: set[str] = set()

    def write(self, frame: Frame, result: Result) -> None:
        """Write one picture, complete or not at all."""
        # Only names of files can come twice; a camera's frames would fill memory over the months.
        name = self._unused(Path(frame.file).stem) if frame.file else f"frame-{frame.index:06d}"
        picture = draw_overlay(frame.image, result)
        data = encode_jpeg(picture, _JPEG_QUALITY)
        path, part = self._folder / f"{name}.jpg", self._folder / f"{name}.jpg.part"
        with output_errors(str(path)):
            try:
                part.write_bytes(data)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def write_bad(self, frame: BadFrame) -> None:
        """There is nothing to draw."""

    def close(self) -> None:
        """Every picture is complete already."""

    def _unused(self, stem: str) -> str:
        name, number = stem, 1
        while name in self._used:
            number += 1
            name = f"{stem}-{number}"
        self._used.add(name)
        return name


class ClipSink:
    """A video of all frames at the size of the first; it has its name once it is complete."""

    def __init__(self, path: Path, rate: float, *, overwrite: bool = False) -> None:
        """Take note of where the clip goes.

        Raises:
            OutputError: the file is there already, or its folder cannot be made.
        """
        refuse_existing(path, overwrite=overwrite)
        with output_errors(str(path.parent)):
            path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise OutputError(f"cannot write {path}: no permission for the folder")
        self._path = path
        # The suffix tells OpenCV which container to write, so the mark goes before it.
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._rate = rate
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._written = 0

    def write(self, frame: Frame, result: Result) -> None:
        """Append one frame, fitted into the clip's size."""
        picture = draw_overlay(frame.image, result)
        writer = self._writer or self._open(picture)
        writer.write(_fit(picture, self._size))
        self._written += 1

    def write_bad(self, frame: BadFrame) -> None:
        """There is nothing to draw: no frame is invented."""

    def close(self) -> None:
        """Complete the clip and give it its name.

        Raises:
            OutputError: what was written does not read back: the disk is full, for instance.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        if not _is_complete(self._part, self._written):
            # OpenCV does not say that a write failed.
            self._part.unlink(missing_ok=True)
            raise OutputError(
                f"cannot write {self._path}: not all of {self._written} frames reached the disk; "
                "is it full?"
            )
        with output_errors(str(self._path)):
            self._part.replace(self._path)

    def _open(self, picture: Image) -> cv2.VideoWriter:
        # Codecs with subsampled colour want even sides.
        self._size = (max(2, picture.shape[1] // 2 * 2), max(2, picture.shape[0] // 2 * 2))
        fourcc = cv2.VideoWriter.fourcc(*_CLIP_CODECS[self._path.suffix.lower()])
        writer = cv2.VideoWriter(str(self._part), fourcc, self._rate, self._size)
        if not writer.isOpened():
            raise OutputError(f"OpenCV cannot write {self._path}: no encoder, or no space")
        self._writer = writer
        return writer


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
