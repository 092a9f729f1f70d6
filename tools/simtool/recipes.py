"""Training recipes by name: which network, on which data, how."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from simrun.errors import UsageError


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained with Adam. Inputs are scaled to [0, 1]."""

    name: str
    net: str
    """Name in `simtool.nets.NETS`."""
    data: str
    """Name in `simtool.data.DATASETS`."""
    epochs: int
    batch: int
    """Images per iteration."""
    learning_rate: float
    lr_decay: float
    """Iteration t, from 0, runs at learning_rate / (1 + lr_decay * t)."""


_MAPS: Final = Recipe(
    name="mnist-maps",
    net="maps",
    data="mnist-windows",
    epochs=12,
    batch=100,
    learning_rate=2e-3,
    lr_decay=6e-4,
)

RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        # The paper's, to the letter: Adam 1e-3, decay 1e-5, batch 300, 10 epochs.
        "mnist-lenet": Recipe(
            name="mnist-lenet",
            net="lenet",
            data="mnist",
            epochs=10,
            batch=300,
            learning_rate=1e-3,
            lr_decay=1e-5,
        ),
        # Class-specific maps: windows of composed canvases, one of them to a cell of the map.
        "mnist-maps": _MAPS,
        # The same with a hidden layer in the head, to see what the ablation does without CAM.
        "mnist-maps-deep": replace(_MAPS, name="mnist-maps-deep", net="maps-deep"),
    }
)


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none; the nearest name is suggested.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(RECIPES)}"
        raise UsageError(f"no recipe '{name}'; {hint}")
    return RECIPES[name]
