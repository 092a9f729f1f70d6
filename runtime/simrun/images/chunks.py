"""What else a picture's container knows: its end, which way is up, what its numbers stand for.

Only the structure is walked, nothing is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from simrun.images.declared_size import is_jpeg, is_png, tiff_tags, white_of_netpbm
from simrun.images.depth import AS_USUAL, Alpha, Numbers

JPEG_END: Final = b"\xff\xd9"
"""The mark that a JPEG ends with, EOI."""
_ORIENTATION: Final = 274
"""The tag's number in TIFF and EXIF."""
_PHOTOMETRIC, _SAMPLES, _EXTRA_SAMPLES = 262, 277, 338
"""Tags of a TIFF: whether 0 is black, how many numbers a pixel has, what the odd one is."""


@dataclass(frozen=True)
class Facts:
    """What the structure of a picture's file tells."""

    cut_short: bool = False
    """A JPEG or PNG lacks its end: decoders fill the rest with grey and go on."""
    orientation: int = 1
    """EXIF's number for which way is up in a PNG or WebP, 1 to 8.

    OpenCV turns JPEG and TIFF itself. These two it turns or not, by version and by how it is asked.
    """
    holds_more: bool = False
    """There are more pictures behind the first: pages of a TIFF, an animation."""
    numbers: Numbers = AS_USUAL
    """What the numbers stand for."""
    alpha_is_lost: bool = False
    """OpenCV leaves away what is transparent."""


def look_at(data: bytes) -> Facts:
    """The facts about a file of any format that is read."""
    if is_jpeg(data):
        return Facts(cut_short=not has_jpeg_end(data))
    if is_png(data):
        parts = {kind: (start, end) for kind, start, end in _png_chunks(data)}
        return Facts(
            b"IEND" not in parts,
            _turn(data, parts.get(b"eXIf")),
            b"acTL" in parts,
            Numbers(clear=_clear_grey(data, parts.get(b"tRNS"))),
        )
    if data.startswith(b"RIFF"):
        parts = {kind: (start, end) for kind, start, end in _webp_chunks(data)}
        return Facts(False, _turn(data, parts.get(b"EXIF")), b"ANIM" in parts)
    if data.startswith((b"II", b"MM")):
        return _look_at_tiff(data)
    if data.startswith(b"GIF8"):
        return Facts(holds_more=sum(1 for _ in _gif_pictures(data)) > 1)
    return Facts(numbers=Numbers(white_of_netpbm(data)))


def has_jpeg_end(data: bytes) -> bool:
    """Whether the picture that a JPEG begins with is complete, whatever follows it.

    Phones append a film to it, cameras some zeros; a preview before the first scan has an end of
    its own. Within a scan 0xFF is always escaped, so that the mark of the end is one.
    """
    # From behind, it is found at once.
    return 0 <= _first_scan(data) < data.rfind(JPEG_END)


def _first_scan(data: bytes) -> int:
    """Where the first scan of a JPEG begins, -1 if it does not."""
    at = 2
    while 0 <= at < len(data) - 3:
        marker = data[at + 1]
        if data[at] != 0xFF:
            at = data.find(b"\xff", at)
        elif marker == 0xDA:
            return at
        elif marker == 0xFF:
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD9:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return -1


def _turn(data: bytes, place: tuple[int, int] | None) -> int:
    """The orientation in the EXIF at this place, 1 where there is none."""
    if place is None:
        return 1
    try:
        number = tiff_tags(data[slice(*place)].removeprefix(b"Exif\0\0")).get(_ORIENTATION, 1)
    except struct.error:
        return 1
    return number if 1 <= number <= 8 else 1


def _clear_grey(data: bytes, place: tuple[int, int] | None) -> int | None:
    """The grey that a PNG says is transparent, as it is decoded; of colours OpenCV makes alpha."""
    if place is None or len(data) < 26 or data[25] != 0:
        return None
    depth = data[24]
    scale = 255 // ((1 << depth) - 1) if 0 < depth < 8 else 1
    return int.from_bytes(data[slice(*place)][:2], "big") * scale


def _look_at_tiff(data: bytes) -> Facts:
    try:
        tags = tiff_tags(data)
    except struct.error:
        return Facts()
    # Extra samples: 0 is no alpha, 1 is one by which the colours were multiplied. libtiff
    # multiplies 8 bits itself.
    extra = tags.get(_EXTRA_SAMPLES, 0)
    alpha = Alpha.MULTIPLIED if extra == 1 else Alpha.SHARE if extra == 2 else Alpha.NONE
    return Facts(
        # The second page of a BigTIFF has another place.
        holds_more=data[2:4] in (b"*\0", b"\0*") and _next_page(data) != 0,
        numbers=Numbers(
            alpha=alpha,
            multiplied_in_8_bits=True,
            zero_is_white=tags.get(_PHOTOMETRIC) == 0,
        ),
        alpha_is_lost=tags.get(_SAMPLES) == 2 and alpha is not Alpha.NONE,
    )


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
