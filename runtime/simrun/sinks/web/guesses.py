"""Wrong tokens: each costs its sender time, and all of them together a line a minute."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

_log = logging.getLogger(__name__)

LINE_EVERY_S: Final = 60.0
"""Least time between two lines; as long as this an address is remembered."""
_ADDRESSES: Final = 1024
"""Remembered at most: the ones that guessed last."""

Later = Callable[[float, Callable[[], None]], Any]
"""Calls a function in so many seconds: `loop.call_later`."""


class WrongTokens:
    """Counts wrong tokens and says how long the answer to each has to wait.

    A right token is never made to wait. So what bounds guessing is how many strangers there may be
    at one time: each wrong one keeps its place while it waits.
    """

    def __init__(self, longest_s: float, clock: Callable[[], float], later: Later) -> None:
        """Nobody has guessed.

        Args:
            longest_s: longest wait.
            clock: seconds, monotonic.
            later: calls a function later, in the thread that calls here.
        """
        self._longest_s, self._clock, self._later = longest_s, clock, later
        self._guessed: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._untold = 0
        self._pause = False
        self.count = 0
        """Since the start."""

    def note(self, address: str) -> float:
        """Count one from this address; the seconds that its answer waits."""
        now_s = self._clock()
        guesses, last_s = self._guessed.pop(address, (0, now_s))
        guesses = 1 if now_s - last_s > LINE_EVERY_S else guesses + 1
        self._guessed[address] = guesses, now_s
        if len(self._guessed) > _ADDRESSES:
            self._guessed.popitem(last=False)
        self.count += 1
        self._untold += 1
        if not self._pause:
            self._tell()
        return self._longest_s / 8 * (1 << min(guesses - 1, 3))

    def tell_rest(self) -> None:
        """Say how many there were since the last line."""
        if self._untold:
            last = next(reversed(self._guessed))
            what = "a wrong token" if self._untold == 1 else f"{self._untold} wrong tokens"
            _log.warning("page: %s, the last from %s", what, last)
            self._untold = 0

    def _tell(self) -> None:
        """Say how many there were, and again in a minute if there are more by then."""
        self._pause = self._untold > 0
        self.tell_rest()
        if self._pause:
            self._later(LINE_EVERY_S, self._tell)
