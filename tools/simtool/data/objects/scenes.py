"""Scenes: cut-outs at random places, sizes and angles on a background, with their labels.

Nobody marks anything: where a thing was laid is known to who lays it. A cell of the network's map
has the class of a thing where it lies on the thing's core, the middle 60 % of its box; the rest of
the box counts neither way; everywhere else is "nothing". Pieces of things and of backgrounds are
strewn first, in the same manner as things, and are "nothing": a pasted edge says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.progress import progress
from simrun.types import Singles
from simtool.data.dataset import LabelledImages
from simtool.data.labels import IGNORE, STRIDE
from simtool.data.objects.cutout import SIDE, Pixels
from simtool.data.objects.material import Material
from simtool.data.text.background import random_crop
from simtool.data.text.camera import photograph

SCENE_SIDE: Final = 128
"""Of a training scene, in pixels."""
SIZES: Final = (20.0, 60.0)
"""Least and largest longer side of a thing in a training scene, in pixels."""
_MOST_THINGS: Final = 5
_EMPTY: Final = 0.1
"""Share of scenes without a thing."""
_MOST_PIECES: Final = 5
_TURN: Final = 8.0
"""Deviation of the angle, in degrees."""
_CORE: Final = 0.6
_RIM: Final = 1.15
"""Share of a thing's box, about its middle, that does not count where it is no core."""
_TRIES: Final = 20
_HELD_OUT_SEED: Final = 1_000_003

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


@dataclass(frozen=True)
class Layout:
    """How large a scene is and what is on it."""

    height: int = SCENE_SIDE
    width: int = SCENE_SIDE
    sizes: tuple[float, float] = SIZES
    most: int = _MOST_THINGS
    """Things; from 1, or 0 in an empty scene."""


@dataclass(frozen=True)
class ObjectScene:
    """A composed picture."""

    image: Pixels = field(repr=False)
    """(H, W, C) uint8."""
    boxes: tuple[Box, ...]
    labels: tuple[int, ...]
    """Class of each box."""


def make_scene(material: Material, held_out: bool, index: int, layout: Layout) -> ObjectScene:
    """Scene `index` of one side of the split: same arguments, same scene."""
    rng = np.random.default_rng((_HELD_OUT_SEED if held_out else 0, index))
    grounds = material.backgrounds_of(held_out)
    image = _ground(grounds, rng, layout)
    pictures = np.flatnonzero(material.cutouts.held_out == held_out)
    for _ in range(int(rng.integers(0, _MOST_PIECES + 1))):
        _lay(image, _piece(material, pictures, grounds, rng), rng, layout, (0.4, 0.8), ())
    boxes: list[Box] = []
    labels: list[int] = []
    wanted = 0 if rng.random() < _EMPTY else int(rng.integers(1, layout.most + 1))
    for _ in range(wanted):
        label = int(rng.integers(len(material.cutouts.classes)))
        picture = rng.choice(pictures[material.cutouts.labels[pictures] == label])
        cutout = material.cutouts.images[picture]
        box = _lay(image, cutout, rng, layout, (1.0, 1.0), boxes)
        if box is not None:
            boxes.append(box)
            labels.append(label)
    taken = photograph(image[..., 0] if image.shape[2] == 1 else image, rng)
    return ObjectScene(taken.reshape(image.shape), tuple(boxes), tuple(labels))


