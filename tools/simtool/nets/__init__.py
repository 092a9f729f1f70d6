"""Network architectures, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from simrun.errors import UsageError
from simtool.nets.base import NetSpec, SplitNet
from simtool.nets.characters import characters
from simtool.nets.lenet import lenet
from simtool.nets.maps import maps, maps_deep
from simtool.nets.scene_text import scene_text

__all__ = ["NETS", "NetSpec", "SplitNet", "build_net"]

NETS: Final[Mapping[str, Callable[[], SplitNet]]] = MappingProxyType(
    {
        "lenet": lenet,
        "maps": maps,
        "maps-deep": maps_deep,
        "scene-text": scene_text,
        "characters": characters,
    }
)


def build_net(name: str) -> SplitNet:
    """A freshly initialised network of that name.

    Raises:
        UsageError: there is no such network; the nearest name is suggested.
    """
    if name not in NETS:
        near = difflib.get_close_matches(name, NETS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(NETS)}"
        raise UsageError(f"no network '{name}'; {hint}")
    return NETS[name]()
