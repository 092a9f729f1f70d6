"""All sinks of a run as one: none holds up the others, and one that fails is tried again.

Sinks that write files work in threads of their own, a frame behind the main loop at most. A pipe
whose reader stops, a disk that hangs: such a sink is waited for a moment, and is down from then on,
until it takes the frame that it hangs on. One that fails, because the disk is full say, is down,
too, and tried again after 1, 2, 4, ... 60 s. What a sink misses meanwhile is counted and said.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from simrun.errors import OutputError, OutputGoneError
from simrun.result import Result
from simrun.sinks.base import Output, Reopening, Sink
from simrun.sinks.worker import Direct, Worker
from simrun.sources.base import BadFrame, Frame
from simrun.stats import OutputState

_log = logging.getLogger(__name__)

LIVE_PATIENCE_S: Final = 2.0
"""How long a frame of a camera waits for an output."""
FILES_PATIENCE_S: Final = 5.0
"""How long one of a file does, where there are other outputs. One alone is waited for."""

_RETRY_S: Final = (1.0, 60.0)
"""The first wait after a failure, and the longest."""
_CLOSE_S: Final = 10.0
"""How long completing the outputs may take once the run was asked to end."""
_SLICE_S: Final = 0.5
"""Between two looks at whether it was."""

_LAST_CHANCE_S: Final = 1.0
"""How long one that hangs is waited for at the end."""

_HANGS: Final = "it takes nothing; its reader has stopped, or the disk hangs"


class Outlets:
    """Passes every frame to every sink."""

    def __init__(
        self,
        outputs: Sequence[Output],
        *,
        live: bool = False,
        on_loss: Callable[[], None] = lambda: None,
        stopping: Callable[[], bool] = lambda: False,
        patience_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the sinks over.

        Args:
            outputs: at least one, open.
            live: frames come at their own pace and will not come again: an output that fails is
                worth trying again, although it is the only one.
            on_loss: called each time that an output goes down.
            stopping: whether the run was asked to end.
            patience_s: how long a sink is waited for, if not as the constants of this module say.
            clock: seconds, monotonic.
        """
        alone = len(outputs) == 1
        usual_s = LIVE_PATIENCE_S if live else math.inf if alone else FILES_PATIENCE_S
        self._patience_s = usual_s if patience_s is None else patience_s
        self._fragile = alone and not live
        self._outlets = [_Outlet(output, clock, on_loss) for output in outputs]
        self._stopping, self._clock = stopping, clock
        self._closed = False

    def write(self, frame: Frame, result: Result) -> None:
        """Give every sink a frame.

        Raises:
            OutputError: there is nobody left to work for.
        """
        self._each(lambda sink: sink.write(frame, result))

    def write_bad(self, frame: BadFrame) -> None:
        """Give every sink a frame that could not be read. Raises as `write`."""
        self._each(lambda sink: sink.write_bad(frame))

    def reopen(self) -> None:
        """Have files opened anew, by their names, before the next frame is written."""
        for outlet in self._outlets:
            outlet.reopen = True

    def states(self) -> tuple[OutputState, ...]:
        """How each output is doing; from any thread."""
        return tuple(outlet.state() for outlet in self._outlets)

    def close(self) -> None:
        """Complete every output, also when another one fails or hangs.

        Raises:
            OutputError: an output failed, now or before, or has missed results.
        """
        if self._closed:
            return
        self._closed = True
        # All at once: one that hangs takes none of the others' time.
        begun = [
            outlet for outlet in self._outlets if self._is_done(outlet, self._closing_s(outlet))
        ]
        for outlet in begun:
            outlet.start_close()
        for outlet in begun:
            if self._is_done(outlet, self._closing_s(outlet)):
                outlet.worker.end()
        failed = [outlet for outlet in self._outlets if outlet.is_incomplete]
        if len(self._outlets) == 1 and failed and failed[0].error is not None:
            raise failed[0].error
        for outlet in failed:
            outlet.sum_up()
        if failed:
            raise OutputError(
                f"{len(failed)} of {len(self._outlets)} outputs failed; see the lines above"
            )

    def _each(self, write: Callable[[Sink], None]) -> None:
        for outlet in self._outlets:
            if outlet.gone:
                continue
            patience_s = 0.0 if outlet.hangs else self._patience_s
            if not self._is_done(outlet, patience_s) or not outlet.is_due():
                outlet.missed += 1
                continue
            outlet.start(write)
            if not outlet.output.threaded:
                self._is_done(outlet, 0.0)
        if all(outlet.gone for outlet in self._outlets) or self._has_failed():
            self.close()

    def _has_failed(self) -> bool:
        return self._fragile and self._outlets[0].error is not None

    def _is_about_to_be_raised(self, outlet: _Outlet) -> bool:
        return len(self._outlets) == 1 and (self._fragile or outlet.gone or self._closed)

    def _closing_s(self, outlet: _Outlet) -> float:
        """One that hangs has had its time already."""
        return _LAST_CHANCE_S if outlet.hangs else max(self._patience_s, _CLOSE_S)

    def _is_done(self, outlet: _Outlet, patience_s: float) -> bool:
        """Whether an output has dealt with what it was given; takes note of how."""
        try:
            done = self._wait(outlet, patience_s)
        except OutputError as error:
            outlet.fail(error)
            if not self._is_about_to_be_raised(outlet):
                outlet.tell(str(error))
            return not outlet.gone
        if done:
            outlet.succeed()
        else:
            outlet.hang()
        return done

    def _wait(self, outlet: _Outlet, patience_s: float) -> bool:
        end_s = self._clock() + patience_s
        asked = False
        while not outlet.worker.wait(min(_SLICE_S, max(0.0, end_s - self._clock()))):
            if self._clock() >= end_s:
                return False
            if not asked and self._stopping():
                limit_s = _CLOSE_S if self._closed else LIVE_PATIENCE_S
                asked, end_s = True, min(end_s, self._clock() + limit_s)
        return True


