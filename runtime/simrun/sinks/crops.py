"""Regions cut out of their frames and turned upright, for people and for training.

A track has one picture, that of its best score so far, written as soon as it is found: it is there
while the track goes on, and after a power cut. A better one has to be clearly better, so that a
track costs a few writes, not one a frame. A region without a track has a picture in each frame.
The number of pictures is bounded, the oldest go first: a camera may run for months.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simrun.errors import UsageError
from simrun.files import Existing, WriteLock, output_errors, refuse_unless_told, replace_file
from simrun.images.jpeg import encode_jpeg
from simrun.images.read import Image
from simrun.recognition.crops import rectify
from simrun.result import Region, Result
from simrun.sinks.names import start_prefix
from simrun.sources.base import BadFrame, Frame

_BETTER: Final = 0.02
"""What a score must gain to be worth a write: at most 50 for a track, however long it lasts."""
_MAX_HEIGHT: Final = 256
_MAX_LABEL: Final = 40
"""Characters of a label in a file's name."""
_JPEG_QUALITY: Final = 95
_OURS: Final = re.compile(r"((?:\d{8}T\d{6}Z(?:\.\d+)?-)?(?:track-\d+|frame-\d+-\d+))(-.*)?\.jpg")


@dataclass(frozen=True, slots=True)
class _Kept:
    """A picture in the folder. There are thousands of them: a path would take twice the memory."""

    name: str
    score: float


class CropsSink:
    """A JPEG a track, `track-000012-EXIT.jpg`, or a region, `frame-000017-0-EXIT.jpg`.

    Labels lose what has no place in a file's name. Held regions are not cut out: the frame in
    hand does not show them. A run that goes on with a folder puts its start in front,
    `20261130T181502Z-track-000012-EXIT.jpg`: tracks are counted from 0 at each start.
    """

    def __init__(
        self,
        folder: Path,
        existing: Existing = Existing.REFUSE,
        *,
        started_s: float = 0.0,
        keep: int = 10_000,
    ) -> None:
        """Make the folder, or take over the crops in it.

        Args:
            folder: where the pictures go.
            existing: what becomes of crops of an earlier run. They count and are the first to go;
                with `OVERWRITE` they also give way to a new one of the same number.
            started_s: when the run began, in seconds since 1970, for the names.
            keep: pictures in the folder at most; about 5 KB each.

        Raises:
            UsageError: `keep` is not positive.
            OutputError: the folder is not empty and is to be kept, or it cannot be made.
        """
        if keep < 1:
            raise UsageError(f"{keep} crops cannot be kept; at least 1 must be")
        refuse_unless_told(folder, existing)
        self._folder, self._keep = folder, keep
        self._lock = WriteLock()
        with output_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.take(folder)
            self._kept = _found_in(folder)
            append = existing is Existing.APPEND
            self._prefix = start_prefix(folder, started_s) if append else ""

    def write(self, frame: Frame, result: Result) -> None:
        """Write the crops that are new, or better than what their tracks have.

        Raises:
            OutputError: a crop cannot be written.
        """
        for number, region in enumerate(result.regions):
            if region.held:
                continue
            tracked = region.track is not None
            name = f"track-{region.track:06d}" if tracked else f"frame-{frame.index:06d}-{number}"
            key = self._prefix + name
            kept = self._kept.get(key)
            if kept is None or region.score >= kept.score + _BETTER:
                self._replace(key, region, rectify(frame.image, region.quad, _MAX_HEIGHT))

    def write_bad(self, frame: BadFrame) -> None:
        """There is nothing to cut out."""

    def close(self) -> None:
        """Let others have the folder; every crop is complete already."""
        self._lock.free()

    def _replace(self, key: str, region: Region, crop: Image) -> None:
        """Write a crop, complete or not at all, in place of an older one of the same key."""
        name = f"{key}{_suffix(region.label)}.jpg"
        path, data = self._folder / name, encode_jpeg(crop, _JPEG_QUALITY)
        with output_errors(str(path)):
            self._folder.mkdir(parents=True, exist_ok=True)
            # On the disk before it has its name: a rename alone may survive a power cut without
            # what was written.
            replace_file(path, data)
            if (old := self._kept.pop(key, None)) and not self._is(old, path):
                self._delete(old)
            self._kept[key] = _Kept(name, region.score)
            while len(self._kept) > self._keep:
                self._delete(self._kept.pop(next(iter(self._kept))))

    def _is(self, kept: _Kept, path: Path) -> bool:
        """Whether a crop is that file. Not by name: there are file systems without case."""
        there = self._folder / kept.name
        return there.exists() and there.samefile(path)

    def _delete(self, kept: _Kept) -> None:
        (self._folder / kept.name).unlink(missing_ok=True)


def _found_in(folder: Path) -> dict[str, _Kept]:
    """Crops of an earlier run, oldest first; any new crop is better.

    What a run that was killed left of one is deleted.
    """
    for path in folder.glob(".*.jpg.*"):
        if _OURS.fullmatch(path.stem.removeprefix(".")):
            path.unlink()
    ours = ((path, _OURS.fullmatch(path.name)) for path in folder.iterdir())
    found = [(path.stat().st_mtime, path.name, m[1]) for path, m in ours if m]
    return {key: _Kept(name, -1.0) for _, name, key in sorted(found)}


def _suffix(label: str | None) -> str:
    """A label as the end of a file's name: letters, digits and underscores in any script."""
    safe = re.sub(r"\W+", "_", label or "").strip("_")[:_MAX_LABEL]
    return f"-{safe}" if safe else ""
