"""Heads of requests: what is right is read, everything else is refused with the right status."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simrun.sinks.web.http import HttpError, Request, parse_head


def head(first: str, *headers: str) -> bytes:
    return "\r\n".join([first, *headers, "", ""]).encode("latin-1")


def test_a_request_as_browsers_send_it() -> None:
    request = parse_head(
        head("GET /stream.mjpg?heat=1&quads=0 HTTP/1.1", "Host: pi:8080", "Accept: image/*", "X-E:")
    )
    assert (request.method, request.path) == ("GET", "/stream.mjpg")
    assert dict(request.query) == {"heat": "1", "quads": "0"}
    assert dict(request.headers) == {"host": "pi:8080", "accept": "image/*", "x-e": ""}


def test_cookies_in_two_headers_are_one() -> None:
    request = parse_head(head("GET / HTTP/1.1", "Host: a", "Cookie: a=1", "cookie: b=2"))
    assert request.headers["cookie"] == "a=1; b=2"


def test_a_path_is_not_decoded() -> None:
    assert parse_head(head("GET /%2e%2e/x HTTP/1.0")).path == "/%2e%2e/x"


@pytest.mark.parametrize(
    ("first", "headers", "status"),
    [
        ("", (), 400),
        ("GET /", (), 400),
        ("GET  / HTTP/1.1", ("Host: a",), 400),
        ("GET / HTTP/1.1 ", ("Host: a",), 400),
        ("G\tT / HTTP/1.1", ("Host: a",), 400),
        ("GET http://a/ HTTP/1.1", ("Host: a",), 400),
        ("GET * HTTP/1.1", ("Host: a",), 400),
        ("GET /\xe4 HTTP/1.1", ("Host: a",), 400),
        ("GET /?a=%ff HTTP/1.1", ("Host: a",), 400),
        ("GET /?" + "&".join("abcdefghi") + " HTTP/1.1", ("Host: a",), 400),
        ("GET / HTTP/2.0", ("Host: a",), 505),
        ("GET / HTTX/1.1", ("Host: a",), 400),
        ("GET /" + "a" * 1024 + " HTTP/1.1", ("Host: a",), 414),
        ("GET / HTTP/1.1", (), 400),
        ("GET / HTTP/1.1", ("Host: a", "Host: b"), 400),
        ("GET / HTTP/1.1", ("Host: a", " folded"), 400),
        ("GET / HTTP/1.1", ("Host : a",), 400),
        ("GET / HTTP/1.1", ("Host: a\x00",), 400),
        ("GET / HTTP/1.1", ("Host: a", "X: a\nY: b"), 400),
        ("GET / HTTP/1.1", ("Host: a", "no colon"), 400),
        ("GET / HTTP/1.1", ("Host: a", *(f"X{n}: 1" for n in range(64))), 431),
        ("GET / HTTP/1.1", ("Host: a", "Content-Length: 5"), 413),
        ("GET / HTTP/1.1", ("Host: a", "Content-Length: -5"), 400),
        ("GET / HTTP/1.1", ("Host: a", "Content-Length: \xb2"), 400),
        ("GET / HTTP/1.1", ("Host: a", "Transfer-Encoding: chunked"), 501),
        ("GET / HTTP/1.1", ("Host: a", "Transfer-Encoding: chunked", "Content-Length: 0"), 400),
    ],
)
def test_what_is_refused(first: str, headers: tuple[str, ...], status: int) -> None:
    with pytest.raises(HttpError) as refused:
        parse_head(head(first, *headers))
    assert refused.value.response.status == status


def test_an_empty_body_is_no_body() -> None:
    assert parse_head(head("GET / HTTP/1.1", "Host: a", "Content-Length: 0")).path == "/"


WORDS = st.sampled_from(
    [
        b"GET",
        b" ",
        b"/",
        b"HTTP/1.1",
        b"\r\n",
        b"\n",
        b"Host:",
        b"a",
        b"?",
        b"%",
        b"=",
        b"\x00",
        b"[",
    ]
)


@given(st.one_of(st.binary(max_size=300), st.lists(WORDS, max_size=20).map(b"".join)))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    answer = read_or_refuse(data)
    if isinstance(answer, Request):
        assert answer.path.startswith("/")
        assert answer.path.isprintable()
    else:
        assert 400 <= answer <= 505


def read_or_refuse(data: bytes) -> Request | int:
    """The request, or the status it is refused with; nothing else may be raised."""
    try:
        return parse_head(data)
    except HttpError as refused:
        return refused.response.status
