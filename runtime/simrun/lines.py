"""Components of a heatmap joined into lines of text, and the rotated boxes around them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Groups = NDArray[np.int64]

_STEEP: Final = math.radians(60)
"""A lone component that climbs more is a tall character, such as 1, rather than a line."""


@dataclass(frozen=True)
class Parts:
    """Components as rotated rectangles: arrays (n,), lengths in cells."""

    area: Floats
    """Cells of the component."""
    score: Floats
    """Mean of the map over them."""
    x: Floats
    y: Floats
    angle: Floats
    """Direction along the text in radians, clockwise on the screen; 0 where squat."""
    half_length: Floats
    half_height: Floats
    squat: NDArray[np.bool_]
    """Hardly longer than high: without a direction of its own."""


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
    cos, sin = np.cos(parts.angle)[:, None], np.sin(parts.angle)[:, None]
    dx, dy = parts.x[None] - parts.x[:, None], parts.y[None] - parts.y[:, None]
    height = parts.half_height[None] + parts.half_height[:, None]
    lengths = parts.half_length[None] + parts.half_length[:, None]
    low = np.minimum(parts.half_height[None], parts.half_height[:, None])
    near = (
        (np.abs(dx * cos + dy * sin) - lengths <= gap * height)
        & (np.abs(dy * cos - dx * sin) <= offset * height)
        & (2 * low >= ratio * height)
    )
    # Row i is judged along i's direction. Of a pair the one that has a direction decides; of two
    # that both have one, or both have none, both have to agree.
    one_sided = parts.squat[:, None] != parts.squat[None]
    decided = np.where(parts.squat[:, None], near.T, near)
    return _connected(np.where(one_sided, decided, near & near.T))


def box_groups(
    parts: Parts, groups: Groups, *, grow_across: float, grow_along: float
) -> tuple[Floats, Floats]:
    """Rotated boxes around groups of components.

    Args:
        parts: n components.
        groups: (n,) number of each one's group, 0..m-1.
        grow_across: factor on the height of a box.
        grow_along: what each end of a box gains, over its height before it grew.

    Returns:
        quads (m, 4, 2) as (x, y), clockwise from the top left of the text, and scores (m,).
    """
    count = int(groups.max()) + 1
    area = np.bincount(groups, parts.area, count)

    def mean(values: Floats) -> Floats:
        return np.asarray(np.bincount(groups, values * parts.area, count) / area, np.float64)

    x, y = mean(parts.x), mean(parts.y)
    alone = np.bincount(groups, minlength=count) == 1
    angle = np.where(alone, mean(parts.angle), _directions(parts, groups, x, y))
    cos, sin = np.cos(angle), np.sin(angle)
    dx, dy = parts.x - x[groups], parts.y - y[groups]
    along = dx * cos[groups] + dy * sin[groups]
    across = np.abs(dy * cos[groups] - dx * sin[groups])
    left, right = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(left, groups, along - parts.half_length)
    np.maximum.at(right, groups, along + parts.half_length)
    half = mean(parts.half_height) + mean(across)
    left, right = left - 2 * grow_along * half, right + 2 * grow_along * half
    half *= grow_across
    u = np.stack([left, right, right, left], axis=1)
    v = np.stack([-half, -half, half, half], axis=1)
    corners = (
        (x[:, None] + u * cos[:, None] - v * sin[:, None]),
        (y[:, None] + u * sin[:, None] + v * cos[:, None]),
    )
    return _upright(np.stack(corners, axis=2), angle, alone), mean(parts.score)


def _upright(quads: Floats, angle: Floats, alone: NDArray[np.bool_]) -> Floats:
    """Start the corners of tall lone components at the screen's top left, not the text's."""
    for i in np.flatnonzero(alone & (np.abs(angle) > _STEEP)):
        quads[i] = np.roll(quads[i], 1 if angle[i] > 0 else -1, axis=0)
    return quads


def _directions(parts: Parts, groups: Groups, x: Floats, y: Floats) -> Floats:
    """(m,) direction of each group: the principal axis of its members' rectangles together."""
    dx, dy = parts.x - x[groups], parts.y - y[groups]
    cos, sin = np.cos(parts.angle), np.sin(parts.angle)
    length, height = parts.half_length**2 / 3, parts.half_height**2 / 3

    def total(values: Floats) -> Floats:
        return np.asarray(np.bincount(groups, values * parts.area), np.float64)

    xx = total(dx * dx + length * cos**2 + height * sin**2)
    yy = total(dy * dy + length * sin**2 + height * cos**2)
    xy = total(dx * dy + (length - height) * cos * sin)
    return np.asarray(0.5 * np.arctan2(2 * xy, xx - yy), np.float64)


def _connected(linked: NDArray[np.bool_]) -> Groups:
    """Groups of a symmetric (n, n) relation: (n,) numbers from 0."""
    first, second = np.nonzero(np.triu(linked, 1))
    label = np.arange(len(linked))
    while True:
        before = label.copy()
        lowest = np.minimum(label[first], label[second])
        np.minimum.at(label, first, lowest)
        np.minimum.at(label, second, lowest)
        label = label[label]
        if np.array_equal(label, before):
            return np.asarray(np.unique(label, return_inverse=True)[1], np.int64)
