"""How well things are found and named, one region a thing, on annotated pictures.

A region and a thing belong together where the region's middle lies in the thing's hull; each has
one partner at most, the region with the highest score first.

precision   regions with a thing over all regions
recall      things with a region over all things
named       things whose region carries their name, over the things with a region
iou         of the axis-aligned hulls of the two, mean over the things with a region
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from simtool.data.annotations import ALL, AnnotatedSet, hull

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


@dataclass(frozen=True)
class NameCounts:
    """What pictures come to; of a single class, `regions` are not counted."""

    things: int = 0
    found: int = 0
    named: int = 0
    regions: int = 0
    overlap: float = 0.0
    """Sum of IoUs over the things found."""

    def __add__(self, other: NameCounts) -> NameCounts:
        """Field by field."""
        names = [f.name for f in fields(self)]
        return NameCounts(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def to_json(self) -> dict[str, float | int | None]:
        """The figures, None where there is nothing to measure."""
        return {
            "things": self.things,
            "precision": _share(self.found, self.regions),
            "recall": _share(self.found, self.things),
            "named": _share(self.named, self.found),
            "iou": _share(self.overlap, self.found),
        }


def score_names(dataset: AnnotatedSet, predictions_file: Path) -> dict[str, NameCounts]:
    """Counts of all classes together, under `all`, then by class in the order of their names.

    Args:
        dataset: pictures whose regions' `text` is the class.
        predictions_file: JSON lines of `simrun`, already checked by `read_predictions`.
    """
    found = _predicted(predictions_file)
    totals: dict[str, NameCounts] = {ALL: NameCounts()}
    for image in dataset.images:
        regions = found.get(image.name, [])
        truth = [(str(r.text), hull(r.quad)) for r in image.regions if not r.ignore]
        totals[ALL] += NameCounts(regions=len(regions))
        partners = _match([box for _, box in truth], regions)
        for (name, box), region in zip(truth, partners, strict=True):
            counts = NameCounts(things=1)
            if region is not None:
                hit = int(region["label"] == name)
                counts += NameCounts(found=1, named=hit, overlap=_iou(box, hull(region["quad"])))
            totals[ALL] += counts
            totals[name] = totals.get(name, NameCounts()) + counts
    return {ALL: totals.pop(ALL), **dict(sorted(totals.items()))}


def names_table(scores: Mapping[str, NameCounts]) -> str:
    """The figures as a Markdown table, a row a class."""
    rows = ["| class | things | precision | recall | named | iou |", "|---|---|---|---|---|---|"]
    for name, counts in scores.items():
        figures = counts.to_json()
        shown = ("-" if v is None else f"{v:.3f}" for k, v in figures.items() if k != "things")
        rows.append(f"| {name} | {counts.things} | {' | '.join(shown)} |")
    return "\n".join(rows)


def _predicted(path: Path) -> dict[str, list[Mapping[str, Any]]]:
    """Regions by base name, the highest score first."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {
        Path(row["file"]).name: sorted(row["regions"], key=lambda region: -region["score"])
        for row in rows
        if row.get("file") and "regions" in row
    }


def _match(
    boxes: Sequence[Box], regions: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any] | None]:
    """The region of each box, if any."""
    partners: list[Mapping[str, Any] | None] = [None] * len(boxes)
    for region in regions:
        x0, y0, x1, y1 = found = hull(region["quad"])
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        free = [
            index
            for index, box in enumerate(boxes)
            if partners[index] is None and box[0] <= x <= box[2] and box[1] <= y <= box[3]
        ]
        if free:
            partners[max(free, key=lambda index: _iou(boxes[index], found))] = region
    return partners


def _iou(a: Box, b: Box) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    common = width * height
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return common / max(areas - common, 1e-9)


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
