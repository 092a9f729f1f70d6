"""What systemd hears of a run."""

from __future__ import annotations

import csv
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from simrun.result import Latency, Result
from simrun.run.loop import Frames
from simrun.service.notify import Notifier, in_service, open_notifier
from simrun.sources import BadFrame, Frame
from simrun.stats import OutputState, RunStats, SourceStats
from tests.simrun.clock import Clock
from tests.simrun.conftest import STROKES, Run

GOOD = Frame(np.zeros((4, 4), np.uint8), 0, 0.0)
BAD = BadFrame(0, None, "torn")


class Manager:
    """The receiving end of the notifications."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """The first line of every message so far."""
        return [message.splitlines()[0] for message in self.messages()]

    def messages(self) -> Iterator[str]:
        while True:
            try:
                yield self._socket.recv(4096).decode()
            except BlockingIOError:
                return

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.close()


def _played(notifier: Notifier, frames: Frames, clock: Clock, *, step_s: float) -> None:
    """Take all frames as the main loop does, each taking `step_s` seconds."""
    for _ in notifier.watch(frames, RunStats()):
        clock.now += step_s


def test_life_is_signalled_by_processed_frames_at_intervals() -> None:
    sent: list[str] = []
    clock = Clock()
    notifier = Notifier(sent.append, interval_s=10, clock=clock)
    notifier.ready()
    _played(notifier, [GOOD] * 9, clock, step_s=4)
    assert [message.splitlines()[0] for message in sent] == [
        "READY=1",
        "WATCHDOG=1",  # after frame 1
        "WATCHDOG=1",  # after frame 4, twelve seconds later
        "WATCHDOG=1",  # after frame 7
        "STOPPING=1",
    ]


def test_bad_frames_and_waiting_are_no_signs_of_life() -> None:
    sent: list[str] = []
    clock = Clock()
    _played(Notifier(sent.append, clock=clock), [BAD] * 9, clock, step_s=20)
    assert sent == ["STOPPING=1"]


def test_a_frame_counts_only_once_it_is_done() -> None:
    sent: list[str] = []
    frames = Notifier(sent.append).watch([GOOD, GOOD], RunStats())
    next(frames)
    assert sent == []
    next(frames)
    assert len(sent) == 1


def test_a_run_that_fails_says_that_it_stops() -> None:
    sent: list[str] = []

    def broken() -> Iterator[Frame]:
        raise ValueError("unplugged")
        yield GOOD

    with pytest.raises(ValueError, match="unplugged"):
        list(Notifier(sent.append).watch(broken(), RunStats()))
    assert sent == ["STOPPING=1"]


def test_the_status_says_what_the_run_came_to() -> None:
    sent: list[str] = []
    stats = RunStats(Clock())
    stats.watch(lambda: SourceStats("open", reconnects=3))
    stats.add(Result(4, 4, (), Latency(0, 0, 0, 0, 0, 0)))
    stats.add_bad()
    stats.watch_outputs(lambda: (OutputState("a", None), OutputState("b.csv", "disk full", 3)))
    list(Notifier(sent.append).watch([GOOD], stats))
    assert sent[0] == (
        "WATCHDOG=1\nSTATUS=1 frames, 0.0 frames/s, 0 regions, 1 bad, "
        "b.csv is down (disk full), camera open, 3 reconnects"
    )


def test_a_manager_that_is_gone_does_not_end_the_run(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    notifier = open_notifier({"NOTIFY_SOCKET": "/nonesuch/notify"})
    notifier.ready()
    _played(notifier, [GOOD] * 3, clock, step_s=60)
    assert caplog.text.count("cannot tell systemd how the run is doing: No such file") == 1


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_socket_nothing_is_sent(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "socket")
    open_notifier(environment).ready()


def test_a_service_is_told_from_what_its_manager_says_of_this_process() -> None:
    assert in_service({"NOTIFY_SOCKET": "/run/systemd/notify"})
    assert in_service({"SYSTEMD_EXEC_PID": str(os.getpid())})  # Type=simple
    assert not in_service({"SYSTEMD_EXEC_PID": "1", "INVOCATION_ID": "0" * 32})  # of our shell
    assert not in_service({})


def test_a_service_goes_on_behind_what_its_last_start_wrote(
    simrun: Run, manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    outputs = [f"--sink={kind}={tmp_path / kind}" for kind in ("jsonl", "csv", "save", "crops")]
    run = ("--demo", "--model", STROKES, "--max-frames", 2, *outputs)
    assert [simrun(*run)[0] for _ in range(2)] == [0, 0]
    lines = [json.loads(line) for line in (tmp_path / "jsonl").read_text().splitlines()]
    assert [line.get("frame") for line in lines] == [None, 0, 1, None, 0, 1]
    assert all(lines[at]["started"] <= lines[at + 1]["time"] for at in (0, 3))
    with (tmp_path / "csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(dict.fromkeys(row["started"] for row in rows)) == [
        lines[0]["started"],
        lines[3]["started"],
    ]
    assert len(list((tmp_path / "save").iterdir())) == 4
    assert simrun(*run, "--overwrite")[0] == 0
    assert len((tmp_path / "jsonl").read_text().splitlines()) == 3


def test_an_address_in_the_abstract_namespace(tmp_path: Path) -> None:
    name = str(tmp_path / "abstract")
    manager = Manager("\0" + name)
    open_notifier({"NOTIFY_SOCKET": "@" + name}).ready()
    assert manager.heard() == ["READY=1"]
    manager.close()


@pytest.mark.parametrize(
    ("variables", "beats"),
    [
        ({"WATCHDOG_USEC": "1"}, 3),
        ({"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}, 1),
        ({"WATCHDOG_USEC": "30000000"}, 1),
        ({"WATCHDOG_USEC": "soon"}, 1),
    ],
)
def test_the_interval_is_a_part_of_what_the_watchdog_allows(
    manager: Manager, tmp_path: Path, variables: dict[str, str], beats: int
) -> None:
    notifier = open_notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), **variables})
    list(notifier.watch([GOOD] * 3, RunStats()))
    assert manager.heard() == ["WATCHDOG=1"] * beats + ["STOPPING=1"]


def test_a_whole_run_under_a_manager(
    simrun: Run, manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    assert simrun("--demo", "--model", STROKES, "--max-frames", 4)[0] == 0
    assert manager.heard() == ["READY=1", *["WATCHDOG=1"] * 3, "STOPPING=1"]


def test_a_run_without_outputs_left_is_not_called_healthy(
    simrun: Run, manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    code, _, _ = simrun("--demo", "--model", STROKES, "--jsonl", "/dev/full", "--overwrite")
    assert code == 5
    assert "WATCHDOG=1" not in manager.heard()
