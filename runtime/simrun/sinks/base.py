"""What every sink takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from simrun.result import Result
from simrun.sources.base import BadFrame, Frame
from simrun.stats import RunStats


@dataclass(frozen=True)
class StreamInfo:
    """What is known before the first frame."""

    model: str
    model_sha256: str
    source: str
    rate: float | None
    """Frames per second of the source, where it has a pace of its own."""


@dataclass(frozen=True)
class SinkContext:
    """What a sink may need to open."""

    info: StreamInfo
    overwrite: bool
    """Replace what is there already."""
    stats: RunStats
    """Counts of the run, for displays."""
    quit: Callable[[], None]
    """Ends the run after the frame in work."""
    token: str | None = None
    """What clients of a page must know; None leaves it to the page."""


class Sink(Protocol):
    """Takes each frame with its result; closing it completes the output."""

    def write(self, frame: Frame, result: Result) -> None:
        """Take one frame.

        Raises:
            OutputError: it cannot be written.
        """
        ...

    def write_bad(self, frame: BadFrame) -> None:
        """Take note of a frame that could not be read. Raises as `write`."""
        ...

    def close(self) -> None:
        """Complete the output; may be called more than once. Raises as `write`."""
        ...
