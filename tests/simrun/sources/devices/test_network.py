"""Streams from real servers on loopback that die and come back: HTTP, and RTSP if installed."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import pytest

from simrun.errors import SourceError
from simrun.sources import Counted, Frame, SourceOptions
from simrun.sources.registry import open_source
from simrun.stats import State
from tests.simrun.live_fakes import picture

PATIENCE_S = 30.0
RTSP_SERVER = Path(__file__).parents[2] / "rtsp_server.py"
DEBIAN_PYTHON = "/usr/bin/python3"


class MjpegServer(ThreadingHTTPServer):
    """Sends grey levels that go up, at 50 frames/s, until it is killed."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, size: tuple[int, int]) -> None:
        self.dead = threading.Event()
        self.size = size
        self.clients: list[socket.socket] = []
        super().__init__(("127.0.0.1", port), MjpegHandler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def kill(self) -> None:
        """Cut every connection and stop listening."""
        self.dead.set()
        self.shutdown()
        self.server_close()
        for client in self.clients:
            client.close()


class MjpegHandler(BaseHTTPRequestHandler):
    server: MjpegServer

    def do_GET(self) -> None:
        self.server.clients.append(self.connection)
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        level = 0
        while not self.server.dead.wait(0.02):
            level = (level + 10) % 250
            ok, jpeg = cv2.imencode(".jpg", picture(level, size=self.server.size))
            assert ok
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {jpeg.size}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")
            except OSError:
                return

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def servers() -> Iterator[list[MjpegServer]]:
    started: list[MjpegServer] = []
    yield started
    for server in started:
        if not server.dead.is_set():
            server.kill()


def test_a_server_that_is_killed_and_comes_back_in_another_size(
    servers: list[MjpegServer],
) -> None:
    servers.append(MjpegServer(0, (48, 64)))
    port = servers[0].port
    options = SourceOptions(give_up_s=PATIENCE_S, stall_s=2)
    source = open_source(f"http://u:secret@127.0.0.1:{port}/x.mjpg", options)
    frames = iter(source)
    first = [next(frames) for _ in range(5)]
    servers[0].kill()
    servers.append(MjpegServer(port, (96, 128)))
    changed = next(f for f in frames if isinstance(f, Frame) and f.image.shape == (96, 128, 3))
    assert isinstance(source, Counted)
    stats = source.stats()
    source.close()

    assert source.name == f"http://***@127.0.0.1:{port}/x.mjpg"
    assert all(isinstance(f, Frame) and f.image.shape == (48, 64, 3) for f in first)
    assert len({int(f.image[0, 0, 0]) for f in first if isinstance(f, Frame)}) > 1
    assert stats is not None
    assert stats.reconnects >= 1
    assert stats.state is State.OPEN
    assert changed.index > first[-1].index
    assert list(frames) == []


def test_a_server_that_stays_away_is_given_up(servers: list[MjpegServer]) -> None:
    servers.append(MjpegServer(0, (48, 64)))
    url = f"http://127.0.0.1:{servers[0].port}/x.mjpg"
    source = open_source(url, SourceOptions(give_up_s=1.5))
    frames = iter(source)
    next(frames)
    servers[0].kill()
    with pytest.raises(SourceError, match=r"nobody answers there.*\(waited 2 s\)"):
        list(frames)
    source.close()


@pytest.fixture
def start_rtsp() -> Iterator[Callable[[int, str], subprocess.Popen[bytes]]]:
    """Start a server on a port with pictures of a size."""
    if not Path(DEBIAN_PYTHON).exists() or subprocess.call([DEBIAN_PYTHON, RTSP_SERVER, "--probe"]):
        pytest.skip(
            "needs apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base "
            "gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly"
        )
    running: list[subprocess.Popen[bytes]] = []

    def start(port: int, size: str) -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen([DEBIAN_PYTHON, RTSP_SERVER, str(port), size]))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait(PATIENCE_S)


def test_an_rtsp_server_that_is_killed_and_comes_back_in_another_size(
    start_rtsp: Callable[[int, str], subprocess.Popen[bytes]],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    first = start_rtsp(port, "320x240")
    source = open_source(
        f"rtsp://127.0.0.1:{port}/camera", SourceOptions(wait_s=PATIENCE_S, give_up_s=PATIENCE_S)
    )
    frames = iter(source)
    frame = next(frames)
    assert isinstance(frame, Frame)
    assert frame.image.shape == (240, 320, 3)
    first.kill()
    start_rtsp(port, "640x480")
    assert any(isinstance(f, Frame) and f.image.shape == (480, 640, 3) for f in frames)
    assert isinstance(source, Counted)
    stats = source.stats()
    source.close()
    assert stats is not None
    assert stats.reconnects >= 1
