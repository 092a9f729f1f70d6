"""Whether the order of the filters means anything: its agreement between samples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from simtool.ablation.record import Stability

Floats = NDArray[np.float64]


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


def _summary(values: Sequence[float]) -> Stability:
    return Stability(float(np.mean(values)), float(np.min(values)), float(np.max(values)))


def _ranks(values: Floats) -> Floats:
    """Ranks from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1
    means = last - (counts - 1) / 2
    return np.asarray(means[inverse], np.float64)
