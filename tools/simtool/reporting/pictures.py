"""Pictures as pages show them: shrunk, outlined, in false colours, and embedded as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from simrun.errors import OutputError
from simrun.images.read import Image, to_bgr
from simtool.data.annotations import Corners

Colour = tuple[int, int, int]
"""(B, G, R), 0 to 255."""
TRUE_BGR: Final[Colour] = (60, 200, 255)
"""Outline of what is annotated."""


@dataclass(frozen=True)
class Picture:
    """An embedded picture."""

    uri: str
    """`data:` and the whole file."""
    caption: str
    """Plain text, also what is read out for the picture."""


def embed(image: Image, caption: str, width: int) -> Picture:
    """The picture, (H, W) or (H, W, 3) BGR uint8, as a JPEG at most `width` pixels across."""
    data = base64.b64encode(encode(shrink(image, width), ".jpg")).decode()
    return Picture(f"data:image/jpeg;base64,{data}", caption)


def encode(image: Image, suffix: str) -> bytes:
    """The picture as a file's content, of the kind that `suffix` names.

    Raises:
        OutputError: OpenCV cannot encode it.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 80] if suffix == ".jpg" else []
    ok, data = cv2.imencode(suffix, image, options)
    if not ok:
        raise OutputError(f"cannot encode {image.shape[1]}x{image.shape[0]} pixels as {suffix}")
    return data.tobytes()


def shrink(image: Image, width: int) -> Image:
    """The picture at most `width` pixels across, its aspect kept; never enlarged."""
    if image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def draw_quads(
    image: Image, outlines: Iterable[tuple[Sequence[Corners], Colour]], scale: float = 1.0
) -> Image:
    """A (H, W, 3) BGR copy of the picture with quads outlined.

    Args:
        image: (H, W) or (H, W, 3) BGR, uint8.
        outlines: groups of quads, each with its colour.
        scale: pixels of `image` per unit of the quads' coordinates.
    """
    canvas = to_bgr(image)
    for quads, colour in outlines:
        for quad in quads:
            corners = np.round(np.array(quad) * scale).astype(np.int32)
            # A dark rim keeps the outline visible on any ground.
            cv2.polylines(canvas, [corners], True, (0, 0, 0), 3, cv2.LINE_AA)
            cv2.polylines(canvas, [corners], True, colour, 2, cv2.LINE_AA)
    return canvas


def false_colours(grey: Image) -> Image:
    """(H, W) grey levels as (H, W, 3) BGR from blue (0) to red (255)."""
    return np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), np.uint8)
