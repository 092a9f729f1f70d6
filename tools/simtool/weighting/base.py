"""What the weightings share: their options, their form, and differences by the ablation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simrun.errors import ModelError, UsageError
from simrun.types import Floats
from simtool.ablation.record import AblationRecord


@dataclass(frozen=True)
class WeightingOptions:
    """What a weighting may be told."""

    criterion: str | None = None
    """Of `simtool.ablation.criteria.CRITERIA`; None takes the method's own."""
    temperature: float = 1.0
    """Divides the values before `softmax`: below 1 sharper, above 1 flatter."""
    standardise: bool = False
    """Subtract the mean over filters and divide by the standard deviation before `softmax`."""
    per_class: bool = False
    """One row of weights a class; none for the background."""
    background: str | None = None
    """The class that means "nothing there", where the network has one."""

    def __post_init__(self) -> None:
        """Refuse what cannot be computed. Raises UsageError."""
        if not 0 < self.temperature < float("inf"):
            raise UsageError(f"--temperature is {self.temperature}; it must be above 0")


@dataclass(frozen=True)
class Method:
    """A weighting: how the weights are made, and what it may be told."""

    weigh: Callable[[AblationRecord, str, WeightingOptions], Floats]
    """-> (1, K) or (C, K)."""
    criterion: str | None
    """The criterion taken where none is asked for; None where there is none to take."""
    sign: str
    tunable: bool = False
    """Whether temperature and standardisation apply."""
    choosable: bool = False
    """Whether the criterion may be another one."""
    contrasts: bool = True
    """Whether the background's changes are subtracted, where the network has such a class."""


def softmax(values: Floats) -> Floats:
    """Softmax over the last axis."""
    powers = np.exp(values - values.max(-1, keepdims=True))
    result: Floats = powers / powers.sum(-1, keepdims=True)
    return result


def harm(record: AblationRecord, criterion: str, options: WeightingOptions) -> Floats:
    """(1, K) or (C, K): e_i - E, positive where blocking the filter makes things worse.

    With a background, that of the other classes, or of each, less that of the background.

    Raises:
        ModelError: the criterion was not measured, or there is no such background.
    """
    measured = record.criterion(criterion)
    if options.background is not None:
        return contrast(record, measured.harm_per_class(), options)
    return measured.harm_per_class() if options.per_class else measured.harm.reshape(1, -1)


def contrast(record: AblationRecord, rows: Floats, options: WeightingOptions) -> Floats:
    """(1, K), the mean over units of other classes, or (C - 1, K), less the background's row.

    Raises:
        ModelError: the record has no such class, or no other one.
    """
    if options.background not in record.classes or len(record.classes) < 2:
        raise ModelError(f"the ablation has no class '{options.background}' beside others")
    index = record.classes.index(options.background)
    units = np.delete(np.array(record.units_per_class, dtype=np.float64), index)
    objects = np.delete(rows, index, axis=0)
    if not options.per_class:
        objects = (units @ objects / max(units.sum(), 1)).reshape(1, -1)
    result: Floats = objects - rows[index]
    return result
