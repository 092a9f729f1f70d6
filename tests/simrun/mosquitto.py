"""A real MQTT broker on loopback, and one who listens to it."""

from __future__ import annotations

import queue
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed (pip install '.[mqtt]')")

from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessage

PATIENCE_S = 20
"""How long anything may take that is waited for."""

# Debian keeps it out of the path of ordinary users.
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


class Mosquitto:
    """A broker that can be stopped, frozen and started again on the same port.

    A test that makes one is skipped where mosquitto is not installed.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        """Write the configuration; `settings` are further lines of it."""
        if MOSQUITTO is None:
            pytest.skip("mosquitto is not installed (Debian: apt install mosquitto)")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._config = folder / "mosquitto.conf"
        # Started by root it would become a user who cannot read a test's folder.
        head = ["user root", f"listener {self.port} 127.0.0.1", "log_dest stderr"]
        lines = [*head, *(settings or ["allow_anonymous true"]), ""]
        self._config.write_text("\n".join(lines))
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Its address with the prefix that the tests use."""
        return f"mqtt://127.0.0.1:{self.port}/yard/gate"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        assert MOSQUITTO is not None
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._config)], stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        lines: list[str] = []
        for line in self._process.stderr:
            lines.append(line)
            if "running" in line:
                return
        pytest.fail("mosquitto does not start: " + "".join(lines))

    def freeze(self, signum: signal.Signals) -> None:
        """SIGSTOP: alive to the network but deaf; SIGCONT: as before."""
        assert self._process is not None
        self._process.send_signal(signum)

    def kill(self) -> None:
        """End it without a goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


class Listener:
    """Subscribes to everything and keeps it in order."""

    def __init__(self, broker: Mosquitto) -> None:
        """Connect, and wait until the broker has confirmed the subscription."""
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()
        subscribed: queue.Queue[None] = queue.Queue()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda client, userdata, message: self.messages.put(message)
        self._client.on_subscribe = lambda *_: subscribed.put(None)
        self._client.connect("127.0.0.1", broker.port)
        self._client.subscribe("#", qos=1)
        self._client.loop_start()
        subscribed.get(timeout=PATIENCE_S)

    def next(self, topic: str) -> MQTTMessage:
        """The next message of that topic; others on the way are passed over."""
        while True:
            message = self.messages.get(timeout=PATIENCE_S)
            if message.topic == f"yard/gate/{topic}":
                return message

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()
