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
    alpha = ink.astype(np.float32) * (rng.uniform(0.75, 1.0) / 255)
    canvas.image += (fill - canvas.image) * alpha


def _paint_plate(
    canvas: Canvas,
    corners: NDArray[np.float64],
    shape: tuple[int, ...],
    height: float,
    rng: np.random.Generator,
) -> None:
    hull = expanded(corners, shape[0], shape[1], height * rng.uniform(0.1, 0.8))
    cover = np.zeros(canvas.image.shape, np.uint8)
    points = np.round(hull * 16).astype(np.int32)
    cv2.fillPoly(cover, [points], 255, cv2.LINE_AA, 4)
    shade = float(rng.uniform(0, 255))
    alpha = cover.astype(np.float32) * (rng.uniform(0.6, 1.0) / 255)
    canvas.image += (shade - canvas.image) * alpha
    if rng.random() < 0.3:
        width = max(1, round(height * rng.uniform(0.03, 0.15)))
        cv2.polylines(
            canvas.image, [points], True, float(rng.uniform(0, 255)), width, cv2.LINE_AA, 4
        )


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
        halo = cv2.dilate(
            ink, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        )
    else:
        shift = np.eye(2, 3, dtype=np.float32)
        shift[:, 2] = rng.uniform(-0.12, 0.12, 2) * height
        halo = cv2.warpAffine(ink, shift, ink.shape[::-1])
        if rng.random() < 0.5:
            halo = cv2.GaussianBlur(halo, (0, 0), max(0.5, height * 0.05))
    canvas.image += (other - canvas.image) * (
        halo.astype(np.float32) * (rng.uniform(0.3, 1.0) / 255)
    )