def label_cells(scene: ObjectScene, nothing: int) -> NDArray[np.int64]:
    """(H / 4, W / 4): the class of each cell of the map, or `IGNORE`."""
    height, width = (-(-size // STRIDE) for size in scene.image.shape[:2])
    cells = np.full((height, width), nothing, np.int64)
    for share, mark in ((_RIM, False), (_CORE, True)):
        for box, label in zip(scene.boxes, scene.labels, strict=True):
            cells[_cells(box, share)] = label if mark else IGNORE
    return cells


def compose_split(material: Material, held_out: bool, count: int) -> LabelledImages:
    """The first `count` scenes of one side of the split, in memory, with a label every 4 pixels."""
    variant = material.variant
    images = np.empty((count, variant.channels, SCENE_SIDE, SCENE_SIDE), np.uint8)
    cells = SCENE_SIDE // STRIDE
    labels = np.empty((count, cells, cells), np.int64)
    with progress("scenes composed", count) as advance:
        for index in range(count):
            scene = make_scene(material, held_out, index, Layout())
            images[index] = scene.image.transpose(2, 0, 1)
            labels[index] = label_cells(scene, len(variant.classes) - 1)
            advance(1)
    return LabelledImages(images, labels, variant.classes, "test" if held_out else "train")


def _cells(box: Box, share: float) -> tuple[slice, slice]:
    """Cells whose centres lie in the middle share of a box; at least the one at its centre."""
    spans = []
    for low, high in ((box[1], box[3]), (box[0], box[2])):
        middle, half = (low + high) / 2, (high - low) / 2 * share
        first = min(int(np.ceil((middle - half) / STRIDE)), round(middle / STRIDE))
        last = max(int((middle + half) // STRIDE), round(middle / STRIDE))
        spans.append(slice(max(0, first), max(0, last + 1)))
    return spans[0], spans[1]


def _ground(grounds: Sequence[Pixels], rng: np.random.Generator, layout: Layout) -> Singles:
    side = max(layout.height, layout.width)
    crop = random_crop(grounds, rng, side).reshape(side, side, -1)
    ground = crop[: layout.height, : layout.width].astype(np.float32)
    if rng.random() < 0.25:
        ground = ground * np.float32(rng.uniform(0.25, 1.0)) + np.float32(rng.uniform(0, 120))
    return np.ascontiguousarray(ground)


def _piece(
    material: Material,
    pictures: NDArray[np.intp],
    grounds: Sequence[Pixels],
    rng: np.random.Generator,
) -> Pixels:
    """A quarter of some thing, or a patch of background with a thing's soft rim."""
    if rng.random() < 0.5:
        half = SIDE // 2
        picture = material.cutouts.images[rng.choice(pictures)]
        top, left = (int(v) for v in rng.choice([0, half], 2))
        return np.asarray(picture[top : top + half, left : left + half], np.uint8)
    patch = random_crop(grounds, rng, SIDE).reshape(SIDE, SIDE, -1)
    ramp = np.clip((np.minimum(np.arange(SIDE), np.arange(SIDE)[::-1]) + 0.5) / 6, 0, 1)
    alpha = np.outer(ramp, ramp)[..., np.newaxis].astype(np.float32)
    return np.concatenate([patch * alpha, 255 * alpha], axis=2).astype(np.uint8)


def _lay(
    image: Singles,
    cutout: Pixels,
    rng: np.random.Generator,
    layout: Layout,
    share: tuple[float, float],
    boxes: Sequence[Box],
) -> Box | None:
    """Lay a cut-out somewhere free; its box, None where no place or nothing visible was found."""
    low, high = np.log(layout.sizes)
    size = float(np.exp(rng.uniform(low, high))) * rng.uniform(*share)
    whole = _posed(cutout, size, rng)
    alpha = whole[..., -1:] / 255
    ys, xs = np.nonzero(alpha[..., 0] > 0.5)
    if len(ys) == 0:
        return None
    low_x, high_x, low_y, high_y = xs.min(), xs.max() + 1, ys.min(), ys.max() + 1
    for _ in range(_TRIES):
        x = int(rng.integers(-low_x, max(layout.width - high_x, -low_x) + 1))
        y = int(rng.integers(-low_y, max(layout.height - high_y, -low_y) + 1))
        box = (float(x + low_x), float(y + low_y), float(x + high_x), float(y + high_y))
        if not any(_touch(box, other) for other in boxes):
            _blend(image, whole, y, x, rng)
            return box
    return None


def _posed(cutout: Pixels, size: float, rng: np.random.Generator) -> Singles:
    """A cut-out (S, S, C + 1) at a size and a random angle, in a square with room to turn."""
    side = max(2, round(size))
    mode = cv2.INTER_AREA if side < len(cutout) else cv2.INTER_LINEAR
    small = cv2.resize(cutout, (side, side), interpolation=mode).astype(np.float32)
    room = int(np.ceil(side * 1.42))
    turn = cv2.getRotationMatrix2D((side / 2 - 0.5, side / 2 - 0.5), rng.normal(0, _TURN), 1.0)
    turn[0, :2] = turn[0, :2] * np.exp(rng.normal(0, 0.06))
    turn[:, 2] = turn[:, 2] + (room - side) / 2
    return np.asarray(cv2.warpAffine(small, turn, (room, room), flags=cv2.INTER_LINEAR))


def _touch(box: Box, other: Box) -> bool:
    apart = 3.0
    return (
        box[0] < other[2] + apart
        and other[0] < box[2] + apart
        and box[1] < other[3] + apart
        and other[1] < box[3] + apart
    )


def _blend(image: Singles, whole: Singles, y: int, x: int, rng: np.random.Generator) -> None:
    """Draw colours times alpha, at some contrast and brightness, over the image; edges cut it."""
    height, width = image.shape[:2]
    top, left = max(0, -y), max(0, -x)
    part = whole[top : height - y, left : width - x]
    target = image[y + top : y + top + part.shape[0], x + left : x + left + part.shape[1]]
    alpha = part[..., -1:] / np.float32(255)
    gain, shift = np.float32(rng.uniform(0.6, 1.1)), np.float32(rng.uniform(-15, 40))
    colours = part[..., :-1] * gain + shift * alpha
    target += colours - target * alpha
