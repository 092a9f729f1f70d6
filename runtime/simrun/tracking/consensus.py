"""One label for a track out of the readings of its frames."""

from __future__ import annotations

import math
from typing import Final

_FADE: Final = 0.4
"""What a reading still counts one frame later: a text that is sure to 0.6 takes the place of any
other in its second frame at the latest."""
_FADE_S: Final = 1 / 15
"""Where frames are further apart than this, readings fade as much in this time."""
_SUREST: Final = 0.99
"""Readings that are surer count no more than this."""
_NOTHING: Final = 0.6
"""What a frame counts as in which nothing was read: nothing, as sure as this."""
_LEAST: Final = 1e-3
"""Labels that count less are forgotten."""


class Consensus:
    """The readings of one track, combined by their probabilities, the older the less.

    A label counts as much as it is improbable that all its readings were wrong, in logarithms. So
    a text that is read as surely as the one before takes its place at once, and one misreading that
    is less sure never does.
    """

    def __init__(self) -> None:
        """Nothing was read yet."""
        self._counts: dict[str | None, float] = {}
        self._scores: dict[str | None, float] = {}
        self._frames = 0.0
        self._label: str | None = None

    def add(
        self, label: str | None, score: float | None, elapsed_s: float
    ) -> tuple[str | None, float | None]:
        """The track's label after one more frame.

        Args:
            label: what was read in it; None where that was nothing.
            score: the probability of that, 0..1; None where nothing was read.
            elapsed_s: since the frame before.

        Returns:
            The label that counts most, the present one of two that count the same, and its mean
            probability over the last frames, 0 in those that were read otherwise; None for both
            where that is nothing.
        """
        sure = _NOTHING if score is None else score
        fade = _FADE ** max(1.0, elapsed_s / _FADE_S)
        _add(self._counts, label, -math.log1p(-min(sure, _SUREST)), fade)
        _add(self._scores, label, sure, fade)
        self._frames = fade * self._frames + 1.0
        most = max(self._counts, key=self._counts.__getitem__)
        if self._counts[most] > self._counts.get(self._label, 0.0):
            self._label = most
        if self._label is None:
            return None, None
        return self._label, self._scores.get(self._label, 0.0) / self._frames


def _add(counts: dict[str | None, float], label: str | None, count: float, fade: float) -> None:
    """Let all counts fade, and add one."""
    for known in list(counts):
        counts[known] *= fade
        if counts[known] < _LEAST:
            del counts[known]
    counts[label] = counts.get(label, 0.0) + count
