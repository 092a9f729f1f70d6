"""Pictures for people: the frame with its heatmap, quads and labels."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.images.read import Image, to_bgr
from simrun.result import Heatmap, Region, Result

_OUTLINE: Final = (80, 255, 80)
_HELD: Final = (190, 190, 190)
"""Regions that a track holds: they are not in the frame itself."""
_HEAT_OPACITY: Final = 0.6


def draw_overlay(frame: Image, result: Result) -> Image:
    """A copy of the frame, (H, W, 3) BGR, with heatmap, quads and labels drawn on it."""
    picture = to_bgr(frame)
    if result.heatmap is not None:
        picture = _blend_heatmap(picture, result.heatmap)
    for region in result.regions:
        _draw_region(picture, region)
    return picture


def heat_over_frame(heatmap: Heatmap, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The map at the frame's resolution, (H, W); the greatest channel, 0 where no cell looks.

    Args:
        heatmap: the map and its place on the frame.
        shape: H and W of the frame.
    """
    step = 1 / heatmap.pitch
    shift = -heatmap.origin * step
    matrix = np.array([[step, 0, shift], [0, step, shift]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    heat = cv2.warpAffine(heatmap.values.max(axis=0), matrix, (shape[1], shape[0]), flags=flags)
    return np.asarray(heat, np.float32)


def _blend_heatmap(picture: Image, heatmap: Heatmap) -> Image:
    """Lay a heatmap over a BGR picture: the hotter, the less of the picture is left."""
    heat = heat_over_frame(heatmap, picture.shape[:2]).clip(0, 1)
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    opacity = (heat * _HEAT_OPACITY)[:, :, None]
    return np.asarray(picture * (1 - opacity) + colours * opacity, np.uint8)


def _draw_region(picture: Image, region: Region) -> None:
    thickness = max(1, round(max(picture.shape[:2]) / 640))
    colour = _HELD if region.held else _OUTLINE
    corners = np.round(np.array(region.quad)).astype(np.int32)
    cv2.polylines(picture, [corners], True, colour, thickness, cv2.LINE_AA)
    caption = _caption(region)
    if not caption:
        return
    scale = max(0.4, max(picture.shape[:2]) / 1200)
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, height), base = cv2.getTextSize(caption, font, scale, thickness)
    x0, y0, _, y1 = (round(v) for v in region.box)
    # Above the region; below it where the frame ends.
    y = y0 - base if y0 - base - height >= 0 else y1 + height + base
    x = min(max(x0, 0), max(0, picture.shape[1] - width))
    cv2.rectangle(picture, (x, y - height - base), (x + width, y + base), (0, 0, 0), cv2.FILLED)
    cv2.putText(picture, caption, (x, y), font, scale, colour, thickness, cv2.LINE_AA)


def _caption(region: Region) -> str:
    """The label and the track's number, as far as there are any: `EXIT #12`."""
    number = None if region.track is None else f"#{region.track}"
    return " ".join(part for part in (region.label, number) if part)
