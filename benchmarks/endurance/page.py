"""What the page costs a run, and what clients leave behind.

    python -m benchmarks.endurance.page [--frames N]    # writes page.json

First the demo scene through the default model, frame after frame, with
nobody watching and with clients in another process: microseconds that handing a frame over takes in
the thread of the run, and the run's rate. Then threads, open files and resident memory over
thousands of clients that come and go.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from benchmarks.endurance.held import Held
from benchmarks.harness.benchmark import Benchmark, heading, table
from benchmarks.harness.console import one_line_errors
from benchmarks.harness.record import Record
from simrun.cli.run import load_localizer
from simrun.config.schema import Settings
from simrun.localizer import Localizer
from simrun.sinks.web.connection import Limits
from simrun.sources import Frame
from simrun.sources.demo import draw_scene
from tests.simrun.web import (
    EVENTS,
    STREAMS,
    Page,
    come_and_go,
    connect,
    open_page,
    read_all,
    request,
)

_WATCH: Final = "--watch"
_VISITORS: Final = 2000


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Both measurements."""
    localizer = load_localizer(Settings())
    hand_over = [_hand_over(localizer, clients, options.frames) for clients in (0, 1, 8)]
    return {"hand_over": hand_over, "visitors": _visitors()}


def to_markdown(record: Record) -> str:
    """A row a number of clients, and what visitors left behind."""
    rows = [
        [
            one["clients"],
            f"{one['write_median_us']:.0f} / {one['write_p95_us']:.0f} us",
            f"{one['frames_per_s']:.0f}",
            f"{one['process_cpu_ms_per_frame']:.1f}",
        ]
        for one in record["hand_over"]
    ]
    heads = ["clients of the stream", "handing a frame over, median / 95 %", "frames/s of the run"]
    came = record["visitors"]
    left = ", ".join(
        f"{what} {before:g} before, {after:g} after"
        for what, (before, after) in (
            ("resident MB", came["resident_mb"]),
            ("threads", came["threads"]),
            ("open files", came["files"]),
        )
    )
    frames = record["hand_over"][0]["frames"]
    note = heading(record, f"{frames} frames of 640x480, clients in another process")
    tail = f"{came['clients']} clients that came and left in every way: {left}."
    return "\n\n".join([note, table([*heads, "processor ms a frame"], rows), tail])


def _hand_over(localizer: Localizer, clients: int, frames: int) -> dict[str, Any]:
    """Cost of `PageSink.write` for frames of 640x480 with regions and heatmap."""
    scene = [draw_scene(number / 10) for number in range(20)]
    times = []
    with open_page() as page, _watchers(page, clients):
        start, busy = time.perf_counter(), time.process_time()
        for number in range(frames):
            image = scene[number % len(scene)]
            result = localizer(image)
            page.stats.add(result)
            before = time.perf_counter()
            page.sink.write(Frame(image, number, 0.0), result)
            times.append(time.perf_counter() - before)
        took, busy = time.perf_counter() - start, time.process_time() - busy
    return {
        "clients": clients,
        "frames": frames,
        "write_median_us": round(statistics.median(times) * 1e6, 1),
        "write_p95_us": round(statistics.quantiles(times, n=20)[18] * 1e6, 1),
        "frames_per_s": round(frames / took, 1),
        "process_cpu_ms_per_frame": round(busy / frames * 1e3, 2),
    }


@contextmanager
def _watchers(page: Page, clients: int) -> Iterator[None]:
    """Clients of the stream, all in one other process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.endurance.page", _WATCH, str(page.port), str(clients)],
        stdin=subprocess.PIPE,
    )
    page.wait_for_gauge(STREAMS, clients)
    yield
    process.communicate()


def _watch(port: int, clients: int) -> None:
    """Read streams until the standard input ends."""
    for _ in range(clients):
        client = connect(port)
        client.sendall(request("/stream.mjpg"))
        threading.Thread(target=read_all, args=(client,), daemon=True).start()
    sys.stdin.read()


def _visitors() -> dict[str, Any]:
    """Resident memory, threads and files over clients that leave in every way there is."""
    with open_page(limits=Limits(head_s=0.5)) as page:
        page.show()
        come_and_go(page, _VISITORS // 10)
        before = Held.of(os.getpid())
        start = time.perf_counter()
        come_and_go(page, _VISITORS)
        took = time.perf_counter() - start
        page.wait_for_gauge(STREAMS, 0)
        page.wait_for_gauge(EVENTS, 0)
        after = Held.of(os.getpid())
    return {
        "clients": _VISITORS,
        "seconds": round(took, 1),
        "resident_mb": [before.resident_mb, after.resident_mb],
        "threads": [before.threads, after.threads],
        "files": [before.files, after.files],
    }


BENCHMARK: Final = Benchmark(
    measure,
    to_markdown,
    lambda parser: parser.add_argument(
        "--frames", type=int, default=600, help="of each measurement"
    ),
    markers="page",
)

if __name__ == "__main__":
    if sys.argv[1:2] == [_WATCH]:
        with one_line_errors("page"):
            _watch(int(sys.argv[2]), int(sys.argv[3]))
    else:
        BENCHMARK.main()
