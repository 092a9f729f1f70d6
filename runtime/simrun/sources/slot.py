"""A place for the newest thing only."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from simrun.sources.live.clock import Clock

T = TypeVar("T")


class LatestSlot(Generic[T]):
    """One thread puts, one takes; what was not taken in time is overwritten."""

    def __init__(self, clock: Clock) -> None:
        """Start empty and open."""
        self._clock = clock
        self._condition = threading.Condition()
        self._item: T | None = None
        self._error: Exception | None = None
        self._closed = False

    def put(self, item: T) -> bool:
        """Replace whatever lies there; whether something did."""
        with self._condition:
            overwritten = self._item is not None
            self._item = item
            self._condition.notify_all()
            return overwritten

    def fail(self, error: Exception) -> None:
        """Raise this on the taking side, once the slot is empty."""
        with self._condition:
            self._error = error
            self._condition.notify_all()

    def close(self) -> None:
        """End the taking side at once."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def wait(self, timeout_s: float) -> None:
        """Wait until there is something to take, or the slot is closed.

        Raises:
            TimeoutError: nothing came in `timeout_s` seconds.
            Exception: what `fail` was given.
        """
        with self._condition:
            self._wait(timeout_s)

    def take(self, timeout_s: float) -> T | None:
        """Wait for the next thing and take it; None once the slot is closed.

        Raises:
            TimeoutError: nothing came in `timeout_s` seconds.
            Exception: what `fail` was given.
        """
        with self._condition:
            self._wait(timeout_s)
            item, self._item = self._item, None
            return None if self._closed else item

    def _wait(self, timeout_s: float) -> None:
        if not self._clock.wait(self._condition, self._ready, timeout_s):
            raise TimeoutError
        if self._error is not None and self._item is None and not self._closed:
            raise self._error

    def _ready(self) -> bool:
        return self._item is not None or self._error is not None or self._closed
