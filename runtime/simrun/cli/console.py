"""What both command lines do alike: errors in one line, exit codes, the log on stderr."""

from __future__ import annotations

import errno
import io
import logging
import os
import select
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

import typer

from simrun.errors import OutputError, SimError
from simrun.files import in_one_line
from simrun.redact import MEANT_TO_BE_SEEN, hide_secrets
from simrun.run.signals import Stopped

DEBUG_FLAG: Final = "--debug"

# Errors of the command line itself. typer has them from click, or from a copy of its own.
_UsageError: Any = typer.BadParameter.__base__

_PATIENCE_MS: Final = 1000
"""How long a line for stderr waits for its reader."""


class _Stderr:
    """Standard error, of which a reader that stops must not stop the program."""

    def __init__(self) -> None:
        self._stopped = False

    def say(self, line: str) -> None:
        """Print a line, unless nobody takes it."""
        # Where it cannot be written, there is nobody to tell that to.
        if self._takes_a_line(sys.stderr):
            with suppress(OSError):
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


def silence_opencv(*, always: bool = False) -> None:
    """Keep OpenCV and FFmpeg from writing to stderr: what matters is said in our own words.

    They read these variables when they are loaded, which happens after this.

    Args:
        always: also where the environment asks for their lines, which show addresses in full.
    """
    for name, value in (("OPENCV_LOG_LEVEL", "SILENT"), ("OPENCV_FFMPEG_LOGLEVEL", "-8")):
        os.environ[name] = value if always else os.environ.get(name, value)
    if always:
        os.environ.pop("OPENCV_FFMPEG_DEBUG", None)


class _Formatter(logging.Formatter):
    """The bare message in one line, without secrets; the level in front from `warning` up."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        # Names of files and what servers send may hold anything, also orders to a terminal.
        return in_one_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if not hasattr(record, MEANT_TO_BE_SEEN):
            text = hide_secrets(text)
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
    sys.excepthook = _show_failure
    if not debug:
        silence_opencv()
    try:
        arguments = [argument for argument in given if argument != DEBUG_FLAG]
        # An exit of its own comes back as the code to exit with.
        code = app(args=arguments, prog_name=program, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except _UsageError as error:
        error.message = hide_secrets(error.message)
        with suppress(OSError):  # nobody reads it: the exit code is all there is
            error.show()
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(1)
    except SimError as error:
        if debug:
            _show_failure(type(error), error, error.__traceback__)
        else:
            say(f"{program}: {in_one_line(hide_secrets(str(error)))}")
        sys.exit(error.exit_code)
    except Stopped as stop:
        sys.exit(stop.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        # What fails with a file by name, or in a sink or source, is told as such.
        if debug or error.filename is not None:
            raise
        say(f"{program}: cannot write standard output: {error.strerror or error}")
        sys.exit(OutputError.exit_code)
    finally:
        _settle_stdout()


def _fill_closed_streams() -> None:
    """Have nothing of ours get the number of a standard stream that is closed.

    A file that got number 2 would be written by libraries that complain on stderr. `sys.stdin`
    stays None, so that who needs it can tell; what is written to `sys.stdout` fails.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = _ClosedStdout()
    if sys.stderr is None:
        # Open as long as the process is.
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


class _ClosedStdout(io.TextIOBase):
    """Standard output that is closed: what was meant for it is not lost without a word."""

    def write(self, _: str, /) -> int:
        """Fail."""
        raise OSError(errno.EBADF, "it is closed; open it, or name a file")


def _show_failure(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """The traceback, with what other libraries' errors say of an address made fit to be seen."""
    say(hide_secrets("".join(traceback.format_exception(kind, error, trace))).rstrip("\n"))


def _settle_stdout() -> None:
    """Drop what standard output does not take.

    At its own end Python would try once more, tell of it in lines of its own, and exit with 120.
    """
    if sys.stdout is None:  # a program without a console
        return
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
