"""What each command of `simtool` does, as a function: heavy imports live on this side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simtool.data import load_split
from simtool.recipes import find_recipe
from simtool.train import train, train_seeds


def train_run(
    recipe_name: str, out: Path, data: Path | None, seed: int, seeds: int | None
) -> dict[str, Any]:
    """Train one seed, or several; the final test accuracy or the summary over the seeds."""
    recipe = find_recipe(recipe_name)
    splits = [load_split(recipe.data, name, data) for name in ("train", "test")]
    if seeds is not None:
        return train_seeds(recipe, splits[0], splits[1], out, seeds)
    final = train(recipe, splits[0], splits[1], out, seed)[-1]
    return {"run": str(out), **final}
