"""Canvases: several small pictures at random places of one large picture, with their boxes.

The boxes come from the composition itself; they serve to score a localizer, never to train one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_TRIES: Final = 200
_FRAGMENT: Final = 9
"""Side of a piece of clutter, in pixels."""


@dataclass(frozen=True)
class DigitCanvas:
    """One composed picture."""

    image: NDArray[np.uint8]
    """(H, W) grey."""
    labels: tuple[int, ...]
    """Class of each item."""
    boxes: NDArray[np.float64]
    """(n, 4) x0, y0, x1, y1 in pixels around each item's ink."""


def compose(
    pictures: NDArray[np.uint8],
    labels: NDArray[np.integer],
    rng: np.random.Generator,
    *,
    size: tuple[int, int] = (112, 112),
    items: int = 4,
    clutter: int = 0,
) -> DigitCanvas:
    """Lay items of different classes on a dark canvas so that they do not overlap.

    Args:
        pictures: (N, h, w) uint8, bright ink on 0.
        labels: (N,) class of each picture.
        rng: source of chance.
        size: (H, W) of the canvas.
        items: how many to lay, each of another class.
        clutter: pieces of other pictures, 9x9 pixels, strewn between the items.

    Raises:
        ValueError: there are fewer classes than `items`, or the items do not fit.
    """
    chosen = rng.permutation(np.unique(labels))[:items]
    if len(chosen) < items:
        raise ValueError(f"{items} different items asked for, the data have {len(chosen)} classes")
    image = np.zeros(size, np.uint8)
    taken = np.zeros(size, bool)
    boxes = []
    for label in chosen:
        picture = pictures[rng.choice(np.flatnonzero(labels == label))]
        y, x = free_place(taken, picture.shape, rng)
        lay(image, picture, y, x)
        taken[y : y + picture.shape[0], x : x + picture.shape[1]] = True
        ys, xs = np.nonzero(picture > 0)
        boxes.append([x + xs.min(), y + ys.min(), x + xs.max() + 1, y + ys.max() + 1])
    for _ in range(clutter):
        strew(image, taken, pictures, rng)
    return DigitCanvas(image, tuple(int(label) for label in chosen), np.array(boxes, np.float64))


def free_place(
    taken: NDArray[np.bool_], shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[int, int]:
    """Top and left of a random place of that shape that is not taken.

    Raises:
        ValueError: none was found.
    """
    for _ in range(_TRIES):
        y = int(rng.integers(0, taken.shape[0] - shape[0] + 1))
        x = int(rng.integers(0, taken.shape[1] - shape[1] + 1))
        if not taken[y : y + shape[0], x : x + shape[1]].any():
            return y, x
    raise ValueError(f"no free place for another {shape[0]}x{shape[1]} item on {taken.shape}")


def strew(
    image: NDArray[np.uint8],
    taken: NDArray[np.bool_],
    pictures: NDArray[np.uint8],
    rng: np.random.Generator,
    side: int = _FRAGMENT,
) -> None:
    """Lay a square piece of some picture at a random place, unless an item is there.

    Args:
        image: (H, W) canvas, changed.
        taken: (H, W) where items are.
        pictures: (N, h, w) to cut the piece from.
        rng: source of chance.
        side: of the piece, in pixels.
    """
    picture = pictures[rng.integers(len(pictures))]
    top, left = (int(rng.integers(0, length - side + 1)) for length in picture.shape)
    piece = picture[top : top + side, left : left + side]
    y = int(rng.integers(0, image.shape[0] - side + 1))
    x = int(rng.integers(0, image.shape[1] - side + 1))
    if not taken[y : y + side, x : x + side].any():
        lay(image, piece, y, x)


def lay(image: NDArray[np.uint8], picture: NDArray[np.uint8], y: int, x: int) -> None:
    """Draw a picture onto the canvas `image` at (y, x); the brighter pixel wins."""
    part = image[y : y + picture.shape[0], x : x + picture.shape[1]]
    np.maximum(part, picture, out=part)
