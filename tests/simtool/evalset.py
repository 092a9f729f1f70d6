"""Tiny annotated data sets, made on the spot: white bars on a black ground."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def rectangle(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def region(*box: float, ignore: bool = False) -> dict[str, Any]:
    return {"quad": rectangle(*box), "text": None, "ignore": ignore}


def record(name: str, *regions: dict[str, Any], **fields: object) -> dict[str, Any]:
    return {"file": name, "width": 200, "height": 100, "regions": list(regions), **fields}


def write_annotations(folder: Path, records: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"images": records})
    (folder / "annotations.json").write_text(text, encoding="utf-8")


def write_picture(path: Path, *bars: tuple[int, int, int, int]) -> None:
    """A black 200x100 picture with white bars (x0, y0, x1, y1)."""
    picture = np.zeros((100, 200), np.uint8)
    for x0, y0, x1, y1 in bars:
        picture[y0:y1, x0:x1] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def make_set(folder: Path) -> Path:
    """Three pictures: a bar that is annotated, one that is not, and an empty ground."""
    bar = (40, 40, 120, 60)
    write_picture(folder / "hit.png", bar)
    write_picture(folder / "false.png", bar)
    write_picture(folder / "empty.png")
    write_annotations(
        folder,
        [
            record("hit.png", region(*bar), dataset="bars"),
            record("false.png", region(140, 70, 190, 90), dataset="bars"),
            record("empty.png", dataset="ground"),
        ],
    )
    return folder


def write_predictions(path: Path, quads: dict[str, list[Any]]) -> Path:
    rows: list[dict[str, Any]] = [{"schema": "simrun/1", "model": "made up"}]
    rows += [{"file": f, "regions": [{"quad": q} for q in found]} for f, found in quads.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
