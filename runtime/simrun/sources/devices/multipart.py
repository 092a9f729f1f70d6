"""Takes a stream of bytes apart into the JPEGs in it."""

from __future__ import annotations

import re
from typing import Final

from simrun.errors import SourceError

MAX_JPEG_BYTES: Final = 32 << 20
"""More than the largest camera's; what goes on for longer has no end."""

_START: Final = b"\xff\xd8\xff"
_LENGTH: Final = re.compile(rb"content-length:[ \t]*(\d{1,12})[ \t]*\r?\n", re.IGNORECASE)
_MAX_HEAD: Final = 1 << 16
"""Bytes between two JPEGs, headers of the part."""


class JpegSplitter:
    """JPEGs of a multipart stream, or of one that has nothing between them.

    A part begins where a JPEG begins, whatever precedes it: some cameras leave out the first
    boundary. It ends at the next boundary, after as many bytes as its head says, or, where there
    is neither, where the next JPEG begins.
    """

    def __init__(self, boundary: str) -> None:
        """Take the boundary that the answer's head gives, empty where it gives none."""
        # Some write the two dashes there already, some only in the stream.
        name = boundary.strip('"').lstrip("-").encode("latin-1", "replace")
        self._boundary = b"--" + name if name else b""
        self._buffer = bytearray()
        self._start = -1
        self._length: int | None = None
        self._looked = 0

    def add(self, data: bytes) -> None:
        """Take more bytes.

        Raises:
            SourceError: a JPEG has no end, or there is none.
        """
        self._buffer += data
        if self._start < 0 and len(self._buffer) > _MAX_HEAD + len(data):
            raise SourceError("what comes over HTTP is no JPEG")
        if len(self._buffer) > MAX_JPEG_BYTES:
            raise SourceError(f"a JPEG over HTTP has no end within {MAX_JPEG_BYTES} bytes")

    def next(self) -> bytes | None:
        """The next JPEG, None until more bytes come."""
        if self._start < 0 and not self._find_start():
            return None
        end = self._find_end()
        if end is None:
            return None
        # What ends the line before a boundary is no part of the JPEG.
        content = bytes(self._buffer[self._start : end]).rstrip(b"\r\n")
        del self._buffer[:end]
        self._start, self._length = -1, None
        return content

    def _find_start(self) -> bool:
        at = self._buffer.find(_START)
        if at < 0:
            return False
        lengths = _LENGTH.findall(self._buffer, 0, at)
        self._start, self._length = at, int(lengths[-1]) if lengths else None
        self._looked = at + len(_START)
        return True

    def _find_end(self) -> int | None:
        """Where the JPEG ends, None where that has not come yet."""
        whole = None if self._length is None else self._start + self._length
        mark = self._boundary or (_START if whole is None else b"")
        if mark:
            # The first time all that is there is searched, later only what is new.
            found = self._buffer.find(mark, self._looked)
            if found >= 0 and (whole is None or found < whole):
                return found
            self._looked = max(self._looked, len(self._buffer) - len(mark) + 1)
        return whole if whole is not None and len(self._buffer) >= whole else None
