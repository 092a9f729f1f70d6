"""Makes docs/failures.jpg: where the model scene-text goes wrong, on scenes it never saw.

python docs/make_failures.py MATERIAL

MATERIAL is what `simtool fetch scene-text` wrote. Of `COUNT` generated scenes (text on procedural
textures, no photo in them), the four with the largest false alarms make the upper row, the four
with the most text missed the lower one. Red: wrong; green: right.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun import Localizer
from simrun.errors import SimError
from simrun.images.read import Image
from simtool.data.labels import STRIDE
from simtool.data.text.canvas import SceneConfig, SceneMaterials, TextScene
from simtool.data.text.material import load_materials
from simtool.data.text.scenes import make_scene
from simtool.data.text.textures import random_texture

COUNT = 500
SEED = 1_000_004
COLUMNS = 4
ENLARGED = 1.5
READABLE_PX = 9.0
"""Lower lines are hard for people too: missing them is no failure to show."""
RED, GREEN = (60, 60, 255), (80, 220, 80)


@dataclass(frozen=True)
class Outcome:
    """A scene and what was made of it. Masks are (h, w) bool, on the labels' cells."""

    scene: TextScene
    quads: tuple[NDArray[np.float32], ...]
    false: tuple[bool, ...]
    """For each quad, whether it lies on no text at all; one that lies on nothing but cells that
    do not count is not judged."""
    missed: NDArray[np.bool_]

    @property
    def readable(self) -> int:
        """Cells of text that can be read."""
        labels = self.scene.labels
        return int(((labels > 0) & (self.scene.heights >= READABLE_PX)).sum())

    @property
    def false_cells(self) -> int:
        """Cells of the largest false alarm."""
        pairs = zip(self.quads, self.false, strict=True)
        covers = [cover(quad, self.missed.shape).sum() for quad, wrong in pairs if wrong]
        return int(max(covers, default=0))


def cover(quad: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Cells that a quad in pixels covers."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(mask, np.round(quad / STRIDE).astype(np.int32), 1)
    return mask.astype(bool)


def judge(scene: TextScene, localizer: Localizer) -> Outcome:
    """Localize one scene and compare with what the generator put there."""
    regions = localizer(scene.image).regions
    quads = tuple(np.array(region.quad, np.float32) for region in regions)
    text = scene.labels > 0
    found = np.zeros(text.shape, bool)
    false = []
    for quad in quads:
        cells = cover(quad, text.shape)
        found |= cells
        counted = scene.labels[cells] >= 0
        false.append(bool(counted.any()) and not text[cells].any())
    return Outcome(scene, quads, tuple(false), text & ~found & (scene.heights >= READABLE_PX))


def draw(outcome: Outcome) -> Image:
    """The scene, enlarged, with right and wrong quads and the windows that were missed."""
    picture = cv2.cvtColor(outcome.scene.image, cv2.COLOR_GRAY2BGR)
    picture = cv2.resize(picture, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_LINEAR)
    missed = cv2.resize(
        outcome.missed.astype(np.uint8), picture.shape[1::-1], interpolation=cv2.INTER_NEAREST
    )
    picture[missed > 0] = picture[missed > 0] // 2 + np.array(RED, np.uint8) // 2
    for quad, wrong in zip(outcome.quads, outcome.false, strict=True):
        corners = np.round(quad * ENLARGED).astype(np.int32)
        cv2.polylines(picture, [corners], True, RED if wrong else GREEN, 2, cv2.LINE_AA)
    return np.asarray(cv2.copyMakeBorder(picture, 3, 3, 3, 3, cv2.BORDER_CONSTANT), np.uint8)


def judge_scenes(materials: SceneMaterials) -> list[Outcome]:
    """What the model makes of `COUNT` scenes on textures: no photo is in them."""
    rng = np.random.default_rng(SEED)
    materials = replace(materials, photos=[random_texture(rng, 512) for _ in range(40)])
    localizer = Localizer.load()
    return [
        judge(make_scene(materials, SceneConfig(), SEED, number), localizer)
        for number in range(COUNT)
    ]


def main() -> None:
    """Judge the scenes, draw the worst and print how many are wrong; errors are one line."""
    parser = argparse.ArgumentParser(description="Draw where scene-text goes wrong.")
    parser.add_argument("material", type=Path, help="folder that `simtool fetch scene-text` wrote")
    try:
        outcomes = judge_scenes(load_materials(parser.parse_args().material))
    except SimError as error:
        sys.exit(f"make_failures: {error}")
    false = sorted(outcomes, key=lambda o: -o.false_cells)[:COLUMNS]
    missed = sorted(outcomes, key=lambda o: -int(o.missed.sum()))[:COLUMNS]
    rows = [np.hstack([draw(outcome) for outcome in row]) for row in (false, missed)]
    target = str(Path(__file__).parent / "failures.jpg")
    cv2.imwrite(target, np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 85])
    alarms = sum(any(outcome.false) for outcome in outcomes)
    print(f"{alarms} of {COUNT} scenes with a false alarm")
    missing = sum(int(outcome.missed.sum()) for outcome in outcomes)
    print(f"{missing / sum(o.readable for o in outcomes):.1%} of text windows missed")


if __name__ == "__main__":
    main()
