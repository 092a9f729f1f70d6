"""Counts that several threads of a live source keep together."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Literal

from simrun.stats import SourceStats, State

Count = Literal["captured", "skipped", "bad", "stalls", "reconnects"]


class Counters:
    """Counts from several threads; a snapshot is consistent."""

    def __init__(self) -> None:
        """Start at zero."""
        self._lock = threading.Lock()
        self._counts: Counter[Count] = Counter()
        self._state = State.OPENING
        self._description = ""
        self._error: str | None = None

    def count(self, what: Count) -> None:
        """One more."""
        with self._lock:
            self._counts[what] += 1

    def opened(self, description: str) -> None:
        """Frames come."""
        with self._lock:
            self._state, self._error, self._description = State.OPEN, None, description

    def waits(self, error: str) -> None:
        """No frames come for now."""
        with self._lock:
            if self._state is State.OPEN:
                self._state = State.WAITING
            self._error = error

    def ends(self, state: State, error: str | None = None) -> None:
        """No frames will come; the first end is the one that counts."""
        with self._lock:
            if self._state not in (State.FAILED, State.CLOSED):
                self._state, self._error = state, error

    def snapshot(self, *, hung: int) -> SourceStats:
        """The counts of this moment."""
        with self._lock:
            counts = self._counts
            return SourceStats(
                state=self._state,
                captured=counts["captured"],
                skipped=counts["skipped"],
                bad=counts["bad"],
                stalls=counts["stalls"],
                reconnects=counts["reconnects"],
                hung=hung,
                description=self._description,
                error=self._error,
            )
