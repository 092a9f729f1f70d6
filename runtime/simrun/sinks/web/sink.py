"""A page to watch the run in a browser."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from enum import Enum
from pathlib import Path

from simrun.errors import SimError
from simrun.redact import MEANT_TO_BE_SEEN
from simrun.result import Result
from simrun.sinks.base import SinkContext
from simrun.sinks.web.access import Access, choose_token, kept_token
from simrun.sinks.web.address import is_loopback, listen, parse_address, url_of
from simrun.sinks.web.connection import Limits
from simrun.sinks.web.latest import Latest
from simrun.sinks.web.metrics import LatencyHistogram
from simrun.sinks.web.mjpeg import ProcessedFrame
from simrun.sinks.web.routes import Site, WatchedRun
from simrun.sinks.web.server import PageServer
from simrun.sources.base import BadFrame, Frame

_log = logging.getLogger(__name__)


class PageSink:
    """Hands frames and results over to the page's server; encodes nothing itself."""

    def __init__(
        self,
        target: str,
        context: SinkContext,
        *,
        limits: Limits | None = None,
    ) -> None:
        """Listen, and log the URL to open.

        Args:
            target: `[HOST:]PORT`; a port alone is for this machine only.
            context: the run, and the token that clients must know; without one it is made up where
                other machines can connect.
            limits: what clients may take.

        Raises:
            UsageError: the target or the token is of no use.
            OutputError: the port is in use, or the token cannot be kept.
        """
        limits = limits or Limits()
        listening = listen(parse_address(target))
        try:
            access, told = _access_to(listening, context.token, _token_file())
        except SimError:
            listening.close()
            raise
        self.url = url_of(listening)
        """Where the page is, without a token."""
        loop = asyncio.new_event_loop()
        run = WatchedRun(context.info, context.stats, Latest(loop), LatencyHistogram())
        self._run = run
        self._server = PageServer(
            listening, loop, lambda encoder: Site(run, access, limits, encoder), limits
        )
        _tell(self.url, access.token, told)

    def write(self, frame: Frame, result: Result) -> None:
        """Make this the newest frame."""
        self._run.latencies.add(result.latency_ms)
        self._run.shots.put(ProcessedFrame(frame.image, result))

    def write_bad(self, frame: BadFrame) -> None:
        """The page shows how many there were, from the counts of the run."""

    def close(self) -> None:
        """End the server and every connection to it."""
        self._server.close()


class _Known(Enum):
    """How people know the token."""

    TOLD = "by the line about the page: it was made up now"
    GIVEN = "they gave it"
    KEPT = "it was told at an earlier start, and is in a file"


def _token_file() -> Path | None:
    """Where a service keeps its token from one start to the next; systemd says in which folder."""
    first = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(first) / "token" if first else None


def _access_to(
    listening: socket.socket, token: str | None, file: Path | None
) -> tuple[Access, _Known]:
    loopback = is_loopback(listening)
    cookie = f"simrun_{listening.getsockname()[1]}"
    if token is None and file is not None and not loopback:
        token, is_new = kept_token(file)
        return Access(token, loopback, cookie), _Known.TOLD if is_new else _Known.KEPT
    known = _Known.TOLD if token is None else _Known.GIVEN
    return Access(choose_token(token, loopback=loopback), loopback, cookie), known


def _tell(url: str, token: str | None, known: _Known) -> None:
    if token is None:
        _log.info("page at %s", url)
    elif known is _Known.TOLD:
        _log.info("page at %s?token=%s", url, token, extra={MEANT_TO_BE_SEEN: True})
    elif known is _Known.GIVEN:
        _log.info("page at %s (asks for the token that was given)", url)
    else:
        _log.info("page at %s (asks for the token in %s)", url, _token_file())
