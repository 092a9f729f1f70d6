"""What a client is answered: status, headers, body."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

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
