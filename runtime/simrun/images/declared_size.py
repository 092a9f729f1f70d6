"""The size that a picture's header declares, read before anything is decoded.

A file of a hundred bytes can ask a decoder for gigabytes. It knows the formats that simrun reads;
what is of no such format is not given to a decoder at all.

OpenCV has a limit of its own, the environment variable OPENCV_IO_MAX_IMAGE_PIXELS. It refuses as
much in all these formats, but it counts only where it was set before OpenCV was loaded, and below
it a JPEG or lossless WebP of a few bytes that claims 254 megapixels still takes 1.4 GB and 5 s.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

Size = tuple[int, int]

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_GAP: Final = rb"(?:\s|#[^\n]*\n)+"
_NETPBM: Final = re.compile(
    rb"P[1-6]" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})\s(?:" + _GAP[:-1] + rb"*(\d{1,5})\s)?"
)
_TIFF_SIZES: Final = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Types of whole numbers, by their number in the file."""
_MOST_TAGS: Final = 4096


def is_jpeg(data: bytes) -> bool:
    """Whether it begins like a JPEG."""
    return data.startswith(b"\xff\xd8\xff")


def is_png(data: bytes) -> bool:
    """Whether it begins like a PNG."""
    return data.startswith(_PNG)


def is_known(head: bytes) -> bool:
    """Whether it begins like a picture of a format that is read."""
    return any(head.startswith(begins) for begins, _ in _FORMATS)


def declared_size(data: bytes) -> Size | None:
    """(width, height) from the header of a JPEG, PNG, BMP, WebP, TIFF, GIF, PGM, PPM or PBM.

    None where it is none of them or its header does not hold a size.
    """
    for begins, read in _FORMATS:
        if data.startswith(begins):
            try:
                size = read(data)
            except struct.error:
                return None
            return size if size and min(size) > 0 else None
    return None


def _png(data: bytes) -> Size | None:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg(data: bytes) -> Size | None:
    at = 2
    while True:
        start, marker = struct.unpack_from(">BB", data, at)
        if start != 0xFF:
            return None
        # Fill bytes, and markers that stand alone: TEM, RST0..7 and SOI.
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        # Start of frame: C0..CF but for the tables C4, C8 and CC (ITU-T T.81, table B.1).
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])


def _bmp(data: bytes) -> Size | None:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    # A negative height means rows from top to bottom.
    return width, abs(height)


def _webp(data: bytes) -> Size | None:
    kind = data[8:16]
    if kind == b"WEBPVP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"WEBPVP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"WEBPVP8X":
        width_low, width_high, height_low, height_high = struct.unpack_from("<HBHB", data, 24)
        return (width_high << 16 | width_low) + 1, (height_high << 16 | height_low) + 1
    return None


def _tiff(data: bytes) -> Size | None:
    tags = tiff_tags(data)
    return (tags[256], tags[257]) if 256 in tags and 257 in tags else None


def tiff_tags(data: bytes) -> dict[int, int]:
    """First whole numbers of the tags of a TIFF's first page, by tag; EXIF is a TIFF too.

    Raises:
        struct.error: it is cut short.
    """
    order = "<" if data.startswith(b"II") else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    pointer, count, step = ("Q", "Q", 20) if big else ("I", "H", 12)
    (at,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
    if at > len(data):
        return {}
    (tags,) = struct.unpack_from(order + count, data, at)
    at += struct.calcsize(order + count)
    found: dict[int, int] = {}
    for place in range(at, at + step * min(tags, _MOST_TAGS), step):
        tag, kind = struct.unpack_from(order + "HH", data, place)
        if kind in _TIFF_SIZES:
            (found[tag],) = struct.unpack_from(
                order + _TIFF_SIZES[kind], data, place + (12 if big else 8)
            )
    return found


def _gif(data: bytes) -> Size | None:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _netpbm(data: bytes) -> Size | None:
    match = _NETPBM.match(data[:4096])
    return (int(match[1]), int(match[2])) if match else None


def white_of_netpbm(data: bytes) -> int | None:
    """The number that stands for white in a PGM or PPM as OpenCV decodes it; None of others."""
    match = _NETPBM.match(data[:4096]) if data[:2] in (b"P2", b"P3", b"P5", b"P6") else None
    white = int(match[3]) if match and match[3] else 0
    # Of a text, OpenCV brings up to eight bits to 255 itself.
    is_done = data[:2] in (b"P2", b"P3") and white < 256
    return None if is_done or not white else white


_FORMATS: Final[tuple[tuple[bytes | tuple[bytes, ...], Callable[[bytes], Size | None]], ...]] = (
    (_PNG, _png),
    (b"\xff\xd8\xff", _jpeg),
    (b"BM", _bmp),
    (b"RIFF", _webp),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff),
    ((b"GIF87a", b"GIF89a"), _gif),
    (b"P", _netpbm),
)
