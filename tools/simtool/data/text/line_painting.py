"""One line painted onto its ground: plates, outlines, shadows, neighbours, scratches.

Scenes of many lines are painted by `painting`; here the picture is a single line's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simtool.data.labels import CHARACTERS
from simtool.data.text.canvas import Grey
from simtool.data.text.glyphs import Face, render_line
from simtool.data.text.line_ink import EM_SIZES, LineInk, resized
from simtool.data.text.line_pose import LinePose, Points
from simtool.data.text.painting import blend, contrasting, disc, draw_frame, fill_polygon
from simtool.data.text.textures import random_texture

Scene = NDArray[np.float32]
"""(h, w), painted in place; 0..255, and a little beyond."""

TEXTURES: Final = 60
"""Procedural textures made at a time."""
_NEIGHBOURS: Final = 0.35
_SCRATCHES: Final = 0.06
_PLATES: Final = 0.3
"""Shares of the lines."""


@dataclass(frozen=True, slots=True)
class LinePainter:
    """What lines stand on and beside."""

    photos: Sequence[Grey]
    textures: Sequence[Grey]
    faces: Sequence[Face]
    """Of the lines next to the one that is to be read."""

    @classmethod
    def pick(
        cls, photos: Sequence[Grey], faces: Sequence[Face], rng: np.random.Generator
    ) -> LinePainter:
        """With `TEXTURES` textures made anew."""
        return cls(photos, [random_texture(rng, 256) for _ in range(TEXTURES)], faces)

    def paint(self, ink: LineInk, pose: LinePose, rng: np.random.Generator) -> tuple[Scene, Grey]:
        """The line in its picture before it is photographed, and the coverage by its ink."""
        cover = pose.warp(ink.cover)
        scene = self._ground(cover.shape, rng)
        if ink.windows is not None:
            behind = pose.warp(ink.windows).astype(np.float32) / 255
            scene += (np.float32(rng.uniform(0, 255)) - scene) * behind
        if rng.random() < (_PLATES if ink.windows is None else 0.0):
            _plate(scene, pose, rng)
        self._line(scene, cover, pose.size[1], rng)
        if rng.random() < _NEIGHBOURS:
            self._neighbours(scene, pose, rng)
        if rng.random() < _SCRATCHES:
            _scratch(scene, rng)
        return scene, cover

    def _ground(self, shape: tuple[int, ...], rng: np.random.Generator) -> Scene:
        """What the text stands on: a piece of a photo or a texture, or a plain shade."""
        h, w = shape[:2]
        roll = rng.random()
        if roll < 0.33:
            photo = self.photos[int(rng.integers(len(self.photos)))]
            ground = _piece(photo, h, w, rng, float(np.exp(rng.uniform(-0.7, 1.1))))
        elif roll < 0.48:
            texture = self.textures[int(rng.integers(len(self.textures)))]
            ground = _piece(texture, h, w, rng, float(np.exp(rng.uniform(-1.2, 0.3))))
        else:
            ground = _gradient(h, w, rng)
        if rng.random() < 0.4:
            ground = ground * np.float32(rng.uniform(0.2, 1)) + np.float32(rng.uniform(0, 120))
        return ground

    def _line(self, scene: Scene, cover: Grey, height: float, rng: np.random.Generator) -> None:
        """Outline or shadow, then the letters in a plain, textured or fading shade, or hollow."""
        spot = cover > 60
        around = scene[spot] if spot.any() else scene
        shade = contrasting(float(around.mean()), rng, float(around.std()) * rng.uniform(0.5, 1))
        _halo(scene, cover, shade, height, rng)
        fill: Scene | float = shade
        roll = rng.random()
        if roll < 0.1:
            texture = self.textures[int(rng.integers(len(self.textures)))]
            h, w = scene.shape
            piece = _piece(texture, h, w, rng, 0.5)
            fill = shade + (piece - piece.mean()) * np.float32(rng.uniform(0.1, 0.5))
        elif roll < 0.2:
            lean = rng.uniform(-50, 50)
            fill = shade + np.linspace(-lean, lean, scene.shape[0], dtype=np.float32)[:, None]
        alpha = cover.astype(np.float32)
        if rng.random() < 0.08 and height > 22:
            inner = cv2.erode(cover, np.ones((3, 3), np.uint8))
            alpha = alpha - inner.astype(np.float32) * np.float32(rng.uniform(0.7, 1))
        blend(scene, fill, alpha, rng.uniform(0.75, 1.0))

    def _neighbours(self, scene: Scene, pose: LinePose, rng: np.random.Generator) -> None:
        """Other lines above, below or beside, of which the cut may show a part."""
        w, height = pose.size
        for _ in range(int(rng.integers(1, 3))):
            face = self.faces[int(rng.integers(len(self.faces)))]
            picked = rng.integers(0, len(CHARACTERS), int(rng.integers(3, 14)))
            line = render_line(face, "".join(CHARACTERS[int(i)] for i in picked), EM_SIZES[0])
            if line is None:
                continue
            ink = resized(line.ink, height * float(rng.uniform(0.5, 1.2)), 1.0)
            gap = height * rng.uniform(0.18, 0.6)
            side = rng.random()
            if side < 0.45:
                at = (rng.uniform(-0.3, 0.3) * w, height + gap)
            elif side < 0.9:
                at = (rng.uniform(-0.3, 0.3) * w, -gap - ink.shape[0])
            else:
                at = (w + gap + height * 0.5, rng.uniform(-0.1, 0.1) * height)
            cover = pose.warp(ink, at)
            blend(scene, contrasting(float(scene.mean()), rng), cover, 1.0)


def _piece(photo: Grey, h: int, w: int, rng: np.random.Generator, zoom: float) -> Scene:
    """A random part of a photo, (h, w) float32, of `zoom` times as many pixels a side there."""
    zoom = min(zoom, photo.shape[0] / h, photo.shape[1] / w)
    rows, columns = max(1, int(h * zoom)), max(1, int(w * zoom))
    y = int(rng.integers(0, photo.shape[0] - rows + 1))
    x = int(rng.integers(0, photo.shape[1] - columns + 1))
    part = photo[y : y + rows, x : x + columns]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    how = cv2.INTER_AREA if zoom > 1 else cv2.INTER_LINEAR
    return cv2.resize(part, (w, h), interpolation=how).astype(np.float32)


def _gradient(h: int, w: int, rng: np.random.Generator) -> Scene:
    """A plain shade, or one that passes into another."""
    ground = np.full((h, w), rng.uniform(0, 255), np.float32)
    if rng.random() < 0.5:
        lean = rng.normal(0, 60, 2)
        ground += np.linspace(-lean[0], lean[0], h, dtype=np.float32)[:, None]
        ground += np.linspace(-lean[1], lean[1], w, dtype=np.float32)
    return np.asarray(np.clip(ground, 0, 255), np.float32)


def _plate(scene: Scene, pose: LinePose, rng: np.random.Generator) -> None:
    """A plate below the line, with a frame at times, which may touch the text."""
    height = pose.size[1]
    hull = _widened(pose.corners, height * rng.uniform(0.04, 0.6, 2))
    strength = rng.uniform(0.6, 1.0)
    fill_polygon(scene, hull, float(rng.uniform(0, 255)), strength)
    if rng.random() < 0.5:
        draw_frame(scene, hull, height, rng)


def _widened(corners: Points, pads: Points) -> Points:
    """Corners moved outwards by pads (2,) pixels, across and down."""
    middle = corners.mean(0)
    lengths = np.maximum(np.ptp(corners, axis=0) / 2, 1)
    return np.asarray(middle + (corners - middle) * (1 + pads / lengths), np.float64)


def _halo(scene: Scene, cover: Grey, shade: float, height: float, rng: np.random.Generator) -> None:
    """An outline, a shadow or a thickness of the letters, at times."""
    roll = rng.random()
    if roll > 0.38:
        return
    if roll < 0.14:
        halo = np.asarray(
            cv2.dilate(cover, disc(max(1, round(height * rng.uniform(0.02, 0.08))))), np.uint8
        )
    else:
        offset = rng.uniform(-0.1, 0.1, 2) * height
        halo = np.zeros_like(cover)
        for step in (1.0, 0.5) if roll < 0.24 else (1.0,):
            shift = np.array([[1, 0, offset[0] * step], [0, 1, offset[1] * step]], np.float32)
            halo = np.maximum(halo, cv2.warpAffine(cover, shift, cover.shape[::-1]))
        if roll > 0.31:
            halo = np.asarray(cv2.GaussianBlur(halo, (0, 0), max(0.5, height * 0.05)), np.uint8)
    strength = rng.uniform(0.3, 1.0)
    blend(scene, contrasting(shade, rng), halo, strength)


def _scratch(scene: Scene, rng: np.random.Generator) -> None:
    """Wires, cracks or the edge of a shadow across the line."""
    h, w = scene.shape
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 4))):
            ends = (rng.uniform(0, 1, (2, 2)) * [w, h] * 16).astype(int)
            shade = float(rng.uniform(0, 255))
            cv2.line(scene, ends[0].tolist(), ends[1].tolist(), shade, 1, cv2.LINE_AA, 4)
        return
    edge = (rng.uniform(-0.2, 1.2, (3, 2)) * [w, h]).astype(np.int32)
    dark = np.zeros(scene.shape, np.uint8)
    cv2.fillPoly(dark, [edge], 255, cv2.LINE_AA)
    scene *= 1 - dark.astype(np.float32) * np.float32(rng.uniform(0.2, 0.6) / 255)
