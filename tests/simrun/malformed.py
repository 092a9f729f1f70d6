"""Requests as no browser sends them: what the page is fuzzed with."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.simrun.web import connect, parse_answer, request

MAX_ANSWER = 65536

_VALID = st.sampled_from(
    [
        request("/"),
        request("/stream.mjpg?heat=1&quads=0", Cookie="simrun_1=x; a=b"),
        request("/events", Accept="text/event-stream"),
        request("/snapshot.jpg?token=abc", "HEAD"),
        request("/metrics", Authorization="Bearer abc", Content_Length="0"),
    ]
)
_BITS = st.sampled_from(
    [
        *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b"\t", b"\x00", b":", b"/", b"//", b"?", b"%"),
        *(b"=", b"&", b";", b"\xff", b"..", b"%2e%2e/", b"GET", b"HEAD", b"CONNECT", b"PRI"),
        *(b" HTTP/1.1", b" HTTP/1.0", b" HTTP/9.9", b"HTTP/1.1", b"Host:", b"Host: localhost"),
        *(b"Content-Length: 7", b"Content-Length: -1", b"Transfer-Encoding: chunked"),
        *(b"Cookie: ;;=;", b"Authorization: Bearer \xff", b"Expect: 100-continue", b"*"),
        *(b"a" * 1100, b"b" * 9000, b"X: y\r\n" * 70, b"\x16\x03\x01\x02\x00\x01"),
        *(b"/stream.mjpg", b"/events", b"/healthz", b"?token=", b"http://evil/"),
    ]
)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A right request with a few bytes cut out and others put in."""
    data = draw(_VALID)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 12))
        data = data[:start] + draw(st.one_of(_BITS, st.binary(max_size=8))) + data[start + length :]
    return data


@dataclass(frozen=True)
class Attempt:
    """Bytes and the way they are sent."""

    pieces: tuple[bytes, ...]
    ends: bool
    """Close the sending side afterwards; otherwise stay open and silent."""
    listens: bool
    """Read the answer; otherwise leave at once."""


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    """Any attempt: noise, soup of what the protocol is made of, damaged requests."""
    data = draw(
        st.one_of(
            st.binary(max_size=400),
            st.lists(_BITS, max_size=15).map(b"".join),
            _damaged(),
            _damaged().map(lambda data: data + b"\r\n\r\n"),
        )
    )
    cut = draw(st.integers(0, len(data)))
    ends = draw(st.sampled_from([True, True, True, True, False]))
    return Attempt((data[:cut], data[cut:]), ends, draw(st.sampled_from([True, True, False])))


def survive(port: int, attempt: Attempt) -> int | None:
    """Send it. Whatever comes back is a whole head of HTTP with a known status, or nothing.

    Returns:
        The status; None where none was waited for or none came.

    Raises:
        TimeoutError: the server neither answers nor closes.
        AssertionError: the answer is none.
    """
    with connect(port) as client:
        # The server may close before it has all.
        with suppress(OSError):
            for piece in attempt.pieces:
                client.sendall(piece)
            if attempt.ends:
                client.shutdown(socket.SHUT_WR)
        if not attempt.listens:
            return None
        answer = _read_head(client)
    if not answer:
        return None
    assert b"\r\n\r\n" in answer, answer
    assert answer.startswith(b"HTTP/1.1 "), answer
    status = parse_answer(answer).status
    assert status in _STATUSES, answer
    return status


_STATUSES = {200, 303, 400, 401, 403, 404, 405, 408, 413, 414, 431, 501, 503, 505}


def _read_head(client: socket.socket) -> bytes:
    data = b""
    with suppress(ConnectionError):
        while b"\r\n\r\n" not in data and (chunk := client.recv(MAX_ANSWER)):
            data += chunk
    return data
