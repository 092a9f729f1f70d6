"""What a client is answered: status, headers, body."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"

_ALWAYS: Final = (
    ("Connection", "close"),
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    # No other site may show the picture, not even where loopback makes a token needless.
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)

Headers = tuple[tuple[str, str], ...]

MAX_HEAD: Final = 8192
"""Bytes of request line and headers together; a browser sends about 700."""
_MAX_TARGET: Final = 1024
_MAX_HEADERS: Final = 64
_MAX_FIELDS: Final = 8

_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_TARGET: Final = re.compile(rb"/[!-~]*")
_VALUE: Final = re.compile(rb"[\t -~\x80-\xff]*")
_VERSION: Final = re.compile(rb"HTTP/(\d)\.\d")
_ONCE: Final = frozenset({"host", "content-length", "transfer-encoding", "authorization"})


@dataclass(frozen=True)
class Response:
    """A whole answer."""

    status: int
    body: bytes
    kind: str = TEXT
    """Content-Type."""
    headers: Headers = ()


class HttpError(Exception):
    """A request that is answered with an error of one line."""

    def __init__(self, status: int, text: str, headers: Headers = ()) -> None:
        """Status 4xx or 5xx; the text says what was wrong."""
        super().__init__(f"{status} {text}")
        self.response = Response(status, f"{text}\n".encode(), headers=headers)


def encode_head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """Status line and headers, to the empty line; nothing in them may come from the client."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in (*_ALWAYS, *headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def encode_response(response: Response, *, head_only: bool = False) -> bytes:
    """The bytes to send; without the body for HEAD."""
    head = encode_head(
        response.status,
        (
            ("Content-Type", response.kind),
            ("Content-Length", str(len(response.body))),
            *response.headers,
        ),
    )
    return head if head_only else head + response.body


@dataclass(frozen=True)
class Request:
    """A request without a body."""

    method: str
    path: str
    """As sent: nothing in it is decoded, since it is only looked up in a table."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By name in lower case."""


def parse_head(head: bytes) -> Request:
    """Read a request from its first byte to the empty line, that included.

    Raises:
        HttpError: it is malformed, too long, announces a body or is no HTTP/1.x.
    """
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target = _read_request_line(first)
    if len(lines) > _MAX_HEADERS:
        raise HttpError(431, f"more than {_MAX_HEADERS} headers")
    headers = _read_headers(lines)
    if first.endswith(b"1.1") and "host" not in headers:
        raise HttpError(400, "no Host header")
    _refuse_body(headers)
    path, _, query = target.partition("?")
    return Request(method, path, _read_query(query), MappingProxyType(headers))


def _read_request_line(line: bytes) -> tuple[str, str]:
    """Method and target."""
    parts = line.split(b" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]):
        raise HttpError(400, "no HTTP request line")
    method, target, version = parts
    number = _VERSION.fullmatch(version)
    if number is None:
        raise HttpError(400, "no HTTP version")
    if number[1] != b"1":
        raise HttpError(505, "this server speaks HTTP/1.1")
    if len(target) > _MAX_TARGET:
        raise HttpError(414, f"a path of more than {_MAX_TARGET} bytes")
    if not _TARGET.fullmatch(target):
        raise HttpError(400, "the path must begin with / and be printable ASCII")
    return method.decode(), target.decode()


def _read_headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise HttpError(400, "malformed header")
        key, text = name.decode().lower(), value.strip(b" \t").decode("latin-1")
        if key in headers and key in _ONCE:
            raise HttpError(400, f"more than one {key} header")
        # A browser may split its cookies over two headers; they are joined as it would have.
        headers[key] = f"{headers[key]}; {text}" if key in headers else text
    return headers


def _refuse_body(headers: Mapping[str, str]) -> None:
    length = headers.get("content-length")
    if "transfer-encoding" in headers:
        raise HttpError(400 if length is not None else 501, "no transfer coding is taken")
    if length is None:
        return
    if not (length.isascii() and length.isdecimal()):
        raise HttpError(400, "Content-Length is no number")
    if length.strip("0"):
        raise HttpError(413, "nothing here takes a body")


def _read_query(query: str) -> Mapping[str, str]:
    try:
        fields = parse_qsl(
            query, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise HttpError(400, "malformed query") from error
    return MappingProxyType(dict(fields))
