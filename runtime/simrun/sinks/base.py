"""What every sink takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from simrun.files import Existing, printable_name
from simrun.result import Result, iso_time
from simrun.sinks.rotation import Rotation
from simrun.sources.base import BadFrame, Frame
from simrun.stats import RunStats
from simrun.version import __version__


@dataclass(frozen=True)
class StreamInfo:
    """What is known before the first frame."""

    model: str
    model_sha256: str
    source: str
    rate: float | None
    """Frames per second of the source, where it has a pace of its own."""
    started_s: float = field(default_factory=time.time)
    """When the run began, in seconds since 1970."""

    def to_json(self) -> dict[str, Any]:
        """What the header of the results tells of a run."""
        return {
            "version": __version__,
            "model": self.model,
            "model_sha256": self.model_sha256,
            "source": printable_name(self.source),
            "started": iso_time(self.started_s),
        }


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of a TLS connection; None where the system's authorities, and no name, will do."""

    ca: str | None = None
    """Certificate of the authority that the broker's is from."""
    cert: str | None = None
    """Our own certificate, for a broker that asks for one."""
    key: str | None = None
    """Its key; None where that is in the same file."""


@dataclass(frozen=True)
class SinkContext:
    """What a sink may need to open."""

    info: StreamInfo
    existing: Existing
    """What becomes of files and folders that are there already."""
    stats: RunStats
    """Counts of the run, for displays."""
    quit: Callable[[], None]
    """Ends the run after the frame in work."""
    rotation: Rotation | None = None
    """When files and folders are set aside for new ones; None: never."""
    token: str | None = None
    """What clients of a page must know; None leaves it to the page."""
    mqtt_tls: TlsFiles = TlsFiles()
    """How a broker is trusted, and trusts us."""


class Sink(Protocol):
    """Takes each frame with its result; closing it completes the output."""

    def write(self, frame: Frame, result: Result) -> None:
        """Take one frame.

        Raises:
            OutputGoneError: neither this one nor any other can be written.
            OutputError: it cannot be written; the next call tries anew.
        """
        ...

    def write_bad(self, frame: BadFrame) -> None:
        """Take note of a frame that could not be read. Raises as `write`."""
        ...

    def close(self) -> None:
        """Complete the output; may be called more than once. Raises as `write`."""
        ...


@dataclass(frozen=True)
class Output:
    """A sink that is open, as the main loop knows it."""

    name: str
    """What people call it: its file."""
    sink: Sink
    threaded: bool = True
    """Whether it works in a thread of its own: it may have to wait, and does not mind where."""


@runtime_checkable
class Reopening(Protocol):
    """A sink whose files may be renamed under it, as rotation does."""

    def reopen(self) -> None:
        """Let go of the file, so that the next frame opens what has its name then."""
        ...
