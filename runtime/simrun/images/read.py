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
from simrun.images.declared_size import declared_size, is_jpeg, is_png

Image = NDArray[np.uint8]
"""(H, W) grey or (H, W, 3) BGR."""

IMAGE_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm"}
)
MAX_MEGAPIXELS: Final = 256
"""Larger pictures are refused: decoded they would take most of a small computer's memory."""

_PLAUSIBLE_MEGAPIXELS: Final = 16
_MOST_PIXELS_PER_BYTE: Final = 10_000
"""Of a file with more pixels than the constant above; an empty page as PNG has 8000 at most."""
_BAND: Final = 64
"""Rows that are worked on at a time where intermediate values take more memory than a picture."""


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
    _refuse_size(path, data)
    # Only PNG and its kin carry alpha, and only IMREAD_UNCHANGED keeps it, at the price of EXIF.
    flags = cv2.IMREAD_COLOR if is_jpeg(data) else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        if image is None or image.size == 0:
            raise SourceError(f"{path} is not a picture that OpenCV can decode")
        return check_frame(_to_uint8_bgr(np.asarray(image)))
    except cv2.error as error:
        raise SourceError(f"cannot decode {path}: {_one_line(error)}") from error
    except MemoryError as error:
        raise SourceError(f"{path} takes more memory than there is; shrink it first") from error


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


def _is_cut_short(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end: decoders fill the rest with grey and go on."""
    if is_jpeg(data):
        # Within a scan 0xFF is always escaped, so an end marker must follow the last scan header.
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda") or b"\xff\xda" not in data
    return is_png(data) and not _has_png_end(data)


def _has_png_end(data: bytes) -> bool:
    """Whether the chunks of a PNG lead to the last one.

    OpenCV 5 makes room for as many bytes as a chunk claims to have, up to 4 GB, before it reads.
    """
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return True
        at += 12 + length
    return False


def _refuse_size(path: Path, data: bytes) -> None:
    size = declared_size(data)
    if size is None:
        raise SourceError(f"{path} is not a picture of a kind that is read, or its header is bad")
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


def _to_uint8_bgr(image: NDArray[Any]) -> Image:
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    elif image.dtype != np.uint8:
        image = _stretch(image)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim == 3 and image.shape[2] == 4:
        image = _over_white(image)
    return np.ascontiguousarray(image, np.uint8)


def _over_white(image: NDArray[Any]) -> Image:
    """A (H, W, 4) BGRA picture on a white ground."""
    flat = np.empty((*image.shape[:2], 3), np.uint8)
    for top in range(0, len(image), _BAND):
        band = image[top : top + _BAND].astype(np.uint16)
        colour, alpha = band[:, :, :3], band[:, :, 3:]
        flat[top : top + _BAND] = (colour * alpha + 255 * (255 - alpha) + 127) // 255
    return flat


def _stretch(image: NDArray[Any]) -> Image:
    """Other numbers, floating ones above all, with the lowest at 0 and the highest at 255."""
    finite = np.nan_to_num(image.astype(np.float64), posinf=0.0, neginf=0.0)
    # Within -1..1 first: the difference of two of the largest floats is infinite.
    finite /= max(float(np.abs(finite).max()), 1e-300)
    low, high = float(finite.min()), float(finite.max())
    return ((finite - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)


def _one_line(error: cv2.error) -> str:
    return " ".join(str(error.err or error).split())
