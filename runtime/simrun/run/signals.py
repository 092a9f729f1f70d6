"""Ctrl-C and `kill`: a run ends between two frames, never within one.

SIGHUP is SIGTERM as well, but where files are to be opened anew on it, as services do.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Final, TypeVar

Item = TypeVar("Item")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """The process was asked to end. Not an Exception: nothing on the way may swallow it."""

    def __init__(self, signum: int) -> None:
        """Remember which signal it was."""
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum
        """130 for Ctrl-C, 143 for SIGTERM, as shells count."""


class StopSignals:
    """Holds SIGINT and SIGTERM back while a frame is in work; a second signal is not held back.

    Use as a context manager, in the main thread.
    """

    def __init__(self, *, reopen_on_hangup: bool = False) -> None:
        """No signal so far.

        Args:
            reopen_on_hangup: SIGHUP asks for files to be opened anew, not for the end.
        """
        self._reopen_on_hangup = reopen_on_hangup
        self._hung_up = False
        self._got: int | None = None
        self._waiting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        """Take the signals over."""
        self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        # `nohup` has it ignored, and that is meant to last.
        if self._reopen_on_hangup or signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._hang_up)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def stopping(self) -> bool:
        """Whether the end was asked for."""
        return self._got is not None

    def reopening(self) -> bool:
        """Whether files are to be opened anew; asking clears it."""
        asked, self._hung_up = self._hung_up, False
        return asked

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """While inside, a signal takes effect at once: nothing is half done here.

        Raises:
            Stopped: a signal came, or had come before.
        """
        self._waiting = True
        try:
            if self._got is not None:
                raise Stopped(self._got)
            yield
        finally:
            self._waiting = False

    def guard(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, as long as no signal came.

        Raises:
            Stopped: a signal came; at once while the next item is waited for, otherwise when it is
                asked for.
        """
        iterator = iter(items)
        while True:
            try:
                with self.interruptible():
                    item = next(iterator)
            except StopIteration:
                return
            yield item

    def _hang_up(self, signum: int, frame: FrameType | None) -> None:
        if self._reopen_on_hangup:
            self._hung_up = True
        else:
            self._handle(signal.SIGTERM, frame)

    def _handle(self, signum: int, _: FrameType | None) -> None:
        again, self._got = self._got is not None, signum
        if self._waiting or again:
            self._waiting = False
            raise Stopped(signum)
