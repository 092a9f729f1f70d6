"""Ablation: how much worse a classifier gets when one filter's response goes no further.

The part before the layer runs once per batch, the part after it once per filter, as far as it has
to (`simtool.ablation.partition.graph`); the filter's map is exchanged for the baseline. What is
measured is in `simtool.ablation.criteria`, and all of it in the same pass.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from simrun.errors import ModelError, UsageError
from simtool.ablation.accumulate import Batch, Sums, floats, rows
from simtool.ablation.criteria import CRITERIA, Units
from simtool.ablation.memory import OutOfMemoryError, memory_errors, peak_bytes
from simtool.ablation.partition.graph import Baseline, Cut
from simtool.ablation.record import AblationRecord, Stability
from simtool.ablation.stability import split_half
from simtool.distributed import ALONE, Peers

__all__ = ["CRITERIA", "AblationOptions", "Provenance", "ablate_cut"]

log = logging.getLogger(__name__)

BASELINES: Final = ("zero", "mean")
_SHARE: Final = 0.5
"""Share of --memory-mb that is planned with: operations need scratch space of their own."""
_MOST_ROWS: Final = 1024
"""Images times filters that go through the head at once: more is not faster."""

Data = Iterable[tuple[Tensor, Tensor]]


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
    """How to measure; of these, only the baseline and the bootstrap's change a result."""

    chunk: int | None = None
    """Filters that go through the head together; None chooses by the memory."""
    resamples: int = 1000
    """Bootstrap resamples."""
    level: float = 0.95
    """Coverage of the bootstrap intervals."""
    seed: int = 0
    """Of the bootstrap."""
    memory_mb: int = 1024
    """Working memory to keep to, in MiB: what comes on top of the network and the data read."""
    baseline: str = "zero"
    """What a blocked filter answers: `zero` (the paper), or its `mean` over the data."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured. Raises UsageError."""
        chunk = 1 if self.chunk is None else self.chunk
        if (
            min(chunk, self.memory_mb) < 1
            or self.resamples < 2
            or not 0 < self.level < 1
            or self.seed < 0
        ):
            raise UsageError(
                f"ablation options {self} are impossible: chunk >= 1, resamples >= 2, "
                "0 < level < 1, seed >= 0 and memory_mb >= 1 are needed"
            )
        if self.baseline not in BASELINES:
            raise UsageError(f"no baseline '{self.baseline}'; known: {', '.join(BASELINES)}")


def ablate_cut(
    cut: Cut,
    batches: Data,
    provenance: Provenance,
    options: AblationOptions | None = None,
    peers: Peers = ALONE,
    baseline: Baseline = None,
    first: int = 0,
) -> AblationRecord:
    """Measure a classifier with all filters of a layer, and with each one blocked in turn.

    Args:
        cut: the network, cut at the layer.
        batches: images and labels; labels (N,) or (N, h', w') int64, `IGNORE` not counted. How
            the data is cut into batches does not matter.
        provenance: recorded as it is.
        options: memory and bootstrap.
        peers: the processes that share the data; each gets the record of all.
        baseline: (K,) values, where `options.baseline` is not zero.
        first: number of the first image in the whole data, which this process has a part of.

    Raises:
        ModelError: no data, logits that are not finite, shapes that do not fit, or too little
            memory for one image and one filter.
        UsageError: impossible options.
    """
    options = options or AblationOptions()
    measuring: _Measuring | None = None
    with torch.inference_mode():
        for images, labels in batches:
            measuring = measuring or _Measuring(cut, images, provenance, options, baseline)
            measuring.measure_all(images, labels, first)
            first += len(images)
    if measuring is None:
        raise _no_data(provenance)
    measuring.sums.reduce(peers.reduce_sum)
    return _record(measuring.sums, provenance, options)


def images_at_once(cut: Cut, images: Tensor, options: AblationOptions, classes: int) -> int:
    """How many images like these fit into the memory together."""
    filters = cut.run(images[:1]).maps.shape[1]
    budget = int(options.memory_mb * 2**20 * _SHARE)
    return _plan(cut, images, filters, budget, classes)[0]


