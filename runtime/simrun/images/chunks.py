"""What else a picture's container knows: where it ends, which way is up, whether it holds more.

Only the structure is walked, nothing is decoded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

from simrun.images.declared_size import is_jpeg, is_png, tiff_tags

_JPEG_END: Final = b"\xff\xd9"
_AFTER_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Within a scan 0xFF is escaped by 0x00, but for the marks of restarts."""
_ORIENTATION: Final = 274
"""The tag's number in TIFF and EXIF."""


def is_cut_short(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end: decoders fill the rest with grey and go on."""
    if is_jpeg(data):
        return not has_jpeg_end(data)
    return is_png(data) and not any(kind == b"IEND" for kind, _, _ in _png_chunks(data))


def has_jpeg_end(data: bytes) -> bool:
    """Whether the picture that a JPEG begins with is complete, whatever follows it.

    Phones append a film to it, cameras some zeros.
    """
    at = 2
    while 0 <= at < len(data) - 1:
        marker = data[at + 1]
        if data[at] != 0xFF:
            at = data.find(b"\xff", at)
        elif marker == 0xD9:
            return True
        elif marker == 0xFF:
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        elif marker == 0xDA:
            if data.endswith(_JPEG_END) and data.find(b"\xff\xda", at + 2) < 0:
                return True
            found = _AFTER_SCAN.search(data, at + 2)
            at = found.start() if found else -1
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def orientation(data: bytes) -> int:
    """EXIF's number for which way is up in a PNG or WebP, 1 to 8; 1 where it says nothing.

    OpenCV turns JPEG and TIFF itself. These two it turns or not, by version and by how it is asked.
    """
    chunks, name = (_png_chunks, b"eXIf") if is_png(data) else (_webp_chunks, b"EXIF")
    for kind, start, end in chunks(data):
        if kind == name:
            exif = data[start:end].removeprefix(b"Exif\0\0")
            try:
                number = tiff_tags(exif).get(_ORIENTATION, 1)
            except struct.error:
                return 1
            return number if 1 <= number <= 8 else 1
    return 1


def holds_more(data: bytes) -> bool:
    """Whether there are more pictures behind the first: pages of a TIFF, an animation."""
    if is_png(data):
        return any(kind == b"acTL" for kind, _, _ in _png_chunks(data))
    if data.startswith(b"RIFF"):
        return any(kind == b"ANIM" for kind, _, _ in _webp_chunks(data))
    if data.startswith((b"II*\0", b"MM\0*")):
        return _next_page(data) != 0
    return data.startswith(b"GIF8") and sum(1 for _ in _gif_pictures(data)) > 1


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk that is there whole.

    OpenCV 5 makes room for as many bytes as a chunk claims to have, up to 4 GB, before it reads.
    """
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND" or at + 12 + length <= len(data):
            yield kind, at + 8, at + 8 + length
        at += 12 + length


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    while data.startswith(b"RIFF") and at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, at + 8, at + 8 + length
        at += 8 + length + length % 2


def _next_page(data: bytes) -> int:
    """Where the second page of a TIFF begins, 0 if there is none."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        (tags,) = struct.unpack_from(order + "H", data, at)
        (after,) = struct.unpack_from(order + "I", data, at + 2 + 12 * tags)
    except struct.error:
        return 0
    return int(after)


def _gif_pictures(data: bytes) -> Iterator[int]:
    """Where each picture of a GIF begins."""
    at = 13 + _gif_table(data, 10)
    while at < len(data) and data[at] in b"\x21\x2c":
        if data[at] == 0x2C:
            yield at
            at += 11 + _gif_table(data, at + 9)
        else:
            at += 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1


def _gif_table(data: bytes, flags_at: int) -> int:
    """Bytes of the table of colours that these flags announce."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
