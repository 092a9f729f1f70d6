"""What the page costs a run, and what clients leave behind.

    python -m benchmarks.page [--seconds N]

Prints one JSON object: microseconds that handing over a frame takes in the thread of the run, with
nobody watching and with clients; processor time of the server in that while; threads, open files
and resident memory over thousands of clients that come and go.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from contextlib import ExitStack
from typing import Any, Final

from simrun.images import Image
from simrun.sources import Frame
from simrun.sources.demo import draw_scene
from simrun.web.connection import Limits
from tests.simrun.web import (
    Page,
    next_event,
    next_picture,
    open_files,
    open_page,
    read_all,
    request,
    result_for,
)

_RATE: Final = 30.0
_VISITORS: Final = 2000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    seconds: float = parser.parse_args().seconds
    record = {
        "hand_over": [_hand_over(clients, seconds) for clients in (0, 1, 8)],
        "visitors": _visitors(),
    }
    print(json.dumps(record, indent=1))


def _hand_over(clients: int, seconds: float) -> dict[str, Any]:
    """Cost of `PageSink.write` at 30 frames per second of 640x480, both overlays on."""
    frames = [draw_scene(number / 10) for number in range(10)]
    with open_page(limits=Limits(streams=8)) as page, ExitStack() as held:
        page.show(frames[0])
        for _ in range(clients):
            client = held.enter_context(page.open("/stream.mjpg"))
            threading.Thread(target=read_all, args=(client,), daemon=True).start()
        busy = time.process_time()
        times = _write_paced(page, frames, seconds)
        busy = time.process_time() - busy
    return {
        "clients": clients,
        "frames": len(times),
        "median_us": round(statistics.median(times) * 1e6, 1),
        "p99_us": round(statistics.quantiles(times, n=100)[98] * 1e6, 1),
        "process_cpu_share": round(busy / seconds, 3),
    }


def _write_paced(page: Page, frames: list[Image], seconds: float) -> list[float]:
    results = [result_for(frame) for frame in frames]
    times = []
    start = time.perf_counter()
    for number in range(round(seconds * _RATE)):
        frame, result = frames[number % len(frames)], results[number % len(frames)]
        handed = Frame(frame, number, 0.0)
        before = time.perf_counter()
        page.sink.write(handed, result)
        times.append(time.perf_counter() - before)
        time.sleep(max(0.0, start + (number + 1) / _RATE - time.perf_counter()))
    return times


def _visitors() -> dict[str, Any]:
    """Resident memory, threads and files over clients that leave in every way there is."""
    with open_page(limits=Limits(head_s=0.5)) as page:
        page.show()
        _visit(page, _VISITORS // 10)
        before = (_resident_mb(), threading.active_count(), open_files())
        start = time.perf_counter()
        _visit(page, _VISITORS)
        took = time.perf_counter() - start
        # Two rounds without a frame between them: the last clients are known to be gone.
        page.wait_for_gauge('simrun_page_clients{kind="stream"}', 0)
        page.wait_for_gauge('simrun_page_clients{kind="events"}', 0)
        after = (_resident_mb(), threading.active_count(), open_files())
    return {
        "clients": _VISITORS,
        "seconds": round(took, 1),
        "resident_mb": [round(before[0], 2), round(after[0], 2)],
        "threads": [before[1], after[1]],
        "files": [before[2], after[2]],
    }


def _visit(page: Page, times: int) -> None:
    for number in range(times):
        with page.connect() as client:
            match number % 4:
                case 0:
                    client.sendall(request("/stream.mjpg"))
                    next_picture(client)
                case 1:
                    client.sendall(request("/events"))
                    next_event(client, "hello")
                case 2:
                    client.sendall(request("/snapshot.jpg"))
                    read_all(client)
                case 3:
                    client.sendall(b"GET / HTTP")
        page.show()


def _resident_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    main()
