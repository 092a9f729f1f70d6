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

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simrun.errors import ModelError, UsageError
from simtool.ablation_record import AblationRecord

Floats = NDArray[np.float64]

_NOT_LINEAR: Final = ("error", "loss")
"""Criteria that do not change in proportion to a filter's response."""
_DAMPING: Final = 1e-3
"""Share of the greatest mean activation that is added to each, for those criteria."""


@dataclass(frozen=True)
class WeightingOptions:
    """What a weighting may be told."""

    criterion: str | None = None
    """`error`, `loss` or `logit`; None takes the method's own."""
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


@dataclass(frozen=True)
class _Method:
    """A row of the table of weightings."""

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


def softmax(values: Floats) -> Floats:
    """Softmax over the last axis."""
    powers = np.exp(values - values.max(-1, keepdims=True))
    result: Floats = powers / powers.sum(-1, keepdims=True)
    return result


def _harm(record: AblationRecord, criterion: str, options: WeightingOptions) -> Floats:
    """(1, K) or (C, K): e_i - E, positive where blocking the filter makes things worse.

    With a background, that of the other classes, or of each, less that of the background.
    """
    measured = record.criterion(criterion)
    if options.background is not None:
        return _contrast(record, measured.harm_per_class(), options)
    return measured.harm_per_class() if options.per_class else measured.harm.reshape(1, -1)


def _contrast(record: AblationRecord, rows: Floats, options: WeightingOptions) -> Floats:
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


def _paper_printed(record: AblationRecord, criterion: str, options: WeightingOptions) -> Floats:
    """Eq. 1 to the letter: softmax of E - e_i, as fractions."""
    harm = _harm(record, criterion, replace(options, background=None))
    if options.background is not None and options.per_class:
        harm = np.delete(harm, record.classes.index(options.background), axis=0)
    return softmax(-harm)


def _paper_code(record: AblationRecord, criterion: str, options: WeightingOptions) -> Floats:
    """The authors' published code: losses summed over each class, e_i - E, no softmax.

    With a background, means take the place of sums, which would weigh its many units.
    """
    if options.background is not None:
        return _harm(record, criterion, options)
    units = np.array(record.units_per_class, dtype=np.float64)
    sums: Floats = record.criterion(criterion).harm_per_class() * units[:, None]
    overall: Floats = sums.sum(0, keepdims=True)
    return sums if options.per_class else overall


def _uniform(record: AblationRecord, criterion: str, options: WeightingOptions) -> Floats:
    """The mean of the maps: what every other weighting has to beat."""
    background = int(options.background is not None)
    rows = len(record.classes) - background if options.per_class else 1
    return np.full((rows, record.filters), 1 / record.filters)


def _softmax(record: AblationRecord, criterion: str, options: WeightingOptions) -> Floats:
    """Softmax of e_i - E: an important filter gets more weight, as the paper's words have it."""
    harm = _harm(record, criterion, options)
    if options.standardise:
        spread = harm.std(1, keepdims=True)
        if not (spread > 0).all():
            raise ModelError("all filters matter alike; softmax cannot standardise that")
        harm = (harm - harm.mean(1, keepdims=True)) / spread
    return softmax(harm / options.temperature)


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
        return _contrast(record, _ratio(measured.harm_per_class(), by_class), options)
    harm = _harm(record, criterion, options)
    rows = record.mean_activation_per_class if options.per_class else (record.mean_activation,)
    return _ratio(harm, np.array(rows, dtype=np.float64))


def _ratio(harm: Floats, activation: Floats) -> Floats:
    result: Floats = np.divide(harm, activation, out=np.zeros_like(harm), where=activation != 0)
    return result


_METHODS: Final[Mapping[str, _Method]] = MappingProxyType(
    {
        "paper-printed": _Method(_paper_printed, "error", "E - e_i", contrasts=False),
        "paper-code": _Method(_paper_code, "loss", "e_i - E"),
        "uniform": _Method(_uniform, None, "none", contrasts=False),
        # The loss, because 0/1 errors come in steps of 1 / samples and may all be equal.
        "softmax": _Method(_softmax, "loss", "e_i - E", tunable=True, choosable=True),
        "signed": _Method(_signed, "logit", "e_i - E", choosable=True),
    }
)
METHODS: Final = tuple(_METHODS)


def _method(name: str) -> _Method:
    if name not in _METHODS:
        raise UsageError(f"no weighting '{name}'; known: {', '.join(METHODS)}")
    return _METHODS[name]


def _check_options(name: str, method: _Method, options: WeightingOptions) -> None:
    """Refuse options that would be ignored without a word."""
    if not method.tunable and (options.standardise or options.temperature != 1):
        raise UsageError(f"weighting '{name}' takes no --temperature or --standardise")
    if options.criterion not in (None, method.criterion) and not method.choosable:
        raise UsageError(
            f"weighting '{name}' goes by {method.criterion or 'no criterion'}; "
            f"leave --criterion {options.criterion} out"
        )
