"""Ablation: how much worse a classifier gets when one filter's response goes no further.

The part before the layer (trunk) runs once per batch; the part after it (head) runs once per
filter, in chunks, with that filter's map set to the baseline. Every quantity is a sum over units.
A unit is an image, or, where labels are dense, a labelled position of an image.

Three criteria, all measured in the same pass:

    error  1 where the class is wrong, else 0          (the paper's E and e_i)
    loss   negative log-likelihood of the true class, nats
    logit  logit of the true class
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from simrun.errors import ModelError, UsageError
from simtool.ablation_record import AblationRecord, CriterionRecord

log = logging.getLogger(__name__)

IGNORE: Final = -100
"""Label of a position that is not counted."""

Floats = NDArray[np.float64]
Maps = Callable[[Tensor], Tensor]


def _error(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(1) != labels).to(torch.float64)


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none").to(torch.float64)


def _logit(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.gather(1, labels.unsqueeze(1)).squeeze(1).to(torch.float64)


@dataclass(frozen=True)
class Criterion:
    """A quantity per unit, and which way is worse."""

    measure: Callable[[Tensor, Tensor], Tensor]
    """Logits (U, C) and labels (U,) -> values (U,) float64."""
    worse: float
    """+1 where a higher value is worse, -1 where a lower one is."""


CRITERIA: Final[Mapping[str, Criterion]] = MappingProxyType(
    {
        "error": Criterion(_error, +1.0),
        "loss": Criterion(_loss, +1.0),
        "logit": Criterion(_logit, -1.0),
    }
)


@dataclass(frozen=True)
class Provenance:
    """What was ablated, for the record."""

    layer: str
    split: str
    data_sha256: str
    checkpoint_sha256: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class AblationOptions:
    """How to measure; none of it but the bootstrap's changes a result."""

    chunk: int = 8
    """Filters whose ablated maps go through the head together: memory for speed."""
    resamples: int = 1000
    """Bootstrap resamples."""
    level: float = 0.95
    """Coverage of the bootstrap intervals."""
    seed: int = 0
    """Of the bootstrap."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured. Raises UsageError."""
        if self.chunk < 1 or self.resamples < 2 or not 0 < self.level < 1 or self.seed < 0:
            raise UsageError(
                f"ablation options {self} are impossible: chunk >= 1, resamples >= 2, "
                "0 < level < 1 and seed >= 0 are needed"
            )


def ablate(
    trunk: Maps,
    head: Maps,
    batches: Iterable[tuple[Tensor, Tensor]],
    provenance: Provenance,
    options: AblationOptions | None = None,
) -> AblationRecord:
    """Measure a classifier with all filters of a layer, and with each one blocked in turn.

    Args:
        trunk: images -> maps F (N, K, h, w).
        head: F -> logits (N, C), or (N, C, h', w') for dense labels.
        batches: images and labels; labels (N,) or (N, h', w') int64, `IGNORE` not counted. How
            the data is cut into batches does not matter.
        provenance: recorded as it is.
        options: memory and bootstrap.

    Raises:
        ModelError: no data, logits that are not finite, or shapes that do not fit.
        UsageError: impossible options.
    """
    options = options or AblationOptions()
    sums: _Sums | None = None
    with torch.inference_mode():
        for images, labels in batches:
            maps = trunk(images)
            if maps.ndim != 4:
                raise ModelError(
                    f"layer '{provenance.layer}' gives shape {tuple(maps.shape)}; "
                    "only maps (N, K, h, w) can be ablated and exported"
                )
            sums = sums or _Sums(maps.shape[1], len(provenance.classes), options)
            _add_batch(sums, head, maps, labels, options.chunk)
    if sums is None or sums.units.sum() == 0:
        raise ModelError(f"split '{provenance.split}' has no labelled image; nothing to ablate")
    return sums.record(provenance)