class _Outlet:
    """One output: what it does now, and what it has missed."""

    def __init__(
        self, output: Output, clock: Callable[[], float], on_loss: Callable[[], None]
    ) -> None:
        self.output = output
        self.worker: Worker | Direct = Worker(output.name) if output.threaded else Direct()
        self.error: OutputError | None = None
        """Why it is down: the last failure, until there is a success."""
        self.hangs = self.gone = self.reopen = False
        self.missed = 0
        self._clock, self._on_loss = clock, on_loss
        self._busy = self._told = False
        self._due_s, self._delay_s = -math.inf, 0.0

    def state(self) -> OutputState:
        error = self.error
        return OutputState(
            self.output.name, _HANGS if self.hangs else str(error) if error else None, self.missed
        )

    def is_due(self) -> bool:
        """Whether it is worth trying."""
        return self.error is None or self._clock() >= self._due_s

    @property
    def is_incomplete(self) -> bool:
        return bool(self.error or self.hangs or self.missed)

    def start(self, write: Callable[[Sink], None]) -> None:
        sink, reopen, self.reopen = self.output.sink, self.reopen, False

        def job() -> None:
            if reopen and isinstance(sink, Reopening):
                sink.reopen()
            write(sink)

        self._busy = True
        self.worker.start(job)

    def start_close(self) -> None:
        self._busy = False  # completing is no result
        self.worker.start(self.output.sink.close)

    def succeed(self) -> None:
        """What it had to do is done; it may have had nothing."""
        if not self._busy:
            return
        self._busy = False
        if self.error is not None or self.hangs:
            _log.info("%s is written again; it missed %d results", self.output.name, self.missed)
        self.error, self.hangs = None, False

    def fail(self, error: OutputError) -> None:
        was_busy, self._busy = self._busy, False
        self.missed += was_busy
        self._go_down()
        if self.error is None or was_busy:  # why it failed says more than why it cannot be closed
            # Not the error itself: its traceback keeps a frame.
            self.error = OutputError(str(error))
        self.hangs = False
        now_s = self._clock()
        # One that works for a moment now and then is no better than one that does not.
        lasted = now_s > self._due_s + _RETRY_S[1]
        self._delay_s = _RETRY_S[0] if lasted else min(2 * self._delay_s, _RETRY_S[1])
        self._due_s = now_s + self._delay_s
        self.gone = isinstance(error, OutputGoneError)

    def hang(self) -> None:
        self._go_down()
        self.tell(f"{self.output.name} is given up for now: {_HANGS}")
        self.hangs = True

    def sum_up(self) -> None:
        """Say what is missing in it, where that was not said yet."""
        if self.hangs:
            _log.error("%s is left behind as it is: %s", self.output.name, _HANGS)
        if self.missed:
            _log.error("%s has missed %d results", self.output.name, self.missed)

    def tell(self, why: str) -> None:
        """Say why it is down, once."""
        if not self._told:
            self._told = True
            _log.error("%s", why)

    def _go_down(self) -> None:
        if self.error is None and not self.hangs:
            self._told = False
            self._on_loss()
