"""From a picture to a cut-out: the thing in it without the ground it lies on, in one small square.

What belongs to the thing is told in one of three ways, in this order:

alpha   the picture has transparent pixels: they are taken at their word
ground  much of the picture's border is of the shade of its corners: what is connected to the
        border and of that shade is ground, as on product photos, drawings and scans
soft    neither: the whole picture is the thing, and its rim fades out, so that no network can go
        by the edge of a rectangle
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.images.read import Image, read_image, to_grey, to_rgb
from simtool.data.image_folder import Channels

SIDE: Final = 48
"""Of the square that holds a cut-out, in pixels."""
_SHADES: Final = 14
"""Levels by which pixels of one ground may differ from its median."""
_PLAIN: Final = 0.4
"""Share of a picture's border that is of its corners' shade where there is a ground."""
_RIM: Final = 0.12
"""Share of a picture's side over which a soft cut-out fades out."""
_VISIBLE: Final = 128
_LEAST_COVER: Final = 0.02
"""Share of the square that a thing has to cover."""

Pixels = NDArray[np.uint8]


def is_coloured(path: Path) -> bool:
    """Whether a picture has colours. Raises SourceError where it cannot be read."""
    image = read_image(path)
    if image.ndim == 2:
        return False
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return bool(np.ptp(small, axis=2).mean() > 4)


def cut_out(path: Path, channels: Channels) -> Pixels | None:
    """The thing in a picture, (SIDE, SIDE, C + 1) uint8: colours times alpha, then alpha.

    The longer side of the thing fills the square; what is around it is transparent.

    Args:
        path: of the picture.
        channels: C is 1 for grey, 3 for RGB.

    Returns:
        None where the picture is empty: all of it is ground.

    Raises:
        SourceError: the picture cannot be read.
    """
    image = read_image(path)  # refuses what is damaged or too large to decode
    alpha = _own_alpha(path) if path.suffix.lower() in _WITH_ALPHA else None
    if alpha is None:
        image = _shrunk(image)
        alpha = _ground_alpha(image)
        alpha = _soft_alpha(image) if alpha is None else alpha
    else:
        image, alpha = _shrunk(image), _shrunk(alpha)
    ys, xs = np.nonzero(alpha >= _VISIBLE)
    if len(ys) == 0:
        return None
    box = np.s_[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    square = _in_square(in_channels(image, channels)[box], alpha[box])
    return square if (square[..., -1] >= _VISIBLE).mean() >= _LEAST_COVER else None


def in_channels(image: Image, channels: Channels) -> Pixels:
    """(H, W, 1) grey or (H, W, 3) RGB of a grey or BGR image."""
    if channels == "grey":
        return to_grey(image)[..., np.newaxis]
    return to_rgb(image)


_WITH_ALPHA: Final = frozenset({".png", ".webp", ".tif", ".tiff"})


def _own_alpha(path: Path) -> Pixels | None:
    """(H, W) alpha, where the file has it and it says anything."""
    raw = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if raw is None or raw.ndim != 3 or raw.shape[2] != 4:
        return None
    alpha = np.asarray(raw[..., 3] // (257 if raw.dtype == np.uint16 else 1), np.uint8)
    return None if alpha.min() == 255 else alpha


def _shrunk(image: Pixels) -> Pixels:
    """The image with its longer side at most four times that of a cut-out."""
    scale = 4 * SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _ground_alpha(image: Pixels) -> Pixels | None:
    """(H, W) alpha by the shade of the border; None where it has no one shade."""
    planes = image[..., np.newaxis] if image.ndim == 2 else image
    border = np.concatenate([planes[0], planes[-1], planes[1:-1, 0], planes[1:-1, -1]])
    # Things often reach the border, but seldom all corners.
    corners = np.array([planes[0, 0], planes[0, -1], planes[-1, 0], planes[-1, -1]])
    shade = np.median(corners, axis=0)
    alike = np.abs(planes.astype(np.int16) - shade).max(axis=2) <= _SHADES
    if (np.abs(border - shade).max(axis=1) <= _SHADES).mean() < _PLAIN:
        return None
    # A frame of ground around the picture makes one component of all that touches the border.
    framed = np.pad(alike, 1, constant_values=True).astype(np.uint8)
    _, labels = cv2.connectedComponents(framed, connectivity=4)
    ground = (np.asarray(labels) == labels[0, 0])[1:-1, 1:-1]
    return np.where(ground, 0, 255).astype(np.uint8)


def _soft_alpha(image: Pixels) -> Pixels:
    """(H, W) alpha that falls to 0 towards the picture's rim."""
    ramps = []
    for length in image.shape[:2]:
        distance = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
        ramps.append(np.clip(distance / max(1.0, _RIM * length), 0, 1))
    return np.asarray(np.outer(*ramps) * 255, np.uint8)


def _in_square(colours: Pixels, alpha: Pixels) -> Pixels:
    """Colours (h, w, C) and alpha (h, w) in the middle of the square, the longer side filling it.

    Colours are multiplied by alpha before they are resized: what is hidden must not show at rims.
    """
    whole = np.concatenate([colours, np.full_like(alpha, 255)[..., np.newaxis]], axis=2)
    whole = (whole * (alpha[..., np.newaxis] / np.float32(255))).astype(np.float32)
    height, width = alpha.shape
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(whole, size, interpolation=mode)
    square = np.zeros((SIDE, SIDE, whole.shape[2]), np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = np.rint(small)
    return square
