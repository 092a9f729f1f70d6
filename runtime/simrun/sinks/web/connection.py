"""One connection of one client: every wait on it has an end."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final

from simrun.sinks.web.http import (
    MAX_HEAD,
    Headers,
    HttpError,
    Request,
    Response,
    encode_head,
    encode_response,
    parse_head,
)

_LAST_BYTES: Final = 65536
"""Read and thrown away after an answer, so that closing does not cut the answer off."""
_KERNEL_BYTES: Final = 65536
"""Asked for as the socket's send buffer (Linux takes twice that). What lies there grows old: for a
slow client it is pictures that it sees too late."""


@dataclass(frozen=True)
class Limits:
    """What clients may take."""

    connections: int = 64
    strangers: int = 32
    """Of these, clients that have not shown yet that they may be here: with half a request, or a
    wrong token. One more takes the place of the one who has been here longest."""
    streams: int = 8
    """Clients that watch the picture at one time; as many again may follow the events."""
    head_s: float = 5.0
    """To send a request."""
    send_s: float = 10.0
    """To take one answer, or one picture of a stream."""
    wrong_s: float = 2.0
    """Longest wait of the answer to a wrong token; the first one of an address waits an eighth."""
    linger_s: float = 1.0
    """To close after an answer."""
    stale_s: float = 10.0
    """Age of the last processed frame from which the run counts as unhealthy."""


class Gone(Exception):  # noqa: N818 - no error: clients come and go
    """The client went away, or took too long and is treated the same."""


class Connection:
    """Reads one request and sends one answer."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits
    ) -> None:
        """Take the connection over."""
        self._reader, self._writer, self._limits = reader, writer, limits
        self._head_only = False
        self.admit: Callable[[], None]
        """Called once the client may be here. Raises HttpError where there are too many such."""
        # Writing then waits until the system has taken all of it: nothing piles up in here.
        writer.transport.set_write_buffer_limits(high=0)
        peer: socket.socket = writer.get_extra_info("socket")
        self.address = _address_of(writer)
        """Where the client is; of IPv6 the network, of which each has a whole one."""
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)

    async def receive(self) -> Request:
        """The request.

        Raises:
            HttpError: it is malformed, too long, or did not come in time.
            Gone: the client left without one.
        """
        try:
            async with asyncio.timeout(self._limits.head_s):
                head = await self._reader.readuntil(b"\r\n\r\n")
        except TimeoutError as error:
            raise HttpError(408, "the request did not come in time") from error
        except asyncio.LimitOverrunError as error:
            raise HttpError(431, f"more than {MAX_HEAD} bytes of headers") from error
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise HttpError(400, "the request is cut short") from error
            raise Gone from error
        except OSError as error:
            raise Gone from error
        request = parse_head(head)
        self._head_only = request.method == "HEAD"
        return request

    async def send(self, response: Response) -> None:
        """Send a whole answer, and close when the client has it.

        Raises:
            Gone: the client did not take it.
        """
        await self._write(encode_response(response, head_only=self._head_only))
        # A socket that is closed with something unread in it resets the connection, and the answer
        # may be lost: first say that this was all, then read what still comes.
        with suppress(OSError, TimeoutError):
            self._writer.write_eof()
            async with asyncio.timeout(self._limits.linger_s):
                left = _LAST_BYTES
                while left > 0 and (data := await self._reader.read(left)):
                    left -= len(data)

    async def stream(self, kind: str, chunks: AsyncGenerator[bytes, None]) -> None:
        """Send chunks until the client leaves; closes the generator.

        Raises:
            Gone: it left.
        """
        headers: Headers = (("Content-Type", kind),)
        async with aclosing(chunks):
            await self._write(encode_head(200, headers))
            if self._head_only:
                return
            sending = asyncio.ensure_future(self._send_all(chunks))
            # A client that only watches has nothing more to say: a byte or the end is its leave.
            leaving = asyncio.ensure_future(self._reader.read(1))
            try:
                await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                sending.cancel()
                leaving.cancel()
                await asyncio.gather(sending, leaving, return_exceptions=True)
            if not sending.cancelled():
                sending.result()

    def abort(self) -> None:
        """Drop the connection with whatever is still on its way."""
        self._writer.transport.abort()

    async def _send_all(self, chunks: AsyncGenerator[bytes, None]) -> None:
        async for chunk in chunks:
            await self._write(chunk)

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._limits.send_s):
                self._writer.write(data)
                await self._writer.drain()
        except (TimeoutError, OSError) as error:
            raise Gone from error


def _address_of(writer: asyncio.StreamWriter) -> str:
    # None where the client has left already.
    host = (writer.get_extra_info("peername") or ("gone",))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a zone, as in fe80::1%eth0
        return str(host)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
