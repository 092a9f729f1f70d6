"""Reading the material that `simtool fetch scene-text` laid out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

import numpy as np

from simrun.errors import SourceError
from simtool.data.dataset import LabelledImages
from simtool.data.labels import CHARACTERS
from simtool.data.mnist import load_mnist
from simtool.data.text.canvas import SceneMaterials
from simtool.data.text.fetch import read_record
from simtool.data.text.glyphs import Face, find_faces
from simtool.data.text.photos import load_photos

LETTERS: Final = CHARACTERS + CHARACTERS.lower()
_WORDS: Final = Path("words/wamerican/usr/share/dict/american-english")
_HOUSE: Final = "\uf015"
"""A pictogram that every release of the icon font has."""


def load_materials(folder: Path) -> SceneMaterials:
    """What scenes are made of.

    Raises:
        SourceError: something was not fetched.
    """
    latin = [faces for faces in latin_packages(folder) if faces]
    cjk = find_faces(folder / "cjk-font", "中国")
    icons = find_faces(folder / "icon-font", _HOUSE)
    if not (latin and cjk and icons):
        raise SourceError(f"{folder} lacks fonts; run 'simtool fetch scene-text --out {folder}'")
    digits = load_digits(folder, "train")
    return SceneMaterials(
        latin=latin,
        cjk=cjk,
        words=_words(folder / _WORDS),
        digits=digits.images[:, 0],
        digit_labels=digits.labels.astype(np.uint8),
        photos=load_photos(folder),
        icons=icons[0],
    )


def latin_packages(folder: Path) -> list[list[Face]]:
    """Faces that draw letters and digits, package by package, in a fixed order.

    Raises:
        SourceError: there is no folder of fonts.
    """
    read_record(folder)
    fonts = folder / "latin-font"
    if not fonts.is_dir():
        raise SourceError(f"{folder} lacks fonts; run 'simtool fetch scene-text --out {folder}'")
    return [find_faces(package, LETTERS) for package in sorted(fonts.iterdir())]


def load_digits(folder: Path, split: str) -> LabelledImages:
    """MNIST from a folder `mnist` in the material, or from where it is looked for by default."""
    return load_mnist(split, folder if (folder / "mnist").is_dir() else None)


def material_sha256(folder: Path) -> str:
    """Identity of the material: the archives' hashes. Raises SourceError where none is recorded."""
    rows = sorted((m.package, m.version, m.sha256) for m in read_record(folder))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _words(path: Path) -> list[str]:
    try:
        listed = path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    return [word for word in listed if word.isascii() and "'" not in word]
