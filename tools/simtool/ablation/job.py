"""A whole ablation: the baseline, the measurement and the deletion curve, on a shared data set."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simrun.errors import SourceError
from simrun.progress import progress
from simtool.ablation.deletion import MOST_SAMPLES, Orders, measure_deletion
from simtool.ablation.measure import AblationOptions, Provenance, ablate_cut, images_at_once
from simtool.ablation.partition.graph import Baseline, Cut
from simtool.ablation.record import AblationRecord, Deletion
from simtool.distributed import Peers
from simtool.files import thinning_step

log = logging.getLogger(__name__)

_READ_BYTES: Final = 64 * 2**20
"""Images read at once: how much memory they may take."""
_DELETION_CRITERION: Final = "loss"
"""The error has ties, which leave the order to chance."""

Reader = Callable[[NDArray[np.int64]], tuple[Tensor, Tensor]]
"""Indices -> images (n, C, H, W) float in [0, 1] and labels."""


@dataclass(frozen=True)
class Job:
    """What is to be measured, on what."""

    cut: Cut
    read: Reader
    count: int
    """Images in the data."""
    provenance: Provenance
    options: AblationOptions
    norms: Tensor | None = None
    """(K,) size of each filter's weights, for the deletion curve."""
    deletion: bool = True
    device: str = "cpu"


def ablate_job(job: Job, peers: Peers) -> AblationRecord:
    """Measure; every process gets the record of all.

    Raises:
        SourceError: there are fewer images than processes, or one cannot be read.
        ModelError: the errors of `ablate_cut`.
    """
    if job.count < peers.world:
        raise SourceError(f"{job.count} images cannot be shared by {peers.world} processes")
    mine = np.arange(job.count)[peers.part(job.count).start : peers.part(job.count).stop]
    with torch.inference_mode():
        baseline = _mean_response(job, mine, peers) if job.options.baseline == "mean" else None
        batches = _batches(job, mine, "ablation")
        record = ablate_cut(
            job.cut,
            *(batches, job.provenance, job.options, peers, baseline),
            first=int(mine[0]),
        )
        if not job.deletion:
            return record
        return replace(record, deletion=_deletion(job, record, baseline, peers))


def _deletion(job: Job, record: AblationRecord, baseline: Baseline, peers: Peers) -> Deletion:
    step = thinning_step(job.count, MOST_SAMPLES)
    chosen = np.arange(0, job.count, step)
    part = peers.part(len(chosen))
    harm = record.criterion(_DELETION_CRITERION).harm
    orders = Orders.of(harm, job.norms, job.options.seed)
    batches = _pieces(job, _batches(job, chosen[part.start : part.stop], "deletion curve"))
    return measure_deletion(job.cut, batches, orders, _DELETION_CRITERION, baseline, peers)


def _mean_response(job: Job, mine: NDArray[np.int64], peers: Peers) -> Tensor:
    """(K,) mean response of each filter over the data."""
    total: Tensor | None = None
    for images, _ in _pieces(job, _batches(job, mine, "mean response")):
        maps = job.cut.run(images).maps
        sums = maps.flatten(2).mean(2).to(torch.float64).sum(0)
        total = sums if total is None else total + sums
    if total is None:
        raise SourceError("the data has no image")
    return peers.reduce_sum(total) / job.count


def _batches(job: Job, indices: NDArray[np.int64], what: str) -> Iterator[tuple[Tensor, Tensor]]:
    """The data in batches, with a progress bar; on the device that computes."""
    size = _batch_size(job)
    with progress(what, len(indices)) as advance:
        for start in range(0, len(indices), size):
            images, labels = job.read(indices[start : start + size])
            yield images.to(job.device), labels.to(job.device)
            advance(len(labels))


def _batch_size(job: Job) -> int:
    one, _ = job.read(np.arange(1))
    return max(1, min(1000, _READ_BYTES // one.nbytes))


def _pieces(job: Job, batches: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches small enough for the memory."""
    size = 0
    for images, labels in batches:
        classes = len(job.provenance.classes)
        size = size or images_at_once(job.cut, images, job.options, classes)
        for start in range(0, len(images), size):
            yield images[start : start + size], labels[start : start + size]
