"""Whether a film's file is as long as its container says: recordings break off when power does.

The number of frames that a container promises is an estimate, and of films that were trimmed
without being encoded again it counts what is not shown. Bytes are exact.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_MOST_PARTS = 10_000
_MP4_PARTS = frozenset(
    b"ftyp moov mdat free skip wide uuid moof mfra sidx styp meta udta emsg ssix prft pdin".split()
)
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"


def missing_bytes(path: Path) -> int:
    """How many bytes are gone at the end of an MP4, MOV, AVI, MKV or WebM; 0 of another kind.

    Raises:
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return max(_mp4_end(file, size) - size, 0)
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            return max(_riff_end(file, size) - size, 0)
        if head[:4] == _EBML:
            return max(_matroska_end(file) - size, 0)
    return 0


def _mp4_end(file: BinaryIO, size: int) -> int:
    at = 0
    for _ in range(_MOST_PARTS):
        file.seek(at)
        head = file.read(16)
        if at >= size or len(head) < 8:
            break
        length, kind = struct.unpack_from(">I4s", head)
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack_from(">Q", head, 8)
        # 0 is "to the end of the file"; what is no name of a part was appended by somebody.
        if length < 8 or kind not in _MP4_PARTS:
            return size
        at += length
    return at


def _riff_end(file: BinaryIO, size: int) -> int:
    """The end of the last of several parts: an AVI of more than 1 GB has a second one."""
    at = end = 0
    for _ in range(_MOST_PARTS):
        file.seek(at)
        head = file.read(8)
        if at >= size or len(head) < 8 or head[:4] != b"RIFF":
            break
        (length,) = struct.unpack_from("<I", head, 4)
        # A recorder that was cut off has not yet written the length.
        if length == 0:
            return size
        at = end = at + 8 + length + length % 2
    # The padding at the very end may be left out.
    return end - 1 if end == size + 1 else end


def _matroska_end(file: BinaryIO) -> int:
    file.seek(4)
    _skip(file, _number(file) or 0)
    if file.read(4) != _SEGMENT:
        return 0
    length = _number(file)
    return 0 if length is None else file.tell() + length


def _skip(file: BinaryIO, count: int) -> None:
    file.seek(count, 1)


def _number(file: BinaryIO) -> int | None:
    """EBML's number of 1 to 8 bytes; None where all bits are set: not known."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    size = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(size - 1), "big") & ((1 << 7 * size) - 1)
    return None if value == (1 << 7 * size) - 1 else value
