"""Results on a real broker, which comes, goes and hangs while the run goes on."""

from __future__ import annotations

import json
import logging
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simrun.errors import OutputError, UsageError
from simrun.files import Existing
from simrun.result import Latency, Region, Result
from simrun.sinks.base import TlsFiles
from simrun.sinks.mqtt import PENDING, STATS_S, MqttSink
from simrun.sinks.registry import SinkContext, StreamInfo
from simrun.sources import BadFrame, Frame
from simrun.stats import RunStats
from tests.simrun.conftest import STROKES
from tests.simrun.mosquitto import PATIENCE_S, Listener, Mosquitto

CONTEXT = SinkContext(
    StreamInfo("strokes", "ab" * 32, "demo", 10.0), Existing.REFUSE, RunStats(), lambda: None
)
FRAME = Frame(np.zeros((48, 64), np.uint8), 3, 0.25)
QUAD = ((1.0, 2.0), (11.0, 2.0), (11.0, 7.0), (1.0, 7.0))
RESULT = Result(64, 48, (Region(QUAD, 0.9, "42", 0.5),), Latency(), frame=3, time_s=0.25)


class Log(logging.Handler):
    """Log lines of the sink, to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: queue.Queue[str] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.put(record.getMessage())

    def wait(self, words: str) -> str:
        line = self.lines.get(timeout=PATIENCE_S)
        assert words in line
        return line


@pytest.fixture
def log() -> Iterator[Log]:
    handler, logger = Log(), logging.getLogger("simrun.sinks.mqtt")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield handler
    logger.setLevel(level)
    logger.removeHandler(handler)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def listen() -> Iterator[Callable[[Mosquitto], Listener]]:
    """Makes listeners, and lets go of them at the end."""
    listeners: list[Listener] = []

    def listen(broker: Mosquitto) -> Listener:
        listeners.append(Listener(broker))
        return listeners[-1]

    yield listen
    for listener in listeners:
        listener.close()


Listen = Callable[[Mosquitto], Listener]


def test_a_run_is_announced_told_and_ended(broker: Mosquitto, log: Log, listen: Listen) -> None:
    listener = listen(broker)
    sink = MqttSink(broker.url, CONTEXT)
    assert listener.next("status").payload == b"online"
    sink.write(FRAME, RESULT)
    sink.write_bad(BadFrame(4, "c.png", "c.png is empty"))
    told = listener.next("results")
    assert json.loads(told.payload) == RESULT.to_json()
    assert (told.retain, told.qos) == (False, 0)
    assert json.loads(listener.next("results").payload) == {
        "frame": 4,
        "file": "c.png",
        "time": None,
        "error": "c.png is empty",
    }
    sink.close()
    sink.close()
    assert listener.next("status").payload == b"offline"
    late = listen(broker).next("status")
    assert (late.payload, late.retain) == (b"offline", True)
    log.wait("is connected")
    assert log.lines.empty()


def test_results_before_the_first_connection_wait_for_it(broker: Mosquitto, listen: Listen) -> None:
    listener = listen(broker)
    sink = MqttSink(broker.url, CONTEXT)
    for number in range(5):
        sink.write(FRAME, replace(RESULT, frame=number))
    sink.close()
    assert [json.loads(listener.next("results").payload)["frame"] for _ in range(5)] == [*range(5)]


def test_counts_are_sent_now_and_then_and_retained(
    broker: Mosquitto, log: Log, listen: Listen
) -> None:
    now = [100.0]
    sink = MqttSink(broker.url, CONTEXT, clock=lambda: now[0])
    log.wait("is connected")
    listener = listen(broker)
    moments = (100.0, 100.0 + STATS_S / 2, 100.0 + STATS_S)
    for now[0] in moments:
        sink.write(FRAME, RESULT)
    sink.close()
    topics = []
    while (message := listener.messages.get(timeout=PATIENCE_S)).payload != b"offline":
        topics.append(message.topic.rpartition("/")[2])
    assert topics == ["status", "results", "stats", "results", "results", "stats"]
    late = listen(broker).next("stats")
    counts = json.loads(late.payload)
    assert late.retain
    assert (counts["model"], counts["frames"], counts["not_sent"]) == ("strokes", 0, 0)


def test_a_broker_that_dies_and_comes_back_gets_results_again(
    broker: Mosquitto, log: Log, listen: Listen
) -> None:
    sink = MqttSink(broker.url, CONTEXT)
    log.wait("is connected")
    broker.kill()
    log.wait("has no connection")
    for _ in range(7):
        sink.write(FRAME, RESULT)
    assert sink.dropped == 7
    broker.start()
    log.wait("is connected; 7 results were not sent so far")
    listener = listen(broker)
    assert listener.next("status").payload == b"online"
    sink.write(FRAME, replace(RESULT, frame=99))
    assert json.loads(listener.next("results").payload)["frame"] == 99
    sink.close()
    log.wait("7 results were not sent")
    assert log.lines.empty()


def test_without_a_broker_the_run_goes_on_and_ends(broker: Mosquitto, log: Log) -> None:
    broker.kill()
    sink = MqttSink(broker.url, CONTEXT)
    log.wait("has no connection ([Errno 111] Connection refused)")
    for _ in range(1000):
        sink.write(FRAME, RESULT)
    with pytest.raises(OutputError, match="none of 1000 results was sent"):
        sink.close()
    assert log.lines.empty()


def test_a_broker_that_hangs_costs_neither_time_nor_memory(
    broker: Mosquitto, log: Log, listen: Listen
) -> None:
    sink = MqttSink(broker.url, CONTEXT)
    log.wait("is connected")
    broker.freeze(signal.SIGSTOP)
    crowd = replace(RESULT, regions=RESULT.regions * 300)
    longest, written = 0.0, 0
    while not sink.dropped:
        start = time.perf_counter()
        sink.write(FRAME, crowd)
        longest, written = max(longest, time.perf_counter() - start), written + 1
        assert written < 50 * PENDING
    assert longest < 1
    assert len(sink._sent) == PENDING
    log.wait("is too slow; results are dropped")
    broker.freeze(signal.SIGCONT)
    for info in tuple(sink._sent):
        info.wait_for_publish(PATIENCE_S)
    listener = listen(broker)
    sink.write(FRAME, replace(RESULT, frame=99))
    log.wait("keeps up again")
    while json.loads(listener.next("results").payload)["frame"] != 99:
        pass
    sink.close()


def test_closing_does_not_wait_for_a_broker_that_hangs(broker: Mosquitto, log: Log) -> None:
    sink = MqttSink(broker.url, CONTEXT)
    log.wait("is connected")
    broker.freeze(signal.SIGSTOP)
    closer = threading.Thread(target=sink.close)
    closer.start()
    closer.join(PATIENCE_S / 2)
    assert not closer.is_alive()


def test_the_broker_says_offline_when_the_process_is_killed(
    broker: Mosquitto, listen: Listen
) -> None:
    listener = listen(broker)
    script = (
        "import sys; from tests.simrun.sinks.test_mqtt import CONTEXT, MqttSink; "
        f"sink = MqttSink({broker.url!r}, CONTEXT); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as process:
        assert listener.next("status").payload == b"online"
        process.kill()
    assert listener.next("status").payload == b"offline"


def test_a_wrong_password_is_told_without_it(tmp_path: Path, log: Log) -> None:
    passwd = shutil.which("mosquitto_passwd")
    if passwd is None:
        pytest.skip("mosquitto_passwd is not installed (Debian: apt install mosquitto)")
    users = tmp_path / "users"
    subprocess.run([passwd, "-c", "-b", str(users), "pi", "s3cret"], check=True)
    users.chmod(0o644)
    broker = Mosquitto(tmp_path, "allow_anonymous false", f"password_file {users}")
    broker.start()
    try:
        sink = MqttSink(broker.url.replace("//", "//pi:wr0ng@"), CONTEXT)
        line = log.wait("has no connection (Not authorized)")
        assert "wr0ng" not in line
        sink.close()
        sink = MqttSink(broker.url.replace("//", "//pi:s3cret@"), CONTEXT)
        log.wait("is connected")
        sink.close()
    finally:
        broker.kill()


def test_tls_asks_for_a_certificate_that_is_trusted(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    request = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *request, *names, *files], check=True, stderr=subprocess.DEVNULL)
    key.chmod(0o644)
    broker = Mosquitto(
        tmp_path, "allow_anonymous true", f"certfile {certificate}", f"keyfile {key}"
    )
    broker.start()
    url = broker.url.replace("mqtt://127.0.0.1", "mqtts://localhost")
    try:
        sink = MqttSink(url, CONTEXT)
        log.wait("CERTIFICATE_VERIFY_FAILED")
        sink.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        sink = MqttSink(url, CONTEXT)
        log.wait("is connected")
        sink.close()
    finally:
        broker.kill()


def test_the_command_publishes(broker: Mosquitto, listen: Listen) -> None:
    listener = listen(broker)
    subprocess.run(
        [
            *(sys.executable, "-m", "simrun", "--demo", "--model", str(STROKES)),
            *("--max-frames", "3", "--mqtt", broker.url),
        ],
        check=True,
    )
    frames = [json.loads(listener.next("results").payload)["frame"] for _ in range(3)]
    assert frames == [0, 1, 2]


def test_a_connection_that_is_lost_at_once_is_told(
    monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    paho = pytest.importorskip("paho.mqtt.client")

    def lose(client: Any) -> None:
        client.on_disconnect(client, None, None, "refused", None)

    monkeypatch.setattr(paho.Client, "loop_start", lose)
    sink = MqttSink("mqtt://127.0.0.1:1/gate", CONTEXT)
    log.wait("has no connection (refused)")
    sink.close()


def test_without_paho_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    with pytest.raises(UsageError, match=r"pip install 'similarnet\[mqtt\]'"):
        MqttSink("mqtt://localhost/x", CONTEXT)


class Authority:
    """Makes certificates, as somebody does for a broker at home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.crt"
        self._openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=home"),
            *("-keyout", str(folder / "ca.key"), "-out", str(self.ca)),
        )

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate for localhost and its key."""
        cert, key, request = (self.folder / f"{name}.{end}" for end in ("crt", "key", "csr"))
        names = self.folder / "names"
        names.write_text("subjectAltName=DNS:localhost")
        self._openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", str(key), "-out", str(request)),
        )
        self._openssl(
            *("x509", "-req", "-days", "1", "-in", str(request), "-extfile", str(names)),
            *("-CA", str(self.ca), "-CAkey", str(self.folder / "ca.key"), "-CAcreateserial"),
            *("-out", str(cert)),
        )
        return cert, key

    def _openssl(self, *arguments: str) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("openssl is not installed")
        subprocess.run([openssl, *arguments], check=True, stderr=subprocess.DEVNULL)


def test_a_broker_with_an_authority_of_its_own_asks_for_our_certificate(
    tmp_path: Path, log: Log
) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("broker")
    mine, my_key = authority.issue("camera")
    broker = Mosquitto(
        tmp_path,
        "allow_anonymous true",
        *(f"cafile {authority.ca}", f"certfile {cert}", f"keyfile {key}"),
        "require_certificate true",
    )
    broker.start()
    url = broker.url.replace("mqtt://127.0.0.1", "mqtts://localhost")
    tls = TlsFiles(str(authority.ca), str(mine), str(my_key))
    try:
        sink = MqttSink(url, replace(CONTEXT, mqtt_tls=tls))
        log.wait("is connected")
        sink.write(FRAME, RESULT)
        sink.close()
        sink = MqttSink(url, replace(CONTEXT, mqtt_tls=TlsFiles(ca=str(authority.ca))))
        sink.write(FRAME, RESULT)
        log.wait("has no connection")
        with pytest.raises(OutputError, match="none of 1 results was sent"):
            sink.close()
    finally:
        broker.kill()


@pytest.mark.parametrize(
    ("scheme", "files", "message"),
    [
        ("mqtts", {"ca": "none.pem"}, r"--mqtt-ca none\.pem cannot be used: No such file"),
        ("mqtts", {"ca": "bad.pem"}, r"--mqtt-ca bad\.pem cannot be used: .*; it must be PEM"),
        ("mqtts", {"cert": "bad.pem"}, r"--mqtt-cert bad\.pem cannot be used"),
        ("mqtts", {"cert": "bad.pem", "key": "k.pem"}, r"bad\.pem with --mqtt-key k\.pem cannot"),
        ("mqtts", {"key": "k.pem"}, "--mqtt-key is of no use without --mqtt-cert"),
        ("mqtt", {"ca": "bad.pem"}, "are for mqtts://; mqtt://localhost:1883/x is in clear"),
    ],
)
def test_files_for_tls_that_are_of_no_use_are_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    files: dict[str, str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.pem").write_text("no certificate")
    with pytest.raises(UsageError, match=message) as caught:
        MqttSink(f"{scheme}://localhost/x", replace(CONTEXT, mqtt_tls=TlsFiles(**files)))
    assert "\n" not in str(caught.value)


def test_a_broker_cannot_fill_the_memory(log: Log) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sink = MqttSink(f"mqtt://127.0.0.1:{server.getsockname()[1]}/x", CONTEXT)
        peer, _ = server.accept()
        with peer:
            peer.recv(1024)
            peer.sendall(b"\x20\x02\x00\x00")  # connected
            log.wait("is connected")
            peer.sendall(b"\x30\xff\xff\xff\x7f" + bytes(1000))  # a message of 256 MB begins
            log.wait("has no connection")
    sink.close()


def test_a_command_whose_results_never_arrive_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "simrun", "--demo", "--model", str(STROKES)),
            *("--max-frames", "3", "--mqtt", f"mqtt://127.0.0.1:{port}/x"),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 5
    assert f"none of 3 results was sent to mqtt://127.0.0.1:{port}/x" in done.stderr
