"""The two readings of the paper's Eq. 1: as printed, and as the authors' code has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from simrun.types import Floats
from simtool.ablation.record import AblationRecord
from simtool.weighting.base import Method, WeightingOptions, harm, softmax


def _paper_printed(record: AblationRecord, criterion: str, options: WeightingOptions) -> Floats:
    """Eq. 1 to the letter: softmax of E - e_i, as fractions."""
    values = harm(record, criterion, replace(options, background=None))
    if options.background is not None and options.per_class:
        values = np.delete(values, record.classes.index(options.background), axis=0)
    return softmax(-values)


def _paper_code(record: AblationRecord, criterion: str, options: WeightingOptions) -> Floats:
    """The authors' published code: losses summed over each class, e_i - E, no softmax.

    With a background, means take the place of sums, which would weigh its many units.
    """
    if options.background is not None:
        return harm(record, criterion, options)
    units = np.array(record.units_per_class, dtype=np.float64)
    sums: Floats = record.criterion(criterion).harm_per_class() * units[:, None]
    overall: Floats = sums.sum(0, keepdims=True)
    return sums if options.per_class else overall


PRINTED: Final = Method(_paper_printed, "error", "E - e_i", contrasts=False)
CODE: Final = Method(_paper_code, "loss", "e_i - E")
