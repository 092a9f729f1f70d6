"""What every sink takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from simrun.errors import OutputError
from simrun.result import Result
from simrun.sources.base import BadFrame, Frame


@dataclass(frozen=True)
class StreamInfo:
    """What is known before the first frame."""

    model: str
    model_sha256: str
    source: str
    rate: float | None
    """Frames per second of the source, where it has a pace of its own."""


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


@contextmanager
def output_errors(what: str) -> Iterator[None]:
    """Turn an OSError into an OutputError that names the output."""
    try:
        yield
    except BrokenPipeError as error:
        raise OutputError(f"{what} was closed by its reader") from error
    except OSError as error:
        raise OutputError(f"cannot write {what}: {error.strerror or error}") from error


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Keep what is there unless told otherwise.

    Raises:
        OutputError: `path` is a file, or a folder with something in it, and `overwrite` is false.
    """
    with output_errors(str(path)):
        taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if taken and not overwrite:
        kind = "a folder that is not empty" if path.is_dir() else "there already"
        raise OutputError(f"{path} is {kind}; name another or add --overwrite")