def without_filters(maps: Tensor, filters: range) -> Tensor:
    """Copies of the maps, each without one filter: (N, K, h, w) -> (len(filters) * N, K, h, w)."""
    copies = maps.unsqueeze(0).repeat(len(filters), 1, 1, 1, 1)
    for row, index in enumerate(filters):
        copies[row, :, index] = 0
    return copies.flatten(0, 1)


class _Sums:
    """Running sums over units, all in float64; memory does not grow with the data.

    The bootstrap is a Poisson one: in each resample every image counts Poisson(1) times, which
    needs no second pass. Its random numbers are drawn image by image, so that batches do not
    matter; a dense image is drawn as a whole, because its positions are not independent.
    """

    def __init__(self, filters: int, classes: int, options: AblationOptions) -> None:
        self.filters = filters
        self.options = options
        self.images = 0
        self.units = np.zeros(classes)
        self.base = {name: np.zeros(classes) for name in CRITERIA}
        self.ablated = {name: np.zeros((classes, filters)) for name in CRITERIA}
        self.activation = np.zeros((classes, filters))
        self.positions = np.zeros(classes)
        self.right_to_wrong = np.zeros(filters, np.int64)
        self.wrong_to_right = np.zeros(filters, np.int64)
        self._random = np.random.default_rng(options.seed)
        self._resampled_units = np.zeros(options.resamples)
        self._resampled = {name: np.zeros((options.resamples, filters)) for name in CRITERIA}

    def add_resamples(self, units: Floats, harm: Mapping[str, Floats]) -> None:
        """Count a batch in the bootstrap: units (N,) and summed harm (N, K) of each image."""
        counts = self._random.poisson(1.0, (len(units), self.options.resamples)).T.astype(float)
        self._resampled_units += counts @ units
        for name, values in harm.items():
            self._resampled[name] += counts @ values

    def record(self, provenance: Provenance) -> AblationRecord:
        """The means, intervals and counts."""
        return AblationRecord(
            layer=provenance.layer,
            baseline="zero",
            split=provenance.split,
            samples=self.images,
            units_per_class=tuple(int(n) for n in self.units),
            classes=provenance.classes,
            criteria={name: self._criterion(name) for name in CRITERIA},
            right_to_wrong=tuple(int(n) for n in self.right_to_wrong),
            wrong_to_right=tuple(int(n) for n in self.wrong_to_right),
            mean_activation=_floats(self.activation.sum(0) / max(self.positions.sum(), 1)),
            mean_activation_per_class=_rows(self.activation, self.positions),
            resamples=self.options.resamples,
            level=self.options.level,
            seed=self.options.seed,
            data_sha256=provenance.data_sha256,
            checkpoint_sha256=provenance.checkpoint_sha256,
        )

    def _criterion(self, name: str) -> CriterionRecord:
        units = self.units.sum()
        drawn = self._resampled_units > 0
        means = self._resampled[name][drawn] / self._resampled_units[drawn, np.newaxis]
        tail = (1 - self.options.level) / 2
        low, high = np.quantile(means, [tail, 1 - tail], axis=0)
        return CriterionRecord(
            worse=CRITERIA[name].worse,
            base=float(self.base[name].sum() / units),
            ablated=_floats(self.ablated[name].sum(0) / units),
            harm_low=_floats(low),
            harm_high=_floats(high),
            base_per_class=tuple(
                float(s / n) if n else None
                for s, n in zip(self.base[name], self.units, strict=True)
            ),
            ablated_per_class=_rows(self.ablated[name], self.units),
        )


