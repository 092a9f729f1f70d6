"""Composed scenes of a run, as labelled images to ablate and to calibrate on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from simrun.errors import SourceError
from simtool.data.dataset import LabelledImages
from simtool.data.objects.material import Material
from simtool.data.objects.scenes import compose_split

SAMPLE: Final = 500
"""Scenes of a split that are ablated: as many as tell the filters apart."""
HELD_OUT: Final = 300
"""Scenes of held-out pictures that a training is measured on."""
SPLITS: Final = ("train", "test")


def load_folder_scenes(split: str, run: Path | None) -> LabelledImages:
    """The first scenes of a split.

    Args:
        split: `train`, or `test`: scenes of held-out pictures.
        run: run folder of `simtool train folder`, which carries its material.

    Raises:
        SourceError: unknown split, no run folder, or one without material.
    """
    if split not in SPLITS:
        raise SourceError(f"a folder run has no split '{split}'; it has {', '.join(SPLITS)}")
    if run is None:
        raise SourceError("scenes of a folder are kept in its run; give the run folder with --data")
    held_out = split == "test"
    return compose_split(Material.load(run), held_out, HELD_OUT if held_out else SAMPLE)
