"""Quartiles of measured times, for a record and for a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def quartiles(samples: Sequence[float]) -> dict[str, float]:
    """Median and quartiles of times, to a thousandth of their unit."""
    if len(samples) == 1:
        samples = list(samples) * 2
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return {"lower": round(low, 3), "median": round(middle, 3), "upper": round(high, 3)}


def spread(samples: Sequence[float]) -> str:
    """Median and quartiles as a table's cell."""
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
