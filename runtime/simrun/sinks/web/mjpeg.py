"""The picture to watch, as JPEG: made once a frame, in a thread of its own, while somebody looks.

Heatmap and quads are drawn into the picture here, not by the browser. A browser shows the parts of
an MJPEG stream without telling scripts which one it shows, so quads that come on another way would
run ahead of the picture or behind it; drawn here they belong to their frame, also without
JavaScript and in a snapshot. The price is one encoding for each of the four views that is watched,
not for each client.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from simrun.errors import OutputError
from simrun.images.jpeg import encode_jpeg
from simrun.images.read import Image
from simrun.result import Point, Region, Result
from simrun.sinks.overlay import draw_overlay
from simrun.sinks.web.latest import Latest

_log = logging.getLogger(__name__)

STREAM_SIDE: Final = 1280
"""Longer side of the stream's pictures at most: no phone shows more."""
SNAPSHOT_SIDE: Final = 8192
_STREAM_QUALITY: Final = 80
_SNAPSHOT_QUALITY: Final = 92
_STREAM_PERIOD_S: Final = 1 / 25
_REPEAT_S: Final = 5.0
"""A picture that stays the newest is sent again: only writing shows that a client is gone."""


@dataclass(frozen=True)
class View:
    """What is drawn into the picture."""

    heat: bool
    quads: bool


@dataclass(frozen=True, eq=False)
class ProcessedFrame:
    """A processed frame. Nobody changes a frame's pixels once it is handed over."""

    image: Image
    result: Result


def encode_view(shot: ProcessedFrame, view: View, *, side: int, quality: int) -> bytes:
    """The frame as JPEG, shrunk to `side` where it is longer.

    Raises:
        OutputError: it cannot be encoded.
    """
    image, result = _fit(shot, side)
    if not view.heat:
        result = replace(result, heatmap=None)
    if not view.quads:
        result = replace(result, regions=())
    picture = draw_overlay(image, result) if view.heat or view.quads else image
    return encode_jpeg(picture, quality)


def encode_for_stream(shot: ProcessedFrame, view: View) -> bytes:
    """Small and quick. Raises as `encode_view`."""
    return encode_view(shot, view, side=STREAM_SIDE, quality=_STREAM_QUALITY)


def encode_for_snapshot(shot: ProcessedFrame, view: View) -> bytes:
    """At the frame's own size. Raises as `encode_view`."""
    return encode_view(shot, view, side=SNAPSHOT_SIDE, quality=_SNAPSHOT_QUALITY)


class PictureFeed:
    """The stream of one view, for any number of clients: encodes while there are any."""

    def __init__(
        self, shots: Latest[ProcessedFrame], encode: Callable[[ProcessedFrame], Awaitable[bytes]]
    ) -> None:
        """Take pictures from `shots`; `encode` works outside the event loop."""
        self._shots = shots
        self._encode = encode
        self._clients = 0
        self._pictures: Latest[bytes] = Latest(asyncio.get_running_loop())
        self._producer: asyncio.Task[None] | None = None

    async def pictures(self) -> AsyncGenerator[bytes, None]:
        """JPEGs for one client: the newest whenever it asks, the same one again after a while."""
        self._join()
        seen: bytes | None = None
        try:
            while True:
                try:
                    async with asyncio.timeout(_REPEAT_S):
                        seen = await self._pictures.newer(seen)
                except TimeoutError:
                    if seen is None:
                        continue
                yield seen
        finally:
            self._leave()

    def _join(self) -> None:
        self._clients += 1
        if self._producer is None:
            loop = asyncio.get_running_loop()
            # A new one: the last picture of an earlier audience may be hours old.
            self._pictures = Latest(loop)
            self._producer = loop.create_task(self._produce())

    def _leave(self) -> None:
        self._clients -= 1
        if self._clients == 0 and self._producer is not None:
            self._producer.cancel()
            self._producer = None

    async def _produce(self) -> None:
        loop = asyncio.get_running_loop()
        shot: ProcessedFrame | None = None
        while True:
            shot = await self._shots.newer(shot)
            start = loop.time()
            try:
                self._pictures.put(await self._encode(shot))
            except OutputError as error:
                _log.error("%s", error)
            took = loop.time() - start
            # Never busy more than half of the time: on a small computer the frames come first.
            await asyncio.sleep(max(_STREAM_PERIOD_S - took, took))


def _fit(shot: ProcessedFrame, side: int) -> tuple[Image, Result]:
    """Frame and result at a size of at most `side`."""
    image, result = shot.image, shot.result
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return image, result
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    heatmap = result.heatmap
    if heatmap is not None:
        heatmap = replace(
            heatmap, pitch=heatmap.pitch * scale, origin=_scaled(heatmap.origin, scale)
        )
    regions = tuple(_shrink_region(region, scale) for region in result.regions)
    return small, replace(result, regions=regions, heatmap=heatmap)


def _shrink_region(region: Region, scale: float) -> Region:
    corners: list[Point] = [(_scaled(x, scale), _scaled(y, scale)) for x, y in region.quad]
    return replace(region, quad=(corners[0], corners[1], corners[2], corners[3]))


def _scaled(coordinate: float, scale: float) -> float:
    """Pixel centres are at whole numbers, so that edges are at -0.5."""
    return (coordinate + 0.5) * scale - 0.5
