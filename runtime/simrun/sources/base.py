"""What every source gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from simrun.files import printable_name
from simrun.result import iso_time
from simrun.stats import SourceStats

if TYPE_CHECKING:
    # Only the name: importing it here would load OpenCV for `simrun --help`.
    from simrun.images.read import Image


@dataclass(frozen=True)
class Frame:
    """A picture and where it came from."""

    image: Image
    """(H, W) grey or (H, W, 3) BGR, uint8."""
    index: int
    """Number of the frame in its source, from 0; a live source skips numbers."""
    time_s: float
    """Seconds since the start of the source."""
    file: str | None = None
    """The picture's file, where it has one of its own."""
    capture_s: float = 0.0
    """Seconds it took to read; for a live source its age when it was handed over, from the
    device's own time stamp where it has one."""


@dataclass(frozen=True)
class BadFrame:
    """A picture that could not be read while others can."""

    index: int
    file: str | None
    error: str
    """One line: what is wrong with it."""
    taken_s: float | None = None
    """When it was taken, or read from a file, in seconds since 1970; None if unknown."""

    def to_json(self) -> dict[str, Any]:
        """What stands in the place of a result in a JSON line."""
        return {
            "frame": self.index,
            "file": None if self.file is None else printable_name(self.file),
            "time": None if self.taken_s is None else iso_time(self.taken_s),
            "error": printable_name(self.error),
        }


class Source(Protocol):
    """Gives frames one by one; closing it ends the iteration."""

    name: str
    """What was opened, for the header of the results."""
    live: bool
    """Whether frames come at their own pace and old ones are dropped."""
    length: int | None
    """Number of frames, where it is known before they are read."""
    rate: float | None
    """Frames per second, for clips that are written from this source."""

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        """Frames in order; iterate once.

        Raises:
            SourceError: the source failed for good.
        """
        ...

    def close(self) -> None:
        """Let go of the device or file; may be called more than once."""
        ...


@runtime_checkable
class Counted(Protocol):
    """A source that keeps counts: the live ones."""

    def stats(self) -> SourceStats | None:
        """The counts at this moment, None if there are none; may be called from any thread."""
        ...
