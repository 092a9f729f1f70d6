"""Writing files and folders whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simrun.errors import ModelError, OutputError


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it: a reader sees the old or the new one.

    Raises:
        OutputError: the disk is full, the folder is not writable, ...; `path` is as it was.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
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


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON object for people to read, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    write_atomic(path, json_bytes(data))


def json_bytes(data: Mapping[str, Any]) -> bytes:
    """A JSON object as an indented UTF-8 file."""
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that this program wrote.

    Raises:
        ModelError: it cannot be read or is no JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}); make it again") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} holds a JSON {type(data).__name__}, not an object")
    return data


def write_folder(target: Path, contents: Mapping[str, bytes], replace: bool) -> None:
    """Write a folder of files into a temporary sibling, then rename it to its name.

    Args:
        target: the folder; it must not exist, be empty, or `replace` be set.
        contents: file name -> content.
        replace: put the new folder in the place of an old one.

    Raises:
        OutputError: `target` is not empty and `replace` is not set, or it cannot be written;
            `target` is as it was.
    """
    with writing(target):
        if target.exists() and not target.is_dir():
            raise OutputError(f"{target} is a file; choose another folder")
        if not replace and target.is_dir() and any(target.iterdir()):
            raise OutputError(f"{target} is not empty; choose another folder or give --force")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        try:
            for name, content in contents.items():
                write_atomic(temporary / name, content)
            temporary.chmod(0o755)  # mkdtemp makes it private
            _sync_folder(temporary)
            _put_in_place(temporary, target)
            _sync_folder(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(new: Path, target: Path) -> None:
    """Rename `new` to `target`; the old `target` comes back should that fail."""
    if not target.exists():
        new.rename(target)
        return
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old."))
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says while `path` is written into an OutputError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {path}: {reason}; free some space or choose another place"
        ) from error
