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
from simrun.files import output_errors, refuse_existing
from simrun.images.jpeg import encode_jpeg
from simrun.images.read import Image
from simrun.recognition.crops import rectify
from simrun.result import Region, Result
from simrun.sources.base import BadFrame, Frame

_BETTER: Final = 0.02
"""What a score must gain to be worth a write: at most 50 for a track, however long it lasts."""
_MAX_HEIGHT: Final = 256
_MAX_LABEL: Final = 40
"""Characters of a label in a file's name."""
_JPEG_QUALITY: Final = 95
_OURS: Final = re.compile(r"(track-\d+|frame-\d+-\d+)(-.*)?\.jpg")


@dataclass(frozen=True, slots=True)
class _Kept:
    """A picture in the folder. There are thousands of them: a path would take twice the memory."""

    name: str
    score: float


class CropsSink:
    """A JPEG a track, `track-000012-EXIT.jpg`, or a region, `frame-000017-0-EXIT.jpg`.

    Labels lose what has no place in a file's name. Held regions are not cut out: the frame in
    hand does not show them.
    """

    def __init__(self, folder: Path, *, keep: int = 10_000, overwrite: bool = False) -> None:
        """Make the folder, or take over the crops in it.

        Args:
            folder: where the pictures go.
            keep: pictures in the folder at most; about 5 KB each.
            overwrite: the folder may hold crops of an earlier run. They count, are the first to
                go, and give way to a new one of the same number.

        Raises:
            UsageError: `keep` is not positive.
            OutputError: the folder is not empty and `overwrite` is false, or it cannot be made.
        """
        if keep < 1:
            raise UsageError(f"{keep} crops cannot be kept; at least 1 must be")
        refuse_existing(folder, overwrite=overwrite)
        self._folder, self._keep = folder, keep
        with output_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            self._kept = _found_in(folder)

    def write(self, frame: Frame, result: Result) -> None:
        """Write the crops that are new, or better than what their tracks have.

        Raises:
            OutputError: a crop cannot be written.
        """
        for number, region in enumerate(result.regions):
            if region.held:
                continue
            tracked = region.track is not None
            key = f"track-{region.track:06d}" if tracked else f"frame-{frame.index:06d}-{number}"
            kept = self._kept.get(key)
            if kept is None or region.score >= kept.score + _BETTER:
                self._replace(key, region, rectify(frame.image, region.quad, _MAX_HEIGHT))

    def write_bad(self, frame: BadFrame) -> None:
        """There is nothing to cut out."""

    def close(self) -> None:
        """Every crop is complete already."""

    def _replace(self, key: str, region: Region, crop: Image) -> None:
        """Write a crop, complete or not at all, in place of an older one of the same key."""
        name = f"{key}{_suffix(region.label)}.jpg"
        path = self._folder / name
        part = self._folder / ".crop.part"
        data = encode_jpeg(crop, _JPEG_QUALITY)
        with output_errors(str(path)):
            try:
                part.write_bytes(data)
                # First the old one: where names have no case, its name may be the new one's.
                if old := self._kept.pop(key, None):
                    self._delete(old)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
            self._kept[key] = _Kept(name, region.score)
            while len(self._kept) > self._keep:
                self._delete(self._kept.pop(next(iter(self._kept))))

    def _delete(self, kept: _Kept) -> None:
        (self._folder / kept.name).unlink(missing_ok=True)


def _found_in(folder: Path) -> dict[str, _Kept]:
    """Crops of an earlier run, oldest first; any new crop is better."""
    ours = ((path, _OURS.fullmatch(path.name)) for path in folder.iterdir())
    found = [(path.stat().st_mtime, path.name, m[1]) for path, m in ours if m]
    return {key: _Kept(name, -1.0) for _, name, key in sorted(found)}


def _suffix(label: str | None) -> str:
    """A label as the end of a file's name: letters, digits and underscores in any script."""
    safe = re.sub(r"\W+", "_", label or "").strip("_")[:_MAX_LABEL]
    return f"-{safe}" if safe else ""
