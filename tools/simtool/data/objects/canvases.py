"""Annotated canvases of held-out pictures: what a localizer of things is scored on.

The boxes come from the composition. They serve to score, never to train.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from simrun.errors import OutputError
from simrun.progress import progress
from simtool.data.annotations import ANNOTATIONS_FILE
from simtool.data.objects.material import Material
from simtool.data.objects.scenes import Layout, ObjectScene, make_scene
from simtool.files import json_bytes, staged_folder, write_bytes

CANVAS: Final = Layout(height=240, width=320, sizes=(24.0, 100.0), most=6)


def write_canvases(run: Path, out: Path, count: int, overwrite: bool) -> None:
    """Compose `count` canvases of a run's held-out pictures, and annotations.json beside them.

    Raises:
        SourceError: the run has no material.
        OutputError: `out` is there already, or cannot be written.
    """
    material = Material.load(run)
    with (
        staged_folder(out, mark=ANNOTATIONS_FILE, overwrite=overwrite) as folder,
        progress("canvases composed", count) as advance,
    ):
        records = []
        for index in range(count):
            scene = make_scene(material, True, index, CANVAS)
            name = f"{index:04}.png"
            _write_picture(folder / name, scene)
            records.append(_record(name, scene, material.cutouts.classes))
            advance(1)
        write_bytes(folder / ANNOTATIONS_FILE, json_bytes({"images": records}))


def _write_picture(path: Path, scene: ObjectScene) -> None:
    image = scene.image
    if image.shape[2] == 3:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)
    if not cv2.imwrite(str(path), image):
        raise OutputError(f"cannot write {path}; check the disk")


def _record(name: str, scene: ObjectScene, classes: tuple[str, ...]) -> dict[str, Any]:
    height, width = scene.image.shape[:2]
    regions = [
        {"quad": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]], "text": classes[label]}
        for (x0, y0, x1, y1), label in zip(scene.boxes, scene.labels, strict=True)
    ]
    return {"file": name, "width": width, "height": height, "regions": regions}
