"""Results on an MQTT broker.

Topics below the prefix of the address, all JSON but the first:

- `status`: `online` or `offline`, retained; the broker itself says `offline` when simrun dies.
- `results`: one object a frame, as `--jsonl` writes it; at most once, not retained.
- `stats`: what the run came to so far, every ten seconds, retained.

paho's thread does all the network work: a frame never waits for the broker. A broker that is away,
slow or back again costs results, which are counted, never the run.
"""

from __future__ import annotations

import json
import logging
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from simrun.errors import OutputError, UsageError, first_line
from simrun.redact import ESCAPES, Reading, hide_address, read_address
from simrun.result import Result
from simrun.sinks.base import SinkContext, TlsFiles
from simrun.sources.base import BadFrame, Frame

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessageInfo
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode


_log = logging.getLogger(__name__)

PENDING: Final = 100
"""Results that may wait for the network; further ones are dropped."""
STATS_S: Final = 10.0
"""Seconds between two messages of `stats`."""

_KEEPALIVE_S: Final = 15
"""A broker that says nothing for one and a half times as long counts as gone."""
_RECONNECT_S: Final = (1, 30)
_MOST_BYTES: Final = 1 << 16
"""Of a packet of the broker. It has only to acknowledge: nothing is subscribed to."""
_CLOSE_S: Final = 2.0
"""Seconds that each step of closing may take."""

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_FORM: Final = "mqtt[s]://[user[:password]@]host[:port]/topic/prefix"


class _State(Enum):
    NEW = "not tried yet"
    UP = "connected"
    FULL = "connected, but slower than the results come"
    DOWN = "no connection"


