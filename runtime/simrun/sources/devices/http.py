"""Pictures over HTTP: a stream of JPEGs, a still picture that is asked for again and again.

Cameras disagree on how a stream of JPEGs is written. Read here, each is decoded by itself when its
turn comes, and one that is cut short is seen; FFmpeg would fill it with the frame before.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Final
from urllib.parse import unquote

import numpy as np

from simrun.errors import SourceError, first_line
from simrun.images.declared_size import declared_size, is_jpeg
from simrun.redact import read_address
from simrun.sources.decode import find_decoder
from simrun.sources.devices.base import Decode, Device, DeviceUnusableError, Shot, Stream
from simrun.sources.devices.multipart import MAX_JPEG_BYTES, JpegSplitter
from simrun.sources.options import Size, SourceOptions

STILLS_A_SECOND: Final = 1.0
"""How often a still picture is asked for where `--fps` is not given."""

_TIMEOUT_S: Final = 10.0
"""For the connection, and for each piece that is read."""
_CHUNK: Final = 1 << 16
_JPEG: Final = b"\xff\xd8\xff"
_PLAYLISTS: Final = ("mpegurl", "dash+xml", "sdp")


class FilmAtUrlError(DeviceUnusableError):
    """What the address gives is a film: it has an end, and is no device."""


class HttpDevice:
    """The camera behind an address that begins with http."""

    def __init__(self, url: str, options: SourceOptions, otherwise: Device) -> None:
        """Name it; nothing is opened yet.

        Args:
            url: may hold a name and a password.
            options: `fps` for still pictures, `colour`.
            otherwise: the same address as a stream of FFmpeg's.
        """
        self.name = otherwise.name
        self._options = options
        self._otherwise = otherwise
        self._address = _Address(url, self.name)

    def open(self) -> Stream:
        """Ask for it, and see from the answer what it is.

        Raises:
            FilmAtUrlError: it is a film.
            SourceError: nobody answers, or what comes is nothing that can be read.
        """
        response = self._address.ask()
        kind = response.headers.get_content_type()
        try:
            if kind.startswith("multipart/"):
                return self._jpegs(response, response.headers.get_param("boundary"))
            if kind.startswith("image/"):
                return _StillStream(self._address, response, self._options)
            if kind.startswith("text/html"):
                raise SourceError(f"{self.name} is a page for a browser, not a video")
            if response.peek(len(_JPEG))[: len(_JPEG)] == _JPEG:
                if response.length is not None:
                    return _StillStream(self._address, response, self._options)
                return self._jpegs(response, None)
            film = response.length is not None and not any(word in kind for word in _PLAYLISTS)
        except OSError as error:
            raise SourceError(f"{self.name} stopped giving data: {first_line(error)}") from error
        response.close()
        if film:
            raise FilmAtUrlError(f"{self.name} is a film")
        return self._otherwise.open()

    def _jpegs(self, response: http.client.HTTPResponse, boundary: object) -> Stream:
        name = boundary if isinstance(boundary, str) else ""
        return _JpegStream(self.name, response, name, colour=self._options.colour)


class _JpegStream:
    """JPEGs that come one after the other on one connection."""

    rate: float | None = None

    def __init__(
        self, name: str, response: http.client.HTTPResponse, boundary: str, *, colour: bool
    ) -> None:
        self.description = "JPEGs over HTTP, time stamps of arrival"
        self._name = name
        self._response = response
        self._socket = _copy_of_socket(response)
        self._splitter = JpegSplitter(boundary)
        self._colour = colour
        self._decode: Decode | None = None

    def read(self) -> Shot | None:
        """The next JPEG, not yet decoded; None where its header is damaged.

        Raises:
            SourceError: the connection ended, or what comes is no JPEG.
        """
        while (content := self._splitter.next()) is None:
            try:
                data = self._response.read1(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise SourceError(f"{self._name} broke off: {first_line(error)}") from error
            if not data:
                raise SourceError(f"{self._name} ended")
            self._splitter.add(data)
        if self._decode is None:
            self._decode = _decoder(content, colour=self._colour)
        if self._decode is None:
            return None
        return Shot(np.frombuffer(content, np.uint8), decode=self._decode)

    def interrupt(self) -> None:
        """Shut the connection down, which ends a blocked read."""
        _shut_down(self._socket)

    def close(self) -> None:
        """Let go of the connection."""
        self._response.close()
        self._socket.close()


class _StillStream:
    """A picture that is asked for anew each time."""

    def __init__(
        self, address: _Address, response: http.client.HTTPResponse, options: SourceOptions
    ) -> None:
        self.rate: float | None = options.fps or STILLS_A_SECOND
        self.description = f"a still picture, asked for {self.rate:g} times a second"
        self._address = address
        self._first: http.client.HTTPResponse | None = response
        self._colour = options.colour
        self._stop = threading.Event()
        self._socket: socket.socket | None = None

    def read(self) -> Shot | None:
        """The picture of this moment; None where it is damaged.

        Raises:
            SourceError: nobody answers, or it is too large.
        """
        response, self._first = self._first, None
        if response is None:
            self._stop.wait(1 / (self.rate or STILLS_A_SECOND))
            if self._stop.is_set():
                raise SourceError(f"{self._address.name} is closed")
            response = self._address.ask()
        kind = response.headers.get_content_type()
        content = self._content(response)
        if content and not is_jpeg(content):
            raise SourceError(
                f"{self._address.name} gives no JPEG but {kind}; ask for a JPEG there"
            )
        decode = _decoder(content, colour=self._colour)
        if decode is None:
            return None
        return Shot(np.frombuffer(content, np.uint8), decode=decode, polled=True)

    def interrupt(self) -> None:
        """End the pause, or what is read."""
        self._stop.set()
        _shut_down(self._socket)

    def close(self) -> None:
        """Let go of an answer that was not read."""
        if self._first is not None:
            self._first.close()

    def _content(self, response: http.client.HTTPResponse) -> bytes:
        name = self._address.name
        with response, _copy_of_socket(response) as self._socket:
            if (response.length or 0) > MAX_JPEG_BYTES:
                raise SourceError(
                    f"{name} announces a picture of {response.length} bytes; at most "
                    f"{MAX_JPEG_BYTES} are read"
                )
            try:
                content = response.read(MAX_JPEG_BYTES + 1)
            except (OSError, http.client.HTTPException) as error:
                raise SourceError(f"{name} broke off: {first_line(error)}") from error
        if len(content) > MAX_JPEG_BYTES:
            raise SourceError(f"{name} gives more than {MAX_JPEG_BYTES} bytes without an end")
        return content


class _Address:
    """A URL, and what is needed to ask for it."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        address = read_address(url)
        assert address is not None
        port = "" if address.port is None else f":{address.port}"
        query = "" if address.query is None else f"?{address.query}"
        self._url = f"{address.scheme}://{address.host}{port}{address.path or '/'}{query}"
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        if address.userinfo:
            user, _, password = address.userinfo.partition(":")
            passwords.add_password(None, self._url, unquote(user), unquote(password))
        # As FFmpeg does: cameras sign their certificates themselves.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context),
            urllib.request.HTTPDigestAuthHandler(passwords),
            urllib.request.HTTPBasicAuthHandler(passwords),
        )

    def ask(self) -> http.client.HTTPResponse:
        """The answer, of which only the head was read.

        Raises:
            SourceError: nobody answers, or the answer is a refusal.
        """
        try:
            request = urllib.request.Request(
                self._url, headers={"User-Agent": "simrun", "Accept": "*/*"}
            )
            response = self._opener.open(request, timeout=_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            error.close()
            why = "the name or password is wrong" if error.code in (401, 403) else error.reason
            raise SourceError(f"cannot open {self.name}: HTTP {error.code}, {why}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            why = getattr(reason, "strerror", None) or first_line(error)
            raise SourceError(f"cannot open {self.name}: nobody answers there ({why})") from error
        assert isinstance(response, http.client.HTTPResponse)
        return response


def _decoder(content: bytes, *, colour: bool) -> Decode | None:
    """What decodes JPEGs of this one's size; None where its header holds none."""
    size = declared_size(content)
    return None if size is None else find_decoder("MJPG", Size(*size), colour=colour)


def _copy_of_socket(response: http.client.HTTPResponse) -> socket.socket:
    """A second handle on the connection: the first is locked by whoever reads from it."""
    return socket.socket(fileno=os.dup(response.fileno()))


def _shut_down(connection: socket.socket | None) -> None:
    """End what is read from a connection, in whichever thread that is."""
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
