"""`simtool train folder`: from a folder of pictures to a trained network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simtool.data.image_folder import Channels
from simtool.data.objects.material import MATERIAL_FILE, read_material
from simtool.data.objects.scenes import compose_split
from simtool.data.objects.splits import HELD_OUT
from simtool.distributed import joined
from simtool.runs.folder import RunConfig, RunFolder
from simtool.runs.recipes import Recipe
from simtool.training.labelled import train


@dataclass(frozen=True)
class Composed:
    """The options that `simtool train` has for composed scenes."""

    background: Path | None = None
    """Folder of photos."""
    channels: Channels | None = None


def train_folder(
    recipe: Recipe, data: Path, composed: Composed, out: Path, seed: int
) -> dict[str, Any] | None:
    """Read, compose and train, or go on where `out` holds this very run; the final accuracy.

    None in a process that does not lead.

    Args:
        recipe: of kind `folder`.
        data: a folder a class.
        composed: backgrounds and channels.
        out: run folder; it carries the material that scenes are composed of.
        seed: of the initial weights and the order of the scenes.

    Raises:
        SourceError: the pictures cannot be used.
        UsageError: `out` holds another run, and the errors of `train`.
        OutputError: `out` holds something else or cannot be written.
    """
    RunFolder(out).refuse_foreign()
    material = read_material(data, composed.background, composed.channels)
    recipe = replace(recipe, variant=material.variant)
    scenes = compose_split(material, held_out=False, count=recipe.scenes or 0)
    test = compose_split(material, held_out=True, count=HELD_OUT)
    with joined() as peers:
        if peers.leads and not (out / MATERIAL_FILE).is_file():
            RunFolder.create(out, RunConfig(recipe, seed, scenes.sha256))
            material.save(out)
        final = train(recipe, scenes, test, out, seed, peers)[-1]
    by_class = dict(zip(test.classes, final["test"]["per_class"], strict=True))
    return {"run": str(out), **final, "by_class": by_class} if peers.leads else None
