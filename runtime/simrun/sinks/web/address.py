"""Where the page listens: `[HOST:]PORT` into a listening socket and a URL to open."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

from simrun.errors import OutputError, UsageError

LOOPBACK: Final = "127.0.0.1"
_MAX_PORT: Final = 65535


@dataclass(frozen=True)
class Address:
    """A host, by name or number, and a port."""

    host: str
    port: int
    """0 lets the system choose one."""


def parse_address(target: str) -> Address:
    """Read `PORT`, `HOST:PORT` or `[IPV6]:PORT`; a port alone is one of this machine only.

    Raises:
        UsageError: it is none of these.
    """
    host, colon, port = target.rpartition(":")
    if not colon:
        host = LOOPBACK
    elif host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise UsageError(f"--serve {target}: write an IPv6 address in brackets, [::1]:8080")
    if not host:
        raise UsageError(
            f"--serve {target}: name the host: 0.0.0.0{target} for the network, "
            f"{target[1:] or '8080'} alone for this machine only"
        )
    if not (port.isascii() and port.isdecimal()) or int(port) > _MAX_PORT:
        raise UsageError(
            f"--serve {target}: '{port}' is no port; take one from 1024 to {_MAX_PORT}"
        )
    return Address(host, int(port))


def listen(address: Address) -> socket.socket:
    """A socket bound to the address and listening.

    Raises:
        UsageError: there is no such host, or the port is not ours to take.
        OutputError: the port is in use, or the system refuses.
    """
    host, port = address.host, address.port
    where = f"port {port} of {host}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(
            f"--serve: there is no host '{host}'; take 127.0.0.1, 0.0.0.0 or an address of this "
            "machine"
        ) from error
    family, _, _, _, bound = found[0]
    try:
        return socket.create_server(
            bound[:2],
            family=family,
            dualstack_ipv6=bound[0] == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        raise _refusal(error, where, host) from error


def is_loopback(listening: socket.socket) -> bool:
    """Whether only programs on this machine can reach the socket."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def url_of(listening: socket.socket) -> str:
    """The URL to open, with an address that other machines can use where they may."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = _own_address()
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def names_this_machine(host_header: str) -> bool:
    """Whether a Host header names this machine by a name that no outsider can point at it.

    A web site may have its own name resolve to 127.0.0.1 and so reach a page on loopback from the
    visitor's browser; the browser then still sends the site's name.
    """
    opening, closing = ("[", "]") if host_header.startswith("[") else ("", ":")
    name = host_header.lower().removeprefix(opening).partition(closing)[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _own_address() -> str:
    """Address of the interface that leads outwards, else the machine's name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing: it only looks up the route.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _refusal(error: OSError, where: str, host: str) -> UsageError | OutputError:
    if error.errno == errno.EADDRINUSE:
        return OutputError(f"{where} is in use; name another with --serve, or end its user")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UsageError(f"no permission for {where}; ports below 1024 are root's, try 8080")
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"{host} is no address of this machine; 0.0.0.0 serves on all it has")
    return OutputError(f"cannot listen on {where}: {error.strerror or error}")
