"""Names of files as text; outputs: what is there is kept, and a failure names its file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simrun.errors import OutputError


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


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Keep what is there unless told otherwise.

    Raises:
        OutputError: `path` is a file, or a folder with something in it, and `overwrite` is false.
    """
    with output_errors(str(path)):
        taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if taken and not overwrite:
        kind = "a folder that is not empty" if path.is_dir() else "there already"
        raise OutputError(f"{path} is {kind}; name another or add --overwrite")


def replace_file(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it: a reader sees the old one or the whole new one.

    Everybody may read it; it is on the disk before the name is.

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
        temporary.chmod(0o644)  # mkstemp makes it private
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
