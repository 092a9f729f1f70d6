"""From ablation to the weights of H = sum_i w_i F_i.

Two readings of the paper's Eq. 1 stand beside each other, by name. As printed, w'_i = E - e_i
under a softmax, it gives an important filter less weight, against the paper's own words; the
authors' published code uses the loss, e_i - E, and no softmax. A softmax over such small
differences is almost uniform: the entropy tells, and `uniform` is the baseline to beat.

With a class that means "nothing there" (the background), a filter helps for two reasons: it speaks
for an object, or against one where there is none. Averaged over all classes the two add up, though
they point in opposite directions for H. So the background's change is subtracted from that of the
other classes: w_i = (e_i - E over objects) - (e_i - E over the background), each a mean, so that
the share of background in the data does not matter. Eq. 1 as printed knows no such class.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from simrun.errors import ModelError, UsageError
from simrun.types import Floats
from simtool.ablation.record import AblationRecord
from simtool.weighting import methods
from simtool.weighting.base import Method, WeightingOptions

__all__ = [
    "METHODS",
    "Weighting",
    "WeightingOptions",
    "weigh",
    "weight_entropy",
    "weighting_options",
]

METHODS: Final = tuple(methods.METHODS)
"""Names of the weightings."""


@dataclass(frozen=True)
class Weighting:
    """Weights of the filters, and how they were made."""

    method: str
    criterion: str | None
    """None where the weights do not depend on the ablation."""
    sign: str
    """`E - e_i`, `e_i - E` or `none`."""
    temperature: float | None
    standardise: bool
    per_class: bool
    values: tuple[tuple[float, ...], ...]
    """(1, K), or (C, K) per class: a row a channel of the heatmap."""
    entropy: float
    """Entropy of |w| / sum |w| in nats, the mean over rows."""
    relative_entropy: float
    """Entropy over that of uniform weights, ln K: 1 is uniform, 0 is one filter alone."""
    background: str | None = None
    """Class whose changes were subtracted; None where there is none."""

    @property
    def array(self) -> Floats:
        """The weights, (1, K) or (C, K) float64."""
        return np.array(self.values)

    @property
    def signed(self) -> bool:
        """Whether a weight is negative."""
        return bool((self.array < 0).any())

    def first_rows(self, rows: int) -> Weighting:
        """The weights of the first classes alone: a background, the last one, gets no channel."""
        kept = self.values[:rows]
        entropy = float(np.mean([weight_entropy(np.array(row)) for row in kept]))
        return replace(
            self,
            values=kept,
            entropy=entropy,
            relative_entropy=_relative(entropy, len(kept[0])),
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object for the bundle's record; `background` only where there is one."""
        record = asdict(self)
        if self.background is None:
            del record["background"]
        return record


def weighting_options(
    method: str,
    criterion: str | None,
    temperature: float | None,
    standardise: bool | None,
    per_class: bool | None,
) -> WeightingOptions:
    """The options of a weighting, with its defaults for those not given (None).

    A plain softmax of error changes is almost uniform, so `softmax` standardises, unless told
    otherwise.
    """
    if standardise is None:
        standardise = method == "softmax" and temperature is None
    return WeightingOptions(
        criterion=criterion,
        temperature=1.0 if temperature is None else temperature,
        standardise=standardise,
        per_class=bool(per_class),
    )


def weigh(record: AblationRecord, method: str, options: WeightingOptions) -> Weighting:
    """The weights by the method of that name.

    Raises:
        UsageError: unknown method, or options that the method does not take.
        ModelError: the criterion was not measured, or the weights are not finite or all zero.
    """
    row = _method(method)
    _check_options(method, row, options)
    criterion = row.criterion and (options.criterion or row.criterion)
    values = row.weigh(record, criterion or "error", options)
    if not np.isfinite(values).all() or not (np.abs(values).sum(1) > 0).all():
        raise ModelError(f"weighting '{method}' gives weights that are zero or not finite")
    entropy = float(np.mean([weight_entropy(w) for w in values]))
    return Weighting(
        method=method,
        criterion=criterion,
        sign=row.sign,
        temperature=options.temperature if row.tunable else None,
        standardise=options.standardise,
        per_class=options.per_class,
        values=tuple(tuple(float(v) for v in w) for w in values),
        entropy=entropy,
        relative_entropy=_relative(entropy, record.filters),
        background=options.background if row.contrasts else None,
    )


def weight_entropy(weights: Floats) -> float:
    """Entropy of |w| / sum |w| in nats, for weights (K,) not all zero."""
    shares = np.abs(weights) / np.abs(weights).sum()
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def _relative(entropy: float, filters: int) -> float:
    """Entropy over that of uniform weights; 1 for a single filter."""
    return entropy / float(np.log(filters)) if filters > 1 else 1.0


def _method(name: str) -> Method:
    if name not in methods.METHODS:
        raise UsageError(f"no weighting '{name}'; known: {', '.join(methods.METHODS)}")
    return methods.METHODS[name]


def _check_options(name: str, method: Method, options: WeightingOptions) -> None:
    """Refuse options that would be ignored without a word."""
    if not method.tunable and (options.standardise or options.temperature != 1):
        raise UsageError(f"weighting '{name}' takes no --temperature or --standardise")
    if options.criterion not in (None, method.criterion) and not method.choosable:
        raise UsageError(
            f"weighting '{name}' goes by {method.criterion or 'no criterion'}; "
            f"leave --criterion {options.criterion} out"
        )
