"""Scenes on disk: made once by worker processes, then read as memory maps by the training."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError
from simrun.files import output_errors
from simtool.data.text.canvas import SceneConfig, SceneMaterials
from simtool.data.text.scenes import make_scene
from simtool.data.text.shards import make_shards

SCENES_SCHEMA: Final = "similarnet-scenes/2"
"""Scenes without a schema have labels of another type: they are not read as if they were these."""
RECIPE_FILE: Final = "recipe.json"
SHARD: Final = 500
"""Scenes in a file."""
_PARTS: Final = ("images", "labels", "heights")

MaterialLoader = Callable[[], SceneMaterials]
"""Called once in every worker; must be picklable where there are several."""


@dataclass(frozen=True)
class SceneBatch:
    """Scenes read together, the scene being the first axis."""

    images: NDArray[np.uint8]
    """(N, S, S)"""
    labels: NDArray[np.int8]
    """(N, S / 4, S / 4); see `canvas.TextScene`."""
    heights: NDArray[np.float16]
    """(N, S / 4, S / 4), pixels."""

    def text_labels(self) -> NDArray[np.int64]:
        """(N, S / 4, S / 4): 0 "no text", 1 text of any class, or `labels.IGNORE`."""
        return np.minimum(self.labels, 1).astype(np.int64)


class SceneStore:
    """The first scenes of a seed's sequence, in a folder that `build_store` filled."""

    def __init__(self, folder: Path, count: int) -> None:
        """Open `count` scenes.

        Raises:
            SourceError: the folder holds fewer.
        """
        shard = _shard_size(folder)
        stems = [folder / f"{i:05d}" for i in range(-(-count // shard))]
        self._count, self._shard = count, shard
        try:
            self._maps = [
                SceneBatch(*(np.load(f"{stem}.{part}.npy", mmap_mode="r") for part in _PARTS))
                for stem in stems
            ]
        except (OSError, ValueError) as error:
            raise SourceError(
                f"{folder} holds fewer than {count} scenes ({error}); make them first"
            ) from error

    def __len__(self) -> int:
        """Number of scenes."""
        return self._count

    def read(self, indices: NDArray[np.integer[Any]]) -> SceneBatch:
        """The scenes at `indices` (n,), each 0..len - 1, copied into memory."""
        picked = [(self._maps[int(i) // self._shard], int(i) % self._shard) for i in indices]
        return SceneBatch(
            np.stack([m.images[k] for m, k in picked]),
            np.stack([m.labels[k] for m, k in picked]),
            np.stack([m.heights[k] for m, k in picked]),
        )


@dataclass(frozen=True)
class StoreRecipe:
    """What decides the scenes of a store."""

    config: SceneConfig
    seed: int
    material_sha256: str
    shard: int = SHARD

    def to_json(self) -> dict[str, Any]:
        """The content of recipe.json."""
        facts = {"schema": SCENES_SCHEMA, **asdict(self)}
        return json.loads(json.dumps(facts))  # type: ignore[no-any-return]


def build_store(
    folder: Path, recipe: StoreRecipe, load: MaterialLoader, count: int, workers: int = 1
) -> SceneStore:
    """Make the first `count` scenes of the seed's sequence; shards that are there stay.

    Args:
        folder: where they go.
        recipe: what decides them.
        load: gives the material.
        count: of scenes.
        workers: processes; 1 works in this one.

    Raises:
        SourceError: the folder was begun with another recipe, or the material is missing.
        OutputError: the folder cannot be written.
    """
    path = folder / RECIPE_FILE
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != recipe.to_json():
        raise SourceError(f"{folder} holds scenes of another recipe or material; remove it")
    wanted = range(-(-count // recipe.shard))
    missing = [i for i in wanted if not (folder / f"{i:05d}.{_PARTS[-1]}.npy").is_file()]
    with output_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(recipe.to_json(), indent=1) + "\n", encoding="utf-8")
        if missing:
            make = functools.partial(_make_shard, folder, recipe)
            make_shards(missing, recipe.shard, load, make, workers, "scenes made")
    return SceneStore(folder, count)


def _make_shard(folder: Path, recipe: StoreRecipe, shard: int, materials: SceneMaterials) -> None:
    first = shard * recipe.shard
    numbers = range(first, first + recipe.shard)
    scenes = [make_scene(materials, recipe.config, recipe.seed, i) for i in numbers]
    # The heights come last: their file says that the shard is whole.
    for attribute, part in (("image", "images"), ("labels", "labels"), ("heights", "heights")):
        partial = folder / f"{shard:05d}.{part}.partial.npy"
        np.save(partial, np.stack([getattr(scene, attribute) for scene in scenes]))
        partial.rename(folder / f"{shard:05d}.{part}.npy")


def _shard_size(folder: Path) -> int:
    try:
        return int(json.loads((folder / RECIPE_FILE).read_text(encoding="utf-8"))["shard"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{folder} holds no scenes; make them first") from error
