"""Pictures from HTTP servers of every habit, on loopback."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest

from simrun.errors import SourceError
from simrun.sources import BadFrame, Counted, Frame, Source, SourceOptions
from simrun.sources.devices import http as http_module
from simrun.sources.registry import open_source
from tests.simrun.live_fakes import picture

Answer = Callable[[BaseHTTPRequestHandler], None]

SIZE = (48, 64)
NOISE = np.random.default_rng(3).integers(0, 255, (*SIZE, 3), np.uint8)


def jpeg(level: int) -> bytes:
    """Large enough to be cut, and of one level on average."""
    image = np.clip(NOISE // 8 + level, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", image)[1].tobytes()


class Server(ThreadingHTTPServer):
    """Answers each request as told."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked = 0
        self.ends = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str = "x.jpg", user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.server_address[1]}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        try:
            self.server.answer(self)
        except OSError:
            return

    def head(self, kind: str, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    started: list[Server] = []

    def start(answer: Answer) -> Server:
        started.append(Server(answer))
        return started[-1]

    yield start
    for server in started:
        server.ends.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def opened() -> Iterator[Callable[..., Source]]:
    sources: list[Source] = []

    def open_it(url: str, **options: object) -> Source:
        sources.append(open_source(url, SourceOptions(**options)))  # type: ignore[arg-type]
        return sources[-1]

    yield open_it
    for source in sources:
        source.close()


def stills(numbers: Iterator[int]) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        assert isinstance(handler, Handler)
        content = jpeg(next(numbers) % 8 * 20)
        handler.head("image/jpeg", len(content))
        handler.wfile.write(content)

    return answer


class TestStill:
    def test_it_is_asked_for_at_the_rate(
        self, serve: Callable[[Answer], Server], opened: Callable[..., Source]
    ) -> None:
        server = serve(stills(count()))
        source = opened(server.url(), fps=50.0)
        frames = iter(source)
        got = [next(frames) for _ in range(6)]
        levels = [round(float(f.image.mean())) for f in got if isinstance(f, Frame)]
        assert levels == sorted(levels)
        assert len(set(levels)) == 6
        assert source.rate == 50.0
        assert isinstance(source, Counted)
        stats = source.stats()
        assert stats is not None
        assert (stats.reconnects, stats.stalls, stats.bad) == (0, 0, 0)
        assert "50 times a second" in stats.description

    def test_once_a_second_where_nothing_is_said(
        self, serve: Callable[[Answer], Server], opened: Callable[..., Source]
    ) -> None:
        source = opened(serve(stills(count())).url())
        assert source.rate == http_module.STILLS_A_SECOND == 1.0

    def test_the_same_picture_for_long_hangs_nothing(
        self, serve: Callable[[Answer], Server], opened: Callable[..., Source]
    ) -> None:
        server = serve(stills(iter([3] * 1000)))
        source = opened(server.url(), fps=100.0, frozen_s=0.02)
        frames = iter(source)
        assert len({f.image.tobytes() for f in (next(frames) for _ in range(12))}) == 1  # type: ignore[union-attr]
        assert isinstance(source, Counted)
        assert source.stats().stalls == 0  # type: ignore[union-attr]

    def test_one_that_was_cut_short_is_counted_and_not_shown(
        self, serve: Callable[[Answer], Server], opened: Callable[..., Source]
    ) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            assert isinstance(handler, Handler)
            content = jpeg(server.asked % 5 * 20)
            content = content[: len(content) // 2] if server.asked % 2 else content
            handler.head("image/jpeg", len(content))
            handler.wfile.write(content)

        server = serve(answer)
        frames = iter(source := opened(server.url(), fps=100.0))
        for _ in range(5):
            frame = next(frames)
            assert isinstance(frame, Frame)
            assert frame.image[-8:].std() > 1
        assert isinstance(source, Counted)
        assert source.stats().bad >= 4  # type: ignore[union-attr]

    def test_a_picture_that_is_no_jpeg_is_told(
        self, serve: Callable[[Answer], Server], opened: Callable[..., Source]
    ) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            assert isinstance(handler, Handler)
            handler.head("image/png", 8)
            handler.wfile.write(b"\x89PNG\r\n\x1a\n")

        with pytest.raises(SourceError, match="gives no JPEG but image/png"):
            opened(serve(answer).url())

    def test_what_is_wrong_with_all_of_them_is_told(
        self, serve: Callable[[Answer], Server], opened: Callable[..., Source]
    ) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            assert isinstance(handler, Handler)
            content = jpeg(40)[:-40]
            handler.head("image/jpeg", len(content))
            handler.wfile.write(content)

        with pytest.raises(SourceError, match="stopped giving frames: a JPEG frame is cut short"):
            opened(serve(answer).url(), fps=100.0)

    @pytest.mark.parametrize("length", [2 << 30, None])
    def test_one_without_end_is_bounded(
        self,
        serve: Callable[[Answer], Server],
        opened: Callable[..., Source],
        length: int | None,
    ) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            assert isinstance(handler, Handler)
            handler.head("image/jpeg", length)
            handler.wfile.write(jpeg(1)[:-2])
            while not server.ends.is_set():
                handler.wfile.write(bytes(1 << 20))

        server = serve(answer)
        with pytest.raises(SourceError, match=r"at most 33554432|without an end"):
            opened(server.url())


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


class TestStream:
    def stream(self, parts: Sequence[bytes], *, boundary: bool = True) -> Answer:
        """These parts over and over, the first one without its boundary if told."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            assert isinstance(handler, Handler)
            handler.head("multipart/x-mixed-replace;boundary=frame")
            for number in count():
                content = parts[number % len(parts)]
                mark = b"" if number == 0 and not boundary else b"\r\n--frame\r\n"
                head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(content)
                handler.wfile.write(mark + head + content)
                if handler.server.ends.wait(0.005):
                    return

        return answer

    def test_without_a_first_boundary(
        self, serve: Callable[[Answer], Server], opened: Callable[..., Source]
    ) -> None:
        server = serve(self.stream([jpeg(20), jpeg(120)], boundary=False))
        frames = iter(opened(server.url("stream")))
        levels = {round(float(next(frames).image.mean()), -1) for _ in range(20)}  # type: ignore[union-attr]
        assert len(levels) == 2

    def test_frames_cut_short_are_never_shown(
        self, serve: Callable[[Answer], Server], opened: Callable[..., Source]
    ) -> None:
        """Half of each second one is of the frame before, where FFmpeg decodes them."""
        server = serve(self.stream([jpeg(20), cut(jpeg(200))]))
        frames = iter(source := opened(server.url("stream")))
        for _ in range(20):
            frame = next(frames)
            assert isinstance(frame, Frame)
            assert frame.image.max() < 100
        assert isinstance(source, Counted)
        stats = source.stats()
        assert stats is not None
        assert stats.bad > 0
        assert stats.reconnects == 0

    def test_grey_where_nobody_looks_at_colours(
        self, serve: Callable[[Answer], Server], opened: Callable[..., Source]
    ) -> None:
        server = serve(self.stream([jpeg(20)]))
        frame = next(iter(opened(server.url("stream"), colour=False)))
        assert isinstance(frame, Frame)
        assert frame.image.shape == SIZE

    def test_a_stream_that_says_it_is_something_else(
        self, serve: Callable[[Answer], Server], opened: Callable[..., Source]
    ) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            assert isinstance(handler, Handler)
            handler.head("application/octet-stream")
            while not server.ends.wait(0.005):
                handler.wfile.write(jpeg(60))

        server = serve(answer)
        frame = next(iter(opened(server.url("stream"))))
        assert isinstance(frame, Frame)

    def test_closing_ends_a_read_that_waits(
        self, serve: Callable[[Answer], Server], opened: Callable[..., Source]
    ) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            assert isinstance(handler, Handler)
            handler.head("multipart/x-mixed-replace;boundary=frame")
            handler.wfile.write(b"--frame\r\n\r\n" + jpeg(9) + b"\r\n--frame\r\n")
            server.ends.wait(30)

        server = serve(answer)
        source = opened(server.url("stream"))
        next(iter(source))
        source.close()
        names = [thread.name for thread in threading.enumerate()]
        assert "capture" not in names


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for i in range(12):
        writer.write(picture(20 * i, size=(48, 64)))
    writer.release()
    return path


@pytest.mark.parametrize("by", ["av", "opencv"])
def test_a_film_plays_once_and_every_frame(
    serve: Callable[[Answer], Server], clip: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "av":
        pytest.importorskip("av")
    monkeypatch.setattr("simrun.sources.video.has_av", lambda: by == "av")
    content = clip.read_bytes()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        assert isinstance(handler, Handler)
        handler.head("video/x-msvideo", len(content))
        handler.wfile.write(content)

    source = open_source(serve(answer).url("clip.avi", user="me:s3cret@"))
    frames = list(source)
    source.close()
    assert not source.live
    assert "s3cret" not in source.name
    assert [frame.index for frame in frames] == list(range(12))
    assert not any(isinstance(frame, BadFrame) for frame in frames)


class TestAccess:
    def test_name_and_password_are_sent_when_asked_for(
        self, serve: Callable[[Answer], Server], opened: Callable[..., Source]
    ) -> None:
        expected = "Basic " + base64.b64encode(b"me:s3 cret").decode()
        show = stills(count())

        def answer(handler: BaseHTTPRequestHandler) -> None:
            if handler.headers["Authorization"] == expected:
                show(handler)
                return
            handler.send_response(401)
            handler.send_header("WWW-Authenticate", 'Basic realm="camera"')
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        server = serve(answer)
        assert isinstance(next(iter(opened(server.url(user="me:s3%20cret@")))), Frame)
        with pytest.raises(SourceError, match=r"HTTP 401, the name or password is wrong"):
            opened(server.url(user="me:wrong@"))

    @pytest.mark.parametrize(
        ("code", "kind", "message"),
        [(404, "text/plain", "HTTP 404"), (200, "text/html", "a page for a browser")],
    )
    def test_what_is_no_camera(
        self,
        serve: Callable[[Answer], Server],
        opened: Callable[..., Source],
        code: int,
        kind: str,
        message: str,
    ) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(code)
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with pytest.raises(SourceError, match=message):
            opened(serve(answer).url("page"))

    def test_what_speaks_no_http(self, opened: Callable[..., Source]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer() -> None:
                connection, _ = listener.accept()
                connection.sendall(b"\xff\xfe nonsense\r\n\r\n")
                connection.close()

            threading.Thread(target=answer, daemon=True).start()
            with pytest.raises(SourceError, match="cannot open"):
                opened(f"http://127.0.0.1:{listener.getsockname()[1]}/x")
