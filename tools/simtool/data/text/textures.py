"""Procedural pictures without text that are mistaken for text: the hard negatives.

Every maker takes a random generator and a size and returns a grey picture (size, size) uint8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Maker = Callable[[np.random.Generator, int], Grey]


def clouds(rng: np.random.Generator, size: int) -> Grey:
    """Smooth noise over several octaves: walls, sky, asphalt."""
    total = np.zeros((size, size), np.float32)
    for octave in range(2, 8):
        cells = min(2**octave, size)
        layer = rng.standard_normal((cells, cells)).astype(np.float32)
        total += (
            cv2.resize(layer, (size, size), interpolation=cv2.INTER_CUBIC)
            * rng.uniform(0.2, 1.0)
            / octave
        )
    span = rng.uniform(5, 60)
    return _byte(rng.uniform(30, 225) + total * span)


def bricks(rng: np.random.Generator, size: int) -> Grey:
    """Courses of bricks or tiles with joints, each brick of its own shade."""
    h, w = int(rng.integers(6, 40)), int(rng.integers(10, 90))
    joint = max(1, int(h * rng.uniform(0.05, 0.25)))
    base, spread = rng.uniform(50, 200), rng.uniform(2, 25)
    out = np.full((size, size), _clip(base + rng.choice([-1, 1]) * rng.uniform(15, 80)), np.float32)
    stagger = rng.choice([0.0, 0.5, 0.33])
    for row, y in enumerate(range(0, size, h)):
        for x in range(-int(row * stagger * w) % w - w, size, w):
            out[y : y + h - joint, max(x, 0) : max(x + w - joint, 0)] = base + rng.normal(0, spread)
    return _byte(out + rng.normal(0, rng.uniform(0, 12), out.shape))


def bars(rng: np.random.Generator, size: int) -> Grey:
    """Parallel bars: railings, blinds, planks, zebra stripes; even or uneven."""
    dark, light = _two_shades(rng)
    out = np.full((size, size), dark, np.float32)
    pitch, duty = rng.uniform(4, 40), rng.uniform(0.15, 0.85)
    uneven = rng.choice([0.0, 0.0, 0.25])
    x = 0.0
    while x < size:
        step = pitch * (1 + uneven * rng.standard_normal())
        out[:, int(x) : int(x + max(1.0, step * duty))] = light + rng.normal(0, 6)
        x += max(step, 2.0)
    for _ in range(int(rng.integers(0, 4))):
        y, t = int(rng.integers(0, size)), int(rng.integers(1, 8))
        out[y : y + t] = light
    return _byte(out)


def lattice(rng: np.random.Generator, size: int) -> Grey:
    """Crossing bars: fences, grilles, gratings, paving."""
    a, b = bars(rng, size), bars(rng, size).T
    crossed = np.maximum(a, b) if rng.random() < 0.5 else np.minimum(a, b)
    return crossed.astype(np.uint8, copy=False)


def facade(rng: np.random.Generator, size: int) -> Grey:
    """Rows of windows with frames, panes, sills and blinds."""
    wall, glass = _two_shades(rng)
    out = np.full((size, size), wall, np.float32)
    w, h = int(rng.integers(6, 60)), int(rng.integers(8, 80))
    gap_x, gap_y = int(w * rng.uniform(1.15, 2.2)), int(h * rng.uniform(1.1, 2.0))
    frame, mullions = max(1, int(w * rng.uniform(0.03, 0.15))), rng.integers(0, 4, 2)
    edge = _clip(wall + rng.choice([-1, 1]) * rng.uniform(20, 90))
    for y in range(int(rng.integers(0, gap_y)) - h, size, gap_y):
        for x in range(int(rng.integers(0, 3)) - w // 2, size, gap_x):
            box = (x, y, w, h)
            cv2.rectangle(out, box, edge, -1)
            cv2.rectangle(
                out,
                (x + frame, y + frame, w - 2 * frame, h - 2 * frame),
                glass + rng.normal(0, 15),
                -1,
            )
            for k in range(1, int(mullions[0]) + 1):
                cx = x + k * w // (int(mullions[0]) + 1)
                cv2.line(out, (cx, y), (cx, y + h), edge, frame)
            for k in range(1, int(mullions[1]) + 1):
                cy = y + k * h // (int(mullions[1]) + 1)
                cv2.line(out, (x, cy), (x + w, cy), edge, frame)
            if rng.random() < 0.2:
                cv2.rectangle(out, (x, y, w, int(h * rng.uniform(0.1, 0.8))), _clip(wall + 40), -1)
    return _byte(out + rng.normal(0, rng.uniform(0, 6), out.shape))


def foliage(rng: np.random.Generator, size: int) -> Grey:
    """Leaves: many small overlapping ellipses, darker below and lighter above."""
    out = np.full((size, size), rng.uniform(10, 70), np.float32)
    mean, count = rng.uniform(2, 12), int(rng.integers(200, 900))
    lean, spread = rng.uniform(0, 180), rng.uniform(10, 90)
    shades = np.sort(rng.normal(rng.uniform(60, 150), rng.uniform(15, 50), count))
    centres = rng.integers(0, size, (count, 2))
    axes = np.maximum(1, rng.gamma(4, mean / 4, (count, 2)) * [1.0, rng.uniform(0.2, 0.8)]).astype(
        int
    )
    for centre, axis, shade in zip(centres, axes, shades, strict=True):
        angle = rng.normal(lean, spread)
        cv2.ellipse(out, centre.tolist(), axis.tolist(), angle, 0, 360, _clip(shade), -1)
    return _byte(out)


def twigs(rng: np.random.Generator, size: int) -> Grey:
    """Branches, wires and cracks: thin broken lines that wander."""
    dark, light = _two_shades(rng)
    out = np.full((size, size), dark, np.float32)
    for _ in range(int(rng.integers(8, 60))):
        steps = rng.normal(0, rng.uniform(3, 14), (int(rng.integers(3, 16)), 2)) + rng.normal(
            0, 6, 2
        )
        points = (rng.uniform(0, size, 2) + np.cumsum(steps, 0)).astype(np.int32)
        cv2.polylines(out, [points], False, light, int(rng.integers(1, 5)), cv2.LINE_AA)
    return _byte(out)


def shapes(rng: np.random.Generator, size: int) -> Grey:
    """Loose discs, rings, boxes, triangles, arrows, crosses: pictograms, lamps, wheels."""
    dark, light = _two_shades(rng)
    out = np.full((size, size), dark, np.uint8)
    for _ in range(int(rng.integers(3, 30))):
        _one_shape(rng, out, int(_clip(light + rng.normal(0, 20))))
    return out


def _one_shape(rng: np.random.Generator, out: Grey, shade: int) -> None:
    size = len(out)
    x, y = (int(v) for v in rng.integers(0, size, 2))
    r = int(np.exp(rng.uniform(np.log(3), np.log(size / 4))))
    line = -1 if rng.random() < 0.5 else max(1, int(r * rng.uniform(0.1, 0.4)))
    kind = int(rng.integers(0, 6))
    if kind == 0:
        cv2.circle(out, (x, y), r, shade, line, cv2.LINE_AA)
    elif kind == 1:
        cv2.ellipse(
            out,
            (x, y),
            (r, max(1, r // 2)),
            float(rng.uniform(0, 180)),
            0,
            360,
            shade,
            line,
            cv2.LINE_AA,
        )
    elif kind == 2:
        cv2.rectangle(out, (x, y, r, int(r * rng.uniform(0.3, 3)) + 1), shade, line)
    elif kind == 3:
        corners = np.array([[x, y]]) + rng.integers(-r, r + 1, (int(rng.integers(3, 6)), 2))
        cv2.fillPoly(out, [corners.astype(np.int32)], shade, cv2.LINE_AA)
    elif kind == 4:
        end = (x + int(rng.integers(-2 * r, 2 * r + 1)), y + int(rng.integers(-2 * r, 2 * r + 1)))
        cv2.arrowedLine(
            out, (x, y), end, shade, max(1, r // 4), cv2.LINE_AA, 0, float(rng.uniform(0.15, 0.5))
        )
    else:
        cv2.drawMarker(
            out,
            (x, y),
            shade,
            cv2.MARKER_TILTED_CROSS if rng.random() < 0.5 else cv2.MARKER_CROSS,
            r,
        )


def beads(rng: np.random.Generator, size: int) -> Grey:
    """Rows of one small shape over and over: seams, ornaments, rivets, teeth, lamps."""
    dark, light = _two_shades(rng)
    out = np.full((size, size), dark, np.uint8)
    r = int(np.exp(rng.uniform(np.log(2), np.log(24))))
    corners = rng.uniform(-r, r, (int(rng.integers(3, 8)), 2))
    pitch, step = r * rng.uniform(1.2, 4.0), r * rng.uniform(2.0, 9.0)
    hollow = rng.random() < 0.3
    for y in np.arange(rng.uniform(0, step), size, step):
        for x in np.arange(0, size, pitch):
            points = np.round((corners + np.array([x, y])) * 16).astype(np.int32)
            if hollow:
                cv2.polylines(out, [points], True, light, max(1, r // 6), cv2.LINE_AA, 4)
            else:
                cv2.fillPoly(out, [points], light, cv2.LINE_AA, 4)
    return out


def gravel(rng: np.random.Generator, size: int) -> Grey:
    """Pebbles: cells around random points, shaded towards their rims."""
    cell = rng.uniform(4, 24)
    coarse = max(2, int(size / cell))
    seeds = np.ones((size, size), np.uint8)
    spots = (rng.random((coarse * coarse, 2)) * size).astype(int)
    seeds[spots[:, 1], spots[:, 0]] = 0
    distance, labels = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    shades = rng.normal(rng.uniform(70, 180), rng.uniform(5, 40), int(labels.max()) + 1)
    return _byte(shades[labels] - distance * rng.uniform(0, 8))


MAKERS: tuple[Maker, ...] = (
    clouds, bricks, bars, bars, lattice, facade, facade, foliage, foliage, twigs, shapes, gravel,
    beads, beads,
)  # fmt: skip

MATERIALS: tuple[Maker, ...] = (clouds, bricks, bars, lattice, facade, foliage, twigs, gravel)
"""The same without the loose and repeated shapes, which may be what is looked for elsewhere."""


def random_texture(rng: np.random.Generator, size: int, makers: Sequence[Maker] = MAKERS) -> Grey:
    """One of `makers`, turned (mostly by little), stretched, seen aslant, perhaps inverted."""
    maker = makers[int(rng.integers(len(makers)))]
    big = maker(rng, int(size * 1.5))
    angle = rng.uniform(0, 360) if rng.random() < 0.15 else rng.normal(0, 7)
    zoom = rng.uniform(0.8, 1.6)
    warp = np.eye(3)
    warp[:2] = cv2.getRotationMatrix2D((size * 0.75, size * 0.75), angle, zoom)
    warp[:2, 2] -= size * 0.25
    warp[0, :2] *= rng.uniform(0.7, 1.3)
    if rng.random() < 0.5:
        # As a wall seen from the street: what is on one side is smaller, and rows run together.
        warp = _slant(rng, size) @ warp
    out = cv2.warpPerspective(big, warp, (size, size), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(255 - out if rng.random() < 0.3 else out, np.uint8)


def _slant(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    away = rng.uniform(-0.7, 0.7, 2) * [1.0, 0.4] / size
    slant = np.eye(3)
    slant[2, :2] = away
    slant[2, 2] = 1 + max(0.0, -away[0] * size) + max(0.0, -away[1] * size)
    slant[1, 0] = rng.normal(0, 0.25)
    return slant


def _two_shades(rng: np.random.Generator) -> tuple[float, float]:
    first = rng.uniform(10, 245)
    second = first + rng.choice([-1, 1]) * rng.uniform(15, 160)
    if not 0 <= second <= 255:
        second = 2 * first - second
    return float(first), _clip(second)


def _clip(value: float) -> float:
    return float(min(max(value, 0.0), 255.0))


def _byte(values: NDArray[np.floating]) -> Grey:
    return np.asarray(np.clip(values, 0, 255), np.uint8)
