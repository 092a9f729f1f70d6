"""Pictures for the page: the four views, and one encoding for all who watch."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from simrun.images.read import Image
from simrun.sinks.web.latest import Latest
from simrun.sinks.web.mjpeg import (
    PictureFeed,
    ProcessedFrame,
    View,
    encode_for_snapshot,
    encode_for_stream,
)
from tests.simrun.web import decode, grey_frame, result_for


def shot_of(image: Image) -> ProcessedFrame:
    return ProcessedFrame(image, result_for(image))


def is_green(picture: Image) -> bool:
    blue, green, red = (picture[..., c].astype(int) for c in range(3))
    return bool(((green - red > 60) & (green - blue > 60)).any())


def test_each_view_shows_what_it_says() -> None:
    shot = shot_of(grey_frame())
    plain, quads, heat, both = (
        decode(encode_for_stream(shot, View(heat, quads)))
        for heat in (False, True)
        for quads in (False, True)
    )
    assert np.abs(plain.astype(int) - 90).max() <= 2
    assert is_green(quads)
    assert abs(int(quads[40, 60, 2]) - 90) < 8
    assert heat[40, 30, 2] > heat[40, 30, 0] + 40  # hot is red
    assert is_green(both)
    assert both[40, 30, 2] > both[40, 30, 0] + 40


def test_a_large_frame_is_shrunk_and_the_quads_with_it() -> None:
    large = grey_frame(90, (1600, 2560))
    quad = ((640.0, 400.0), (1280.0, 400.0), (1280.0, 800.0), (640.0, 800.0))
    result = result_for(large)
    region = replace(result.regions[0], quad=quad, label=None, track=None)
    shot = ProcessedFrame(large, replace(result, regions=(region,), heatmap=None))
    picture = decode(encode_for_stream(shot, View(heat=False, quads=True)))
    assert picture.shape == (800, 1280, 3)
    rows, columns = np.nonzero(picture[..., 1].astype(int) - picture[..., 2] > 60)
    assert (rows.min(), rows.max()) == (pytest.approx(200, abs=2), pytest.approx(400, abs=2))
    assert (columns.min(), columns.max()) == (pytest.approx(320, abs=2), pytest.approx(640, abs=2))
    assert decode(encode_for_snapshot(shot, View(heat=False, quads=True))).shape == large.shape


def test_the_heatmap_stays_in_its_place_when_shrunk() -> None:
    large = grey_frame(90, (1600, 2560))
    result = result_for(large)
    assert result.heatmap is not None
    values = np.zeros((1, 400, 640), np.float32)
    values[:, 200:, :] = 0.9
    shot = ProcessedFrame(large, replace(result, heatmap=replace(result.heatmap, values=values)))
    picture = decode(encode_for_stream(shot, View(heat=True, quads=False))).astype(int)
    changed = np.abs(picture - 90).max(axis=2)[:, 700] > 30
    assert np.argmax(changed) == pytest.approx(400, abs=4)


def test_a_grey_frame() -> None:
    shot = shot_of(np.full((48, 64), 90, np.uint8))
    assert decode(encode_for_stream(shot, View(heat=True, quads=True))).shape == (48, 64, 3)


def test_a_frame_is_encoded_once_for_all_and_not_at_all_for_nobody() -> None:
    encoded: list[ProcessedFrame] = []

    async def encode(shot: ProcessedFrame) -> bytes:
        encoded.append(shot)
        return str(len(encoded)).encode()

    async def watch() -> None:
        shots: Latest[ProcessedFrame] = Latest(asyncio.get_running_loop())
        feed = PictureFeed(shots, encode)
        first, second = shot_of(grey_frame(1)), shot_of(grey_frame(2))
        shots.put(first)
        await asyncio.sleep(0)
        assert encoded == []
        clients = [feed.pictures() for _ in range(5)]
        assert [await anext(client) for client in clients] == [b"1"] * 5
        shots.put(second)
        assert [await anext(client) for client in clients] == [b"2"] * 5
        assert encoded == [first, second]
        for client in clients:
            await client.aclose()
        shots.put(first)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(encoded) == 2
        assert len(asyncio.all_tasks()) == 1
        # Who comes later gets the newest, not the last that was shown.
        late = feed.pictures()
        assert await anext(late) == b"3"
        await late.aclose()

    asyncio.run(watch())


def test_a_slow_client_misses_values_and_waits_for_none() -> None:
    async def watch() -> None:
        latest: Latest[object] = Latest(asyncio.get_running_loop())
        values = [object() for _ in range(5)]
        latest.put(values[0])
        assert await latest.newer(None) is values[0]
        for value in values[1:4]:
            latest.put(value)
        assert await latest.newer(values[0]) is values[3]
        waiting = asyncio.ensure_future(latest.newer(values[3]))
        await asyncio.sleep(0)
        assert not waiting.done()
        await asyncio.to_thread(latest.put, values[4])
        assert await waiting is values[4]

    asyncio.run(watch())
