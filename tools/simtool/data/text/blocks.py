"""Blocks of text: lines of characters, one below the other, before they are put anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from simtool.data.labels import CHARACTERS
from simtool.data.text.canvas import Canvas, Grey, SceneMaterials
from simtool.data.text.glyphs import Face, Line, digit_line, render_line


@dataclass(frozen=True, slots=True)
class Block:
    """Lines one below the other: coverage (H, W) uint8, and their characters in its pixels."""

    ink: Grey
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class _Style:
    """How a line is set: face, em size in pixels, tracking, script, case."""

    face: Face
    size: int
    tracking: float
    chinese: bool
    upper: bool


def make_block(
    canvas: Canvas, materials: SceneMaterials, rng: np.random.Generator, height: float
) -> Block | None:
    """One to five lines of about that ink height in pixels; None where no face could draw them."""
    count = 1 if rng.random() < 0.5 else int(rng.integers(2, 6))
    room = canvas.config.size * 1.3
    kind = rng.random()
    lines: list[Line | None]
    if kind < canvas.config.mnist:
        lines = [_digits(materials, rng, height) for _ in range(min(count, 2))]
    else:
        chinese = kind < canvas.config.mnist + canvas.config.cjk
        styles = [_pick_style(materials, rng, chinese, height)]
        if count > 1 and rng.random() < 0.4:
            other = not chinese if rng.random() < 0.7 else chinese
            styles.append(_pick_style(materials, rng, other, height * rng.uniform(0.35, 1.0)))
        lines = [_set_line(materials, rng, styles[i % len(styles)], room) for i in range(count)]
    drawn = [line for line in lines if line is not None]
    if drawn and rng.random() < canvas.config.icons / 2:
        icon = icon_ink(materials, rng, height)
        if icon is not None:
            drawn[0] = _with_icon(drawn[0], icon, max(1, round(height * rng.uniform(0.2, 1.0))))
    return _stack(drawn, rng, height, room)


def icon_ink(materials: SceneMaterials, rng: np.random.Generator, height: float) -> Grey | None:
    """Coverage (h, w) uint8 of a random pictogram; None where the face leaves no ink."""
    codes = sorted(c for c in materials.icons.codepoints if c >= 0xE000)
    line = render_line(
        materials.icons, chr(codes[int(rng.integers(len(codes)))]), max(5, round(height))
    )
    return line.ink if line else None


def _with_icon(line: Line, icon: Grey, gap: int) -> Line:
    """`line` with a pictogram before it that no cell covers."""
    height = line.ink.shape[0]
    scale = height / icon.shape[0]
    small = cv2.resize(
        icon, (max(1, round(icon.shape[1] * scale)), height), interpolation=cv2.INTER_AREA
    )
    shift = small.shape[1] + gap
    ink = np.hstack([small, np.zeros((height, gap), np.uint8), line.ink]).astype(np.uint8)
    return Line(
        ink, line.cells + np.array([shift, 0, shift, 0], np.float32), line.classes, line.words
    )


def _pick_style(
    materials: SceneMaterials, rng: np.random.Generator, chinese: bool, height: float
) -> _Style:
    tracking = float(rng.choice([0.0, 0.0, 0.0, 0.05, 0.12, 0.3])) * float(rng.uniform(0.3, 1.2))
    size = max(5, round(height / (0.95 if chinese else 0.78)))
    return _Style(
        _pick_face(materials, rng, chinese), size, tracking, chinese, bool(rng.random() < 0.5)
    )


def _set_line(
    materials: SceneMaterials, rng: np.random.Generator, style: _Style, room: float
) -> Line | None:
    longest = max(1, int(room / style.size * (1.0 if style.chinese else 1.8)))
    text = _text(materials, rng, style.chinese, longest, style.upper)
    return (
        render_line(style.face, text, style.size, style.tracking) if style.face.has(text) else None
    )


def _digits(materials: SceneMaterials, rng: np.random.Generator, height: float) -> Line:
    picked = rng.integers(0, len(materials.digits), int(rng.integers(1, 7)))
    overlap = float(rng.uniform(0.0, 0.3))
    return digit_line(
        materials.digits[picked], materials.digit_labels[picked], max(5, round(height)), overlap
    )


def _pick_face(materials: SceneMaterials, rng: np.random.Generator, chinese: bool) -> Face:
    if chinese:
        return materials.cjk[int(rng.integers(len(materials.cjk)))]
    faces = materials.latin[int(rng.integers(len(materials.latin)))]
    return faces[int(rng.integers(len(faces)))]


def _text(
    materials: SceneMaterials, rng: np.random.Generator, chinese: bool, longest: int, upper: bool
) -> str:
    length = int(rng.integers(1, max(2, min(longest, 24)) + 1))
    if chinese:
        picked = rng.integers(0, len(materials.hanzi), min(length, 12))
        return "".join(materials.hanzi[int(i)] for i in picked)
    parts: list[str] = []
    while len(" ".join(parts)) < length:
        parts.append(_latin_word(materials, rng))
    text = " ".join(parts)[: max(length, 1)].strip()
    return text.upper() if upper else text if rng.random() < 0.6 else text.title()


def _latin_word(materials: SceneMaterials, rng: np.random.Generator) -> str:
    kind = rng.random()
    if kind < 0.72:
        return materials.words[int(rng.integers(len(materials.words)))]
    if kind < 0.9:
        return "".join(str(d) for d in rng.integers(0, 10, int(rng.integers(1, 7))))
    letters = "".join(CHARACTERS[int(i)] for i in rng.integers(0, 36, int(rng.integers(1, 6))))
    return letters + str(rng.choice(["", "", "!", ".", ",", "-", "&", "%", "?", ":"]))


def _stack(lines: list[Line], rng: np.random.Generator, height: float, room: float) -> Block | None:
    lines = [line for line in lines if line.ink.shape[1] <= 2 * room]
    if not lines:
        return None
    gap = max(1, round(height * rng.uniform(0.15, 0.9)))
    width = max(line.ink.shape[1] for line in lines)
    align = rng.choice([0.0, 0.5, 0.5, 1.0])
    ink = np.zeros(
        (sum(line.ink.shape[0] for line in lines) + gap * (len(lines) - 1), width), np.uint8
    )
    placed, y = [], 0
    for line in lines:
        h, w = line.ink.shape
        x = int((width - w) * align)
        ink[y : y + h, x : x + w] = line.ink
        offset = np.array([x, y, x, y], np.float32)
        placed.append(Line(line.ink, line.cells + offset, line.classes, line.words))
        y += h + gap
        if y > room:
            break
    return Block(ink[: y - gap], placed)
