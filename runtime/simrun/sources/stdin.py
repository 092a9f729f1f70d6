"""Raw frames on standard input, every one of them, in order."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from simrun.errors import SourceError
from simrun.sources.base import BadFrame, Frame
from simrun.sources.decode import unpack
from simrun.sources.options import RawFormat


class StdinSource:
    """Frames that another program writes: `ffmpeg ... -f rawvideo - | simrun --source -`.

    What comes is taken at the pace of the slower program; nothing is dropped.
    """

    name = "-"
    live = False
    length: int | None = None

    def __init__(
        self, raw: RawFormat, *, fps: float | None = None, stream: BinaryIO | None = None
    ) -> None:
        """Take frames of this format.

        Args:
            raw: what a frame looks like.
            fps: the rate they were taken at, where it is known.
            stream: where the bytes come from; None takes standard input.

        Raises:
            SourceError: standard input is closed.
        """
        self.rate = fps
        self._raw = raw
        if stream is None and sys.stdin is None:
            raise SourceError("standard input is closed; open it, or name a file")
        self._stream = sys.stdin.buffer if stream is None else stream
        self._closed = False

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        """The frames; one that is cut short at the end is a `BadFrame`.

        Raises:
            SourceError: there was nothing at all, or it could not be read.
        """
        index, wanted = 0, self._raw.frame_bytes
        while not self._closed:
            start = time.perf_counter()
            data = self._read(wanted)
            seconds = time.perf_counter() - start
            if len(data) < wanted:
                if not data and index == 0:
                    raise SourceError("no frame came on standard input")
                if data:
                    yield BadFrame(index, None, self._cut_short(index, len(data)))
                return
            time_s = index / self.rate if self.rate else 0.0
            image = unpack(np.frombuffer(data, np.uint8), self._raw)
            yield Frame(image, index, time_s, capture_s=seconds)
            index += 1

    def close(self) -> None:
        """End the iteration after the frame in hand."""
        self._closed = True

    def _read(self, wanted: int) -> bytes:
        try:
            return self._stream.read(wanted)
        except OSError as error:
            raise SourceError(f"cannot read standard input: {error.strerror}") from error

    def _cut_short(self, index: int, got: int) -> str:
        return (
            f"standard input ends in the middle of frame {index}: {got} of {self._raw.frame_bytes} "
            f"bytes; is --raw {self._raw.size}:{self._raw.pixels} right?"
        )
