"""Changes of the logit over activations: what generalises CAM."""

from __future__ import annotations

from typing import Final

import numpy as np

from simrun.types import Floats
from simtool.ablation.record import AblationRecord
from simtool.weighting.base import Method, WeightingOptions, contrast, harm

_NOT_LINEAR: Final = ("error", "loss")
"""Criteria that do not change in proportion to a filter's response."""
_DAMPING: Final = 1e-3
"""Share of the greatest mean activation that is added to each, for those criteria."""


def _signed(record: AblationRecord, criterion: str, options: WeightingOptions) -> Floats:
    """Drop of the true class's logit over the filter's mean activation.

    For a linear head on average-pooled maps this is CAM's weight of the class (Zhou et al.,
    arXiv 1512.04150). A filter that never responds changes nothing and gets 0. With a background,
    each class's drop is divided by the activation on that class: for a linear head the result is
    then its weight of the class less that of the background. Changes of loss and error are not
    linear in the response; where a filter hardly responds their quotient is no rate, so that the
    activation is damped there.
    """
    measured = record.criterion(criterion)
    if options.background is not None:
        by_class = np.array(record.mean_activation_per_class, dtype=np.float64)
        if criterion in _NOT_LINEAR:
            by_class = by_class + _DAMPING * by_class.max()
        return contrast(record, _ratio(measured.harm_per_class(), by_class), options)
    values = harm(record, criterion, options)
    rows = record.mean_activation_per_class if options.per_class else (record.mean_activation,)
    return _ratio(values, np.array(rows, dtype=np.float64))


def _ratio(changes: Floats, activation: Floats) -> Floats:
    """Changes over activations; 0 where there is no activation."""
    result: Floats = np.zeros_like(changes)
    np.divide(changes, activation, out=result, where=activation != 0)
    return result


SIGNED: Final = Method(_signed, "logit", "e_i - E", choosable=True)