def _add_batch(sums: _Sums, head: Maps, maps: Tensor, labels: Tensor, chunk: int) -> None:
    """Measure one batch: maps (N, K, h, w), labels (N,) or (N, h', w')."""
    units = _Units.of(labels, len(sums.units))
    base = units.measure(head(maps))
    images = len(maps)
    harm = {name: np.empty((images, sums.filters)) for name in CRITERIA}
    for start in range(0, sums.filters, chunk):
        filters = range(start, min(start + chunk, sums.filters))
        logits = torch.split(head(without_filters(maps, filters)), images)
        for index, ablated_logits in zip(filters, logits, strict=True):
            values = units.measure(ablated_logits)
            for name, criterion in CRITERIA.items():
                sums.ablated[name][:, index] += units.per_class(values[name])
                change = criterion.worse * (values[name] - base[name])
                harm[name][:, index] = units.per_image(change)
            flips = values["error"] - base["error"]
            sums.right_to_wrong[index] += int((flips > 0).sum())
            sums.wrong_to_right[index] += int((flips < 0).sum())
    for name in CRITERIA:
        sums.base[name] += units.per_class(base[name])
    sums.images += images
    sums.units += units.per_class(torch.ones(len(units.labels), dtype=torch.float64))
    sums.add_resamples(units.counts(), harm)
    _add_activation(sums, maps, labels)


def _add_activation(sums: _Sums, maps: Tensor, labels: Tensor) -> None:
    """Sum the responses by class: over a whole map, or where a dense label says the class."""
    if labels.ndim == 1:
        values = maps.to(torch.float64).mean((2, 3))
    else:
        dense = labels.unsqueeze(1).to(torch.float32)  # nearest works on floats alone
        labels = F.interpolate(dense, maps.shape[2:], mode="nearest").squeeze(1).to(torch.int64)
        values = maps.to(torch.float64).permute(0, 2, 3, 1).flatten(0, 2)
    flat = labels.flatten()
    counted = flat != IGNORE
    total = torch.zeros(sums.activation.shape, dtype=torch.float64)
    total.index_add_(0, flat[counted], values[counted])
    sums.activation += total.numpy()
    sums.positions += np.bincount(flat[counted].numpy(), minlength=len(sums.positions))


@dataclass(frozen=True)
class _Units:
    """The labelled units of a batch: which image and class each is of."""

    images: int
    classes: int
    labels: Tensor
    """(U,) int64, all counted."""
    image: Tensor
    """(U,) int64: index of the image."""
    counted: Tensor
    """(N,) or (N, h', w') bool."""

    @classmethod
    def of(cls, labels: Tensor, classes: int) -> _Units:
        counted = labels != IGNORE
        kept = labels[counted]
        if len(kept) and not 0 <= int(kept.min()) <= int(kept.max()) < classes:
            raise ModelError(
                f"labels {int(kept.min())} to {int(kept.max())} do not match {classes} classes"
            )
        return cls(len(labels), classes, kept, counted.nonzero()[:, 0], counted)

    def measure(self, logits: Tensor) -> dict[str, Tensor]:
        """Every criterion of every unit: logits (N, C, ...) -> name -> (U,) float64."""
        channels_last = logits.movedim(1, -1)
        if channels_last.shape[:-1] != self.counted.shape or logits.shape[1] != self.classes:
            raise ModelError(
                f"the head gives logits {tuple(logits.shape)} for labels "
                f"{tuple(self.counted.shape)} and {self.classes} classes; they must match"
            )
        of_units = channels_last[self.counted]
        if not bool(torch.isfinite(of_units).all()):
            raise ModelError("the network gives logits that are not finite; train it again")
        return {name: c.measure(of_units, self.labels) for name, c in CRITERIA.items()}

    def per_class(self, values: Tensor) -> Floats:
        """Sums (C,) of values (U,)."""
        return np.bincount(self.labels.numpy(), values.numpy(), self.classes).astype(np.float64)

    def per_image(self, values: Tensor) -> Floats:
        """Sums (N,) of values (U,)."""
        return np.bincount(self.image.numpy(), values.numpy(), self.images).astype(np.float64)

    def counts(self) -> Floats:
        """Units (N,) of each image."""
        return np.bincount(self.image.numpy(), minlength=self.images).astype(np.float64)


def _floats(values: Floats) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _rows(sums: Floats, counts: Floats) -> tuple[tuple[float, ...] | None, ...]:
    """Means (C, K) of sums (C, K); None for a class without units."""
    return tuple(_floats(s / n) if n else None for s, n in zip(sums, counts, strict=True))
