"""The ink of one line of text before it is put anywhere: of a font, by hand, or of a counter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from simtool.data.text.blocks import icon_ink
from simtool.data.text.canvas import Grey, SceneMaterials
from simtool.data.text.glyphs import Face, digit_line, render_line
from simtool.data.text.painting import disc

EM_SIZES: Final = (24, 40, 60)
"""Glyphs are drawn at these sizes and then brought to the size that is wanted."""
FACES_A_SHARD: Final = 150
"""Faces drawn from at a time: as many sized fonts as the glyph cache holds."""
PLAIN_SHARE: Final = 0.45
"""Share of these faces that are of the plain kind that signs are mostly set in."""
# fmt: off
PLAIN: Final = (
    "Liberation", "DejaVu", "Roboto", "OpenSans", "NimbusSans", "NimbusRoman", "C059", "P052",
    "texgyre", "Free", "Lato", "ClearSans", "Roadgeek", "Cabin", "Gillius", "Bebas", "Allerta",
    "LinLibertine", "LinBiolinum", "Quattrocento", "Cantarell", "Dosis", "Karla", "Jura", "Sora",
    "Yanone", "opendin", "OpenDin", "RobotoSlab", "EBGaramond", "OldStandard", "Baskervald",
    "Universalis", "Ubuntu", "Comfortaa", "Junction", "Tuffy", "RG2014", "OSP-DIN", "allerta",
    "LeagueSpartan", "Verana", "Ikarius", "Tribun",
)
# fmt: on
"""How the names of their files begin."""


@dataclass(frozen=True, slots=True)
class LineInk:
    """A line as it is written.

    Attributes:
        cover: (h, w) uint8, coverage by ink, 0..255.
        windows: the same of a counter's windows, each behind a digit; None where there are none.
    """

    cover: Grey
    windows: Grey | None = None

    def resized(self, height: float, stretch: float) -> LineInk:
        """Of another height in pixels, and `stretch` times as wide as that makes it."""
        windows = None if self.windows is None else resized(self.windows, height, stretch)
        return LineInk(resized(self.cover, height, stretch), windows)


def pick_faces(packages: Sequence[Sequence[Face]], rng: np.random.Generator) -> list[Face]:
    """`FACES_A_SHARD` faces, one after another, so many of them plain."""
    plain = [p for p in packages if p[0].path.parts[-1].startswith(PLAIN)] or packages
    faces = []
    for k in range(FACES_A_SHARD):
        some = plain if k < FACES_A_SHARD * PLAIN_SHARE else packages
        package = some[int(rng.integers(len(some)))]
        faces.append(package[int(rng.integers(len(package)))])
    return faces


def written(face: Face, text: str, rng: np.random.Generator) -> LineInk | None:
    """Text in a font at some tracking; None where the face leaves no ink."""
    line = render_line(face, text, int(rng.choice(EM_SIZES)), _tracking(rng))
    return None if line is None else LineInk(line.ink)


def handwritten(materials: SceneMaterials, rng: np.random.Generator) -> tuple[LineInk, str]:
    """A line of MNIST's digits, and what it says."""
    picked = rng.integers(0, len(materials.digits), int(rng.integers(1, 8)))
    labels = materials.digit_labels[picked]
    line = digit_line(materials.digits[picked], labels, 40, float(rng.uniform(0, 0.3)))
    return LineInk(line.ink), "".join(str(d) for d in labels)


def counter(face: Face, text: str, rng: np.random.Generator) -> LineInk | None:
    """Digits of a counter, each in a window of its own, some a little up or down.

    None where the face lacks one.
    """
    glyphs = {c: render_line(face, c, EM_SIZES[1]) for c in set(text)}
    inks = [line.ink for line in (glyphs[c] for c in text) if line is not None]
    if len(inks) < len(text):
        return None
    tall, wide = max(i.shape[0] for i in inks), max(i.shape[1] for i in inks)
    cell = round(wide * rng.uniform(1.1, 1.9))
    high = round(tall * rng.uniform(1.15, 1.8))
    gap = int(rng.integers(1, max(2, cell // 4) + 1))
    cover, windows = np.zeros((2, high, (cell + gap) * len(inks) + gap), np.uint8)
    slip = rng.uniform(0, 0.1) * tall
    for k, glyph in enumerate(inks):
        x = gap + k * (cell + gap)
        windows[1:-1, x : x + cell] = 255
        h, w = glyph.shape
        y = int(np.clip((high - h) / 2 + rng.normal(0, slip), 0, high - h))
        at = x + max(0, (cell - w) // 2)
        cover[y : y + h, at : at + w] = glyph[:, : cover.shape[1] - at]
    return LineInk(cover, windows)


def nothing(materials: SceneMaterials, rng: np.random.Generator) -> LineInk | None:
    """No text: no ink at all, or now and then a pictogram, which may leave none."""
    if rng.random() < 0.3:
        icon = icon_ink(materials, rng, 40)
        return None if icon is None else LineInk(np.hstack([icon] * int(rng.integers(1, 4))))
    return LineInk(np.zeros((40, int(40 * np.exp(rng.uniform(-0.3, 2.2)))), np.uint8))


def resized(ink: Grey, height: float, stretch: float) -> Grey:
    """See `LineInk.resized`."""
    scale = height / ink.shape[0]
    size = (max(2, round(ink.shape[1] * scale * stretch)), max(3, round(height)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(ink, size, interpolation=how), np.uint8)


def weighted(ink: Grey, rng: np.random.Generator) -> Grey:
    """The letters bolder at times, until they touch, and seldom lighter."""
    roll = rng.random()
    if roll > 0.32:
        return ink
    reach = max(1, round(ink.shape[0] * rng.uniform(0.01, 0.06)))
    kernel = disc(reach)
    if roll > 0.26:
        thin = cv2.erode(ink, kernel[:3, :3])
        return np.asarray(thin if thin.mean() > 0.5 * ink.mean() else ink, np.uint8)
    return np.asarray(cv2.dilate(np.pad(ink, reach), kernel), np.uint8)


def bent(ink: Grey, rng: np.random.Generator) -> Grey:
    """The line along an arc or a wave."""
    h, w = ink.shape
    reach = float(rng.uniform(0.1, 0.45)) * h
    x = np.linspace(-1, 1, w, dtype=np.float32)
    wave = x * x if rng.random() < 0.7 else np.sin(x * rng.uniform(2, 6))
    lift = (wave - wave.min()) / max(float(np.ptp(wave)), 1e-6) * reach
    if rng.random() < 0.5:
        lift = reach - lift
    rows = np.arange(h + int(np.ceil(reach)), dtype=np.float32)[:, None] - lift.astype(np.float32)
    columns = np.broadcast_to(np.arange(w, dtype=np.float32), rows.shape)
    moved = cv2.remap(ink, np.ascontiguousarray(columns), rows, cv2.INTER_LINEAR)
    return np.asarray(moved, np.uint8)


def _tracking(rng: np.random.Generator) -> float:
    """Space between characters over the em: mostly none, at times wide or touching."""
    roll = rng.random()
    if roll < 0.6:
        return 0.0
    if roll < 0.72:
        return float(rng.uniform(-0.07, 0.0))
    return float(rng.uniform(0.02, 0.15) if roll < 0.92 else rng.uniform(0.15, 0.6))
