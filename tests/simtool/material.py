"""What scenes and strips are made of, in little: one font, three words, one photo."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import matplotlib
import numpy as np

from simtool.data.text.canvas import SceneMaterials
from simtool.data.text.glyphs import find_faces

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def tiny_materials() -> SceneMaterials:
    """The same every time."""
    faces = [f for f in find_faces(FONTS, "Aa0") if f.path.name == "DejaVuSans.ttf"]
    random = np.random.default_rng(0)
    return SceneMaterials(
        latin=[faces],
        cjk=faces,
        words=["word", "sign", "Exit"],
        digits=random.integers(0, 256, (4, 28, 28), dtype=np.uint8),
        digit_labels=np.arange(4, dtype=np.uint8),
        photos=[random.integers(0, 256, (96, 96), dtype=np.uint8)],
        icons=dataclasses.replace(faces[0], codepoints=frozenset({0xE000})),
        hanzi="ABC",
    )
