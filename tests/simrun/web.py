"""A page on loopback and a client that speaks to it byte by byte."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.files import Existing
from simrun.images.read import Image
from simrun.result import Heatmap, Latency, Region, Result
from simrun.sinks.registry import SinkContext, StreamInfo
from simrun.sinks.web.connection import Limits
from simrun.sinks.web.sink import PageSink
from simrun.sources import Frame
from simrun.stats import RunStats
from tests.simrun.clock import Clock

QUAD = ((8.0, 8.0), (40.0, 8.0), (40.0, 24.0), (8.0, 24.0))
LATENCY = Latency(1, 2, 30, 4, 5, 42)
INFO = StreamInfo("strokes", "ab" * 32, 'a "quoted" <source>', 10.0)
DEADLINE_S = 20.0
STREAMS = 'simrun_page_clients{kind="stream"}'
EVENTS = 'simrun_page_clients{kind="events"}'


def grey_frame(level: int = 90, size: tuple[int, int] = (48, 64)) -> Image:
    return np.full((*size, 3), level, np.uint8)


def noise_frame(size: tuple[int, int] = (960, 1280)) -> Image:
    """A picture that is large as a JPEG, too."""
    return np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)


def result_for(image: Image, number: int = 0) -> Result:
    height, width = image.shape[:2]
    return Result(
        width=width,
        height=height,
        regions=(Region(QUAD, 0.75, "42", 0.5, track=7),),
        latency_ms=LATENCY,
        frame=number,
        heatmap=Heatmap(np.full((1, height // 4, width // 4), 0.9, np.float32), 4.0, 1.5),
    )


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Page:
    """A page and the run that it shows."""

    sink: PageSink
    stats: RunStats
    clock: Clock
    port: int
    frames: int = 0

    def show(self, image: Image | None = None) -> None:
        """Process one frame."""
        image = grey_frame() if image is None else image
        result = replace(result_for(image), frame=self.frames)
        self.stats.add(result)
        self.sink.write(Frame(image, self.frames, 0.0), result)
        self.frames += 1

    def connect(self, receive_bytes: int | None = None) -> socket.socket:
        return connect(self.port, receive_bytes)

    def raw(self, data: bytes) -> bytes:
        """Everything that comes back for these bytes, until the server closes."""
        with self.connect() as client:
            # The server may refuse before it has read all.
            with suppress(OSError):
                client.sendall(data)
            return read_all(client)

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        return parse_answer(self.raw(request(path, method, **headers)))

    @contextmanager
    def open(self, path: str, **headers: str) -> Iterator[socket.socket]:
        with self.connect() as client:
            client.sendall(request(path, **headers))
            yield client

    def gauge(self, name: str) -> float:
        """A value of `/metrics`."""
        lines = self.ask("/metrics").body.decode().splitlines()
        return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(name)))

    def wait_for_gauge(self, name: str, value: float) -> None:
        until(lambda: self.gauge(name) == value, f"{name} to be {value}")


def connect(port: int, receive_bytes: int | None = None) -> socket.socket:
    client = socket.socket()
    if receive_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(DEADLINE_S)
    client.connect(("127.0.0.1", port))
    return client


def request(path: str, method: str = "GET", **headers: str) -> bytes:
    fields = {"Host": "localhost"} | {k.replace("_", "-"): v for k, v in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def read_all(client: socket.socket) -> bytes:
    data = b""
    # A reset is the hard way to close: what came before it counts.
    with suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            data += chunk
    return data


def read_until(client: socket.socket, mark: bytes, data: bytes = b"") -> bytes:
    """What came already and what comes, up to the mark and perhaps beyond."""
    while mark not in data:
        chunk = client.recv(65536)
        assert chunk, f"closed before {mark!r} came: {data[-200:]!r}"
        data += chunk
    return data


def parse_answer(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return Answer(int(first.split(" ")[1]), headers, body)


def decode(jpeg: bytes) -> NDArray[Any]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))


def next_picture(client: socket.socket, data: bytes = b"") -> tuple[NDArray[Any], bytes]:
    """The next whole JPEG of a stream and what came behind it."""
    while (start := data.find(b"\xff\xd8\xff")) < 0 or (end := data.find(b"\r\n--", start)) < 0:
        chunk = client.recv(65536)
        assert chunk, "the stream ended"
        data += chunk
    return decode(data[start:end]), data[end:]


def next_event(client: socket.socket, kind: str) -> dict[str, Any]:
    """Data of the next event of a kind; drops what came before it."""
    mark = f"event: {kind}\ndata: ".encode()
    data = read_until(client, mark).partition(mark)[2]
    line = read_until(client, b"\n\n", data).partition(b"\n\n")[0]
    assert b"\n" not in line, "the data of an event has to be one line"
    found: dict[str, Any] = json.loads(line)
    return found


def open_files() -> int:
    """Files that this process has open; 0 where the system does not tell."""
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.exists() else 0


def come_and_go(page: Page, times: int) -> None:
    """Come for everything there is, and leave in every way there is."""
    for number in range(times):
        with page.connect() as client:
            match number % 5:
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
                case 4:
                    client.sendall(request("/stream.mjpg?heat=1"))
        page.show()


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"waited {DEADLINE_S} s for {what}"


@contextmanager
def open_page(
    target: str = "0", *, token: str | None = None, limits: Limits | None = None
) -> Iterator[Page]:
    clock = Clock()
    stats = RunStats(clock)
    context = SinkContext(INFO, Existing.REFUSE, stats, lambda: None, token=token)
    sink = PageSink(target, context, limits=limits)
    try:
        yield Page(sink, stats, clock, int(sink.url.rstrip("/").rpartition(":")[2]))
    finally:
        sink.close()
