"""A clock that stands still."""

from __future__ import annotations


class Clock:
    """Seconds that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now
