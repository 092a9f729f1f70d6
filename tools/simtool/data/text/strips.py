"""Training strips for a reader: upright pictures of one line, and what it says.

All are cut by the very code that cuts strips at run time. Most are drawn straight: one line on a
piece of photo, texture or plain ground, photographed, and cut by a quad that is off as quads are.
The rest come out of whole scenes by the quads that a localizer finds there. Some hold Chinese or
bare ground, to be read as nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simrun.recognition.strips import cut_strip
from simrun.result import Quad
from simtool.data.labels import STRIPS, fold, least_steps
from simtool.data.text.camera import photograph
from simtool.data.text.canvas import Grey, SceneMaterials
from simtool.data.text.glyphs import Face
from simtool.data.text.legibility import Legible
from simtool.data.text.line_ink import (
    LineInk,
    bent,
    counter,
    handwritten,
    nothing,
    pick_faces,
    weighted,
    written,
)
from simtool.data.text.line_painting import LinePainter
from simtool.data.text.line_pose import LinePose, Points, loose_quad
from simtool.data.text.phrases import Phrases, cased, digits
from simtool.data.text.scene_strips import Locate, labelled_quads

_LONGEST: Final = STRIPS.greatest_width * 0.8
"""Wider strips are not trained on."""
_BENT: Final = 0.08
"""Share of the lines that stand on an arc or a wave."""


@dataclass(frozen=True, slots=True)
class Strip:
    """A strip (`STRIPS.height`, W) uint8 and what it says, folded; "" for nothing."""

    image: Grey
    label: str


@dataclass(frozen=True, slots=True)
class Shares:
    """Which strips there are; what is left over is Latin text drawn straight.

    Attributes:
        scenes: cut from scenes by a localizer's quads.
        chinese: Chinese lines, to be read as nothing.
        ground: bare ground, to be read as nothing.
        mnist: lines of handwritten digits.
        counters: digits in windows, one by one.
    """

    scenes: float = 0.14
    chinese: float = 0.045
    ground: float = 0.045
    mnist: float = 0.02
    counters: float = 0.05


class StripMaker:
    """Makes strips, shard by shard, from a material and a seed."""

    def __init__(
        self,
        materials: SceneMaterials,
        packages: Sequence[Sequence[Face]],
        seed: int,
        locate: Locate | None = None,
        shares: Shares | None = None,
        legible: Legible | None = None,
    ) -> None:
        """Draw on a material.

        Args:
            materials: words, photos, digits, pictograms and Chinese fonts.
            packages: the Latin fonts.
            seed: of the sequence of shards.
            locate: cuts the scenes; None makes none.
            shares: which strips there are.
            legible: what text must be like to be trained on.
        """
        self._materials = materials
        self._packages = packages
        self._seed = seed
        self._locate = locate
        self._shares = shares or Shares()
        self._legible = legible or Legible()
        self._phrases = Phrases(materials.words)

    def shard(self, index: int, count: int) -> list[Strip]:
        """Shard `index` of the seed's sequence: same arguments, same strips."""
        rng = np.random.default_rng((self._seed, index))
        pen = self._pen(rng)
        strips: list[Strip] = []
        if self._locate is not None:
            wanted = round(count * self._shares.scenes)
            for strip in self._from_scenes(self._locate, pen.faces, rng):
                if len(strips) >= wanted:
                    break
                strips.append(strip)
        while len(strips) < count:
            straight = self._straight(pen, rng)
            if straight is not None:
                strips.append(straight)
        return strips

    def digit_strings(self, index: int, count: int, legible: Legible) -> list[Strip]:
        """Four to eight digits, on plates and on counters in turns: a test."""
        rng = np.random.default_rng((self._seed, index, 1))
        pen = replace(self._pen(rng), legible=legible)
        strips: list[Strip] = []
        while len(strips) < count:
            text = "".join(str(d) for d in rng.integers(0, 10, int(rng.integers(4, 9))))
            strip = pen.counted(text, rng) if len(strips) % 2 else pen.written(text, rng)
            if strip is not None:
                strips.append(strip)
        return strips

    def _pen(self, rng: np.random.Generator) -> _Pen:
        faces = pick_faces(self._packages, rng)
        painter = LinePainter.pick(self._materials.photos, faces, rng)
        return _Pen(self._materials, faces, painter, self._legible)

    def _from_scenes(
        self, locate: Locate, faces: Sequence[Face], rng: np.random.Generator
    ) -> Iterator[Strip]:
        packages = [[face] for face in faces]
        for image, quad, text in labelled_quads(self._materials, locate, rng, packages):
            label, strip = fold(text), cut_strip(image, quad, STRIPS)
            if strip.shape[1] <= _LONGEST and _has_steps(strip, label):
                yield Strip(strip, label)

    def _straight(self, pen: _Pen, rng: np.random.Generator) -> Strip | None:
        kind = rng.random()
        shares = self._shares
        if kind < shares.ground:
            return pen.bare(rng)
        kind -= shares.ground
        if kind < shares.chinese:
            return pen.chinese(rng)
        kind -= shares.chinese
        if kind < shares.mnist:
            return pen.handwritten(rng)
        kind -= shares.mnist
        if kind < shares.counters:
            return pen.counted(digits(rng), rng)
        return pen.written(cased(self._phrases.line(rng), rng), rng)


