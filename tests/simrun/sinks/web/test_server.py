"""Clients that misbehave: the run does not notice, and nothing of them stays."""

from __future__ import annotations

import gc
import logging
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from simrun.errors import OutputError
from simrun.sinks.web.connection import Limits
from tests.simrun.web import (
    EVENTS,
    STREAMS,
    Page,
    come_and_go,
    next_event,
    next_picture,
    noise_frame,
    open_files,
    open_page,
    parse_answer,
    read_all,
    read_until,
    request,
    until,
)


@pytest.fixture(autouse=True)
def no_failure_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_streams_are_bounded_and_a_place_is_free_again() -> None:
    with open_page(limits=Limits(streams=2)) as page:
        page.show()
        with page.open("/stream.mjpg") as first, page.open("/stream.mjpg?heat=1") as second:
            next_picture(first)
            next_picture(second)
            refused = page.ask("/stream.mjpg")
            assert (refused.status, refused.headers["retry-after"]) == (503, "5")
            assert page.ask("/").status == 200
            assert page.gauge("simrun_page_refused_total") == 1
        page.wait_for_gauge(STREAMS, 0)
        with page.open("/stream.mjpg") as third:
            next_picture(third)


def test_events_are_bounded_too() -> None:
    with open_page(limits=Limits(streams=1)) as page, page.open("/events") as first:
        next_event(first, "hello")
        assert page.ask("/events").status == 503


def test_a_client_that_leaves_is_noticed_without_a_new_frame() -> None:
    with open_page() as page:
        page.show()
        for path, gauge in (("/stream.mjpg", STREAMS), ("/events", EVENTS)):
            with page.open(path) as client:
                read_until(client, b"\r\n\r\n")
                page.wait_for_gauge(gauge, 1)
            page.wait_for_gauge(gauge, 0)


def test_a_client_that_never_reads_is_dropped_and_delays_nobody() -> None:
    with open_page(limits=Limits(send_s=0.2)) as page:
        frames = (noise_frame(), 255 - noise_frame())
        with page.connect(receive_bytes=4096) as slow, page.open("/stream.mjpg?view=1") as good:
            slow.sendall(request("/stream.mjpg?view=1"))
            left = b""
            for number in range(12):
                page.show(frames[number % 2])
                _, left = next_picture(good, left)
            page.wait_for_gauge(STREAMS, 1)
            page.show(frames[0])
            next_picture(good, left)


def test_those_who_may_be_here_are_bounded() -> None:
    with open_page(limits=Limits(connections=7, strangers=4)) as page:
        with ExitStack() as held:
            for _ in range(3):
                next_event(held.enter_context(page.open("/events")), "hello")
            refused = page.ask("/")
            assert (refused.status, refused.body) == (503, b"3 clients are here, that is all\n")
        until(lambda: page.ask("/").status == 200, "a place to be free")
        assert page.gauge("simrun_page_refused_total") >= 1


@pytest.mark.parametrize("token", [None, "a-token-of-some-length"])
def test_strangers_take_no_place_from_those_who_may_be_here(token: str | None) -> None:
    with open_page(token=token, limits=Limits(connections=8, strangers=4, head_s=60)) as page:
        header = {} if token is None else {"Authorization": f"Bearer {token}"}
        with page.open("/events", **header) as guest:
            next_event(guest, "hello")
            held = [page.connect() for _ in range(20)]
            # Half a request keeps its place until another stranger comes.
            for client in held:
                with suppress(OSError):
                    client.sendall(b"GET / HT")
            assert page.ask("/metrics", **header).status == 200
            page.show()
            next_event(guest, "result")
            assert read_until_closed(held[0]) == b""
            for client in held:
                client.close()


def read_until_closed(client: socket.socket) -> bytes:
    with suppress(ConnectionResetError):
        return client.recv(100)
    return b""


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_half_open_connections_end(sent: bytes) -> None:
    with open_page(limits=Limits(head_s=0.1)) as page, page.connect() as client:
        client.sendall(sent)
        assert parse_answer(read_all(client)).status == 408


