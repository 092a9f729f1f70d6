"""A page to watch the run in a browser."""

from __future__ import annotations

import asyncio
import logging
import socket

from simrun.errors import UsageError
from simrun.redact import MEANT_TO_BE_SEEN
from simrun.result import Result
from simrun.sinks.base import SinkContext
from simrun.sinks.web.access import Access, choose_token
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
            OutputError: the port is in use.
        """
        limits = limits or Limits()
        listening = listen(parse_address(target))
        try:
            access = _access_to(listening, context.token)
        except UsageError:
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
        _tell(self.url, access.token, made_up=context.token is None)

    def write(self, frame: Frame, result: Result) -> None:
        """Make this the newest frame."""
        self._run.latencies.add(result.latency_ms)
        self._run.shots.put(ProcessedFrame(frame.image, result))

    def write_bad(self, frame: BadFrame) -> None:
        """The page shows how many there were, from the counts of the run."""

    def close(self) -> None:
        """End the server and every connection to it."""
        self._server.close()


def _access_to(listening: socket.socket, token: str | None) -> Access:
    loopback = is_loopback(listening)
    port = listening.getsockname()[1]
    return Access(choose_token(token, loopback=loopback), loopback, f"simrun_{port}")


def _tell(url: str, token: str | None, *, made_up: bool) -> None:
    if token is None:
        _log.info("page at %s", url)
    elif made_up:
        _log.info("page at %s?token=%s", url, token, extra={MEANT_TO_BE_SEEN: True})
    else:
        _log.info("page at %s (asks for the token that was given)", url)
