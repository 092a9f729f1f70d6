"""Windows of canvases of MNIST digits: what is in the middle, a digit or nothing.

A picture of MNIST is laid on a canvas among others and among pieces of others. A window around
the middle of the picture, give or take half a cell of the map, has the picture's class; a window
whose middle is away from every digit's is "nothing". MNIST labels are all that is needed: where a
picture was laid is known to who lays it, and no ink is measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simtool.data.canvases import free_place, lay, strew
from simtool.data.dataset import LabelledImages
from simtool.data.labels import NOTHING
from simtool.data.mnist import CLASSES, SPLITS, load_mnist

SIDE: Final = 33
"""Of a window, in pixels; odd, so that it has a middle."""
JITTER: Final = 2
"""A digit's window is off its middle by at most this on either axis: half a cell of stride 4."""
AWAY: Final = 5
"""A window of nothing is off every digit's middle by at least this along one axis."""

_CANVAS: Final = 112
_DIGITS: Final = 4
"""Digits on one canvas."""
_MOST_PIECES: Final = 60
_LARGE: Final = (9, 20)
"""Least and largest side of a large piece; the others have the usual side of clutter."""
_LARGE_SHARE: Final = 0.2
_NEAR: Final = 14
"""Half the windows of nothing are at most this far from a digit: there mistakes are made."""
_SEED: Final = 33

Pictures = NDArray[np.uint8]
Points = NDArray[np.int64]


def load_windows(split: str, data: Path | None = None) -> LabelledImages:
    """Windows of canvases composed of one split of MNIST; always the same ones.

    Args:
        split: `train` or `test`.
        data: as for `simtool.data.mnist.load_mnist`.

    Returns:
        images (N, 1, 33, 33) uint8; labels (N,), half of them digits, half "nothing".

    Raises:
        SourceError: as `simtool.data.mnist.load_mnist`.
    """
    digits = load_mnist(split, data)
    rng = np.random.default_rng([_SEED, list(SPLITS).index(split)])
    images, labels = cut_windows(digits.images[:, 0], digits.labels, rng)
    return LabelledImages(images[:, np.newaxis], labels, (*CLASSES, NOTHING), split)


def cut_windows(
    pictures: Pictures, labels: NDArray[np.integer], rng: np.random.Generator
) -> tuple[Pictures, NDArray[np.int64]]:
    """Compose canvases, four pictures each, and cut two windows a picture: itself, and nothing.

    Args:
        pictures: (N, 28, 28) uint8, bright ink on 0; a rest that fills no canvas is left out.
        labels: (N,) class of each picture, below 10.
        rng: source of chance.

    Returns:
        windows (2 n, 33, 33) uint8 and their labels (2 n,); "nothing" is 10.
    """
    order = rng.permutation(len(pictures))
    images, classes = [], []
    for start in range(0, len(order) - _DIGITS + 1, _DIGITS):
        chosen = order[start : start + _DIGITS]
        canvas, middles = _compose(pictures[chosen], pictures, rng)
        framed = np.pad(canvas, SIDE // 2)
        for index, middle in zip(chosen, middles, strict=True):
            near = middle + rng.integers(-JITTER, JITTER + 1, 2)
            images += [_window(framed, near), _window(framed, _elsewhere(middles, rng))]
            classes += [int(labels[index]), len(CLASSES)]
    return np.array(images), np.array(classes, np.int64)


def _compose(
    items: Pictures, pictures: Pictures, rng: np.random.Generator
) -> tuple[Pictures, Points]:
    """A canvas of the items and pieces of any pictures; middles (n, 2) of the items, y and x."""
    canvas = np.zeros((_CANVAS, _CANVAS), np.uint8)
    taken = np.zeros(canvas.shape, bool)
    middles = []
    for item in items:
        y, x = free_place(taken, item.shape, rng)
        lay(canvas, item, y, x)
        taken[y : y + item.shape[0], x : x + item.shape[1]] = True
        middles.append([y + item.shape[0] // 2, x + item.shape[1] // 2])
    for _ in range(int(rng.integers(0, _MOST_PIECES + 1))):
        large = rng.random() < _LARGE_SHARE
        side = int(rng.integers(_LARGE[0], _LARGE[1] + 1)) if large else _LARGE[0]
        strew(canvas, taken, pictures, rng, side)
    return canvas, np.array(middles, np.int64)


def _elsewhere(middles: Points, rng: np.random.Generator) -> Points:
    """A point (y, x) of the canvas that is away from all middles; half the time near to one."""
    while True:  # the digits forbid a fortieth of the canvas at most
        if rng.random() < 0.5:
            near = middles[rng.integers(len(middles))] + rng.integers(-_NEAR, _NEAR + 1, 2)
            point: Points = near.clip(0, _CANVAS - 1)
        else:
            point = rng.integers(0, _CANVAS, 2)
        if np.abs(middles - point).max(axis=1).min() >= AWAY:
            return point


def _window(framed: Pictures, point: Points) -> Pictures:
    """The window whose middle is a point of the canvas, which has a frame of SIDE // 2 pixels."""
    y, x = (int(v) for v in point)
    return framed[y : y + SIDE, x : x + SIDE]
