"""Training scenes for `scene-text`: text on photos, with the class of every window.

A scene is a grey picture and, for each position of the network's stride-4 output, the class of
the character whose window is centred there, "no text", or "do not count". The labels come from
what the generator itself placed; nobody marks anything on a photo.
"""

from __future__ import annotations

import numpy as np

from simtool.data.text.background import make_background, paste_distractor
from simtool.data.text.blocks import Block, icon_ink, make_block
from simtool.data.text.camera import photograph
from simtool.data.text.canvas import Canvas, SceneConfig, SceneMaterials, TextScene
from simtool.data.text.labelling import claim, label
from simtool.data.text.painting import paint
from simtool.data.text.poses import expanded, onto, random_pose


def make_scene(materials: SceneMaterials, config: SceneConfig, seed: int, index: int) -> TextScene:
    """Scene `index` of the sequence that `seed` names: same arguments, same scene."""
    rng = np.random.default_rng((seed, index))
    canvas = Canvas(make_background(materials, rng, config.size), config)
    for _ in range(int(rng.integers(0, 5))):
        paste_distractor(canvas, materials, rng)
    if rng.random() >= config.no_text:
        _place_blocks(canvas, materials, rng)
    if rng.random() < config.icons:
        _place_icons(canvas, materials, rng)
    image = photograph(canvas.image, rng)
    return TextScene(image, canvas.labels, canvas.heights.astype(np.float16))


def _place_blocks(canvas: Canvas, materials: SceneMaterials, rng: np.random.Generator) -> None:
    wanted = int(rng.integers(1, 9))
    for _ in range(wanted + 2):
        low, high = canvas.config.min_text_height, canvas.config.max_text_height
        height = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        block = make_block(canvas, materials, rng, height)
        if block is not None and any(
            _place(canvas, materials, block, height, rng) for _ in range(4)
        ):
            wanted -= 1
        if wanted == 0:
            return


def _place_icons(canvas: Canvas, materials: SceneMaterials, rng: np.random.Generator) -> None:
    """Pictograms where no text is, drawn like text and labelled "no text"."""
    for _ in range(int(rng.integers(1, 6))):
        height = float(np.exp(rng.uniform(np.log(8), np.log(110))))
        icon = icon_ink(materials, rng, height)
        if icon is not None:
            _place(canvas, materials, Block(icon, []), height, rng)


def _place(
    canvas: Canvas,
    materials: SceneMaterials,
    block: Block,
    height: float,
    rng: np.random.Generator,
) -> bool:
    """Draw `block` somewhere free and label it; False where it found no free place."""
    size, (h, w) = canvas.config.size, block.ink.shape
    corners = random_pose(rng, w, h, steep=0.25)
    margin = 0.3 * size
    corners += rng.uniform(-0.05, 1.05, 2) * size - corners.mean(0)
    low, high = corners.min(0), corners.max(0)
    if (high - low).max() < size:
        corners += np.clip(0, -low - margin * 0.2, None) - np.clip(
            high - size - margin * 0.2, 0, None
        )
    if not claim(canvas, expanded(corners, h, w, 0.35 * height)):
        return False
    warp = onto(corners, w, h)
    paint(canvas, materials, block, warp, corners, height, rng)
    label(canvas, block, warp)
    return True
