"""A whole ablation: the baseline, the measurement and the deletion curve, on shared data."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simrun.errors import SourceError
from simrun.progress import progress
from simtool.ablation.deletion import (
    MOST_SAMPLES,
    Orders,
    kernel_norms,
    last_convolution,
    measure_deletion,
)
from simtool.ablation.measure import AblationOptions, ablate_cut, images_at_once
from simtool.ablation.partition.choose import cut_network
from simtool.ablation.partition.graph import Baseline, Cut
from simtool.ablation.record import AblationRecord, Deletion
from simtool.ablation.target import Target
from simtool.data.subsampling import subsampling_step
from simtool.distributed import Peers

log = logging.getLogger(__name__)

_READ_BYTES: Final = 64 * 2**20
"""Images read at once: how much memory they may take."""
_DELETION_CRITERION: Final = "loss"
"""The error has ties, which leave the order to chance."""


@dataclass(frozen=True)
class _Job:
    """A target whose network is cut, and how to measure."""

    target: Target
    cut: Cut
    options: AblationOptions


def ablate_target(
    target: Target, options: AblationOptions, peers: Peers, deletion: bool = True
) -> AblationRecord:
    """Measure; every process gets the record of all.

    Args:
        target: the network, its layer and the data.
        options: how to measure.
        peers: the processes that share the data.
        deletion: measure the deletion curve too.

    Raises:
        SourceError: there are fewer images than processes, or one cannot be read.
        ModelError: the errors of `cut_network` and `ablate_cut`.
    """
    if target.count < peers.world:
        raise SourceError(f"{target.count} images cannot be shared by {peers.world} processes")
    net, example = target.network, target.example()
    job = _Job(target, cut_network(net, net.layer, example, net.spec.layer), options)
    part = peers.part(target.count)
    mine = np.arange(part.start, part.stop)
    with torch.inference_mode():
        baseline = _mean_response(job, mine, peers) if options.baseline == "mean" else None
        record = ablate_cut(
            job.cut,
            _batches(target, mine, "ablation"),
            target.provenance,
            options,
            peers,
            baseline,
            first=part.start,
        )
        if not deletion:
            return record
        norms = kernel_norms(last_convolution(net, net.layer, example[:1]))
        return replace(record, deletion=_deletion(job, record, norms, baseline, peers))


def _deletion(
    job: _Job, record: AblationRecord, norms: Tensor | None, baseline: Baseline, peers: Peers
) -> Deletion:
    """The curve; `norms` (K,) are the sizes of the filters' weights, to go by as well."""
    step = subsampling_step(job.target.count, MOST_SAMPLES)
    chosen = np.arange(0, job.target.count, step)
    part = peers.part(len(chosen))
    harm = record.criterion(_DELETION_CRITERION).harm
    orders = Orders.of(harm, norms, job.options.seed)
    batches = _pieces(job, chosen[part.start : part.stop], "deletion curve")
    return measure_deletion(job.cut, batches, orders, _DELETION_CRITERION, baseline, peers)


def _mean_response(job: _Job, mine: NDArray[np.int64], peers: Peers) -> Tensor:
    """(K,) mean response of each filter over the data."""
    total: Tensor | None = None
    for images, _ in _pieces(job, mine, "mean response"):
        maps = job.cut.run(images).maps
        summed = maps.flatten(2).mean(2).to(torch.float64).sum(0)
        total = summed if total is None else total + summed
    if total is None:
        raise SourceError("the data has no image")
    return peers.reduce_sum(total) / job.target.count


def _batches(
    target: Target, indices: NDArray[np.int64], what: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """The data in batches, with a progress bar; on the device that computes."""
    one, _ = target.read(np.arange(1))
    size = max(1, min(1000, _READ_BYTES // one.nbytes))
    with progress(what, len(indices)) as advance:
        for start in range(0, len(indices), size):
            images, labels = target.read(indices[start : start + size])
            yield images.to(target.device), labels.to(target.device)
            advance(len(labels))


def _pieces(job: _Job, indices: NDArray[np.int64], what: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches small enough for the memory."""
    size = 0
    for images, labels in _batches(job.target, indices, what):
        classes = len(job.target.provenance.classes)
        size = size or images_at_once(job.cut, images, job.options, classes)
        for start in range(0, len(images), size):
            yield images[start : start + size], labels[start : start + size]
