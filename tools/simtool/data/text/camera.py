"""What a camera does to a scene: uneven light, exposure, blur, noise and JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(H, W), or (H, W, 3) where the scene has colour."""


def photograph(scene: NDArray[np.float32], rng: np.random.Generator) -> Picture:
    """Uneven light, exposure, blur, noise and JPEG, of a scene (H, W) or (H, W, 3)."""
    if rng.random() < 0.5:
        light = rng.uniform(0.45, 1.25, (int(rng.integers(2, 5)), int(rng.integers(2, 5)))).astype(
            np.float32
        )
        spread = cv2.resize(light, scene.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        scene = scene * (spread if scene.ndim == 2 else spread[..., np.newaxis])
    if rng.random() < 0.4:
        gamma = np.float32(np.exp(rng.normal(0, 0.35)))
        scene = np.asarray(255 * np.clip(scene / 255, 0, 1) ** gamma, np.float32)
    scene = _focus(scene.astype(np.float32), rng)
    if rng.random() < 0.7:
        noise = rng.standard_normal(scene.shape, np.float32)
        scene = scene + noise * np.float32(rng.gamma(2.0, 2.0))
    out = np.clip(scene, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = int(rng.integers(25, 96))
        coded = cv2.imencode(".jpg", out, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
        out = np.asarray(cv2.imdecode(coded, cv2.IMREAD_UNCHANGED), np.uint8)
    return out


def _focus(scene: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Out of focus, moved, sharpened or as it is."""
    roll = rng.random()
    if roll < 0.55:
        spread = rng.uniform(0.3, 1.1 if roll < 0.45 else 2.0)
        return np.asarray(cv2.GaussianBlur(scene, (0, 0), spread), np.float32)
    if roll < 0.62:
        return np.asarray(cv2.filter2D(scene, -1, _motion(rng)), np.float32)
    if roll < 0.75:
        soft = np.asarray(cv2.GaussianBlur(scene, (0, 0), 1.2), np.float32)
        return scene + (scene - soft) * np.float32(rng.uniform(0.3, 1.2))
    return scene


def _motion(rng: np.random.Generator) -> NDArray[np.float32]:
    kernel = np.zeros((9, 9), np.float32)
    reach, angle = rng.uniform(1, 4), rng.uniform(0, np.pi)
    tip = reach * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(int(v) for v in np.round((4 + s * tip) * 16)) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    return kernel / max(float(kernel.sum()), 1e-6)
