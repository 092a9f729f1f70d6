"""When an output is set aside for a new one, and how many of the old ones are kept."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from simrun.errors import UsageError
from simrun.sinks.names import numbered, set_aside

_KEEP: Final = 7
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_FORM: Final = re.compile(r"(?:(?P<daily>daily)|(?P<size>\d+)(?P<unit>[KMG]?))(?::(?P<keep>\d+))?")
_LEAST_BYTES: Final = 1 << 10


@dataclass(frozen=True)
class Rotation:
    """When, and how many are kept."""

    size_bytes: int | None
    """Set aside before it would grow beyond this; None: at midnight, local time."""
    keep: int = _KEEP
    """Old ones beside the one in use."""


def parse_rotation(text: str) -> Rotation:
    """`100M`, `2G:3` (three old ones are kept), `daily` or `daily:30`.

    Raises:
        UsageError: it is none of these.
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise UsageError(
            f"--rotate is {text!r}; it must be a size or daily, then :KEEP or not: 100M, daily:30"
        )
    keep = _KEEP if found["keep"] is None else int(found["keep"])
    if found["daily"]:
        return Rotation(None, keep)
    size = int(found["size"]) * _UNITS[found["unit"]]
    if size < _LEAST_BYTES:
        raise UsageError(f"--rotate is {text!r}; less than 1K is no size for a file")
    return Rotation(size, keep)


class Rotator:
    """Sets one path aside when that is due; without a rotation, never."""

    def __init__(
        self, path: Path, rotation: Rotation | None, clock: Callable[[], float] = time.time
    ) -> None:
        """Take note.

        Args:
            path: of the file or folder in use.
            rotation: when to set it aside, if at all.
            clock: seconds since 1970.
        """
        self._path, self._rotation, self._clock = path, rotation, clock
        self._day = date.min

    def begun(self, unix_s: float | None = None) -> None:
        """What is in use has its first content now, or from the moment of `unix_s`."""
        if self._rotation is not None:
            self._day = date.fromtimestamp(self._clock() if unix_s is None else unix_s)

    def is_due(self, size_bytes: int) -> bool:
        """Whether it is to be set aside before it becomes so large.

        A clock that is set back makes nothing due: only a later day does.
        """
        if self._rotation is None:
            return False
        if self._rotation.size_bytes is not None:
            return size_bytes > self._rotation.size_bytes
        return date.fromtimestamp(self._clock()) > self._day

    def rotate(self) -> None:
        """Set it aside, and delete what is beyond the number to keep.

        Raises:
            OSError: it cannot be renamed, or an old one cannot be deleted.
        """
        set_aside(self._path)
        self.prune()

    def prune(self) -> None:
        """Delete what is beyond the number to keep. Raises OSError."""
        if self._rotation is None:
            return
        old = numbered(self._path)
        for _, path in old[: max(0, len(old) - self._rotation.keep)]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
