"""How long to wait before the next try."""

from __future__ import annotations

from random import Random
from typing import Final

FLOOR_S: Final = 0.5
CEILING_S: Final = 30.0


class Backoff:
    """Waits that double from a floor to a ceiling, spread by chance.

    The chance keeps several programs that lost the same camera server from coming back at once;
    the floor keeps a device that refuses quickly from being asked a thousand times a second.
    """

    def __init__(self, random: Random) -> None:
        """Start at the floor."""
        self._random = random
        self._step_s = 2 * FLOOR_S

    def next_s(self) -> float:
        """Seconds to wait now, between `FLOOR_S` and `CEILING_S`."""
        step_s = self._step_s
        self._step_s = min(2 * step_s, CEILING_S)
        return self._random.uniform(step_s / 2, step_s)

    def reset(self) -> None:
        """Start at the floor again."""
        self._step_s = 2 * FLOOR_S
