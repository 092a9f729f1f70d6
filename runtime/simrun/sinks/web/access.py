"""Who may see the page: anybody on this machine, beyond it who has the token."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simrun.errors import UsageError
from simrun.files import output_errors, read_regular, replace_file
from simrun.sinks.web.address import names_this_machine
from simrun.sinks.web.http import HTML, HttpError, Request, Response

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")

_ASK: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>simrun: token needed</title>
<link rel="icon" href="/icon.svg">
<link rel="stylesheet" href="/style.css">
</head>
<body class="ask">
<h1>simrun</h1>
<p>This page wants the token that simrun wrote to its log when it started.</p>
<form action="/" method="get">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Open</button>
</form>
<p class="soft">Given already? <a href="/">Try again</a>.</p>
</body>
</html>
"""


def choose_token(given: str | None, *, loopback: bool) -> str | None:
    """The token to ask for: the given one, or beyond loopback a new one; None for none at all.

    Raises:
        UsageError: the given one is too short or holds characters that a URL or cookie cannot.
    """
    if given is None:
        return None if loopback else secrets.token_urlsafe(24)
    if not _TOKEN.fullmatch(given):
        raise UsageError(
            "--token must be 16 to 128 letters, digits, - or _ ; leave it out to get a random one"
        )
    return given


def kept_token(path: Path) -> tuple[str, bool]:
    """The token that is kept in a file, and whether it was only made up now.

    A service that is started anew asks for the same one as before; nobody else can read the file.

    Raises:
        UsageError: what the file holds is no token.
        OutputError: it cannot be read or written.
    """
    with output_errors(str(path)):
        if path.exists():
            token = read_regular(path, 1024).decode("ascii", "replace").strip()
            if not _TOKEN.fullmatch(token):
                raise UsageError(f"{path} holds no token; remove it, and there will be a new one")
            return token, False
        token = secrets.token_urlsafe(24)
        replace_file(path, f"{token}\n".encode(), mode=0o600)
    return token, True


class WrongTokenError(Exception):
    """A client gave a token, and it is not the right one."""


@dataclass(frozen=True)
class Access:
    """Decides on requests before anything else looks at them."""

    token: str | None
    """What to ask for; None lets everybody in."""
    loopback: bool
    """Whether only this machine can connect; then it must be called by a name of its own."""
    cookie: str
    """Name of the cookie that carries the token: cookies do not tell ports apart."""

    def check_host(self, request: Request) -> None:
        """Refuse what a browser was lured into sending to this machine.

        A token does as much: the site that lured it does not have it. So a proxy may pass on the
        name that it is called by, once there is one.

        Raises:
            HttpError: the Host header names somebody else.
        """
        host = request.headers.get("host", "localhost")
        if self.loopback and self.token is None and not names_this_machine(host):
            raise HttpError(
                403,
                "this page answers to localhost and 127.0.0.1 only; behind a proxy, set a token",
            )

    def check_token(self, request: Request) -> Response | None:
        """None lets the request pass; anything else is the answer to it.

        A right token in the query is put into a cookie and taken out of the address bar, where it
        would end up in histories and screenshots.

        Raises:
            WrongTokenError: there is one, and it is wrong; the answer is `ASK`.
        """
        if self.token is None:
            return None
        if (given := request.query.get("token")) is not None:
            if not self._fits(given):
                raise WrongTokenError
            return self._welcome(request)
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        tokens = [bearer.strip()] if scheme.lower() == "bearer" else []
        tokens += filter(None, [self._from_cookie(request)])
        if any(map(self._fits, tokens)):
            return None
        if tokens:
            raise WrongTokenError
        return ASK

    def _fits(self, given: str) -> bool:
        # In constant time: how long it takes must not tell how much of a guess was right.
        return hmac.compare_digest(given.encode(), (self.token or "").encode())

    def _from_cookie(self, request: Request) -> str:
        for pair in request.headers.get("cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == self.cookie:
                return value
        return ""

    def _welcome(self, request: Request) -> Response:
        cookie = f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
        # Said by the proxy that has the encryption; a client that makes it up harms itself alone.
        if request.headers.get("x-forwarded-proto", "").lower() == "https":
            cookie += "; Secure"
        return Response(303, b"", headers=(("Set-Cookie", cookie), ("Location", request.path)))


ASK: Final = Response(401, _ASK, HTML, (("WWW-Authenticate", 'Bearer realm="simrun"'),))
"""What asks for the token."""
