"""What is behind the text: photos, textures, and pieces of both pasted at an angle."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from simtool.data.text.canvas import Canvas, Grey, SceneMaterials
from simtool.data.text.poses import onto, random_pose
from simtool.data.text.textures import random_texture


def make_background(
    materials: SceneMaterials, rng: np.random.Generator, size: int
) -> NDArray[np.float32]:
    """A photo, a texture or a plain shade, (size, size) float32 in 0..255."""
    kind = rng.random()
    if kind < 0.62:
        picture = photo_crop(materials, rng, size)
    elif kind < 0.9:
        picture = random_texture(rng, size)
    else:
        picture = np.full((size, size), rng.integers(0, 256), np.uint8)
    out = picture.astype(np.float32)
    if rng.random() < 0.25:
        out = out * rng.uniform(0.25, 1.0) + rng.uniform(0, 120)
    return out


def photo_crop(materials: SceneMaterials, rng: np.random.Generator, size: int) -> Grey:
    """A random part of a random photo, (size, size) uint8, half to three times as large there."""
    return random_crop(materials.photos, rng, size)


def random_crop(photos: Sequence[Grey], rng: np.random.Generator, size: int) -> Grey:
    """The same of photos (H, W), or (H, W, 3) for a crop (size, size, 3)."""
    photo = photos[int(rng.integers(len(photos)))]
    side = size * np.exp(rng.uniform(np.log(0.5), np.log(3.0)))
    side = int(min(side, *photo.shape[:2]))
    y, x = (int(rng.integers(0, n - side + 1)) for n in photo.shape[:2])
    crop = photo[y : y + side, x : x + side]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(crop, (size, size), interpolation=how).astype(np.uint8)


def paste_distractor(canvas: Canvas, materials: SceneMaterials, rng: np.random.Generator) -> None:
    """Paste a piece of texture or photo in perspective: a window, a gate, an empty sign."""
    size = canvas.config.size
    side = int(np.exp(rng.uniform(np.log(16), np.log(size * 0.8))))
    aspect = np.exp(rng.uniform(-1.2, 1.2))
    w, h = (int(np.clip(v, 8, size)) for v in (side * aspect, side / aspect))
    roll = rng.random()
    if roll < 0.55:
        picture = random_texture(rng, size)[:h, :w]
    elif roll < 0.8:
        picture = photo_crop(materials, rng, size)[:h, :w]
    else:
        picture = _plain_plate(rng, w, h)
    corners = random_pose(rng, w, h, steep=0.6)
    corners += rng.uniform(-0.1, 1.1, 2) * size - corners.mean(0)
    warp = onto(corners, w, h)
    cover = cv2.warpPerspective(np.full((h, w), 255, np.uint8), warp, (size, size))
    moved = cv2.warpPerspective(picture, warp, (size, size))
    alpha = cover.astype(np.float32) / 255 * rng.uniform(0.6, 1.0)
    canvas.image += (moved.astype(np.float32) - canvas.image) * alpha


def _plain_plate(rng: np.random.Generator, w: int, h: int) -> Grey:
    plate = np.full((h, w), rng.integers(0, 256), np.uint8)
    for inset in range(int(rng.integers(0, 3))):
        t = int(rng.integers(1, max(2, min(w, h) // 8)))
        cv2.rectangle(
            plate,
            (inset * 2 * t, inset * 2 * t, w - 4 * inset * t, h - 4 * inset * t),
            int(rng.integers(256)),
            t,
        )
    return plate
