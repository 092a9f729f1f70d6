"""Which detectors no other beats, and what a family of detectors scores at a given cost."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

Point = tuple[float, float]
"""Cost and score."""


def front(points: Sequence[Point]) -> list[int]:
    """Indices, cheapest first, of the points that no other one equals or beats at both.

    Of equal points the first counts.
    """
    best, chosen = -math.inf, []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i)):
        if points[i][1] > best:
            best = points[i][1]
            chosen.append(i)
    return chosen


def score_at(points: Sequence[Point], cost: float) -> float | None:
    """A family's score at a cost, between its two nearest detectors; None outside its range.

    Linear in the logarithm of the cost, which is how scores of shrunken detectors grow.
    """
    ordered = sorted(points)
    costs = [point[0] for point in ordered]
    if not ordered or not costs[0] <= cost <= costs[-1]:
        return None
    right = bisect_left(costs, cost)
    if costs[right] == cost:
        return ordered[right][1]
    (low, start), (high, end) = ordered[right - 1], ordered[right]
    return start + (end - start) * math.log(cost / low) / math.log(high / low)