def test_headers_that_trickle_in_do_not_gain_time() -> None:
    with open_page(limits=Limits(head_s=0.2)) as page, page.connect() as client:
        client.settimeout(0.01)
        client.sendall(b"GET / HTTP/1.1\r\n")
        start, data = time.monotonic(), b""
        while not data:
            assert time.monotonic() - start < 10
            try:
                data = client.recv(65536)
            except TimeoutError:
                client.sendall(b"X: y\r\n")
        assert parse_answer(data).status == 408


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000, 431),
        (b"a" * 1_000_000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + b"b" * 60_000, 413),
    ],
)
def test_too_much_is_refused_with_an_answer_that_arrives(data: bytes, status: int) -> None:
    with open_page() as page:
        assert parse_answer(page.raw(data)).status == status


def test_a_request_that_is_cut_short() -> None:
    with open_page() as page, page.connect() as client:
        client.sendall(b"GET / HT")
        client.shutdown(socket.SHUT_WR)
        assert parse_answer(read_all(client)).status == 400


def test_a_client_may_close_its_side_after_asking() -> None:
    with open_page() as page, page.connect() as client:
        client.sendall(request("/style.css"))
        client.shutdown(socket.SHUT_WR)
        assert parse_answer(read_all(client)).status == 200


def test_closing_is_prompt_with_everything_open_and_frees_the_port() -> None:
    with open_page() as page:
        page.show(noise_frame())
        clients = [page.connect(receive_bytes=4096) for _ in range(4)]
        for client, path in zip(clients, ("/stream.mjpg", "/events", "/", "/nope"), strict=True):
            client.sendall(request(path) if path != "/" else b"GET /")
        read_until(clients[1], b"event: hello")
        start = time.monotonic()
        page.sink.close()
        took = time.monotonic() - start
        page.sink.close()
        assert took < 2
        assert not [t for t in threading.enumerate() if t.name.startswith("page")]
        for client in clients:
            read_all(client)
            client.close()
        page.show()  # A frame after the end is nobody's.
        with open_page(str(page.port)) as again:
            assert again.ask("/").status == 200


def test_a_port_in_use_is_told() -> None:
    with (
        open_page() as page,
        pytest.raises(OutputError, match="is in use"),
        open_page(str(page.port)),
    ):
        pass


def test_a_hundred_clients_coming_and_going_leave_nothing() -> None:
    # However long this process waits for a processor between connecting and asking.
    with open_page(limits=Limits(head_s=60)) as page:
        page.show()
        come_and_go(page, 20)
        _wait_for_nobody(page)
        before = _held()
        gc.collect()
        tracemalloc.start()
        try:
            come_and_go(page, 100)
            _wait_for_nobody(page)
            until(lambda: _no_more(_held(), before), f"threads and files to be {before} again")
            # A frame kept a client would be 900 kB. Awaited: while the last connection closes,
            # the server reads into 256 kB.
            until(lambda: _traced_bytes() < 200_000, "the memory to be free again")
        finally:
            tracemalloc.stop()
        assert page.gauge("simrun_page_refused_total") == 0


def _wait_for_nobody(page: Page) -> None:
    """Wait until nobody watches; the connection that asked may still be closing."""
    page.wait_for_gauge(STREAMS, 0)
    page.wait_for_gauge(EVENTS, 0)


def _no_more(now: tuple[int, int], before: tuple[int, int]) -> bool:
    """Neither more threads nor more files; `<=` would let a thread less excuse any file."""
    return now[0] <= before[0] and now[1] <= before[1]


def _held() -> tuple[int, int]:
    """Threads and open files of the process."""
    return threading.active_count(), open_files()


def _traced_bytes() -> int:
    """Allocated since `tracemalloc.start`, and still in use."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
