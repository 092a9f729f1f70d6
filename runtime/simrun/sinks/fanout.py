"""All sinks of a run as one: the failure of one does not end the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from simrun.errors import OutputError
from simrun.result import Result
from simrun.sinks.base import Sink
from simrun.sources.base import BadFrame, Frame

_log = logging.getLogger(__name__)


class Outlets:
    """Passes every frame to every sink; one that fails is logged, closed and given up."""

    def __init__(
        self, sinks: Sequence[Sink], *, on_loss: Callable[[], None] = lambda: None
    ) -> None:
        """Take the sinks over.

        Args:
            sinks: at least one, open.
            on_loss: called for each sink that is given up.
        """
        self._sinks = list(sinks)
        self._count = len(sinks)
        self._on_loss = on_loss
        self._lost = 0

    def write(self, frame: Frame, result: Result) -> None:
        """Give every sink a frame.

        Raises:
            OutputError: the last sink failed: there is nobody left to work for.
        """
        self._each(lambda sink: sink.write(frame, result))

    def write_bad(self, frame: BadFrame) -> None:
        """Give every sink a frame that could not be read. Raises as `write`."""
        self._each(lambda sink: sink.write_bad(frame))

    def close(self) -> None:
        """Complete every output, also when another one fails.

        Raises:
            OutputError: an output failed, now or before.
        """
        sinks, self._sinks = self._sinks, []
        with ExitStack() as closing:
            for sink in sinks:
                closing.callback(self._close, sink)
        if self._lost:
            raise OutputError(f"{self._lost} of {self._count} outputs failed; see the lines above")

    def _close(self, sink: Sink) -> None:
        try:
            sink.close()
        except OutputError as error:
            if self._count == 1:
                raise
            self._lose(error)

    def _each(self, write: Callable[[Sink], None]) -> None:
        for sink in tuple(self._sinks):
            try:
                write(sink)
            except OutputError as error:
                self._sinks.remove(sink)
                # What is half-written is completed as far as it goes; why it failed is known.
                with suppress(OutputError):
                    sink.close()
                if self._count == 1:
                    raise
                self._lose(error)
        if not self._sinks:
            self.close()

    def _lose(self, error: OutputError) -> None:
        self._lost += 1
        self._on_loss()
        _log.error("%s", error)
