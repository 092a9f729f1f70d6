"""Results and counts as server-sent events.

`hello` comes once: the model, the source and the latencies of the last frames. Then a `result` a
frame, the same JSON object as a line of `--jsonl`, and a `status` a second. A client that is slower
than the run misses results, as their `frame` shows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict
from typing import Any, Final

from simrun.sinks.base import StreamInfo
from simrun.sinks.web.latest import Latest
from simrun.sinks.web.mjpeg import ProcessedFrame
from simrun.stats import RunStats, StatsSnapshot

HISTORY: Final = 150
"""Frames whose latencies a new client gets, for its graph."""
_STATUS_EVERY_S: Final = 1.0


async def follow(
    shots: Latest[ProcessedFrame], stats: RunStats, info: StreamInfo, is_stale: Callable[[], bool]
) -> AsyncGenerator[bytes, None]:
    """Events for one client, without end."""
    loop = asyncio.get_running_loop()
    yield _event("hello", _hello(stats, info))
    due = loop.time()
    seen: ProcessedFrame | None = shots.value
    if seen is not None:
        yield _event("result", seen.result.to_json())
    while True:
        if loop.time() >= due:
            yield _event("status", _status(stats.snapshot(), is_stale()))
            due = loop.time() + _STATUS_EVERY_S
        try:
            async with asyncio.timeout_at(due):
                seen = await shots.newer(seen)
        except TimeoutError:
            continue
        yield _event("result", seen.result.to_json())


def _event(kind: str, data: dict[str, Any]) -> bytes:
    # JSON has no line break outside of strings and escapes those within: one `data` line always.
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def _hello(stats: RunStats, info: StreamInfo) -> dict[str, Any]:
    return {
        "model": info.model,
        "model_sha256": info.model_sha256,
        "source": info.source,
        "latencies_ms": [latency.to_json() for latency in stats.snapshot().latencies[-HISTORY:]],
    }


def _status(now: StatsSnapshot, stale: bool) -> dict[str, Any]:
    return {
        "uptime_s": round(now.uptime_s, 1),
        "frames": now.frames,
        "bad": now.bad,
        "regions": now.regions,
        "lost_sinks": now.lost_sinks,
        "outputs_down": [output.name for output in now.outputs if output.trouble],
        "rate": round(now.rate, 2),
        "age_s": None if now.age_s is None else round(now.age_s, 2),
        "stale": stale,
        "source": None if now.source is None else asdict(now.source),
    }
