"""Reading pictures: any depth, any number of channels, turned upright, or a clear error."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError

Image = NDArray[np.uint8]
"""(H, W) grey or (H, W, 3) BGR."""

IMAGE_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm"}
)
MAX_MEGAPIXELS: Final = 256
"""Larger pictures are refused: decoded they would take most of a small computer's memory."""


def read_image(path: str | os.PathLike[str]) -> Image:
    """Read a picture as uint8, (H, W) or (H, W, 3) BGR.

    EXIF orientation is applied, 16 bits become 8, CMYK becomes BGR, and transparent pixels show
    the white ground that a viewer would put behind them.

    Raises:
        SourceError: the file is missing, empty, cut short, too large or not a picture.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    if not data:
        raise SourceError(f"{path} is empty (0 bytes)")
    if _is_cut_short(data):
        raise SourceError(f"{path} is cut short: the end of the picture is missing")
    _refuse_huge(path, data)
    # Only PNG and its kin carry alpha, and only IMREAD_UNCHANGED keeps it, at the price of EXIF.
    flags = cv2.IMREAD_COLOR if _is_jpeg(data) else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise SourceError(f"cannot decode {path}: {error.err or error}") from error
    if image is None or image.size == 0:
        raise SourceError(f"{path} is not a picture that OpenCV can decode")
    return _to_uint8_bgr(np.asarray(image))


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


def _is_jpeg(data: bytes) -> bool:
    return data.startswith(b"\xff\xd8\xff")


def _is_png(data: bytes) -> bool:
    return data.startswith(b"\x89PNG\r\n\x1a\n")


def _is_cut_short(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end: decoders fill the rest with grey and go on."""
    if _is_jpeg(data):
        # Within a scan 0xFF is always escaped, so an end marker must follow the last scan header.
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda") or b"\xff\xda" not in data
    return _is_png(data) and b"IEND" not in data[-64:]


def _refuse_huge(path: Path, data: bytes) -> None:
    size = _declared_size(data)
    if size and size[0] * size[1] > MAX_MEGAPIXELS * 1e6:
        raise SourceError(
            f"{path} has {size[0]}x{size[1]} pixels ({size[0] * size[1] / 1e6:.0f} megapixels); "
            f"at most {MAX_MEGAPIXELS} are read, shrink it first"
        )


def _declared_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) from the header of a PNG or JPEG, before anything is decoded."""
    if _is_png(data) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if not _is_jpeg(data):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        # Start of frame: C0..CF but for the tables C4, C8 and CC (ITU-T T.81, table B.1).
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None


def _to_uint8_bgr(image: NDArray[Any]) -> Image:
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    elif image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = ((image - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim == 3 and image.shape[2] == 4:
        alpha = image[:, :, 3:].astype(np.uint16)
        colour = image[:, :, :3].astype(np.uint16)
        image = ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(image, np.uint8)
