"""What both command lines do alike: errors in one line, exit codes, the log on stderr."""

from __future__ import annotations

import logging
import os
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TextIO

from simrun.errors import OutputError, SimError
from simrun.run.signals import Stopped

DEBUG_FLAG: Final = "--debug"


_PATIENCE_MS: Final = 1000
"""How long a line for stderr waits for its reader."""


class _Stderr:
    """Standard error, of which a reader that stops must not stop the program."""

    def __init__(self) -> None:
        self._stopped = False

    def say(self, line: str) -> None:
        """Print a line, unless nobody takes it."""
        if self._takes_a_line(sys.stderr):
            print(line, file=sys.stderr)

    def _takes_a_line(self, stream: TextIO) -> bool:
        """Whether a write would not block; that is waited for a second, the first time."""
        try:
            poll = select.poll()
            poll.register(stream.fileno(), select.POLLOUT)
        except (OSError, ValueError):  # a program that uses us has put its own in its place
            return True
        self._stopped = not poll.poll(0 if self._stopped else _PATIENCE_MS)
        return not self._stopped


say: Final = _Stderr().say
"""Print a line on stderr, unless nobody takes it."""


class _StderrHandler(logging.Handler):
    """Writes to the `sys.stderr` of the moment, so that a progress bar can step aside."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            say(self.format(record))
        except Exception:  # noqa: BLE001 - as the standard library's handlers do
            self.handleError(record)


def setup_logging(debug: bool = False) -> None:
    """Send the log of simrun and simtool to stderr: plain lines, warnings and errors named."""
    handler = _StderrHandler()
    handler.setFormatter(_Formatter())
    for name in ("simrun", "simtool"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.DEBUG if debug else logging.INFO)
        logger.propagate = False


def _silence_opencv() -> None:
    """Keep OpenCV and FFmpeg from writing to stderr: what matters is said in our own words.

    They read these variables when they are loaded, which happens after this.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class _Formatter(logging.Formatter):
    """The bare message; the level in front from `warning` up."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno < logging.WARNING:
            return text
        return f"{record.levelname.lower()}: {text}"


def run_app(
    app: Callable[..., object], program: str, arguments: Sequence[str] | None = None
) -> None:
    """Run a typer application as a program: never returns normally, exits with the right code.

    A SimError is one line on stderr and its exit code; Ctrl-C is 130, SIGTERM 143; `--debug`,
    anywhere on the command line, shows the traceback instead.

    Args:
        app: the typer application.
        program: what messages and help call the program.
        arguments: the command line without the program's name; None takes the process's.

    Raises:
        SystemExit: always, with the exit code.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    debug = DEBUG_FLAG in given
    _fill_closed_streams()
    setup_logging(debug)
    if not debug:
        _silence_opencv()
    try:
        app(args=[a for a in given if a != DEBUG_FLAG], prog_name=program)
    except SimError as error:
        if debug:
            raise
        say(f"{program}: {error}")
        sys.exit(error.exit_code)
    except Stopped as stop:
        sys.exit(stop.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        # What fails with a file by name, or in a sink or source, is told as such.
        if debug or error.filename is not None:
            raise
        say(f"{program}: cannot write standard output: {error.strerror}")
        sys.exit(OutputError.exit_code)
    finally:
        _settle_stdout()


def _fill_closed_streams() -> None:
    """Have nothing of ours get the number of a standard stream that is closed.

    A file that got number 2 would be written by libraries that complain on stderr. `sys.stdout` and
    `sys.stdin` stay None, so that who needs them can tell.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    if sys.stderr is None:
        # Open as long as the process is.
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _settle_stdout() -> None:
    """Drop what standard output does not take.

    At its own end Python would try once more, tell of it in lines of its own, and exit with 120.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
