"""Time as the live sources see it; tests put their own in its place."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Tells the time and lets it pass."""

    def now(self) -> float:
        """Seconds on the monotonic clock."""
        ...

    def wait(
        self, condition: threading.Condition, ready: Callable[[], bool], timeout_s: float
    ) -> bool:
        """Wait on a condition that is held, until `ready` or for `timeout_s`: what `ready` says."""
        ...

    def pause(self, stop: threading.Event, seconds: float) -> None:
        """Let time pass, less of it where `stop` is set."""
        ...


class SystemClock:
    """The time of this machine."""

    def now(self) -> float:
        """CLOCK_MONOTONIC, the clock of V4L2's time stamps too."""
        return time.monotonic()

    def wait(
        self, condition: threading.Condition, ready: Callable[[], bool], timeout_s: float
    ) -> bool:
        """Wait on the condition."""
        return condition.wait_for(ready, timeout_s)

    def pause(self, stop: threading.Event, seconds: float) -> None:
        """Wait for the event."""
        stop.wait(seconds)
