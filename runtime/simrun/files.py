"""Names of files as text; outputs: what is there is kept, and a failure names its file."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Final

from simrun.errors import OutputError

_log = logging.getLogger(__name__)

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Existing(Enum):
    """What becomes of an output that is there already when a run starts."""

    REFUSE = "refuse"
    """It is kept, and the run does not start."""
    APPEND = "append"
    """The run goes on behind it."""
    OVERWRITE = "overwrite"
    """It gives way."""


def printable_name(name: str) -> str:
    r"""The name of a file as valid Unicode: bytes that are not UTF-8 become `\xNN`.

    Python keeps such bytes as halves of surrogate pairs, which JSON readers and terminals refuse.
    """
    return name if name.isascii() else _SURROGATE.sub(_escape, name)


def _escape(half: re.Match[str]) -> str:
    code = ord(half[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def readable(name: str) -> str:
    """The name of a file as text that any output takes: bytes that are no UTF-8 become `\\xNN`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def in_one_line(text: str) -> str:
    """A message with names in it, readable and without control characters."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in readable(text))


@contextmanager
def output_errors(what: str) -> Iterator[None]:
    """Turn an OSError into an OutputError that names the output."""
    try:
        yield
    except BrokenPipeError as error:
        raise OutputError(f"{what} was closed by its reader") from error
    except OSError as error:
        raise OutputError(f"cannot write {what}: {error.strerror or error}") from error


def read_regular(path: Path, most: int) -> bytes:
    """All of a file, which is no pipe, device or endless thing.

    Raises:
        OSError: it cannot be read, is no regular file, or has more than `most` bytes.
    """
    # A pipe without a writer would block, a device might give bytes for ever.
    with open(path, "rb", opener=open_at_once) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if about.st_size > most:
            raise OSError(errno.EFBIG, f"it has more than {most} bytes", str(path))
        # Not `most`: room for that many bytes would be made, more than a small board has.
        return file.read(about.st_size)


def open_at_once(name: str, flags: int) -> int:
    """An opener for `open` that does not wait for the writer of a pipe."""
    return os.open(name, flags | os.O_NONBLOCK)


def refuse_existing(path: Path, *, overwrite: bool, ways: str = "or add --overwrite") -> None:
    """Keep what is there unless told otherwise.

    Args:
        path: a file or folder that is about to be written.
        overwrite: it may be there.
        ways: what the user can do about it, for the message.

    Raises:
        OutputError: `path` is a file, or a folder with something in it, and `overwrite` is false.
    """
    with output_errors(str(path)):
        # A pipe or a device holds nothing that could be lost.
        nothing = path.is_fifo() or path.is_char_device()
        taken = any(path.iterdir()) if path.is_dir() else path.exists() and not nothing
    if taken and not overwrite:
        kind = "a folder that is not empty" if path.is_dir() else "there already"
        raise OutputError(f"{path} is {kind}; name another {ways}")


def refuse_unless_told(path: Path, existing: Existing) -> None:
    """Keep what is there unless told to go on with it or to replace it.

    Raises as `refuse_existing`.
    """
    told = existing is not Existing.REFUSE
    refuse_existing(path, overwrite=told, ways="or add --append or --overwrite")


def lock_for_writing(descriptor: int, what: str) -> None:
    """Keep other runs from writing a file or folder for as long as it is open here.

    Args:
        descriptor: of the open file or folder.
        what: names it, for messages.

    Raises:
        OutputError: another run has it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            f"{what} is being written by another run; name another, or end that one"
        ) from None
    except OSError as error:  # a network's file system that has no locks
        _log.debug("%s cannot be locked: %s", what, error.strerror)


class WriteLock:
    """Keeps other runs from writing a file or folder that others than us have open."""

    def __init__(self) -> None:
        """Nothing is locked."""
        self._descriptor: int | None = None

    def take(self, path: Path) -> None:
        """Lock what has this name now, in place of what was locked before.

        Raises:
            OSError: it cannot be opened.
            OutputError: another run has it.
        """
        self.free()
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            lock_for_writing(self._descriptor, str(path))
        except OutputError:
            self.free()
            raise

    def free(self) -> None:
        """Let others have it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def replace_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file beside its place and rename it: a reader sees the old one or the whole new one.

    Everybody may read it unless `mode` says otherwise; it is on the disk before the name is.

    Raises:
        OSError: it cannot be written; `path` is as it was.
    """
    import tempfile

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)  # mkstemp makes it private
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
