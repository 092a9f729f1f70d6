"""Network architectures, by name: a trunk that ends in the maps F, and a head.

In: a name and, for classes of one's own, what the data have. Out: a `SplitNet` with its `NetSpec`,
what ablation and export need to know; or a `Reader` of strips. Open `base` first; a new network is
a module beside `lenet`, named in `NETS`. `blocks` is what they are built of, `layers` finds and
hooks layers of any network; `imported` and `tracing` make a trunk and a head of somebody's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from torch import nn

from simrun.errors import UsageError, did_you_mean
from simtool.data.dataset import Variant
from simtool.nets.base import NetSpec, SplitNet
from simtool.nets.characters import characters
from simtool.nets.lenet import lenet
from simtool.nets.mnist_maps import maps, maps_deep
from simtool.nets.objects import things
from simtool.nets.reader import Reader
from simtool.nets.scene_text import scene_text

__all__ = ["NETS", "READERS", "NetSpec", "SplitNet", "Variant", "build_any", "build_net"]

NETS: Final[Mapping[str, Callable[[], SplitNet]]] = MappingProxyType(
    {
        "lenet": lenet,
        "maps": maps,
        "maps-deep": maps_deep,
        "scene-text": scene_text,
        "characters": characters,
    }
)

VARIANTS: Final[Mapping[str, Callable[[Variant], SplitNet]]] = MappingProxyType({"things": things})
"""Networks whose classes come with the data."""

READERS: Final[Mapping[str, Callable[[], Reader]]] = MappingProxyType({"reader": Reader})
"""Networks that read strips: they have no maps to ablate."""


def build_net(name: str, variant: Variant | None = None) -> SplitNet:
    """A freshly initialised network of that name.

    Args:
        name: in `VARIANTS` where a variant is given, in `NETS` elsewhere.
        variant: classes and channels, for a network that takes them from the data.

    Raises:
        UsageError: there is no such network; the nearest name is suggested.
    """
    if variant is not None and name in VARIANTS:
        return VARIANTS[name](variant)
    if name in READERS:
        raise UsageError(
            f"'{name}' reads strips and has no maps to ablate; give its run to 'simtool export "
            "--reader'"
        )
    if name not in NETS:
        raise UsageError(f"no network '{name}'; {did_you_mean(name, NETS)}")
    return NETS[name]()


def build_any(name: str, variant: Variant | None = None) -> nn.Module:
    """A freshly initialised network to be trained: a reader, or else as `build_net`."""
    return READERS[name]() if name in READERS else build_net(name, variant)
