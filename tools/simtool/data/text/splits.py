"""The scenes of a material, as stores to train on and as labelled images to ablate on.

They are made on first use and kept in the material's folder, below `scenes`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np

from simrun.errors import SourceError
from simtool.data.dataset import LabelledImages
from simtool.data.labels import TEXT_CLASSES
from simtool.data.text.canvas import SceneConfig
from simtool.data.text.material import load_materials, material_sha256
from simtool.data.text.store import SceneStore, StoreRecipe, build_store

CONFIG: Final = SceneConfig()
HELD_OUT_SEED: Final = 1_000_003
"""Far from the seeds that anybody trains with."""
HELD_OUT: Final = 500
"""Scenes kept out of every training."""
SPLITS: Final = ("train", "test")


def open_store(folder: Path | None, seed: int, count: int) -> SceneStore:
    """The first `count` scenes of a seed's sequence, made where they are missing.

    Raises:
        SourceError: no folder is given, or it holds no material.
        OutputError: the scenes cannot be written.
    """
    if folder is None:
        raise SourceError(
            "scenes need material: run 'simtool fetch scene-text --out MATERIAL', then give "
            "--data MATERIAL"
        )
    recipe = StoreRecipe(CONFIG, seed, material_sha256(folder))
    target = folder / "scenes" / f"seed-{seed}"
    load = functools.partial(load_materials, folder)
    return build_store(target, recipe, load, count, workers=os.cpu_count() or 1)


def scenes_sha256(folder: Path | None, seed: int, count: int) -> str:
    """Identity of the first scenes of a seed: what decides them. Raises SourceError."""
    material = "" if folder is None else material_sha256(folder)
    parts = {"material": material, "config": asdict(CONFIG), "seed": seed, "count": count}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def load_scenes(split: str, folder: Path | None) -> LabelledImages:
    """Scenes with a label every four pixels: 0 "no text", 1 text, or `labels.IGNORE`.

    Args:
        split: `test`, the held-out scenes, or `train`, as many of seed 0.
        folder: the material.

    Raises:
        SourceError: unknown split, or no material.
    """
    if split not in SPLITS:
        raise SourceError(f"scene-text has no split '{split}'; it has {', '.join(SPLITS)}")
    seed = HELD_OUT_SEED if split == "test" else 0
    return labelled_images(open_store(folder, seed, HELD_OUT), split)


def labelled_images(scenes: SceneStore, split: str) -> LabelledImages:
    """All scenes of a store, in memory."""
    batch = scenes.read(np.arange(len(scenes)))
    return LabelledImages(batch.images[:, np.newaxis], batch.text_labels(), TEXT_CLASSES, split)
