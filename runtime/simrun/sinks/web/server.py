"""The server: one thread with an event loop, and one that encodes pictures."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from simrun.sinks.web.connection import Connection, Gone, Limits
from simrun.sinks.web.http import MAX_HEAD, HttpError
from simrun.sinks.web.routes import Site

_log = logging.getLogger(__name__)

_CLOSE_S: Final = 5.0
"""Closing takes milliseconds; this is for a machine that has none to spare."""


class PageServer:
    """Serves a site on a listening socket until it is closed."""

    def __init__(
        self,
        listening: socket.socket,
        loop: asyncio.AbstractEventLoop,
        make_site: Callable[[Executor], Site],
        limits: Limits,
    ) -> None:
        """Start serving.

        Args:
            listening: bound; is closed at the end.
            loop: not running; runs in a new thread and is closed at the end.
            make_site: called within the loop, with the thread that encodes.
            limits: what clients may take.
        """
        self._socket, self._loop, self._make_site, self._limits = listening, loop, make_site, limits
        self._stop = asyncio.Event()
        self._clients: set[asyncio.Task[Any]] = set()
        self._strangers: dict[asyncio.Task[Any], Connection] = {}
        # A daemon: whatever happens to it, the program can end.
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End every connection and the threads; may be called more than once."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop.set_exception_handler(_log_failure)
        with ThreadPoolExecutor(1, "page-encoder") as encoder:
            self._site = self._make_site(encoder)
            # A plain function, not a coroutine: Python 3.11 logs an error for each connection whose
            # coroutine is cancelled.
            server = await asyncio.start_server(self._accept, sock=self._socket, limit=MAX_HEAD)
            await self._stop.wait()
            server.close()
            clients = list(self._clients)
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
            self._site.wrong.tell_rest()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._strangers) >= self._limits.strangers:
            self._turn_away_the_oldest()
        client = Connection(reader, writer, self._limits)
        task = self._loop.create_task(self._serve_client(client))
        client.admit = lambda: self._admit(task)
        self._clients.add(task)
        self._strangers[task] = client
        task.add_done_callback(lambda task: self._forget(task, client))

    def _turn_away_the_oldest(self) -> None:
        """One that may be here has said so within milliseconds: it is not among these for long."""
        task = next(iter(self._strangers))
        self._strangers.pop(task).abort()
        task.cancel()
        self._site.turned_away += 1

    def _admit(self, task: asyncio.Task[Any]) -> None:
        """Give a client a place among those who may be here. Raises HttpError: there is none."""
        most = self._limits.connections - self._limits.strangers
        if len(self._clients) - len(self._strangers) >= most:
            self._site.turned_away += 1
            raise HttpError(503, f"{most} clients are here, that is all", (("Retry-After", "5"),))
        self._strangers.pop(task, None)

    def _forget(self, task: asyncio.Task[Any], client: Connection) -> None:
        del client.admit  # it refers to the task, whose failure is logged once nobody does
        self._clients.discard(task)
        self._strangers.pop(task, None)

    async def _serve_client(self, client: Connection) -> None:
        try:
            with suppress(Gone):
                await self._answer(client)
        finally:
            client.abort()

    async def _answer(self, client: Connection) -> None:
        try:
            await self._site.answer(await client.receive(), client)
        except HttpError as error:
            await client.send(error.response)


def _log_failure(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """One connection's failure is one line of the log, and the traceback with --debug."""
    error = context.get("exception")
    _log.error("page: %s: %r", context.get("message", "failure"), error)
    _log.debug("page: where it failed", exc_info=error)
