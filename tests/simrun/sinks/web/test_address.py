"""Where the page listens, and what it says when it cannot."""

from __future__ import annotations

import errno
import socket

import pytest

from simrun.errors import OutputError, UsageError
from simrun.sinks.web.address import (
    Address,
    is_loopback,
    listen,
    names_this_machine,
    parse_address,
    url_of,
)


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [
        ("8080", "127.0.0.1", 8080),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("pi.local:0", "pi.local", 0),
        ("[::1]:8080", "::1", 8080),
    ],
)
def test_targets(target: str, host: str, port: int) -> None:
    assert parse_address(target) == Address(host, port)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("", "'' is no port"),
        ("web", "'web' is no port"),
        ("70000", "'70000' is no port"),
        ("-1", "'-1' is no port"),
        ("\xb2", "is no port"),
        (":8080", "name the host: 0.0.0.0:8080 for the network, 8080 alone"),
        ("::1:8080", "in brackets"),
        ("[]:8080", "name the host"),
    ],
)
def test_targets_that_are_none(target: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_address(target)


def test_a_port_in_use() -> None:
    with listen(Address("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(OutputError, match=rf"port {port} of 127.0.0.1 is in use; name another"):
            listen(Address("127.0.0.1", port))


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        (errno.EACCES, UsageError, "no permission for port 80 of 127.0.0.1; ports below 1024"),
        (errno.EADDRNOTAVAIL, UsageError, "127.0.0.1 is no address of this machine"),
        (errno.ENOBUFS, OutputError, "cannot listen on port 80 of 127.0.0.1: full"),
    ],
)
def test_a_port_that_is_refused(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception], says: str
) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(number, "full")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(kind, match=says):
        listen(Address("127.0.0.1", 80))


def test_a_host_that_is_none() -> None:
    with pytest.raises(UsageError, match="there is no host 'no host at all'"):
        listen(Address("no host at all", 0))


def test_urls_and_reach() -> None:
    with listen(Address("127.0.0.1", 0)) as local, listen(Address("0.0.0.0", 0)) as anywhere:
        assert is_loopback(local)
        assert url_of(local) == f"http://127.0.0.1:{local.getsockname()[1]}/"
        assert not is_loopback(anywhere)
        assert "0.0.0.0" not in url_of(anywhere)


def test_ipv6() -> None:
    try:
        listening = listen(Address("::1", 0))
    except (UsageError, OutputError) as error:
        pytest.skip(f"no IPv6 here: {error}")
    with listening:
        assert is_loopback(listening)
        assert url_of(listening) == f"http://[::1]:{listening.getsockname()[1]}/"


def test_names_of_this_machine() -> None:
    for name in ("localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.9.9.9", "[::1]", "[::1]:80"):
        assert names_this_machine(name), name
    for name in (
        "evil.com",
        "localhost.evil.com",
        "127.0.0.1.evil.com",
        "",
        "[",
        "10.0.0.1",
        "::1",
    ):
        assert not names_this_machine(name), name
