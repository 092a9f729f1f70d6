"""Running sums of an ablation over units, all in float64; memory does not grow with the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from simrun.types import Floats
from simtool.ablation.bootstrap import HALVINGS, half_members, poisson_counts
from simtool.ablation.criteria import CRITERIA, Units
from simtool.ablation.record import CriterionRecord
from simtool.data.labels import IGNORE


class Batch:
    """The measurements of one batch, complete before any of them is added up."""

    def __init__(self, units: Units, base: Mapping[str, Tensor], filters: int) -> None:
        """Start with the criteria (1, U) of the whole network."""
        self.units = units
        self.base = base
        rows = (units.images, filters)
        device = units.labels.device
        self.harm = {n: torch.zeros(rows, dtype=torch.float64, device=device) for n in CRITERIA}
        sums = (units.classes, filters)
        self.ablated = {n: torch.zeros(sums, dtype=torch.float64, device=device) for n in CRITERIA}
        self.flips = torch.zeros((2, filters), dtype=torch.float64, device=device)

    def add(self, filters: range, logits: Tensor) -> None:
        """Measure logits (G, N, C, ...) without each of these filters."""
        columns = slice(filters.start, filters.stop)
        values = self.units.measure(logits)
        for name, criterion in CRITERIA.items():
            self.ablated[name][:, columns] = self.units.per_class(values[name])
            change = criterion.worse * (values[name] - self.base[name])
            self.harm[name][:, columns] = self.units.per_image(change)
        change = values["error"] - self.base["error"]
        self.flips[0, columns] = (change > 0).sum(1).to(torch.float64)
        self.flips[1, columns] = (change < 0).sum(1).to(torch.float64)


class Sums:
    """What batches add up to; sums of several processes may be added too."""

    def __init__(self, filters: int, classes: int, resamples: int, seed: int) -> None:
        """Start from nothing."""
        self.filters = filters
        self.resamples = resamples
        self._seed = seed
        shapes: dict[str, tuple[int, ...]] = {
            "images": (1,),
            "units": (classes,),
            "positions": (classes,),
            "activation": (classes, filters),
            "flips": (2, filters),
            "resampled units": (resamples,),
            "half units": (HALVINGS,),
        }
        for name in CRITERIA:
            shapes |= {
                f"base {name}": (classes,),
                f"ablated {name}": (classes, filters),
                f"total {name}": (filters,),
                f"resampled {name}": (resamples, filters),
                f"half {name}": (HALVINGS, filters),
            }
        self._values = {
            name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()
        }

    def add(self, batch: Batch, maps: Tensor, labels: Tensor, first: int) -> None:
        """Add a batch whose first image is number `first` of the data."""
        values, units = self._values, batch.units
        values["images"] += units.images
        values["units"] += units.per_class(torch.ones_like(units.labels)[None])[:, 0].cpu()
        values["flips"] += batch.flips.cpu()
        counts = poisson_counts(self._seed, first, units.images, self.resamples)
        drawn = torch.from_numpy(counts).to(units.labels.device, torch.float64).T
        halves = torch.from_numpy(half_members(self._seed, first, units.images))
        half = halves.to(units.labels.device, torch.float64).T
        per_image = units.counts()
        values["resampled units"] += (drawn @ per_image).cpu()
        values["half units"] += (half @ per_image).cpu()
        for name in CRITERIA:
            values[f"base {name}"] += units.per_class(batch.base[name])[:, 0].cpu()
            values[f"ablated {name}"] += batch.ablated[name].cpu()
            values[f"total {name}"] += batch.harm[name].sum(0).cpu()
            values[f"resampled {name}"] += (drawn @ batch.harm[name]).cpu()
            values[f"half {name}"] += (half @ batch.harm[name]).cpu()
        self._add_activation(maps, labels)

    def reduce(self, reduce_sum: Callable[[Tensor], Tensor]) -> None:
        """Replace each sum by that over all processes."""
        for name, value in self._values.items():
            self._values[name] = reduce_sum(value)

    def array(self, name: str) -> Floats:
        """One of the sums."""
        return np.asarray(self._values[name].numpy())

    @property
    def images(self) -> int:
        """Images that were measured."""
        return int(self._values["images"])

    def criterion(self, name: str, level: float) -> CriterionRecord:
        """Means and bootstrap intervals of one criterion."""
        units = self.array("units")
        drawn = self.array("resampled units") > 0
        resampled_units = self.array("resampled units")[drawn, np.newaxis]
        means = self.array(f"resampled {name}")[drawn] / resampled_units
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
        base, ablated = self.array(f"base {name}"), self.array(f"ablated {name}")
        return CriterionRecord(
            worse=CRITERIA[name].worse,
            base=float(base.sum() / units.sum()),
            ablated=floats(ablated.sum(0) / units.sum()),
            harm_low=floats(low),
            harm_high=floats(high),
            base_per_class=tuple(
                float(s / n) if n else None for s, n in zip(base, units, strict=True)
            ),
            ablated_per_class=rows(ablated, units),
        )

    def halves(self, name: str) -> tuple[Floats, Floats]:
        """Harm (HALVINGS, K) of a criterion in one half and in the other of each halving."""
        one, other = self.array(f"half {name}"), self.array(f"total {name}")
        units = self.array("half units")[:, np.newaxis]
        rest = self.array("units").sum() - units
        return one / np.maximum(units, 1), (other - one) / np.maximum(rest, 1)

    def _add_activation(self, maps: Tensor, labels: Tensor) -> None:
        """Sum the responses by class: over a whole map, or where a dense label says the class."""
        if labels.ndim == 1:
            values = maps.flatten(2).mean(2).to(torch.float64)
        else:
            dense = labels.unsqueeze(1).to(torch.float32)  # nearest works on floats alone
            labels = F.interpolate(dense, maps.shape[2:], mode="nearest").squeeze(1)
            values = maps.to(torch.float64).permute(0, 2, 3, 1).flatten(0, 2)
        flat = labels.flatten().to(torch.int64)
        counted = flat != IGNORE
        shape = self._values["activation"].shape
        total = torch.zeros(shape, dtype=torch.float64, device=maps.device)
        total.index_add_(0, flat[counted], values[counted])
        self._values["activation"] += total.cpu()
        found = torch.bincount(flat[counted], minlength=shape[0])
        self._values["positions"] += found.to("cpu", torch.float64)


def floats(values: Floats) -> tuple[float, ...]:
    """Plain numbers, for a record."""
    return tuple(float(v) for v in values)


def rows(sums: Floats, counts: Floats) -> tuple[tuple[float, ...] | None, ...]:
    """Means (C, K) of sums (C, K); None for a class without units."""
    return tuple(floats(s / n) if n else None for s, n in zip(sums, counts, strict=True))
