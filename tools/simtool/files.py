"""Files written, most of them whole or not at all; JSON read back; data known by its hash."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from simrun.errors import ModelError, OutputError, SourceError
from simrun.files import output_errors, read_regular, refuse_existing, replace_file

_MOST_JSON: Final = 1 << 30
"""Bytes."""


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it: a reader sees the old or the new one.

    Raises:
        OutputError: the disk is full, the folder is not writable, ...; `path` is as it was.
    """
    with output_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON object for people to read, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    write_atomic(path, json_bytes(data))


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file. Raises OutputError where that cannot be done."""
    with output_errors(str(path)):
        path.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file. Raises OutputError where that cannot be done."""
    with output_errors(str(path)):
        path.write_bytes(content)


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file of data, 32 bytes. Raises SourceError where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error


def parse_json(path: Path) -> object:
    """What a file of JSON holds.

    Raises:
        OSError: it cannot be read, is no regular file, or has more than 1 GiB.
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        data: object = json.loads(read_regular(path, _MOST_JSON).decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return data


def json_bytes(data: Mapping[str, Any]) -> bytes:
    """A JSON object as an indented UTF-8 file."""
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that this program wrote.

    Raises:
        ModelError: it cannot be read or is no JSON object.
    """
    try:
        data = parse_json(path)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}); make it again") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} holds a JSON {type(data).__name__}, not an object")
    return data


@contextmanager
def staged_folder(target: Path, *, mark: str, overwrite: bool) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its name once the block is through.

    After an exception, Ctrl-C included, `target` is as it was.

    Args:
        target: the folder to write.
        mark: name of a file that every result of this kind has. What does not have it is not
            overwritten: it would be somebody's folder, lost for a slip of the hand.
        overwrite: replace a former result.

    Raises:
        OutputError: `target` is there and not empty, and `overwrite` is false or it is no former
            result; or it cannot be written.
    """
    check_target(target, mark=mark, overwrite=overwrite)
    with output_errors(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        yield staging
        with output_errors(str(target)):
            staging.chmod(0o755)  # mkdtemp makes it private
            _put_in_place(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_folder(
    target: Path, contents: Mapping[str, bytes], *, mark: str, overwrite: bool
) -> None:
    """Write a folder of files whole or not at all; `contents` is file name -> content.

    Arguments and errors as `staged_folder`.
    """
    with staged_folder(target, mark=mark, overwrite=overwrite) as folder:
        for name, content in contents.items():
            write_atomic(folder / name, content)


def check_target(target: Path, *, mark: str, overwrite: bool) -> None:
    """Refuse a target before any work is done for it. Arguments and errors as `staged_folder`."""
    refuse_existing(target, overwrite=overwrite)
    _refuse_foreign(target, mark)


def _refuse_foreign(target: Path, mark: str) -> None:
    """Raise OutputError unless `target` is missing, empty or a flat folder with the mark."""
    with output_errors(str(target)):
        entries = list(target.iterdir()) if target.is_dir() else []
        foreign = target.exists() and not target.is_dir()
        foreign |= bool(entries) and not (target / mark).is_file()
        foreign |= any(entry.is_dir() for entry in entries)
    if foreign:
        raise OutputError(
            f"{target} is not a former result (a folder with {mark} and no subfolders); it is not "
            "overwritten, name another"
        )


def _put_in_place(staging: Path, target: Path) -> None:
    """Rename; what was at `target` goes once the new folder is there, or comes back."""
    if not target.exists():
        staging.rename(target)
        return
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old."))
    target.replace(old / "old")
    try:
        staging.rename(target)
    except OSError:
        (old / "old").replace(target)
        raise
    finally:
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
