"""Outputs are opened by name, all or none, and not for ever."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from simrun.errors import OutputError, UsageError
from simrun.files import Existing
from simrun.sinks import registry
from simrun.sinks.registry import Kind, Sink, SinkContext, StreamInfo, open_sinks
from simrun.stats import RunStats

CONTEXT = SinkContext(
    StreamInfo("strokes", "ab" * 32, "demo", 10.0), Existing.REFUSE, RunStats(), lambda: None
)


def test_files_are_known_by_their_names_and_work_in_threads_of_their_own(tmp_path: Path) -> None:
    target = str(tmp_path / "r.csv")
    rows, page = open_sinks([("csv", target), ("serve", "0")], CONTEXT)
    assert (rows.name, rows.threaded) == (target, True)
    assert (page.name, page.threaded) == ("serve", False)
    for output in (rows, page):
        output.sink.close()


def test_where_one_cannot_be_opened_none_stays_open(tmp_path: Path) -> None:
    target = str(tmp_path / "r.csv")
    with pytest.raises(UsageError, match="no sink 'nonesuch'"):
        open_sinks([("csv", target), ("nonesuch", "")], CONTEXT)
    again = open_sinks([("csv", str(tmp_path / "s.csv"))], CONTEXT)
    again[0].sink.close()
    with pytest.raises(OutputError, match="there already"):
        open_sinks([("csv", str(tmp_path / "s.csv"))], CONTEXT)


def test_a_disk_that_hangs_does_not_hang_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def hang(target: str, context: SinkContext) -> Sink:
        go_on.wait(20)
        raise OutputError("nobody waits for this")

    monkeypatch.setattr(registry, "KINDS", {"far": Kind(hang, files=True)})
    monkeypatch.setattr(registry, "_OPEN_S", 0.01)
    with pytest.raises(OutputError, match=r"/net/x cannot be opened within 0.01 s: its disk hangs"):
        open_sinks([("far", "/net/x")], CONTEXT)
    go_on.set()