@dataclass(frozen=True, slots=True)
class _Pen:
    """What the straight lines of one shard are written with; each way may fail, and gives None."""

    materials: SceneMaterials
    faces: Sequence[Face]
    painter: LinePainter
    legible: Legible

    def written(self, text: str, rng: np.random.Generator) -> Strip | None:
        """Text in one of the fonts; what the font lacks is left out, if that is no character."""
        face = self.faces[int(rng.integers(len(self.faces)))]
        label = fold(text)
        if not face.has(text):
            text = label
        if not label or not face.has(text):
            return None
        return self._shown(written(face, text, rng), label, rng)

    def chinese(self, rng: np.random.Generator) -> Strip | None:
        """A line of Chinese, read as nothing."""
        hanzi = self.materials.hanzi
        picked = rng.integers(0, len(hanzi), int(rng.integers(1, 11)))
        text = "".join(hanzi[int(i)] for i in picked)
        face = self.materials.cjk[int(rng.integers(len(self.materials.cjk)))]
        return self._shown(written(face, text, rng), "", rng) if face.has(text) else None

    def handwritten(self, rng: np.random.Generator) -> Strip | None:
        """A line of MNIST's digits."""
        ink, label = handwritten(self.materials, rng)
        return self._shown(ink, label, rng)

    def counted(self, text: str, rng: np.random.Generator) -> Strip | None:
        """Digits in the windows of a counter."""
        face = self.faces[int(rng.integers(len(self.faces)))]
        return self._shown(counter(face, text, rng), text, rng)

    def bare(self, rng: np.random.Generator) -> Strip | None:
        """Ground without text, a pictogram on it at times."""
        return self._shown(nothing(self.materials, rng), "", rng)

    def _shown(self, ink: LineInk | None, label: str, rng: np.random.Generator) -> Strip | None:
        """The ink drawn, photographed and cut out."""
        if ink is None:
            return None
        lowest, highest = self.legible.least_height, self.legible.greatest_height
        height = float(np.exp(rng.uniform(np.log(lowest), np.log(highest))))
        if ink.cover.shape[1] / ink.cover.shape[0] * STRIPS.height > _LONGEST:
            return None
        small = _varied(ink, height, rng)
        pose = LinePose.pick(small.cover.shape[1], small.cover.shape[0], rng)
        scene, cover = self.painter.paint(small, pose, rng)
        painted = np.clip(scene, 0, 255).astype(np.uint8)
        image = photograph(scene, rng)
        quad = _corners(loose_quad(pose.corners, rng))
        strip, before, inked = (cut_strip(one, quad, STRIPS) for one in (image, painted, cover))
        if not _has_steps(strip, label) or (label and not self.legible(strip, before, inked)):
            return None
        return Strip(strip, label)


def _varied(ink: LineInk, height: float, rng: np.random.Generator) -> LineInk:
    """The ink at that height, stretched, and bent or of another weight where it has no windows."""
    cover = bent(ink.cover, rng) if ink.windows is None and rng.random() < _BENT else ink.cover
    stretch = float(np.exp(rng.normal(0, 0.15)))
    if ink.windows is None:
        cover = weighted(cover, rng)
    return LineInk(cover, ink.windows).resized(height, stretch)


def stack_strips(images: Sequence[Grey]) -> NDArray[np.uint8]:
    """A batch (N, 1, H, W) of strips of about one width, (H, W) each: their last columns go on."""
    width = max(image.shape[1] for image in images)
    padded = [np.pad(i, ((0, 0), (0, width - i.shape[1])), mode="edge") for i in images]
    return np.stack(padded)[:, np.newaxis]


def _has_steps(strip: Grey, label: str) -> bool:
    """Whether a reader gives outputs enough along a strip to say its label."""
    return bool(strip.shape[1] / STRIPS.stride >= least_steps(label))


def _corners(quad: Points) -> Quad:
    first, second, third, fourth = ((float(x), float(y)) for x, y in quad)
    return first, second, third, fourth