class _Measuring:
    """Sums, and the sizes of the pieces that the memory allows."""

    def __init__(
        self,
        cut: Cut,
        images: Tensor,
        provenance: Provenance,
        options: AblationOptions,
        baseline: Baseline,
    ) -> None:
        self._cut = cut
        self._baseline = baseline
        response = cut.run(images[:1], baseline)
        if response.maps.ndim != 4:
            raise ModelError(f"layer '{cut.layer}' gives shape {tuple(response.maps.shape)}")
        filters = response.maps.shape[1]
        self.sums = Sums(filters, len(provenance.classes), options.resamples, options.seed)
        budget = int(options.memory_mb * 2**20 * _SHARE)
        self.images, self._group = _plan(cut, images, filters, budget, len(provenance.classes))
        if options.chunk is not None:
            self._group = min(options.chunk, filters)
        log.debug("%d images and %d filters at once", self.images, self._group)

    def measure_all(self, images: Tensor, labels: Tensor, first: int) -> None:
        """Measure images, as many at once as the memory allows, which may become fewer."""
        start = 0
        while start < len(images):
            part = slice(start, start + self.images)
            start = part.stop
            self._measure(images[part], labels[part], first + part.start)

    def _measure(self, images: Tensor, labels: Tensor, first: int) -> None:
        """Measure a batch; in smaller pieces where the memory does not suffice."""
        try:
            with memory_errors():
                batch, maps = self._try(images, labels)
        except OutOfMemoryError as error:
            self._shrink(len(images), error)
            self.measure_all(images, labels, first)
            return
        self.sums.add(batch, maps, labels.to(maps.device), first)

    def _try(self, images: Tensor, labels: Tensor) -> tuple[Batch, Tensor]:
        response = self._cut.run(images, self._baseline)
        logits = response.logits
        units = Units.of(labels.to(logits.device), len(self.sums.array("units")))
        filters = self.sums.filters
        batch = Batch(units, units.measure(logits[None]), filters)
        for start in range(0, filters, self._group):
            chunk = range(start, min(start + self._group, filters))
            batch.add(chunk, response.without(chunk))
        return batch, response.maps

    def _shrink(self, images: int, error: OutOfMemoryError) -> None:
        """Fewer filters at once, then fewer images. Raises ModelError where it is one of each."""
        if self._group > 1:
            self._group //= 2
        elif images > 1:
            self.images = max(1, images // 2)
        else:
            raise ModelError(
                "out of memory with one image and one filter at a time; use smaller images "
                "(--size), another --device, or a computer with more memory"
            ) from error
        log.warning(
            "out of memory: going on with %d images and %d filters at once",
            self.images,
            self._group,
        )


def _plan(cut: Cut, images: Tensor, filters: int, budget: int, classes: int) -> tuple[int, int]:
    """How many images, and how many filters of each, fit into `budget` bytes.

    Measured with one image and one filter, and with two: what two need more is what each needs.
    """
    one = images[:1]
    two = one.repeat(2, *(1,) * (images.ndim - 1))
    by_images = [peak_bytes(lambda x=x: cut.run(x)) for x in (one, two)]  # type: ignore[misc]
    response = cut.run(one)
    by_filters = [
        peak_bytes(lambda r=r: response.without(r))  # type: ignore[misc]
        for r in (range(1), range(min(2, filters)))
    ]
    per_image = max(by_images[1] - by_images[0], one.nbytes)
    fixed = max(0, by_images[0] - per_image)
    # The harm of each image by filter and criterion, kept until the batch is done.
    per_image += len(CRITERIA) * 8 * filters
    # Logits and what the criteria make of them, on top of the head's own.
    per_filter = max(by_filters[0], by_filters[1] - by_filters[0]) + 8 * 8 * classes
    count = (budget - fixed) // (per_image + per_filter)
    count = max(1, min(_MOST_ROWS, int(count)))
    left = budget - fixed - count * per_image
    group = max(1, min(filters, int(left // (count * per_filter)), max(1, _MOST_ROWS // count)))
    return count, group


def _record(sums: Sums, provenance: Provenance, options: AblationOptions) -> AblationRecord:
    """The means, intervals and counts."""
    units = sums.array("units")
    if units.sum() == 0:
        raise _no_data(provenance)
    positions, activation = sums.array("positions"), sums.array("activation")
    flips = sums.array("flips")
    return AblationRecord(
        layer=provenance.layer,
        baseline=options.baseline,
        split=provenance.split,
        samples=sums.images,
        units_per_class=tuple(int(n) for n in units),
        classes=provenance.classes,
        criteria={name: sums.criterion(name, options.level) for name in CRITERIA},
        right_to_wrong=tuple(int(n) for n in flips[0]),
        wrong_to_right=tuple(int(n) for n in flips[1]),
        mean_activation=floats(activation.sum(0) / max(positions.sum(), 1)),
        mean_activation_per_class=rows(activation, positions),
        resamples=options.resamples,
        level=options.level,
        seed=options.seed,
        data_sha256=provenance.data_sha256,
        checkpoint_sha256=provenance.checkpoint_sha256,
        stability=_stability(sums),
    )


def _stability(sums: Sums) -> dict[str, Stability]:
    """How well the order of the filters agrees between halves of the data, by criterion."""
    return {name: split_half(*sums.halves(name)) for name in CRITERIA}


def _no_data(provenance: Provenance) -> ModelError:
    return ModelError(f"split '{provenance.split}' has no labelled image; nothing to ablate")
