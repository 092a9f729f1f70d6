"""`simtool train folder`: from a folder of pictures to a trained network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from simtool.data.image_folder import Channels
from simtool.data.objects.material import MATERIAL_FILE, read_material
from simtool.data.objects.scenes import compose_split
from simtool.data.objects.splits import HELD_OUT
from simtool.distributed import joined
from simtool.runs.folder import RunConfig, RunFolder
from simtool.runs.recipes import Recipe
from simtool.training.loop import train
from simtool.weighting.weigh import WeightingOptions

FOLDER_EXPORT: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "side": 320,
        "scales": (1.0, 0.5),
        "weights": WeightingOptions(per_class=True),
        "map_threshold": 0.45,
        "region_threshold": 0.0,
        "regions": {
            "lines": 0.0,
            "seed_threshold": 0.72,
            "grow_across": 1.3,
            "grow_along": 0.15,
        },
    }
)
"""How such a run is exported unless told otherwise. A map a class beats one map of all classes
(docs/your-own-classes.md has both). A region needs a peak and reaches down to the lower threshold;
its growth undoes that a core is what is found."""


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
