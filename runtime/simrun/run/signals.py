"""Ctrl-C and `kill`: a run ends between two frames, never within one.

SIGHUP is SIGTERM as well, but where files are to be opened anew on it, as services do.

A call into a library that never returns keeps Python from hearing of a signal at all. So a thread
hears of it, too, and ends the process the hard way when it is asked for the second time, or when
the frame in work and the outputs take too long.
"""

from __future__ import annotations

import math
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Final, TypeVar

Item = TypeVar("Item")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

GRACE_S: Final = 18.0
"""From the first signal to the hard end: the outputs may take ten, and systemd kills after 20."""
AGAIN_S: Final = 2.0
"""From the second one."""


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
        ends = (*_SIGNALS, *(() if reopen_on_hangup else (signal.SIGHUP,)))
        self._last_resort = LastResort(ends, grace_s=GRACE_S, again_s=AGAIN_S)

    def __enter__(self) -> StopSignals:
        """Take the signals over."""
        self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        # `nohup` has it ignored, and that is meant to last.
        if self._reopen_on_hangup or signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._hang_up)
        self._last_resort.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        self._last_resort.stop()
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


def _end_process(signum: int) -> None:
    """End it without another word of Python: what has been flushed is all there will be."""
    # A reader that has stopped must not hold this up, too.
    with suppress(OSError, ValueError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, b"simrun: ended in the middle of a frame, which does not end by itself\n")
    os._exit(128 + signum)


class LastResort:
    """A thread that ends the process when it was asked to end and does not.

    The signals come to it by the system's own handler, whatever the main thread is doing.
    """

    def __init__(
        self,
        signals: Iterable[int],
        *,
        grace_s: float,
        again_s: float,
        end: Callable[[int], None] = _end_process,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Do nothing yet.

        Args:
            signals: numbers of those that ask for the end.
            grace_s: from the first signal to the hard end.
            again_s: from the second one.
            end: called with the signal when the time is over.
            clock: seconds, monotonic.
        """
        self._signals = frozenset(map(int, signals))
        self._grace_s, self._again_s = grace_s, again_s
        self._end, self._clock = end, clock
        self._sending = self._before = -1

    def start(self) -> None:
        """Listen; in the main thread, which alone may arrange it."""
        listening, self._sending = os.pipe()
        os.set_blocking(self._sending, False)
        self._before = signal.set_wakeup_fd(self._sending, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(listening,), name="end", daemon=True).start()

    def stop(self) -> None:
        """No longer listen; in the main thread."""
        signal.set_wakeup_fd(self._before)
        os.close(self._sending)

    def _listen(self, listening: int) -> None:
        def receive(timeout_s: float | None) -> bytes | None:
            return os.read(listening, 64) if _can_read(listening, timeout_s) else None

        try:
            self.watch(receive)
        finally:
            os.close(listening)

    def watch(self, receive: Callable[[float | None], bytes | None]) -> None:
        """End the process when it is time, or return when nobody is there any more.

        Args:
            receive: waits this many seconds, or for ever, for the numbers of signals, a byte each;
                gives None when none came, and no bytes when none will come any more.
        """
        due_s: float | None = None
        last = 0
        while True:
            got = receive(None if due_s is None else max(due_s - self._clock(), 0.0))
            if got == b"":
                return
            for number in filter(self._signals.__contains__, got or b""):
                wait_s = self._grace_s if due_s is None else self._again_s
                due_s = min(due_s or math.inf, self._clock() + wait_s)
                last = number
            if due_s is not None and self._clock() >= due_s:
                self._end(last)
                return


def _can_read(descriptor: int, timeout_s: float | None) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else math.ceil(timeout_s * 1000)))
