"""Every filter alike: the baseline."""

from __future__ import annotations

from typing import Final

import numpy as np

from simrun.types import Floats
from simtool.ablation.record import AblationRecord
from simtool.weighting.base import Method, WeightingOptions


def _uniform(record: AblationRecord, criterion: str, options: WeightingOptions) -> Floats:
    """The mean of the maps: what every other weighting has to beat."""
    background = int(options.background is not None)
    rows = len(record.classes) - background if options.per_class else 1
    return np.full((rows, record.filters), 1 / record.filters)


UNIFORM: Final = Method(_uniform, None, "none", contrasts=False)
