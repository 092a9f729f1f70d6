"""Components of a heatmap joined into lines of text, and the rotated boxes around them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simrun.types import Floats

Groups = NDArray[np.int64]
Points = NDArray[np.complex128]
"""x + iy: a direction is a unit number then, and to turn is to multiply."""

_STEEP: Final = math.cos(math.radians(60))
"""A lone component whose direction has a lesser real part is a tall character, such as 1, rather
than a line."""


@dataclass(frozen=True)
class Parts:
    """Components as rotated rectangles: arrays (n,), lengths in cells."""

    area: Floats
    """Cells of the component."""
    score: Floats
    """Mean of the map over them."""
    centre: Points
    direction: Points
    """Unit number along the text, real part >= 0; 1 where squat."""
    half_length: Floats
    half_height: Floats
    squat: NDArray[np.bool_]
    """Hardly longer than high: without a direction of its own."""


@dataclass(frozen=True)
class Boxes:
    """Rotated boxes around groups of components: arrays of m, lengths in cells."""

    quad: Floats
    """(m, 4, 2) as (x, y), clockwise from the top left of the text."""
    score: Floats
    """Mean of the map over the cells inside."""
    least_side: Floats
    """The lesser of length and height."""


def join_parts(parts: Parts, *, gap: float, offset: float, ratio: float) -> Groups:
    """Group components that stand in one line; the relation is transitive.

    Args:
        parts: n components.
        gap: greatest distance along the line, over the mean height of the two.
        offset: greatest distance across it, over the mean height.
        ratio: least height of the lower one, over the mean height.

    Returns:
        (n,) number of the group of each component, from 0.
    """
    # Row i is judged along i's direction.
    apart = (parts.centre - parts.centre[:, None]) * parts.direction.conj()[:, None]
    height = parts.half_height + parts.half_height[:, None]
    lengths = parts.half_length + parts.half_length[:, None]
    low = np.minimum(parts.half_height, parts.half_height[:, None])
    near = (
        (np.abs(apart.real) - lengths <= gap * height)
        & (np.abs(apart.imag) <= offset * height)
        & (2 * low >= ratio * height)
    )
    # Of a pair both have to agree, but one without a direction leaves it to one that has one.
    agreed = near | (parts.squat[:, None] & ~parts.squat)
    return _connected(agreed & agreed.T)


def box_groups(parts: Parts, groups: Groups, *, grow_across: float, grow_along: float) -> Boxes:
    """Rotated boxes around groups of components.

    Args:
        parts: n components.
        groups: (n,) number of each one's group, 0..m-1.
        grow_across: factor on the height of a box.
        grow_along: what each end of a box gains, over its height before it grew.
    """
    # Sorted by group, so that each group's members are a slice and ufuncs can reduce them.
    order = groups.argsort(kind="stable")
    groups = groups[order]
    members = np.bincount(groups)
    first = members.cumsum() - members
    centre, area, own = parts.centre[order], parts.area[order], parts.direction[order]
    half_length, half_height = parts.half_length[order], parts.half_height[order]
    total = np.add.reduceat(area, first)

    def mean(values: NDArray[Any]) -> NDArray[Any]:
        return np.add.reduceat(values * area, first) / total

    middle = mean(centre)
    apart = centre - middle[groups]
    moment = mean(apart * apart + (half_length**2 - half_height**2) / 3 * (own * own))
    direction = np.where(members == 1, own[first], principal_axis(moment))
    apart *= direction.conj()[groups]
    left = np.minimum.reduceat(apart.real - half_length, first)
    right = np.maximum.reduceat(apart.real + half_length, first)
    half = mean(half_height + np.abs(apart.imag))
    left -= 2 * grow_along * half
    right += 2 * grow_along * half
    half *= grow_across
    down = 1j * half
    corners = np.array((left - down, right - down, right + down, left + down))
    quads = _upright(middle + direction * corners, direction, members == 1)
    return Boxes(quads, mean(parts.score[order]), np.minimum(right - left, 2 * half))


def _upright(corners: Points, direction: Points, alone: NDArray[np.bool_]) -> Floats:
    """Quads (m, 4, 2) of corners (4, m); tall lone ones start at the screen's top left."""
    for i in (alone & (direction.real < _STEEP)).nonzero()[0]:
        corners[:, i] = corners[(3, 0, 1, 2) if direction[i].imag > 0 else (1, 2, 3, 0), i]
    return corners.T.copy().view(np.float64).reshape(-1, 4, 2)


def principal_axis(moment: Points) -> Points:
    """Direction of the longer axis, real part >= 0, of second moments xx - yy + 2i xy.

    1 where no axis is longer.
    """
    # Half the angle is the square root's.
    root = np.sqrt(moment + (moment == 0))
    return np.asarray(root / np.abs(root), np.complex128)


def _connected(linked: NDArray[np.bool_]) -> Groups:
    """Groups of a symmetric (n, n) relation: (n,) numbers from 0."""
    itself = lowest = np.arange(len(linked))
    while True:
        # The lowest that a member is linked to, and the lowest that this one knows of.
        reached = np.minimum.reduce(np.where(linked, lowest, lowest[:, None]), axis=1)
        reached = reached[reached]
        if (reached == lowest).all():
            return np.asarray((lowest == itself).nonzero()[0].searchsorted(lowest), np.int64)
        lowest = reached
