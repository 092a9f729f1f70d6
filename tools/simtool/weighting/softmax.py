"""A softmax with the paper's words for a sign: the more important, the more weight."""

from __future__ import annotations

from typing import Final

from simrun.errors import ModelError
from simrun.types import Floats
from simtool.ablation.record import AblationRecord
from simtool.weighting.base import Method, WeightingOptions, harm, softmax


def _softmax(record: AblationRecord, criterion: str, options: WeightingOptions) -> Floats:
    """Softmax of e_i - E: an important filter gets more weight, as the paper's words have it."""
    values = harm(record, criterion, options)
    if options.standardise:
        spread = values.std(1, keepdims=True)
        if not (spread > 0).all():
            raise ModelError("all filters matter alike; softmax cannot standardise that")
        values = (values - values.mean(1, keepdims=True)) / spread
    return softmax(values / options.temperature)


# The loss, because 0/1 errors come in steps of 1 / samples and may all be equal.
SOFTMAX: Final = Method(_softmax, "loss", "e_i - E", tunable=True, choosable=True)
