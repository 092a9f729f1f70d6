"""Any numbers that a decoder gives, made into eight bits of grey or BGR."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_BAND: Final = 64
"""Rows that are worked on at a time where intermediate values take more memory than a picture."""
_WIDE: Final = 1 << 15
"""16-bit values that span half of what they can are taken to span all of it."""
_SAMPLES: Final = 512
"""Rows and columns that are looked at for the range in use."""
_OUTLIERS: Final = 0.001
"""Share of the pixels at either end that may be dead ones, and do not count for the range."""


class Alpha(StrEnum):
    """What the fourth number of a pixel is."""

    SHARE = "how much of the ground the colours cover"
    MULTIPLIED = "the same, and the colours were multiplied by it"
    NONE = "nothing that is shown"


@dataclass(frozen=True)
class Numbers:
    """What the numbers of a picture stand for, where its file says so."""

    white: int | None = None
    """The number that stands for white."""
    clear: int | None = None
    """The grey that is transparent."""
    alpha: Alpha = Alpha.SHARE
    multiplied_in_8_bits: bool = False
    """Alpha that is a share comes multiplied where the numbers have 8 bits."""
    zero_is_white: bool = False
    """Grey of more than 8 bits; in fewer OpenCV makes 0 black itself."""


AS_USUAL: Final = Numbers()
"""The file says nothing."""


def to_uint8(image: NDArray[Any], numbers: Numbers = AS_USUAL) -> tuple[Image, bool]:
    """The picture as (H, W) or (H, W, 3) uint8, and whether its values were stretched.

    16 bits keep their upper eight where all of their range is in use, or where eight bits were
    written twice. Files of 10, 12 or 14 bits, thermal counts and other numbers would come out
    black or flat: the range in use becomes 0 to 255, but for the outermost thousandth.
    NaN becomes 0; infinite values the end of the range they are at.

    Args:
        image: (H, W) or (H, W, 1 | 3 | 4), any depth; with 4 channels, BGR and alpha, it is put
            on a white ground.
        numbers: what its numbers stand for.
    """
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim == 3 and image.shape[2] == 4 and numbers.alpha is Alpha.NONE:
        image = image[:, :, :3]
    if numbers.white is not None and numbers.white < np.iinfo(image.dtype).max:
        return _scaled(image, numbers.white), False
    multiplied = numbers.alpha is Alpha.MULTIPLIED or (
        numbers.multiplied_in_8_bits and image.dtype == np.uint8
    )
    if numbers.clear is not None and image.ndim == 2:
        image = np.where(image == numbers.clear, np.iinfo(image.dtype).max, image)
    stretched = False
    if image.dtype != np.uint8:
        if numbers.zero_is_white and image.ndim == 2:
            image = -image if image.dtype.kind == "f" else ~image
        image, stretched = _narrowed(image)
    if image.ndim == 3 and image.shape[2] == 4:
        image = _over_white(image, multiplied=multiplied)
    return np.ascontiguousarray(image, np.uint8), stretched


def _scaled(image: NDArray[Any], white: int) -> Image:
    """Whole numbers with `white` at 255."""
    table = (np.minimum(np.arange(1 << 16), white) * 255 + white // 2) // white
    return np.asarray(table.astype(np.uint8)[image])


def _narrowed(image: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    low, high = _range_in_use(image)
    if image.dtype == np.uint16 and (low == high or high - low >= _WIDE or _is_doubled(image)):
        return (image >> 8).astype(np.uint8), False
    if image.ndim == 3 and image.shape[2] == 4:
        # Alpha is a share of the most there can be, not a brightness.
        colour = _stretched(image[:, :, :3], low, high)
        alpha = _alpha(image[:, :, 3:])
        return np.concatenate([colour, alpha], axis=2), True
    return _stretched(image, low, high), True


def _range_in_use(image: NDArray[Any]) -> tuple[float, float]:
    """The lowest and highest finite value of the colours, but for the outermost thousandth."""
    down, across = (max(1, side // _SAMPLES) for side in image.shape[:2])
    colour = image[:, :, :3] if image.ndim == 3 else image
    sample = colour[::down, ::across].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 0.0
    low, high = np.quantile(sample, (_OUTLIERS, 1 - _OUTLIERS), method="nearest")
    if low == high:
        low, high = sample.min(), sample.max()
    return float(low), float(high)


def _is_doubled(image: NDArray[Any]) -> bool:
    """Whether each value is eight bits written twice."""
    return all(
        bool(np.all(image[top : top + _BAND] % 257 == 0)) for top in range(0, len(image), _BAND)
    )


def _stretched(image: NDArray[Any], low: float, high: float) -> Image:
    out = np.empty(image.shape, np.uint8)
    # Half of each first: the difference of two of the largest floats is infinite.
    half_span = high / 2 - low / 2
    for top in range(0, len(image), _BAND):
        band = np.nan_to_num(
            image[top : top + _BAND].astype(np.float64), nan=low, posinf=high, neginf=low
        )
        share = (np.clip(band, low, high) / 2 - low / 2) / (half_span or 1.0)
        out[top : top + _BAND] = np.rint(share * 255)
    return out


def _alpha(alpha: NDArray[Any]) -> Image:
    if alpha.dtype == np.uint16:
        return (alpha >> 8).astype(np.uint8)
    return np.asarray(np.rint(np.nan_to_num(np.clip(alpha, 0, 1)) * 255), np.uint8)


def _over_white(image: NDArray[Any], *, multiplied: bool) -> Image:
    """A (H, W, 4) BGRA picture on a white ground."""
    flat = np.empty((*image.shape[:2], 3), np.uint8)
    for top in range(0, len(image), _BAND):
        band = image[top : top + _BAND].astype(np.uint16)
        colour, alpha = band[:, :, :3], band[:, :, 3:]
        shown = colour if multiplied else (colour * alpha + 127) // 255
        flat[top : top + _BAND] = np.minimum(shown + (255 - alpha), 255)
    return flat
