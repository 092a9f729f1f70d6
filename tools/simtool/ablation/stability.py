"""Whether the order of the filters means anything: its agreement between samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np

from simrun.types import Floats
from simtool.ablation.record import AblationRecord, Stability


def spearman(one: Floats, other: Floats) -> float:
    """Rank correlation of two rows (K,), ties sharing their mean rank; 0 where a row is constant.

    Spearman 1904: Pearson's correlation of the ranks.
    """
    a, b = (_ranks(row) - (len(row) - 1) / 2 for row in (one, other))
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else 0.0


def split_half(one: Floats, other: Floats) -> Stability:
    """Agreement of the harm (S, K) in one half of the data and in the other, over S halvings."""
    return _summary([spearman(a, b) for a, b in zip(one, other, strict=True)])


def pairwise(harms: Sequence[Floats]) -> Stability:
    """Agreement between every two of several checkpoints' harms (K,)."""
    return _summary([spearman(a, b) for a, b in combinations(harms, 2)])


def between_checkpoints(records: Sequence[AblationRecord]) -> dict[str, Any]:
    """By criterion: agreement of the orders of several checkpoints of one network."""
    names = records[0].criteria
    return {n: asdict(pairwise([record.criterion(n).harm for record in records])) for n in names}


def between_seeds(records: Sequence[AblationRecord]) -> dict[str, Any]:
    """By criterion: agreement of the order within each seed, and of the profiles between seeds.

    Filter i of one seed has nothing to do with filter i of another, so that orders are compared
    within a seed alone (`within`, between halves of the data). Between seeds the sorted shares
    of the harm are compared: `profile distance` is the mean total variation, 0 the same to 1.
    """
    result: dict[str, Any] = {"seeds": len(records)}
    for name in records[0].criteria:
        profiles = [_profile(record.criterion(name).harm) for record in records]
        distances = [float(np.abs(a - b).sum() / 2) for a, b in combinations(profiles, 2)]
        within = [record.stability[name].mean for record in records]
        result[name] = {"within": within, "profile distance": float(np.mean(distances))}
    return result


def _profile(harm: Floats) -> Floats:
    """Shares of the absolute harm, the largest first."""
    sizes = np.sort(np.abs(harm))[::-1]
    return np.asarray(sizes / max(sizes.sum(), np.finfo(float).tiny))


def _summary(values: Sequence[float]) -> Stability:
    return Stability(float(np.mean(values)), float(np.min(values)), float(np.max(values)))


def _ranks(values: Floats) -> Floats:
    """Ranks from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1
    means = last - (counts - 1) / 2
    return np.asarray(means[inverse], np.float64)
