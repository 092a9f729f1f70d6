"""What an export can be told, and what each network is exported with when nothing is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from simrun.bundle.metadata import BundleMeta, Task
from simtool.data import CARRIED
from simtool.export.ablated_model import AblatedModel
from simtool.export.heatmap_graph import Polarity
from simtool.export.trunk import Pool
from simtool.nets.base import Padding
from simtool.weighting.weigh import WeightingOptions

_SMALLEST_SIDE: Final = 320
"""Working side of a network from --model, in pixels, where its own pictures are smaller."""

FOLDER_EXPORT: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "task": Task.OBJECTS,
        "side": 320,
        "scales": (1.0, 0.5),
        "weights": WeightingOptions(per_class=True),
        "map_threshold": 0.45,
        "region_threshold": 0.0,
        "regions": {
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
class ExportOptions:
    """How a bundle is made."""

    task: Task = Task.TEXT
    weighting: str = "signed"
    weights: WeightingOptions = field(default_factory=WeightingOptions)
    pool: Pool = "keep"
    padding: Padding | None = None
    """None takes the network's own choice."""
    polarity: Polarity = "both"
    static_size: tuple[int, int] | None = None
    """(H, W) of the only image size; the batch is 1 then."""
    side: int = 640
    scales: tuple[float, ...] = (1.0,)
    map_threshold: float = 0.5
    region_threshold: float = 0.5
    regions: Mapping[str, float] = field(default_factory=dict)
    """Rules of the regions step; see `simrun.localization.regions.RegionOptions`."""
    formats: tuple[str, ...] = ()
    """Of `simtool.export.formats`, to write the graphs in as well."""
    int8: Path | None = None
    """Folder of pictures to quantize the localizer's inner convolutions with."""


def with_defaults(previous: BundleMeta | None) -> ExportOptions:
    """The options of the bundle that is exported again, or the built-in ones."""
    if previous is None:
        return ExportOptions()
    used, made = previous.weighting, previous.export
    weights = WeightingOptions(
        criterion=used["criterion"],
        temperature=used["temperature"] or 1.0,
        standardise=used["standardise"],
        per_class=used["per_class"],
    )
    return ExportOptions(
        task=previous.task,
        weighting=used["method"],
        weights=weights,
        pool=made["pool"],
        padding=made["padding"],
        polarity=previous.polarity,  # type: ignore[arg-type]  # validated by BundleMeta
        side=previous.side,
        scales=previous.scales,
        map_threshold=previous.map_threshold,
        region_threshold=previous.region_threshold,
        regions=previous.regions,
    )


def preset(ablated: AblatedModel) -> ExportOptions:
    """How a network is exported when nothing else is said."""
    if ablated.previous is not None:
        return with_defaults(ablated.previous)
    foreign = ablated.checkpoint.foreign
    if foreign is not None:
        # Colours have no polarity, and things do not stand in lines as characters do.
        side = max(_SMALLEST_SIDE, foreign.crop_size)
        task = Task.TEXT if foreign.channels == 1 else Task.OBJECTS
        return ExportOptions(task, polarity="bright", side=side, regions={"join_gap": 0.0})
    return ExportOptions(**FOLDER_EXPORT) if ablated.provenance.data in CARRIED else ExportOptions()
