"""Reading a region: cut it out, make it look like the training pictures, classify it.

The classifier learned bright ink on a dark ground, centred, at one size. A crop from a photo has
either polarity, any contrast and any size, and may hold several characters: it is turned upright,
split into characters, and each is normalised by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simrun.images.read import Image
from simrun.inference.session import Engine
from simrun.recognition.crops import _square_crop, character_crops, rectify
from simrun.result import Quad, Reading

_BATCH: Final = 64
"""Crops that are classified at once."""


def read_regions(
    engine: Engine,
    classes: Sequence[str],
    crop_size: int,
    grey: Image,
    quads: Sequence[Quad],
) -> list[Reading]:
    """Read each region of a frame, all characters in one batch.

    Args:
        engine: `crops` (N, 1, S, S) uint8 -> `logits` (N, C).
        classes: labels of the C outputs.
        crop_size: S.
        grey: the frame, (H, W) uint8.
        quads: regions in frame pixels.

    Returns:
        Characters from left to right, and the mean of their probabilities.
    """
    glyphs = [character_crops(rectify(grey, quad), crop_size) for quad in quads]
    flat = [glyph for region in glyphs for glyph in region]
    if not flat:
        return [Reading("", 0.0) for _ in quads]
    probabilities = _probabilities(engine, np.stack(flat)[:, None])
    best = probabilities.argmax(axis=1)
    readings, at = [], 0
    for region in glyphs:
        rows = range(at, at + len(region))
        at += len(region)
        text = "".join(classes[best[i]] for i in rows)
        sure = [float(probabilities[i, best[i]]) for i in rows]
        readings.append(Reading(text, float(np.mean(sure)) if sure else 0.0))
    return readings


def label_regions(
    engine: Engine,
    classes: Sequence[str],
    crop_size: int,
    frame: Image,
    quads: Sequence[Quad],
) -> list[Reading]:
    """Name the thing in each region of a frame: one label a region, all in one batch.

    Args:
        engine: `crops` (N, 1, S, S) or (N, 3, S, S) uint8, grey or RGB -> `logits` (N, C).
        classes: labels of the C outputs.
        crop_size: S.
        frame: (H, W) grey or (H, W, 3) RGB, uint8.
        quads: regions in frame pixels.
    """
    if not quads:
        return []
    crops = np.stack([_square_crop(frame, quad, crop_size) for quad in quads])
    planes = crops[:, np.newaxis] if crops.ndim == 3 else crops.transpose(0, 3, 1, 2)
    probabilities = _probabilities(engine, planes)
    best = probabilities.argmax(axis=1)
    return [
        Reading(classes[index], float(row[index]))
        for row, index in zip(probabilities, best, strict=True)
    ]


def _probabilities(engine: Engine, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities (N, C) of crops (N, K, S, S), a batch of bounded size at a time.

    A page of text has thousands of characters; in one batch they would take hundreds of megabytes,
    which ONNX Runtime keeps.
    """
    parts = [crops[at : at + _BATCH] for at in range(0, len(crops), _BATCH)]
    return _softmax(np.concatenate([engine.run(part) for part in parts]))


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)
