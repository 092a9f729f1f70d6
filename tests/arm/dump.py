"""What the shipped models make of the sample pictures, as numbers to compare between processors.

    python -m tests.arm.dump FILE.npz [MODEL ...]

Runs on any machine that has the runtime. For each model, by name or folder, and picture, under
MODEL/PICTURE/: the heatmap at the picture's own size, where nothing is resized before the network,
and the quads and labels at the model's working side.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun import Localizer
from simrun.images.read import Image, read_image
from simrun.sources.demo import draw_scene

MODELS = ("scene-text", "mnist-lenet")
SAMPLES = Path(__file__).parents[2] / "runtime" / "simrun" / "samples"
PICTURES = ("sign.jpg", "digits-on-dark.png", "demo")


def main() -> None:
    """Write the file."""
    cv2.setNumThreads(1)
    models = sys.argv[2:] or MODELS
    np.savez(sys.argv[1], **look_at_all(models))  # type: ignore[arg-type]


def look_at_all(models: Sequence[str] = MODELS) -> dict[str, NDArray[Any]]:
    """Every array by its name MODEL/PICTURE/KEY."""
    return {
        f"{Path(model).name}/{picture}/{key}": value
        for model in models
        for picture in PICTURES
        for key, value in look(model, open_picture(picture)).items()
    }


def open_picture(name: str) -> Image:
    """A sample by its file's name, or a scene of the demo, which is drawn and not decoded."""
    return draw_scene(1.0) if name == "demo" else read_image(SAMPLES / name)


def look(model: str, image: Image) -> dict[str, NDArray[Any]]:
    """Heatmap without any resizing; quads (n, 4, 2) and labels (n,) as simrun gives them."""
    unscaled = Localizer.load(model, side=max(image.shape[:2]), classify=False)(image)
    result = Localizer.load(model)(image)
    assert unscaled.heatmap is not None
    return {
        "heatmap": unscaled.heatmap.values,
        "quads": np.array([region.quad for region in result.regions]).reshape(-1, 4, 2),
        "labels": np.array([region.label or "" for region in result.regions], dtype=str),
    }


if __name__ == "__main__":
    main()
