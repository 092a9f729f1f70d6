"""Ink onto a scene: fill, plate, outline, shadow."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from simtool.data.text.background import photo_crop
from simtool.data.text.blocks import Block
from simtool.data.text.canvas import Canvas, Grey, SceneMaterials
from simtool.data.text.poses import expanded


def paint(
    canvas: Canvas,
    materials: SceneMaterials,
    block: Block,
    warp: NDArray[np.float64],
    corners: NDArray[np.float64],
    height: float,
    rng: np.random.Generator,
) -> None:
    """Draw a block through `warp` (3, 3), with a plate, an outline or a shadow at times."""
    size = canvas.config.size
    ink = np.asarray(cv2.warpPerspective(block.ink, warp, (size, size)), np.uint8)
    spot = ink > 60
    if rng.random() < 0.45:
        _paint_plate(canvas, corners, block.ink.shape, height, rng)
    around = canvas.image[spot] if spot.any() else canvas.image
    shade = contrasting(float(around.mean()), rng, float(around.std()))
    fill: NDArray[np.float32] | float = shade
    if rng.random() < 0.15:
        texture = photo_crop(materials, rng, size).astype(np.float32)
        fill = shade + (texture - texture.mean()) * rng.uniform(0.1, 0.5)
    _shadow_and_outline(canvas, ink, shade, height, rng)
    blend(canvas.image, fill, ink, rng.uniform(0.75, 1.0))


def _paint_plate(
    canvas: Canvas,
    corners: NDArray[np.float64],
    shape: tuple[int, ...],
    height: float,
    rng: np.random.Generator,
) -> None:
    hull = expanded(corners, shape[0], shape[1], height * rng.uniform(0.1, 0.8))
    shade = float(rng.uniform(0, 255))
    fill_polygon(canvas.image, hull, shade, rng.uniform(0.6, 1.0))
    if rng.random() < 0.3:
        draw_frame(canvas.image, hull, height, rng)


def fill_polygon(
    image: NDArray[np.float32], hull: NDArray[np.float64], shade: float, strength: float
) -> None:
    """Paint a polygon (n, 2) in one shade, covering 0 to 1 of what is below."""
    cover = np.zeros(image.shape, np.uint8)
    cv2.fillPoly(cover, [_sixteenths(hull)], 255, cv2.LINE_AA, 4)
    blend(image, shade, cover, strength)


def draw_frame(
    image: NDArray[np.float32],
    hull: NDArray[np.float64],
    height: float,
    rng: np.random.Generator,
) -> None:
    """Draw the outline of a plate around text of that height in pixels."""
    width = max(1, round(height * rng.uniform(0.03, 0.15)))
    shade = float(rng.uniform(0, 255))
    cv2.polylines(image, [_sixteenths(hull)], True, shade, width, cv2.LINE_AA, 4)


def blend(
    image: NDArray[np.float32],
    shade: NDArray[np.float32] | float,
    cover: Grey | NDArray[np.float32],
    strength: float,
) -> None:
    """Paint a shade, or a picture of shades, over an image (H, W).

    Args:
        image: changed in place.
        shade: grey levels.
        cover: (H, W), 0..255: where.
        strength: 0 to 1, how much of what is below is covered.
    """
    image += (shade - image) * (cover.astype(np.float32) * np.float32(strength / 255))


def disc(reach: int) -> Grey:
    """A round brush that reaches so many pixels to every side, (2 reach + 1)^2."""
    size = (2 * reach + 1, 2 * reach + 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size), np.uint8)


def _sixteenths(hull: NDArray[np.float64]) -> NDArray[np.int32]:
    """Points as OpenCV takes them at a shift of 4."""
    return np.round(hull * 16).astype(np.int32)


def contrasting(behind: float, rng: np.random.Generator, spread: float = 0.0) -> float:
    """A shade 24 to 230 levels, and twice the spread, away from the mean `behind`."""
    least = max(24.0, min(2.0 * spread, 110.0))
    gap = (
        rng.uniform(least, max(least + 10, 230))
        if rng.random() < 0.75
        else rng.uniform(least, least + 40)
    )
    sign = 1.0 if rng.random() < 0.5 else -1.0
    if not 0 <= behind + sign * gap <= 255:
        sign = 1.0 if behind < 128 else -1.0
    return float(np.clip(behind + sign * gap, 0, 255))


def _shadow_and_outline(
    canvas: Canvas, ink: Grey, shade: float, height: float, rng: np.random.Generator
) -> None:
    roll = rng.random()
    if roll > 0.4 or height < 10:
        return
    other = contrasting(shade, rng)
    if roll < 0.2:
        reach = max(1, round(height * rng.uniform(0.02, 0.08)))
        halo = np.asarray(cv2.dilate(ink, disc(reach)), np.uint8)
    else:
        shift = np.eye(2, 3, dtype=np.float32)
        shift[:, 2] = rng.uniform(-0.12, 0.12, 2) * height
        halo = np.asarray(cv2.warpAffine(ink, shift, ink.shape[::-1]), np.uint8)
        if rng.random() < 0.5:
            halo = np.asarray(cv2.GaussianBlur(halo, (0, 0), max(0.5, height * 0.05)), np.uint8)
    blend(canvas.image, other, halo, rng.uniform(0.3, 1.0))
