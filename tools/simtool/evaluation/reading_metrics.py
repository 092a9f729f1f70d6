"""How well text is read, on annotated pictures with transcriptions.

Texts are compared without case and signs: 0-9 and A-Z are what counts. The words that count are
alphanumeric with three characters or more, and not ignored; pictures without a transcribed word do
not count.

covered     share of the words of which a region covers half, or with which it has an intersection
            over union of 0.5
token       share that is one whole token, between spaces, of such a region's label; each token once
substr      share that is within such a region's label, spaces left out
precision   tokens of three characters or more that are some word's token, over all of them; of
            pictures annotated in full, and outside of ignored or untranscribed text

Of words cut out by their own quads:

accuracy    share that is read rightly
CER         edit distance over length, all words together
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import cv2
import numpy as np

from simtool.data.annotations import AnnotatedImage, AnnotatedSet, Corners, TrueRegion
from simtool.evaluation.predictions import Predictions

_LEAST: Final = 3
"""Characters of a word, or of a token, that counts."""
_HALF: Final = 0.5
_WORD: Final = re.compile(rf"[A-Za-z0-9]{{{_LEAST},}}")
SCORES: Final = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Least scores that reliability is shown for."""


@dataclass(frozen=True)
class ReadRegion:
    """A region as it is in predictions."""

    quad: Corners
    label: str | None
    score: float | None = None
    """Probability of the label, where that is recorded."""


@dataclass(frozen=True)
class Judged:
    """A reading, and whether it is right."""

    score: float
    right: bool


