"""Data sets by name: what a classifier is trained on, and what a localizer is scored on.

In: a name, a split and a folder. Out: `LabelledImages`, pixels and classes, known by their hash;
nothing here knows a network. Open `dataset` first. `mnist`, `mnist_windows`, `image_folder` read;
`text/` and `objects/` compose scenes; `annotations` are photos with text boxes drawn by people;
`labels` is what generators and networks agree on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from simrun.errors import UsageError
from simtool.data.dataset import LabelledImages
from simtool.data.mnist import load_mnist
from simtool.data.mnist_windows import load_windows

__all__ = ["DATASETS", "LabelledImages", "load_split"]


def _load_scenes(split: str, folder: Path | None) -> LabelledImages:
    # Generated data need libraries that no other data set does.
    from simtool.data.text.splits import load_scenes

    return load_scenes(split, folder)


def _load_characters(split: str, folder: Path | None) -> LabelledImages:
    from simtool.data.text.characters import load_characters

    return load_characters(split, folder)


def _load_cutouts(split: str, folder: Path | None) -> LabelledImages:
    from simtool.data.objects.splits import load_folder_scenes

    return load_folder_scenes(split, folder)


DATASETS: Final[Mapping[str, Callable[[str, Path | None], LabelledImages]]] = MappingProxyType(
    {
        "mnist": load_mnist,
        "mnist-windows": load_windows,
        "scene-text": _load_scenes,
        "characters": _load_characters,
        "folder": _load_cutouts,
    }
)

CARRIED: Final = frozenset({"folder"})
"""Data sets that a run folder carries with it: `load_split` takes that folder."""


def load_split(dataset: str, split: str, folder: Path | None) -> LabelledImages:
    """One named split of a named data set, from `folder` or from where the data set is looked for.

    Raises:
        UsageError: there is no data set of that name.
        SourceError: the split is unknown, missing or damaged.
    """
    if dataset not in DATASETS:
        raise UsageError(f"no data set '{dataset}'; known: {', '.join(DATASETS)}")
    return DATASETS[dataset](split, folder)
