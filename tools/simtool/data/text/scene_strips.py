"""Strips cut out of whole scenes by the very quads that a localizer finds there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simrun.result import Quad
from simtool.data.text.background import make_background, paste_distractor
from simtool.data.text.blocks import Block, make_block
from simtool.data.text.camera import photograph
from simtool.data.text.canvas import Canvas, Grey, SceneConfig, SceneMaterials
from simtool.data.text.glyphs import CLASS_NAMES, OTHER_CHARACTER, Face, Line
from simtool.data.text.labelling import claim, moved
from simtool.data.text.line_pose import Points
from simtool.data.text.painting import paint
from simtool.data.text.poses import expanded, onto, random_pose

SCENES: Final = SceneConfig(
    min_text_height=13, max_text_height=90, cjk=0.12, mnist=0.04, no_text=0.1
)
_MOST_BLOCKS: Final = 8

Locate = Callable[[Grey], Sequence[Quad]]
"""The quads of the text in a grey picture (H, W)."""


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """A line where it lies in a scene."""

    quad: Points
    middles: Points
    """Of the characters' cells, (n, 2)."""
    classes: NDArray[np.int64]
    words: NDArray[np.int64]


def labelled_quads(
    materials: SceneMaterials,
    locate: Locate,
    rng: np.random.Generator,
    packages: Sequence[Sequence[Face]],
) -> Iterator[tuple[Grey, Quad, str]]:
    """Scene after scene, what is found in it, and what it says.

    Args:
        materials: what the scenes are made of.
        locate: finds text.
        rng: of the scenes.
        packages: the fonts, in place of the material's.

    Yields:
        A picture (H, W), a quad, and its text of 0-9, A-Z and others; "" where there is none. What
        nobody could tell is left out.
    """
    some = replace(materials, latin=packages)
    while True:
        image, placed = _scene(some, rng)
        for quad in locate(image):
            text = text_in(np.array(quad, np.float64), placed)
            if text is not None:
                yield image, quad, text


def _scene(materials: SceneMaterials, rng: np.random.Generator) -> tuple[Grey, list[PlacedLine]]:
    canvas = Canvas(make_background(materials, rng, SCENES.size), SCENES)
    for _ in range(int(rng.integers(0, 5))):
        paste_distractor(canvas, materials, rng)
    placed: list[PlacedLine] = []
    if rng.random() >= SCENES.no_text:
        for _ in range(int(rng.integers(2, _MOST_BLOCKS + 1))):
            low, high = SCENES.min_text_height, SCENES.max_text_height
            height = float(np.exp(rng.uniform(np.log(low), np.log(high))))
            block = make_block(canvas, materials, rng, height)
            if block is not None:
                placed += _place(canvas, materials, block, height, rng)
    return photograph(canvas.image, rng), placed


def _place(
    canvas: Canvas,
    materials: SceneMaterials,
    block: Block,
    height: float,
    rng: np.random.Generator,
) -> list[PlacedLine]:
    """Draw `block` somewhere free, nearly upright; its lines, none where it found no place."""
    size, (h, w) = canvas.config.size, block.ink.shape
    for _ in range(3):
        corners = random_pose(rng, w, h, steep=0.2)
        corners += rng.uniform(0.1, 0.9, 2) * size - corners.mean(0)
        low, high = corners.min(0), corners.max(0)
        corners += np.clip(-low, 0, None) * (high - low < size)
        corners -= np.clip(high - size, 0, None) * (high - low < size)
        if claim(canvas, expanded(corners, h, w, 0.35 * height)):
            break
    else:
        return []
    warp = onto(corners, w, h)
    paint(canvas, materials, block, warp, corners, height, rng)
    return [_placed(line, warp) for line in block.lines]


def _placed(line: Line, warp: NDArray[np.float64]) -> PlacedLine:
    x0, y0 = line.cells[:, :2].min(0)
    x1, y1 = line.cells[:, 2:].max(0)
    box = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    middles = (line.cells[:, :2] + line.cells[:, 2:]) / 2
    points = moved(np.concatenate([box, middles]).astype(np.float32), warp)
    return PlacedLine(points[:4], points[4:], line.classes, line.words)


def text_in(quad: Points, placed: Sequence[PlacedLine]) -> str | None:
    """What a reader of the quad should say; None where nobody could tell."""
    basis = np.linalg.inv(np.column_stack([quad[1] - quad[0], quad[3] - quad[0]]))
    width = max(float(np.hypot(*(quad[1] - quad[0]))), 1e-6)
    readable: tuple[PlacedLine, NDArray[np.bool_]] | None = None
    touched = 0
    for line in placed:
        at = (line.middles - quad[0]) @ basis.T  # 0 to 1 within the quad
        if not ((at > -0.25) & (at < 1.25)).all(1).any():
            continue
        touched += 1
        if _cut_in_half(line, at, width):
            return None
        inside = ((at > [0.0, 0.12]) & (at < [1.0, 0.88])).all(1)
        if inside.any() and _fills(line, quad, basis):
            if readable is not None:
                return None
            readable = line, inside
    if touched == 0:
        return ""
    return None if readable is None else _text_of(*readable)


def _cut_in_half(line: PlacedLine, at: Points, width: float) -> bool:
    """Whether an end of the quad, `width` pixels long, goes through a character."""
    if len(at) < 2:
        return False
    pitch = np.hypot(*np.diff(line.middles, axis=0).T).mean()
    return bool((np.abs(at[:, 0] * (1 - at[:, 0])) < 0.3 * pitch / width).any())


def _fills(line: PlacedLine, quad: Points, basis: NDArray[np.float64]) -> bool:
    """Whether a line is high enough in a quad to be the one that is meant, and upright in it."""
    corners = (line.quad - quad[0]) @ basis.T
    along, down = corners[1] - corners[0]
    return bool(abs(corners[3, 1] - corners[0, 1]) > 0.4 and along > abs(down))


def _text_of(line: PlacedLine, inside: NDArray[np.bool_]) -> str:
    text, last = "", None
    for kind, word, shown in zip(line.classes, line.words, inside, strict=True):
        if not shown:
            continue
        if last is not None and word != last:
            text += " "
        text += CLASS_NAMES[kind] if 0 < kind < OTHER_CHARACTER else ""
        last = word
    return text