@dataclass(frozen=True)
class ReadingCounts:
    """What pictures come to."""

    words: int = 0
    covered: int = 0
    token: int = 0
    substr: int = 0
    tokens: tuple[Judged, ...] = ()
    """Those that precision is of, with the scores of their regions."""
    regions: int = 0
    """On pictures without any text, annotated in full."""
    labelled: int = 0
    """Of those, the ones with a label."""

    def __add__(self, other: ReadingCounts) -> ReadingCounts:
        """Field by field."""
        names = [f.name for f in fields(self)]
        return ReadingCounts(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def precision(self) -> float | None:
        """None without any token."""
        return _share(sum(one.right for one in self.tokens), len(self.tokens))

    def to_json(self) -> dict[str, float | int | None]:
        """The figures, None where there is nothing to measure."""
        return {
            "words": self.words,
            "covered": _share(self.covered, self.words),
            "token": _share(self.token, self.words),
            "substr": _share(self.substr, self.words),
            "precision": self.precision,
            "tokens": len(self.tokens),
            "regions_without_text": self.regions,
            "labelled_without_text": self.labelled,
        }


def normalised(text: str | None) -> str:
    """0-9 and A-Z of a text, upper case."""
    return re.sub(r"[^0-9A-Z]", "", (text or "").upper())


def is_counted(region: TrueRegion) -> bool:
    """Whether an annotated word counts."""
    return not region.ignore and _WORD.fullmatch(region.text or "") is not None


def count_readings(image: AnnotatedImage, regions: Sequence[ReadRegion]) -> ReadingCounts:
    """What the regions predicted in a picture contribute."""
    if not image.regions and image.exhaustive:
        labelled = sum(bool(region.label) for region in regions)
        return ReadingCounts(regions=len(regions), labelled=labelled)
    if not any(region.text and not region.ignore for region in image.regions):
        return ReadingCounts()
    truth = [region for region in image.regions if not region.ignore and normalised(region.text)]
    tokens = [[t for t in map(normalised, (r.label or "").split()) if t] for r in regions]
    used: set[tuple[int, int]] = set()
    counts = ReadingCounts()
    for region in truth:
        near = [k for k, one in enumerate(regions) if _meets(one.quad, region.quad)]
        word = normalised(region.text)
        hit = _first_free(word, near, tokens, used)
        used |= {hit} if hit is not None else set()
        if is_counted(region):
            within = hit is not None or any(word in "".join(tokens[k]) for k in near)
            counts += ReadingCounts(1, int(bool(near)), int(hit is not None), int(within))
    return counts + ReadingCounts(tokens=tuple(_judged(image, regions, tokens, used)))


def _first_free(
    word: str, near: Iterable[int], tokens: Sequence[Sequence[str]], used: set[tuple[int, int]]
) -> tuple[int, int] | None:
    """Region and place of the first token that is the word, and is no other word's."""
    found = ((k, j) for k in near for j, token in enumerate(tokens[k]) if token == word)
    return next((at for at in found if at not in used), None)


def _judged(
    image: AnnotatedImage,
    regions: Sequence[ReadRegion],
    tokens: Sequence[Sequence[str]],
    used: set[tuple[int, int]],
) -> Iterable[Judged]:
    """The tokens that precision is of."""
    if not image.exhaustive:
        return
    silent = [region.quad for region in image.regions if region.ignore or not region.text]
    for k, region in enumerate(regions):
        if any(_overlap(region.quad, quad)[2] >= _HALF for quad in silent):
            continue
        for j, token in enumerate(tokens[k]):
            if len(token) >= _LEAST:
                yield Judged(region.score or 0.0, (k, j) in used)


def _meets(found: Corners, true: Corners) -> bool:
    covered, iou, _ = _overlap(found, true)
    return covered >= _HALF or iou >= _HALF


def _overlap(a: Corners, b: Corners) -> tuple[float, float, float]:
    """Share of b in a, intersection over union, share of a in b; of convex quads."""
    first, second = np.asarray(a, np.float32), np.asarray(b, np.float32)
    common, _ = cv2.intersectConvexConvex(first, second)
    one, other = cv2.contourArea(first), cv2.contourArea(second)
    union = one + other - common
    return tuple(common / max(area, 1e-6) for area in (other, union, one))  # type: ignore[return-value]


def read_regions(predictions: Predictions, image: AnnotatedImage) -> list[ReadRegion]:
    """The regions that were predicted in a picture, with what was read in them."""
    quads = predictions.quads.get(image.name, ())
    readings = predictions.readings.get(image.name, ())
    return [ReadRegion(quad, *reading) for quad, reading in zip(quads, readings, strict=True)]


def edit_distance(a: str, b: str) -> int:
    """Characters to insert, to leave out or to change."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (x != y))
    return row[-1]


@dataclass(frozen=True)
class WordScores:
    """Words cut out by their own quads."""

    readings: tuple[Judged, ...]
    errors: int
    """Edit distances, all together."""
    letters: int
    cpu_ms: float
    """CPU time of a word, cut out and read; median."""

    def to_json(self) -> dict[str, float | int | None]:
        """The figures, None where there is nothing to measure."""
        count = len(self.readings)
        return {
            "words": count,
            "accuracy": _share(sum(one.right for one in self.readings), count),
            "CER": _share(self.errors, self.letters),
            "cpu_ms": round(self.cpu_ms, 3),
        }


@dataclass(frozen=True)
class ReadingScores:
    """How well a model reads a data set."""

    pictures: ReadingCounts
    words: WordScores | None
    """None where no model was run."""

    def to_json(self) -> dict[str, Any]:
        """The content of readings.json."""
        words = self.words
        return {
            "pictures": self.pictures.to_json(),
            "tokens_by_score": reliability(self.pictures.tokens),
            "words": None if words is None else words.to_json(),
            "words_by_score": None if words is None else reliability(words.readings),
        }

    def table(self) -> str:
        """The figures as Markdown tables, those without a value left out."""
        figures = dict(self.pictures.to_json())
        if self.words is not None:
            figures |= {f"cropped {k}": v for k, v in self.words.to_json().items()}
        shown = {k.replace("_", " "): v for k, v in figures.items() if v is not None}
        tables = [_table(list(shown), [list(shown.values())])]
        readings = {"tokens": self.pictures.tokens}
        if self.words is not None:
            readings["cropped words"] = self.words.readings
        rows: list[list[Any]] = [[f"{least:g}"] for least in SCORES]
        heads = ["score at least"]
        for name, judged in readings.items():
            if not judged:
                continue
            heads += [name, "right"]
            for row, found in zip(rows, reliability(judged), strict=True):
                row += [found["readings"], found["right"]]
        return "\n\n".join([*tables, _table(heads, rows)] if len(heads) > 1 else tables)


def score_readings(
    dataset: AnnotatedSet, predictions: Predictions, words: WordScores | None = None
) -> ReadingScores:
    """Score what was read in a data set's pictures."""
    counts = (count_readings(one, read_regions(predictions, one)) for one in dataset.images)
    return ReadingScores(sum(counts, ReadingCounts()), words)


def reliability(readings: Sequence[Judged]) -> list[dict[str, float | int | None]]:
    """Of readings with at least some score: how many there are, and how many of them are right."""
    rows: list[dict[str, float | int | None]] = []
    for least in SCORES:
        some = [one.right for one in readings if one.score >= least]
        rows.append({"score": least, "readings": len(some), "right": _share(sum(some), len(some))})
    return rows


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Markdown; fractions to three decimals."""
    lines = [heads, ["---"] * len(heads), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
