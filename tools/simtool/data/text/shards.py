"""Generated data made shard by shard, by worker processes that load the material once each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import cv2

from simrun.progress import progress

Loaded = TypeVar("Loaded")


def make_shards(
    shards: Sequence[int],
    size: int,
    load: Callable[[], Loaded],
    make: Callable[[int, Loaded], None],
    workers: int,
    what: str,
) -> None:
    """Make shards, several at a time.

    Args:
        shards: their numbers.
        size: of each, for the display of progress.
        load: called once in every worker; picklable where there are several.
        make: called for each shard with what was loaded; picklable in the same way.
        workers: processes; 1 works in this one.
        what: is made, for the display.
    """
    with progress(what, len(shards) * size) as advance:
        if workers == 1:
            loaded = load()
            for shard in shards:
                make(shard, loaded)
                advance(size)
            return
        with ProcessPoolExecutor(workers, initializer=_start, initargs=(load, make)) as pool:
            for job in [pool.submit(_work, shard) for shard in shards]:
                job.result()
                advance(size)


_worker: dict[str, Any] = {}


def _start(load: Callable[[], Loaded], make: Callable[[int, Loaded], None]) -> None:
    cv2.setNumThreads(1)
    _worker.update(loaded=load(), make=make)


def _work(shard: int) -> None:
    _worker["make"](shard, _worker["loaded"])
