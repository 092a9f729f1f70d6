"""The address of an MQTT broker."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from simrun.errors import UsageError

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_FORM: Final = "mqtt[s]://[user[:password]@]host[:port]/topic/prefix"


@dataclass(frozen=True)
class Broker:
    """Where a broker is, who asks, and where in its topics."""

    name: str
    """The address for people: without user and password."""
    host: str
    port: int
    tls: bool
    prefix: str
    """Topic without a slash at its ends."""
    user: str | None
    password: str | None = field(repr=False)


def mask_password(url: str) -> str:
    """The address with `***` in place of its user and password."""
    return re.sub(r"//.*@", "//***@", url, flags=re.DOTALL)


def parse_broker(url: str) -> Broker:
    """Take an address apart; user, password and topic may be percent-encoded.

    Raises:
        UsageError: it does not have the form `mqtt[s]://[user[:password]@]host[:port]/prefix`;
            the message does not hold the password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        # What the resolver will do with it later, in a thread where nobody could be told.
        host.encode("idna")
    except (KeyError, ValueError) as error:
        raise _wrong(url, "it must have this form") from error
    prefix = unquote(parts.path).strip("/")
    if not host:
        raise _wrong(url, "the host is missing")
    if not prefix:
        raise _wrong(url, "the topic is missing")
    if parts.query or parts.fragment or not _is_topic(prefix):
        raise _wrong(url, "a topic holds none of + # ? and no control characters")
    return Broker(
        name=f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}/{prefix}",
        host=host,
        port=port,
        tls=parts.scheme == "mqtts",
        prefix=prefix,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def _is_topic(prefix: str) -> bool:
    return prefix.isprintable() and len(prefix.encode()) < 60_000 and not set("+#") & set(prefix)


def _wrong(url: str, why: str) -> UsageError:
    return UsageError(f"not the address of an MQTT broker: {mask_password(url)}; {why}: {_FORM}")
