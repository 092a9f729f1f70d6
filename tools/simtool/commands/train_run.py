"""What `simtool train` does: a training by the recipe of a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simrun.errors import UsageError
from simtool.data import CARRIED, load_split
from simtool.data.image_folder import channels_of
from simtool.distributed import joined
from simtool.runs.recipes import Recipe, SceneRecipe, find_recipe
from simtool.training.loop import train, train_seeds
from simtool.training.objects import Composed, train_folder


def composed_of(background: Path | None, channels: str | None) -> Composed:
    """The options of composed scenes as given."""
    return Composed(background, channels_of(channels))


def train_run(
    recipe_name: str,
    out: Path,
    data: Path | None,
    seed: int,
    seeds: int | None,
    steps: int | None = None,
    composed: Composed | None = None,
) -> dict[str, Any] | None:
    """Train one seed, or several; the final test accuracy or the summary over the seeds.

    None in a process that does not lead.
    """
    recipe = find_recipe(recipe_name)
    if isinstance(recipe, Recipe) and recipe.data in CARRIED:
        if data is None or seeds is not None or steps is not None:
            raise UsageError("recipe 'folder' needs --data DIR, and takes no --seeds or --steps")
        return train_folder(recipe, data, composed or Composed(), out, seed)
    if composed is not None and composed != Composed():
        raise UsageError("--background and --channels are for the recipe 'folder'")
    if isinstance(recipe, SceneRecipe):
        return _train_on_scenes(recipe, out, data, seed, seeds, steps)
    if steps is not None:
        raise UsageError(f"recipe '{recipe_name}' has epochs of fixed length; leave --steps out")
    splits = [load_split(recipe.data, name, data) for name in ("train", "test")]
    with joined() as peers:
        if seeds is not None:
            result = train_seeds(recipe, splits[0], splits[1], out, seeds, peers)
        else:
            final = train(recipe, splits[0], splits[1], out, seed, peers)[-1]
            result = {"run": str(out), **final}
    return result if peers.leads else None


def _train_on_scenes(
    recipe: SceneRecipe,
    out: Path,
    data: Path | None,
    seed: int,
    seeds: int | None,
    steps: int | None,
) -> dict[str, Any]:
    from simtool.data.text.splits import HELD_OUT, HELD_OUT_SEED, open_store, scenes_sha256
    from simtool.training.text import train_scenes

    if seeds is not None:
        raise UsageError(f"recipe '{recipe.name}' trains one seed at a time; leave --seeds out")
    if steps is not None:
        recipe = recipe.shortened(steps)
    held_out = open_store(data, HELD_OUT_SEED, HELD_OUT)
    scenes = open_store(data, seed, recipe.scenes)
    identity = scenes_sha256(data, seed, recipe.scenes)
    final = train_scenes(recipe, scenes, held_out, identity, out, seed)[-1]
    return {"run": str(out), **final}
