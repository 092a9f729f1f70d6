"""Reading pictures: any depth, any number of channels, turned upright, or a clear error."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError
from simrun.files import open_at_once
from simrun.images.chunks import look_at
from simrun.images.declared_size import declared_size, is_jpeg, is_known
from simrun.images.depth import Image, to_uint8

__all__ = [
    "IMAGE_SUFFIXES",
    "Image",
    "Note",
    "check_frame",
    "read_image",
    "to_bgr",
    "to_channels",
    "to_grey",
    "to_rgb",
]

IMAGE_SUFFIXES: Final = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"),
        *(".pgm", ".ppm", ".pbm"),
    }
)
HEIF_SUFFIXES: Final = frozenset({".heic", ".heif", ".hif", ".avif"})
"""What phones write; not read here."""
HEIF_ADVICE: Final = (
    "HEIC and AVIF are not read: make them JPEG, with heif-convert (apt install "
    "libheif-examples) or the Python package pillow-heif"
)
MAX_MEGAPIXELS: Final = 256
"""Larger pictures are refused: decoded they would take most of a small computer's memory."""
MAX_BYTES: Final = 1 << 30
"""Larger files are refused: it is more than so many pixels take with nothing compressed."""

_HEAD_BYTES: Final = 4096
"""What is read of a file to see whether it is a picture at all."""
_HEIF: Final = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif")
_PLAUSIBLE_MEGAPIXELS: Final = 16
_MOST_PIXELS_PER_BYTE: Final = 10_000
"""Of a file with more pixels than the constant above; an empty page as PNG has 8000 at most."""
_TURN: Final[dict[int, Callable[[Image], NDArray[np.uint8]]]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image.swapaxes(0, 1)[:, ::-1],
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image.swapaxes(0, 1)[::-1],
}
"""By EXIF's orientation: what brings the picture upright."""

_log = logging.getLogger(__name__)


class Note(StrEnum):
    """Something about a picture that is no fault, and that its reader should know."""

    STRETCHED = "more than 8 bits, stretched from the range in use to 0..255"
    FIRST_ONLY = "several pictures in one file, the first is read"
    ALPHA_LOST = "what is transparent is not known of grey in a TIFF; make it a PNG to see it white"


def _log_note(path: Path, note: Note) -> None:
    _log.info("%s: %s", path, note)


def read_image(
    path: str | os.PathLike[str], note: Callable[[Path, Note], None] = _log_note
) -> Image:
    """Read a picture as uint8, (H, W) or (H, W, 3) BGR.

    EXIF orientation is applied, 16 bits and floats become 8 (`depth.to_uint8`), CMYK becomes BGR,
    and transparent pixels show the white ground that a viewer would put behind them. What follows
    the end of a JPEG is ignored.

    Args:
        path: the file.
        note: is told what the reader should know; the log is, where it is not given.

    Raises:
        SourceError: the file is missing, empty, cut short, too large, no file or not a picture.
    """
    path = Path(path)
    try:
        data = _content(path)
        facts = look_at(data)
        if facts.cut_short:
            raise SourceError(f"{path} is cut short: the end of the picture is missing")
        _refuse_size(path, data)
        image, stretched = to_uint8(_decode(path, data), facts.numbers)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error}") from error
    except cv2.error as error:
        raise SourceError(f"cannot decode {path}: {_one_line(error)}") from error
    except MemoryError as error:
        raise SourceError(f"{path} takes more memory than there is; shrink it first") from error
    if stretched:
        note(path, Note.STRETCHED)
    if facts.holds_more:
        note(path, Note.FIRST_ONLY)
    if facts.alpha_is_lost:
        note(path, Note.ALPHA_LOST)
    turn = _TURN.get(facts.orientation)
    return check_frame(image if turn is None else np.ascontiguousarray(turn(image)))


def to_grey(image: Image) -> Image:
    """(H, W) uint8 luma of a grey or BGR image; a grey one is returned as it is."""
    if image.ndim == 2:
        return image
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


def to_bgr(image: Image) -> Image:
    """(H, W, 3) uint8 copy of a grey or BGR image, free to be drawn on."""
    if image.ndim == 3:
        return image.copy()
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)


def to_rgb(image: Image) -> Image:
    """(H, W, 3) uint8 RGB of a grey or BGR image."""
    code = cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(image, code), np.uint8)


def to_channels(image: Image, channels: int) -> Image:
    """A grey or BGR image as a network takes it: (H, W) grey for 1 channel, (H, W, 3) RGB for 3."""
    return to_grey(image) if channels == 1 else to_rgb(image)


def check_frame(frame: object) -> Image:
    """The frame itself, if it is a picture that can be worked on.

    Raises:
        SourceError: it is not a uint8 array (H, W) or (H, W, 3) with at least one pixel.
    """
    if (
        isinstance(frame, np.ndarray)
        and frame.dtype == np.uint8
        and frame.size > 0
        and (frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 3))
    ):
        return frame
    got = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
    raise SourceError(f"a frame must be uint8 (H, W) or (H, W, 3) with pixels in it, not {got}")


def _content(path: Path) -> bytes:
    """All of a file, once its beginning is that of a picture.

    Raises:
        OSError: it cannot be opened or read.
        SourceError: it is no regular file, empty, too large, or nothing that is read.
    """
    # A pipe without a writer would block, a device might give bytes for ever.
    with open(path, "rb", opener=open_at_once) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise SourceError(f"{path} is no file: it is a pipe, a socket or a device")
        if about.st_size > MAX_BYTES:
            raise SourceError(
                f"{path} has {about.st_size / 1e9:.1f} GB; at most {MAX_BYTES / 1e9:.1f} are read"
            )
        return _checked_content(path, file, about.st_size)


def _checked_content(path: Path, file: BinaryIO, size: int) -> bytes:
    head = file.read(_HEAD_BYTES)
    if not head:
        raise SourceError(f"{path} is empty (0 bytes)")
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF:
        raise SourceError(f"{path} is not a picture of a kind that is read: {HEIF_ADVICE}")
    if not is_known(head):
        raise SourceError(f"{path} is not a picture of a kind that is read")
    file.seek(0)
    return file.read(size)


def _decode(path: Path, data: bytes) -> NDArray[Any]:
    # Only PNG and its kin carry alpha, and only IMREAD_UNCHANGED keeps it, at the price of EXIF.
    flags = cv2.IMREAD_COLOR if is_jpeg(data) else cv2.IMREAD_UNCHANGED
    # OpenCV takes the last number of a text for cut off where no space follows it.
    content = data + b"\n" if data.startswith((b"P1", b"P2", b"P3")) else data
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if image is None or image.size == 0:
        raise SourceError(f"{path} is not a picture that OpenCV {cv2.__version__} can decode")
    return np.asarray(image)


def _refuse_size(path: Path, data: bytes) -> None:
    size = declared_size(data)
    if size is None:
        raise SourceError(f"{path} is cut short or damaged: its header is bad")
    pixels = size[0] * size[1]
    if pixels > MAX_MEGAPIXELS * 1e6:
        raise SourceError(
            f"{path} has {size[0]}x{size[1]} pixels ({pixels / 1e6:.0f} megapixels); "
            f"at most {MAX_MEGAPIXELS} are read, shrink it first"
        )
    if pixels > max(_PLAUSIBLE_MEGAPIXELS * 1e6, _MOST_PIXELS_PER_BYTE * len(data)):
        raise SourceError(
            f"{path} claims {size[0]}x{size[1]} pixels in {len(data)} bytes: it is cut short or "
            "its header is damaged"
        )


def _one_line(error: cv2.error) -> str:
    return " ".join(str(error.err or error).split())
