"""A page to watch the run in a browser."""

from __future__ import annotations

import asyncio
import logging

from simrun.result import Result
from simrun.sinks.base import SinkContext
from simrun.sources.base import BadFrame, Frame
from simrun.web.access import Access, choose_token
from simrun.web.address import is_loopback, listen, parse_address, url_of
from simrun.web.connection import Limits
from simrun.web.latest import Latest
from simrun.web.metrics import LatencyHistogram
from simrun.web.pictures import Shot
from simrun.web.server import PageServer
from simrun.web.site import Site

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
        limits, token = limits or Limits(), context.token
        address = parse_address(target)
        listening = listen(address)
        try:
            loopback = is_loopback(listening)
            secret = choose_token(token, loopback=loopback)
        except BaseException:
            listening.close()
            raise
        port = listening.getsockname()[1]
        self.url = url_of(listening)
        """Where the page is, without a token."""
        self._latencies = LatencyHistogram()
        loop = asyncio.new_event_loop()
        self._shots: Latest[Shot] = Latest(loop)
        self._server = PageServer(
            listening,
            loop,
            lambda encoder: Site(
                context.info,
                context.stats,
                self._shots,
                self._latencies,
                Access(secret, loopback, f"simrun_{port}"),
                limits,
                encoder,
            ),
            limits,
        )
        if secret is not None and token is None:
            _log.info("page at %s?token=%s", self.url, secret)
        else:
            _log.info("page at %s%s", self.url, " (asks for the token)" if token else "")

    def write(self, frame: Frame, result: Result) -> None:
        """Make this the newest frame."""
        self._latencies.add(result.latency_ms)
        self._shots.put(Shot(frame.image, result))

    def write_bad(self, frame: BadFrame) -> None:
        """The page shows how many there were, from the counts of the run."""

    def close(self) -> None:
        """End the server and every connection to it."""
        self._server.close()
