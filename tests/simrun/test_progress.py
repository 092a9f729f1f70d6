"""The display of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from simrun.cli.console import setup_logging
from simrun.progress import LINE_EVERY_S, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def terminal() -> Iterator[Terminal]:
    """Standard error as a terminal, and the log on it; pytest sets stderr after its fixtures."""
    loggers = [logging.getLogger(name) for name in ("simrun", "simtool")]
    former = [(log.handlers, log.level, log.propagate) for log in loggers]
    with pytest.MonkeyPatch.context() as patch:
        screen = Terminal()
        patch.setattr(sys, "stderr", screen)
        setup_logging()
        yield screen
    for log, (handlers, level, propagate) in zip(loggers, former, strict=True):
        log.handlers, log.propagate = handlers, propagate
        log.setLevel(level)


def test_lines_come_every_ten_seconds_where_there_is_no_terminal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "simrun")
    times = iter((0.0, 1.0, LINE_EVERY_S, LINE_EVERY_S + 9, 2 * LINE_EVERY_S))
    with progress("frames", 250, clock=lambda: next(times)) as advance:
        for _ in range(4):
            advance(5)
    assert caplog.messages == ["frames: 10 of 250", "frames: 20 of 250"]


def test_frames_without_an_end_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "simrun")
    times = iter((0.0, LINE_EVERY_S))
    with progress("frames", None, clock=lambda: next(times)) as advance:
        advance(1)
    assert caplog.messages == ["frames: 1"]


@pytest.mark.usefixtures("plain_environment")
def test_a_terminal_has_a_bar_and_the_log_above_it() -> None:
    with terminal() as screen, progress("frames", 4) as advance:
        advance(1)
        logging.getLogger("simrun.sources").warning("a.jpg is damaged")
        advance(2)
    shown = screen.getvalue()
    line = shown.index("warning: a.jpg is damaged\n")
    assert " 75%" in shown
    assert "frames" in shown[:line]
    assert shown[:line].endswith("\x1b[2K")  # the bar was wiped before
    assert "frames" in shown[line:]  # and drawn again below


@pytest.mark.usefixtures("plain_environment")
def test_results_beside_it_or_no_end_leave_the_terminal_alone() -> None:
    with terminal() as screen:
        for total, bar in ((4, False), (None, True), (1, True)):
            with progress("frames", total, bar=bar) as advance:
                advance(1)
    assert screen.getvalue() == ""


@pytest.mark.usefixtures("plain_environment")
def test_standard_output_is_left_to_results(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal() as screen, progress("frames", 2) as advance:
        print('{"frame": 0}')
        advance(1)
    assert capsys.readouterr().out == '{"frame": 0}\n'
    assert "frames" in screen.getvalue()
    assert '"frame"' not in screen.getvalue()


@pytest.mark.usefixtures("plain_environment")
def test_a_silent_process_shows_nothing() -> None:
    with terminal() as screen:
        logging.getLogger("simrun").setLevel(logging.ERROR)
        with progress("frames", 2) as advance:
            advance(1)
    assert screen.getvalue() == ""


def test_nothing_is_loaded_where_there_is_no_terminal() -> None:
    code = (
        "import sys; from simrun.progress import progress\n"
        "with progress('frames', 9) as advance: advance(1)\n"
        "print([name for name in sys.modules if name.startswith('rich')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