class MqttSink:
    """Publishes each result as soon as its frame is done, if the broker can be reached."""

    def __init__(
        self, target: str, context: SinkContext, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin to connect, in the background.

        Args:
            target: `mqtt[s]://[user[:password]@]host[:port]/topic/prefix`.
            context: what is known of the run.
            clock: seconds, monotonic.

        Raises:
            UsageError: the address or a file for TLS is of no use, or paho-mqtt is not installed.
        """
        self._broker = parse_broker(target)
        self._context = context
        self._clock = clock
        self._stats_due = clock()
        # Guards what follows. Nothing is published between a loss and the next connection: paho
        # goes through its queue then, and does not expect others to add to it.
        self._lock = threading.Lock()
        self._state = _State.NEW
        self._early: deque[str] = deque(maxlen=PENDING)
        self._sent: deque[MQTTMessageInfo] = deque()
        self._dropped = 0
        self._delivered = False
        self._tried = threading.Event()
        # Set before its thread runs: that may lose a connection at once, and asks for it.
        self._client: Client | None = self._make_client()
        self._client.loop_start()

    @property
    def dropped(self) -> int:
        """Results that were not sent."""
        return self._dropped

    def write(self, frame: Frame, result: Result) -> None:
        """Publish one result, and the counts when they are due."""
        self._offer(_dumps(result.to_json()))
        if self._clock() >= self._stats_due:
            self._publish_stats()

    def write_bad(self, frame: BadFrame) -> None:
        """Publish the error in place of a result."""
        self._offer(_dumps(frame.to_json()))

    def close(self) -> None:
        """Say `offline` and leave, within a few seconds whatever the broker does.

        Raises:
            OutputError: there were results, and not one of them was sent.
        """
        if self._client is None:
            return
        client, self._client = self._client, None
        if self._early:
            self._tried.wait(_CLOSE_S)
        with self._lock:
            up = self._state in (_State.UP, _State.FULL)
            goodbye = client.publish(self._topic("status"), "offline", 1, True) if up else None
        if goodbye is not None:
            # Raises where the connection is lost meanwhile: then the broker speaks our will.
            with suppress(RuntimeError):
                goodbye.wait_for_publish(_CLOSE_S)
        client.disconnect()
        # loop_stop() waits without a limit, for a name server for instance.
        stop = threading.Thread(target=client.loop_stop, daemon=True)
        stop.start()
        stop.join(_CLOSE_S)
        self._dropped += len(self._early)
        self._delivered = self._delivered or any(map(_is_sent, self._sent))
        if self._dropped and not self._delivered:
            raise OutputError(
                f"MQTT: none of {self._dropped} results was sent to {self._broker.name}"
            )
        if self._dropped:
            _log.warning("MQTT: %d results were not sent to %s", self._dropped, self._broker.name)

    def _make_client(self) -> Client:
        client_module = _paho()
        client: Client = _bounded(client_module.Client)(
            client_module.CallbackAPIVersion.VERSION2,
            client_id=f"simrun-{secrets.token_hex(4)}",
            clean_session=True,
        )
        broker = self._broker
        if broker.user is not None:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls:
            _set_tls(client, self._context.mqtt_tls)
        elif self._context.mqtt_tls != TlsFiles():
            raise UsageError(
                f"--mqtt-ca, --mqtt-cert and --mqtt-key are for mqtts://; {broker.name} is in clear"
            )
        client.will_set(self._topic("status"), "offline", 1, True)
        client.reconnect_delay_set(*_RECONNECT_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.connect_async(broker.host, broker.port, _KEEPALIVE_S)
        return client

    def _offer(self, message: str) -> None:
        """Send, keep until the first connection, or drop and count."""
        with self._lock:
            if self._state is _State.NEW:
                self._dropped += len(self._early) == PENDING
                self._early.append(message)
            elif self._state is _State.DOWN or self._client is None:
                self._dropped += 1
            else:
                self._send(self._client, message)

    def _send(self, client: Client, message: str) -> None:
        while self._sent and _is_over(self._sent[0]):
            self._delivered = _is_sent(self._sent.popleft()) or self._delivered
        if len(self._sent) >= PENDING:
            self._dropped += 1
            self._change(_State.FULL, logging.WARNING, "is too slow; results are dropped")
            return
        if self._state is _State.FULL and not self._sent:
            self._change(_State.UP, logging.INFO, "keeps up again")
        info = client.publish(self._topic("results"), message)
        if info.rc == 0:
            self._sent.append(info)
        else:
            self._dropped += 1

    def _publish_stats(self) -> None:
        info, counts = self._context.info, self._context.stats.snapshot()
        message = _dumps(
            {
                **info.to_json(),
                "uptime_s": round(counts.uptime_s, 1),
                "frames": counts.frames,
                "bad": counts.bad,
                "regions": counts.regions,
                "rate": round(counts.rate, 2),
                "not_sent": self._dropped,
            }
        )
        with self._lock:
            if self._state is _State.UP and self._client is not None:
                self._stats_due = self._clock() + STATS_S
                self._client.publish(self._topic("stats"), message, retain=True)

    def _on_connect(
        self,
        client: Client,
        userdata: Any,  # noqa: ANN401 - paho's
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._down(str(reason))
            return
        with self._lock:
            self._delivered = self._delivered or any(map(_is_sent, self._sent))
            self._sent.clear()
            missed = f"; {self._dropped} results were not sent so far" if self._dropped else ""
            self._change(_State.UP, logging.INFO, f"is connected{missed}")
            client.publish(self._topic("status"), "online", retain=True)
            while self._early:
                self._send(client, self._early.popleft())
        self._tried.set()

    def _on_connect_fail(self, client: Client, userdata: Any) -> None:  # noqa: ANN401 - paho's
        # paho calls this while it handles the error, and does not pass it on.
        self._down(str(sys.exception() or "no answer"))

    def _on_disconnect(
        self,
        client: Client,
        userdata: Any,  # noqa: ANN401 - paho's
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._client is not None:
            self._down(str(reason))

    def _down(self, reason: str) -> None:
        with self._lock:
            self._dropped += len(self._early) + sum(not _is_over(info) for info in self._sent)
            self._delivered = self._delivered or any(map(_is_sent, self._sent))
            self._early.clear()
            self._sent.clear()
            text = f"has no connection ({reason}); results are dropped until it has"
            self._change(_State.DOWN, logging.WARNING, text)
        self._tried.set()

    def _change(self, state: _State, level: int, text: str) -> None:
        """Enter a state, and say so once. Call with the lock held."""
        if state is not self._state:
            self._state = state
            _log.log(level, "MQTT: %s %s", self._broker.name, text)

    def _topic(self, name: str) -> str:
        return f"{self._broker.prefix}/{name}"


def _paho() -> Any:  # noqa: ANN401 - a module
    try:
        from paho.mqtt import client
    except ImportError as error:
        raise UsageError(
            "MQTT needs the package paho-mqtt, which is not installed: "
            "pip install 'similarnet[mqtt]'"
        ) from error
    return client


def _bounded(client: type[Client]) -> type[Client]:
    """The client, but one that takes no packet of any size: MQTT allows 256 MB."""

    class BoundedClient(client):  # type: ignore[misc, valid-type]
        def _sock_recv(self, bufsize: int) -> bytes:
            # Asked for all that is left of a packet; paho takes an OSError for a lost connection.
            if bufsize > _MOST_BYTES:
                raise ConnectionAbortedError(f"a packet of {bufsize} bytes from the broker")
            data: bytes = super()._sock_recv(bufsize)
            return data

    return BoundedClient


def _set_tls(client: Client, files: TlsFiles) -> None:
    """Raise UsageError where a file is of no use; paho would ask for a password on the terminal."""
    if files.key and not files.cert:
        raise UsageError("--mqtt-key is of no use without --mqtt-cert: the key's certificate")
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    option, file = "--mqtt-ca", files.ca
    try:
        if files.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(files.ca)
        if files.cert is not None:
            option, file = "--mqtt-cert", files.cert
            context.load_cert_chain(files.cert, files.key, password="")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or first_line(error)
        with_key = f" with --mqtt-key {files.key}" if files.key and file == files.cert else ""
        raise UsageError(
            f"{option} {file}{with_key} cannot be used: {why}; it must be PEM, without a password"
        ) from error
    client.tls_set_context(context)


def _is_sent(info: MQTTMessageInfo) -> bool:
    """Whether a message has left for the network."""
    return info.rc == 0 and info.is_published()


def _is_over(info: MQTTMessageInfo) -> bool:
    """Whether a message has left for the network, or never will."""
    return info.rc != 0 or info.is_published()


def _dumps(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


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


def parse_broker(url: str) -> Broker:
    """Take an address apart; user, password and topic may be percent-encoded.

    Raises:
        UsageError: it does not have the form `mqtt[s]://[user[:password]@]host[:port]/prefix`;
            the message does not hold the password.
    """
    address = read_address(url)
    if address is None or address.host is None or address.scheme.lower() not in _PORTS:
        raise _wrong(url, "it must have this form")
    if address.reading is not Reading.PLAIN:
        raise _wrong(url, f"{ESCAPES}; it must have this form")
    host = address.host.strip("[]").lower()
    prefix = unquote(address.path).strip("/")
    if not host:
        raise _wrong(url, "the host is missing")
    if not _is_host(host) or not (address.port is None or 0 < address.port < 65536):
        raise _wrong(url, "there is no such host or port")
    if not prefix:
        raise _wrong(url, "the topic is missing")
    if address.query is not None or address.fragment is not None or not _is_topic(prefix):
        raise _wrong(url, "a topic holds none of + # ? and no control characters")
    scheme = address.scheme.lower()
    port = address.port or _PORTS[scheme]
    user, colon, password = (address.userinfo or "").partition(":")
    return Broker(
        name=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/{prefix}",
        host=host,
        port=port,
        tls=scheme == "mqtts",
        prefix=prefix,
        user=None if address.userinfo is None else unquote(user),
        password=unquote(password) if colon else None,
    )


def _is_host(host: str) -> bool:
    """Whether the resolver will take it: later, in a thread where nobody could be told."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _is_topic(prefix: str) -> bool:
    return prefix.isprintable() and len(prefix.encode()) < 60_000 and not set("+#") & set(prefix)


def _wrong(url: str, why: str) -> UsageError:
    return UsageError(f"not the address of an MQTT broker: {hide_address(url)}; {why}: {_FORM}")
