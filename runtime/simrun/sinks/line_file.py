"""A file of lines that grows for months, and standard output as one.

A line is on the file whole or not at all. What a full disk or a power cut left of one is cut off
before the next; a name that was renamed, deleted, emptied or replaced is followed; a run that fails
to write may try again. Two runs never write one file.
"""

from __future__ import annotations

import io
import logging
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from simrun.errors import OutputError, OutputGoneError
from simrun.files import Existing, lock_for_writing, output_errors, refuse_unless_told
from simrun.sinks.rotation import Rotation, Rotator

_log = logging.getLogger(__name__)

_LONGEST_LINE: Final = 1 << 20
"""Bytes at the end of a file among which its last line is looked for."""

Head = Callable[[bool], bytes]
"""What comes first: of a file that is empty (True), and of a run that goes on with one (False)."""


class Lines(Protocol):
    """Takes whole lines."""

    def write(self, data: bytes) -> None:
        """Write one line or several, each with its end.

        Raises:
            OutputError: they are not written, none of them. The next call tries anew.
        """
        ...

    def reopen(self) -> None:
        """Let go of the file, so that the next line opens what has the name then."""
        ...

    def close(self) -> None:
        """Let go for good; may be called more than once. Raises OutputError."""
        ...


class LineFile:
    """Lines at the end of a file that is opened for appending, or in a pipe that has a name."""

    def __init__(
        self,
        target: str,
        existing: Existing,
        head: Head,
        *,
        is_half: Callable[[bytes], bool] = lambda _: True,
        rotation: Rotation | None = None,
    ) -> None:
        """Open the file and write its head.

        A named pipe is opened by the first line: that waits for its reader.

        Args:
            target: path of the file.
            existing: what becomes of a file that is there.
            head: what to write first.
            is_half: whether bytes at the end of a file, behind its last line, are half a line to be
                cut off; otherwise they get an end.
            rotation: when the file is set aside for a new one.

        Raises:
            OutputError: the file is there already and is to be kept, another run writes it, or it
                cannot be written.
        """
        self._name, self._path = target, Path(target)
        self._head, self._is_half = head, is_half
        self._rotator = Rotator(self._path, rotation)
        self._fd: int | None = None
        self._regular = True
        self._end = 0
        self._begun = self._torn = False
        refuse_unless_told(self._path, existing)
        with output_errors(target):
            if not self._path.is_fifo():
                self._open(empty=existing is Existing.OVERWRITE)

    def write(self, data: bytes) -> None:
        """Write at the end of what has the name now."""
        with output_errors(self._name):
            try:
                fd = self._current()
                if self._regular and self._end and self._rotator.is_due(self._end + len(data)):
                    fd = self._rotate()
                self._append(fd, data)
            except BaseException:
                self._let_go()
                raise

    def reopen(self) -> None:
        """Let go of the file; the next line opens what has the name then."""
        self._let_go()

    def close(self) -> None:
        """Close the file."""
        with output_errors(self._name):
            self._let_go()

    def _current(self) -> int:
        """A descriptor of what has the name now, ready for the next line."""
        if self._fd is not None:
            there = os.fstat(self._fd)
            if self._has_the_name(there):
                if self._regular and there.st_size < self._end:  # emptied by somebody
                    self._begin(self._fd)
                return self._fd
        self._let_go()
        return self._open()

    def _rotate(self) -> int:
        self._let_go()
        self._rotator.rotate()
        return self._open()

    def _has_the_name(self, there: os.stat_result) -> bool:
        try:
            return os.path.samestat(self._path.stat(), there)
        except FileNotFoundError:
            return False
        except OSError:  # a folder that was closed to us: the open file is still good
            return True

    def _open(self, *, empty: bool = False) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
        fd = self._fd = os.open(self._path, flags, 0o666)
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
        try:
            if self._regular:
                lock_for_writing(fd, self._name)
                if empty:
                    os.ftruncate(fd, 0)
                elif not self._begun and self._is_of_before(fd):
                    return self._rotate()
            self._begin(fd)
        except BaseException:
            self._let_go()
            raise
        return fd

    def _is_of_before(self, fd: int) -> bool:
        """Whether what an earlier start wrote is to be set aside at once."""
        there = os.fstat(fd)
        self._rotator.begun(there.st_mtime)
        return there.st_size > 0 and self._rotator.is_due(there.st_size)

    def _begin(self, fd: int) -> None:
        """Mend the last line, then write the head where there has to be one."""
        there = os.fstat(fd)
        self._end = there.st_size if self._regular else 0
        self._rotator.begun(there.st_mtime if self._end else None)
        if self._end:
            self._mend(fd)
        if not self._end or not self._begun:
            self._append(fd, self._head(not self._end))
        self._begun = True

    def _mend(self, fd: int) -> None:
        rest = _behind_last_line(self._path, self._end)
        if not rest:
            return
        if self._is_half(rest):
            _log.warning(
                "%s ended in the middle of a line: %d bytes cut off", self._name, len(rest)
            )
            self._end -= len(rest)
            os.ftruncate(fd, self._end)
        else:
            self._append(fd, b"\n")

    def _append(self, fd: int, data: bytes) -> None:
        """Write all of it, or take back what was written."""
        if self._torn:
            data = b"\n" + data
        done = 0
        try:
            while done < len(data):
                done += os.write(fd, data[done:])
        except OSError:
            if done:
                self._take_back(fd, done)
            raise
        self._torn = False
        if self._regular:
            # Not the sum: the file may have been emptied a moment ago.
            self._end = os.lseek(fd, 0, os.SEEK_CUR)

    def _take_back(self, fd: int, count: int) -> None:
        if self._regular:
            # Where this fails as well, `_mend` does it when the file is opened again.
            with suppress(OSError):
                os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR) - count)
        else:
            self._torn = True

    def _let_go(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


class StandardOutput:
    """Lines on the process's standard output.

    They go past the buffer of `sys.stdout`: a reader that stops would hold its lock for ever, and
    with it the end of the process.
    """

    _NAME: Final = "standard output"

    def __init__(self, head: bytes) -> None:
        """Write what comes first.

        Raises:
            OutputError: it is closed, or cannot be written.
        """
        if sys.stdout is None:
            raise OutputError(f"{self._NAME} is closed; open it, or name a file")
        self._torn = False
        with output_errors(self._NAME):
            sys.stdout.flush()
        try:
            self._fd: int | None = sys.stdout.fileno()
        except io.UnsupportedOperation:  # a program that uses us has put its own in its place
            self._fd = None
        self.write(head)

    def write(self, data: bytes) -> None:
        """Write one line or several.

        Raises:
            OutputGoneError: its reader has closed it.
            OutputError: it cannot be written.
        """
        with output_errors(self._NAME):
            try:
                self._put(data)
            except BrokenPipeError as error:
                raise OutputGoneError(f"{self._NAME} was closed by its reader") from error

    def reopen(self) -> None:
        """It has no name by which it could be opened."""

    def close(self) -> None:
        """It stays open for others."""

    def _put(self, data: bytes) -> None:
        if self._fd is None:
            sys.stdout.write(data.decode())
            sys.stdout.flush()
            return
        if self._torn:
            data = b"\n" + data
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
        finally:
            self._torn = 0 < done < len(data)


def _behind_last_line(path: Path, size: int) -> bytes:
    """What a file has behind its last line's end: half a line, or a whole one without its end."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, size - _LONGEST_LINE))
            return file.read().rpartition(b"\n")[2]
    except PermissionError:  # it may be written and not read
        return b""
