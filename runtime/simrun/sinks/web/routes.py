"""The routes of the page, a fixed table: no request's path ever becomes a path of files."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Final

from simrun.errors import OutputError
from simrun.sinks.base import StreamInfo
from simrun.sinks.web import events, metrics
from simrun.sinks.web.access import ASK, Access, WrongTokenError
from simrun.sinks.web.connection import Connection, Limits
from simrun.sinks.web.guesses import WrongTokens
from simrun.sinks.web.http import HTML, HttpError, Request, Response
from simrun.sinks.web.latest import Latest
from simrun.sinks.web.mjpeg import (
    PictureFeed,
    ProcessedFrame,
    View,
    encode_for_snapshot,
    encode_for_stream,
)
from simrun.stats import RunStats

_BOUNDARY: Final = "simrun-frame"
_VIEWS: Final = tuple(View(heat, quads) for heat in (False, True) for quads in (False, True))
_FILES: Final = {
    "/style.css": "text/css; charset=utf-8",
    "/page.js": "text/javascript; charset=utf-8",
    "/icon.svg": "image/svg+xml",
}

Handler = Callable[[Request, Connection], Awaitable[None]]


@dataclass(frozen=True)
class Route:
    """One path."""

    handler: Handler
    public: bool = False
    """Served without a token: the page that asks for it has a style and an icon."""


class Slots:
    """Bounds how many clients have something at one time."""

    def __init__(self, limit: int) -> None:
        """Nobody has it."""
        self.taken = self.refused = 0
        self._limit = limit

    @contextmanager
    def take(self) -> Iterator[None]:
        """Be one of them for a while.

        Raises:
            HttpError: there are as many as may be.
        """
        if self.taken >= self._limit:
            self.refused += 1
            raise HttpError(
                503, f"{self._limit} clients are watching, that is all", (("Retry-After", "5"),)
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


@dataclass(frozen=True)
class WatchedRun:
    """A run as the page sees it."""

    info: StreamInfo
    stats: RunStats
    shots: Latest[ProcessedFrame]
    """Its newest processed frame."""
    latencies: metrics.LatencyHistogram


class Site:
    """Answers requests; lives in the server's event loop."""

    def __init__(self, run: WatchedRun, access: Access, limits: Limits, encoder: Executor) -> None:
        """Serve a run; call it within the event loop.

        Args:
            run: what there is to see.
            access: who may ask.
            limits: what clients may take.
            encoder: makes the JPEGs.
        """
        self._run, self._access, self._limits, self._encoder = run, access, limits, encoder
        self._streams, self._listeners = Slots(limits.streams), Slots(limits.streams)
        self.turned_away = 0
        """Connections refused by the server."""
        loop = asyncio.get_running_loop()
        self.wrong = WrongTokens(limits.wrong_s, loop.time, loop.call_later)
        self._feeds = {view: PictureFeed(run.shots, self._stream_encoder(view)) for view in _VIEWS}
        self._index = Template(_read("index.html").decode())
        self._routes: Mapping[str, Route] = {
            "/": Route(self._page),
            "/stream.mjpg": Route(self._stream),
            "/snapshot.jpg": Route(self._snapshot),
            "/events": Route(self._events),
            "/healthz": Route(self._health),
            "/metrics": Route(self._metrics),
        } | {path: Route(_file(path, kind), public=True) for path, kind in _FILES.items()}

    async def answer(self, request: Request, client: Connection) -> None:
        """Answer one request, for as long as that takes.

        Raises:
            HttpError: it is refused.
            Gone: the client left.
        """
        self._access.check_host(request)
        route = self._routes.get(request.path)
        if route is None:
            raise HttpError(404, "there is no such page")
        if request.method not in ("GET", "HEAD"):
            raise HttpError(405, "only GET and HEAD are answered", (("Allow", "GET, HEAD"),))
        refusal = None if route.public else await self._check_token(request, client)
        if refusal is not None:
            await client.send(refusal)
            return
        if not route.public:
            client.admit()
        await route.handler(request, client)

    async def _check_token(self, request: Request, client: Connection) -> Response | None:
        try:
            return self._access.check_token(request)
        except WrongTokenError:
            await asyncio.sleep(self.wrong.note(client.address))
            return ASK

    async def _page(self, request: Request, client: Connection) -> None:
        view = _view_of(request)
        body = self._index.substitute(
            model=html.escape(self._run.info.model),
            source=html.escape(self._run.info.source),
            query=html.escape(_query_of(view)),
            heat="checked" if view.heat else "",
            quads="checked" if view.quads else "",
        )
        await client.send(Response(200, body.encode(), HTML))

    async def _stream(self, request: Request, client: Connection) -> None:
        with self._streams.take():
            parts = _as_parts(self._feeds[_view_of(request)])
            await client.stream(f"multipart/x-mixed-replace; boundary={_BOUNDARY}", parts)

    async def _snapshot(self, request: Request, client: Connection) -> None:
        shot = self._run.shots.value
        if shot is None:
            raise HttpError(503, "there was no frame yet", (("Retry-After", "1"),))
        loop = asyncio.get_running_loop()
        try:
            jpeg = await loop.run_in_executor(
                self._encoder, encode_for_snapshot, shot, _view_of(request)
            )
        except OutputError as error:
            raise HttpError(500, str(error)) from error
        name = f'inline; filename="simrun-{shot.result.frame:06d}.jpg"'
        await client.send(Response(200, jpeg, "image/jpeg", (("Content-Disposition", name),)))

    async def _events(self, request: Request, client: Connection) -> None:
        with self._listeners.take():
            chunks = events.follow(self._run.shots, self._run.stats, self._run.info, self._is_stale)
            await client.stream("text/event-stream", chunks)

    async def _health(self, request: Request, client: Connection) -> None:
        age = self._age_s()
        if self._is_stale():
            text = f"no frame was processed for {age:.1f} s; the limit is {self._limits.stale_s} s"
            raise HttpError(503, text)
        outputs = self._run.stats.snapshot().outputs
        if down := [
            f"{output.name} is down: {output.trouble}" for output in outputs if output.trouble
        ]:
            raise HttpError(503, "; ".join(down))
        await client.send(Response(200, f"ok, {age:.1f} s since the last frame\n".encode()))

    async def _metrics(self, request: Request, client: Connection) -> None:
        page = metrics.PageCounts(
            streams=self._streams.taken,
            listeners=self._listeners.taken,
            refused=self._streams.refused + self._listeners.refused + self.turned_away,
            wrong_tokens=self.wrong.count,
        )
        text = metrics.write_metrics(
            self._run.info, self._run.stats.snapshot(), self._run.latencies, page
        )
        await client.send(Response(200, text, metrics.CONTENT_TYPE))

    def _age_s(self) -> float:
        """Seconds since the last processed frame, or since the start before the first one."""
        now = self._run.stats.snapshot()
        return now.uptime_s if now.age_s is None else now.age_s

    def _is_stale(self) -> bool:
        return self._age_s() > self._limits.stale_s

    def _stream_encoder(self, view: View) -> Callable[[ProcessedFrame], Awaitable[bytes]]:
        loop = asyncio.get_running_loop()
        return lambda shot: loop.run_in_executor(self._encoder, encode_for_stream, shot, view)


async def _as_parts(feed: PictureFeed) -> AsyncGenerator[bytes, None]:
    """MJPEG, each picture followed by the head of the next part.

    Chromium shows a part once it has read the head of the one behind it. Sent with the next picture
    that head would come a frame late, and while a camera is silent it would not come at all.
    """
    next_part = f"\r\n--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
    yield next_part.lstrip()
    async with aclosing(feed.pictures()) as pictures:
        async for jpeg in pictures:
            yield jpeg + next_part


def _view_of(request: Request) -> View:
    """Heatmap and quads, both unless the query says something about them."""
    query = request.query
    if "heat" not in query and "quads" not in query and "view" not in query:
        return View(heat=True, quads=True)
    return View(heat=query.get("heat") == "1", quads=query.get("quads") == "1")


def _query_of(view: View) -> str:
    return f"heat={int(view.heat)}&quads={int(view.quads)}"


def _file(path: str, kind: str) -> Handler:
    response = Response(200, _read(path.removeprefix("/")), kind)

    async def send(request: Request, client: Connection) -> None:
        await client.send(response)

    return send


def _read(name: str) -> bytes:
    """A file of the page, by a name from this module."""
    return (files("simrun.sinks.web") / "static" / name).read_bytes()
